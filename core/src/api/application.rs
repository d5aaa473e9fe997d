//! Application and Policy (CRD-001, CRD-010, CRD-018, CRD-019, CRD-030).

#![expect(
    clippy::duplicated_attributes,
    reason = "each column of a kind has its own `type_`; the lint takes them for one"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{
    Condition, LatestRevision, ObjectReference, StepInput, StepOutput, TraitStatus, WorkloadGvk,
};
use super::de::{filled, is_false, is_zero, or_default};
use super::schema;
use super::workflow::{WorkflowMode, WorkflowStatus, WorkflowStep};

/// What is delivered: components with their traits, the policies that apply, and the workflow that
/// delivers them.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1beta1",
    kind = "Application",
    plural = "applications",
    namespaced,
    status = "ApplicationStatus",
    shortname = "app",
    shortname = "velaapp",
    category = "oam",
    printcolumn(
        name = "COMPONENT",
        type_ = "string",
        json_path = ".spec.components[*].name"
    ),
    printcolumn(
        name = "TYPE",
        type_ = "string",
        json_path = ".spec.components[*].type"
    ),
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.status"),
    printcolumn(
        name = "HEALTHY",
        type_ = "boolean",
        json_path = ".status.services[*].healthy"
    ),
    printcolumn(
        name = "STATUS",
        type_ = "string",
        json_path = ".status.services[*].message"
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
#[serde(remote = "Self")]
pub struct ApplicationSpec {
    /// The parts of the application.
    #[serde(default, deserialize_with = "or_default")]
    pub components: Vec<ApplicationComponent>,
    /// Rules about the delivery as a whole: where to, what differs there, what is cleaned up.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub policies: Vec<AppPolicy>,
    /// How the delivery goes, step by step. Without it, all components are applied, each as soon as
    /// what it depends on is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<AppWorkflow>,
}

impl Serialize for ApplicationSpec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// An Application may be without a `spec`, as in Kubernetes: one such object must not make the others unreadable.
impl<'de> Deserialize<'de> for ApplicationSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Given(ApplicationSpec);
        impl<'de> Deserialize<'de> for Given {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                ApplicationSpec::deserialize(deserializer).map(Given)
            }
        }
        let given = Option::<Given>::deserialize(deserializer)?;
        Ok(given.map_or_else(Self::default, |given| given.0))
    }
}

/// A part of an application, for example a web service or a database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationComponent {
    /// Name of the component, unique in the application. Its objects are named after it.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The ComponentDefinition that turns the properties into objects, for example `webservice`; with
    /// `@v1.2` a certain version of it.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub type_: String,
    /// Use an existing component revision of this name.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub external_revision: Option<String>,
    /// Parameters of the component, as its definition asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub properties: Option<Value>,
    /// Names of the components that must be ready before.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub depends_on: Vec<String>,
    /// Values that are taken from other components and steps.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub inputs: Vec<StepInput>,
    /// Values that are given to other components and steps.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub outputs: Vec<StepOutput>,
    /// What is added to the component, for example more replicas or a route. They take effect in this
    /// order.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub traits: Vec<ApplicationTrait>,
    /// No longer used; kept so that old manifests are accepted.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub scopes: BTreeMap<String, String>,
}

/// What is added to a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationTrait {
    /// The TraitDefinition that says what is added, for example `scaler`.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub type_: String,
    /// Parameters of the trait, as its definition asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub properties: Option<Value>,
}

/// A policy that is written in the application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppPolicy {
    /// Name of the policy, unique in the application. Steps refer to it.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub name: String,
    /// What kind of policy it is, for example `topology` or `override`.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub type_: String,
    /// Parameters of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub properties: Option<Value>,
}

/// The workflow of an application: written here, or by reference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppWorkflow {
    /// Name of a Workflow in the same namespace whose steps are used. Not together with `steps`.
    #[serde(
        rename = "ref",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub ref_: Option<String>,
    /// Order of the steps and of the sub-steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<WorkflowMode>,
    /// The steps.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub steps: Vec<WorkflowStep>,
}

