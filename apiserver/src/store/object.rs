//! What the store keeps of an object: its encoded bytes and what selectors ask for.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

/// The address of an object in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The stored resource, `plural.group` (`plural` for the core group); versions share it.
    pub resource: String,
    /// The namespace, empty for a cluster-scoped object.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// A key of its three parts.
    pub fn new(
        resource: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// An object at one resourceVersion, encoded once.
#[derive(Debug, PartialEq)]
pub struct Object {
    /// Where it is stored.
    pub key: Key,
    /// The resourceVersion of the write that made it.
    pub version: u64,
    /// Its JSON, with `metadata.resourceVersion`.
    pub body: Bytes,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where in `body` its metadata begin. They end one byte before the body does.
    metadata: usize,
}

impl Object {
    /// The JSON of its metadata. Empty if the bytes are damaged.
    pub fn metadata(&self) -> &[u8] {
        let end = self.body.len().saturating_sub(1);
        self.body.get(self.metadata..end).unwrap_or_default()
    }

    /// The decoded object. Bytes that we wrote ourselves always decode; `Null` stands for damage.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Rebuilds an object from bytes that a backend kept.
    pub fn restore(key: Key, version: u64, body: Bytes) -> Self {
        #[derive(Deserialize)]
        struct Meta {
            labels: Option<BTreeMap<String, String>>,
        }
        let mut object = Self {
            key,
            version,
            metadata: find_metadata(&body).unwrap_or(body.len()),
            body,
            labels: BTreeMap::new(),
        };
        object.labels = serde_json::from_slice::<Meta>(object.metadata())
            .ok()
            .and_then(|meta| meta.labels)
            .unwrap_or_default();
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
    labels: BTreeMap<String, String>,
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
            .map_or_else(BTreeMap::new, |labels| {
                labels
                    .iter()
                    .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
                    .collect()
            });
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
            body: Bytes::from(body),
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
        assert_eq!(stored.labels.get("x").map(String::as_str), Some("y"));
        let metadata: Value = serde_json::from_slice(stored.metadata()).unwrap();
        assert_eq!(metadata, object["metadata"]);
        assert_eq!(Object::restore(key, 42, stored.body.clone()), stored);
    }

    #[test]
    fn metadata_are_found_whatever_is_around_them() {
        let key = Key::new("configmaps", "default", "a");
        let body = br#"{"data":{"metadata":"no","k":"\\","q":"\"metadata\":{"},"list":["metadata",[{}]],"metadata":{"labels":{"a":"b"}}}"#;
        let object = Object::restore(key.clone(), 1, Bytes::from_static(body));
        assert_eq!(object.metadata(), br#"{"labels":{"a":"b"}}"#);
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
            assert_eq!(object.labels.len(), 0, "{damaged}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(Draft::encode(&json!([])).is_err());
        assert!(Draft::encode(&json!({"metadata": 1})).is_err());
    }
}
