//! What the store keeps of an object: its encoded bytes and what selectors ask for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::pack::{Dictionary, Packed};

/// The address of an object in the store. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The stored resource, `plural.group` (`plural` for the core group); versions share it.
    pub resource: Arc<str>,
    /// The namespace, empty for a cluster-scoped object.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Key {
    /// A key of its three parts.
    pub fn new(
        resource: impl Into<Arc<str>>,
        namespace: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// The labels of an object, in one piece of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<str>);

impl Labels {
    /// What ends a key and a value. No valid label has it.
    const END: char = '\0';

    fn of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        for (key, value) in pairs.filter(|(k, v)| !k.contains(Self::END) && !v.contains(Self::END))
        {
            for part in [key, value] {
                text.push_str(part);
                text.push(Self::END);
            }
        }
        Self(text.into_boxed_str())
    }

    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        let mut parts = self.0.split_terminator(Self::END);
        while let (Some(found), Some(value)) = (parts.next(), parts.next()) {
            if found == key {
                return Some(value);
            }
        }
        None
    }
}

/// The JSON of an object, as it is kept in memory.
#[derive(Debug)]
enum Body {
    /// Ready to be sent.
    Plain(Bytes),
    /// Packed, since nobody has written it for a while.
    Packed(Packed),
}

/// An object at one resourceVersion, encoded once.
#[derive(Debug)]
pub struct Object {
    /// Where it is stored.
    pub key: Key,
    /// The resourceVersion of the write that made it.
    pub version: u64,
    /// Its labels.
    pub labels: Labels,
    body: RwLock<Body>,
    /// Where in `body` its metadata begin. They end one byte before the body does.
    metadata: usize,
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.version == other.version && self.body() == other.body()
    }
}

impl Object {
    /// Its JSON, with `metadata.resourceVersion`. Empty if what was packed is damaged.
    pub fn body(&self) -> Bytes {
        match &*self.body.read().unwrap_or_else(PoisonError::into_inner) {
            Body::Plain(bytes) => bytes.clone(),
            Body::Packed(packed) => packed.unpack(),
        }
    }

    /// The length of its JSON.
    pub fn size(&self) -> usize {
        match &*self.body.read().unwrap_or_else(PoisonError::into_inner) {
            Body::Plain(bytes) => bytes.len(),
            Body::Packed(packed) => packed.size(),
        }
    }

    /// The JSON of its metadata. Empty if the bytes are damaged.
    pub fn metadata(&self) -> Bytes {
        let body = self.body();
        let end = body.len().saturating_sub(1);
        if self.metadata < end {
            body.slice(self.metadata..end)
        } else {
            Bytes::new()
        }
    }

    /// The decoded object. Bytes that we wrote ourselves always decode; `Null` stands for damage.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body()).unwrap_or(Value::Null)
    }

    /// Keeps the JSON packed from now on, if that makes it smaller. It can be read as before, only more slowly.
    /// Returns what is left of it; nothing if it stays as it is.
    pub(super) fn pack(&self, dictionary: &Arc<Dictionary>) -> Option<usize> {
        let plain = match &*self.body.read().unwrap_or_else(PoisonError::into_inner) {
            Body::Plain(bytes) => bytes.clone(),
            Body::Packed(_) => return None,
        };
        let packed = Packed::of(&plain, dictionary)?;
        let left = packed.len();
        *self.body.write().unwrap_or_else(PoisonError::into_inner) = Body::Packed(packed);
        Some(left)
    }

    #[cfg(test)]
    pub(super) fn is_packed(&self) -> bool {
        matches!(*self.body.read().unwrap(), Body::Packed(_))
    }

    /// Rebuilds an object from bytes that a backend kept.
    pub fn restore(key: Key, version: u64, body: Bytes) -> Self {
        #[derive(Deserialize)]
        struct Meta<'a> {
            #[serde(borrow)]
            labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
        }
        let mut object = Self {
            key,
            version,
            metadata: find_metadata(&body).unwrap_or(body.len()),
            body: RwLock::new(Body::Plain(body)),
            labels: Labels::default(),
        };
        let metadata = object.metadata();
        if let Ok(Meta {
            labels: Some(labels),
        }) = serde_json::from_slice(&metadata)
        {
            object.labels = Labels::of(labels.iter().map(|(k, v)| (k.as_ref(), v.as_ref())));
        }
        object
    }
}

