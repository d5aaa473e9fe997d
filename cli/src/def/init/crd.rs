//! A component whose workload is a custom resource: its specification becomes the parameters.

use anyhow::{Result, anyhow, bail};
use serde_json::{Value, json};

use super::Draft;
use super::cue::{Field, declaration, literal};

/// Deeper fields are left open: schemas of some resources hold whole pods.
const DEPTH: usize = 24;

pub(super) fn draft(crd: &Value) -> Result<Draft> {
    let text = |path: &str| crd.pointer(path).and_then(Value::as_str);
    let group = text("/spec/group").ok_or_else(|| anyhow!("spec.group is missing"))?;
    let kind = text("/spec/names/kind").ok_or_else(|| anyhow!("spec.names.kind is missing"))?;
    let version = version(crd)?;
    let api_version = format!("{group}/{}", version["name"].as_str().unwrap_or_default());
    let schema = &version["schema"]["openAPIV3Schema"];
    let (fields, target) = if schema["properties"]["spec"].is_object() {
        (
            fields(&schema["properties"]["spec"], 0),
            "spec: parameter\n",
        )
    } else {
        let mut own = schema.clone();
        if let Some(properties) = own["properties"].as_object_mut() {
            for name in ["apiVersion", "kind", "metadata", "status"] {
                properties.remove(name);
            }
        }
        (
            fields(&own, 0),
            "for key, value in parameter {\n(key): value\n}\n",
        )
    };
    let attributes = json!({
        "workload": {"definition": {"apiVersion": api_version, "kind": kind}},
    });
    let declarations: String = fields.iter().map(declaration).collect();
    let template = format!(
        "output: {{\napiVersion: {}\nkind: {}\n{target}}}\nparameter: {{\n{declarations}}}\n",
        Value::from(api_version.as_str()),
        Value::from(kind)
    );
    Ok(Draft {
        imports: Vec::new(),
        attributes: literal(&attributes),
        template,
    })
}

/// The version that is stored, if it is served; else the first that is.
fn version(crd: &Value) -> Result<&Value> {
    let Some(versions) = crd["spec"]["versions"].as_array() else {
        bail!("spec.versions is missing: definitions of apiextensions.k8s.io/v1 are read");
    };
    let is_served = |version: &&Value| version["served"] != false;
    let stored = versions.iter().filter(is_served);
    stored
        .clone()
        .find(|version| version["storage"] == true)
        .or_else(|| stored.clone().next())
        .or_else(|| versions.first())
        .ok_or_else(|| anyhow!("spec.versions is empty"))
}

fn fields(schema: &Value, depth: usize) -> Vec<Field> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, inner)| {
            let required = schema["required"]
                .as_array()
                .is_some_and(|names| names.iter().any(|one| one == name.as_str()));
            let default = inner.get("default").and_then(scalar);
            let type_ = type_of(inner, depth + 1);
            Field {
                name: name.clone(),
                usage: first_sentence(inner["description"].as_str().unwrap_or_default()),
                optional: !required && default.is_none(),
                type_: match default {
                    Some(default) if type_.contains(" & ") => format!("*{default} | ({type_})"),
                    Some(default) => format!("*{default} | {type_}"),
                    None => type_,
                },
            }
        })
        .collect()
}

/// Objects and lists as defaults are left to the server: CUE would mix them with what is given.
fn scalar(value: &Value) -> Option<String> {
    let is_scalar = value.is_string() || value.is_number() || value.is_boolean();
    is_scalar.then(|| value.to_string())
}

fn first_sentence(text: &str) -> String {
    let text = text.split("\n\n").next().unwrap_or_default();
    let end = text.find(". ").unwrap_or(text.len());
    let cut: String = text[..end].chars().take(200).collect();
    cut.trim().trim_end_matches('.').to_owned()
}

