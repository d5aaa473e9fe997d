//! Inputs that nothing feeds.

use super::step::{self, Written};
use crate::api::{Application, StepInput, StepOutput};
use crate::appfile::{DefinitionSource, Finding, FindingKind, did_you_mean, resolve_in};
use crate::engine::DefinitionKind;

/// Inputs whose output no component or step of the Application declares (WF-015). They may be fed by a template
/// that puts a variable, so that this is a warning: without that the step waits for ever (trap 7).
pub(super) fn unfed(app: &Application, source: &dyn DefinitionSource) -> Vec<Finding> {
    let flow = app.spec.workflow.as_ref();
    if flow.is_some_and(|flow| flow.ref_.is_some()) {
        return Vec::new();
    }
    let steps = step::steps(app);
    // A step may put variables of any name for others (PRV-001).
    let puts = |step: &Written<'_>| {
        resolve_in(app, source, DefinitionKind::WorkflowStep, step.type_)
            .is_some_and(|found| found.definition.template.contains("#DoVar"))
    };
    let is_open = steps.iter().any(puts);
    let of_components = app.spec.components.iter().flat_map(|one| &one.outputs);
    let of_steps = steps.iter().flat_map(|step| step.outputs);
    let names: Vec<&str> = of_components
        .chain(of_steps)
        .map(|output: &StepOutput| output.name.as_str())
        .collect();
    let mut findings = Vec::new();
    let mut look = |inputs: &[StepInput], path: &str, subject: &str| {
        for (index, input) in inputs.iter().enumerate() {
            if is_given(&input.from, &names) || is_open && !input.from.is_empty() {
                continue;
            }
            let path = format!("{path}.inputs[{index}].from");
            if input.from.is_empty() {
                let message =
                    "this input does not say where its value comes from: it waits for ever";
                findings.push(
                    Finding::new(FindingKind::Unfed, path, message)
                        .about(subject)
                        .hint("write `from:` with the name of an output, or with a path such as context.appName"),
                );
                continue;
            }
            let hint = did_you_mean(&input.from, names.iter().copied()).unwrap_or_else(|| {
                if names.is_empty() {
                    "declare the output under `outputs` of the step or component that makes it"
                        .to_owned()
                } else {
                    format!("the outputs are: {}", names.join(", "))
                }
            });
            findings.push(
                Finding::new(
                    FindingKind::Unfed,
                    path,
                    format!(
                        "no step or component declares the output `{}`: this waits for ever",
                        input.from
                    ),
                )
                .about(subject)
                .expected("the name of an output", input.from.clone())
                .hint(hint),
            );
        }
    };
    for (index, component) in app.spec.components.iter().enumerate() {
        let subject = format!("component {}", component.name);
        look(
            &component.inputs,
            &format!("spec.components[{index}]"),
            &subject,
        );
    }
    for step in &steps {
        look(step.inputs, &step.path(), &step.subject());
    }
    findings
}

/// An output, a field of one, or something of the context.
fn is_given(from: &str, outputs: &[&str]) -> bool {
    let is_inside = |name: &str| {
        from.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    is_inside("context") || outputs.iter().any(|name| is_inside(name))
}
