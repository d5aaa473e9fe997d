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
    /// What the default is made of, where it is only known with a component: `context.name`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) computed_default: String,
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

/// Deeper fields are not looked at.
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
        detailed: true,
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
    for (name, inner) in properties.filter(|(_, inner)| inner["x-ignore"] != true) {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        found.push(parameter(inner, path, is_required(schema, name), depth));
    }
    found.extend(fields_of_alternatives(schema, path, depth));
    found.sort_by_key(|field| !field.required);
    found
}

/// What any of several accepts; required is what all of them require.
fn fields_of_alternatives(schema: &Value, path: &str, depth: usize) -> Vec<Parameter> {
    let alternatives: Vec<Vec<Parameter>> = alternatives(schema)
        .map(|inner| fields(inner, path, depth + 1))
        .collect();
    let mut found: Vec<Parameter> = Vec::new();
    for field in alternatives.iter().flatten() {
        let mut same = found.iter_mut().filter(|known| known.path == field.path);
        match same.next() {
            None => {
                let everywhere = |fields: &Vec<Parameter>| {
                    let mut same = fields.iter().filter(|one| one.path == field.path);
                    same.any(|one| one.required)
                };
                found.push(Parameter {
                    required: alternatives.iter().all(everywhere),
                    ..field.clone()
                });
            }
            Some(known) => known.join(field),
        }
    }
    found
}

/// The schemas of which a value has one.
pub(crate) fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    schema["anyOf"].as_array().into_iter().flatten()
}

/// Whether an object must have a field.
pub(crate) fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema["required"].as_array();
    required.is_some_and(|names| names.iter().any(|one| one == name))
}

/// The schemas of the first elements of a list, where each has its own.
pub(crate) fn places(schema: &Value) -> Option<&Vec<Value>> {
    schema["x-items"].as_array()
}

