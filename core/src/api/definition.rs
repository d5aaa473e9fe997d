//! Definitions: what the types of components, traits, policies and steps stand for, and their
//! revisions (CRD-003 … CRD-008, CRD-022 … CRD-028).

#![expect(
    clippy::duplicated_attributes,
    reason = "each column of a kind has its own `type_`; the lint takes them for one"
)]

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{
    ChildResourceKind, Condition, DefinitionReference, LatestRevision, Schematic, StatusTemplates,
    WorkloadGvk,
};
use super::de::{filled, is_false, is_zero, or_default};
use super::schema;

/// How a definition stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionStatus {
    /// Aspects of the state.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub conditions: Vec<Condition>,
    /// The ConfigMap that holds the OpenAPI schema of the parameters.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub config_map_ref: Option<String>,
    /// The revision that was made last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_revision: Option<LatestRevision>,
}

/// What kind of objects a component is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadTypeDescriptor {
    /// Name of a `WorkloadDefinition`, or `autodetects.core.oam.dev` when the template decides.
    #[serde(
        rename = "type",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub type_: Option<String>,
    /// The kind of the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<WorkloadGvk>,
}

/// What a component type means: the template that turns its parameters into objects.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1beta1",
    kind = "ComponentDefinition",
    plural = "componentdefinitions",
    namespaced,
    status = "DefinitionStatus",
    shortname = "comp",
    category = "oam",
    printcolumn(
        name = "WORKLOAD-KIND",
        type_ = "string",
        json_path = ".spec.workload.definition.kind"
    ),
    printcolumn(
        name = "DESCRIPTION",
        type_ = "string",
        json_path = r".metadata.annotations.definition\.oam\.dev/description"
    ),
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDefinitionSpec {
    /// What kind of objects the component is.
    #[serde(default, deserialize_with = "or_default")]
    pub workload: WorkloadTypeDescriptor,
    /// Kinds of objects that the workload creates.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub child_resource_kinds: Vec<ChildResourceKind>,
    /// Label of the workload that holds its revision.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub revision_label: Option<String>,
    /// Where in the workload the pod template is.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub pod_spec_path: Option<String>,
    /// How health and status are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusTemplates>,
    /// What turns the parameters into objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schematic: Option<Schematic>,
    /// Anything that other tools want to keep here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub extension: Option<Value>,
    /// Semantic version of the definition. A revision is named after it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub version: Option<String>,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the fields of the API"
)]
/// What a trait type means: the template that adds to a component, or patches it.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1beta1",
    kind = "TraitDefinition",
    plural = "traitdefinitions",
    namespaced,
    status = "DefinitionStatus",
    shortname = "trait",
    category = "oam",
    printcolumn(
        name = "APPLIES-TO",
        type_ = "string",
        json_path = ".spec.appliesToWorkloads"
    ),
    printcolumn(
        name = "DESCRIPTION",
        type_ = "string",
        json_path = r".metadata.annotations.definition\.oam\.dev/description"
    ),
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct TraitDefinitionSpec {
    /// The custom resource definition that this one stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_ref: Option<DefinitionReference>,
    /// Whether the trait knows revisions of its component.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub revision_enabled: bool,
    /// Where in the trait a reference to the workload is put.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub workload_ref_path: Option<String>,
    /// Whether a change of the trait restarts pods.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub pod_disruptive: bool,
    /// The kinds or definitions of workloads that the trait can be added to; empty or `*` means all.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub applies_to_workloads: Vec<String>,
    /// Traits that cannot be used together with this one.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub conflicts_with: Vec<String>,
    /// What turns the parameters into objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schematic: Option<Schematic>,
    /// How health and status are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusTemplates>,
    /// Anything that other tools want to keep here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub extension: Option<Value>,
    /// Whether the trait, not the component, creates the workload.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub manage_workload: bool,
    /// Whether the trait's objects stay on the hub.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub control_plane_only: bool,
    /// When the trait takes effect: `PreDispatch`, `PostDispatch`, or with the component.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub stage: Option<String>,
    /// Semantic version of the definition. A revision is named after it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub version: Option<String>,
}

/// What a policy type means.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1beta1",
    kind = "PolicyDefinition",
    plural = "policydefinitions",
    namespaced,
    status = "DefinitionStatus",
    shortname = "def-policy",
    category = "oam",
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct PolicyDefinitionSpec {
    /// The custom resource definition that this one stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_ref: Option<DefinitionReference>,
    /// What turns the parameters into objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schematic: Option<Schematic>,
    /// Whether the policy judges the health of the application.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub manage_health_check: bool,
    /// Semantic version of the definition. A revision is named after it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub version: Option<String>,
    /// What the policy works on: `Application` means the application itself, before it is parsed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub scope: Option<String>,
    /// Whether the policy works on all applications of the namespace.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub global: bool,
    /// In which order global policies take effect: lower first.
    #[serde(
        default,
        skip_serializing_if = "is_zero",
        deserialize_with = "or_default"
    )]
    pub priority: i32,
}

/// What the type of a workflow step means.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1beta1",
    kind = "WorkflowStepDefinition",
    plural = "workflowstepdefinitions",
    namespaced,
    status = "DefinitionStatus",
    shortname = "workflowstep",
    category = "oam",
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowStepDefinitionSpec {
    /// The custom resource definition that this one stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_ref: Option<DefinitionReference>,
    /// What turns the parameters into objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schematic: Option<Schematic>,
    /// Semantic version of the definition. A revision is named after it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub version: Option<String>,
}

