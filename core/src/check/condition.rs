//! The `if` of steps: at run time one that cannot be decided fails the step (trap 4).

use serde_json::{Map, Value, json};

use super::name::names_in;
use super::step::{self, Written};
use super::{About, Question};
use crate::api::{Application, StepInput};
use crate::appfile::{Finding, FindingKind, StepState, did_you_mean};
use crate::engine::{Diagnostic, DiagnosticKind, ExpressionRequest, Operation, Outcome};

/// The names that a condition may use (row WF-004).
const NAMES: [&str; 4] = ["status", "inputs", "context", "parameter"];

/// What stands in `context` of a step (row REN-107); `custom` is what policies give.
const CONTEXT: [&str; 19] = [
    "appAnnotations",
    "appLabels",
    "appName",
    "appRevision",
    "appRevisionNum",
    "cluster",
    "clusterVersion",
    "components",
    "custom",
    "name",
    "namespace",
    "publishVersion",
    "replicaKey",
    "revision",
    "spanID",
    "stepGroupName",
    "stepName",
    "stepSessionID",
    "workflowName",
];

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    path: String,
    text: String,
    /// Names of all steps; none where the Application does not say what its steps are.
    steps: Vec<String>,
    /// What the step takes from others.
    inputs: Vec<String>,
}

/// Tries each condition on steps that have all succeeded: what does not depend on how they stand shows.
pub(super) fn questions(app: &Application) -> Vec<Question> {
    let steps = step::steps(app);
    let names: Vec<String> = steps
        .iter()
        .flat_map(Written::names)
        .map(str::to_owned)
        .collect();
    let is_elsewhere = app.spec.workflow.iter().any(|flow| flow.ref_.is_some());
    let question = |step: &Written<'_>| {
        let text = step.if_.filter(|text| text.trim() != "always")?;
        Some(Question {
            operation: Operation::Expression(ExpressionRequest {
                expression: text.to_owned(),
                scope: scope(&names, step),
                ..ExpressionRequest::default()
            }),
            evaluator: None,
            about: About::Condition(Condition {
                path: format!("{}.if", step.path()),
                text: text.to_owned(),
                steps: if is_elsewhere {
                    Vec::new()
                } else {
                    names.clone()
                },
                inputs: inputs(app, step),
            }),
        })
    };
    steps.iter().filter_map(question).collect()
}

/// The names of what a step takes from others; one that applies a component takes what that takes.
fn inputs(app: &Application, step: &Written<'_>) -> Vec<String> {
    let applied = app.spec.components.iter().filter(|component| {
        step.applies_component() && *step.property("component") == *component.name
    });
    let of_components = applied.flat_map(|component| &component.inputs);
    let all = step.inputs.iter().chain(of_components);
    all.map(|input: &StepInput| input.from.clone()).collect()
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
fn scope(steps: &[String], step: &Written<'_>) -> Map<String, Value> {
    let status: Map<String, Value> = steps
        .iter()
        .map(|step| (step.clone(), Value::Object(state())))
        .collect();
    let mut scope: Map<String, Value> = NAMES
        .iter()
        .map(|name| ((*name).to_owned(), json!({})))
        .collect();
    scope.insert("status".to_owned(), Value::Object(status));
    if let Some(given) = step.properties.filter(|given| given.is_object()) {
        scope.insert("parameter".to_owned(), given.clone());
    }
    scope
}

pub(super) fn findings(condition: &Condition, outcome: Outcome) -> Vec<Finding> {
    let found = match outcome {
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
    };
    match found {
        Some(finding) => vec![finding],
        None => condition.unknown_names(),
    }
}

impl Condition {
    /// Nothing in it depends on values that are known only when it is asked.
    fn is_certain(&self) -> bool {
        let later = ["inputs", "context"];
        !self.steps.is_empty() && !later.iter().any(|name| self.text.contains(name))
    }

    fn no_expression(&self, message: String) -> Finding {
        let example = "an expression such as `status.build.succeeded`";
        self.finding(FindingKind::Invalid, message)
            .expected(example, &self.text)
    }

    fn finding(&self, kind: FindingKind, message: String) -> Finding {
        Finding::new(kind, &self.path, message)
    }

    fn unknown(&self, message: String, expected: &str, found: &str, hint: String) -> Finding {
        self.finding(FindingKind::UnknownReference, message)
            .expected(expected, found)
            .hint(hint)
    }

    /// Names that are nowhere, whatever the values of the others are. A condition may ask whether there is one.
    fn unknown_names(&self) -> Vec<Finding> {
        if self.text.contains("_|_") {
            return Vec::new();
        }
        let inputs: Vec<&str> = self.inputs.iter().map(String::as_str).collect();
        let unfed = names_in(&self.text, "inputs").into_iter();
        let unfed = unfed.filter(|name| !inputs.contains(&name.as_str()));
        let unfed = unfed.map(|name| {
            let message = format!("the step has no input `{name}`: this cannot be decided");
            let hint = if inputs.is_empty() {
                format!("give the step the input: `inputs: [{{from: {name}}}]`")
            } else {
                one_of("inputs of the step", &name, &inputs)
            };
            let found = format!("inputs.{name}");
            self.unknown(message, "the `from` of an input of the step", &found, hint)
        });
        let named = names_in(&self.text, "context").into_iter();
        let strange = named.filter(|name| !CONTEXT.contains(&name.as_str()));
        let strange = strange.map(|name| {
            let message = format!("the context of a step has no `{name}`: this cannot be decided");
            let hint = one_of("names in it", &name, &CONTEXT);
            let found = format!("context.{name}");
            self.unknown(message, "a name in the context of steps", &found, hint)
        });
        unfed.chain(strange).collect()
    }

    /// What its author probably meant where it is no expression.
    fn advice(&self) -> &'static str {
        if has_single_equals(&self.text) {
            "`==` compares; `=` does not"
        } else {
            "texts stand in double quotes, `==` and `!=` compare, `&&`, `||` and `!` join; `if: always` runs the step in any case"
        }
    }

    /// A step whose name is no word of the language, where it is used as one.
    fn unquoted(&self) -> Option<String> {
        let is_used =
            |name: &&String| name.contains('-') && self.text.contains(&format!("status.{name}"));
        let name = self.steps.iter().find(is_used)?;
        Some(format!(
            "write status[\"{name}\"]: `-` takes one value from another"
        ))
    }
}

