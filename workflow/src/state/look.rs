//! What those who carry out effects need to know of a run.

use std::collections::BTreeMap;

use caravel_core::appfile::step_alias;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Recorded, RunSpec, Stage, State, Suspension};
use crate::dag::{Dag, StepRef, When};
use crate::event::{Effect, Unfinished};
use crate::phase::{Phase, Reason, RunPhase};
use crate::status::abbreviated;
use crate::values::{Values, fill, lookup_in};

impl State {
    /// What the run was made of.
    pub fn spec(&self) -> &RunSpec {
        &self.spec
    }

    /// The workflow.
    pub fn dag(&self) -> &Dag {
        &self.dag
    }

    /// How the run stands.
    pub fn phase(&self) -> RunPhase {
        self.phase
    }

    /// When it began.
    pub fn started(&self) -> Option<Timestamp> {
        self.started
    }

    /// When it ended.
    pub fn ended(&self) -> Option<Timestamp> {
        self.ended
    }

    /// Whether a user asked for a new run in its place ([`Command::Restart`](crate::Command::Restart)).
    pub fn superseded(&self) -> bool {
        self.superseded
    }

    /// Whether a user holds the run, or a step is suspended.
    pub fn suspended(&self) -> bool {
        self.held || self.suspended > 0
    }

    pub(crate) fn terminated(&self) -> bool {
        self.terminated
    }

    /// The steps that have a status, in the order in which they got it.
    pub fn order(&self) -> &[StepRef] {
        &self.order
    }

    /// The values that steps gave, for the context ConfigMap (WF-016).
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// When [`Event::Wake`](crate::Event::Wake) is wanted next. A run that is held waits for a user only.
    pub fn deadline(&self) -> Option<Timestamp> {
        if self.held || self.phase.is_over() {
            return None;
        }
        self.timers.first().map(|(due, ..)| *due)
    }

    /// What was asked for and is not answered: to be carried out (again) after a restart.
    pub fn outstanding(&self) -> Vec<Effect> {
        if self.phase.is_over() {
            return Vec::new();
        }
        self.order
            .iter()
            .filter_map(|step| {
                let progress = &self.steps[step.index()];
                let attempt = progress.attempt;
                match progress.stage {
                    Stage::Checking => Some(Effect::Condition {
                        step: *step,
                        attempt,
                    }),
                    Stage::Running => Some(Effect::Run {
                        step: *step,
                        attempt,
                    }),
                    _ => None,
                }
            })
            .collect()
    }

    /// The id of a step (`context.stepSessionID`).
    pub fn step_id(&self, step: StepRef) -> &str {
        &self.steps[step.index()].id
    }

    /// How a step stands: phase, reason and message; `None` while it has no status.
    pub fn standing(&self, step: StepRef) -> Option<(Phase, Option<Reason>, String)> {
        let progress = &self.steps[step.index()];
        let phase = match progress.stage {
            Stage::Open if progress.phase != Some(Phase::Suspending) => self.group_outcome(step),
            _ => (progress.phase?, progress.reason),
        };
        let message = match phase.0 {
            Phase::Pending => self.pending_on(step),
            _ => progress.message.clone(),
        };
        Some((phase.0, phase.1, message))
    }

    /// When a step first and last got a status.
    pub fn times(&self, step: StepRef) -> (Option<Timestamp>, Option<Timestamp>) {
        let progress = &self.steps[step.index()];
        (progress.first, progress.last)
    }

    /// What a pending step waits for, as KubeVela words it (WF-009).
    fn pending_on(&self, step: StepRef) -> String {
        let shape = self.dag.step(step);
        if let Some(open) = shape.depends_on.iter().find(|one| !self.is_done(**one)) {
            return format!("Pending on DependsOn: {}", self.dag.step(*open).name);
        }
        let missing = shape
            .inputs
            .iter()
            .find(|input| self.input(step, &input.from).is_none());
        missing
            .map(|input| format!("Pending on Input: {}", input.from))
            .unwrap_or_default()
    }

    /// Answers that stand in for calls when a step is evaluated, by key.
    pub fn recorded(&self, step: StepRef) -> BTreeMap<String, Recorded> {
        let calls = &self.steps[step.index()].calls;
        calls
            .iter()
            .filter_map(|(key, call)| {
                let value = call.answer.clone()?;
                Some((
                    key.clone(),
                    Recorded {
                        digest: call.digest.clone(),
                        value,
                    },
                ))
            })
            .collect()
    }

    /// Calls of a step that were intended, and of which nobody knows whether they were made.
    pub fn unfinished(&self, step: StepRef) -> Vec<Unfinished> {
        let calls = &self.steps[step.index()].calls;
        calls
            .iter()
            .filter(|(_, call)| call.answer.is_none())
            .map(|(key, call)| Unfinished {
                call: key.clone(),
                digest: call.digest.clone(),
            })
            .collect()
    }

    /// What `builtin.#Suspend` at a field means right now (WF-018).
    pub fn suspension(&self, step: StepRef, field: &str) -> Suspension {
        if self.steps[step.index()].lifted.contains(field) {
            Suspension::Lifted
        } else {
            Suspension::Suspends
        }
    }

