//! What the engine needs of the world besides HTTP. The reconcilers implement it with clusters and inventory.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use caravel_core::engine::{Call, Evaluator};
use caravel_engines::EngineError;
use serde_json::{Map, Value};

/// The template of a step type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepTemplate {
    /// Name of the definition.
    pub name: String,
    /// Its CUE text.
    pub source: String,
    /// The evaluator that the definition chooses; the hub's where absent.
    pub evaluator: Option<Evaluator>,
    /// What to do with a request of which nobody knows whether it was sent.
    pub unknown_outcome: UnknownOutcome,
}

/// What to do with a call that is not idempotent, where its intent is in the journal and its answer is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownOutcome {
    /// Make it again, with the same `Idempotency-Key`: at least once.
    #[default]
    Repeat,
    /// Fail the step, so that a person decides: at most once.
    Fail,
}

impl UnknownOutcome {
    /// The annotation of a definition that declares it: `repeat` or `fail`.
    pub const ANNOTATION: &str = "caravel.dev/unknown-outcome";

    /// Reads the annotation's value.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "repeat" => Some(Self::Repeat),
            "fail" => Some(Self::Fail),
            _ => None,
        }
    }
}

/// A component to be rendered, applied and looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ComponentRequest {
    /// Its name in the Application.
    pub component: String,
    /// Its cluster; empty for the hub's own.
    pub cluster: String,
    /// Its namespace; empty for the Application's.
    pub namespace: String,
    /// What the step says differently of the component: fields of the component as inputs or the template fill them (`properties`, `traits`).
    pub value: Option<Value>,
    /// A patch of workload and trait objects: CUE text, as the template gives it.
    pub patch: Option<Value>,
}

/// What a `deploy` step asks for (WF-031).
#[derive(Clone, Debug, PartialEq)]
pub struct DeployRequest {
    /// Names of policies.
    pub policies: Vec<String>,
    /// Components at a time.
    pub parallelism: usize,
    /// Whether components that Terraform makes are left out.
    pub ignore_terraform: bool,
    /// Policies that the template brings along.
    pub inline_policies: Vec<Value>,
    /// What steps gave to others, for inputs of components.
    pub values: Map<String, Value>,
}

/// How it stands after it was applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// Whether everything is healthy.
    pub healthy: bool,
    /// Why not, in words.
    pub message: String,
    /// Why objects are still to come that nothing waits for, but who needs them; none if all are there.
    pub awaits: Option<String>,
    /// The live workload.
    pub output: Arc<Value>,
    /// The other live objects by name.
    pub outputs: BTreeMap<String, Arc<Value>>,
}

/// Live objects by name, as templates see them.
pub(crate) fn outputs_value(outputs: &BTreeMap<String, Arc<Value>>) -> Value {
    let outputs = outputs.iter();
    let outputs = outputs.map(|(name, live)| (name.clone(), Value::clone(live)));
    Value::Object(outputs.collect())
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The attempt of the step has failed with this text, and is made again.
    #[error("{0}")]
    Failed(String),
    /// It was not tried, but will be: the step waits.
    #[error("{0}")]
    Later(String),
}

impl PortError {
    /// From anything that says what went wrong.
    pub fn new(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// From an evaluation that came to nothing, told with these words.
    pub fn evaluation(error: &EngineError, words: impl std::fmt::Display) -> Self {
        let words = words.to_string();
        if error.is_later() {
            Self::Later(words)
        } else {
            Self::Failed(words)
        }
    }
}

/// The world of one run. Everything here may be called again after a crash: what it does must be idempotent.
#[async_trait]
pub trait Ports: Send + Sync {
    /// The template of a step type; none where there is no definition of that name.
    async fn template(&self, type_: &str) -> Result<Option<StepTemplate>, PortError>;

    /// Applies an object; it belongs to the run's inventory, made by `workflow`. An empty namespace is the Application's.
    /// Gives the live object.
    async fn apply(&self, cluster: &str, object: Value) -> Result<Value, PortError>;

    /// Reads an object; none where it is not there.
    async fn read(&self, cluster: &str, object: &Value) -> Result<Option<Value>, PortError>;

    /// Renders and applies a component, and says how it stands.
    async fn apply_component(&self, request: ComponentRequest) -> Result<Applied, PortError>;

    /// Delivers components to where policies say.
    async fn deploy(&self, request: DeployRequest) -> Result<Applied, PortError>;

    /// Merges a patch, in CUE text or as a value, into an object, with the strategies of its comments.
    async fn merge(&self, base: &Value, patch: &Value) -> Result<Value, PortError>;

    /// Keeps what a step says, and where its logs are.
    async fn log(&self, step: &str, params: &Value) -> Result<(), PortError> {
        let _ = (step, params);
        Ok(())
    }

    /// Keeps what the template of a step came to, where somebody wants to see that.
    async fn debug(&self, step_id: &str, value: &Value) -> Result<(), PortError> {
        let _ = (step_id, value);
        Ok(())
    }

    /// Carries out a call that the engine does not know: the answer as the template expects it, or none where it is
    /// not known here either.
    async fn other(&self, call: &Call) -> Result<Option<Value>, PortError> {
        let _ = call;
        Ok(None)
    }
}
