//! A run as `status.workflow` shows it (CRD-020), and back.

use caravel_core::api::{WorkflowStatus, WorkflowStepStatus, WorkflowSubStepStatus};
use caravel_core::appfile::StepState;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use crate::dag::StepRef;
use crate::phase::Phase;
use crate::state::State;

impl State {
    /// The run as KubeVela writes it into the status of an Application. `contextBackend` is the caller's to add.
    pub fn status(&self) -> WorkflowStatus {
        let over = self.phase().is_over();
        let mut status = WorkflowStatus {
            app_revision: Some(self.spec().app_revision.clone()).filter(|name| !name.is_empty()),
            mode: self.dag().mode_text(),
            status: Some(self.phase().as_str().to_owned()),
            suspend: self.suspended() && !over,
            terminated: self.terminated(),
            finished: over,
            start_time: self.started().map(seconds),
            end_time: self.ended().map(seconds),
            ..WorkflowStatus::default()
        };
        let mut places = vec![usize::MAX; self.dag().steps().len()];
        for step in self.order() {
            let Some(row) = self.row(*step) else { continue };
            match self.dag().step(*step).group {
                None => {
                    places[step.index()] = status.steps.len();
                    status.steps.push(row);
                }
                Some(group) => {
                    // The row of a group comes before those of its members: it began first.
                    if let Some(row_of_group) = status.steps.get_mut(places[group.index()]) {
                        row_of_group.sub_steps.push(WorkflowSubStepStatus {
                            id: row.id,
                            name: row.name,
                            type_: row.type_,
                            phase: row.phase,
                            message: row.message,
                            reason: row.reason,
                            first_execute_time: row.first_execute_time,
                            last_execute_time: row.last_execute_time,
                        });
                    }
                }
            }
        }
        status
    }

    fn row(&self, step: StepRef) -> Option<WorkflowStepStatus> {
        let (phase, reason, message) = self.standing(step)?;
        let shape = self.dag().step(step);
        let (first, last) = self.times(step);
        Some(WorkflowStepStatus {
            id: self.step_id(step).to_owned(),
            name: shape.name.clone(),
            type_: shown_type(&shape.type_, phase).to_owned(),
            phase: Some(phase.as_str().to_owned()),
            message: Some(message).filter(|text| !text.is_empty()),
            reason: reason.map(|reason| reason.as_str().to_owned()),
            first_execute_time: first.map(seconds),
            last_execute_time: last.map(seconds),
            sub_steps: Vec::new(),
        })
    }
}

/// Pending steps show the type under which KubeVela runs them, others the one that was written (measured trap 6).
fn shown_type(type_: &str, phase: Phase) -> &str {
    match (type_, phase) {
        ("apply-component", Phase::Pending) => "builtin-apply-component",
        ("builtin-apply-component", phase) if phase != Phase::Pending => "apply-component",
        _ => type_,
    }
}

/// Kubernetes' times have whole seconds.
fn seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// A step as `if` expressions see it (WF-004).
pub(crate) fn abbreviated(state: &State, step: StepRef) -> Option<Value> {
    let (phase, reason, message) = state.standing(step)?;
    let shape = state.dag().step(step);
    let state = StepState {
        id: state.step_id(step),
        name: &shape.name,
        type_: &shape.type_,
        phase: phase.as_str(),
        message: &message,
        reason: reason.map(crate::phase::Reason::as_str).unwrap_or_default(),
    };
    Some(Value::Object(state.fields()))
}
