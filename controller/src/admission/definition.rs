//! Definitions: the template must compile, and so must its status texts.

use caravel_core::appfile::Definition;
use caravel_core::engine::{Diagnostic, Operation, Template, ValidateRequest, ValidateResult};
use caravel_engines::{Answer, EngineError};
use caravel_schema::field;
use serde_json::Value;

use super::Verdict;
use crate::evaluation::Evaluation;

/// Judges a definition.
pub(crate) async fn admit(evaluation: &Evaluation, kind: &str, object: &Value) -> Verdict {
    let mut object = object.clone();
    object["kind"] = Value::from(kind);
    let definition = match Definition::from_object(&object) {
        Ok(definition) => definition,
        Err(problem) => {
            return Verdict {
                errors: vec![field::Error::invalid_without_value("spec", problem)],
                warnings: Vec::new(),
            };
        }
    };
    if definition.template.is_empty() {
        return Verdict::default();
    }
    let request = ValidateRequest {
        kind: definition.kind,
        template: Template {
            name: definition.name.clone(),
            source: definition.template,
            parameters: Value::Null,
        },
        status: definition.status,
        ..ValidateRequest::default()
    };
    match evaluation
        .ask(&definition.namespace, Operation::Validate(request))
        .await
    {
        Ok(Answer::Done(result)) => verdict(result),
        Ok(Answer::Need(_)) => Verdict::default(),
        Err(error) => unjudged(error),
    }
}

fn verdict(result: Value) -> Verdict {
    let result: ValidateResult = serde_json::from_value(result).unwrap_or_default();
    Verdict {
        errors: result.errors.iter().map(error).collect(),
        warnings: result.warnings.iter().map(in_words).collect(),
    }
}

/// The template was not judged to its end: what loops or bursts is refused, a fault of the engine is
/// not the author's.
fn unjudged(problem: EngineError) -> Verdict {
    match problem {
        EngineError::Template(problem) => Verdict {
            errors: problem.errors.iter().map(error).collect(),
            warnings: Vec::new(),
        },
        EngineError::Fault(_) => Verdict {
            errors: Vec::new(),
            warnings: vec![format!("the template could not be checked: {problem}")],
        },
        limit => Verdict {
            errors: vec![field::Error::forbidden(TEMPLATE, limit.to_string())],
            warnings: Vec::new(),
        },
    }
}

/// Where templates stand in a definition.
const TEMPLATE: &str = "spec.schematic.cue.template";

fn error(diagnostic: &Diagnostic) -> field::Error {
    field::Error::invalid_without_value(TEMPLATE, in_words(diagnostic))
}

/// Place, message, what was expected and found, what to do.
pub(crate) fn in_words(diagnostic: &Diagnostic) -> String {
    let mut text = String::new();
    if let Some(place) = diagnostic.positions.first() {
        text = format!(
            "{} line {}, column {}: ",
            place.file, place.line, place.column
        );
    }
    if !diagnostic.path.is_empty() && !diagnostic.message.contains(&diagnostic.path) {
        text = format!("{text}{}: ", diagnostic.path);
    }
    text.push_str(&diagnostic.message);
    match (diagnostic.expected.as_str(), diagnostic.found.as_str()) {
        ("", "") => {}
        (expected, "") => text = format!("{text} (expected {expected})"),
        ("", found) => text = format!("{text} (found {found})"),
        (expected, found) => text = format!("{text} (expected {expected}, found {found})"),
    }
    if !diagnostic.hint.is_empty() {
        text = format!("{text}; {}", diagnostic.hint);
    }
    text
}
