//! Messages to JSON objects, as Go would marshal the decoded struct.

use super::tags::{self, Cardinality, Field, Kind, Message, Name, Names};
use super::wire::{self, Reader};
use super::{DecodeError, specials};
use base64::Engine as _;
use serde_json::{Map, Value};

/// Deeper nesting is refused; the deepest real objects are CRD schemas.
const MAX_DEPTH: usize = 128;

/// Decodes the fields of a message.
pub(super) fn decode(
    message: &'static Message,
    bytes: &[u8],
    depth: usize,
) -> Result<Map<String, Value>, DecodeError> {
    let mut out = Map::new();
    decode_into(message, tags::names(message), bytes, depth, &mut out)?;
    Ok(out)
}

fn decode_into(
    message: &'static Message,
    names: Option<&'static Names>,
    bytes: &[u8],
    depth: usize,
    out: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    if depth > MAX_DEPTH {
        return Err(DecodeError::TooDeep(MAX_DEPTH));
    }
    let mut reader = Reader::new(bytes);
    while let Some((tag, value)) = reader.field()? {
        // Fields of newer versions are skipped, as the real server does.
        let Some(field) = message.field(tag) else {
            continue;
        };
        let slot = Slot { message, field };
        match names.map(|n| n.get(field.name)) {
            Some(None) => {
                if let Some(inner) = inlined(field, names) {
                    decode_into(inner, names, slot.bytes(value)?, depth + 1, out)?;
                }
            }
            Some(Some(name)) => slot.store(name.json, Some(name), value, depth, out)?,
            None => slot.store(&tags::camel_case(field.name), None, value, depth, out)?,
        }
    }
    Ok(())
}

/// The message of a field that Go embeds, so that its fields stand in the parent: the parent's definition has no such
/// field, but has all the fields of that message.
pub(super) fn inlined(field: &Field, names: Option<&'static Names>) -> Option<&'static Message> {
    let (Kind::Message(path), Cardinality::One, Some(parent)) =
        (field.kind, field.cardinality, names)
    else {
        return None;
    };
    let inner = tags::find(path)?;
    let fits = inner
        .fields
        .iter()
        .any(|f| parent.get(f.name).is_some() || inlined(f, names).is_some());
    fits.then_some(inner)
}

/// A field of a message while its value is read.
struct Slot {
    message: &'static Message,
    field: &'static Field,
}

impl Slot {
    fn store(
        &self,
        json: &str,
        name: Option<&Name>,
        value: wire::Value<'_>,
        depth: usize,
        out: &mut Map<String, Value>,
    ) -> Result<(), DecodeError> {
        match self.field.cardinality {
            Cardinality::One => {
                let decoded = self.single(value, depth)?;
                if self.is_written(&decoded, name.is_some_and(|n| n.required)) {
                    out.insert(json.to_owned(), decoded);
                }
            }
            Cardinality::Many => {
                let list = out.entry(json).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(items) = list {
                    self.items(value, depth, items)?;
                }
            }
            Cardinality::Map => {
                let (key, entry) = self.entry(self.bytes(value)?, depth)?;
                let map = out.entry(json).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = map {
                    map.insert(key, entry);
                }
            }
        }
        Ok(())
    }

    /// Repeated numbers may be packed.
    fn items(
        &self,
        value: wire::Value<'_>,
        depth: usize,
        items: &mut Vec<Value>,
    ) -> Result<(), DecodeError> {
        match (self.field.kind, value) {
            (Kind::Int | Kind::Bool, wire::Value::Bytes(packed)) => {
                let mut reader = Reader::new(packed);
                while !reader.is_empty() {
                    items.push(self.single(wire::Value::Varint(reader.varint()?), depth)?);
                }
            }
            _ => items.push(self.single(value, depth)?),
        }
        Ok(())
    }

    fn entry(&self, bytes: &[u8], depth: usize) -> Result<(String, Value), DecodeError> {
        let mut key = String::new();
        let mut entry = None;
        let mut reader = Reader::new(bytes);
        while let Some((tag, value)) = reader.field()? {
            match tag {
                1 => key = self.text(self.bytes(value)?)?,
                2 => entry = Some(self.single(value, depth)?),
                _ => {}
            }
        }
        let absent = match self.field.kind {
            Kind::Text | Kind::Bytes | Kind::Message(_) => wire::Value::Bytes(&[]),
            Kind::Int | Kind::Bool => wire::Value::Varint(0),
            Kind::Double => wire::Value::Fixed64(0),
        };
        let entry = entry.map_or_else(|| self.single(absent, depth), Ok)?;
        Ok((key, entry))
    }

    fn single(&self, value: wire::Value<'_>, depth: usize) -> Result<Value, DecodeError> {
        match (self.field.kind, value) {
            (Kind::Text, wire::Value::Bytes(b)) => Ok(self.text(b)?.into()),
            (Kind::Bytes, wire::Value::Bytes(b)) => {
                Ok(base64::engine::general_purpose::STANDARD.encode(b).into())
            }
            (Kind::Int, wire::Value::Varint(v)) => Ok(v.cast_signed().into()),
            (Kind::Bool, wire::Value::Varint(v)) => Ok((v != 0).into()),
            (Kind::Double, wire::Value::Fixed64(bits)) => Ok(number(f64::from_bits(bits))),
            (Kind::Message(path), wire::Value::Bytes(b)) => {
                let message =
                    tags::find(path).ok_or(DecodeError::Malformed("table of messages"))?;
                match specials::decode(message, b, depth + 1)? {
                    Some(special) => Ok(special),
                    None => decode(message, b, depth + 1).map(Value::Object),
                }
            }
            (_, other) => Err(self.wire_type(other)),
        }
    }

    fn bytes<'a>(&self, value: wire::Value<'a>) -> Result<&'a [u8], DecodeError> {
        match value {
            wire::Value::Bytes(b) => Ok(b),
            other => Err(self.wire_type(other)),
        }
    }

    fn wire_type(&self, found: wire::Value<'_>) -> DecodeError {
        DecodeError::WireType {
            message: self.message.path.into(),
            field: self.field.name.into(),
            found: found.wire_type(),
        }
    }

    fn text(&self, bytes: &[u8]) -> Result<String, DecodeError> {
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|e| DecodeError::Content {
                message: self.message.path.into(),
                field: self.field.name.into(),
                reason: e.to_string(),
            })
    }

    /// Go's encoder writes every field that is not a pointer, even when it is empty; Go's JSON leaves an empty one out
    /// unless the field is required. An empty value behind a pointer has a meaning and stays.
    fn is_written(&self, value: &Value, required: bool) -> bool {
        let empty = match value {
            Value::Null => return false,
            Value::String(s) => s.is_empty() && !self.is_one_of(POINTERS_TO_TEXT),
            Value::Bool(b) => !b && self.is_plain(),
            Value::Number(n) => n.as_f64() == Some(0.0) && self.is_plain(),
            _ => false,
        };
        !empty || required
    }

    fn is_plain(&self) -> bool {
        PLAIN.contains(&self.field.name) && !self.is_one_of(POINTERS_AMONG_PLAIN)
            || (self.field.name == "replicas"
                && (self.message.name().ends_with("Status") || self.message.name() == "ScaleSpec"))
    }

    fn is_one_of(&self, rows: &[(&str, &str)]) -> bool {
        rows.contains(&(self.message.name(), self.field.name))
    }
}

fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "checked by the comparison")]
    let whole = value as i64;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a loss makes the comparison fail"
    )]
    let exact = whole as f64;
    if (exact - value).abs() < f64::EPSILON && whole.abs() < (1 << 53) {
        whole.into()
    } else {
        value.into()
    }
}

/// Texts behind a pointer: empty is not the same as absent.
const POINTERS_TO_TEXT: &[(&str, &str)] = &[
    ("PersistentVolumeClaimSpec", "storage_class_name"),
    ("PersistentVolumeClaimSpec", "volume_attributes_class_name"),
    ("PersistentVolumeSpec", "volume_attributes_class_name"),
    ("IngressSpec", "ingress_class_name"),
    ("EndpointPort", "name"),
];

/// Numbers and booleans that are no pointers and are left out when empty.
#[rustfmt::skip]
const PLAIN: &[&str] = &[
    "active", "allowed", "authenticated", "available_replicas", "chap_auth_discovery", "chap_auth_session", "code", "count",
    "current_healthy", "current_number_scheduled", "current_replicas", "denied", "deprecated", "deprecated_count",
    "desired_replicas", "exclusive_maximum", "exclusive_minimum", "failed", "failure_threshold", "fully_labeled_replicas",
    "generation", "global_default", "health_check_node_port", "host_ipc", "host_network", "host_pid", "host_port",
    "initial_delay_seconds", "insecure_skip_tls_verify", "limit", "min_ready_seconds", "node_port", "nullable", "number",
    "number_available", "number_unavailable", "observed_generation", "partition", "paused", "period_seconds",
    "preserve_unknown_fields", "publish_not_ready_addresses", "read_only", "ready_replicas",
    "retry_after_seconds", "signal", "size_bytes", "ssl_enabled", "start", "stdin", "stdin_once", "succeeded",
    "success_threshold", "timeout_seconds", "tty", "unavailable_replicas", "unique_items", "unschedulable",
    "updated_number_scheduled", "updated_replicas", "watch", "allow_watch_bookmarks", "x_kubernetes_embedded_resource",
    "x_kubernetes_int_or_string",
];

/// Fields that share their name with a plain one, but are pointers.
const POINTERS_AMONG_PLAIN: &[(&str, &str)] = &[
    ("RollingUpdateStatefulSetStrategy", "partition"),
    ("ClientIpConfig", "timeout_seconds"),
    ("MutatingWebhook", "timeout_seconds"),
    ("ValidatingWebhook", "timeout_seconds"),
    ("ListOptions", "timeout_seconds"),
];
