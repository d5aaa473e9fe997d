//! The parameters of a definition as people read them, out of its `OpenAPI` schema.

use caravel_core::engine::{Diagnostic, Evaluator, Operation, SchemaRequest};
use serde::Serialize;
use serde_json::Value;

use super::ask::{Refusal, ask};
use super::source::Source;

/// One parameter, with those in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parameter {
    /// For instance `ports[].port`.
    pub(crate) path: String,
    /// For instance `[]string`.
    #[serde(rename = "type")]
    pub(crate) type_: String,
    /// Whether an Application must give it.
    pub(crate) required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) choices: Vec<Value>,
    /// What else must hold, for instance `>= 1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) usage: String,
    /// The letter that it has as a flag (`+short`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) short: String,
    /// What forms call it (`+alias`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) alias: String,
    /// Whether it cannot be changed once it is set (`+immutable`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) immutable: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<Parameter>,
}

const IMMUTABLE: &str = "cannot be changed once it is set";

/// Deeper fields are not looked at: schemas of recursive definitions do not end.
const DEPTH: usize = 12;

/// The schema of a definition's parameters; `None` where it has no template.
pub(crate) fn schema(source: &Source, evaluator: Evaluator) -> Result<Option<Value>, Refusal> {
    let definition = &source.definition;
    if definition.template.is_empty() {
        return Ok(None);
    }
    let request = SchemaRequest {
        name: definition.name.clone(),
        source: definition.template.clone(),
        markers: true,
        ..SchemaRequest::default()
    };
    // The author's choice goes first.
    let evaluator = definition.evaluator.unwrap_or(evaluator);
    ask(Operation::Schema(request), evaluator).map(Some)
}

/// The parameters of a definition, or why they cannot be told.
pub(crate) fn of(source: &Source) -> Result<Vec<Parameter>, Vec<Diagnostic>> {
    match schema(source, Evaluator::default()) {
        Ok(schema) => Ok(schema.as_ref().map(parameters).unwrap_or_default()),
        Err(Refusal::Wrong(errors)) => Err(errors),
        Err(Refusal::Calls(_)) => Ok(Vec::new()),
        Err(Refusal::Fault(message)) => Err(vec![Diagnostic {
            message,
            ..Diagnostic::default()
        }]),
    }
}

/// The parameters of a schema.
pub(crate) fn parameters(schema: &Value) -> Vec<Parameter> {
    fields(schema, "", 0)
}

/// All parameters, those in others behind these.
pub(crate) fn flat(parameters: &[Parameter]) -> Vec<&Parameter> {
    let mut all = Vec::new();
    for parameter in parameters {
        all.push(parameter);
        all.extend(flat(&parameter.fields));
    }
    all
}

fn fields(schema: &Value, path: &str, depth: usize) -> Vec<Parameter> {
    if depth > DEPTH {
        return Vec::new();
    }
    let mut found: Vec<Parameter> = Vec::new();
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, inner) in properties {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let required = schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|one| one == name.as_str()));
        found.push(parameter(inner, path, required, depth));
    }
    // Fields of alternatives: what one of several accepts.
    for inner in alternatives(schema) {
        for mut field in fields(inner, path, depth + 1) {
            if found.iter().all(|known| known.path != field.path) {
                field.required = false;
                found.push(field);
            }
        }
    }
    found.sort_by_key(|field| !field.required);
    found
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf", "allOf"]
        .into_iter()
        .filter_map(|key| schema[key].as_array())
        .flatten()
}

fn parameter(schema: &Value, path: String, listed: bool, depth: usize) -> Parameter {
    let default = schema.get("default").cloned();
    let inner = match schema["type"].as_str() {
        Some("array") => fields(&schema["items"], &format!("{path}[]"), depth + 1),
        _ if schema["additionalProperties"].is_object() => {
            let mut inner = fields(schema, &path, depth + 1);
            let of_values = &schema["additionalProperties"];
            inner.extend(fields(of_values, &format!("{path}.*"), depth + 1));
            inner
        }
        _ => fields(schema, &path, depth + 1),
    };
    Parameter {
        type_: type_text(schema, 0),
        required: listed && is_needed(schema),
        default,
        choices: choices(schema),
        rules: rules(schema),
        usage: usage(schema),
        short: marker(schema, "x-short"),
        alias: marker(schema, "x-alias"),
        immutable: schema["x-immutable"] == true,
        fields: inner,
        path,
    }
}

/// Whether a template has no value of its own for a field that it always has: defaults, maps and lists are values, and
/// so are structs whose fields have values.
pub(crate) fn is_needed(schema: &Value) -> bool {
    if schema.get("default").is_some() {
        return false;
    }
    match schema["type"].as_str() {
        Some("array") => schema["minItems"].as_u64().is_some_and(|least| least > 0),
        Some("object") if alternatives(schema).next().is_none() => {
            let required = schema["required"].as_array().into_iter().flatten();
            let mut inner = required.filter_map(|name| schema["properties"].get(name.as_str()?));
            inner.any(is_needed)
        }
        _ => true,
    }
}

