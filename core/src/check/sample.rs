//! Sample parameters, which a definition is tried with: what its author would try first.

use regex::Regex;
use serde_json::{Map, Value, json};

/// How much of a schema is filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What an Application must give.
    Required,
    /// Every field.
    Full,
}

impl Extent {
    /// Both, the least first.
    pub const ALL: [Self; 2] = [Self::Required, Self::Full];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Required => "only the required parameters",
            Self::Full => "all parameters",
        }
    }
}

/// The name of a field where the schema leaves it open.
pub const SAMPLE_NAME: &str = "sample";

/// Deeper fields are left out.
const DEPTH: usize = 8;

/// Texts that patterns are likely to accept.
const TEXTS: [&str; 14] = [
    "sample",
    "sample.example.com",
    "https://sample.example.com",
    "/sample",
    "100m",
    "128Mi",
    "1Gi",
    "1",
    "80",
    "10s",
    "v1",
    "SAMPLE",
    "sample:v1",
    "apps/v1",
];

/// Parameters that fit the OpenAPI schema of a definition (row REN-033), as far as the schema says.
pub fn sample(schema: &Value, extent: Extent) -> Value {
    value(schema, extent, 0).unwrap_or_else(|| json!({}))
}

fn value(schema: &Value, extent: Extent, depth: usize) -> Option<Value> {
    if depth > DEPTH {
        return None;
    }
    if let Some(default) = schema.get("default").filter(|value| !value.is_null()) {
        // The other branch of a switch is the one that nobody sees.
        return Some(match (default, extent) {
            (Value::Bool(given), Extent::Full) => Value::Bool(!given),
            _ => default.clone(),
        });
    }
    if let Some(first) = schema["enum"]
        .as_array()
        .and_then(|choices| choices.first())
    {
        return Some(first.clone());
    }
    match schema["type"].as_str() {
        Some(kind) if kind != "object" && schema["anyOf"].is_array() => {
            choice(schema, extent, depth)
        }
        Some("string") => Some(text(schema)),
        Some("integer") => Some(number(schema, true)),
        Some("number") => Some(number(schema, false)),
        Some("boolean") => Some(Value::Bool(true)),
        Some("array") => list(schema, extent, depth),
        Some("object") => Some(Value::Object(object(schema, extent, depth))),
        _ => choice(schema, extent, depth),
    }
}

/// The first alternative that can be filled in; a text where nothing is known.
fn choice(schema: &Value, extent: Extent, depth: usize) -> Option<Value> {
    let first = ["oneOf", "anyOf", "allOf"]
        .into_iter()
        .filter_map(|key| schema[key].as_array())
        .flatten()
        .find_map(|inner| value(inner, extent, depth + 1));
    first.or_else(|| {
        Some(if schema["properties"].is_object() {
            Value::Object(object(schema, extent, depth))
        } else {
            json!({SAMPLE_NAME: "sample"})
        })
    })
}

fn text(schema: &Value) -> Value {
    let least = schema["minLength"].as_u64().unwrap_or(0);
    let least = usize::try_from(least).unwrap_or(0).min(4096);
    let pattern = schema["pattern"].as_str();
    let pattern = pattern.and_then(|pattern| Regex::new(pattern).ok());
    let fits = |text: &&str| {
        text.len() >= least
            && pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(text))
    };
    match TEXTS.iter().copied().find(fits) {
        Some(text) => text.into(),
        None => "s".repeat(least.max(1)).into(),
    }
}

fn number(schema: &Value, whole: bool) -> Value {
    let edge = |key: &str, exclusive: &str, step: f64| {
        let limit = schema[key].as_f64()?;
        Some(if schema[exclusive] == true {
            limit + step
        } else {
            limit
        })
    };
    let least = edge("minimum", "exclusiveMinimum", 1.0).unwrap_or(1.0);
    let most = edge("maximum", "exclusiveMaximum", -1.0).unwrap_or(f64::MAX);
    let chosen = 1.0_f64.max(least).min(most);
    if whole {
        // Within what an integer of the schema may be; a cast saturates.
        #[expect(clippy::cast_possible_truncation, reason = "saturates, which is meant")]
        let chosen = chosen.ceil() as i64;
        return json!(chosen);
    }
    json!(chosen)
}

