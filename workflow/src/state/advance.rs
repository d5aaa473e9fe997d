//! How a run changes: one event at a time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Call, Stage, State, Timer};
use crate::dag::StepRef;
use crate::event::{Effect, Event, Illegal, Outcome};
use crate::phase::{Phase, Reason, RunPhase};

/// What a turn gathers.
pub(super) struct Turn {
    pub(super) at: Timestamp,
    pub(super) effects: Vec<Effect>,
}

impl State {
    /// Takes in one event at the time `at`, and says what is to be done. A refused event changes nothing.
    ///
    /// The same events at the same times give the same state and effects: there is no clock and no
    /// chance in here.
    pub fn advance(&mut self, at: Timestamp, event: Event) -> Result<Vec<Effect>, Illegal> {
        self.check(&event)?;
        let mut turn = Turn {
            at,
            effects: Vec::new(),
        };
        let begins = matches!(event, Event::Begin);
        match event {
            Event::Begin => self.begin(&mut turn),
            Event::Adopt { status, values } => {
                // Checked above; a status that does not fit leaves the run as it was.
                self.adopt(&mut turn, &status, values);
            }
            Event::Condition { step, result, .. } => self.condition(&mut turn, step, result),
            Event::Intent {
                step, call, digest, ..
            } => {
                let record = Call {
                    digest,
                    answer: None,
                    keep: true,
                };
                self.steps[step.index()].calls.insert(call, record);
            }
            Event::Answer {
                step,
                call,
                digest,
                value,
                keep,
                ..
            } => {
                let record = Call {
                    digest,
                    answer: Some(value),
                    keep,
                };
                self.steps[step.index()].calls.insert(call, record);
            }
            Event::Put { path, value, .. } => {
                self.values.put(&path, value);
                self.fulfil(&path);
            }
            Event::Ended { step, outcome, .. } => self.attempt_ended(&mut turn, step, outcome),
            Event::Wake => {}
            Event::Nudge { step } => self.nudge(&mut turn, step),
            Event::Command { command, .. } => self.command(&mut turn, &command),
        }
        self.settle(&mut turn);
        if !(begins
            && turn
                .effects
                .iter()
                .any(|effect| matches!(effect, Effect::Run { .. })))
        {
            self.reveal(turn.at);
            self.settle(&mut turn);
        }
        Ok(turn.effects)
    }

    fn check(&self, event: &Event) -> Result<(), Illegal> {
        let begun = self.phase != RunPhase::Initializing;
        match event {
            Event::Begin | Event::Adopt { .. } if begun => Err(Illegal::AlreadyBegun),
            Event::Begin => Ok(()),
            Event::Adopt { status, .. } => self.check_adoption(status),
            _ if !begun => Err(Illegal::NotBegun),
            Event::Condition { step, attempt, .. } => self.wanted(*step, *attempt, Stage::Checking),
            Event::Intent { step, attempt, .. }
            | Event::Answer { step, attempt, .. }
            | Event::Put { step, attempt, .. }
            | Event::Ended { step, attempt, .. } => self.wanted(*step, *attempt, Stage::Running),
            Event::Command { command, .. } => self.check_command(command),
            Event::Wake | Event::Nudge { .. } if self.phase.is_over() => {
                Err(Illegal::Over(self.phase))
            }
            Event::Nudge { step: Some(step) } if step.index() >= self.steps.len() => {
                Err(Illegal::NoStep(step.0.to_string()))
            }
            Event::Wake | Event::Nudge { .. } => Ok(()),
        }
    }

    fn wanted(&self, step: StepRef, attempt: u32, stage: Stage) -> Result<(), Illegal> {
        let progress = self
            .steps
            .get(step.index())
            .ok_or_else(|| Illegal::NoStep(step.0.to_string()))?;
        if progress.attempt == attempt && progress.stage == stage {
            return Ok(());
        }
        Err(Illegal::Stale {
            step: self.dag.step(step).name.clone(),
            attempt,
        })
    }

    fn begin(&mut self, turn: &mut Turn) {
        self.phase = RunPhase::Executing;
        self.started = Some(turn.at);
        self.recount();
        self.open(turn, 0);
    }

