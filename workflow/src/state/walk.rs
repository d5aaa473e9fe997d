//! Walking the graph: whose turn it is, and what follows when a step is over.
//!
//! Everything here is incremental. A step that is over tells those that wait for it; nothing looks
//! through all steps to find what can run.

use caravel_core::api::ExecuteMode;
use jiff::Timestamp;
use serde_json::Value;

use super::advance::{Turn, later};
use super::{Stage, State, Timer, root_of};
use crate::dag::{StepRef, When};
use crate::event::Effect;
use crate::phase::{Phase, Reason, RunPhase};

/// The type of step that is there to suspend.
const SUSPEND: &str = "suspend";

impl State {
    /// Runs what is due and ready until nothing is.
    pub(super) fn settle(&mut self, turn: &mut Turn) {
        while !self.phase.is_over() && !self.held {
            if let Some((_, step, timer)) = self
                .timers
                .first()
                .copied()
                .filter(|(due, ..)| *due <= turn.at)
            {
                self.expire(turn, step, timer);
            } else if let Some(step) = self.ready.pop_front() {
                self.enter(turn, step);
            } else {
                break;
            }
        }
        if !self.phase.is_over() {
            let suspending = self.held || self.suspended > 0;
            self.phase = if suspending {
                RunPhase::Suspending
            } else {
                RunPhase::Executing
            };
        }
    }

    fn expire(&mut self, turn: &mut Turn, step: StepRef, timer: Timer) {
        self.clear_timer(step, timer);
        match (timer, self.steps[step.index()].stage) {
            (Timer::Next, Stage::Waiting) => self.run(turn, step),
            (Timer::Next, Stage::Suspended) => self.lift(turn, step),
            (Timer::Next, _) | (Timer::Timeout, Stage::Done) => {}
            (Timer::Timeout, stage) => {
                let message = if stage == Stage::Suspended {
                    String::new()
                } else {
                    self.steps[step.index()].message.clone()
                };
                self.fail(turn, step, Reason::Timeout, message);
            }
        }
    }

    /// Lets the members of a level begin.
    pub(super) fn open(&mut self, turn: &mut Turn, level: usize) {
        self.levels[level].begun = true;
        match self.levels[level].mode {
            ExecuteMode::Dag => {
                for place in 0..self.levels[level].members.len() {
                    self.offer(self.levels[level].members[place]);
                }
            }
            ExecuteMode::StepByStep => self.next_in(level),
        }
        self.close_if_over(turn, level);
    }

    /// Step by step: moves on to the first member that is not over.
    fn next_in(&mut self, level: usize) {
        let this = &mut self.levels[level];
        while this
            .members
            .get(this.cursor)
            .is_some_and(|member| self.steps[member.index()].stage == Stage::Done)
        {
            this.cursor += 1;
        }
        if let Some(member) = this.members.get(this.cursor).copied() {
            self.offer(member);
        }
    }

    /// A step whose turn has come either is ready or has to wait for others.
    fn offer(&mut self, step: StepRef) {
        let progress = &self.steps[step.index()];
        match progress.stage {
            Stage::Idle if progress.unmet > 0 => self.unseen.push(step),
            Stage::Idle | Stage::Checked => self.ready.push_back(step),
            _ => {}
        }
    }

    /// One thing less that a step waits for.
    fn relieve(&mut self, step: StepRef) {
        let progress = &mut self.steps[step.index()];
        progress.unmet = progress.unmet.saturating_sub(1);
        let level = &self.levels[progress.level];
        let its_turn = level.begun
            && (level.mode == ExecuteMode::Dag || level.members.get(level.cursor) == Some(&step));
        if its_turn && progress.unmet == 0 && progress.stage == Stage::Idle {
            self.ready.push_back(step);
        }
    }

