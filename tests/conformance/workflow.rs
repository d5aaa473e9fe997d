//! Workflows played with our templates and our engine against what KubeVela's did (suite `workflow`): the first
//! reconcile, and all that was done to the world.

use std::fs;
use std::path::Path;

use caravel_core::appfile::{DefinitionSet, Layered, parse, read_application};
use caravel_core::engine::Evaluator;
use caravel_core::yaml;
use caravel_tests::play::{Unplayable, play, rows, standing};
use caravel_tests::world::World;
use serde_json::{Value, json};

use crate::compare::{differences, normalized};
use crate::run;

/// How a case compares.
pub(crate) enum Compared {
    Equal,
    /// The same, but for the words of errors, which name the fields of a template.
    OtherWords,
    NotCovered(String),
    Different(String),
}

/// What the recorded HTTP server answered.
fn sink(_method: &str, path: &str, _body: &Value) -> (u16, String) {
    if path.starts_with("/fail") {
        return (500, String::new());
    }
    let body = r#"{"errcode":0,"errmsg":"ok","value":"from-sink","list":[1,2]}"#;
    (200, body.to_owned())
}

/// Plays a case and compares it.
pub(crate) fn compare(folder: &Path, evaluator: Evaluator) -> Compared {
    match played(folder, evaluator) {
        Ok(compared) => compared,
        Err(problem) => Compared::Different(problem),
    }
}

fn played(folder: &Path, evaluator: Evaluator) -> Result<Compared, String> {
    let expected = recorded(folder, evaluator);
    let facts: Value = read(&folder.join("case.json"));
    let text = fs::read_to_string(folder.join("application.yaml")).unwrap();
    let application = yaml::parse_one(&text).map_err(|error| error.to_string())?;
    let app = match read_application(&application) {
        Ok(app) => app,
        Err(rejection) => return Ok(refused(&expected, &rejection.kubevela_text())),
    };
    let definitions = fs::read_to_string(folder.join("definitions.yaml")).unwrap_or_default();
    let definitions = yaml::parse(&definitions).map_err(|error| error.to_string())?;
    let mut set = DefinitionSet::default();
    for object in &definitions {
        set.add(object, "default")?;
    }
    let source = Layered::new(set, run::builtin);
    let appfile = match parse(&app, &source) {
        Ok(appfile) => appfile,
        Err(rejection) => return Ok(refused(&expected, &rejection.kubevela_text())),
    };
    let mut world = World::new(app, appfile, &source, evaluator, sink);
    world.healthy = facts["run"]["healthy"].as_bool().unwrap_or(true);
    for object in definitions {
        world.seed(object);
    }
    let state = match play(&mut world) {
        Ok(state) => state,
        Err(Unplayable::Refused(text)) => return Ok(refused(&expected, &text)),
        Err(Unplayable::Unknown(call)) => return Ok(Compared::NotCovered(call)),
    };
    if expected["error"].is_string() {
        return Err(format!("runs; expected: {}", expected["error"]));
    }
    let mut actions = json!(world.actions);
    for step in state.dag().refs() {
        let text = actions
            .to_string()
            .replace(state.step_id(step), "SESSIONID");
        actions = serde_json::from_str(&text).unwrap();
    }
    let unordered = facts["unorderedActions"] == true;
    let mut what = differences(
        &distinct(&expected["actions"], unordered),
        &distinct(&actions, unordered),
        "actions",
    );
    let first = &expected["rounds"][0];
    let shown = standing(&state);
    let mut other_words = false;
    compare_rows(
        &rows(&first["steps"]),
        &shown["steps"],
        &mut what,
        &mut other_words,
    );
    if first["phase"] != shown["phase"] {
        what.push(format!(
            "phase: expected {}, found {}",
            first["phase"], shown["phase"]
        ));
    }
    Ok(match what.is_empty() {
        false => Compared::Different(what.join("\n  ")),
        true if other_words => Compared::OtherWords,
        true => Compared::Equal,
    })
}

fn recorded(folder: &Path, evaluator: Evaluator) -> Value {
    let newer = folder.join("expected-run.v3.json");
    if evaluator == Evaluator::V3 && newer.is_file() {
        return read(&newer);
    }
    read(&folder.join("expected-run.json"))
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn refused(expected: &Value, text: &str) -> Compared {
    let Some(error) = expected["error"].as_str() else {
        return Compared::Different(format!("is refused: {text}"));
    };
    // A wrong shape is told in our words: Go's name its own types.
    let head = |text: &str| text.split("json: ").next().map(str::to_owned);
    if normalized(error) == normalized(text) {
        Compared::Equal
    } else if error.contains("json: ") && head(error) == head(text) {
        Compared::OtherWords
    } else {
        Compared::Different(format!("is refused with\n  {text}\ninstead of\n  {error}"))
    }
}

/// Steps by step: what they are and where they stand; words of failures may differ.
fn compare_rows(expected: &Value, found: &Value, what: &mut Vec<String>, other_words: &mut bool) {
    let list = |rows: &Value| rows.as_array().cloned().unwrap_or_default();
    let (mut expected, mut found) = (list(expected), list(found));
    // Steps of a DAG come in the order in which they happened to begin.
    expected.sort_by_key(|row| row["name"].to_string());
    found.sort_by_key(|row| row["name"].to_string());
    if expected.len() != found.len() {
        what.push(format!("steps: expected {expected:?}, found {found:?}"));
        return;
    }
    for (expected, found) in expected.iter_mut().zip(&mut found) {
        compare_rows(&expected["subSteps"], &found["subSteps"], what, other_words);
        let message = |row: &mut Value| {
            let fields = row.as_object_mut().unwrap();
            fields.remove("subSteps");
            let message = fields.remove("message").unwrap_or_default();
            normalized(message.as_str().unwrap_or_default())
        };
        let (theirs, ours) = (message(expected), message(found));
        // An output that is not there: KubeVela shows the path of its second try.
        let theirs = theirs.replace(".$returns) not exist", ") not exist");
        if expected != found {
            what.push(format!(
                "step: expected {expected} {theirs:?}, found {found} {ours:?}"
            ));
        } else if theirs != ours {
            if expected["phase"] == "failed" && !ours.is_empty() {
                *other_words = true;
            } else {
                what.push(format!(
                    "step {}: says {ours:?} instead of {theirs:?}",
                    found["name"]
                ));
            }
        }
    }
}

/// Actions without repetitions: KubeVela carries a step out again in each reconcile until it is done.
fn distinct(actions: &Value, unordered: bool) -> Value {
    let mut kept: Vec<Value> = Vec::new();
    for action in actions.as_array().into_iter().flatten() {
        if !kept.contains(action) {
            kept.push(action.clone());
        }
    }
    if unordered {
        kept.sort_by_key(Value::to_string);
    }
    Value::Array(kept)
}