    fn condition(&mut self, turn: &mut Turn, step: StepRef, result: Result<bool, String>) {
        match result {
            Ok(true) => {
                self.stage(step, Stage::Checked);
                self.ready.push_back(step);
            }
            Ok(false) => self.skip(turn, step),
            // Upstream skips the step and goes on; a mistake must not look like a decision (trap 4).
            Err(why) => self.fail(
                turn,
                step,
                Reason::Rendering,
                format!("pre check error: {why}"),
            ),
        }
    }

    fn attempt_ended(&mut self, turn: &mut Turn, step: StepRef, outcome: Outcome) {
        match outcome {
            Outcome::Succeeded { message, outputs } => {
                self.give(step, outputs);
                self.finish(turn, step, Phase::Succeeded, None, message);
            }
            Outcome::Broken { message, outputs } => {
                self.give(step, outputs);
                self.terminated = true;
                self.cut = true;
                self.finish(
                    turn,
                    step,
                    Phase::Succeeded,
                    Some(Reason::Terminate),
                    message,
                );
            }
            Outcome::Waiting { message } => {
                self.wait(turn, step, Phase::Running, message);
                if self.steps[step.index()].outdated && !self.held {
                    self.run(turn, step);
                }
            }
            Outcome::Suspended {
                field,
                message,
                duration,
            } => {
                self.stage(step, Stage::Suspended);
                self.show(
                    step,
                    Phase::Suspending,
                    Some(Reason::Suspend),
                    message,
                    turn.at,
                );
                self.steps[step.index()].suspended_by = field;
                if let Some(duration) = duration {
                    self.set_timer(step, Timer::Next, later(turn.at, duration));
                }
            }
            Outcome::Failed {
                reason: Reason::Execute,
                message,
            } => {
                let progress = &mut self.steps[step.index()];
                progress.failures += 1;
                if progress.failures >= self.spec.limits.attempts {
                    self.fail(turn, step, Reason::FailedAfterRetries, message);
                } else {
                    self.wait(turn, step, Phase::Failed, message);
                }
            }
            Outcome::Failed { reason, message } => self.fail(turn, step, reason, message),
        }
    }

    /// Between two attempts. The pause grows while the message stays the same (WF-010).
    fn wait(&mut self, turn: &mut Turn, step: StepRef, phase: Phase, message: String) {
        let failed = phase == Phase::Failed;
        let progress = &mut self.steps[step.index()];
        if progress.times_message != message {
            progress.times = 0;
            progress.times_message.clone_from(&message);
        }
        progress.times += 1;
        let times = progress.times;
        self.stage(step, Stage::Waiting);
        let reason = if failed {
            Reason::Execute
        } else {
            Reason::Wait
        };
        let phase = if self.held && !failed {
            Phase::Suspending
        } else {
            phase
        };
        self.show(step, phase, Some(reason), message, turn.at);
        self.set_timer(
            step,
            Timer::Next,
            later(turn.at, self.spec.limits.pause(times, failed)),
        );
    }

    fn nudge(&mut self, turn: &mut Turn, step: Option<StepRef>) {
        if self.held {
            return;
        }
        match step {
            Some(step) if self.steps[step.index()].stage == Stage::Waiting => self.run(turn, step),
            Some(_) => {}
            None => {
                for step in self.dag.refs() {
                    let progress = &mut self.steps[step.index()];
                    progress.outdated |= progress.stage == Stage::Running;
                    if progress.stage == Stage::Waiting && progress.phase == Some(Phase::Running) {
                        self.run(turn, step);
                    }
                }
            }
        }
    }

    fn give(&mut self, step: StepRef, mut outputs: BTreeMap<String, Value>) {
        for name in self.output_names(step) {
            let value = outputs.remove(&name).unwrap_or(Value::Null);
            self.values.set(&name, value);
            self.fulfil(&name);
        }
    }
}

/// A time after another; the end of time where that is too far.
pub(super) fn later(at: Timestamp, duration: std::time::Duration) -> Timestamp {
    at.saturating_add(duration).unwrap_or(Timestamp::MAX)
}
