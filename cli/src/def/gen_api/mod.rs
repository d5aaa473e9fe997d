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
    #[arg(long, default_value = "definitions")]
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

/// The schema as JSON Schema: `OpenAPI` v3.0 differs in how limits are exclusive, and a field with a default need not
/// be given.
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

fn converted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Map<String, Value> = fields
                .into_iter()
                .map(|(name, inner)| (name, converted(inner)))
                .collect();
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
            without_defaults(&mut fields);
            Value::Object(fields)
        }
        Value::Array(list) => Value::Array(list.into_iter().map(converted).collect()),
        other => other,
    }
}

fn without_defaults(fields: &mut Map<String, Value>) {
    let optional: Vec<String> = match fields.get("properties").and_then(Value::as_object) {
        Some(properties) => properties
            .iter()
            .filter(|(_, inner)| !parameter::is_needed(inner))
            .map(|(name, _)| name.clone())
            .collect(),
        None => return,
    };
    if let Some(required) = fields.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !optional.iter().any(|one| name == one.as_str()));
        if required.is_empty() {
            fields.remove("required");
        }
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
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, 'T');
    }
    out
}

/// The names that an object must have: those with a default need not be given.
fn is_required(schema: &Value, name: &str) -> bool {
    let listed = schema["required"]
        .as_array()
        .is_some_and(|names| names.iter().any(|one| one == name));
    listed && parameter::is_needed(&schema["properties"][name])
}

/// The description, for a comment.
fn comment(schema: &Value) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let usage = schema["description"].as_str().unwrap_or_default();
    lines.extend(usage.lines().map(|line| line.trim().replace("*/", "* /")));
    if let Some(default) = schema.get("default") {
        lines.push(format!("Default: {default}"));
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
    }

    #[test]
    fn limits_of_openapi_become_those_of_json_schema() {
        let schema = json!({
            "properties": {
                "a": {"type": "integer", "minimum": 0, "exclusiveMinimum": true},
                "b": {"type": "integer", "default": 1},
            },
            "required": ["a", "b"],
        });
        assert_eq!(
            converted(schema),
            json!({
                "properties": {
                    "a": {"type": "integer", "exclusiveMinimum": 0},
                    "b": {"type": "integer", "default": 1},
                },
                "required": ["a"],
            })
        );
    }
}
