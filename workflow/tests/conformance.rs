//! What KubeVela's engine made of the recorded workflows, compared with what ours makes of the same results of the steps.
//!
//! Templates are not evaluated here: each step that runs is told the outcome that the recording shows for it. What is compared
//! is the engine's part: which steps run and which are skipped, how groups and the run stand, and the words of it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a case that cannot be read fails it, and the counts are printed"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caravel_core::api::{WorkflowMode, WorkflowStep};
use caravel_workflow::{
    Command, Effect, Event, Limits, Outcome, Phase, Reason, RunSpec, State, StepRef,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Cases that differ on purpose, with the trap of `kubevela-measured` whose decision makes them differ.
const KNOWN: &[(&str, &str)] = &[
    ("wf-eng-if-bad", "trap 4: an invalid `if` fails the step"),
    ("f-if-invalid", "trap 4"),
    ("f-if-not-bool", "trap 4"),
    ("f-if-unknown-step", "trap 4"),
    ("f-step-timeout-bad", "trap 4"),
    ("wh-f-if-invalid", "trap 4"),
    ("wh-f-if-not-bool", "trap 4"),
    ("wh-f-if-unknown-step", "trap 4"),
    ("wh-f-step-timeout-bad", "trap 4"),
    (
        "wf-request-wrong-type",
        "a failed step with the reason of an earlier wait: upstream's run never ends",
    ),
    (
        "w-request-get",
        "the recording writes the name `n` bare, which YAML 1.1 reads as false",
    ),
    ("wf-eng-dag-cycle", "trap 6: refused"),
    ("wf-eng-dependson-missing", "trap 6: refused"),
];

fn folder() -> Option<PathBuf> {
    if std::env::var("CONFORMANCE").as_deref() == Ok("skip") {
        return None;
    }
    let set = std::env::var_os("CARAVEL_CONFORMANCE_DIR").map(PathBuf::from);
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let folder = set.unwrap_or(default);
    assert!(
        folder.is_dir(),
        "the conformance cases are not at {}; set CARAVEL_CONFORMANCE_DIR, or CONFORMANCE=skip",
        folder.display()
    );
    Some(folder)
}

fn yaml(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).ok()?;
    caravel_core::yaml::parse(&text).ok()?.into_iter().next()
}

/// One recorded step, by name.
type Recorded = BTreeMap<String, Value>;

