//! The four kinds of definition that have a controller.

use caravel_core::engine::DefinitionKind;
use kube::core::{ApiResource, GroupVersionKind};

/// Group and version of all definitions.
pub(crate) const API_VERSION: &str = "core.oam.dev/v1beta1";

/// What differs between the kinds (rows DEF-001, DEF-004, CRD-028; labels: section 2.10).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The engine's name of the kind.
    pub(crate) definition: DefinitionKind,
    /// Kubernetes kind.
    pub(crate) name: &'static str,
    /// Kubernetes plural.
    pub(crate) plural: &'static str,
    /// `spec.definitionType` of a `DefinitionRevision`.
    pub(crate) revision_type: &'static str,
    /// The field of a `DefinitionRevision` that holds the definition.
    pub(crate) revision_field: &'static str,
    /// The label of a `DefinitionRevision` that names its definition.
    pub(crate) name_label: &'static str,
    /// What the names of schema `ConfigMap`s begin with.
    pub(crate) schema_prefix: &'static str,
}

/// All of them.
pub(crate) static KINDS: [Kind; 4] = [
    Kind {
        definition: DefinitionKind::Component,
        name: "ComponentDefinition",
        plural: "componentdefinitions",
        revision_type: "Component",
        revision_field: "componentDefinition",
        name_label: "componentdefinition.oam.dev/name",
        schema_prefix: "component",
    },
    Kind {
        definition: DefinitionKind::Trait,
        name: "TraitDefinition",
        plural: "traitdefinitions",
        revision_type: "Trait",
        revision_field: "traitDefinition",
        name_label: "trait.oam.dev/name",
        schema_prefix: "trait",
    },
    Kind {
        definition: DefinitionKind::Policy,
        name: "PolicyDefinition",
        plural: "policydefinitions",
        revision_type: "Policy",
        revision_field: "policyDefinition",
        name_label: "policydefinition.oam.dev/name",
        schema_prefix: "policy",
    },
    Kind {
        definition: DefinitionKind::WorkflowStep,
        name: "WorkflowStepDefinition",
        plural: "workflowstepdefinitions",
        revision_type: "WorkflowStep",
        revision_field: "workflowStepDefinition",
        name_label: "workflowstepdefinition.oam.dev/name",
        schema_prefix: "workflowstep",
    },
];

impl Kind {
    /// By Kubernetes kind.
    pub(crate) fn of(kind: &str) -> Option<&'static Self> {
        KINDS.iter().find(|known| known.name == kind)
    }

    /// By what the Application says it is; a `WorkloadDefinition` has no controller.
    pub(crate) fn defining(kind: DefinitionKind) -> Option<&'static Self> {
        KINDS.iter().find(|known| known.definition == kind)
    }

    /// How the API addresses it.
    pub(crate) fn resource(&self) -> ApiResource {
        oam_resource(self.name, self.plural)
    }
}

/// A resource of `core.oam.dev/v1beta1`.
pub(crate) fn oam_resource(kind: &str, plural: &str) -> ApiResource {
    let gvk = GroupVersionKind::gvk("core.oam.dev", "v1beta1", kind);
    ApiResource::from_gvk_with_plural(&gvk, plural)
}
