//! Sample parameters of a definition: what its author would try first.

use serde_json::{Map, Value, json};

/// How deep a sample goes: schemas may contain themselves.
const DEPTH: usize = 12;

/// Only what is required, and everything.
pub(crate) fn samples(schema: &Value) -> [Value; 2] {
    [
        sample(schema, false, DEPTH).unwrap_or_else(|| json!({})),
        sample(schema, true, DEPTH).unwrap_or_else(|| json!({})),
    ]
}

fn sample(schema: &Value, is_full: bool, depth: usize) -> Option<Value> {
    if let Some(default) = schema.get("default") {
        return Some(default.clone());
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return Some(first.clone());
    }
    let depth = depth.checked_sub(1)?;
    for choice in ["oneOf", "anyOf", "allOf"] {
        let first = schema[choice]
            .as_array()
            .and_then(|schemas| schemas.first());
        if schema.get("type").is_none()
            && let Some(first) = first
        {
            return sample(first, is_full, depth);
        }
    }
    match schema["type"].as_str() {
        Some("string") => Some(json!("sample")),
        Some("boolean") => Some(json!(true)),
        Some("integer" | "number") => Some(number(schema)),
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or_default();
            if !is_full && least == 0 {
                return Some(json!([]));
            }
            let item = sample(&schema["items"], is_full, depth)?;
            Some(json!([item]))
        }
        Some("object") => Some(object(schema, is_full, depth)),
        // Anything goes.
        _ => None,
    }
}

fn number(schema: &Value) -> Value {
    let is_inside = |number: f64| {
        let above = schema["minimum"]
            .as_f64()
            .is_none_or(|least| number >= least);
        let below = schema["maximum"].as_f64().is_none_or(|most| number <= most);
        above && below
    };
    let bounds = [
        json!(1),
        schema["minimum"].clone(),
        schema["maximum"].clone(),
    ];
    let fits = |value: &Value| value.as_f64().is_some_and(is_inside);
    bounds.into_iter().find(fits).unwrap_or_else(|| json!(1))
}

fn object(schema: &Value, is_full: bool, depth: usize) -> Value {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut fields = Map::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        // What has a default is left to the template, unless everything is wanted.
        let is_needed = required.contains(&name.as_str()) && property.get("default").is_none();
        if !is_full && !is_needed {
            continue;
        }
        if let Some(value) = sample(property, is_full, depth) {
            fields.insert(name.clone(), value);
        }
    }
    if is_full && fields.is_empty() && schema["additionalProperties"].is_object() {
        let value = sample(&schema["additionalProperties"], is_full, depth);
        fields.extend(value.map(|value| ("sample".to_owned(), value)));
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_is_the_least_and_one_is_everything() {
        let schema = json!({
            "type": "object",
            "required": ["image", "pull", "ports"],
            "properties": {
                "image": {"type": "string"},
                "pull": {"type": "string", "enum": ["Always", "Never"]},
                "port": {"type": "integer", "minimum": 1024},
                "ports": {"type": "array", "items": {"type": "object", "required": ["port"], "properties": {
                    "port": {"type": "integer"}, "expose": {"type": "boolean", "default": false}}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "either": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
            },
        });
        let [least, full] = samples(&schema);
        assert_eq!(
            least,
            json!({"image": "sample", "pull": "Always", "ports": []})
        );
        assert_eq!(
            full,
            json!({
                "image": "sample", "pull": "Always", "port": 1024,
                "ports": [{"port": 1, "expose": false}],
                "labels": {"sample": "sample"}, "either": 1,
            })
        );
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let mut schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        for _ in 0..40 {
            schema = json!({"type": "object", "properties": {"inner": schema}});
        }
        let [_, full] = samples(&schema);
        assert!(full["inner"]["inner"].is_object());
    }
}
