use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::event::{Command, Effect, Event, Illegal, Outcome};
use crate::journal::{Entry, Record, rebuild};

mod replay;
mod steering;

/// A run with its journal, on a clock that the test moves.
pub(crate) struct Sim {
    pub(crate) state: State,
    pub(crate) entries: Vec<Entry>,
    pub(crate) now: Timestamp,
    pub(crate) open: Vec<Effect>,
}

pub(crate) fn spec(mode: &str, steps: Value) -> RunSpec {
    RunSpec {
        app_revision: "app-v1".into(),
        mode: serde_json::from_value(json!({"steps": mode, "subSteps": "DAG"})).unwrap(),
        steps: serde_json::from_value(steps).unwrap(),
        context: json!({"appName": "app"}).as_object().unwrap().clone(),
        seed: 7,
        limits: Limits::default(),
    }
}

impl Sim {
    pub(crate) fn idle(spec: RunSpec) -> Self {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let state = State::new(spec.clone()).unwrap();
        let opened = Entry {
            seq: 0,
            at: now,
            record: Record::Opened(Box::new(spec)),
        };
        Self {
            state,
            entries: vec![opened],
            now,
            open: Vec::new(),
        }
    }

    fn new(mode: &str, steps: Value) -> Self {
        let mut sim = Self::idle(spec(mode, steps));
        sim.send(Event::Begin);
        sim
    }

    pub(crate) fn try_send(&mut self, event: Event) -> Result<Vec<Effect>, Illegal> {
        let effects = self.state.advance(self.now, event.clone())?;
        let seq = self.entries.len() as u64;
        self.entries.push(Entry {
            seq,
            at: self.now,
            record: Record::Event(event),
        });
        for effect in &effects {
            match effect {
                Effect::Cancel { step, attempt } => self.open.retain(|one| {
                    !matches!(one, Effect::Run { step: s, attempt: a } | Effect::Condition { step: s, attempt: a }
                        if s == step && a == attempt)
                }),
                Effect::Finish { .. } => {}
                other => self.open.push(other.clone()),
            }
        }
        Ok(effects)
    }

    fn send(&mut self, event: Event) -> Vec<Effect> {
        self.try_send(event).unwrap()
    }

    fn find(&self, name: &str) -> StepRef {
        self.state.dag().find(name).unwrap()
    }

    /// Names of the steps whose template is to be evaluated.
    fn running(&self) -> Vec<&str> {
        let runs = self.open.iter().filter_map(|effect| match effect {
            Effect::Run { step, .. } => Some(self.state.dag().step(*step).name.as_str()),
            _ => None,
        });
        runs.collect()
    }