fn by_name(steps: &Value) -> Recorded {
    let mut rows = Recorded::new();
    for step in steps.as_array().into_iter().flatten() {
        rows.insert(text(step, "name").to_owned(), step.clone());
        for sub in step["subSteps"].as_array().into_iter().flatten() {
            rows.insert(text(sub, "name").to_owned(), sub.clone());
        }
    }
    rows
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The outcome that makes a step stand as recorded; `None` leaves it running.
fn outcome(row: &Value) -> Option<Outcome> {
    let message = text(row, "message").to_owned();
    let reason = Reason::parse(text(row, "reason"));
    Some(match (Phase::parse(text(row, "phase"))?, reason) {
        (Phase::Succeeded, Some(Reason::Terminate)) => Outcome::Broken {
            message,
            outputs: BTreeMap::new(),
        },
        (Phase::Succeeded, _) => Outcome::Succeeded {
            message,
            outputs: BTreeMap::new(),
        },
        (Phase::Running, _) | (Phase::Failed, Some(Reason::Timeout)) => {
            Outcome::Waiting { message }
        }
        (Phase::Suspending, _) => {
            let field = message.rsplit(' ').next().unwrap_or_default().to_owned();
            Outcome::Suspended {
                field,
                message,
                duration: None,
            }
        }
        (Phase::Failed, Some(Reason::FailedAfterRetries)) => Outcome::Failed {
            reason: Reason::Execute,
            message,
        },
        (Phase::Failed, reason) => Outcome::Failed {
            reason: reason.unwrap_or(Reason::Execute),
            message,
        },
        (Phase::Pending | Phase::Skipped, _) => return None,
    })
}

struct Replay {
    state: State,
    now: Timestamp,
    recorded: Recorded,
}

impl Replay {
    fn new(app: &Value, recorded: Recorded) -> Result<Self, String> {
        let workflow = &app["spec"]["workflow"];
        let steps: Vec<WorkflowStep> =
            serde_json::from_value(workflow["steps"].clone()).map_err(|error| error.to_string())?;
        let mode: WorkflowMode =
            serde_json::from_value(workflow["mode"].clone()).unwrap_or_default();
        let spec = RunSpec {
            app_revision: String::new(),
            mode,
            steps,
            context: json!({"name": text(&app["metadata"], "name")})
                .as_object()
                .cloned()
                .unwrap_or_default(),
            seed: 1,
            limits: Limits::default(),
        };
        let state = State::new(spec).map_err(|faults| format!("{faults:?}"))?;
        Ok(Self {
            state,
            now: Timestamp::UNIX_EPOCH,
            recorded,
        })
    }

    fn run(&mut self, over: bool) {
        let mut effects = self.send(Event::Begin);
        for _ in 0..500 {
            let mut next = Vec::new();
            // Upstream's pass ends at a suspension: what waits is not shown then.
            effects.sort_by_key(|effect| match effect {
                Effect::Run { step, .. } => text(self.row(*step), "phase") != "suspending",
                _ => true,
            });
            for effect in std::mem::take(&mut effects) {
                if let Some(event) = self.answer(&effect) {
                    next.extend(self.send(event));
                }
            }
            let due = self.state.deadline().filter(|_| over && next.is_empty());
            if let Some(due) = due {
                self.now = due.max(self.now.saturating_add(Duration::from_secs(1)).unwrap());
                next = self.send(Event::Wake);
            } else if next.is_empty() && over && self.state.suspended() {
                let command = Command::Resume { step: None };
                next = self.send(Event::Command {
                    command,
                    by: "recorded".into(),
                });
            }
            if next.is_empty() {
                break;
            }
            effects = next;
        }
    }

    fn send(&mut self, event: Event) -> Vec<Effect> {
        self.state.advance(self.now, event).unwrap_or_default()
    }

    fn row(&self, step: StepRef) -> &Value {
        self.recorded
            .get(&self.state.dag().step(step).name)
            .unwrap_or(&Value::Null)
    }

    fn answer(&self, effect: &Effect) -> Option<Event> {
        match *effect {
            Effect::Condition { step, attempt } => {
                let result = Ok(text(self.row(step), "phase") != "skipped");
                Some(Event::Condition {
                    step,
                    attempt,
                    result,
                })
            }
            Effect::Run { step, attempt } => {
                let outcome = outcome(self.row(step))?;
                Some(Event::Ended {
                    step,
                    attempt,
                    outcome,
                })
            }
            Effect::Cancel { .. } | Effect::Finish { .. } => None,
        }
    }
}

/// A row without what is not stable: ids and times.
fn stable(rows: &Value) -> Value {
    let mut rows: Vec<Value> = rows.as_array().cloned().unwrap_or_default();
    for row in &mut rows {
        for key in ["id", "firstExecuteTime", "lastExecuteTime"] {
            row.as_object_mut().map(|row| row.remove(key));
        }
        if row.get("subSteps").is_some() {
            row["subSteps"] = stable(&row["subSteps"]);
        }
    }
    rows.sort_by_key(|row| text(row, "name").to_owned());
    Value::Array(rows)
}

fn differences(replay: &Replay, expected: &Value, keys: &[(&str, &str)]) -> Vec<String> {
    let status = serde_json::to_value(replay.state.status()).unwrap();
    let mut found = Vec::new();
    for (theirs, ours) in keys {
        if expected[*theirs] != status[*ours] {
            found.push(format!(
                "{theirs}: expected {}, found {}",
                expected[*theirs], status[*ours]
            ));
        }
    }
    let (ours, theirs) = (stable(&status["steps"]), stable(&expected["steps"]));
    if ours != theirs {
        found.push(format!("steps:\n  expected {theirs}\n  found    {ours}"));
    }
    found
}

fn report(suite: &str, equal: usize, left_out: usize, wrong: &[String]) {
    println!(
        "{suite}: {equal} equal, {left_out} without a workflow that runs, {} differ",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn recorded_rounds() {
    let Some(folder) = folder() else { return };
    let (mut equal, mut left_out, mut wrong) = (0, 0, Vec::new());
    for case in cases(&folder.join("workflow")) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let expected = std::fs::read_to_string(case.join("expected-run.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let app = yaml(&case.join("application.yaml")).unwrap_or_default();
        let known = KNOWN.iter().any(|(case, _)| *case == name);
        if known || expected.get("error").is_some() || app["spec"]["workflow"]["steps"].is_null() {
            left_out += 1;
            continue;
        }
        let round = expected["rounds"]
            .as_array()
            .and_then(|rounds| rounds.last())
            .unwrap();
        let mut replay = Replay::new(&app, by_name(&round["steps"])).unwrap();
        replay.run(false);
        let keys = [
            ("phase", "status"),
            ("suspend", "suspend"),
            ("terminated", "terminated"),
        ];
        let found = differences(&replay, round, &keys);
        if found.is_empty() {
            equal += 1;
        } else {
            wrong.push(format!("{name}: {}", found.join("\n")));
        }
    }
    assert!(equal > 150, "only {equal} cases were compared");
    report("workflow", equal, left_out, &wrong);
}

#[test]
fn recorded_live_runs() {
    let Some(folder) = folder() else { return };
    let (mut equal, mut left_out, mut wrong) = (0, 0, Vec::new());
    for case in cases(&folder.join("live")) {
        let name = case
            .strip_prefix(folder.join("live"))
            .unwrap()
            .display()
            .to_string();
        let app = yaml(&case.join("application.yaml")).unwrap_or_default();
        let expected = &app["status"]["workflow"];
        let known = KNOWN.iter().any(|(case, _)| name.starts_with(case));
        let of_the_spec = app["spec"]["workflow"]["steps"]
            .as_array()
            .is_some_and(|steps| !steps.is_empty());
        // A user ended or suspended these runs, or they are of another version of the spec than the one shown.
        let rows = by_name(&expected["steps"]);
        let stands = |row: &Value, phase| text(row, "phase") == phase;
        let held = expected["suspend"] == json!(true)
            && !rows.values().any(|row| stands(row, "suspending"));
        let other = held || rows.values().any(|row| text(row, "reason") == "Terminate");
        if known || other || !of_the_spec || !expected["steps"].is_array() {
            left_out += 1;
            continue;
        }
        let mut replay = match Replay::new(&app, by_name(&expected["steps"])) {
            Ok(replay) => replay,
            Err(why) => {
                wrong.push(format!("{name}: {why}"));
                continue;
            }
        };
        replay.run(expected["finished"] == json!(true));
        let keys = ["status", "mode", "suspend", "terminated", "finished"].map(|key| (key, key));
        let found = differences(&replay, expected, &keys);
        if found.is_empty() {
            equal += 1;
        } else {
            wrong.push(format!("{name}: {}", found.join("\n")));
        }
    }
    report("live", equal, left_out, &wrong);
}

/// Folders that hold an `application.yaml`, at the first or second level.
fn cases(folder: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_dir())
            .collect::<Vec<_>>()
    };
    let mut found: Vec<PathBuf> = Vec::new();
    for case in list(folder) {
        found.extend(list(&case));
        found.push(case);
    }
    found.retain(|case| case.join("application.yaml").is_file());
    found.sort();
    found
}