/// A kind of workloads. Made by itself for a ComponentDefinition that names one.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1beta1",
    kind = "WorkloadDefinition",
    plural = "workloaddefinitions",
    namespaced,
    status = "WorkloadDefinitionStatus",
    shortname = "workload",
    category = "oam",
    printcolumn(
        name = "DEFINITION-NAME",
        type_ = "string",
        json_path = ".spec.definitionRef.name"
    ),
    printcolumn(
        name = "DESCRIPTION",
        type_ = "string",
        json_path = r".metadata.annotations.definition\.oam\.dev/description"
    ),
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadDefinitionSpec {
    /// The custom resource definition that this one stands for.
    #[serde(default, deserialize_with = "or_default")]
    pub definition_ref: DefinitionReference,
    /// Kinds of objects that the workload creates.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub child_resource_kinds: Vec<ChildResourceKind>,
    /// Label of the workload that holds its revision.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub revision_label: Option<String>,
    /// Where in the workload the pod template is.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub pod_spec_path: Option<String>,
    /// How health and status are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusTemplates>,
    /// What turns the parameters into objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schematic: Option<WorkloadSchematic>,
    /// Anything that other tools want to keep here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub extension: Option<Value>,
}

/// The same as [`WorkloadDefinition`], as old clients ask for it: nothing differs but the version.
pub mod v1alpha2 {
    use super::{
        CustomResource, Deserialize, JsonSchema, Serialize, WorkloadDefinitionSpec,
        WorkloadDefinitionStatus,
    };

    /// A `WorkloadDefinition` of version `v1alpha2`.
    #[derive(
        Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema,
    )]
    #[kube(
        group = "core.oam.dev",
        version = "v1alpha2",
        kind = "WorkloadDefinition",
        plural = "workloaddefinitions",
        namespaced,
        status = "WorkloadDefinitionStatus",
        storage = false,
        shortname = "workload",
        category = "oam",
        schema = "disabled",
        derive = "Default",
        derive = "PartialEq",
        crates(kube_core = "::kube_core")
    )]
    #[serde(transparent)]
    pub struct WorkloadDefinitionV1Alpha2Spec(pub WorkloadDefinitionSpec);
}

/// How a `WorkloadDefinition` stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadDefinitionStatus {
    /// Aspects of the state.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub conditions: Vec<Condition>,
}

/// What turns the parameters of a workload into objects, in all the ways that there ever were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadSchematic {
    /// A CUE template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cue: Option<super::common::Cue>,
    /// A Helm chart, run by Flux. No longer used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<Helm>,
    /// A Kubernetes manifest with parameters. No longer used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube: Option<Kube>,
    /// A Terraform module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform: Option<super::common::Terraform>,
}

/// A Helm chart, as the objects that Flux needs for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Helm {
    /// The release.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(schema_with = "schema::open_object")]
    pub release: Value,
    /// The repository of the chart.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(schema_with = "schema::open_object")]
    pub repository: Value,
}

/// A manifest whose fields are set by parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Kube {
    /// The manifest.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(schema_with = "schema::open_object")]
    pub template: Value,
    /// The parameters.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub parameters: Vec<KubeParameter>,
}

/// A parameter of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeParameter {
    /// Name of the parameter.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Type of its value: `string`, `number` or `boolean`.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    #[schemars(extend("enum" = ["string", "number", "boolean"]))]
    pub type_: String,
    /// The fields of the manifest that it sets.
    #[serde(default, deserialize_with = "or_default")]
    pub field_paths: Vec<String>,
    /// Whether it must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = false))]
    pub required: Option<bool>,
    /// What it means.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub description: Option<String>,
}

/// Which kind of definition a revision keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DefinitionType {
    /// A ComponentDefinition.
    #[default]
    Component,
    /// A TraitDefinition.
    Trait,
    /// A PolicyDefinition.
    Policy,
    /// A WorkflowStepDefinition.
    WorkflowStep,
}

/// A definition as it was at one time.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1beta1",
    kind = "DefinitionRevision",
    plural = "definitionrevisions",
    namespaced,
    shortname = "defrev",
    category = "oam",
    printcolumn(name = "REVISION", type_ = "integer", json_path = ".spec.revision"),
    printcolumn(name = "HASH", type_ = "string", json_path = ".spec.revisionHash"),
    printcolumn(name = "TYPE", type_ = "string", json_path = ".spec.definitionType"),
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionRevisionSpec {
    /// Which kind of definition it is.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(with = "String")]
    pub definition_type: DefinitionType,
    /// Number of the revision, counted from 1.
    #[serde(default, deserialize_with = "or_default")]
    pub revision: i64,
    /// Hash of the definition.
    #[serde(default, deserialize_with = "or_default")]
    pub revision_hash: String,
    /// The ComponentDefinition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub component_definition: Option<Box<ComponentDefinition>>,
    /// The TraitDefinition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub trait_definition: Option<Box<TraitDefinition>>,
    /// The PolicyDefinition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub policy_definition: Option<Box<PolicyDefinition>>,
    /// The WorkflowStepDefinition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub workflow_step_definition: Option<Box<WorkflowStepDefinition>>,
}
