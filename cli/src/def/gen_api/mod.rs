//! `caravel def gen-api`: the parameters of a definition as types for programs.

mod go;
mod typescript;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use caravel_core::engine::Evaluator;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::ask::Refusal;
use super::parameter;
use super::problem::Problems;
use super::registry::{self, Wanted};
use super::source::Source;
use crate::hub::HubArgs;

/// Writes the parameters of a definition as types for programs.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def gen-api webservice --builtin --lang typescript > webservice.ts\n  caravel def \
                  gen-api my-trait.cue --lang json-schema"
)]
pub(crate) struct Args {
    /// A definition of the hub, or a file.
    #[arg(value_name = "NAME|FILE")]
    name: String,
    #[command(flatten)]
    wanted: Wanted,
    /// The language.
    #[arg(
        short = 'g',
        long,
        visible_alias = "language",
        value_enum,
        default_value = "json-schema"
    )]
    lang: Language,
    /// Name of the package (Go).
    #[arg(long, default_value = "definitions", value_parser = go::package)]
    package: String,
    /// Write to a file in place of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    JsonSchema,
    Typescript,
    Go,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    let source = registry::source(&args.name, &args.wanted, hub, namespace).await?;
    let schema = schema(&source)?;
    let name = type_name(&source.definition.name);
    let text = match args.lang {
        Language::JsonSchema => format!("{:#}\n", json_schema(&source, schema)),
        Language::Typescript => typescript::write(&name, &schema),
        Language::Go => go::write(&args.package, &name, &schema),
    };
    match &args.output {
        Some(file) => std::fs::write(file, text).with_context(|| file.clone())?,
        None => std::io::stdout().write_all(text.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn schema(source: &Source) -> Result<Value> {
    match parameter::schema(source, Evaluator::default()) {
        Ok(Some(schema)) => Ok(schema),
        Ok(None) => Ok(json!({"type": "object"})),
        Err(Refusal::Wrong(errors)) => {
            let problems = errors.iter().map(|error| source.problem(error));
            Err(Problems(problems.collect()).into())
        }
        Err(Refusal::Calls(_)) => Err(anyhow!("the engine asks for calls where there are none")),
        Err(Refusal::Fault(message)) => Err(anyhow!("{message}")),
    }
}

/// The schema as JSON Schema.
fn json_schema(source: &Source, schema: Value) -> Value {
    let mut schema = converted(schema);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = source.definition.name.as_str().into();
    let description = super::show::description(source);
    if !description.is_empty() {
        schema["description"] = description.into();
    }
    schema
}

/// `OpenAPI` v3.0 as JSON Schema: they differ in how limits are exclusive, in null, and in lists whose elements have
/// their own types; and here a type may contain itself.
fn converted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Map<String, Value> = fields
                .into_iter()
                .map(|(name, inner)| (name, converted(inner)))
                .collect();
            if let Some(pointer) = fields.get("x-same-as").and_then(Value::as_str) {
                let target = format!("#{}", pointer.replace("/x-items/", "/prefixItems/"));
                fields.remove("x-same-as");
                fields.remove("type");
                fields.insert("$ref".to_owned(), target.into());
            }
            exclusive_limits(&mut fields);
            elements(&mut fields);
            if fields.remove("nullable") == Some(Value::Bool(true)) {
                allow_null(&mut fields);
            }
            Value::Object(fields)
        }
        Value::Array(list) => Value::Array(list.into_iter().map(converted).collect()),
        other => other,
    }
}

fn exclusive_limits(fields: &mut Map<String, Value>) {
    for (limit, exclusive) in [
        ("minimum", "exclusiveMinimum"),
        ("maximum", "exclusiveMaximum"),
    ] {
        if fields.get(exclusive).is_some_and(Value::is_boolean) {
            let is_exclusive = fields.remove(exclusive) == Some(Value::Bool(true));
            if is_exclusive && let Some(number) = fields.remove(limit) {
                fields.insert(exclusive.to_owned(), number);
            }
        }
    }
}

fn elements(fields: &mut Map<String, Value>) {
    if let Some(places) = fields.remove("x-items") {
        fields.insert("prefixItems".to_owned(), places);
        if fields.contains_key("maxItems") {
            fields.insert("items".to_owned(), false.into());
        }
    }
}

fn allow_null(fields: &mut Map<String, Value>) {
    if let Some(alternatives) = fields.get_mut("anyOf").and_then(Value::as_array_mut) {
        alternatives.push(json!({"type": "null"}));
        fields.remove("type");
        return;
    }
    if fields.contains_key("$ref") {
        let whole = Value::Object(std::mem::take(fields));
        fields.insert("anyOf".to_owned(), json!([whole, {"type": "null"}]));
        return;
    }
    if let Some(choices) = fields.get_mut("enum").and_then(Value::as_array_mut)
        && !choices.contains(&Value::Null)
    {
        choices.push(Value::Null);
    }
    if let Some(kind) = fields.get("type").cloned() {
        fields.insert("type".to_owned(), json!([kind, "null"]));
    }
}

