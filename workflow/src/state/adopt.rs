//! Taking over a run of which only the status and the values are known: a handover from KubeVela, or a journal that was
//! lost.

use caravel_core::api::{WorkflowStatus, WorkflowStepStatus, WorkflowSubStepStatus};
use serde_json::{Map, Value};

use super::advance::Turn;
use super::{Stage, State};
use crate::dag::StepRef;
use crate::event::Illegal;
use crate::phase::{Phase, Reason, RunPhase, is_over};

impl State {
    pub(super) fn check_adoption(&self, status: &WorkflowStatus) -> Result<(), Illegal> {
        let mode = self.dag.mode_text();
        if status.mode != mode {
            return Err(Illegal::Adopt(format!(
                "its mode is {:?}, the workflow's is {mode:?}; restart it instead",
                status.mode
            )));
        }
        for row in rows(status) {
            let Some(step) = self.dag.find(&row.name) else {
                return Err(Illegal::Adopt(format!(
                    "its status has a step {:?}, the workflow has none of that name; restart it instead",
                    row.name
                )));
            };
            let group = self
                .dag
                .step(step)
                .group
                .map(|group| self.dag.step(group).name.as_str());
            if group != row.group {
                return Err(Illegal::Adopt(format!(
                    "step {:?} is in another group in its status than in the workflow; restart it instead",
                    row.name
                )));
            }
            if row.phase.is_none() {
                return Err(Illegal::Adopt(format!(
                    "step {:?} has the unknown phase {:?}",
                    row.name, row.phase_text
                )));
            }
        }
        Ok(())
    }

    pub(super) fn adopt(
        &mut self,
        turn: &mut Turn,
        status: &WorkflowStatus,
        values: Map<String, Value>,
    ) {
        self.values = values.into();
        self.phase = RunPhase::Executing;
        self.started = Some(status.start_time.as_ref().map_or(turn.at, |time| time.0));
        self.terminated = status.terminated;
        let mut attempts = Vec::new();
        for row in rows(status) {
            if let Some(step) = self.dag.find(&row.name) {
                self.adopt_step(turn, step, &row, &mut attempts);
            }
        }
        let explicit = attempts.iter().any(|step: &StepRef| {
            let progress = &self.steps[step.index()];
            progress.phase == Some(Phase::Suspending) && progress.reason == Some(Reason::Suspend)
        });
        self.held = status.suspend && !explicit;
        self.recount();
        if status.finished && self.levels[0].remaining == 0 {
            self.close_if_over(turn, 0);
            self.ended = Some(status.end_time.as_ref().map_or(turn.at, |time| time.0));
            return;
        }
        for step in attempts {
            if self.held {
                self.stage(step, Stage::Waiting);
            } else {
                // A suspended step too: its template says how long it is suspended.
                self.begin_attempt(turn, step);
            }
        }
        self.reopen(turn);
    }

    fn adopt_step(
        &mut self,
        turn: &mut Turn,
        step: StepRef,
        row: &Row<'_>,
        attempts: &mut Vec<StepRef>,
    ) {
        let Some(phase) = row.phase else { return };
        self.show(step, phase, row.reason, row.message.to_owned(), turn.at);
        let progress = &mut self.steps[step.index()];
        if !row.id.is_empty() {
            row.id.clone_into(&mut progress.id);
        }
        progress.first = row.first.or(progress.first);
        progress.last = row.last.or(progress.last);
        if let (Some(first), Some(Ok(timeout))) = (row.first, &self.dag.step(step).timeout) {
            let due = super::advance::later(first, *timeout);
            self.set_timer(step, super::Timer::Timeout, due);
        }
        if is_over(phase, row.reason) {
            self.stage(step, Stage::Done);
            self.clear_timer(step, super::Timer::Timeout);
        } else if self.dag.step(step).is_group {
            let begun = phase != Phase::Pending;
            self.stage(step, if begun { Stage::Open } else { Stage::Idle });
        } else if phase != Phase::Pending {
            attempts.push(step);
        }
    }
}

/// A step of a status, whether it is in a group or not.
struct Row<'a> {
    group: Option<&'a str>,
    id: &'a str,
    name: String,
    phase: Option<Phase>,
    phase_text: &'a str,
    reason: Option<Reason>,
    message: &'a str,
    first: Option<jiff::Timestamp>,
    last: Option<jiff::Timestamp>,
}

fn rows(status: &WorkflowStatus) -> impl Iterator<Item = Row<'_>> {
    status.steps.iter().flat_map(|step| {
        std::iter::once(top_row(step)).chain(step.sub_steps.iter().map(|sub| sub_row(step, sub)))
    })
}

fn top_row(step: &WorkflowStepStatus) -> Row<'_> {
    Row {
        group: None,
        id: &step.id,
        name: step.name.clone(),
        phase: step.phase.as_deref().and_then(Phase::parse),
        phase_text: step.phase.as_deref().unwrap_or_default(),
        reason: step.reason.as_deref().and_then(Reason::parse),
        message: step.message.as_deref().unwrap_or_default(),
        first: step.first_execute_time.as_ref().map(|time| time.0),
        last: step.last_execute_time.as_ref().map(|time| time.0),
    }
}

fn sub_row<'a>(group: &'a WorkflowStepStatus, step: &'a WorkflowSubStepStatus) -> Row<'a> {
    Row {
        group: Some(&group.name),
        id: &step.id,
        name: step.name.clone(),
        phase: step.phase.as_deref().and_then(Phase::parse),
        phase_text: step.phase.as_deref().unwrap_or_default(),
        reason: step.reason.as_deref().and_then(Reason::parse),
        message: step.message.as_deref().unwrap_or_default(),
        first: step.first_execute_time.as_ref().map(|time| time.0),
        last: step.last_execute_time.as_ref().map(|time| time.0),
    }
}
