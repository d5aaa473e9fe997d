//! Reads JSON and YAML into values and notes repeated keys.

use crate::field::quote;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// A body that has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The value; of repeated keys the last one counts.
    pub value: Value,
    /// `duplicate field "data.a"`, in order.
    pub duplicates: Vec<String>,
}

/// A body that is not JSON or YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("couldn't get version/kind; {format} parse error: {reason}")]
pub struct Syntax {
    format: &'static str,
    reason: String,
}

/// Reads JSON.
///
/// # Errors
/// If the bytes are not one JSON value.
pub fn json(body: &[u8]) -> Result<Decoded, Syntax> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let node = Node::deserialize(&mut reader)
        .and_then(|node| reader.end().map(|()| node))
        .map_err(|error| Syntax {
            format: "json",
            reason: error.to_string(),
        })?;
    Ok(node.into_decoded())
}

/// Reads one YAML document.
///
/// # Errors
/// If the bytes are not one YAML document, or use aliases to become huge.
pub fn yaml(body: &[u8]) -> Result<Decoded, Syntax> {
    // Most clients send JSON, which is YAML, under the media type of YAML.
    if let Ok(decoded) = json(body) {
        return Ok(decoded);
    }
    let failed = |reason: String| Syntax {
        format: "yaml",
        reason,
    };
    let text = std::str::from_utf8(body).map_err(|error| failed(error.to_string()))?;
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Node>(text, options)
        .map(Node::into_decoded)
        .map_err(|error| failed(error.without_snippet().to_string()))
}

/// A value in which maps keep repeated keys.
enum Node {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    fn into_decoded(self) -> Decoded {
        let mut duplicates = Vec::new();
        let value = self.into_value("", &mut duplicates);
        Decoded { value, duplicates }
    }

    fn into_value(self, path: &str, duplicates: &mut Vec<String>) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::List(items) => {
                let item =
                    |(i, node): (usize, Self)| node.into_value(&format!("{path}[{i}]"), duplicates);
                items.into_iter().enumerate().map(item).collect()
            }
            Self::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, node) in entries {
                    let at = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    let value = node.into_value(&at, duplicates);
                    if map.insert(key, value).is_some() {
                        let fault = format!("duplicate field {}", quote(&at));
                        if !duplicates.contains(&fault) {
                            duplicates.push(fault);
                        }
                    }
                }
                Value::Object(map)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "beyond 64 signed bits Go reads a float"
        )]
        let number = i64::try_from(value).map_or_else(|_| float(value as f64), Value::from);
        Ok(Node::Scalar(number))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Node::Map(entries))
    }
}

/// Go prints a float without a fraction as an integer, so it is one from the start.
fn float(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the value is whole and within 53 bits"
        )]
        return (value as i64).into();
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// A key; YAML allows numbers and booleans there.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(NodeVisitor)? {
            Node::Scalar(Value::String(key)) => Ok(Self(key)),
            Node::Scalar(other) => Ok(Self(other.to_string())),
            _ => Err(serde::de::Error::custom("a key must be a scalar")),
        }
    }
}