/// Whether a text has a `=` that compares nothing.
fn has_single_equals(text: &str) -> bool {
    let padded = format!(" {text} ");
    let letters: Vec<char> = padded.chars().collect();
    letters
        .windows(3)
        .any(|around| around[1] == '=' && !"=!<>".contains(around[0]) && !"=~".contains(around[2]))
}

/// What is certain of an error: that it is no CUE, and names that are nowhere.
fn unusable(condition: &Condition, error: &Diagnostic) -> Option<Finding> {
    let said = &error.message;
    if error.kind == DiagnosticKind::Syntax {
        let message = format!("this condition is no CUE expression: {said}");
        let found = condition.no_expression(message);
        return Some(found.hint(condition.advice()));
    }
    let name = said.split('"').nth(1);
    if let Some(name) = name.filter(|_| said.starts_with("reference ")) {
        let message = format!("this condition uses a name that does not exist: `{name}`");
        let words = [&NAMES[..], &["always"]].concat();
        let hint = condition
            .unquoted()
            .or_else(|| did_you_mean(name, words))
            .unwrap_or_else(|| format!("the names are {}", NAMES.join(", ")));
        return Some(condition.no_expression(message).hint(hint));
    }
    if !condition.is_certain() {
        return None;
    }
    if said.starts_with("invalid operands ") {
        let types = said
            .rsplit_once("(type ")
            .map(|(_, types)| types.trim_end_matches(')'));
        let operator = said
            .rsplit_once("to '")
            .and_then(|(_, rest)| rest.split('\'').next());
        let message = format!(
            "`{}` takes no {} together: this cannot be decided",
            operator.unwrap_or_default(),
            types.unwrap_or_default()
        );
        let hint = "compare values of one type; a text stands in double quotes";
        return Some(condition.no_expression(message).hint(hint));
    }
    let field = said.strip_prefix("undefined field: ")?.trim_matches('"');
    Some(no_field(condition, field))
}

/// A field of the state of steps, of a step or of its parameters that is not there.
fn no_field(condition: &Condition, field: &str) -> Finding {
    let is_of_step = condition.steps.iter().any(|step| {
        let text = &condition.text;
        text.contains(&format!("{step}.{field}")) || text.contains(&format!("\"{step}\"].{field}"))
    });
    if is_of_step {
        let state = state();
        let fields: Vec<&str> = state.keys().map(String::as_str).collect();
        let message = format!("the state of a step has no field `{field}`");
        return condition
            .finding(FindingKind::Invalid, message)
            .expected("a field of a step's state", &condition.text)
            .hint(one_of("fields", field, &fields));
    }
    if names_in(&condition.text, "parameter").contains(&field.to_owned()) {
        let message = format!("the step has no parameter `{field}`: this cannot be decided");
        let hint = format!("set `{field}` in the properties of the step");
        return condition.unknown(message, "a parameter of the step", &condition.text, hint);
    }
    let steps: Vec<&str> = condition.steps.iter().map(String::as_str).collect();
    let message = format!("the workflow has no step `{field}`: this cannot be decided");
    condition.unknown(
        message,
        "the name of a step",
        &condition.text,
        one_of("steps", field, &steps),
    )
}

/// Which of the names that there are was meant.
fn one_of(what: &str, found: &str, names: &[&str]) -> String {
    did_you_mean(found, names.iter().copied())
        .unwrap_or_else(|| format!("the {what} are {}", names.join(", ")))
}
