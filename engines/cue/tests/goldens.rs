//! The goldens of KubeVela that concern one operation each: merge, health, OpenAPI.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;
#[path = "support/tally.rs"]
mod tally;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::call;
use tally::{Outcome, Tally, cases, outcome, read, suite};

/// Merge cases that differ, and why.
const MERGE_DIFFERS: &[(&str, &str)] = &[(
    "patch-missing",
    "a request without a patch means its whole text, not a field that it lacks",
)];

/// Status cases that differ, and why.
const STATUS_DIFFERS: &[(&str, &str)] = &[
    (
        "expose-lb-pending (v2)",
        "KubeVela's text for a load balancer without an address is lost in a conflict of its own",
    ),
    (
        "expose-lb-pending (v3)",
        "KubeVela's text for a load balancer without an address is lost in a conflict of its own",
    ),
    (
        "expose-nostatus (v2)",
        "KubeVela's text for a load balancer without an address is lost in a conflict of its own",
    ),
    (
        "expose-nostatus (v3)",
        "KubeVela's text for a load balancer without an address is lost in a conflict of its own",
    ),
    (
        "gateway-hostname (v3)",
        "our definition has its message under both evaluators",
    ),
    (
        "gateway-missing-status (v3)",
        "our definition has its message under both evaluators",
    ),
    (
        "gateway-two (v3)",
        "our definition has its message under both evaluators",
    ),
];

const EVALUATORS: [&str; 2] = ["v2", "v3"];

fn name(case: &Path, evaluator: &str) -> String {
    format!(
        "{} ({evaluator})",
        case.file_name().unwrap().to_string_lossy()
    )
}

fn expected(case: &Path, evaluator: &str) -> Outcome {
    match read(case, evaluator, "expected", "json") {
        Some(text) => Ok(serde_json::from_str(&text).unwrap()),
        None => Err(read(case, evaluator, "expected-error", "txt").unwrap()),
    }
}

#[test]
fn merges_as_kubevela_does() {
    let Some(folder) = suite("merge") else { return };
    let mut tally = Tally::default();
    for case in cases(&folder) {
        for evaluator in EVALUATORS {
            let body = json!({
                "base": fs::read_to_string(case.join("base.cue")).unwrap(),
                "patch": fs::read_to_string(case.join("patch.cue")).unwrap(),
            });
            let found = outcome(&call(evaluator, "merge", &body));
            tally.compare(
                &name(&case, evaluator),
                &expected(&case, evaluator),
                &found,
                MERGE_DIFFERS,
            );
        }
    }
    tally.finish("merge");
}

#[test]
fn schemas_are_those_of_kubevela() {
    let Some(folder) = suite("openapi") else {
        return;
    };
    let mut tally = Tally::default();
    for case in cases(&folder) {
        for evaluator in EVALUATORS {
            let body = json!({
                "name": "template",
                "source": fs::read_to_string(case.join("template.cue")).unwrap(),
            });
            let found = outcome(&call(evaluator, "schema", &body));
            tally.compare(
                &name(&case, evaluator),
                &expected(&case, evaluator),
                &found,
                &[],
            );
        }
    }
    tally.finish("openapi");
}

#[test]
fn status_is_that_of_kubevela() {
    let Some(folder) = suite("health") else {
        return;
    };
    let mut tally = Tally::default();
    for case in cases(&folder) {
        let input: Value =
            serde_json::from_str(&fs::read_to_string(case.join("input.json")).unwrap()).unwrap();
        let Some(texts) = status_texts(&input) else {
            tally.skip();
            continue;
        };
        for evaluator in EVALUATORS {
            let expected: Value =
                serde_json::from_str(&read(&case, evaluator, "expected", "json").unwrap()).unwrap();
            let mut body = texts.clone();
            body["context"] = input["context"].clone();
            body["parameters"] = input["parameter"].clone();
            let found = outcome(&call(evaluator, "status", &body)).map(result_of_get_status);
            tally.compare(
                &name(&case, evaluator),
                &Ok(expected["result"].clone()),
                &found,
                STATUS_DIFFERS,
            );
        }
    }
    tally.finish("health");
}

/// The three texts of a case: its own, or those of a built-in definition; `None` where that is not here.
fn status_texts(input: &Value) -> Option<Value> {
    if let Some(own) = input.get("status") {
        return Some(own.clone());
    }
    let folder = match input["kind"].as_str().unwrap() {
        "ComponentDefinition" => "component",
        "TraitDefinition" => "trait",
        other => panic!("{other}"),
    };
    let name = input["definition"].as_str().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../definitions/{folder}/{name}.cue"));
    let source = fs::read_to_string(path).ok()?;
    let parsed = call(
        "v2",
        "parseDefinition",
        &json!({"file": name, "source": source}),
    );
    assert_eq!(parsed["status"], "ok", "{name}: {parsed}");
    let status = &parsed["body"]["object"]["spec"]["status"];
    Some(if status.is_null() {
        json!({})
    } else {
        status.clone()
    })
}

/// Keeps what KubeVela returns, with empty fields left out as its JSON does.
fn result_of_get_status(found: Value) -> Value {
    let mut result = json!({"healthy": found["healthy"]});
    if found["message"] != "" {
        result["message"] = found["message"].clone();
    }
    if found["details"]
        .as_object()
        .is_some_and(|details| !details.is_empty())
    {
        result["details"] = found["details"].clone();
    }
    result
}
