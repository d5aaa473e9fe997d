//! The words of status: phases, conditions, reasons (APP-019 … APP-021).

use std::fmt;

/// How an Application stands: `status.status` (APP-019).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApplicationPhase {
    /// Not yet looked at.
    Starting,
    /// Being parsed and rendered.
    Rendering,
    /// Its policies are being rendered.
    GeneratingPolicy,
    /// Its workflow runs.
    RunningWorkflow,
    /// Its workflow waits to be resumed.
    WorkflowSuspending,
    /// Its workflow was ended by a person.
    WorkflowTerminated,
    /// Its workflow failed.
    WorkflowFailed,
    /// Delivered and healthy.
    Running,
    /// Delivered, and not healthy.
    Unhealthy,
    /// Being deleted.
    Deleting,
}

impl ApplicationPhase {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Starting,
        Self::Rendering,
        Self::GeneratingPolicy,
        Self::RunningWorkflow,
        Self::WorkflowSuspending,
        Self::WorkflowTerminated,
        Self::WorkflowFailed,
        Self::Running,
        Self::Unhealthy,
        Self::Deleting,
    ];

    /// The word that objects carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Rendering => "rendering",
            Self::GeneratingPolicy => "generatingPolicy",
            Self::RunningWorkflow => "runningWorkflow",
            Self::WorkflowSuspending => "workflowSuspending",
            Self::WorkflowTerminated => "workflowTerminated",
            Self::WorkflowFailed => "workflowFailed",
            Self::Running => "running",
            Self::Unhealthy => "unhealthy",
            Self::Deleting => "deleting",
        }
    }

    /// Reads the word that objects carry.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|value| value.as_str() == text)
    }
}

impl fmt::Display for ApplicationPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An aspect of the state of an Application: the type of a condition (APP-020).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// It was understood.
    Parsed,
    /// Its revision is stored.
    Revision,
    /// Its policies took effect.
    Policy,
    /// Its workflow was made.
    Render,
    /// Its workflow succeeded.
    Workflow,
    /// All of this together.
    Ready,
    /// The last check went well.
    Synced,
    /// Drift is repaired.
    StateKeep,
    /// It works, but something of it is probably not meant: what admission warned of.
    Warned,
}

impl ConditionType {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Parsed,
        Self::Revision,
        Self::Policy,
        Self::Render,
        Self::Workflow,
        Self::Ready,
        Self::Synced,
        Self::StateKeep,
        Self::Warned,
    ];

    /// The word that objects carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parsed => "Parsed",
            Self::Revision => "Revision",
            Self::Policy => "Policy",
            Self::Render => "Render",
            Self::Workflow => "Workflow",
            Self::Ready => "Ready",
            Self::Synced => "Synced",
            Self::StateKeep => "StateKeep",
            Self::Warned => "Warned",
        }
    }

    /// Reads the word that objects carry.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|value| value.as_str() == text)
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a condition is as it is (APP-020).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionReason {
    /// The stage succeeded.
    Available,
    /// All stages succeeded.
    ReconcileSuccess,
    /// The stage failed; the message says why.
    ReconcileError,
    /// The Application is being deleted.
    Deleting,
    /// It was accepted, with warnings.
    Accepted,
}

impl ConditionReason {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Available,
        Self::ReconcileSuccess,
        Self::ReconcileError,
        Self::Deleting,
        Self::Accepted,
    ];

    /// The word that objects carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::ReconcileSuccess => "ReconcileSuccess",
            Self::ReconcileError => "ReconcileError",
            Self::Deleting => "Deleting",
            Self::Accepted => "Accepted",
        }
    }

    /// Reads the word that objects carry.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|value| value.as_str() == text)
    }
}

