//! Fields of an object against the definition of its kind.

use crate::openapi::{OBJECT_META, definition, reference, resolve};
use crate::quantity;
use serde_json::Value;

/// Removes the fields that a definition does not know. Gives their paths, in order.
pub fn prune_unknown(object: &mut Value, of: &str) -> Vec<String> {
    let mut removed = Vec::new();
    if let Some(schema) = definition(of) {
        prune(object, schema, "", &mut removed);
    }
    removed
}

/// Removes the fields that object metadata does not have, such as `metadata.foo`. Gives their paths, in order.
pub fn prune_unknown_metadata(object: &mut Value) -> Vec<String> {
    let mut removed = Vec::new();
    if let (Some(schema), Some(metadata)) = (definition(OBJECT_META), object.get_mut("metadata")) {
        prune(metadata, schema, "metadata", &mut removed);
    }
    removed
}

fn prune(value: &mut Value, schema: &Value, path: &str, removed: &mut Vec<String>) {
    let schema = alternative(resolve(schema), value);
    match value {
        Value::Object(map) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let additional = schema.get("additionalProperties").filter(|a| a.is_object());
            if properties.is_none() && additional.is_none() {
                return;
            }
            map.retain(|name, child| {
                let at = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let Some(inner) = properties.and_then(|p| p.get(name)).or(additional) else {
                    removed.push(at);
                    return false;
                };
                prune(child, inner, &at, removed);
                true
            });
        }
        Value::Array(list) => {
            if let Some(items) = schema.get("items") {
                for (i, item) in list.iter_mut().enumerate() {
                    prune(item, items, &format!("{path}[{i}]"), removed);
                }
            }
        }
        _ => {}
    }
}

/// Of alternatives, such as a schema or a boolean, the one that an object or a list takes.
fn alternative<'a>(schema: &'a Value, value: &Value) -> &'a Value {
    let Some(all) = schema.get("oneOf").and_then(Value::as_array) else {
        return schema;
    };
    let wanted = if value.is_array() { "array" } else { "object" };
    all.iter()
        .map(resolve)
        .find(|s| s.get("type").is_some_and(|t| t == wanted))
        .unwrap_or(schema)
}

/// Brings an object into the form that it has after a round trip through Go's types: no nulls, no empty maps and lists
/// where they are optional, quantities and times in their canonical form.
pub fn normalise(object: &mut Value, of: &str) {
    if let Some(schema) = definition(of) {
        tidy(object, schema);
    }
}

fn tidy(value: &mut Value, schema: &Value) {
    if let Some(scalar) = reference(schema).and_then(|name| scalar(value, name)) {
        *value = scalar;
        return;
    }
    let schema = alternative(resolve(schema), value);
    match value {
        Value::Object(map) => {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
                if let Some(inner) = schema.get("additionalProperties").filter(|a| a.is_object()) {
                    map.values_mut().for_each(|child| tidy(child, inner));
                }
                return;
            };
            let required = schema.get("required").and_then(Value::as_array);
            map.retain(|name, child| {
                let Some(inner) = properties.get(name) else {
                    return true;
                };
                tidy(child, inner);
                let is_required = required.is_some_and(|all| all.iter().any(|r| r == name));
                !child.is_null() && (is_required || !is_left_out(child, inner))
            });
        }
        Value::Array(list) => {
            if let Some(items) = schema.get("items") {
                for item in list {
                    tidy(item, items);
                }
            }
        }
        _ => {}
    }
}

/// The form in which Go writes a scalar with a type of its own.
fn scalar(value: &Value, definition: &str) -> Option<Value> {
    let time = || value.as_str()?.parse::<jiff::Timestamp>().ok();
    match definition.rsplit('.').next()? {
        "Quantity" => {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            quantity::canonical(&text).map(Value::from)
        }
        "Time" => time().map(|at| format!("{at:.0}").into()),
        "MicroTime" => time().map(|at| format!("{at:.6}").into()),
        _ => None,
    }
}

/// Go's `omitempty` leaves out empty lists and maps, but not empty structs.
fn is_left_out(value: &Value, schema: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => {
            map.is_empty() && resolve(schema).get("additionalProperties").is_some()
        }
        _ => false,
    }
}