/// How an application stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationStatus {
    /// Aspects of the state.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of.
    #[serde(
        default,
        skip_serializing_if = "is_zero",
        deserialize_with = "or_default"
    )]
    pub observed_generation: i64,
    /// How the application stands, as one word: see the phases in the user guide.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub status: Option<String>,
    /// No longer used; kept so that old objects are accepted.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub components: Vec<ObjectReference>,
    /// How each component stands, in each place where it is delivered.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub services: Vec<ComponentStatus>,
    /// How the run of the workflow stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowStatus>,
    /// When the workflow is to run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub workflow_restart_scheduled_at: Option<Time>,
    /// The revision that was delivered last, or is being delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_revision: Option<LatestRevision>,
    /// The objects that the application owns.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub applied_resources: Vec<AppliedResource>,
    /// The policies of scope `Application` that were applied.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub applied_application_policies: Vec<AppliedApplicationPolicy>,
    /// The ConfigMap that shows what those policies did.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub application_policies_config_map: Option<String>,
    /// State of policies that keep one. No longer used.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub policy: Vec<PolicyStatus>,
}

/// How a component stands in one place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Name of the component.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Namespace where it is delivered.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub namespace: Option<String>,
    /// Cluster where it is delivered.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub cluster: Option<String>,
    /// Environment; only with the old env-binding policy.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub env: Option<String>,
    /// Kind of its workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_definition: Option<WorkloadGvk>,
    /// Whether workload and traits are healthy.
    #[serde(default, deserialize_with = "or_default")]
    pub healthy: bool,
    /// Whether the workload is healthy.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub workload_healthy: bool,
    /// Details that the definition reports.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub details: BTreeMap<String, String>,
    /// The state, for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub message: Option<String>,
    /// How each trait stands.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub traits: Vec<TraitStatus>,
    /// No longer used; kept so that old objects are accepted.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub scopes: Vec<ObjectReference>,
}

/// An object that an application owns, and where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct AppliedResource {
    /// The cluster of the object; none means the hub's own.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub cluster: Option<String>,
    /// What made the object: `workflow` or `policy`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub creator: Option<String>,
    /// API group and version of the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub api_version: Option<String>,
    /// Path of a part of the object, when not the whole object is meant.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub field_path: Option<String>,
    /// Kind of the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub kind: Option<String>,
    /// Name of the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub name: Option<String>,
    /// Namespace of the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub namespace: Option<String>,
    /// The version of the object that is meant.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub resource_version: Option<String>,
    /// The unique id of the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub uid: Option<String>,
}

/// What a policy of scope `Application` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedApplicationPolicy {
    /// Name of the policy.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Its type.
    #[serde(
        rename = "type",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub type_: Option<String>,
    /// Namespace of its definition.
    #[serde(default, deserialize_with = "or_default")]
    pub namespace: String,
    /// Whether it took effect.
    #[serde(default, deserialize_with = "or_default")]
    pub applied: bool,
    /// Why it failed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub error: Option<String>,
    /// Why it did not take effect, or what it did, for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub message: Option<String>,
    /// Where the policy comes from: `global` or `explicit`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub source: Option<String>,
    /// Whether it changed the spec.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub spec_modified: bool,
    /// How many labels it added.
    #[serde(
        default,
        skip_serializing_if = "is_zero",
        deserialize_with = "or_default"
    )]
    pub labels_count: i64,
    /// How many annotations it added.
    #[serde(
        default,
        skip_serializing_if = "is_zero",
        deserialize_with = "or_default"
    )]
    pub annotations_count: i64,
    /// Whether it added values to the context.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub has_context: bool,
    /// The DefinitionRevision that was used.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub definition_revision_name: Option<String>,
    /// Its number.
    #[serde(
        default,
        skip_serializing_if = "is_zero",
        deserialize_with = "or_default"
    )]
    pub revision: i64,
    /// Its hash.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub revision_hash: Option<String>,
}

/// State of a policy that keeps one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyStatus {
    /// Name of the policy.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Its type.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub type_: String,
    /// Its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub status: Option<Value>,
}

/// The content of a Policy that several applications can use: it stands at the top level of the
/// object, there is no `spec`.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1alpha1",
    kind = "Policy",
    plural = "policies",
    namespaced,
    no_spec,
    category = "oam",
    printcolumn(name = "TYPE", type_ = "string", json_path = ".type"),
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
pub struct PolicySpec {
    /// What kind of policy it is, for example `topology` or `override`.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub type_: String,
    /// Parameters of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub properties: Option<Value>,
}
