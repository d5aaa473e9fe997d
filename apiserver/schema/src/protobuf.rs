//! Decodes the protobuf bodies that typed Kubernetes clients send into the JSON that the rest of the server speaks.
//!
//! Typed clients of version 1.32 and later send built-in kinds as protobuf and know no fallback. Replies stay JSON. The
//! tags come from the sources of crate `k8s-pb` (see `build.rs`), the JSON names from the OpenAPI definitions.

mod message;
mod specials;
mod tags;
mod wire;

use crate::resources::{builtins, parse_api_version};
use serde_json::Value;
use wire::Reader;

/// What every protobuf body of Kubernetes begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Why a body cannot be decoded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The four bytes of the envelope are missing.
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    NoPrefix,
    /// The bytes end within a field.
    #[error("protobuf: the body ends within a field")]
    Truncated,
    /// A length or a tag is malformed.
    #[error("protobuf: malformed {0}")]
    Malformed(&'static str),
    /// A field has another wire type than its message declares.
    #[error("protobuf: field {message}.{field} has wire type {found}")]
    WireType {
        /// The message.
        message: String,
        /// The field.
        field: String,
        /// The wire type that was found.
        found: u8,
    },
    /// A text is not UTF-8, or embedded JSON does not parse.
    #[error("protobuf: field {message}.{field}: {reason}")]
    Content {
        /// The message.
        message: String,
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Messages are nested too deeply.
    #[error("protobuf: messages are nested deeper than {0} levels")]
    TooDeep(usize),
    /// No message is known for the kind.
    #[error("no kind \"{kind}\" is registered for version \"{api_version}\"")]
    UnknownKind {
        /// `apiVersion` of the envelope.
        api_version: String,
        /// `kind` of the envelope.
        kind: String,
    },
}

/// Does the body begin like a protobuf envelope?
pub fn is_envelope(body: &[u8]) -> bool {
    body.starts_with(MAGIC)
}

/// Decodes an envelope (`k8s\0` and a `runtime.Unknown`) into an object with `apiVersion` and `kind`.
pub fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    decode_nested(body, 0)
}

fn decode_nested(body: &[u8], depth: usize) -> Result<Value, DecodeError> {
    let envelope = Envelope::read(body.strip_prefix(MAGIC).ok_or(DecodeError::NoPrefix)?)?;
    if envelope.content_type.contains("json") {
        return serde_json::from_slice(envelope.raw).map_err(|e| DecodeError::Content {
            message: "Unknown".into(),
            field: "raw".into(),
            reason: e.to_string(),
        });
    }
    let message = message_of(&envelope.api_version, &envelope.kind).ok_or_else(|| {
        DecodeError::UnknownKind {
            api_version: envelope.api_version.clone(),
            kind: envelope.kind.clone(),
        }
    })?;
    let mut object = message::decode(message, envelope.raw, depth)?;
    object.insert("apiVersion".into(), envelope.api_version.into());
    object.insert("kind".into(), envelope.kind.into());
    Ok(Value::Object(object))
}

#[derive(Default)]
struct Envelope<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
    content_type: String,
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut envelope = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((tag, value)) = reader.field()? {
            match (tag, value) {
                (1, wire::Value::Bytes(meta)) => {
                    let mut inner = Reader::new(meta);
                    while let Some((tag, value)) = inner.field()? {
                        match (tag, value) {
                            (1, wire::Value::Bytes(b)) => {
                                envelope.api_version = text(b, "apiVersion")?;
                            }
                            (2, wire::Value::Bytes(b)) => envelope.kind = text(b, "kind")?,
                            _ => {}
                        }
                    }
                }
                (2, wire::Value::Bytes(raw)) => envelope.raw = raw,
                (4, wire::Value::Bytes(b)) => envelope.content_type = text(b, "contentType")?,
                _ => {}
            }
        }
        Ok(envelope)
    }
}

fn text(bytes: &[u8], field: &str) -> Result<String, DecodeError> {
    String::from_utf8(bytes.to_vec()).map_err(|e| DecodeError::Content {
        message: "Unknown".into(),
        field: field.into(),
        reason: e.to_string(),
    })
}

/// Options of a request are sent under the group version of the resource that they are for.
const OPTIONS: &[&str] = &[
    "ApplyOptions",
    "CreateOptions",
    "DeleteOptions",
    "GetOptions",
    "ListOptions",
    "PatchOptions",
    "Status",
    "UpdateOptions",
];

fn message_of(api_version: &str, kind: &str) -> Option<&'static tags::Message> {
    let (group, version) = parse_api_version(api_version)?;
    if OPTIONS.contains(&kind) {
        return tags::find(&format!("apimachinery.pkg.apis.meta.v1.{kind}"));
    }
    let neighbour = builtins()
        .iter()
        .find(|r| r.group == group && r.version == version)?;
    let prefix = neighbour
        .definition?
        .strip_suffix(neighbour.kind.as_ref())?;
    tags::find_definition(&format!("{prefix}{kind}"))
}

#[cfg(test)]
mod tests;