    /// A value has come: tells those that wait for it.
    pub(super) fn fulfil(&mut self, path: &str) {
        let mut waiting = self.waiters.get(root_of(path)).cloned().unwrap_or_default();
        if root_of(path) != path {
            waiting.extend(self.waiters.get(path).into_iter().flatten());
        }
        for step in waiting {
            for index in 0..self.steps[step.index()].met.len() {
                if !self.steps[step.index()].met[index] && self.has_input(step, index) {
                    self.steps[step.index()].met[index] = true;
                    self.relieve(step);
                }
            }
        }
    }

    fn has_input(&self, step: StepRef, index: usize) -> bool {
        self.input(step, &self.dag.step(step).inputs[index].from)
            .is_some()
    }

    /// Shows that steps have to wait, now that what could run has run (WF-021). A run that is being suspended
    /// stops before it gets there: so it must not be seen whether its `suspend` step or another one was quicker.
    pub(super) fn reveal(&mut self, at: Timestamp) {
        if self.held || self.suspended > 0 || self.suspending > 0 || self.phase.is_over() {
            return;
        }
        for step in std::mem::take(&mut self.unseen) {
            if self.steps[step.index()].stage == Stage::Idle {
                self.show(step, Phase::Pending, None, String::new(), at);
            }
        }
    }

    /// A step's turn: it runs, is skipped, or its `if` has to be evaluated first (WF-004).
    fn enter(&mut self, turn: &mut Turn, step: StepRef) {
        match self.steps[step.index()].stage {
            Stage::Idle => {}
            Stage::Checked => return self.start(turn, step),
            _ => return,
        }
        self.meet(step, turn.at);
        match &self.dag.step(step).when {
            When::Default if self.blocked(step) => self.skip(turn, step),
            When::Always | When::Default => self.start(turn, step),
            When::Expression(_) => {
                self.stage(step, Stage::Checking);
                let progress = &mut self.steps[step.index()];
                progress.attempt += 1;
                turn.effects.push(Effect::Condition {
                    step,
                    attempt: progress.attempt,
                });
            }
        }
    }

    /// Whether something before the step keeps it from running when it has no `if`.
    fn blocked(&self, step: StepRef) -> bool {
        let depends_on = &self.dag.step(step).depends_on;
        let level = &self.levels[self.steps[step.index()].level];
        if self.cut {
            return true;
        }
        if !depends_on.is_empty() || level.mode == ExecuteMode::Dag {
            return !depends_on.iter().all(|one| self.steps[one.index()].clean);
        }
        level.broken
    }

    fn start(&mut self, turn: &mut Turn, step: StepRef) {
        if let Some(Err(invalid)) = &self.dag.step(step).timeout {
            let message = format!("pre check error: {invalid}");
            return self.fail(turn, step, Reason::Rendering, message);
        }
        if !self.dag.step(step).is_group {
            return self.run(turn, step);
        }
        self.stage(step, Stage::Open);
        self.show(step, Phase::Running, None, String::new(), turn.at);
        self.open(turn, self.steps[step.index()].inside);
    }

    /// Begins an attempt; a step that had no turn before is shown as running.
    pub(super) fn run(&mut self, turn: &mut Turn, step: StepRef) {
        let progress = &mut self.steps[step.index()];
        if matches!(progress.phase, None | Some(Phase::Pending)) {
            progress.phase = Some(Phase::Running);
        }
        self.begin_attempt(turn, step);
    }

    /// Begins an attempt. What it may not reuse of earlier ones is forgotten.
    pub(super) fn begin_attempt(&mut self, turn: &mut Turn, step: StepRef) {
        self.clear_timer(step, Timer::Next);
        self.stage(step, Stage::Running);
        let progress = &mut self.steps[step.index()];
        progress
            .calls
            .retain(|_, call| call.keep && call.answer.is_some());
        progress.attempt += 1;
        progress.outdated = false;
        turn.effects.push(Effect::Run {
            step,
            attempt: progress.attempt,
        });
    }

