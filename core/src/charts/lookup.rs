//! `lookup` of a chart's templates: the program that renders says what it wants to know, somebody reads it, and it is
//! asked again with what was found.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Values of Secrets that are shorter are words and numbers that stand everywhere.
const SHORTEST_SECRET: usize = 4;

/// What is looked up: one object, or without a name all of a namespace or of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lookup {
    /// API group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for all, and for what lives in none.
    pub namespace: String,
    /// Name; empty for all.
    pub name: String,
}

impl Lookup {
    /// Whether it is for this object, which is in `namespace` where it names none.
    pub fn is_for(&self, object: &Value, namespace: &str) -> bool {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let own = metadata["namespace"].as_str().unwrap_or(namespace);
        text(&object["apiVersion"]) == self.api_version
            && text(&object["kind"]) == self.kind
            && (self.name.is_empty() || text(&metadata["name"]) == self.name)
            && (self.namespace.is_empty() || own == self.namespace)
    }
}

impl std::fmt::Display for Lookup {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            kind,
            namespace,
            name,
            ..
        } = self;
        match (namespace.as_str(), name.as_str()) {
            ("", "") => write!(out, "all objects of kind {kind}"),
            (_, "") => write!(out, "all objects of kind {kind} in namespace {namespace}"),
            ("", _) => write!(out, "{kind} {name:?}"),
            _ => write!(out, "{kind} {name:?} in namespace {namespace}"),
        }
    }
}

/// What came of a lookup.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What was looked up.
    #[serde(flatten)]
    pub lookup: Lookup,
    /// The object, or a list; none if it is not there.
    pub object: Option<Value>,
    /// Why it could not be read; empty if it could.
    pub error: String,
}

/// It may be a Secret.
impl std::fmt::Debug for Found {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Found({})", self.lookup)
    }
}

impl Found {
    /// The texts in its Secrets, as they stand there and as they are meant.
    fn secrets(&self) -> Vec<String> {
        let whole = self.object.iter();
        let items = whole.clone().filter_map(|list| list["items"].as_array());
        let objects = whole.chain(items.flatten());
        let secrets = objects.filter(|object| object["kind"] == "Secret");
        let encoded = secrets
            .filter_map(|secret| secret["data"].as_object())
            .flat_map(|data| data.values().filter_map(Value::as_str));
        encoded
            .flat_map(|text| {
                let meant = STANDARD.decode(text).ok();
                let meant = meant.and_then(|bytes| String::from_utf8(bytes).ok());
                [Some(text.to_owned()), meant].into_iter().flatten()
            })
            .filter(|text| text.len() >= SHORTEST_SECRET)
            .collect()
    }
}

/// A message without what stands in Secrets that were looked up.
pub fn without_secrets(message: &str, found: &[Found]) -> String {
    let mut secrets: Vec<String> = found.iter().flat_map(Found::secrets).collect();
    // One may be a part of another.
    secrets.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let mut shown = message.to_owned();
    for secret in &secrets {
        shown = shown.replace(secret.as_str(), "***");
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret() -> Found {
        Found {
            lookup: Lookup {
                api_version: "v1".to_owned(),
                kind: "Secret".to_owned(),
                namespace: "prod".to_owned(),
                name: "login".to_owned(),
            },
            object: Some(json!({"kind": "Secret", "data": {
                "password": STANDARD.encode("open sesame"),
                "part": STANDARD.encode("sesame"),
                "port": STANDARD.encode("54"),
            }})),
            error: String::new(),
        }
    }

    #[test]
    fn no_message_tells_a_secret() {
        let said = format!(
            "line 54: bad value \"open sesame\", sesame, {}",
            STANDARD.encode("open sesame")
        );
        let expected = "line 54: bad value \"***\", ***, ***";
        assert_eq!(without_secrets(&said, &[secret()]), expected);
        let list = Found {
            object: Some(json!({"kind": "SecretList", "items": [secret().object]})),
            ..secret()
        };
        assert_eq!(
            without_secrets(&said, std::slice::from_ref(&list)),
            expected
        );
        assert_eq!(
            format!("{list:?}"),
            "Found(Secret \"login\" in namespace prod)"
        );
    }

    #[test]
    fn an_object_is_what_is_looked_up_where_all_that_is_named_agrees() {
        let wanted = secret().lookup;
        let object = |namespace: Value| {
            let metadata = json!({"name": "login", "namespace": namespace});
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
        };
        assert!(wanted.is_for(&object(json!("prod")), "other"));
        assert!(wanted.is_for(&object(Value::Null), "prod"));
        assert!(!wanted.is_for(&object(json!("dev")), "prod"));
        let all = Lookup {
            name: String::new(),
            ..wanted
        };
        assert!(all.is_for(&object(json!("prod")), "other"));
        assert!(!all.is_for(&json!({"apiVersion": "v1", "kind": "Pod"}), "prod"));
    }
}