    fn take(&mut self, name: &str) -> (StepRef, u32) {
        let step = self.find(name);
        let place = self.open.iter().position(|effect| {
            matches!(effect, Effect::Run { step: one, .. } | Effect::Condition { step: one, .. } if *one == step)
        });
        match self
            .open
            .remove(place.unwrap_or_else(|| panic!("{name} is not under way: {:?}", self.open)))
        {
            Effect::Run { attempt, .. } | Effect::Condition { attempt, .. } => (step, attempt),
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, name: &str, outcome: Outcome) -> Vec<Effect> {
        let (step, attempt) = self.take(name);
        self.send(Event::Ended {
            step,
            attempt,
            outcome,
        })
    }

    fn ok(&mut self, name: &str) -> Vec<Effect> {
        self.end(name, succeeded())
    }

    fn wait(&mut self, name: &str) -> Vec<Effect> {
        self.end(
            name,
            Outcome::Waiting {
                message: "not yet".into(),
            },
        )
    }

    fn fail(&mut self, name: &str, reason: Reason) -> Vec<Effect> {
        self.end(
            name,
            Outcome::Failed {
                reason,
                message: "broken".into(),
            },
        )
    }

    fn suspend(&mut self, name: &str, duration: Option<Duration>) -> Vec<Effect> {
        let message = "Suspended by field suspend".into();
        self.end(
            name,
            Outcome::Suspended {
                field: "suspend".into(),
                message,
                duration,
            },
        )
    }

    fn condition(&mut self, name: &str, result: Result<bool, String>) -> Vec<Effect> {
        let (step, attempt) = self.take(name);
        self.send(Event::Condition {
            step,
            attempt,
            result,
        })
    }

    fn command(&mut self, command: Command) -> Vec<Effect> {
        self.send(Event::Command {
            command,
            by: "alice".into(),
        })
    }

    fn later(&mut self, duration: Duration) -> Vec<Effect> {
        self.now = self.now.saturating_add(duration).unwrap();
        self.send(Event::Wake)
    }

    /// Run phase, then `name=phase/reason message` of each step.
    fn shown(&self) -> String {
        let mut lines = vec![self.state.phase().as_str().to_owned()];
        let status = self.state.status();
        for step in &status.steps {
            lines.push(line(
                "",
                &step.name,
                step.phase.as_deref(),
                step.reason.as_deref(),
                step.message.as_deref(),
            ));
            for sub in &step.sub_steps {
                lines.push(line(
                    "  ",
                    &sub.name,
                    sub.phase.as_deref(),
                    sub.reason.as_deref(),
                    sub.message.as_deref(),
                ));
            }
        }
        lines.join("\n")
    }
}

fn line(
    indent: &str,
    name: &str,
    phase: Option<&str>,
    reason: Option<&str>,
    message: Option<&str>,
) -> String {
    let reason = reason
        .map(|reason| format!("/{reason}"))
        .unwrap_or_default();
    let message = message
        .map(|message| format!(" {message}"))
        .unwrap_or_default();
    format!("{indent}{name}={}{reason}{message}", phase.unwrap_or("-"))
}

fn succeeded() -> Outcome {
    Outcome::Succeeded {
        message: String::new(),
        outputs: BTreeMap::new(),
    }
}

fn three() -> Value {
    json!([{"name": "a", "type": "t"}, {"name": "b", "type": "t"}, {"name": "c", "type": "t", "if": "always"}])
}

#[test]
fn step_by_step_runs_one_after_the_other() {
    let mut sim = Sim::new("StepByStep", three());
    assert_eq!(sim.running(), ["a"]);
    sim.ok("a");
    assert_eq!(sim.running(), ["b"]);
    sim.ok("b");
    let effects = sim.ok("c");
    assert_eq!(
        effects,
        [Effect::Finish {
            phase: RunPhase::Succeeded
        }]
    );
    assert_eq!(
        sim.shown(),
        "succeeded\na=succeeded\nb=succeeded\nc=succeeded"
    );
    let status = sim.state.status();
    assert!(status.finished && !status.terminated && status.end_time.is_some());
    assert_eq!(status.mode, "StepByStep-DAG");
    assert_eq!(sim.state.outstanding(), []);
}

#[test]
fn after_a_failure_only_what_says_always_runs() {
    let mut sim = Sim::new("StepByStep", three());
    sim.fail("a", Reason::Action);
    assert_eq!(sim.running(), ["c"]);
    sim.ok("c");
    assert_eq!(
        sim.shown(),
        "failed\na=failed/Action broken\nb=skipped/Skip\nc=succeeded"
    );
    assert!(sim.state.status().terminated);
}

#[test]
fn dag_runs_what_is_ready_and_shows_what_waits() {
    let mut sim = Sim::new(
        "DAG",
        json!([
            {"name": "a", "type": "t"},
            {"name": "b", "type": "t", "dependsOn": ["a"]},
            {"name": "c", "type": "apply-component", "inputs": [{"from": "x", "parameterKey": "k"}]},
            {"name": "d", "type": "t", "outputs": [{"name": "x", "valueFrom": "v"}]},
        ]),
    );
    assert_eq!(sim.running(), ["a", "d"]);
    assert_eq!(sim.shown(), "executing\na=running\nd=running");
    sim.wait("a");
    assert_eq!(
        sim.shown(),
        "executing\na=running/Wait not yet\nd=running\nb=pending Pending on DependsOn: a\nc=pending Pending on Input: x"
    );
    let row = &sim.state.status().steps[3];
    assert_eq!(row.type_, "builtin-apply-component");
    sim.end(
        "d",
        Outcome::Succeeded {
            message: String::new(),
            outputs: [("x".into(), json!(5))].into(),
        },
    );
    assert_eq!(sim.running(), ["c"]);
    assert_eq!(
        sim.state.parameters(sim.find("c")).unwrap(),
        json!({"k": 5})
    );
}

#[test]
fn a_skipped_dependency_skips_its_dependents_in_turn() {
    let mut sim = Sim::new(
        "DAG",
        json!([
            {"name": "a", "type": "t", "if": "1 == 2", "outputs": [{"name": "x", "valueFrom": "v"}]},
            {"name": "b", "type": "t", "dependsOn": ["a"]},
            {"name": "c", "type": "t", "dependsOn": ["b"], "if": "always", "inputs": [{"from": "x"}]},
            {"name": "d", "type": "t", "dependsOn": ["c"]},
        ]),
    );
    sim.condition("a", Ok(false));
    sim.ok("c");
    // `c` ran, but what it depends on did not: upstream looks through the whole chain.
    assert_eq!(
        sim.shown(),
        "succeeded\na=skipped/Skip\nb=skipped/Skip\nc=succeeded\nd=skipped/Skip"
    );
    assert_eq!(sim.state.values().get("x"), Some(&Value::Null));
}

#[test]
fn a_wrong_if_or_timeout_fails_the_step() {
    let mut sim = Sim::new(
        "StepByStep",
        json!([{"name": "a", "type": "t", "if": "nope.x"}, {"name": "b", "type": "t", "timeout": "soon", "if": "always"}]),
    );
    sim.condition("a", Err("reference \"nope\" not found".into()));
    let shown = sim.shown();
    assert!(shown.starts_with("failed\na=failed/Rendering pre check error: reference \"nope\" not found\nb=failed/Rendering pre check error: "), "{shown}");
    assert!(shown.contains("\"soon\""), "{shown}");
}

#[test]
fn the_scope_of_a_condition_holds_what_it_mentions() {
    let mut sim = Sim::new(
        "StepByStep",
        json!([
            {"name": "a-b", "type": "t", "outputs": [{"name": "x", "valueFrom": "v"}], "properties": {"component": "web"}},
            {"name": "other", "type": "t", "if": "always"},
            {"name": "c", "type": "t", "inputs": [{"from": "x"}], "properties": {"p": 1},
             "if": "status[\"a-b\"].failed && status.web.failed && inputs.x == 1"},
        ]),
    );
    sim.fail("a-b", Reason::Action);
    sim.ok("other");
    let (expression, scope) = sim.state.condition_of(sim.find("c")).unwrap();
    assert!(expression.starts_with("status"));
    let status = scope["status"].as_object().unwrap();
    assert_eq!(status.keys().collect::<Vec<_>>(), ["a-b", "web"]);
    assert_eq!(status["web"]["failed"], json!(true));
    assert_eq!(status["a-b"]["reason"], json!("Action"));
    assert_eq!(scope["inputs"], json!({"x": null}));
    assert_eq!(scope["context"]["stepName"], json!("c"));
    assert_eq!(scope["parameter"], json!({"p": 1}));
}

#[test]
fn retries_back_off_and_end() {
    let mut sim = Sim::new(
        "StepByStep",
        json!([{"name": "a", "type": "t"}, {"name": "b", "type": "t"}]),
    );
    let mut pauses = Vec::new();
    for _ in 0..9 {
        sim.fail("a", Reason::Execute);
        let due = sim.state.deadline().unwrap();
        let pause = due.duration_since(sim.now);
        pauses.push(pause.as_secs());
        sim.later(Duration::try_from(pause).unwrap());
    }
    assert_eq!(pauses, [1, 1, 1, 1, 1, 3, 6, 12, 25]);
    sim.fail("a", Reason::Execute);
    assert_eq!(
        sim.shown(),
        "failed\na=failed/FailedAfterRetries broken\nb=skipped/Skip"
    );
}

#[test]
fn counters_survive_a_restart_of_the_daemon() {
    let mut sim = Sim::new("StepByStep", json!([{"name": "a", "type": "t"}]));
    for _ in 0..9 {
        sim.fail("a", Reason::Execute);
        sim.later(Duration::from_mins(5));
    }
    sim.state = rebuild(sim.entries.clone()).unwrap().state;
    assert_eq!(sim.state.outstanding(), sim.open);
    sim.fail("a", Reason::Execute);
    assert_eq!(sim.shown(), "failed\na=failed/FailedAfterRetries broken");
}

#[test]
fn a_new_message_resets_the_pause_and_a_nudge_ends_it() {
    let mut sim = Sim::new("StepByStep", json!([{"name": "a", "type": "t"}]));
    for _ in 0..8 {
        sim.wait("a");
        sim.later(Duration::from_mins(2));
    }
    sim.end(
        "a",
        Outcome::Waiting {
            message: "nearly".into(),
        },
    );
    assert_eq!(
        sim.state
            .deadline()
            .unwrap()
            .duration_since(sim.now)
            .as_secs(),
        1
    );
    assert_eq!(sim.running(), Vec::<&str>::new());
    sim.send(Event::Nudge { step: None });
    assert_eq!(sim.running(), ["a"]);
    assert_eq!(sim.state.deadline(), None);
}

#[test]
fn a_nudge_during_an_attempt_that_did_not_see_it_makes_one_more() {
    let mut sim = Sim::new("StepByStep", json!([{"name": "a", "type": "t"}]));
    assert_eq!(sim.running(), ["a"]);
    sim.send(Event::Nudge { step: None });
    sim.send(Event::Nudge { step: None });
    sim.wait("a");
    assert_eq!(sim.running(), ["a"], "at once, not after a pause");
    assert_eq!(sim.state.deadline(), None);
    sim.wait("a");
    assert_eq!(sim.running(), Vec::<&str>::new(), "and only once");
}

/// Whichever of two steps that run at the same time ends first, the run that is suspended by one of them looks the same.
#[test]
fn what_waits_is_not_shown_while_a_step_may_still_suspend_the_run() {
    let steps = json!([{"name": "g", "type": "step-group", "subSteps": [
        {"name": "g1", "type": "suspend"}, {"name": "g2", "type": "t"},
        {"name": "g3", "type": "t", "dependsOn": ["g1"]},
    ]}]);
    let suspend = Outcome::Suspended {
        field: "suspend".into(),
        message: String::new(),
        duration: None,
    };
    let mut first = Sim::new("StepByStep", steps.clone());
    first.end("g1", suspend.clone());
    first.ok("g2");
    let mut last = Sim::new("StepByStep", steps);
    last.ok("g2");
    last.end("g1", suspend);
    assert_eq!(first.shown(), last.shown());
    assert!(!last.shown().contains("g3"), "{}", last.shown());
}

#[test]
fn timeout_counts_from_the_first_execution_and_stops_the_attempt() {
    let mut sim = Sim::new(
        "StepByStep",
        json!([{"name": "a", "type": "t", "timeout": "5s"}, {"name": "b", "type": "t", "if": "status.a.timeout"}]),
    );
    sim.wait("a");
    sim.later(Duration::from_secs(3));
    let stale = sim.open.clone();
    assert_eq!(sim.running(), ["a"]);
    let effects = sim.later(Duration::from_secs(2));
    assert_eq!(
        effects[0],
        Effect::Cancel {
            step: StepRef(0),
            attempt: 2
        }
    );
    assert!(matches!(effects[1], Effect::Condition { .. }));
    assert_eq!(sim.shown(), "executing\na=failed/Timeout not yet");
    let Effect::Run { step, attempt } = stale[0] else {
        panic!()
    };
    let before = sim.state.clone();
    let error = sim
        .try_send(Event::Ended {
            step,
            attempt,
            outcome: succeeded(),
        })
        .unwrap_err();
    assert_eq!(error.to_string(), "step a: attempt 2 is no longer running");
    assert_eq!(sim.state, before);
}

#[test]
fn a_group_stands_as_its_members_do() {
    let mut sim = Sim::new(
        "StepByStep",
        json!([
            {"name": "g", "type": "step-group", "subSteps": [
                {"name": "g1", "type": "suspend"},
                {"name": "g2", "type": "t"},
                {"name": "g3", "type": "t", "dependsOn": ["g1"]}]},
            {"name": "after", "type": "t"},
        ]),
    );
    assert_eq!(sim.running(), ["g1", "g2"]);
    sim.suspend("g1", Some(Duration::from_secs(5)));
    sim.ok("g2");
    assert_eq!(
        sim.shown(),
        "suspending\ng=suspending\n  g1=suspending/Suspend Suspended by field suspend\n  g2=succeeded"
    );
    sim.later(Duration::from_secs(5));
    assert_eq!(
        sim.state.suspension(sim.find("g1"), "suspend"),
        Suspension::Lifted
    );
    sim.ok("g1");
    sim.ok("g3");
    sim.ok("after");
    assert_eq!(
        sim.shown(),
        "succeeded\ng=succeeded\n  g1=succeeded\n  g2=succeeded\n  g3=succeeded\nafter=succeeded"
    );
}

#[test]
fn a_skipped_or_late_group_takes_its_members_along() {
    let group = |rest: Value| {
        let mut group = json!({"name": "g", "type": "step-group", "subSteps": [
            {"name": "g1", "type": "t"}, {"name": "g2", "type": "t", "if": "always"}]});
        group
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        json!([group, {"name": "end", "type": "t", "if": "always"}])
    };
    let mut sim = Sim::new("StepByStep", group(json!({"if": "false"})));
    sim.condition("g", Ok(false));
    sim.ok("end");
    assert_eq!(
        sim.shown(),
        "succeeded\ng=skipped/Skip\n  g1=skipped/Skip\n  g2=skipped/Skip\nend=succeeded"
    );

    let mut sim = Sim::new("StepByStep", group(json!({"timeout": "4s"})));
    sim.ok("g2");
    sim.wait("g1");
    sim.later(Duration::from_secs(4));
    sim.ok("end");
    assert_eq!(
        sim.shown(),
        "failed\ng=failed/Timeout\n  g1=failed/Timeout not yet\n  g2=succeeded\nend=succeeded"
    );
}

#[test]
fn ten_thousand_steps_take_one_turn_each() {
    let steps: Vec<Value> = (0..10_000)
        .map(|index: usize| match index {
            0 => json!({"name": "s0", "type": "t"}),
            _ => json!({"name": format!("s{index}"), "type": "t", "dependsOn": [format!("s{}", index / 2)]}),
        })
        .collect();
    let mut state = State::new(spec("DAG", json!(steps))).unwrap();
    let at = Timestamp::UNIX_EPOCH;
    let mut open = state.advance(at, Event::Begin).unwrap();
    let mut turns = 0;
    while let Some(effect) = open.pop() {
        if let Effect::Run { step, attempt } = effect {
            turns += 1;
            open.extend(
                state
                    .advance(
                        at,
                        Event::Ended {
                            step,
                            attempt,
                            outcome: succeeded(),
                        },
                    )
                    .unwrap(),
            );
        }
    }
    assert_eq!(turns, 10_000);
    assert_eq!(state.phase(), RunPhase::Succeeded);
}
