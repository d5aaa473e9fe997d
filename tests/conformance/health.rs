//! How live objects are judged, against KubeVela's judgements (suite `health`).

use std::path::Path;

use caravel_core::engine::{
    DefinitionKind, DefinitionStatusText, Evaluator, Operation, Outcome, Request, StatusRequest,
    StatusResult,
};
use caravel_tests::render::{builtin, eval};
use serde_json::{Value, json};

use crate::compare::difference;

/// Compares one case; the difference, if there is one.
pub(crate) fn compare(folder: &Path, evaluator: Evaluator, name: &str) -> Option<String> {
    let read = |file: &str| -> Option<Value> {
        serde_json::from_slice(&std::fs::read(folder.join(file)).ok()?).ok()
    };
    let input = read("input.json").unwrap();
    let expected = read(&format!("expected.{name}.json")).or_else(|| read("expected.json"));
    let expected = &expected.unwrap()["result"];
    let texts = texts(&input);
    let operation = Operation::Status(StatusRequest {
        health_policy: texts.health_policy,
        custom_status: texts.custom_status,
        details: texts.details,
        context: input["context"].as_object().cloned().unwrap_or_default(),
        parameters: input["parameter"].clone(),
    });
    let request = Request {
        id: 1,
        evaluator,
        operation,
    };
    let found: StatusResult = match eval(&request).outcome {
        Outcome::Ok(result) => serde_json::from_value(result).unwrap(),
        other => return Some(format!("{other:?}")),
    };
    let text = |field: &str| expected[field].as_str().unwrap_or_default();
    let details = match &expected["details"] {
        Value::Null => json!({}),
        details => details.clone(),
    };
    difference(
        &json!({ "healthy": expected["healthy"], "message": text("message"), "details": details }),
        &json!({ "healthy": found.healthy, "message": found.message, "details": found.details }),
        "status",
    )
}

/// The texts that judge: those of a built-in definition, or the case's own.
fn texts(input: &Value) -> DefinitionStatusText {
    let kind = match input["kind"].as_str() {
        Some("ComponentDefinition") => DefinitionKind::Component,
        Some("TraitDefinition") => DefinitionKind::Trait,
        _ => return serde_json::from_value(input["status"].clone()).unwrap(),
    };
    let name = input["definition"].as_str().unwrap();
    builtin(kind, name).unwrap().unwrap().status
}