    /// The value that an input names: a value of the run, or a path in `context` or in the step's
    /// own `parameter` (WF-015).
    pub fn input(&self, step: StepRef, from: &str) -> Option<&Value> {
        if let Some(value) = self.values.get(from) {
            return Some(value);
        }
        if let Some(path) = from.strip_prefix("context.") {
            return lookup_in(&self.spec.context, path);
        }
        let path = from.strip_prefix("parameter.")?;
        lookup_in(self.dag.step(step).properties.as_object()?, path)
    }

    /// The parameters of a step with its inputs filled in.
    pub fn parameters(&self, step: StepRef) -> Result<Value, String> {
        let shape = self.dag.step(step);
        let mut parameters = shape.properties.clone();
        for input in &shape.inputs {
            let value = self
                .input(step, &input.from)
                .ok_or_else(|| format!("get input from [{}]: value not found", input.from))?;
            if let Some(key) = input.parameter_key.as_deref().filter(|key| !key.is_empty()) {
                fill(&mut parameters, key, value.clone())?;
            }
        }
        Ok(parameters)
    }

    /// `context` of a step's template (REN-107).
    pub fn context(&self, step: StepRef) -> Map<String, Value> {
        let mut context = self.spec.context.clone();
        let shape = self.dag.step(step);
        context.insert("stepName".into(), json!(shape.name));
        context.insert("stepSessionID".into(), json!(self.steps[step.index()].id));
        if let Some(group) = shape.group {
            context.insert("stepGroupName".into(), json!(self.dag.step(group).name));
        }
        context
    }

    /// The `if` expression of a step, and the names that it may use: `status`, `inputs`, `context` and
    /// `parameter` (WF-004). Only steps that the expression mentions are in `status`.
    pub fn condition_of(&self, step: StepRef) -> Option<(String, Map<String, Value>)> {
        let shape = self.dag.step(step);
        let When::Expression(expression) = &shape.when else {
            return None;
        };
        let mut status = Map::new();
        for other in self
            .order
            .iter()
            .filter(|one| self.steps[one.index()].phase.is_some())
        {
            let named = self.dag.step(*other);
            let mut names = vec![named.name.as_str()];
            names.extend(step_alias(&named.type_, &named.properties));
            for name in names.into_iter().filter(|name| expression.contains(name)) {
                if let Some(value) = abbreviated(self, *other)
                    && (name == named.name || !status.contains_key(name))
                {
                    status.insert(name.to_owned(), value);
                }
            }
        }
        let inputs: Map<String, Value> = shape
            .inputs
            .iter()
            .filter_map(|input| Some((input.from.clone(), self.input(step, &input.from)?.clone())))
            .collect();
        let mut scope = Map::new();
        scope.insert("status".into(), Value::Object(status));
        scope.insert("inputs".into(), Value::Object(inputs));
        scope.insert("context".into(), Value::Object(self.context(step)));
        let parameters = if shape.is_group {
            Value::Null
        } else {
            shape.properties.clone()
        };
        if !parameters.is_null() {
            scope.insert("parameter".into(), parameters);
        }
        Some((expression.clone(), scope))
    }

    /// How a group stands, from how its members do (WF-017).
    pub(super) fn group_outcome(&self, group: StepRef) -> (Phase, Option<Reason>) {
        let members = &self.dag.step(group).members;
        let has = |phase| {
            members
                .iter()
                .any(|one| self.steps[one.index()].phase == Some(phase))
        };
        let because = |reason| {
            members
                .iter()
                .any(|one| self.steps[one.index()].reason == Some(reason))
        };
        let unseen = members
            .iter()
            .any(|one| self.steps[one.index()].phase.is_none());
        if has(Phase::Suspending) {
            return (Phase::Suspending, None);
        }
        if unseen || has(Phase::Running) {
            return (Phase::Running, None);
        }
        if has(Phase::Pending) {
            return (Phase::Pending, None);
        }
        if has(Phase::Failed) {
            let reason = [
                Reason::FailedAfterRetries,
                Reason::Timeout,
                Reason::Action,
                Reason::Terminate,
                // Upstream names none of these, and such a group never ends.
                Reason::Rendering,
                Reason::Input,
                Reason::Output,
                Reason::ProcessParameter,
            ]
            .into_iter()
            .find(|reason| because(*reason));
            return (Phase::Failed, reason);
        }
        if !members.is_empty() && !has(Phase::Succeeded) {
            return (Phase::Skipped, Some(Reason::Skip));
        }
        (Phase::Succeeded, None)
    }

    /// Outputs of a group are paths in `context` (WF-017).
    pub(super) fn group_outputs(&self, group: StepRef) -> Vec<(String, Value)> {
        let context = self.context(group);
        let outputs = &self.dag.step(group).outputs;
        outputs
            .iter()
            .map(|output| {
                let path = output.value_from.trim().strip_prefix("context.");
                let value = path.and_then(|path| lookup_in(&context, path)).cloned();
                (output.name.clone(), value.unwrap_or(Value::Null))
            })
            .collect()
    }
}
