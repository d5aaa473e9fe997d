//! The parameters of the built-in definitions and of the samples, as OpenAPI schemas, against KubeVela's
//! (suite `parameters`). Descriptions are texts of our own: only that there is one is compared.

use std::collections::BTreeSet;
use std::path::Path;

use caravel_core::engine::{DefinitionKind, Evaluator, Operation, Outcome, Request, SchemaRequest};
use serde_json::Value;

use crate::compare::differences;
use crate::run;

/// The folders of the suite, and the kinds of definition in them.
const FOLDERS: [(&str, DefinitionKind); 4] = [
    ("component", DefinitionKind::Component),
    ("trait", DefinitionKind::Trait),
    ("policy", DefinitionKind::Policy),
    ("workflowstep", DefinitionKind::WorkflowStep),
];

/// How a definition compares; the name is `<folder>/<name>`.
pub(crate) enum Compared {
    Equal(String),
    Different(String, String),
    Absent(String),
}

/// Compares each recorded schema.
pub(crate) fn compare(root: &Path) -> Vec<Compared> {
    let mut all = Vec::new();
    for (folder, kind) in FOLDERS {
        let mut files: Vec<_> = std::fs::read_dir(root.join("parameters").join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            let id = format!("{folder}/{name}");
            let expected = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            all.push(match schema(kind, &name) {
                None => Compared::Absent(id),
                Some(Err(problem)) => Compared::Different(id, problem),
                Some(Ok(found)) => {
                    let mut what = differences(&plain(&expected), &plain(&found), "parameter");
                    // Ours may say more.
                    what.retain(|what| !what.ends_with(".description: not expected true"));
                    if what.is_empty() {
                        Compared::Equal(id)
                    } else {
                        Compared::Different(id, what.join("\n  "))
                    }
                }
            });
        }
    }
    all
}

/// The schema of a definition's parameters; `None` if there is no such definition.
pub(crate) fn schema(kind: DefinitionKind, name: &str) -> Option<Result<Value, String>> {
    let file =
        caravel_definitions::get(kind, name).or_else(|| caravel_definitions::sample(kind, name))?;
    let definition = match run::parse_file(&file) {
        Ok(definition) => definition,
        Err(problem) => return Some(Err(problem)),
    };
    let operation = Operation::Schema(SchemaRequest {
        name: name.to_owned(),
        source: definition.template,
        ..SchemaRequest::default()
    });
    let evaluator = Evaluator::V2;
    let id = 1;
    let reply = run::eval(&Request {
        id,
        evaluator,
        operation,
    });
    Some(match reply.outcome {
        Outcome::Ok(schema) => Ok(schema),
        Outcome::Error(error) => Err(error.kubevela_text),
        other => Err(format!("{other:?}")),
    })
}

/// A schema without the texts and without the order of what is required.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let mut fields = fields.clone();
            if fields.get("description").is_some_and(Value::is_string) {
                fields.insert("description".to_owned(), true.into());
            }
            if let Some(Value::Array(required)) = fields.get("required") {
                let sorted: BTreeSet<String> = required.iter().map(Value::to_string).collect();
                fields.insert("required".to_owned(), sorted.into_iter().collect());
            }
            fields
                .iter()
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}
