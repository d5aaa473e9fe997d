//! Messages that JSON writes in a form of their own.

use super::tags::Message;
use super::wire::{Reader, Value as Wire};
use super::{DecodeError, decode_nested, is_envelope, message};
use jiff::Timestamp;
use serde_json::Value;

/// The JSON of a message with a special form; `None` if the message is an ordinary one.
pub(super) fn decode(
    of: &'static Message,
    bytes: &[u8],
    depth: usize,
) -> Result<Option<Value>, DecodeError> {
    let value = match of.name() {
        "Time" | "Timestamp" => time(bytes, false)?,
        "MicroTime" => time(bytes, true)?,
        "Quantity" => text_of(of, bytes, depth)?,
        "IntOrString" => int_or_string(of, bytes, depth)?,
        "Duration" => duration(bytes)?,
        "RawExtension" | "FieldsV1" | "Json" | "JSON" => raw(of, bytes, depth)?,
        "ExtraValue" | "Verbs" => message::decode(of, bytes, depth)?
            .remove("items")
            .unwrap_or_else(|| Value::Array(Vec::new())),
        "JsonSchemaPropsOrArray" | "JsonSchemaPropsOrBool" | "JsonSchemaPropsOrStringArray" => {
            either(of, bytes, depth)?
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn text_of(of: &'static Message, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
    let mut fields = message::decode(of, bytes, depth)?;
    Ok(fields.remove("string").unwrap_or_else(|| "0".into()))
}

fn int_or_string(of: &'static Message, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
    let mut fields = message::decode(of, bytes, depth)?;
    let is_text = fields.get("type").and_then(Value::as_i64) == Some(1);
    let absent = if is_text {
        Value::from("")
    } else {
        Value::from(0)
    };
    Ok(fields
        .remove(if is_text { "strVal" } else { "intVal" })
        .unwrap_or(absent))
}

/// A schema, or the other form: a list of schemas, a boolean, a list of names.
fn either(of: &'static Message, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
    let mut fields = message::decode(of, bytes, depth)?;
    if let Some(schema) = fields.remove("schema") {
        return Ok(schema);
    }
    let other = ["allows", "property", "jsonSchemas", "jSonSchemas"]
        .into_iter()
        .find_map(|k| fields.remove(k));
    Ok(other
        .or_else(|| fields.into_iter().next().map(|(_, v)| v))
        .unwrap_or(Value::Null))
}

fn raw(of: &'static Message, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
    let mut content: &[u8] = &[];
    let mut reader = Reader::new(bytes);
    while let Some((tag, value)) = reader.field()? {
        if let (1, Wire::Bytes(b)) = (tag, value) {
            content = b;
        }
    }
    if content.is_empty() {
        return Ok(Value::Null);
    }
    if is_envelope(content) {
        return decode_nested(content, depth + 1);
    }
    serde_json::from_slice(content).map_err(|e| DecodeError::Content {
        message: of.path.into(),
        field: "raw".into(),
        reason: e.to_string(),
    })
}

/// Empty is Go's zero time, which JSON writes as null.
fn time(bytes: &[u8], micro: bool) -> Result<Value, DecodeError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut reader = Reader::new(bytes);
    while let Some((tag, value)) = reader.field()? {
        match (tag, value) {
            (1, Wire::Varint(v)) => seconds = v.cast_signed(),
            (2, Wire::Varint(v)) => nanos = v.cast_signed(),
            _ => {}
        }
    }
    let nanos = if micro {
        i32::try_from(nanos).map_err(|_| DecodeError::Malformed("time"))?
    } else {
        0
    };
    let at = Timestamp::new(seconds, nanos).map_err(|_| DecodeError::Malformed("time"))?;
    Ok(if micro {
        format!("{at:.6}").into()
    } else {
        format!("{at:.0}").into()
    })
}

/// `metav1.Duration` as Go prints it: `1h2m3.5s`.
fn duration(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut nanos = 0_i64;
    let mut reader = Reader::new(bytes);
    while let Some((tag, value)) = reader.field()? {
        if let (1, Wire::Varint(v)) = (tag, value) {
            nanos = v.cast_signed();
        }
    }
    Ok(go_duration(nanos).into())
}

fn go_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let total = nanos.unsigned_abs();
    let fraction = |value: u64, unit: u64, name: &str| {
        let digits = unit.ilog10() as usize;
        let rest = format!("{:0digits$}", value % unit);
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() || digits == 0 {
            String::new()
        } else {
            format!(".{rest}")
        };
        format!("{}{point}{name}", value / unit)
    };
    let text = match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{total}ns"),
        1_000..1_000_000 => fraction(total, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(total, 1_000_000, "ms"),
        _ => {
            let minutes = total / 60_000_000_000;
            let seconds = fraction(total % 60_000_000_000, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, m) => format!("{m}m{seconds}"),
                (h, m) => format!("{h}h{m}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::go_duration;

    #[test]
    fn durations_print_as_in_go() {
        let second = 1_000_000_000;
        let cases = [
            (0, "0s"),
            (1_500_000, "1.5ms"),
            (second, "1s"),
            (90 * second, "1m30s"),
            (3_600 * second, "1h0m0s"),
            (second + 500_000_000, "1.5s"),
            (-2 * second, "-2s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(go_duration(nanos), text);
        }
    }
}