impl fmt::Display for ConditionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an event was sent (APP-021).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventReason {
    /// The Application was understood.
    Parsed,
    /// Its manifests were made.
    Rendered,
    /// Its policies were rendered.
    PolicyGenerated,
    /// Its revision is stored.
    Revisioned,
    /// Its objects were applied.
    Applied,
    /// Its delivery succeeded.
    Deployed,
    /// The Application was not understood.
    FailedParse,
    /// Its revision could not be stored.
    FailedRevision,
    /// Its workflow failed.
    FailedWorkflow,
    /// Its objects could not be applied.
    FailedApply,
    /// Drift could not be repaired.
    FailedStateKeep,
    /// Objects could not be deleted.
    FailedGC,
    /// A global policy took effect.
    GlobalPolicyApplied,
    /// A policy took effect.
    PolicyApplied,
    /// A global policy failed.
    GlobalPolicyFailed,
    /// A policy failed.
    PolicyFailed,
    /// A global policy was left out.
    GlobalPolicySkipped,
    /// A policy was left out.
    PolicySkipped,
}

impl EventReason {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Parsed,
        Self::Rendered,
        Self::PolicyGenerated,
        Self::Revisioned,
        Self::Applied,
        Self::Deployed,
        Self::FailedParse,
        Self::FailedRevision,
        Self::FailedWorkflow,
        Self::FailedApply,
        Self::FailedStateKeep,
        Self::FailedGC,
        Self::GlobalPolicyApplied,
        Self::PolicyApplied,
        Self::GlobalPolicyFailed,
        Self::PolicyFailed,
        Self::GlobalPolicySkipped,
        Self::PolicySkipped,
    ];

    /// The word that objects carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parsed => "Parsed",
            Self::Rendered => "Rendered",
            Self::PolicyGenerated => "PolicyGenerated",
            Self::Revisioned => "Revisioned",
            Self::Applied => "Applied",
            Self::Deployed => "Deployed",
            Self::FailedParse => "FailedParse",
            Self::FailedRevision => "FailedRevision",
            Self::FailedWorkflow => "FailedWorkflow",
            Self::FailedApply => "FailedApply",
            Self::FailedStateKeep => "FailedStateKeep",
            Self::FailedGC => "FailedGC",
            Self::GlobalPolicyApplied => "GlobalPolicyApplied",
            Self::PolicyApplied => "PolicyApplied",
            Self::GlobalPolicyFailed => "GlobalPolicyFailed",
            Self::PolicyFailed => "PolicyFailed",
            Self::GlobalPolicySkipped => "GlobalPolicySkipped",
            Self::PolicySkipped => "PolicySkipped",
        }
    }

    /// Reads the word that objects carry.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|value| value.as_str() == text)
    }
}

impl fmt::Display for EventReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the run of a workflow stands: `status.workflow.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkflowPhase {
    /// About to begin.
    Initializing,
    /// Running.
    Executing,
    /// Waiting to be resumed.
    Suspending,
    /// Ended by a person.
    Terminated,
    /// Failed.
    Failed,
    /// Succeeded.
    Succeeded,
    /// Left out.
    Skipped,
}

impl WorkflowPhase {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Initializing,
        Self::Executing,
        Self::Suspending,
        Self::Terminated,
        Self::Failed,
        Self::Succeeded,
        Self::Skipped,
    ];

    /// The word that objects carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Executing => "executing",
            Self::Suspending => "suspending",
            Self::Terminated => "terminated",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
        }
    }

    /// Reads the word that objects carry.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|value| value.as_str() == text)
    }
}

impl fmt::Display for WorkflowPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a step stands: `status.workflow.steps[].phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepPhase {
    /// Waits for others.
    Pending,
    /// Running.
    Running,
    /// Waiting to be resumed.
    Suspending,
    /// Succeeded.
    Succeeded,
    /// Failed, or about to be tried again.
    Failed,
    /// Left out.
    Skipped,
}

impl StepPhase {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Pending,
        Self::Running,
        Self::Suspending,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
    ];

    /// The word that objects carry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Suspending => "suspending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Reads the word that objects carry.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|value| value.as_str() == text)
    }
}

impl fmt::Display for StepPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
