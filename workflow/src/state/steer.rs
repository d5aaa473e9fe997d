//! What users ask of a run (WF-020, WF-028).

use std::collections::BTreeSet;

use caravel_core::api::ExecuteMode;

use super::advance::Turn;
use super::{Stage, State, Timer, step_id};
use crate::dag::StepRef;
use crate::event::{Command, Effect, Illegal};
use crate::phase::{Phase, Reason, RunPhase};

impl State {
    pub(super) fn check_command(&self, command: &Command) -> Result<(), Illegal> {
        let exists = |step: &Option<String>| match step {
            Some(name) if self.dag.find(name).is_none() => Err(Illegal::NoStep(name.clone())),
            _ => Ok(()),
        };
        let over = self.phase.is_over();
        match command {
            // Not before the run is over: a step with `if: always` may be suspended after a failure.
            Command::Suspend { .. } if over && self.terminated => Err(Illegal::SuspendTerminated),
            Command::Resume { .. } if over && self.terminated => Err(Illegal::ResumeTerminated),
            Command::Suspend { .. } | Command::Resume { .. } | Command::Terminate if over => {
                Err(Illegal::Over(self.phase))
            }
            Command::Suspend { step } | Command::Resume { step } => exists(step),
            Command::Terminate | Command::Restart => Ok(()),
            Command::RestartStep { step: name } => {
                let step = self
                    .dag
                    .find(name)
                    .ok_or_else(|| Illegal::NoStep(name.clone()))?;
                let progress = &self.steps[step.index()];
                if progress.stage == Stage::Done && progress.phase == Some(Phase::Failed) {
                    return Ok(());
                }
                Err(Illegal::RestartNotFailed(name.clone()))
            }
        }
    }

    pub(super) fn command(&mut self, turn: &mut Turn, command: &Command) {
        let named = |step: &Option<String>| step.as_deref().and_then(|name| self.dag.find(name));
        match command {
            Command::Suspend { step } => {
                let step = named(step);
                self.hold(step);
            }
            Command::Resume { step } => {
                let step = named(step);
                self.resume(turn, step);
            }
            Command::Terminate => self.terminate(turn),
            Command::Restart => self.supersede(turn),
            Command::RestartStep { step } => {
                if let Some(step) = self.dag.find(step) {
                    self.restart_from(turn, step);
                }
            }
        }
    }

    /// Holds the whole run, as upstream does even when one step is named; what runs shows it.
    fn hold(&mut self, only: Option<StepRef>) {
        self.held = true;
        for step in self.dag.refs() {
            if only.is_none_or(|one| self.is_within(step, one)) {
                let progress = &mut self.steps[step.index()];
                if progress.phase == Some(Phase::Running) {
                    progress.phase = Some(Phase::Suspending);
                }
            }
        }
    }

    fn resume(&mut self, turn: &mut Turn, only: Option<StepRef>) {
        self.held = false;
        for step in self.dag.refs() {
            let asked = only.is_none_or(|one| self.is_within(step, one));
            let progress = &mut self.steps[step.index()];
            match progress.stage {
                Stage::Suspended if asked => self.lift(turn, step),
                Stage::Waiting => {
                    if progress.phase == Some(Phase::Suspending) {
                        progress.phase = Some(Phase::Running);
                    }
                    self.run(turn, step);
                }
                Stage::Running | Stage::Open if progress.phase == Some(Phase::Suspending) => {
                    progress.phase = Some(Phase::Running);
                }
                _ => {}
            }
        }
    }

    /// Whether a step is the other one, or in its group.
    fn is_within(&self, step: StepRef, other: StepRef) -> bool {
        step == other || self.dag.step(step).group == Some(other)
    }

    /// What runs, waits or is suspended has failed; steps with an `if` still have their turn (WF-006, WF-020).
    fn terminate(&mut self, turn: &mut Turn) {
        self.terminated = true;
        self.cut = true;
        self.held = false;
        for step in self.dag.refs() {
            let progress = &self.steps[step.index()];
            match progress.stage {
                Stage::Checking
                | Stage::Checked
                | Stage::Running
                | Stage::Waiting
                | Stage::Suspended => {
                    let message = progress.message.clone();
                    self.fail(turn, step, Reason::Terminate, message);
                }
                // Pending steps without an `if` have nothing to wait for any more.
                Stage::Idle if self.waits_in_vain(step) => self.skip(turn, step),
                _ => {}
            }
        }
    }

    /// Whether a step waits for values in a level that has begun, and will not run anyhow.
    fn waits_in_vain(&self, step: StepRef) -> bool {
        let progress = &self.steps[step.index()];
        let level = &self.levels[progress.level];
        level.begun
            && progress.unmet > 0
            && self.dag.step(step).when == crate::dag::When::Default
            && self.dag.step(step).depends_on.is_empty()
            && level.mode == ExecuteMode::Dag
    }

