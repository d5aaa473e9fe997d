//! Types in TypeScript.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{comment, type_name};
use crate::def::parameter::{alternatives, is_required, places};

/// The module.
pub(super) fn write(name: &str, schema: &Value) -> String {
    let mut targets = BTreeSet::from([String::new()]);
    repeated(schema, &mut targets);
    let named = targets.into_iter().map(|pointer| {
        let title = name.to_owned() + &title(&pointer);
        (pointer, title)
    });
    let file = File {
        named: named.collect(),
    };
    let types = file
        .named
        .keys()
        .map(|pointer| file.declaration(schema, pointer));
    types.collect::<Vec<_>>().join("\n")
}

/// What a place in a schema adds to the name of a type: the names of the properties that lead there, whatever these are.
fn title(pointer: &str) -> String {
    let mut title = String::new();
    let mut parts = pointer.split('/').skip(1);
    while let Some(part) = parts.next() {
        let word = match part {
            "items" | "anyOf" => continue,
            "properties" => parts.next().unwrap_or_default(),
            other => other,
        };
        title += &type_name(word);
    }
    title
}

/// The places of types that contain themselves.
fn repeated(schema: &Value, targets: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(target) = schema["x-same-as"].as_str() {
                targets.insert(target.to_owned());
            }
            fields.values().for_each(|inner| repeated(inner, targets));
        }
        Value::Array(list) => list.iter().for_each(|inner| repeated(inner, targets)),
        _ => {}
    }
}

struct File {
    /// The types that have a name, by their place in the schema.
    named: BTreeMap<String, String>,
}

impl File {
    fn declaration(&self, schema: &Value, pointer: &str) -> String {
        let name = &self.named[pointer];
        let schema = schema.pointer(pointer).unwrap_or(schema);
        let body = self.body(schema, pointer, 0);
        let head = documented(schema, 0);
        if body.starts_with('{') && !body.contains("\n} ") {
            format!("{head}export interface {name} {body}\n")
        } else {
            format!("{head}export type {name} = {body};\n")
        }
    }

    /// The name of a type, or what it is made of.
    fn type_of(&self, schema: &Value, pointer: &str, depth: usize) -> String {
        let target = schema["x-same-as"].as_str().unwrap_or(pointer);
        let type_ = match self.named.get(target) {
            Some(name) => name.clone(),
            None => return self.body(schema, pointer, depth),
        };
        or_null(schema, type_)
    }

    fn body(&self, schema: &Value, pointer: &str, depth: usize) -> String {
        let alternatives: Vec<String> = alternatives(schema)
            .enumerate()
            .map(|(index, inner)| self.type_of(inner, &format!("{pointer}/anyOf/{index}"), depth))
            .collect();
        let type_ = if alternatives.is_empty() {
            self.plain(schema, pointer, depth)
        } else {
            alternatives.join(" | ")
        };
        or_null(schema, type_)
    }

    fn plain(&self, schema: &Value, pointer: &str, depth: usize) -> String {
        if let Some(choices) = schema["enum"].as_array() {
            let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
            return choices.join(" | ");
        }
        match schema["type"].as_str() {
            Some("string") => "string".to_owned(),
            Some("integer" | "number") => "number".to_owned(),
            Some("boolean") => "boolean".to_owned(),
            Some("array") => self.list(schema, pointer, depth),
            Some("object") => self.object(schema, pointer, depth),
            _ => "unknown".to_owned(),
        }
    }

    fn list(&self, schema: &Value, pointer: &str, depth: usize) -> String {
        let rest = self.type_of(&schema["items"], &format!("{pointer}/items"), depth);
        let rest = if rest.contains(" | ") {
            format!("({rest})[]")
        } else {
            format!("{rest}[]")
        };
        let Some(places) = places(schema) else {
            return rest;
        };
        let mut types: Vec<String> = places
            .iter()
            .enumerate()
            .map(|(index, one)| self.type_of(one, &format!("{pointer}/x-items/{index}"), depth))
            .collect();
        if schema["maxItems"].is_null() {
            types.push(format!("...{rest}"));
        }
        format!("[{}]", types.join(", "))
    }

    fn object(&self, schema: &Value, pointer: &str, depth: usize) -> String {
        let values = &schema["additionalProperties"];
        let Some(properties) = schema["properties"].as_object() else {
            let values = self.type_of(values, &format!("{pointer}/additionalProperties"), depth);
            return format!("Record<string, {values}>");
        };
        let indent = "  ".repeat(depth + 1);
        let mut out = "{\n".to_owned();
        for (name, inner) in properties {
            let mark = if is_required(schema, name) { "" } else { "?" };
            let below = format!(
                "{pointer}/properties/{}",
                name.replace('~', "~0").replace('/', "~1")
            );
            let type_ = self.type_of(inner, &below, depth + 1);
            out += &documented(inner, depth + 1);
            out.extend([format!("{indent}{}{mark}: {type_};\n", key(name))]);
        }
        if values.is_object() {
            out.extend([format!("{indent}[key: string]: unknown;\n")]);
        }
        out + &"  ".repeat(depth) + "}"
    }
}

fn or_null(schema: &Value, type_: String) -> String {
    if schema["nullable"] == true && type_ != "null" {
        format!("{type_} | null")
    } else {
        type_
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

fn key(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'))
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if plain && !name.is_empty() {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}
