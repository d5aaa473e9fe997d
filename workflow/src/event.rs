//! What a run is told, what it asks for, and what it refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use caravel_core::api::WorkflowStatus;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::dag::StepRef;
use crate::phase::{Reason, RunPhase};

/// Something that happened. What [`State::advance`](crate::State::advance) accepts is written to the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Event {
    /// The run begins.
    Begin,
    /// The run goes on from what a status and its context say: a handover from KubeVela, or a
    /// journal that was lost.
    Adopt {
        /// The status as found.
        status: Box<WorkflowStatus>,
        /// The values that steps gave to others.
        values: Map<String, Value>,
    },
    /// The `if` of a step was evaluated.
    Condition {
        /// Which step.
        step: StepRef,
        /// Which attempt asked.
        attempt: u32,
        /// Its value, or why it has none.
        result: Result<bool, String>,
    },
    /// A call with an effect outside is about to be made. Must be durable before it is made.
    Intent {
        /// Which step.
        step: StepRef,
        /// Which attempt.
        attempt: u32,
        /// Key of the call in its template.
        call: String,
        /// Digest of what the call will send.
        digest: String,
    },
    /// A call was answered. The answer stands in for the call whenever the step is evaluated again.
    Answer {
        /// Which step.
        step: StepRef,
        /// Which attempt.
        attempt: u32,
        /// Key of the call in its template.
        call: String,
        /// Digest of what the call sent.
        digest: String,
        /// The answer.
        value: Value,
        /// Whether the answer also holds for later attempts. False for calls that only look, which
        /// a waiting step repeats to see a change.
        keep: bool,
    },
    /// A step set a value with `builtin.#DoVar`.
    Put {
        /// Which step.
        step: StepRef,
        /// Which attempt.
        attempt: u32,
        /// Dotted path.
        path: String,
        /// The value.
        value: Value,
    },
    /// An attempt of a step ended.
    Ended {
        /// Which step.
        step: StepRef,
        /// Which attempt.
        attempt: u32,
        /// How.
        outcome: Outcome,
    },
    /// Time has passed: [`State::deadline`](crate::State::deadline) is reached.
    Wake,
    /// Something that waiting steps look at has changed: look again now.
    Nudge {
        /// The step that looks at it; all of them when absent.
        step: Option<StepRef>,
    },
    /// A user asks for something.
    Command {
        /// What.
        command: Command,
        /// Who.
        by: Actor,
    },
}

/// Who gave a command: a user name, or what spoke for them.
pub type Actor = String;

/// How an attempt of a step ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Outcome {
    /// The step is done.
    Succeeded {
        /// Message of the step.
        #[serde(default)]
        message: String,
        /// Values of its outputs; one that is absent becomes null (TRAPS 36).
        #[serde(default)]
        outputs: BTreeMap<String, Value>,
    },
    /// The step waits for a condition (`builtin.#ConditionalWait`, an unhealthy component).
    Waiting {
        /// Message of the step.
        #[serde(default)]
        message: String,
    },
    /// The step waits to be resumed (`builtin.#Suspend`).
    Suspended {
        /// Path of the field that suspends; the same field does not suspend again once resumed.
        field: String,
        /// Message of the step.
        message: String,
        /// Resumes by itself after this long.
        #[serde(default)]
        duration: Option<Duration>,
    },
    /// The step ended the run without failing (`builtin.#Break`).
    Broken {
        /// Message of the step.
        #[serde(default)]
        message: String,
        /// Values of its outputs.
        #[serde(default)]
        outputs: BTreeMap<String, Value>,
    },
    /// The attempt failed. With [`Reason::Execute`] it is tried again, else the step has failed.
    Failed {
        /// Why.
        reason: Reason,
        /// In words.
        message: String,
    },
}

/// What a user may ask of a run (WF-028).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase")]
pub enum Command {
    /// Hold the run; with a step, the step must exist.
    Suspend {
        /// Name of the step.
        step: Option<String>,
    },
    /// Go on; with a step, only that step's suspension is lifted.
    Resume {
        /// Name of the step.
        step: Option<String>,
    },
    /// End the run: what runs fails with reason `Terminate`, what has `if: always` still runs.
    Terminate,
    /// Close this run so that a new one can take its place.
    Restart,
    /// Run a failed step and all that comes after it again.
    RestartStep {
        /// Name of the step.
        step: String,
    },
}

/// What has to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Evaluate the `if` of the step; answer with [`Event::Condition`].
    Condition {
        /// Which step.
        step: StepRef,
        /// Which attempt.
        attempt: u32,
    },
    /// Run the step; answer with [`Event::Ended`].
    Run {
        /// Which step.
        step: StepRef,
        /// Which attempt.
        attempt: u32,
    },
    /// Stop what was begun for this attempt; its answer is no longer wanted.
    Cancel {
        /// Which step.
        step: StepRef,
        /// Which attempt.
        attempt: u32,
    },
    /// The run is over.
    Finish {
        /// How.
        phase: RunPhase,
    },
}

/// A call that was intended, and whose answer is not known: the process ended in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Key of the call in its template.
    pub call: String,
    /// Digest of what it was about to send.
    pub digest: String,
}

/// Why an event is refused. The state is then as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The run has not begun.
    #[error("the workflow run has not begun")]
    NotBegun,
    /// The run has begun before.
    #[error("the workflow run has already begun")]
    AlreadyBegun,
    /// The run is over.
    #[error("the workflow run is over: it {}", .0.as_str())]
    Over(RunPhase),
    /// There is no such step.
    #[error("can not find step {0}")]
    NoStep(String),
    /// The answer belongs to an attempt that is no longer wanted (timeout, terminate, restart).
    #[error("step {step}: attempt {attempt} is no longer running")]
    Stale {
        /// Name of the step.
        step: String,
        /// The attempt that was answered.
        attempt: u32,
    },
    /// A terminated run cannot be suspended.
    #[error("can not suspend a terminated workflow")]
    SuspendTerminated,
    /// A terminated run cannot be resumed.
    #[error("can not resume a terminated workflow")]
    ResumeTerminated,
    /// A step that has not failed cannot be restarted.
    #[error("can not restart from a non-failed step: {0}")]
    RestartNotFailed(String),
    /// A status that cannot be taken over.
    #[error("cannot take over the workflow run: {0}")]
    Adopt(String),
}