fn list(schema: &Value, extent: Extent, depth: usize) -> Option<Value> {
    // Elements with a type of their own.
    if let Some(places) = schema["x-items"].as_array() {
        let elements = places.iter().map(|one| value(one, extent, depth + 1));
        return elements.collect();
    }
    let least = schema["minItems"].as_u64().unwrap_or(0).min(64);
    let wanted = match extent {
        Extent::Required => least,
        Extent::Full => least.max(1),
    };
    if wanted == 0 {
        return Some(json!([]));
    }
    let element = value(&schema["items"], extent, depth + 1)?;
    let count = usize::try_from(wanted).ok()?;
    Some(Value::Array(vec![element; count]))
}

fn object(schema: &Value, extent: Extent, depth: usize) -> Map<String, Value> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut fields = Map::new();
    let properties = schema["properties"].as_object().into_iter().flatten();
    // What is there only under a condition fits nothing else.
    for (name, inner) in properties.filter(|(_, inner)| inner["x-if"].is_null()) {
        let listed = required.contains(&name.as_str());
        // What has a default is given by the template itself.
        let needed = listed && inner.get("default").is_none();
        if extent == Extent::Full || needed {
            fields.extend(value(inner, extent, depth + 1).map(|value| (name.clone(), value)));
        }
    }
    if extent == Extent::Full && schema["additionalProperties"].is_object() {
        let inner = value(&schema["additionalProperties"], extent, depth + 1);
        fields.extend(inner.map(|value| (SAMPLE_NAME.to_owned(), value)));
    }
    let alternatives = ["oneOf", "anyOf", "allOf"]
        .into_iter()
        .filter_map(|key| schema[key].as_array());
    for alternatives in alternatives {
        if let Some(Value::Object(more)) = alternatives
            .first()
            .and_then(|first| value(first, extent, depth + 1))
        {
            for (name, value) in more {
                fields.entry(name).or_insert(value);
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_fit_their_schema() {
        let schema = json!({
            "type": "object",
            "required": ["image", "replicas", "size"],
            "properties": {
                "image": {"type": "string"},
                "replicas": {"type": "integer", "default": 3},
                "size": {"type": "integer", "minimum": 5, "exclusiveMinimum": true},
                "cpu": {"type": "string", "pattern": "^[0-9]+m$"},
                "debug": {"type": "boolean", "default": false},
                "ports": {"type": "array", "items": {"type": "object", "required": ["port"],
                    "properties": {"port": {"type": "integer"}, "name": {"type": "string"}}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "either": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
                "pull": {"type": "string", "enum": ["Always", "Never"]},
                "pair": {"type": "array", "x-items": [{"type": "string"}, {"type": "integer"}], "minItems": 2},
                "extra": {"type": "string", "x-if": "debug"},
                "word": {"type": "string", "anyOf": [{"type": "string", "enum": ["auto"]}, {"type": "string"}]},
            },
        });
        assert_eq!(
            sample(&schema, Extent::Required),
            json!({"image": "sample", "size": 6})
        );
        assert_eq!(
            sample(&schema, Extent::Full),
            json!({"image": "sample", "size": 6, "replicas": 3, "cpu": "100m", "debug": true,
                "ports": [{"port": 1, "name": "sample"}], "labels": {"sample": "sample"},
                "either": 1, "pull": "Always", "pair": ["sample", 1], "word": "auto"})
        );
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let mut schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        for _ in 0..40 {
            schema = json!({"type": "object", "properties": {"inner": schema}});
        }
        let full = sample(&schema, Extent::Full);
        assert!(full["inner"]["inner"].is_object());
    }
}
