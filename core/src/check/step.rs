//! The steps and sub-steps that an Application writes down, each with its place.

use serde_json::Value;

use crate::api::{Application, StepInput, StepOutput};
use crate::appfile::{Finding, is_apply_component, not_a_duration, step_alias};

/// A step or sub-step as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    pub name: &'a str,
    pub type_: &'a str,
    pub if_: Option<&'a str>,
    pub properties: Option<&'a Value>,
    pub inputs: &'a [StepInput],
    pub outputs: &'a [StepOutput],
    /// Its number.
    pub index: usize,
    /// Its number among the sub-steps, where it is one.
    pub sub_index: Option<usize>,
}

impl<'a> Written<'a> {
    /// Where it stands in the Application.
    pub(super) fn path(&self) -> String {
        let path = format!("spec.workflow.steps[{}]", self.index);
        match self.sub_index {
            Some(index) => format!("{path}.subSteps[{index}]"),
            None => path,
        }
    }

    pub(super) fn is_sub_step(&self) -> bool {
        self.sub_index.is_some()
    }

    pub(super) fn subject(&self) -> String {
        format!("step {}", self.name)
    }

    /// A step is known by its name and by what it applies.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        std::iter::once(self.name).chain(self.alias())
    }

    fn alias(&self) -> Option<&'a str> {
        step_alias(self.type_, self.properties?)
    }

    /// What its properties say under a name; null where they do not.
    pub(super) fn property(&self, name: &str) -> &'a Value {
        self.properties
            .map_or(&Value::Null, |properties| &properties[name])
    }

    /// Whether an input fills a parameter, or something in it.
    pub(super) fn is_fed(&self, parameter: &str) -> bool {
        let mut keys = self
            .inputs
            .iter()
            .filter_map(|one| one.parameter_key.as_deref());
        keys.any(|key| key.split(['.', '[']).next() == Some(parameter))
    }

    /// Whether it applies a component by its name.
    pub(super) fn applies_component(&self) -> bool {
        is_apply_component(self.type_)
    }
}

/// All of them, in their order.
pub(super) fn steps(app: &Application) -> Vec<Written<'_>> {
    let steps = app.spec.workflow.iter().flat_map(|flow| &flow.steps);
    let mut found = Vec::new();
    for (index, step) in steps.enumerate() {
        found.push(Written {
            name: &step.name,
            type_: &step.type_,
            if_: step.if_.as_deref(),
            properties: step.properties.as_ref(),
            inputs: &step.inputs,
            outputs: &step.outputs,
            index,
            sub_index: None,
        });
        found.extend(step.sub_steps.iter().enumerate().map(|(at, sub)| Written {
            name: &sub.name,
            type_: &sub.type_,
            if_: sub.if_.as_deref(),
            properties: sub.properties.as_ref(),
            inputs: &sub.inputs,
            outputs: &sub.outputs,
            index,
            sub_index: Some(at),
        }));
    }
    found
}

/// Times for which steps suspend the workflow that are no durations: they would fail when their turn comes.
pub(super) fn bad_durations(app: &Application) -> Vec<Finding> {
    let suspending = steps(app)
        .into_iter()
        .filter(|step| step.type_ == "suspend" && !step.is_fed("duration"));
    suspending
        .filter_map(|step| {
            let text = step.property("duration").as_str()?;
            let path = format!("{}.properties.duration", step.path());
            let finding = not_a_duration(path, text).filter(|_| !text.is_empty())?;
            Some(finding.about(step.subject()))
        })
        .collect()
}
