//! Reading.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Error, Options, budget, options};

use super::words::taught;

/// Parse events that aliases may repeat in all.
const MAX_REPLAYED: usize = 200_000;

/// How much a text may ask for. What is more is refused, so that a small text cannot become a large
/// value.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Depth of nesting.
    pub depth: usize,
    /// Maps, lists and scalars, after aliases are resolved.
    pub nodes: usize,
    /// Uses of anchors.
    pub aliases: usize,
}

impl Default for Limits {
    /// Ample for manifests: an API server takes 3 MiB, and the deepest CRDs have some 40 levels. A level
    /// costs 20 KiB of stack in a debug build.
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            depth: 64,
            nodes: 2_000_000,
            aliases: 10_000,
        }
    }
}

/// Why a text is not YAML, or not what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Where: line and column, counted from 1.
    pub position: Option<(u64, u64)>,
    /// What is wrong.
    pub message: String,
    /// What to do; empty where that is not known.
    pub hint: &'static str,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for YamlError {}

/// Reads all documents of a text. Empty ones are left out.
///
/// # Errors
/// If the text is not YAML, has a key twice, a value that JSON does not have, or is too large.
pub fn parse(text: &str) -> Result<Vec<Value>, YamlError> {
    parse_with(text, Limits::default())
}

/// Reads the only document of a text. No document is null.
///
/// # Errors
/// As [`parse`], and if there is more than one document.
pub fn parse_one(text: &str) -> Result<Value, YamlError> {
    let mut documents = parse(text)?;
    if documents.len() > 1 {
        return Err(YamlError {
            position: None,
            message: format!("expected one YAML document, found {}", documents.len()),
            hint: "",
        });
    }
    Ok(documents.pop().unwrap_or_default())
}

/// Reads all documents of a text within the given limits.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(text: &str, limits: Limits) -> Result<Vec<Value>, YamlError> {
    if text.len() > limits.bytes {
        return Err(YamlError {
            position: None,
            message: format!(
                "the text has {} bytes, at most {} are read",
                text.len(),
                limits.bytes
            ),
            hint: "",
        });
    }
    documents::<Node>(text, limits)
        .map(|documents| documents.into_iter().map(|node| node.0).collect())
        .map_err(|error| teach(&error))
}

/// How often a text is read again with one more line indented.
const MAX_MENDED: usize = 200;

/// Reads the documents as values of any type. A quoted text may go on in a line that is not indented, as Go's
/// reader allows: the blanks at its begin mean nothing, so some are put there and the text is read again.
pub(super) fn documents<T: DeserializeOwned>(text: &str, limits: Limits) -> Result<Vec<T>, Error> {
    let mut result = serde_saphyr::from_multiple_with_options(text, reader(limits));
    let mut mended = String::new();
    for _ in 0..MAX_MENDED {
        let Some(line) = result.as_ref().err().and_then(unindented_line) else {
            break;
        };
        let source = if mended.is_empty() { text } else { &mended };
        let Some(indented) = with_line_indented(source, line, limits.depth) else {
            break;
        };
        mended = indented;
        result = serde_saphyr::from_multiple_with_options(&mended, reader(limits));
    }
    result
}

/// The line at which a quoted text goes on without indentation, if that is the error.
fn unindented_line(error: &Error) -> Option<u64> {
    let error = error.without_snippet();
    let text = error.to_string();
    text.contains("invalid indentation in multiline quoted scalar")
        .then(|| error.location().map(|at| at.line()))?
}

/// The text with more blanks at the begin of a line than a map can be deep; `None` if there is no such line.
fn with_line_indented(text: &str, line: u64, depth: usize) -> Option<String> {
    let before = usize::try_from(line).ok()?.checked_sub(1)?;
    let start = match before {
        0 => 0,
        lines => text.match_indices('\n').nth(lines - 1)?.0 + 1,
    };
    let (head, tail) = text.split_at(start);
    Some(format!("{head}{}{tail}", " ".repeat(4 * depth)))
}

/// The rules of reading.
pub(super) fn reader(limits: Limits) -> Options {
    options! {
        budget: budget! {
            max_depth: limits.depth,
            max_nodes: limits.nodes,
            max_events: limits.nodes.saturating_mul(4),
            max_aliases: limits.aliases,
            max_documents: 10_000,
            flow_nesting_limit: limits.depth,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits.nodes.min(MAX_REPLAYED),
        },
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

fn teach(error: &Error) -> YamlError {
    let error = error.without_snippet();
    let text = error.to_string();
    let position = error
        .location()
        .map(|at| (at.line(), at.column()))
        .filter(|at| at.0 > 0);
    // The reader ends its messages with the place, which has a field of its own here.
    let message = match position {
        Some((line, column)) => text
            .replace(&format!(" at line {line}, column {column}"), "")
            .replace(&format!("line {line} column {column}: "), ""),
        None => text,
    };
    let (message, hint) = taught(&message);
    YamlError {
        position,
        message,
        hint,
    }
}

/// A value as JSON has it.
struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(Node)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "Kubernetes loses it too")]
        i64::try_from(value).map_or_else(|_| number(value as f64), |value| Ok(Value::from(value)))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        number(value)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0).min(1024));
        while let Some(Node(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(Node(key)) = entries.next_key()? {
            let key = key_text(key).map_err(A::Error::custom)?;
            let Node(value) = entries.next_value()?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "the key \"{key}\" stands here twice"
                )));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A number as JSON writes it: without a fraction it is an integer, if it fits (Go's JSON prints it
/// so, and Kubernetes reads that as an integer).
fn number<E: serde::de::Error>(value: f64) -> Result<Value, E> {
    /// The first number beyond a signed 64-bit integer.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() == 0.0 && (-BEYOND..BEYOND).contains(&value) {
        #[expect(clippy::cast_possible_truncation, reason = "checked in the line above")]
        return Ok(Value::from(value as i64));
    }
    Number::from_f64(value)
        .map(Value::Number)
        .ok_or_else(|| E::custom("infinity and not-a-number have no place in JSON"))
}

/// The key as JSON has it: text.
fn key_text(key: Value) -> Result<String, String> {
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(key.to_string()),
        Value::Null => Err("a key must not be null; write it in quotes".to_owned()),
        Value::Array(_) | Value::Object(_) => {
            Err("a key must be text; found a list or a map".to_owned())
        }
    }
}
