//! One run of a workflow.

mod adopt;
mod advance;
mod look;
mod steer;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use caravel_core::api::{ExecuteMode, WorkflowMode, WorkflowStep};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::dag::{Dag, Fault, StepRef};
use crate::phase::{Phase, Reason, RunPhase};
use crate::values::Values;

/// What a run is made of. The first entry of its journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSpec {
    /// What `status.workflow.appRevision` says: the revision's name, or the publish version (TRAP-007).
    pub app_revision: String,
    /// Order of steps and sub-steps. Absent parts mean step by step, and DAG for sub-steps (APP-038).
    #[serde(default)]
    pub mode: WorkflowMode,
    /// The steps.
    pub steps: Vec<WorkflowStep>,
    /// `context` as templates see it (REN-107), without what belongs to a step.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// Where the ids of steps come from: a random number, made by the caller.
    pub seed: u64,
    /// When to try again, and when to give up.
    #[serde(default)]
    pub limits: Limits,
}

/// When a step is tried again, and when no more (WF-010).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Failed attempts until a step has failed for good.
    pub attempts: u32,
    /// Longest pause of a step that waits.
    pub wait_pause: Duration,
    /// Longest pause of a step that failed.
    pub failed_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts: 10,
            wait_pause: Duration::from_mins(1),
            failed_pause: Duration::from_mins(5),
        }
    }
}

impl Limits {
    /// The pause before the next attempt: `2^n × 0.05 s` in whole seconds, at least one.
    pub(crate) fn pause(&self, times: u32, failed: bool) -> Duration {
        let longest = if failed {
            self.failed_pause
        } else {
            self.wait_pause
        };
        let seconds = (1_u64 << times.min(40)) / 20;
        Duration::from_secs(seconds.max(1)).min(longest)
    }
}

/// A call of a step whose answer is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Digest of what it sent.
    pub digest: String,
    /// The answer.
    pub value: Value,
}

/// What `builtin.#Suspend` means for a step right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspension {
    /// It suspends the step.
    Suspends,
    /// It was resumed before, the step goes on.
    Lifted,
}

/// One run of a workflow: how far it is, and what it waits for. It changes only in [`State::advance`].
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, in any combination"
)]
pub struct State {
    spec: RunSpec,
    dag: Dag,
    phase: RunPhase,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// A step failed or ended the run, or a user did.
    terminated: bool,
    /// Steps without an `if` that have not begun will not: a user, or `#Break`, ended the run.
    cut: bool,
    /// A user suspended the run.
    held: bool,
    /// Another run takes the place of this one.
    superseded: bool,
    steps: Vec<Progress>,
    /// The top level, then one per group.
    levels: Vec<Level>,
    values: Values,
    /// Steps that need a value of this name.
    waiters: HashMap<String, Vec<StepRef>>,
    /// Steps in the order in which they first got a status.
    order: Vec<StepRef>,
    ready: VecDeque<StepRef>,
    /// Steps that have to wait, and do not show it yet.
    unseen: Vec<StepRef>,
    timers: BTreeSet<(Timestamp, StepRef, Timer)>,
    suspended: usize,
    /// Steps of type `suspend` whose `if` or template is being evaluated.
    suspending: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The next attempt of a waiting step, or the end of a suspension.
    Next,
    /// The step's `timeout`.
    Timeout,
}