    /// Ends a suspension: the template is evaluated again, and the field does not suspend any more.
    pub(super) fn lift(&mut self, turn: &mut Turn, step: StepRef) {
        let progress = &mut self.steps[step.index()];
        let field = std::mem::take(&mut progress.suspended_by);
        progress.lifted.insert(field);
        progress.phase = Some(Phase::Running);
        self.run(turn, step);
    }

    pub(super) fn skip(&mut self, turn: &mut Turn, step: StepRef) {
        self.end(
            turn,
            step,
            Phase::Skipped,
            Some(Reason::Skip),
            String::new(),
        );
    }

    pub(super) fn fail(&mut self, turn: &mut Turn, step: StepRef, reason: Reason, message: String) {
        self.terminated = true;
        self.end(turn, step, Phase::Failed, Some(reason), message);
    }

    /// Ends a step from outside: stops what is on its way, and ends the members of a group likewise.
    pub(super) fn end(
        &mut self,
        turn: &mut Turn,
        step: StepRef,
        phase: Phase,
        reason: Option<Reason>,
        message: String,
    ) {
        if !self.dag.step(step).is_group {
            self.cancel(turn, step);
            return self.finish(turn, step, phase, reason, message);
        }
        // Over first, so that its last member does not end it a second time.
        self.cancel(turn, step);
        self.stage(step, Stage::Done);
        self.meet(step, turn.at);
        for member in self.dag.step(step).members.clone() {
            if self.steps[member.index()].stage != Stage::Done {
                let message = match self.steps[member.index()].stage {
                    Stage::Suspended => String::new(),
                    _ => self.steps[member.index()].message.clone(),
                };
                self.end(turn, member, phase, reason, message);
            }
        }
        self.finish(turn, step, phase, reason, message);
    }

    pub(super) fn cancel(&self, turn: &mut Turn, step: StepRef) {
        let progress = &self.steps[step.index()];
        if matches!(progress.stage, Stage::Checking | Stage::Running) {
            let attempt = progress.attempt;
            // An attempt that this very turn begins is simply not begun.
            let begun = turn.effects.len();
            turn.effects.retain(|effect| {
                !matches!(effect, Effect::Run { step: one, attempt: at }
                    | Effect::Condition { step: one, attempt: at } if *one == step && *at == attempt)
            });
            if turn.effects.len() == begun {
                turn.effects.push(Effect::Cancel { step, attempt });
            }
        }
    }

    /// A step is over: its dependents, its level and its group go on.
    pub(super) fn finish(
        &mut self,
        turn: &mut Turn,
        step: StepRef,
        phase: Phase,
        reason: Option<Reason>,
        message: String,
    ) {
        self.meet(step, turn.at);
        self.stage(step, Stage::Done);
        self.show(step, phase, reason, message, turn.at);
        self.clear_timer(step, Timer::Next);
        self.clear_timer(step, Timer::Timeout);
        let shape = self.dag.step(step);
        let clean = phase == Phase::Succeeded
            && reason.is_none()
            && shape
                .depends_on
                .iter()
                .all(|one| self.steps[one.index()].clean);
        let progress = &mut self.steps[step.index()];
        progress.clean = clean;
        progress.calls.clear();
        let level = progress.level;
        if phase != Phase::Succeeded {
            // Those that wait for its outputs get null rather than wait for ever (WF-014).
            for name in self.output_names(step) {
                if !self.values.contains(&name) {
                    self.values.set(&name, Value::Null);
                    self.fulfil(&name);
                }
            }
        }
        let dependents: Vec<StepRef> = self.dag.dependents(step).collect();
        for dependent in dependents {
            self.relieve(dependent);
        }
        let this = &mut self.levels[level];
        this.remaining = this.remaining.saturating_sub(1);
        this.broken |= phase == Phase::Failed;
        if this.begun && this.mode == ExecuteMode::StepByStep {
            self.next_in(level);
        }
        self.close_if_over(turn, level);
    }

