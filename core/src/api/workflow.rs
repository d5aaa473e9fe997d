//! Workflow steps and their state, the reusable `Workflow`, and the `WorkflowRun` of the standalone
//! engine (CRD-011, CRD-013, CRD-020, CRD-030, CRD-032).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{Condition, ObjectReference, StepInput, StepOutput};
use super::de::{filled, or_default};
use super::schema;

/// In which order steps run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ExecuteMode {
    /// As soon as what they depend on is done.
    #[serde(rename = "DAG")]
    Dag,
    /// One after the other, as written.
    StepByStep,
}

impl ExecuteMode {
    /// The name that status and spec use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dag => "DAG",
            Self::StepByStep => "StepByStep",
        }
    }
}

/// The order of steps and of the sub-steps of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowMode {
    /// Order of the steps.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "mode"
    )]
    #[schemars(with = "Option<String>")]
    pub steps: Option<ExecuteMode>,
    /// Order of the sub-steps.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "mode"
    )]
    #[schemars(with = "Option<String>")]
    pub sub_steps: Option<ExecuteMode>,
}

/// Reads a mode. KubeVela takes any text here, and treats what it does not know as `DAG`.
fn mode<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ExecuteMode>, D::Error> {
    Ok(filled(deserializer)?.map(|text| match text.as_str() {
        "StepByStep" => ExecuteMode::StepByStep,
        _ => ExecuteMode::Dag,
    }))
}

/// What is known of a step besides its work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepMeta {
    /// Name of the step for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub alias: Option<String>,
}

/// A step of a workflow. A step of type `step-group` may have sub-steps; those may not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowStep {
    /// Name of the step, unique in the workflow.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub name: String,
    /// The WorkflowStepDefinition that says what the step does.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub type_: String,
    /// What is known of the step besides its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<StepMeta>,
    /// CUE expression that decides whether the step runs.
    #[serde(
        rename = "if",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub if_: Option<String>,
    /// How long the step may take, for example `10m`. Then it fails.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub timeout: Option<String>,
    /// Names of the steps that must be done before.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub depends_on: Vec<String>,
    /// Values that are taken from other steps.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub inputs: Vec<StepInput>,
    /// Values that are given to other steps.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub outputs: Vec<StepOutput>,
    /// Parameters of the step, as its definition asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub properties: Option<Value>,
    /// Order of the sub-steps: `DAG` or `StepByStep`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "mode"
    )]
    #[schemars(with = "Option<String>")]
    pub mode: Option<ExecuteMode>,
    /// The steps of a group.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub sub_steps: Vec<WorkflowSubStep>,
}

/// A step inside a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowSubStep {
    /// Name of the step, unique in the workflow.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub name: String,
    /// The WorkflowStepDefinition that says what the step does.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub type_: String,
    /// What is known of the step besides its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<StepMeta>,
    /// CUE expression that decides whether the step runs.
    #[serde(
        rename = "if",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub if_: Option<String>,
    /// How long the step may take, for example `10m`. Then it fails.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub timeout: Option<String>,
    /// Names of the steps that must be done before.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub depends_on: Vec<String>,
    /// Values that are taken from other steps.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub inputs: Vec<StepInput>,
    /// Values that are given to other steps.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub outputs: Vec<StepOutput>,
    /// Parameters of the step, as its definition asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub properties: Option<Value>,
}

/// How the run of a workflow stands. `vela` and people steer a run by writing here (WF-028).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowStatus {
    /// The revision that runs: its name, or the publish version.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub app_revision: Option<String>,
    /// Order of steps and sub-steps, for example `StepByStep-DAG`.
    #[serde(default, deserialize_with = "or_default")]
    pub mode: String,
    /// How the run stands.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub status: Option<String>,
    /// The same for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub message: Option<String>,
    /// True while the run waits to be resumed. Set to false to resume it.
    #[serde(default, deserialize_with = "or_default")]
    pub suspend: bool,
    /// Why the run waits.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub suspend_state: Option<String>,
    /// True when the run was ended before its end. Set to true to end it.
    #[serde(default, deserialize_with = "or_default")]
    pub terminated: bool,
    /// True when the run is over.
    #[serde(default, deserialize_with = "or_default")]
    pub finished: bool,
    /// The object that holds the values of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_backend: Option<ObjectReference>,
    /// How each step stands.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub steps: Vec<WorkflowStepStatus>,
    /// When the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub start_time: Option<Time>,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub end_time: Option<Time>,
}

/// How a step stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowStepStatus {
    /// Id of the step in this run.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// Name of the step.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub name: String,
    /// Type of the step.
    #[serde(
        rename = "type",
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub type_: String,
    /// How it stands: `pending`, `running`, `succeeded`, `failed`, `skipped` or `suspending`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub phase: Option<String>,
    /// Why it stands so, for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub message: Option<String>,
    /// Why it stands so, as one word for programs.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub reason: Option<String>,
    /// When it first ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub first_execute_time: Option<Time>,
    /// When it last ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub last_execute_time: Option<Time>,
    /// How each step of the group stands.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub sub_steps: Vec<WorkflowSubStepStatus>,
}

/// How a step inside a group stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowSubStepStatus {
    /// Id of the step in this run.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// Name of the step.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub name: String,
    /// Type of the step.
    #[serde(
        rename = "type",
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub type_: String,
    /// How it stands: `pending`, `running`, `succeeded`, `failed`, `skipped` or `suspending`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub phase: Option<String>,
    /// Why it stands so, for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub message: Option<String>,
    /// Why it stands so, as one word for programs.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub reason: Option<String>,
    /// When it first ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub first_execute_time: Option<Time>,
    /// When it last ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub last_execute_time: Option<Time>,
}

/// The content of a Workflow: it stands at the top level of the object, there is no `spec`.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1alpha1",
    kind = "Workflow",
    plural = "workflows",
    namespaced,
    no_spec,
    category = "oam",
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowSpec {
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

/// A run of a workflow that belongs to no Application.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1alpha1",
    kind = "WorkflowRun",
    plural = "workflowruns",
    namespaced,
    status = "WorkflowRunStatus",
    shortname = "wr",
    category = "oam",
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.status"),
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
#[serde(rename_all = "camelCase")]
pub struct WorkflowRunSpec {
    /// Values that the steps find under `context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub context: Option<Value>,
    /// Order of the steps and of the sub-steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<WorkflowMode>,
    /// The steps, when they are written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_spec: Option<WorkflowRunSteps>,
    /// Name of a Workflow in the same namespace, when the steps are written there.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub workflow_ref: Option<String>,
}

/// The steps of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowRunSteps {
    /// The steps.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub steps: Vec<WorkflowStep>,
}

/// How a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowRunStatus {
    /// Aspects of the state.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub conditions: Vec<Condition>,
    /// Order of the steps and of the sub-steps.
    #[serde(default, deserialize_with = "or_default")]
    pub mode: WorkflowMode,
    /// How the run stands.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// The same for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub message: Option<String>,
    /// True while the run waits to be resumed.
    #[serde(default, deserialize_with = "or_default")]
    pub suspend: bool,
    /// Why the run waits.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub suspend_state: Option<String>,
    /// True when the run was ended before its end.
    #[serde(default, deserialize_with = "or_default")]
    pub terminated: bool,
    /// True when the run is over.
    #[serde(default, deserialize_with = "or_default")]
    pub finished: bool,
    /// The object that holds the values of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_backend: Option<ObjectReference>,
    /// How each step stands.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub steps: Vec<WorkflowStepStatus>,
    /// When the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub start_time: Option<Time>,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::nullable_time")]
    pub end_time: Option<Time>,
}
