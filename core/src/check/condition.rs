//! The `if` of steps: at run time one that cannot be decided fails the step (trap 4).

use serde_json::{Map, Value, json};

use super::{About, Question};
use crate::api::{Application, WorkflowStep, WorkflowSubStep};
use crate::appfile::{Finding, FindingKind, did_you_mean};
use crate::engine::{Diagnostic, DiagnosticKind, ExpressionRequest, Operation, Outcome};

/// The names that a condition may use (row WF-004).
const NAMES: [&str; 4] = ["status", "inputs", "context", "parameter"];

/// What the state of a step tells that is true or false (row WF-004).
const FLAGS: [&str; 6] = [
    "succeeded",
    "failed",
    "skipped",
    "timeout",
    "failedAfterRetries",
    "terminate",
];

/// What it tells in words.
const TEXTS: [&str; 6] = ["phase", "message", "reason", "id", "name", "type"];

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    path: String,
    text: String,
    /// Names of all steps; none where the Application does not say what its steps are.
    steps: Vec<String>,
}

/// Tries each condition on steps that have all succeeded: what does not depend on how they stand shows.
pub(super) fn questions(app: &Application) -> Vec<Question> {
    let Some(flow) = &app.spec.workflow else {
        return Vec::new();
    };
    let names: Vec<String> = flow
        .steps
        .iter()
        .flat_map(|step| {
            let inner = step.sub_steps.iter().flat_map(names_of_sub_step);
            names_of_step(step).chain(inner)
        })
        .map(str::to_owned)
        .collect();
    let mut found = Vec::new();
    for (index, step) in flow.steps.iter().enumerate() {
        let path = format!("spec.workflow.steps[{index}]");
        found.extend(step.if_.as_deref().map(|text| (path.clone(), text)));
        for (at, sub_step) in step.sub_steps.iter().enumerate() {
            let path = format!("{path}.subSteps[{at}]");
            found.extend(sub_step.if_.as_deref().map(|text| (path, text)));
        }
    }
    let question = |(path, text): (String, &str)| Question {
        operation: Operation::Expression(ExpressionRequest {
            expression: text.to_owned(),
            scope: scope(&names),
        }),
        evaluator: None,
        about: About::Condition(Condition {
            path: format!("{path}.if"),
            text: text.to_owned(),
            steps: if flow.ref_.is_some() {
                Vec::new()
            } else {
                names.clone()
            },
        }),
    };
    let is_expression = |(_, text): &(String, &str)| *text != "always";
    found
        .into_iter()
        .filter(is_expression)
        .map(question)
        .collect()
}

/// A step is known by its name and by what it applies.
fn names_of_step(step: &WorkflowStep) -> impl Iterator<Item = &str> {
    std::iter::once(step.name.as_str()).chain(alias(step.properties.as_ref()))
}

fn names_of_sub_step(step: &WorkflowSubStep) -> impl Iterator<Item = &str> {
    std::iter::once(step.name.as_str()).chain(alias(step.properties.as_ref()))
}

fn alias(properties: Option<&Value>) -> Option<&str> {
    let properties = properties?;
    ["name", "component"]
        .into_iter()
        .find_map(|key| properties.get(key)?.as_str())
}

/// The names with values of the kind that they will have.
fn scope(steps: &[String]) -> Map<String, Value> {
    let flags = FLAGS.iter().map(|name| ((*name).to_owned(), json!(true)));
    let texts = TEXTS.iter().map(|name| ((*name).to_owned(), json!("")));
    let state: Map<String, Value> = flags.chain(texts).collect();
    let status: Map<String, Value> = steps
        .iter()
        .map(|step| (step.clone(), Value::Object(state.clone())))
        .collect();
    let mut scope: Map<String, Value> = NAMES
        .iter()
        .map(|name| ((*name).to_owned(), json!({})))
        .collect();
    scope.insert("status".to_owned(), Value::Object(status));
    scope
}

pub(super) fn findings(condition: &Condition, outcome: Outcome) -> Option<Finding> {
    match outcome {
        Outcome::Error(error) => {
            let first = error.errors.into_iter().next().unwrap_or_default();
            unusable(condition, &first)
        }
        Outcome::Ok(value) if !value.is_boolean() && condition.is_certain() => {
            let message = "this condition is neither true nor false: the step fails";
            Some(
                Finding::new(FindingKind::Invalid, &condition.path, message)
                    .expected("true or false", value.to_string())
                    .hint("compare it with something, for instance `status.build.phase == \"succeeded\"`"),
            )
        }
        Outcome::Limit(fault) | Outcome::BadRequest(fault) | Outcome::Panic(fault) => {
            let message = format!("this condition could not be checked: {}", fault.message);
            Some(condition.finding(FindingKind::Unchecked, message))
        }
        Outcome::Ok(_) | Outcome::Need(_) => None,
    }
}

impl Condition {
    /// Nothing in it depends on values that are known only when it is asked.
    fn is_certain(&self) -> bool {
        !self.steps.is_empty() && !NAMES[1..].iter().any(|name| self.text.contains(name))
    }

    fn finding(&self, kind: FindingKind, message: String) -> Finding {
        Finding::new(kind, &self.path, message)
    }
}

/// What is certain of an error: that it is no CUE, and names that are nowhere.
fn unusable(condition: &Condition, error: &Diagnostic) -> Option<Finding> {
    let said = &error.message;
    if error.kind == DiagnosticKind::Syntax {
        let message = format!("this condition is no CUE expression: {said}");
        return Some(
            condition
                .finding(FindingKind::Invalid, message)
                .expected(
                    "an expression such as `status.build.succeeded`",
                    &condition.text,
                )
                .hint("write `if: always` to run the step in any case"),
        );
    }
    let name = said.split('"').nth(1);
    if let Some(name) = name.filter(|_| said.starts_with("reference ")) {
        let hint = did_you_mean(name, NAMES)
            .unwrap_or_else(|| format!("the names are {}", NAMES.join(", ")));
        let message = format!("this condition uses a name that does not exist: `{name}`");
        return Some(
            condition
                .finding(FindingKind::Invalid, message)
                .expected(
                    "an expression such as `status.build.succeeded`",
                    &condition.text,
                )
                .hint(hint),
        );
    }
    let field = said
        .strip_prefix("undefined field: ")
        .filter(|_| condition.is_certain())?
        .trim_matches('"');
    let is_of_step = condition.steps.iter().any(|step| {
        let text = &condition.text;
        text.contains(&format!("{step}.{field}")) || text.contains(&format!("\"{step}\"].{field}"))
    });
    Some(if is_of_step {
        condition
            .finding(
                FindingKind::Invalid,
                format!("the state of a step has no field `{field}`"),
            )
            .expected("a field of a step's state", &condition.text)
            .hint(
                did_you_mean(field, FLAGS.into_iter().chain(TEXTS)).unwrap_or_else(|| {
                    format!("the fields are {}, {}", FLAGS.join(", "), TEXTS.join(", "))
                }),
            )
    } else {
        let names = condition.steps.iter().map(String::as_str);
        condition
            .finding(
                FindingKind::UnknownReference,
                format!("the workflow has no step `{field}`: this cannot be decided"),
            )
            .expected("the name of a step", &condition.text)
            .hint(
                did_you_mean(field, names)
                    .unwrap_or_else(|| format!("the steps are {}", condition.steps.join(", "))),
            )
    })
}