/// `my-trait` as a type: `MyTrait`.
pub(crate) fn type_name(name: &str) -> String {
    let mut out = String::new();
    for part in name.split(|c: char| !c.is_alphanumeric()) {
        let mut letters = part.chars();
        if let Some(first) = letters.next() {
            out.extend(first.to_uppercase());
            out.push_str(letters.as_str());
        }
    }
    // Only what begins with a capital letter is seen from elsewhere.
    if !out.starts_with(char::is_uppercase) {
        out.insert(0, 'T');
    }
    out
}

/// The description, for a comment.
fn comment(schema: &Value) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let usage = schema["description"].as_str().unwrap_or_default();
    lines.extend(usage.lines().map(|line| line.trim().replace("*/", "* /")));
    if let Some(default) = schema.get("default") {
        lines.push(format!("Default: {default}"));
    } else if let Some(computed) = schema["x-default"].as_str() {
        lines.push(format!("Default: {computed}"));
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_types() {
        assert_eq!(type_name("my-trait"), "MyTrait");
        assert_eq!(type_name("k8s.objects_x"), "K8sObjectsX");
        assert_eq!(type_name("1password"), "T1password");
        assert_eq!(type_name("端口"), "T端口");
        assert_eq!(type_name("-"), "T");
    }

    #[test]
    fn openapi_becomes_json_schema() {
        let schema = json!({
            "properties": {
                "a": {"type": "integer", "minimum": 0, "exclusiveMinimum": true},
                "b": {"type": "string", "nullable": true},
                "c": {"type": "string", "enum": ["x"], "nullable": true},
                "d": {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": true},
                "e": {"type": "array", "items": {}, "maxItems": 1, "minItems": 1, "x-items": [{"type": "string"}]},
                "f": {"type": "array", "items": {"type": "object", "x-same-as": "/properties/e/x-items/0"}},
            },
            "required": ["a"],
        });
        assert_eq!(
            converted(schema),
            json!({
                "properties": {
                    "a": {"type": "integer", "exclusiveMinimum": 0},
                    "b": {"type": ["string", "null"]},
                    "c": {"type": ["string", "null"], "enum": ["x", null]},
                    "d": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
                    "e": {"type": "array", "items": false, "maxItems": 1, "minItems": 1,
                        "prefixItems": [{"type": "string"}]},
                    "f": {"type": "array", "items": {"$ref": "#/properties/e/prefixItems/0"}},
                },
                "required": ["a"],
            })
        );
    }

    /// A group of groups, a choice of types, a list of two, and something that may be null.
    fn sample() -> Value {
        json!({
            "type": "object",
            "required": ["root", "text"],
            "properties": {
                "root": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string"},
                    "next": {"type": "object", "x-same-as": "/properties/root"},
                    "children": {"type": "array", "items": {"type": "object", "x-same-as": "/properties/root"}},
                }},
                "value": {"anyOf": [{"type": "string", "enum": ["auto"]}, {"type": "integer"}]},
                "pair": {"type": "array", "x-items": [{"type": "string"}, {"type": "integer"}], "maxItems": 2, "items": {}},
                "text": {"type": "string", "nullable": true},
                "one": {"type": "object", "anyOf": [
                    {"type": "object", "required": ["kind", "a"], "properties": {
                        "kind": {"type": "string", "enum": ["one"]}, "a": {"type": "string"}}},
                    {"type": "object", "required": ["kind"], "properties": {
                        "kind": {"type": "string", "enum": ["two"]}, "b": {"type": "integer"}}},
                ]},
                "list": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
                "rest": {"type": "object", "additionalProperties": {}},
                "-": {"type": "string"},
                "": {"type": "string"},
            },
        })
    }

    #[test]
    fn types_in_typescript() {
        assert_eq!(
            typescript::write("Grp", &sample()),
            r#"export interface Grp {
  ""?: string;
  "-"?: string;
  list?: ("a" | "b")[];
  one?: {
    a: string;
    kind: "one";
  } | {
    b?: number;
    kind: "two";
  };
  pair?: [string, number];
  rest?: Record<string, unknown>;
  root: GrpRoot;
  text: string | null;
  value?: "auto" | number;
}

export interface GrpRoot {
  children?: GrpRoot[];
  name: string;
  next?: GrpRoot;
}
"#
        );
    }

    #[test]
    fn types_in_go() {
        let written = go::write("p", "Grp", &sample());
        for line in [
            "\tRoot GrpRoot `json:\"root\"`",
            "\tChildren []GrpRoot `json:\"children,omitempty\"`",
            "\tNext *GrpRoot `json:\"next,omitempty\"`",
            "\tText *string `json:\"text\"`",
            "\tValue any `json:\"value,omitempty\"`",
            "\tPair []any `json:\"pair,omitempty\"`",
            "\tOne *GrpOne `json:\"one,omitempty\"`",
            "\tKind string `json:\"kind\"`",
            "\tA *string `json:\"a,omitempty\"`",
            "\tB *int64 `json:\"b,omitempty\"`",
            "\tRest map[string]any `json:\"rest,omitempty\"`",
            "\tT_ *string `json:\"-,omitempty\"`",
        ] {
            assert!(written.contains(line), "{line} in {written}");
        }
        assert_eq!(go::tag("-", true), "-,");
        assert!(go::package("my-package").is_err() && go::package("types2").is_ok());
    }
}