/// The values to choose from; schemas of alternatives name some twice.
fn choices(schema: &Value) -> Vec<Value> {
    let mut choices: Vec<Value> = Vec::new();
    for choice in schema["enum"].as_array().into_iter().flatten() {
        if !choices.contains(choice) {
            choices.push(choice.clone());
        }
    }
    choices
}

fn marker(schema: &Value, name: &str) -> String {
    schema[name].as_str().unwrap_or_default().to_owned()
}

fn usage(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default().trim();
    // Markers of other tools (`+immutable`, `+ignore`) are no usage.
    let lines = text.lines().filter(|line| !line.trim().starts_with('+'));
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The type in few letters: `string`, `[]int`, `map[string]string`, `string | int`.
pub(crate) fn type_text(schema: &Value, depth: usize) -> String {
    if depth > DEPTH {
        return "any".to_owned();
    }
    match schema["type"].as_str() {
        Some("array") => format!("[]{}", grouped(type_text(&schema["items"], depth + 1))),
        Some("integer") => "int".to_owned(),
        Some("boolean") => "bool".to_owned(),
        Some("object") if schema["additionalProperties"].is_object() => {
            let values = type_text(&schema["additionalProperties"], depth + 1);
            format!("map[string]{}", grouped(values))
        }
        Some(other) => other.to_owned(),
        None => {
            let mut types: Vec<String> = Vec::new();
            for inner in alternatives(schema) {
                let text = type_text(inner, depth + 1);
                if !types.contains(&text) {
                    types.push(text);
                }
            }
            match types.as_slice() {
                [] => "any".to_owned(),
                several => several.join(" | "),
            }
        }
    }
}

fn grouped(type_: String) -> String {
    if type_.contains(" | ") {
        format!("({type_})")
    } else {
        type_
    }
}

fn rules(schema: &Value) -> Vec<String> {
    let number = |key: &str| schema.get(key).filter(|value| value.is_number());
    let mut rules = Vec::new();
    for (key, exclusive, loose, strict) in [
        ("minimum", "exclusiveMinimum", ">=", ">"),
        ("maximum", "exclusiveMaximum", "<=", "<"),
    ] {
        if let Some(limit) = number(key) {
            let sign = if schema[exclusive] == true {
                strict
            } else {
                loose
            };
            rules.push(format!("{sign} {limit}"));
        }
    }
    for (key, words) in [
        ("minLength", "at least {} letters"),
        ("maxLength", "at most {} letters"),
        ("minItems", "at least {} elements"),
        ("maxItems", "at most {} elements"),
    ] {
        if let Some(limit) = number(key) {
            rules.push(words.replace("{}", &limit.to_string()));
        }
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        rules.push(format!("matches {pattern}"));
    }
    rules
}

impl Parameter {
    /// The default as CUE and JSON write it; empty where there is none.
    pub(crate) fn default_text(&self) -> String {
        self.default
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default()
    }

    /// The type, or the values to choose from.
    pub(crate) fn type_or_choices(&self) -> String {
        if self.choices.is_empty() {
            return self.type_.clone();
        }
        let choices: Vec<String> = self.choices.iter().map(Value::to_string).collect();
        choices.join(" | ")
    }

    /// The usage with what else must hold, and what else it is called.
    pub(crate) fn notes(&self) -> String {
        let called = |label: &str, name: &str| match name {
            "" => String::new(),
            name => format!("{label}{name}"),
        };
        let parts = [
            self.usage.clone(),
            self.rules.join(", "),
            if self.immutable { IMMUTABLE } else { "" }.to_owned(),
            called("alias ", &self.alias),
            called("short -", &self.short),
        ];
        let told: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        told.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_becomes_a_tree_of_parameters() {
        let schema = json!({
            "type": "object",
            "required": ["image", "replicas"],
            "properties": {
                "image": {"type": "string", "description": "The image"},
                "replicas": {"type": "integer", "default": 1, "minimum": 1},
                "ports": {"type": "array", "items": {"type": "object", "required": ["port"], "properties": {
                    "port": {"type": "integer"},
                    "protocol": {"type": "string", "enum": ["TCP", "UDP"], "default": "TCP"},
                }}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "value": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            },
        });
        let all = parameters(&schema);
        let rows: Vec<String> = flat(&all)
            .iter()
            .map(|one| {
                format!(
                    "{} {} {} {} {}",
                    one.path,
                    one.type_or_choices(),
                    one.required,
                    one.default_text(),
                    one.notes()
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                "image string true  The image",
                "labels map[string]string false  ",
                "ports []object false  ",
                "ports[].port int true  ",
                "ports[].protocol \"TCP\" | \"UDP\" false \"TCP\" ",
                "replicas int false 1 >= 1",
                "value string | int false  ",
            ]
        );
    }
}
