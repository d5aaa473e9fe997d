//! The `if` of steps: at run time one that cannot be decided fails the step (trap 4).

use serde_json::{Map, Value, json};

use super::{About, Question};
use crate::api::Application;
use crate::appfile::{Finding, FindingKind, StepState, did_you_mean, step_alias};
use crate::engine::{Diagnostic, DiagnosticKind, ExpressionRequest, Operation, Outcome};

/// The names that a condition may use (row WF-004).
const NAMES: [&str; 4] = ["status", "inputs", "context", "parameter"];

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
            let inner = step.sub_steps.iter();
            names_of(&step.name, step.properties.as_ref())
                .chain(inner.flat_map(|one| names_of(&one.name, one.properties.as_ref())))
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
fn names_of<'a>(
    name: &'a str,
    properties: Option<&'a Value>,
) -> impl Iterator<Item = &'a str> + use<'a> {
    std::iter::once(name).chain(properties.and_then(step_alias))
}

/// What can be asked of a step; the truth values are true.
fn state() -> Map<String, Value> {
    let fields = StepState::default().fields().into_iter();
    fields
        .map(|(field, value)| {
            (
                field,
                if value.is_boolean() {
                    true.into()
                } else {
                    value
                },
            )
        })
        .collect()
}

/// The names with values of the kind that they will have.
fn scope(steps: &[String]) -> Map<String, Value> {
    let status: Map<String, Value> = steps
        .iter()
        .map(|step| (step.clone(), Value::Object(state())))
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

    fn no_expression(&self, message: String) -> Finding {
        let example = "an expression such as `status.build.succeeded`";
        self.finding(FindingKind::Invalid, message)
            .expected(example, &self.text)
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
        let hint = "write `if: always` to run the step in any case";
        return Some(condition.no_expression(message).hint(hint));
    }
    let name = said.split('"').nth(1);
    if let Some(name) = name.filter(|_| said.starts_with("reference ")) {
        let message = format!("this condition uses a name that does not exist: `{name}`");
        let hint = one_of("names", name, &NAMES);
        return Some(condition.no_expression(message).hint(hint));
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
        let state = state();
        let fields: Vec<&str> = state.keys().map(String::as_str).collect();
        let message = format!("the state of a step has no field `{field}`");
        condition
            .finding(FindingKind::Invalid, message)
            .expected("a field of a step's state", &condition.text)
            .hint(one_of("fields", field, &fields))
    } else {
        let steps: Vec<&str> = condition.steps.iter().map(String::as_str).collect();
        let message = format!("the workflow has no step `{field}`: this cannot be decided");
        condition
            .finding(FindingKind::UnknownReference, message)
            .expected("the name of a step", &condition.text)
            .hint(one_of("steps", field, &steps))
    })
}

/// Which of the names that there are was meant.
fn one_of(what: &str, found: &str, names: &[&str]) -> String {
    did_you_mean(found, names.iter().copied())
        .unwrap_or_else(|| format!("the {what} are {}", names.join(", ")))
}
