//! Are the values of the JSON types that the kind's Go struct has? The words are those of Go's `encoding/json`.

use crate::openapi::{OBJECT_META, definition, reference, resolve};
use crate::quantity;
use serde_json::Value;

/// Checks an object against a definition.
///
/// # Errors
/// What Go's decoder says of the first value of a wrong type, such as `json: cannot unmarshal string into Go struct
/// field DeploymentSpec.spec.replicas of type int32`.
pub fn check_types(object: &Value, of: &str) -> Result<(), String> {
    let Some(schema) = definition(of) else {
        return Ok(());
    };
    let place = Place {
        owner: short_name(of),
        fields: String::new(),
    };
    check(object, schema, Some(of), &place)
}

/// Checks the metadata of a custom resource, whose other fields its structural schema judges.
///
/// # Errors
/// As [`check_types`].
pub fn check_metadata_types(object: &Value) -> Result<(), String> {
    let (Some(schema), Some(metadata)) = (definition(OBJECT_META), object.get("metadata")) else {
        return Ok(());
    };
    let place = Place {
        owner: "ObjectMeta",
        fields: "metadata".to_owned(),
    };
    check(metadata, schema, Some(OBJECT_META), &place)
}

/// Where the decoder stands: the struct that holds the field, and the fields on the way there (without indexes).
struct Place<'a> {
    owner: &'a str,
    fields: String,
}

impl Place<'_> {
    fn mismatch(&self, found: &str, expected: &str) -> String {
        if self.fields.is_empty() {
            format!("json: cannot unmarshal {found} into Go value of type {expected}")
        } else {
            format!(
                "json: cannot unmarshal {found} into Go struct field {}.{} of type {expected}",
                self.owner, self.fields
            )
        }
    }
}

fn check(
    value: &Value,
    schema: &Value,
    name: Option<&str>,
    place: &Place<'_>,
) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    if let Some(target) = reference(schema) {
        return check(value, resolve(schema), Some(target), place);
    }
    match name.map(short_name) {
        Some("Time" | "MicroTime") => return check_time(value),
        Some("Quantity") => return check_quantity(value),
        Some("IntOrString") => return check_int_or_string(value),
        Some("FieldsV1" | "JSON" | "RawExtension") => return Ok(()),
        _ => {}
    }
    if schema.get("oneOf").is_some() {
        return Ok(());
    }
    let expected = || go_type(schema, name);
    match (
        schema
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default(),
        value,
    ) {
        ("object", Value::Object(map)) => check_object(map, schema, name, place),
        ("array", Value::Array(list)) => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            list.iter()
                .try_for_each(|item| check(item, items, None, place))
        }
        ("string", Value::String(text)) => check_text(text, schema),
        ("integer", Value::Number(number)) => check_integer(number, schema, place),
        ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) | ("", _) => Ok(()),
        _ => Err(place.mismatch(found(value), &expected())),
    }
}

fn check_object(
    map: &serde_json::Map<String, Value>,
    schema: &Value,
    name: Option<&str>,
    place: &Place<'_>,
) -> Result<(), String> {
    let properties = schema.get("properties");
    let additional = schema.get("additionalProperties");
    map.iter().try_for_each(|(field, value)| {
        if let Some(inner) = properties.and_then(|p| p.get(field)) {
            let fields = if place.fields.is_empty() {
                field.clone()
            } else {
                format!("{}.{field}", place.fields)
            };
            let owner = name.map_or(place.owner, short_name);
            return check(value, inner, None, &Place { owner, fields });
        }
        additional.map_or(Ok(()), |inner| check(value, inner, None, place))
    })
}

fn check_text(text: &str, schema: &Value) -> Result<(), String> {
    use base64::Engine as _;
    if schema.get("format").is_some_and(|f| f == "byte") {
        let decoded = base64::engine::general_purpose::STANDARD.decode(text);
        return decoded.map(|_| ()).map_err(|error| {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _)
                | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => text.len() - text.len() % 4,
            };
            format!("illegal base64 data at input byte {at}")
        });
    }
    Ok(())
}

fn check_integer(
    number: &serde_json::Number,
    schema: &Value,
    place: &Place<'_>,
) -> Result<(), String> {
    let fits = match (
        number.as_i64(),
        schema.get("format").and_then(Value::as_str),
    ) {
        (Some(n), Some("int32")) => i32::try_from(n).is_ok(),
        (n, _) => n.is_some(),
    };
    if fits {
        Ok(())
    } else {
        Err(place.mismatch(&format!("number {number}"), &go_type(schema, None)))
    }
}

fn check_time(value: &Value) -> Result<(), String> {
    let Value::String(text) = value else {
        return Err(format!(
            "json: cannot unmarshal {} into Go value of type string",
            found(value)
        ));
    };
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(());
    }
    let text = crate::field::quote(text);
    Err(format!(
        "parsing time {text} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text} as \"2006\""
    ))
}

fn check_quantity(value: &Value) -> Result<(), String> {
    let well_formed = match value {
        Value::String(text) => quantity::is_valid(text),
        Value::Number(_) => true,
        _ => false,
    };
    if well_formed {
        Ok(())
    } else {
        Err(quantity::MALFORMED.to_owned())
    }
}

fn check_int_or_string(value: &Value) -> Result<(), String> {
    match value {
        Value::String(_) => Ok(()),
        Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(()),
        Value::Number(n) => Err(format!(
            "json: cannot unmarshal number {n} into Go value of type int32"
        )),
        other => Err(format!(
            "json: cannot unmarshal {} into Go value of type int32",
            found(other)
        )),
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// How Go names the type of a schema.
fn go_type(schema: &Value, name: Option<&str>) -> String {
    if let Some(name) = reference(schema).or(name) {
        let mut parts = name.rsplit('.');
        let (kind, package) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        return format!("{package}.{kind}");
    }
    let format = schema
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        "string" if format == "byte" => "[]uint8".into(),
        "string" => "string".into(),
        "boolean" => "bool".into(),
        "number" => "float64".into(),
        "integer" => if format.is_empty() { "int64" } else { format }.into(),
        "array" => format!(
            "[]{}",
            go_type(schema.get("items").unwrap_or(&Value::Null), None)
        ),
        "object" => match schema.get("additionalProperties") {
            Some(inner) if inner.is_object() => format!("map[string]{}", go_type(inner, None)),
            _ => "map[string]interface {}".into(),
        },
        _ => "interface {}".into(),
    }
}

fn short_name(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}
