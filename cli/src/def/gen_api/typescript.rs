//! Types in TypeScript.

use serde_json::Value;

use super::{comment, is_required};

const DEPTH: usize = 16;

/// The module.
pub(super) fn write(name: &str, schema: &Value) -> String {
    let body = type_of(schema, 0);
    let head = documented(schema, 0);
    if body.starts_with('{') {
        format!("{head}export interface {name} {body}\n")
    } else {
        format!("{head}export type {name} = {body};\n")
    }
}

fn documented(schema: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match comment(schema).as_slice() {
        [] => String::new(),
        [one] => format!("{indent}/** {one} */\n"),
        several => {
            let lines = several.join(&format!("\n{indent} * "));
            format!("{indent}/**\n{indent} * {lines}\n{indent} */\n")
        }
    }
}

fn type_of(schema: &Value, depth: usize) -> String {
    if depth > DEPTH {
        return "unknown".to_owned();
    }
    if let Some(choices) = schema["enum"].as_array() {
        let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
        return choices.join(" | ");
    }
    let alternatives: Vec<String> = ["oneOf", "anyOf"]
        .into_iter()
        .filter_map(|key| schema[key].as_array())
        .flatten()
        .map(|inner| type_of(inner, depth))
        .collect();
    match schema["type"].as_str() {
        Some("string") => "string".to_owned(),
        Some("integer" | "number") => "number".to_owned(),
        Some("boolean") => "boolean".to_owned(),
        Some("array") => {
            let items = type_of(&schema["items"], depth);
            if items.contains(" | ") && !items.starts_with('{') {
                format!("({items})[]")
            } else {
                format!("{items}[]")
            }
        }
        Some("object") => {
            let object = object(schema, depth);
            if alternatives.is_empty() {
                object
            } else {
                format!("{object} & ({})", alternatives.join(" | "))
            }
        }
        _ if !alternatives.is_empty() => alternatives.join(" | "),
        _ => "unknown".to_owned(),
    }
}

fn object(schema: &Value, depth: usize) -> String {
    let values = &schema["additionalProperties"];
    let Some(properties) = schema["properties"]
        .as_object()
        .filter(|fields| !fields.is_empty())
    else {
        let values = if values.is_object() {
            type_of(values, depth)
        } else {
            "unknown".to_owned()
        };
        return format!("Record<string, {values}>");
    };
    let indent = "  ".repeat(depth + 1);
    let mut out = "{\n".to_owned();
    for (name, inner) in properties {
        let mark = if is_required(schema, name) { "" } else { "?" };
        out += &documented(inner, depth + 1);
        out.extend([format!(
            "{indent}{}{mark}: {};\n",
            key(name),
            type_of(inner, depth + 1)
        )]);
    }
    if values.is_object() {
        out.extend([format!("{indent}[key: string]: unknown;\n")]);
    }
    out + &"  ".repeat(depth) + "}"
}

fn key(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'))
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}