    fn supersede(&mut self, turn: &mut Turn) {
        self.superseded = true;
        if !self.phase.is_over() {
            for step in self.dag.refs() {
                self.cancel(turn, step);
            }
            self.terminated = true;
            self.held = false;
            self.phase = RunPhase::Terminated;
            self.ended = Some(turn.at);
            self.ready.clear();
            self.timers.clear();
        }
        turn.effects.push(Effect::Finish { phase: self.phase });
    }

    /// Takes back a failed step and all that came after it, and goes on from there.
    fn restart_from(&mut self, turn: &mut Turn, step: StepRef) {
        let mut again = BTreeSet::new();
        let mut reopened = BTreeSet::new();
        self.collect(step, &mut again, &mut reopened);
        for group in reopened.difference(&again).copied().collect::<Vec<_>>() {
            self.stage(group, Stage::Open);
            self.show(group, Phase::Running, None, String::new(), turn.at);
        }
        for step in &again {
            self.take_back(turn, *step);
        }
        self.order.retain(|step| !again.contains(step));
        self.terminated = false;
        self.cut = false;
        self.held = false;
        self.ended = None;
        self.phase = RunPhase::Executing;
        self.recount();
        self.reopen(turn);
    }

    /// Everything that comes after a step: what waits for it, and what follows it step by step.
    fn collect(
        &self,
        step: StepRef,
        again: &mut BTreeSet<StepRef>,
        reopened: &mut BTreeSet<StepRef>,
    ) {
        let mut work = vec![step];
        while let Some(step) = work.pop() {
            if !again.insert(step) {
                continue;
            }
            work.extend(&self.dag.step(step).members);
            self.followers(step, &mut work);
            if let Some(group) = self.dag.step(step).group
                && !again.contains(&group)
                && reopened.insert(group)
            {
                self.followers(group, &mut work);
            }
        }
    }

    fn followers(&self, step: StepRef, work: &mut Vec<StepRef>) {
        work.extend(self.dag.consumers(step));
        let level = &self.levels[self.steps[step.index()].level];
        if level.mode == ExecuteMode::StepByStep {
            work.extend(level.members.iter().skip_while(|one| **one != step).skip(1));
        }
    }

    fn take_back(&mut self, turn: &mut Turn, step: StepRef) {
        self.cancel(turn, step);
        self.stage(step, Stage::Idle);
        self.clear_timer(step, Timer::Next);
        self.clear_timer(step, Timer::Timeout);
        for output in &self.dag.step(step).outputs {
            self.values.remove(&output.name);
        }
        let seed = self.spec.seed;
        let progress = &mut self.steps[step.index()];
        progress.generation += 1;
        *progress = super::Progress {
            id: step_id(seed, step, progress.generation),
            attempt: progress.attempt,
            generation: progress.generation,
            level: progress.level,
            inside: progress.inside,
            met: std::mem::take(&mut progress.met),
            ..super::Progress::default()
        };
    }

    /// Counts anew what every step waits for and how far every level is.
    pub(super) fn recount(&mut self) {
        self.ready.clear();
        self.unseen.clear();
        for step in self.dag.refs() {
            let inputs = self.dag.step(step).inputs.len();
            let met: Vec<bool> = (0..inputs)
                .map(|index| {
                    self.input(step, &self.dag.step(step).inputs[index].from)
                        .is_some()
                })
                .collect();
            let depends_on = &self.dag.step(step).depends_on;
            let open = depends_on.iter().filter(|one| !self.is_done(**one)).count();
            let progress = &mut self.steps[step.index()];
            progress.unmet = open + met.iter().filter(|met| !**met).count();
            progress.met = met;
        }
        for step in self.dag.in_order() {
            let progress = &self.steps[step.index()];
            let clean = progress.stage == Stage::Done
                && progress.phase == Some(Phase::Succeeded)
                && progress.reason.is_none()
                && self
                    .dag
                    .step(step)
                    .depends_on
                    .iter()
                    .all(|one| self.steps[one.index()].clean);
            self.steps[step.index()].clean = clean;
        }
        for index in 0..self.levels.len() {
            let level = &self.levels[index];
            let remaining = level
                .members
                .iter()
                .filter(|one| !self.is_done(**one))
                .count();
            let broken = level.members.iter().any(|one| {
                self.is_done(*one) && self.steps[one.index()].phase == Some(Phase::Failed)
            });
            let begun = match level.group {
                None => true,
                Some(group) => self.steps[group.index()].stage == Stage::Open,
            };
            let level = &mut self.levels[index];
            level.remaining = remaining;
            level.broken = broken;
            level.begun = begun;
            level.cursor = 0;
        }
    }

    /// Goes on in every level that has begun.
    pub(super) fn reopen(&mut self, turn: &mut Turn) {
        for level in (0..self.levels.len()).rev() {
            if self.levels[level].begun {
                self.open(turn, level);
            }
        }
    }

    pub(super) fn is_done(&self, step: StepRef) -> bool {
        self.steps[step.index()].stage == Stage::Done
    }
}
