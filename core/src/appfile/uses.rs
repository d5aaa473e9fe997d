//! Which definitions an Application uses, and where.

use serde_json::Value;

use super::{DefinitionSource, namespace_of};
use crate::api::{Application, Workflow, WorkflowStep};
use crate::engine::DefinitionKind;

/// A definition in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What it defines.
    pub kind: DefinitionKind,
    /// As written: it may name a version.
    pub type_: String,
    /// Field path of the type in the Application, or of what leads to the object that names it.
    pub path: String,
}

/// All uses, in the order of the Application: with those in override policies, in the Workflow and the Policies that it refers
/// to, and with the step that policies generate where the Application gives no steps (APP-037).
pub fn uses(application: &Application, source: &dyn DefinitionSource) -> Vec<Use> {
    let mut uses = Uses::default();
    uses.components(application);
    for (index, policy) in application.spec.policies.iter().enumerate() {
        let path = format!("spec.policies[{index}]");
        uses.policy(&policy.type_, policy.properties.as_ref(), &path, false);
    }
    let flow = application.spec.workflow.as_ref();
    let own = flow.map_or(&[][..], |flow| &flow.steps);
    for (index, step) in own.iter().enumerate() {
        uses.step(step, &format!("spec.workflow.steps[{index}]"), false);
    }
    let referred = referred(application, source);
    for step in referred.iter().flat_map(|workflow| &workflow.spec.steps) {
        uses.step(step, "spec.workflow.ref", true);
    }
    for (name, path) in named_policies(application, referred.as_ref()) {
        if let Some(policy) = source.policy(namespace_of(application), &name) {
            let spec = &policy.spec;
            uses.policy(&spec.type_, spec.properties.as_ref(), &path, true);
        }
    }
    let deploys = |type_: &str| matches!(type_, "topology" | "override");
    let mut policies = application.spec.policies.iter();
    let is_generated = own.is_empty() && flow.is_none_or(|flow| flow.ref_.is_none());
    if is_generated && let Some(index) = policies.position(|policy| deploys(&policy.type_)) {
        let path = format!("spec.policies[{index}].type");
        uses.add(DefinitionKind::WorkflowStep, "deploy", path);
    }
    uses.0
}

/// The Workflow object that an Application refers to.
fn referred(application: &Application, source: &dyn DefinitionSource) -> Option<Workflow> {
    let name = application.spec.workflow.as_ref()?.ref_.as_deref()?;
    source.workflow(namespace_of(application), name)
}

/// Policies that `deploy` steps name and that the Application itself does not have, with the path of what names them; each
/// once, by name.
pub fn named_policies(
    application: &Application,
    workflow: Option<&Workflow>,
) -> Vec<(String, String)> {
    let own = application.spec.workflow.as_ref();
    let own = own.map_or(&[][..], |flow| &flow.steps).iter().enumerate();
    let own = own.map(|(index, step)| (step, format!("spec.workflow.steps[{index}]")));
    let referred = workflow.map_or(&[][..], |flow| &flow.spec.steps).iter();
    let referred = referred.map(|step| (step, "spec.workflow.ref".to_owned()));
    let is_foreign = |name: &String| {
        let mut policies = application.spec.policies.iter();
        !policies.any(|policy| policy.name == *name)
    };
    let mut names: Vec<(String, String)> = own
        .chain(referred)
        .flat_map(|(step, path)| policies_of(step).map(move |name| (name, path.clone())))
        .filter(|(name, _)| is_foreign(name))
        .collect();
    names.sort();
    names.dedup_by(|one, other| one.0 == other.0);
    names
}

/// Policies that a step and its sub-steps name.
pub fn policies_of(step: &WorkflowStep) -> impl Iterator<Item = String> {
    let sub_steps = step.sub_steps.iter();
    let properties = step
        .properties
        .iter()
        .chain(sub_steps.filter_map(|sub| sub.properties.as_ref()));
    properties
        .filter_map(|properties| properties["policies"].as_array())
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
}

/// The path of a field; what is in another object has the path of what leads there.
fn place(path: &str, inner: &str, is_far: bool) -> String {
    if is_far {
        return path.to_owned();
    }
    format!("{path}.{inner}")
}

#[derive(Default)]
struct Uses(Vec<Use>);

impl Uses {
    fn add(&mut self, kind: DefinitionKind, type_: &str, path: String) {
        let type_ = type_.to_owned();
        self.0.push(Use { kind, type_, path });
    }