fn parameter(schema: &Value, path: String, required: bool, depth: usize) -> Parameter {
    let mut inner = fields(schema, &path, depth + 1);
    match places(schema) {
        Some(places) => {
            for (index, one) in places.iter().enumerate() {
                inner.extend(fields(one, &format!("{path}[{index}]"), depth + 1));
            }
        }
        None => inner.extend(fields(&schema["items"], &format!("{path}[]"), depth + 1)),
    }
    let of_values = &schema["additionalProperties"];
    inner.extend(fields(of_values, &format!("{path}.*"), depth + 1));
    Parameter {
        type_: type_text(schema, 0),
        required,
        default: schema.get("default").cloned(),
        computed_default: marker(schema, "x-default"),
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

/// The values to choose from, where there is nothing else.
fn choices(schema: &Value) -> Vec<Value> {
    let mut choices = schema["enum"].as_array().cloned().unwrap_or_default();
    if schema["nullable"] == true && !choices.is_empty() && !choices.contains(&Value::Null) {
        choices.push(Value::Null);
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

/// The type in few letters: `string`, `[]int`, `map[string]string`, `string | int`, `[string, int]`.
pub(crate) fn type_text(schema: &Value, depth: usize) -> String {
    if depth > DEPTH {
        return "any".to_owned();
    }
    let mut types: Vec<String> = Vec::new();
    for inner in alternatives(schema) {
        let text = choices_or_type(inner, depth + 1);
        if !types.contains(&text) {
            types.push(text);
        }
    }
    if types.is_empty() {
        types.push(plain_type(schema, depth));
    }
    if schema["nullable"] == true {
        types.retain(|text| text != "any");
        types.push("null".to_owned());
    }
    types.join(" | ")
}

fn choices_or_type(schema: &Value, depth: usize) -> String {
    match schema["enum"].as_array() {
        Some(choices) => {
            let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
            choices.join(" | ")
        }
        None => type_text(schema, depth),
    }
}

fn plain_type(schema: &Value, depth: usize) -> String {
    let values = &schema["additionalProperties"];
    let is_map =
        schema["properties"].is_null() && values.as_object().is_some_and(|of| !of.is_empty());
    match schema["type"].as_str() {
        Some("array") => list_type(schema, depth),
        Some("integer") => "int".to_owned(),
        Some("boolean") => "bool".to_owned(),
        Some("object") if is_map => {
            let values = choices_or_type(values, depth + 1);
            format!("map[string]{}", grouped(values))
        }
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

fn list_type(schema: &Value, depth: usize) -> String {
    let rest = choices_or_type(&schema["items"], depth + 1);
    let Some(places) = places(schema) else {
        return format!("[]{}", grouped(rest));
    };
    let places = places.iter().map(|one| choices_or_type(one, depth + 1));
    let mut places: Vec<String> = places.collect();
    if schema["maxItems"].is_null() {
        places.push(format!("...{rest}"));
    }
    format!("[{}]", places.join(", "))
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
    let sizes = [
        ("minLength", "at least {} letters"),
        ("maxLength", "at most {} letters"),
        ("minItems", "at least {} elements"),
        ("maxItems", "at most {} elements"),
        ("minProperties", "at least {} fields"),
        ("maxProperties", "at most {} fields"),
        ("multipleOf", "a multiple of {}"),
    ];
    // The type of a list with places of their own says how many there are.
    let is_told = |key: &str| key.ends_with("Items") && places(schema).is_some();
    for (key, words) in sizes.into_iter().filter(|(key, _)| !is_told(key)) {
        if let Some(limit) = number(key) {
            let words = words.replace("{}", &limit.to_string());
            rules.push(if *limit == 1 {
                words.trim_end_matches('s').to_owned()
            } else {
                words
            });
        }
    }
    if schema["uniqueItems"] == true {
        rules.push("no element twice".to_owned());
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        rules.push(format!("matches {pattern}"));
    }
    if let Some(pattern) = schema["not"]["pattern"].as_str() {
        rules.push(format!("does not match {pattern}"));
    }
    let excluded = schema["not"]["enum"].as_array().into_iter().flatten();
    rules.extend(excluded.map(|value| format!("not {value}")));
    let others = schema["x-rules"].as_array().into_iter().flatten();
    rules.extend(others.filter_map(|rule| Some(rule.as_str()?.to_owned())));
    if let Some(condition) = schema["x-if"].as_str() {
        rules.push(format!("only if {condition}"));
    }
    for (of, what) in [
        (schema, "the"),
        (&schema["items"], "each the"),
        (&schema["additionalProperties"], "each the"),
    ] {
        if let Some(pointer) = of["x-same-as"].as_str() {
            rules.push(format!("{what} same as {} again", path_of(pointer)));
        }
    }
    rules
}

/// Where a JSON pointer into a schema points, as a path of parameters.
fn path_of(pointer: &str) -> String {
    let mut path = String::new();
    let mut parts = pointer.split('/').skip(1);
    while let Some(part) = parts.next() {
        match part {
            "properties" => {
                let name = parts.next().unwrap_or_default();
                if !path.is_empty() {
                    path.push('.');
                }
                path += &name.replace("~1", "/").replace("~0", "~");
            }
            "items" => path += "[]",
            "additionalProperties" => path += ".*",
            "x-items" => {
                let index = parts.next().unwrap_or_default();
                path.extend(["[", index, "]"]);
            }
            // One of several.
            _ => drop(parts.next()),
        }
    }
    if path.is_empty() {
        "all parameters".to_owned()
    } else {
        path
    }
}

impl Parameter {
    /// The default as CUE and JSON write it; empty where there is none.
    pub(crate) fn default_text(&self) -> String {
        match &self.default {
            Some(value) => value.to_string(),
            None => self.computed_default.clone(),
        }
    }

    /// Takes in what another alternative says of the same field.
    fn join(&mut self, other: &Self) {
        if self.choices.is_empty() || other.choices.is_empty() {
            self.choices.clear();
        }
        for choice in &other.choices {
            if !self.choices.is_empty() && !self.choices.contains(choice) {
                self.choices.push(choice.clone());
            }
        }
        for type_ in other.type_.split(" | ") {
            if self.type_.split(" | ").all(|known| known != type_) {
                self.type_ = format!("{} | {type_}", self.type_);
            }
        }
        for field in &other.fields {
            if self.fields.iter().all(|known| known.path != field.path) {
                self.fields.push(field.clone());
            }
        }
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

    fn rows(schema: &Value) -> Vec<String> {
        let all = parameters(schema);
        let all = flat(&all).into_iter();
        all.map(|one| {
            format!(
                "{} {} {} {} {}",
                one.path,
                one.type_or_choices(),
                one.required,
                one.default_text(),
                one.notes()
            )
        })
        .collect()
    }

    #[test]
    fn a_schema_becomes_a_tree_of_parameters() {
        let schema = json!({
            "type": "object",
            "required": ["image"],
            "properties": {
                "image": {"type": "string", "description": "The image"},
                "replicas": {"type": "integer", "default": 1, "minimum": 1},
                "ports": {"type": "array", "items": {"type": "object", "required": ["port"], "properties": {
                    "port": {"type": "integer"},
                    "protocol": {"type": "string", "enum": ["TCP", "UDP"], "default": "TCP"},
                }}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "value": {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": true},
                "pair": {"type": "array", "x-items": [{"type": "string"}, {"type": "integer"}], "minItems": 2,
                    "maxItems": 2, "items": {}},
                "words": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "minItems": 1},
                "name": {"type": "string", "x-default": "context.name", "x-if": "debug"},
                "old": {"type": "string", "x-ignore": true},
                "children": {"type": "array", "items": {"type": "object", "x-same-as": "/properties/a~1b/items"}},
            },
        });
        assert_eq!(
            rows(&schema),
            [
                "image string true  The image",
                "children []object false  each the same as a/b[] again",
                "labels map[string]string false  ",
                "name string false context.name only if debug",
                "pair [string, int] false  ",
                "ports []object false  ",
                "ports[].port int true  ",
                "ports[].protocol \"TCP\" | \"UDP\" false \"TCP\" ",
                "replicas int false 1 >= 1",
                "value string | int | null false  ",
                "words [](\"a\" | \"b\") false  at least 1 element",
            ]
        );
        assert_eq!(
            path_of("/properties/a~1b/items/anyOf/1/additionalProperties"),
            "a/b[].*"
        );
        assert_eq!(path_of(""), "all parameters");
    }

    #[test]
    fn alternatives_become_one_list_of_fields() {
        let schema = json!({"type": "object", "anyOf": [
            {"type": "object", "required": ["a", "kind"], "properties": {
                "kind": {"type": "string", "enum": ["one"]}, "a": {"type": "string"}}},
            {"type": "object", "required": ["kind"], "properties": {
                "kind": {"type": "string", "enum": ["two"]}, "a": {"type": "integer"}, "b": {"type": "integer"}}},
        ]});
        assert_eq!(
            rows(&schema),
            [
                "kind \"one\" | \"two\" true  ",
                "a string | int false  ",
                "b int false  ",
            ]
        );
    }
}