fn type_of(schema: &Value, depth: usize) -> String {
    if depth > DEPTH {
        return "_".to_owned();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return "int | string".to_owned();
    }
    if schema["nullable"] == true {
        let mut inner = schema.clone();
        inner["nullable"] = Value::Bool(false);
        return match type_of(&inner, depth) {
            // It takes null as it takes everything.
            any if any == "_" => any,
            type_ => format!("{type_} | null"),
        };
    }
    if let Some(choices) = schema["enum"].as_array() {
        let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
        return choices.join(" | ");
    }
    match schema["type"].as_str() {
        Some("string") => match schema["pattern"].as_str() {
            Some(pattern) if regex::Regex::new(pattern).is_ok() => {
                format!("=~{}", Value::from(pattern))
            }
            _ => "string".to_owned(),
        },
        Some("integer") => limited("int", schema),
        Some("number") => limited("number", schema),
        Some("boolean") => "bool".to_owned(),
        Some("array") => format!("[...{}]", grouped(type_of(&schema["items"], depth + 1))),
        Some("object") => object(schema, depth),
        _ => "_".to_owned(),
    }
}

fn limited(type_: &str, schema: &Value) -> String {
    let mut text = type_.to_owned();
    for (key, loose, exclusive, strict) in [
        ("minimum", ">=", "exclusiveMinimum", ">"),
        ("maximum", "<=", "exclusiveMaximum", "<"),
    ] {
        let sign = if schema[exclusive] == true {
            strict
        } else {
            loose
        };
        if let Some(limit) = schema.get(key).filter(|limit| limit.is_number()) {
            text.extend([format!(" & {sign}{limit}")]);
        }
    }
    text
}

fn object(schema: &Value, depth: usize) -> String {
    let declared = fields(schema, depth);
    let values = &schema["additionalProperties"];
    if declared.is_empty() && values.is_object() {
        return format!("{{\n[string]: {}\n}}", type_of(values, depth + 1));
    }
    let is_open = declared.is_empty()
        || schema["x-kubernetes-preserve-unknown-fields"] == true
        || values == &Value::Bool(true);
    let declarations: String = declared.iter().map(declaration).collect();
    let more = if is_open { "...\n" } else { "" };
    format!("{{\n{declarations}{more}}}")
}

fn grouped(type_: String) -> String {
    if type_.contains(" | ") && !type_.starts_with('{') {
        format!("({type_})")
    } else {
        type_
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_schema_says_of_a_value_is_a_type() {
        for (schema, expected) in [
            (
                json!({"type": "integer", "minimum": 1, "maximum": 8, "exclusiveMaximum": true}),
                "int & >=1 & <8",
            ),
            (json!({"type": "string", "nullable": true}), "string | null"),
            (
                json!({"type": "string", "enum": ["a", "b"]}),
                "\"a\" | \"b\"",
            ),
            (
                json!({"x-kubernetes-int-or-string": true, "anyOf": []}),
                "int | string",
            ),
            (json!({"x-kubernetes-preserve-unknown-fields": true}), "_"),
            (
                json!({"x-kubernetes-preserve-unknown-fields": true, "nullable": true}),
                "_",
            ),
            (
                json!({"type": "array", "items": {"enum": ["a", "b"]}}),
                "[...(\"a\" | \"b\")]",
            ),
        ] {
            assert_eq!(type_of(&schema, 0), expected, "{schema}");
        }
    }

    #[test]
    fn a_default_keeps_the_limits_beside_it() {
        let schema = json!({"properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
            "name": {"type": "string", "pattern": "^[a-z]+$", "default": "a"},
        }});
        let types: Vec<String> = fields(&schema, 0)
            .into_iter()
            .map(|field| field.type_)
            .collect();
        assert_eq!(
            types,
            ["*\"a\" | =~\"^[a-z]+$\"", "*10 | (int & >=1 & <=100)"]
        );
    }

    #[test]
    fn a_version_that_is_served_is_chosen() {
        let crd = |versions: Value| json!({"spec": {"versions": versions}});
        let old = json!({"name": "v1", "served": false, "storage": true});
        let new = json!({"name": "v2", "served": true});
        let both = crd(json!([old, new]));
        assert_eq!(
            version(&both).map(|one| one["name"].clone()).ok(),
            Some(json!("v2"))
        );
    }
}
