//! The API: every kind of `core.oam.dev` and `cue.oam.dev`, with every field (CRD-001 … CRD-033).
//!
//! The types read JSON as Go does (`null` and a missing field are the same), so that what KubeVela and
//! its tools wrote is always readable. They carry the fields that are known; who changes an object that
//! others write too patches it, or edits its raw JSON, so that unknown fields survive.

mod application;
mod common;
pub mod compress;
mod crd;
mod de;
mod definition;
pub mod duration;
pub mod labels;
mod package;
pub mod phase;
mod revision;
mod schema;
mod tracker;
mod workflow;

#[cfg(test)]
mod tests;

pub use application::{
    AppPolicy, AppWorkflow, Application, ApplicationComponent, ApplicationSpec, ApplicationStatus,
    ApplicationTrait, AppliedApplicationPolicy, AppliedResource, ComponentStatus, Policy,
    PolicySpec, PolicyStatus,
};
pub use common::{
    ChildResourceKind, Compression, Condition, Cue, DefinitionReference, LatestRevision,
    ObjectReference, ProviderReference, Schematic, SecretReference, StatusTemplates, StepInput,
    StepOutput, Terraform, TerraformLanguage, TraitStatus, WorkloadGvk,
};
pub use compress::{Algorithm, CompressionError};
pub use crd::{crd_file_name, crds};
pub use definition::{
    ComponentDefinition, ComponentDefinitionSpec, DefinitionRevision, DefinitionRevisionSpec,
    DefinitionStatus, DefinitionType, Helm, Kube, KubeParameter, PolicyDefinition,
    PolicyDefinitionSpec, TraitDefinition, TraitDefinitionSpec, WorkflowStepDefinition,
    WorkflowStepDefinitionSpec, WorkloadDefinition, WorkloadDefinitionSpec,
    WorkloadDefinitionStatus, WorkloadSchematic, WorkloadTypeDescriptor, v1alpha2,
};
pub use package::{Package, PackageProvider, PackageSpec};
pub use revision::{
    ApplicationRevision, ApplicationRevisionSpec, ApplicationRevisionStatus, PolicyVersion,
    RevisionContent,
};
pub use tracker::{
    ManagedResource, ResourceTracker, ResourceTrackerSpec, ResourceTrackerStatus, TrackerType,
};
pub use workflow::{
    ExecuteMode, StepMeta, Workflow, WorkflowMode, WorkflowRun, WorkflowRunSpec, WorkflowRunStatus,
    WorkflowRunSteps, WorkflowSpec, WorkflowStatus, WorkflowStep, WorkflowStepStatus,
    WorkflowSubStep, WorkflowSubStepStatus,
};

/// The API group of almost all kinds.
pub const GROUP: &str = "core.oam.dev";

/// The namespace of what belongs to the platform: definitions, views, registries, clusters.
pub const SYSTEM_NAMESPACE: &str = "vela-system";

/// The name of the hub's own cluster.
pub const LOCAL_CLUSTER: &str = "local";