    /// Ends a group, or the run, whose last step is over.
    pub(super) fn close_if_over(&mut self, turn: &mut Turn, level: usize) {
        let this = &self.levels[level];
        if this.remaining > 0 || !this.begun {
            return;
        }
        match this.group {
            Some(group) if self.steps[group.index()].stage == Stage::Open => {
                let (phase, reason) = self.group_outcome(group);
                self.terminated |= phase == Phase::Failed;
                let outputs = self.group_outputs(group);
                if phase == Phase::Succeeded {
                    for (name, value) in outputs {
                        self.values.set(&name, value);
                        self.fulfil(&name);
                    }
                }
                self.finish(turn, group, phase, reason, String::new());
            }
            Some(_) => {}
            None => self.conclude(turn),
        }
    }

    pub(super) fn output_names(&self, step: StepRef) -> Vec<String> {
        self.dag
            .step(step)
            .outputs
            .iter()
            .map(|output| output.name.clone())
            .collect()
    }

    fn conclude(&mut self, turn: &mut Turn) {
        let mut failed = false;
        let mut by_user = true;
        for step in &self.levels[0].members {
            let progress = &self.steps[step.index()];
            if progress.phase == Some(Phase::Failed) {
                failed = true;
                by_user &= progress.reason == Some(Reason::Terminate);
            }
        }
        self.phase = match (failed, self.terminated) {
            (true, _) if by_user => RunPhase::Terminated,
            (true, _) | (false, true) => RunPhase::Failed,
            (false, false) => RunPhase::Succeeded,
        };
        self.ended = Some(turn.at);
        self.held = false;
        self.ready.clear();
        self.unseen.clear();
        self.timers.clear();
        turn.effects.push(Effect::Finish { phase: self.phase });
    }

    /// The first time that a step gets a status: its clock starts (WF-008).
    fn meet(&mut self, step: StepRef, at: Timestamp) {
        let progress = &mut self.steps[step.index()];
        if progress.first.is_some() {
            return;
        }
        progress.first = Some(at);
        progress.last = Some(at);
        self.order.push(step);
        if let Some(Ok(timeout)) = self.dag.step(step).timeout {
            self.set_timer(step, Timer::Timeout, later(at, timeout));
        }
    }

    /// What others see of a step from now on.
    pub(super) fn show(
        &mut self,
        step: StepRef,
        phase: Phase,
        reason: Option<Reason>,
        message: String,
        at: Timestamp,
    ) {
        self.meet(step, at);
        let progress = &mut self.steps[step.index()];
        progress.phase = Some(phase);
        progress.reason = reason;
        progress.message = message;
        progress.last = Some(at);
    }

    pub(super) fn stage(&mut self, step: StepRef, stage: Stage) {
        let progress = &mut self.steps[step.index()];
        self.suspended -= usize::from(progress.stage == Stage::Suspended);
        self.suspended += usize::from(stage == Stage::Suspended);
        let suspends = self.dag.step(step).type_ == SUSPEND;
        let is_busy = |stage| suspends && matches!(stage, Stage::Checking | Stage::Running);
        self.suspending -= usize::from(is_busy(progress.stage));
        self.suspending += usize::from(is_busy(stage));
        progress.stage = stage;
    }

    pub(super) fn set_timer(&mut self, step: StepRef, timer: Timer, due: Timestamp) {
        self.clear_timer(step, timer);
        let progress = &mut self.steps[step.index()];
        match timer {
            Timer::Next => progress.next = Some(due),
            Timer::Timeout => progress.timeout = Some(due),
        }
        self.timers.insert((due, step, timer));
    }

    pub(super) fn clear_timer(&mut self, step: StepRef, timer: Timer) {
        let progress = &mut self.steps[step.index()];
        let due = match timer {
            Timer::Next => progress.next.take(),
            Timer::Timeout => progress.timeout.take(),
        };
        if let Some(due) = due {
            self.timers.remove(&(due, step, timer));
        }
    }
}