    fn components(&mut self, application: &Application) {
        for (index, component) in application.spec.components.iter().enumerate() {
            let path = format!("spec.components[{index}]");
            let of_type = format!("{path}.type");
            self.add(DefinitionKind::Component, &component.type_, of_type);
            for (at, part) in component.traits.iter().enumerate() {
                let path = format!("{path}.traits[{at}].type");
                self.add(DefinitionKind::Trait, &part.type_, path);
            }
        }
    }

    /// A policy, and what it makes of components.
    fn policy(&mut self, type_: &str, properties: Option<&Value>, path: &str, is_far: bool) {
        let at = |inner: &str| place(path, inner, is_far);
        self.add(DefinitionKind::Policy, type_, at("type"));
        if type_ != "override" {
            return;
        }
        let patches = properties.and_then(|properties| properties["components"].as_array());
        for (index, patch) in patches.into_iter().flatten().enumerate() {
            let inner = format!("properties.components[{index}]");
            if let Some(type_) = patch["type"].as_str() {
                let path = at(&format!("{inner}.type"));
                self.add(DefinitionKind::Component, type_, path);
            }
            let traits = patch["traits"].as_array().into_iter().flatten();
            for (index, part) in traits.enumerate() {
                if let Some(type_) = part["type"].as_str() {
                    let path = at(&format!("{inner}.traits[{index}].type"));
                    self.add(DefinitionKind::Trait, type_, path);
                }
            }
        }
    }

    fn step(&mut self, step: &WorkflowStep, path: &str, is_far: bool) {
        let at = |inner: &str| place(path, inner, is_far);
        self.add(DefinitionKind::WorkflowStep, &step.type_, at("type"));
        for (index, sub_step) in step.sub_steps.iter().enumerate() {
            let path = at(&format!("subSteps[{index}].type"));
            self.add(DefinitionKind::WorkflowStep, &sub_step.type_, path);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::appfile::{DefinitionSet, read_application};

    fn found(spec: &Value, source: &DefinitionSet) -> Vec<(String, String)> {
        let object = json!({
            "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": spec,
        });
        let application = read_application(&object).expect("an Application");
        let uses = uses(&application, source).into_iter();
        uses.map(|one| (one.type_, one.path)).collect()
    }

    fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
        let pairs = expected.into_iter();
        pairs
            .map(|(type_, path)| (type_.to_owned(), path.to_owned()))
            .collect()
    }

    #[test]
    fn overrides_and_generated_steps_use_definitions_too() {
        let spec = json!({
            "components": [{"name": "a", "type": "webservice@v1.2", "traits": [{"type": "scaler"}]}],
            "policies": [
                {"name": "o", "type": "override", "properties": {"components": [
                    {"name": "a", "type": "worker", "traits": [{"type": "env"}]}]}},
            ],
        });
        let expected = pairs([
            ("webservice@v1.2", "spec.components[0].type"),
            ("scaler", "spec.components[0].traits[0].type"),
            ("override", "spec.policies[0].type"),
            ("worker", "spec.policies[0].properties.components[0].type"),
            (
                "env",
                "spec.policies[0].properties.components[0].traits[0].type",
            ),
            ("deploy", "spec.policies[0].type"),
        ]);
        assert_eq!(found(&spec, &DefinitionSet::default()), expected);
    }

    #[test]
    fn what_an_application_refers_to_uses_definitions_for_it() {
        let mut source = DefinitionSet::default();
        for object in [
            json!({"kind": "Workflow", "metadata": {"name": "flow"}, "steps": [
                {"name": "d", "type": "deploy", "properties": {"policies": ["far"]}},
                {"name": "g", "type": "step-group", "subSteps": [{"name": "s", "type": "notify"}]},
            ]}),
            json!({"kind": "Policy", "metadata": {"name": "far"}, "type": "override", "properties":
                {"components": [{"name": "a", "traits": [{"type": "env"}]}]}}),
        ] {
            assert_eq!(source.add(&object, "default"), Ok(true));
        }
        let spec = json!({"components": [], "workflow": {"ref": "flow"}});
        let expected = ["deploy", "step-group", "notify", "override", "env"];
        let expected = expected.map(|type_| (type_, "spec.workflow.ref"));
        assert_eq!(found(&spec, &source), pairs(expected));
        let steps = json!([{"name": "d", "type": "deploy", "properties": {"policies": ["far"]}}]);
        let spec = json!({"components": [], "workflow": {"steps": steps}});
        let expected = pairs([
            ("deploy", "spec.workflow.steps[0].type"),
            ("override", "spec.workflow.steps[0]"),
            ("env", "spec.workflow.steps[0]"),
        ]);
        assert_eq!(found(&spec, &source), expected);
    }
}