/// How far a step is. `phase`, `reason` and `message` are what others see of it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Progress {
    id: String,
    stage: Stage,
    phase: Option<Phase>,
    reason: Option<Reason>,
    message: String,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// Evaluations begun, of `if` and of the template. Never goes back.
    attempt: u32,
    /// Attempts that failed with reason `Execute`.
    failures: u32,
    /// Attempts that ended with the same message, for the pause before the next.
    times: u32,
    times_message: String,
    /// What it waits for before its turn: dependencies and inputs.
    unmet: usize,
    met: Vec<bool>,
    /// It and all that it depends on succeeded.
    clean: bool,
    level: usize,
    /// The level of its members, where it is a group.
    inside: usize,
    /// Times that its state was taken back, so that it gets another id.
    generation: u32,
    suspended_by: String,
    lifted: BTreeSet<String>,
    calls: BTreeMap<String, Call>,
    next: Option<Timestamp>,
    timeout: Option<Timestamp>,
    /// What it looks at changed while an attempt was on its way, which may not have seen it.
    outdated: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Its turn has not come.
    #[default]
    Idle,
    /// Its `if` is being evaluated.
    Checking,
    /// Its `if` is true.
    Checked,
    /// An attempt is on its way.
    Running,
    /// Between two attempts.
    Waiting,
    /// Until it is resumed.
    Suspended,
    /// A group whose members run.
    Open,
    /// Over.
    Done,
}

#[derive(Clone, Debug, PartialEq)]
struct Call {
    digest: String,
    answer: Option<Value>,
    keep: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Level {
    group: Option<StepRef>,
    members: Vec<StepRef>,
    mode: ExecuteMode,
    begun: bool,
    /// Step by step: the member whose turn it is.
    cursor: usize,
    remaining: usize,
    /// A member failed.
    broken: bool,
}

impl State {
    /// A run that has not begun. Refuses a workflow with faults.
    pub fn new(spec: RunSpec) -> Result<Self, Vec<Fault>> {
        let dag = Dag::build(&spec.steps, spec.mode)?;
        let mut state = Self {
            phase: RunPhase::Initializing,
            started: None,
            ended: None,
            terminated: false,
            cut: false,
            held: false,
            superseded: false,
            steps: vec![Progress::default(); dag.steps().len()],
            levels: vec![Level::new(None, dag.top().to_vec(), dag.mode())],
            values: Values::default(),
            waiters: HashMap::new(),
            order: Vec::new(),
            ready: VecDeque::new(),
            unseen: Vec::new(),
            timers: BTreeSet::new(),
            suspended: 0,
            suspending: 0,
            spec,
            dag,
        };
        for me in state.dag.refs() {
            state.place(me);
        }
        Ok(state)
    }

    /// Finds a step's level, makes the level of its members, and notes which values it needs.
    fn place(&mut self, me: StepRef) {
        let step = self.dag.step(me);
        let level = step
            .group
            .map_or(0, |group| self.steps[group.index()].inside);
        if step.is_group {
            self.steps[me.index()].inside = self.levels.len();
            self.levels
                .push(Level::new(Some(me), step.members.clone(), step.mode));
        }
        for input in &step.inputs {
            let root = root_of(&input.from);
            self.waiters.entry(root.to_owned()).or_default().push(me);
            if root != input.from {
                self.waiters.entry(input.from.clone()).or_default().push(me);
            }
        }
        let progress = &mut self.steps[me.index()];
        progress.level = level;
        progress.met = vec![false; step.inputs.len()];
        progress.id = step_id(self.spec.seed, me, 0);
    }
}

impl Level {
    fn new(group: Option<StepRef>, members: Vec<StepRef>, mode: ExecuteMode) -> Self {
        let remaining = members.len();
        Self {
            group,
            members,
            mode,
            begun: false,
            cursor: 0,
            remaining,
            broken: false,
        }
    }
}

/// The name of the value that an input's path begins with.
fn root_of(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

/// The id of a step: ten characters that follow from the run's seed (WF-013), so that the same journal
/// gives the same ids.
fn step_id(seed: u64, step: StepRef, generation: u32) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut bits = mix(seed ^ mix((u64::from(step.0) << 32) | u64::from(generation)));
    let mut id = String::with_capacity(10);
    for _ in 0..10 {
        let index = usize::try_from(bits % 36).unwrap_or_default();
        id.push(char::from(ALPHABET[index]));
        bits = mix(bits);
    }
    id
}

/// The finalizer of `SplitMix64`: spreads every bit of the input over the output.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests;
