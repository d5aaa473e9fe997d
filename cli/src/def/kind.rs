//! The kinds of definition as people and as Kubernetes call them.

use anyhow::{Result, bail};
use caravel_core::engine::DefinitionKind;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;

use crate::hub::Hub;

/// One kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// What it defines.
    pub(crate) definition: DefinitionKind,
    /// Kubernetes kind.
    pub(crate) name: &'static str,
    /// Kubernetes plural.
    pub(crate) plural: &'static str,
    /// What people call it.
    pub(crate) word: &'static str,
    /// `spec.definitionType` of its revisions.
    pub(crate) revision_type: &'static str,
    /// The field of a revision that holds the definition.
    pub(crate) revision_field: &'static str,
}

/// All that a hub has.
pub(crate) static KINDS: [Kind; 4] = [
    Kind {
        definition: DefinitionKind::Component,
        name: "ComponentDefinition",
        plural: "componentdefinitions",
        word: "component",
        revision_type: "Component",
        revision_field: "componentDefinition",
    },
    Kind {
        definition: DefinitionKind::Trait,
        name: "TraitDefinition",
        plural: "traitdefinitions",
        word: "trait",
        revision_type: "Trait",
        revision_field: "traitDefinition",
    },
    Kind {
        definition: DefinitionKind::Policy,
        name: "PolicyDefinition",
        plural: "policydefinitions",
        word: "policy",
        revision_type: "Policy",
        revision_field: "policyDefinition",
    },
    Kind {
        definition: DefinitionKind::WorkflowStep,
        name: "WorkflowStepDefinition",
        plural: "workflowstepdefinitions",
        word: "workflow-step",
        revision_type: "WorkflowStep",
        revision_field: "workflowStepDefinition",
    },
];

impl Kind {
    /// The kind of a definition; a legacy workload definition counts as a component.
    pub(crate) fn of(kind: DefinitionKind) -> &'static Self {
        let [component, traits, policy, step] = &KINDS;
        match kind {
            DefinitionKind::Component | DefinitionKind::Workload => component,
            DefinitionKind::Trait => traits,
            DefinitionKind::Policy => policy,
            DefinitionKind::WorkflowStep => step,
        }
    }

    /// The objects of this kind in a hub.
    pub(crate) fn api(&self, hub: &Hub, namespace: Option<&str>) -> Api<DynamicObject> {
        resource(hub, self.name, self.plural, namespace)
    }
}

/// The kinds that a command is about: one, or all.
pub(crate) fn chosen(only: Option<&str>) -> Result<Vec<&'static Kind>> {
    let Some(only) = only else {
        return Ok(KINDS.iter().collect());
    };
    match by_word(only) {
        Some(kind) => Ok(vec![kind]),
        None => {
            bail!("{only:?} is no kind of definition: component, trait, policy or workflow-step")
        }
    }
}

/// By the word that people use, or the Kubernetes kind.
pub(crate) fn by_word(word: &str) -> Option<&'static Kind> {
    KINDS
        .iter()
        .find(|kind| kind.word == word || kind.name.eq_ignore_ascii_case(word))
}

/// Objects of `core.oam.dev/v1beta1`.
pub(crate) fn resource(
    hub: &Hub,
    kind: &str,
    plural: &str,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("core.oam.dev", "v1beta1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(hub.client.clone(), namespace, &resource),
        None => Api::all_with(hub.client.clone(), &resource),
    }
}
