//! Which definitions an Application uses, and where.

use caravel_core::api::Application;
use caravel_core::engine::DefinitionKind;

/// A definition in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) kind: DefinitionKind,
    /// As written: it may name a version.
    pub(crate) type_: String,
    /// Field path of the type.
    pub(crate) path: String,
}

/// All uses, in the order of the Application; with those in override policies, and with the step that policies
/// generate where the Application gives no steps (APP-037).
pub(crate) fn uses(application: &Application) -> Vec<Use> {
    let mut found = Vec::new();
    let mut add = |kind, type_: &str, path: String| {
        found.push(Use {
            kind,
            type_: type_.to_owned(),
            path: format!("{path}.type"),
        });
    };
    for (index, component) in application.spec.components.iter().enumerate() {
        let path = format!("spec.components[{index}]");
        add(DefinitionKind::Component, &component.type_, path.clone());
        for (at, part) in component.traits.iter().enumerate() {
            let path = format!("{path}.traits[{at}]");
            add(DefinitionKind::Trait, &part.type_, path);
        }
    }
    for (index, policy) in application.spec.policies.iter().enumerate() {
        let path = format!("spec.policies[{index}]");
        add(DefinitionKind::Policy, &policy.type_, path.clone());
        if policy.type_ != "override" {
            continue;
        }
        let properties = policy.properties.as_ref();
        let patches = properties.and_then(|properties| properties["components"].as_array());
        for (at, patch) in patches.into_iter().flatten().enumerate() {
            let path = format!("{path}.properties.components[{at}]");
            if let Some(type_) = patch["type"].as_str() {
                add(DefinitionKind::Component, type_, path.clone());
            }
            let traits = patch["traits"].as_array().into_iter().flatten();
            for (at, part) in traits.enumerate() {
                if let Some(type_) = part["type"].as_str() {
                    add(DefinitionKind::Trait, type_, format!("{path}.traits[{at}]"));
                }
            }
        }
    }
    let steps = application
        .spec
        .workflow
        .iter()
        .flat_map(|flow| &flow.steps);
    let mut has_steps = false;
    for (index, step) in steps.enumerate() {
        has_steps = true;
        let path = format!("spec.workflow.steps[{index}]");
        add(DefinitionKind::WorkflowStep, &step.type_, path.clone());
        for (at, sub_step) in step.sub_steps.iter().enumerate() {
            let path = format!("{path}.subSteps[{at}]");
            add(DefinitionKind::WorkflowStep, &sub_step.type_, path);
        }
    }
    let deploys = |type_: &str| matches!(type_, "topology" | "override");
    let mut policies = application.spec.policies.iter();
    if !has_steps && let Some(index) = policies.position(|policy| deploys(&policy.type_)) {
        let path = format!("spec.policies[{index}]");
        add(DefinitionKind::WorkflowStep, "deploy", path);
    }
    found
}

/// The name without a version.
pub(crate) fn base_name(type_: &str) -> &str {
    type_.split_once("@v").map_or(type_, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use caravel_core::appfile::read_application;
    use serde_json::json;

    #[test]
    fn overrides_and_generated_steps_use_definitions_too() {
        let object = json!({
            "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "components": [{"name": "a", "type": "webservice@v1.2", "traits": [{"type": "scaler"}]}],
                "policies": [
                    {"name": "o", "type": "override", "properties": {"components": [
                        {"name": "a", "type": "worker", "traits": [{"type": "env"}]}]}},
                ],
            },
        });
        let application = read_application(&object).expect("an Application");
        let found: Vec<(String, String)> = uses(&application)
            .into_iter()
            .map(|one| (one.type_, one.path))
            .collect();
        let expected = [
            ("webservice@v1.2", "spec.components[0].type"),
            ("scaler", "spec.components[0].traits[0].type"),
            ("override", "spec.policies[0].type"),
            ("worker", "spec.policies[0].properties.components[0].type"),
            (
                "env",
                "spec.policies[0].properties.components[0].traits[0].type",
            ),
            ("deploy", "spec.policies[0].type"),
        ];
        let expected = expected.map(|(type_, path)| (type_.to_owned(), path.to_owned()));
        assert_eq!(found, expected);
    }
}
