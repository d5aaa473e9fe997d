//! Writing CUE.

use serde_json::Value;

/// A value as CUE. `replace` may give an expression for the value at a path.
pub(super) fn expression(
    value: &Value,
    path: &mut Vec<String>,
    replace: &mut dyn FnMut(&[String], &Value) -> Option<String>,
) -> String {
    if let Some(text) = replace(path, value) {
        return text;
    }
    match value {
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let mut out = "{\n".to_owned();
            for (name, inner) in fields {
                path.push(name.clone());
                let text = expression(inner, path, replace);
                path.pop();
                out.extend([format!("{}: {text}\n", label(name))]);
            }
            out + "}"
        }
        Value::Array(list) => {
            let mut items = Vec::new();
            for (index, inner) in list.iter().enumerate() {
                path.push(index.to_string());
                // A block in a list cannot be indented.
                items.push(match (replace(path, inner), inner) {
                    (Some(text), _) => text,
                    (None, Value::String(text)) => Value::from(text.as_str()).to_string(),
                    (None, _) => expression(inner, path, replace),
                });
                path.pop();
            }
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => string(text),
        other => other.to_string(),
    }
}

/// A value as it is.
pub(super) fn literal(value: &Value) -> String {
    expression(value, &mut Vec::new(), &mut |_, _| None)
}

/// A text: one of several lines as a block.
pub(super) fn string(text: &str) -> String {
    let is_block = text.contains('\n') && !text.contains('\r');
    if !is_block {
        return Value::from(text).to_string();
    }
    let mut hashes = "#".to_owned();
    while text.contains(&format!("\"\"\"{hashes}")) || text.contains(&format!("\\{hashes}")) {
        hashes.push('#');
    }
    format!("{hashes}\"\"\"\n{text}\n\"\"\"{hashes}")
}

/// The name of a field.
pub(super) fn label(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !RESERVED.contains(&name);
    if plain {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

/// Names that mean something in templates or in CUE itself.
const RESERVED: [&str; 24] = [
    "true",
    "false",
    "null",
    "for",
    "if",
    "in",
    "let",
    "import",
    "package",
    "string",
    "int",
    "bool",
    "number",
    "float",
    "bytes",
    "uint",
    "rune",
    "len",
    "close",
    "and",
    "or",
    "error",
    "context",
    "parameter",
];

/// A parameter.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) usage: String,
    /// CUE of its type, with the default.
    pub(super) type_: String,
    pub(super) optional: bool,
}

/// `parameter: {…}`.
pub(super) fn parameter(fields: &[Field]) -> String {
    let mut out = "parameter: {\n".to_owned();
    for field in fields {
        out.push_str(&declaration(field));
    }
    out + "}\n"
}

/// One field with its usage.
pub(super) fn declaration(field: &Field) -> String {
    let usage = one_line(&field.usage);
    let usage = if usage.is_empty() {
        String::new()
    } else {
        format!("// +usage={usage}\n")
    };
    let mark = if field.optional { "?" } else { "" };
    format!("{usage}{}{mark}: {}\n", label(&field.name), field.type_)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
