//! Outputs: from which expression a value comes. One that cannot be read is never there, and who needs it waits for ever.

use serde_json::{Map, Value, json};

use super::step;
use super::{About, Question};
use crate::api::{Application, StepOutput};
use crate::appfile::{DefinitionSource, Finding, FindingKind, did_you_mean, resolve_in};
use crate::engine::{DefinitionKind, DiagnosticKind, ExpressionRequest, Operation, Outcome};

/// What an output of a component is read from; KubeVela's steps for components have `apply` too.
const OF_COMPONENTS: [&str; 5] = ["output", "outputs", "context", "parameter", "apply"];

/// The expression of an output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    path: String,
    subject: String,
    name: String,
    text: String,
    /// The template in whose scope it stands; none where it stands in that of a component.
    template: Option<String>,
}

/// The expressions of all outputs, tried on nothing.
pub(super) fn questions(app: &Application, source: &dyn DefinitionSource) -> Vec<Question> {
    let mut found = Vec::new();
    for (index, component) in app.spec.components.iter().enumerate() {
        let path = format!("spec.components[{index}]");
        let subject = format!("component {}", component.name);
        found.extend(outputs(&component.outputs, &path, &subject, None));
    }
    for step in step::steps(app) {
        let template = if step.applies_component() {
            None
        } else {
            let known = resolve_in(app, source, DefinitionKind::WorkflowStep, step.type_);
            // What an unknown type gives nobody knows.
            let Some(known) = known else { continue };
            Some(known.definition.template.clone())
        };
        found.extend(outputs(
            step.outputs,
            &step.path(),
            &step.subject(),
            template.as_deref(),
        ));
    }
    found.into_iter().map(Output::question).collect()
}

fn outputs(
    written: &[StepOutput],
    path: &str,
    subject: &str,
    template: Option<&str>,
) -> Vec<Output> {
    let outputs = written.iter().enumerate();
    outputs
        .map(|(index, output)| Output {
            path: format!("{path}.outputs[{index}].valueFrom"),
            subject: subject.to_owned(),
            name: output.name.clone(),
            text: output.value_from.clone(),
            template: template.map(str::to_owned),
        })
        .collect()
}

impl Output {
    fn question(self) -> Question {
        let scope: Map<String, Value> = OF_COMPONENTS
            .iter()
            .map(|name| ((*name).to_owned(), json!({})))
            .collect();
        Question {
            operation: Operation::Expression(ExpressionRequest {
                expression: self.text.clone(),
                scope,
                ..ExpressionRequest::default()
            }),
            evaluator: None,
            about: About::Output(self),
        }
    }

    /// Whether a name may stand in the scope of the expression.
    fn may_have(&self, name: &str) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '#');
        let template = self.template.as_deref();
        template.is_some_and(|text| text.split(|c| !is_word(c)).any(|word| word == name))
    }
}

/// What is certain of an answer: that the text is no expression, and names that are nowhere.
pub(super) fn findings(output: &Output, outcome: Outcome) -> Option<Finding> {
    let Outcome::Error(error) = outcome else {
        return None;
    };
    let first = error.errors.into_iter().next().unwrap_or_default();
    let said = &first.message;
    if first.kind == DiagnosticKind::Syntax {
        let message = format!("this is no CUE expression: {said}");
        let finding = Finding::new(FindingKind::Invalid, &output.path, message)
            .expected("an expression such as `output.status.phase`", &output.text)
            .hint("write the path of the value, or an expression that makes it");
        return Some(finding.about(&output.subject));
    }
    let name = said.strip_prefix("reference ")?.split('"').nth(1)?;
    if output.may_have(name) {
        return None;
    }
    let (kind, known) = match output.template {
        None => (FindingKind::UnknownReference, &OF_COMPONENTS[..2]),
        // A template may have names that its text does not show.
        Some(_) => (FindingKind::Unfed, &OF_COMPONENTS[..4]),
    };
    let message = format!(
        "there is no `{name}` here: the output `{}` never has a value",
        output.name
    );
    let hint = did_you_mean(name, known.iter().copied())
        .unwrap_or_else(|| format!("the names are {}", known.join(", ")));
    Some(
        Finding::new(kind, &output.path, message)
            .about(&output.subject)
            .expected("a value of the objects, or of the step", &output.text)
            .hint(hint),
    )
}