/// Where the value of the member `metadata` of an object begins.
fn find_metadata(body: &[u8]) -> Option<usize> {
    const NAME: &[u8] = br#""metadata":"#;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        match byte {
            b'"' => {
                if depth == 1 && body[at..].starts_with(NAME) {
                    return Some(at + NAME.len());
                }
                at += 1;
                while *body.get(at)? != b'"' {
                    at += if body[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// An encoded object that waits for its resourceVersion.
///
/// The version is known only when the writer orders the writes, so the JSON is cut in two where it goes.
#[derive(Debug)]
pub struct Draft {
    before: Vec<u8>,
    after: &'static [u8],
    metadata: usize,
    labels: Labels,
}

impl Draft {
    /// Encodes `object` without its `metadata.resourceVersion`.
    ///
    /// # Errors
    /// Says that the value is no object, or has no `metadata` object.
    pub fn encode(object: &Value) -> Result<Self, serde_json::Error> {
        use serde::ser::Error;
        let fields = object
            .as_object()
            .ok_or_else(|| serde_json::Error::custom("not an object"))?;
        let metadata = fields
            .get("metadata")
            .and_then(Value::as_object)
            .ok_or_else(|| serde_json::Error::custom("metadata is missing or not an object"))?;

        let mut before = Vec::with_capacity(1024);
        before.push(b'{');
        for (name, value) in fields
            .iter()
            .filter(|(name, _)| name.as_str() != "metadata")
        {
            entry(&mut before, name, value)?;
            before.push(b',');
        }
        before.extend_from_slice(br#""metadata":"#);
        let place = before.len();
        before.push(b'{');
        for (name, value) in metadata
            .iter()
            .filter(|(name, _)| name.as_str() != "resourceVersion")
        {
            entry(&mut before, name, value)?;
            before.push(b',');
        }
        before.extend_from_slice(br#""resourceVersion":""#);

        let labels = metadata
            .get("labels")
            .and_then(Value::as_object)
            .map(|labels| {
                Labels::of(
                    labels
                        .iter()
                        .filter_map(|(k, v)| Some((k.as_str(), v.as_str()?))),
                )
            })
            .unwrap_or_default();
        Ok(Self {
            before,
            after: br#""}}"#,
            metadata: place,
            labels,
        })
    }

    /// The size of the encoded object, without its version.
    pub fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Never true: an encoded object has at least its braces.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the version in and completes the object.
    pub fn finish(self, key: Key, version: u64) -> Object {
        let mut body = self.before;
        body.extend_from_slice(version.to_string().as_bytes());
        body.extend_from_slice(self.after);
        // It stays in memory as long as the object does: no room to spare.
        body.shrink_to_fit();
        Object {
            key,
            version,
            metadata: self.metadata,
            body: RwLock::new(Body::Plain(Bytes::from(body))),
            labels: self.labels,
        }
    }
}

fn entry(out: &mut Vec<u8>, name: &str, value: &Value) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *out, name)?;
    out.push(b':');
    serde_json::to_writer(&mut *out, value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_draft_becomes_the_same_object_with_its_version() {
        let mut object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "zeta": 1,
            "metadata": {"name": "a", "resourceVersion": "7", "uid": "u", "labels": {"x": "y"}},
            "data": {"resourceVersion": "stays"},
        });
        let key = Key::new("configmaps", "default", "a");
        let stored = Draft::encode(&object).unwrap().finish(key.clone(), 42);
        object["metadata"]["resourceVersion"] = json!("42");
        assert_eq!(stored.value(), object);
        assert_eq!(stored.labels.get("x"), Some("y"));
        let metadata: Value = serde_json::from_slice(&stored.metadata()).unwrap();
        assert_eq!(metadata, object["metadata"]);
        assert_eq!(Object::restore(key, 42, stored.body()), stored);
    }

    #[test]
    fn metadata_are_found_whatever_is_around_them() {
        let key = Key::new("configmaps", "default", "a");
        let body = br#"{"data":{"metadata":"no","k":"\\","q":"\"metadata\":{"},"list":["metadata",[{}]],"metadata":{"labels":{"a":"b"}}}"#;
        let object = Object::restore(key.clone(), 1, Bytes::from_static(body));
        assert_eq!(object.metadata(), br#"{"labels":{"a":"b"}}"#.as_slice());
        assert_eq!(object.labels.get("a"), Some("b"));
        for damaged in [
            "",
            "{",
            "[]",
            "}",
            r#"{"a"#,
            r#"{"a\"#,
            r#"{"metadata":"#,
            "nonsense",
        ] {
            let object = Object::restore(key.clone(), 1, Bytes::from(damaged));
            assert_eq!(object.labels, Labels::default(), "{damaged}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(Draft::encode(&json!([])).is_err());
        assert!(Draft::encode(&json!({"metadata": 1})).is_err());
    }
}
