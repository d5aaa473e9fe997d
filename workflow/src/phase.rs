//! The words with which KubeVela says how runs and steps stand (WF-001).

use serde::{Deserialize, Serialize};

/// How a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunPhase {
    /// Not begun.
    #[default]
    Initializing,
    /// Steps run, or wait to run.
    Executing,
    /// Waits for somebody to resume it, or for the time at which it resumes by itself.
    Suspending,
    /// Ended by a user, or by a step that did not fail.
    Terminated,
    /// At least one step failed.
    Failed,
    /// Every step succeeded or was skipped.
    Succeeded,
}

impl RunPhase {
    /// The word in `status.workflow.status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Executing => "executing",
            Self::Suspending => "suspending",
            Self::Terminated => "terminated",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
        }
    }

    /// Whether the run is over.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Terminated | Self::Failed | Self::Succeeded)
    }
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Done.
    Succeeded,
    /// Failed; with reason `Execute` it is tried again, else for good.
    Failed,
    /// Not run, because its `if` or an earlier failure says so.
    Skipped,
    /// Runs, or waits for something that it looks at.
    Running,
    /// Waits for other steps or for their values.
    Pending,
    /// Waits to be resumed.
    Suspending,
}

impl Phase {
    /// The word in a step's `phase`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Running => "running",
            Self::Pending => "pending",
            Self::Suspending => "suspending",
        }
    }

    /// Reads the word in a step's `phase`.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Succeeded,
            Self::Failed,
            Self::Skipped,
            Self::Running,
            Self::Pending,
            Self::Suspending,
        ]
        .into_iter()
        .find(|phase| phase.as_str() == text)
    }
}

/// Why a step stands as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// Waits for a condition of its template.
    Wait,
    /// Skipped.
    Skip,
    /// Its template, its `if` or its `timeout` is wrong.
    Rendering,
    /// A call or the evaluation failed; it is tried again.
    Execute,
    /// Suspended by its template.
    Suspend,
    /// Ended by a user, or by the template with `#Break`.
    Terminate,
    /// A parameter cannot be processed.
    ProcessParameter,
    /// An input cannot be filled.
    Input,
    /// An output cannot be taken.
    Output,
    /// Tried too often.
    FailedAfterRetries,
    /// Took too long.
    Timeout,
    /// The template said `#Fail`.
    Action,
}

impl Reason {
    const ALL: [Self; 12] = [
        Self::Wait,
        Self::Skip,
        Self::Rendering,
        Self::Execute,
        Self::Suspend,
        Self::Terminate,
        Self::ProcessParameter,
        Self::Input,
        Self::Output,
        Self::FailedAfterRetries,
        Self::Timeout,
        Self::Action,
    ];

    /// The word in a step's `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "Wait",
            Self::Skip => "Skip",
            Self::Rendering => "Rendering",
            Self::Execute => "Execute",
            Self::Suspend => "Suspend",
            Self::Terminate => "Terminate",
            Self::ProcessParameter => "ProcessParameter",
            Self::Input => "Input",
            Self::Output => "Output",
            Self::FailedAfterRetries => "FailedAfterRetries",
            Self::Timeout => "Timeout",
            Self::Action => "Action",
        }
    }

    /// Reads the word in a step's `reason`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// Whether a step that stands so is over (WF-002).
pub(crate) const fn is_over(phase: Phase, reason: Option<Reason>) -> bool {
    match phase {
        Phase::Succeeded | Phase::Skipped => true,
        Phase::Failed => !matches!(reason, None | Some(Reason::Execute)),
        _ => false,
    }
}
