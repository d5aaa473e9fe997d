//! Reads JSON and YAML into values and notes repeated keys.

use crate::field::quote;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
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
    let duplicates = RefCell::default();
    let value = Place::root(&duplicates)
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| Syntax {
            format: "json",
            reason: error.to_string(),
        })?;
    let duplicates = duplicates.into_inner();
    Ok(Decoded { value, duplicates })
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
    serde_saphyr::from_str_with_options::<Decoded>(text, options)
        .map_err(|error| failed(error.without_snippet().to_string()))
}

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let duplicates = RefCell::default();
        let value = Place::root(&duplicates).deserialize(deserializer)?;
        let duplicates = duplicates.into_inner();
        Ok(Self { value, duplicates })
    }
}

/// How a value is reached from the one that contains it.
#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

/// The place of a value that is read. Its path is put together only if it is repeated.
#[derive(Clone, Copy)]
struct Place<'a> {
    within: Option<(&'a Place<'a>, Step<'a>)>,
    duplicates: &'a RefCell<Vec<String>>,
}

impl<'a> Place<'a> {
    fn root(duplicates: &'a RefCell<Vec<String>>) -> Self {
        Self {
            within: None,
            duplicates,
        }
    }

    fn inside(&'a self, step: Step<'a>) -> Self {
        Self {
            within: Some((self, step)),
            ..*self
        }
    }

    fn path(&self) -> String {
        let Some((parent, step)) = self.within else {
            return String::new();
        };
        let parent = parent.path();
        match step {
            Step::Field(key) if parent.is_empty() => key.to_owned(),
            Step::Field(key) => format!("{parent}.{key}"),
            Step::Item(index) => format!("{parent}[{index}]"),
        }
    }

    fn is_repeated(&self) {
        let fault = format!("duplicate field {}", quote(&self.path()));
        let mut duplicates = self.duplicates.borrow_mut();
        if !duplicates.contains(&fault) {
            duplicates.push(fault);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "beyond 64 signed bits Go reads a float"
        )]
        let number = i64::try_from(value).map_or_else(|_| float(value as f64), Value::from);
        Ok(number)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.inside(Step::Item(items.len())))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(Key(key)) = map.next_key()? {
            let place = self.inside(Step::Field(&key));
            let value = map.next_value_seed(place)?;
            if fields.contains_key(&key) {
                place.is_repeated();
            }
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
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
        let duplicates = RefCell::default();
        match Place::root(&duplicates).deserialize(deserializer)? {
            Value::String(key) => Ok(Self(key)),
            Value::Array(_) | Value::Object(_) => {
                Err(serde::de::Error::custom("a key must be a scalar"))
            }
            other => Ok(Self(other.to_string())),
        }
    }
}
