//! What KubeVela renders, we render: the goldens of the suites `docs`, `own` and `errors`.
//!
//! The goldens lie outside of the project (see [`caravel_tests::conformance`]).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper fails the test"
)]

mod case;
mod compare;
mod health;
mod known;
mod live;
mod parameters;
mod run;
mod workflow;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use caravel_core::engine::Evaluator;
use caravel_tests::conformance;
use serde_json::{Value, json};

use case::Case;
use compare::{ErrorPlaces, difference, normalized};
use known::Known;
use parameters::Compared;
use run::Ran;

/// What a comparison comes to.
enum Verdict {
    Equal,
    /// The same places, in other words (errors only).
    SamePlaces,
    NotCovered(String),
    Different(String),
}

/// Counts and differences of one suite.
#[derive(Default)]
struct Tally {
    equal: usize,
    same_places: usize,
    known: usize,
    not_covered: BTreeMap<String, usize>,
    unknown: Vec<String>,
    stale: Vec<String>,
}

impl Tally {
    fn add(&mut self, case: &str, evaluator: &str, known: &Known, verdict: Verdict) {
        let reason = known.reason(case, evaluator);
        match verdict {
            Verdict::Different(what) => {
                if reason.is_some() {
                    self.known += 1;
                } else {
                    self.unknown.push(format!("{case} ({evaluator}): {what}"));
                }
            }
            Verdict::NotCovered(_) if reason.is_some() => self.known += 1,
            Verdict::NotCovered(what) => *self.not_covered.entry(what).or_default() += 1,
            Verdict::Equal | Verdict::SamePlaces if reason.is_some() => {
                self.stale.push(format!("{case} ({evaluator})"));
            }
            Verdict::Equal => self.equal += 1,
            Verdict::SamePlaces => self.same_places += 1,
        }
    }

    fn report(&self, title: &str) {
        let mut text = format!(
            "conformance {title}: {} equal, {} with the same places in other words, {} known \
             differences, {} not covered, {} unknown differences\n",
            self.equal,
            self.same_places,
            self.known,
            self.not_covered.values().sum::<usize>(),
            self.unknown.len(),
        );
        for (what, count) in &self.not_covered {
            let _ = writeln!(text, "  not covered: {what} ({count})");
        }
        // Not `println!`: the counts are shown even if the test passes.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn check(&self) {
        assert!(
            self.unknown.is_empty(),
            "differences that are not listed in known-differences.yaml:\n{}",
            self.unknown.join("\n")
        );
        assert!(
            self.stale.is_empty(),
            "listed as known differences, but equal now:\n{}",
            self.stale.join("\n")
        );
    }
}

/// The folders of a suite, in the order of their names.
fn folders(suite: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = std::fs::read_dir(suite)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

const EVALUATORS: [(Evaluator, &str); 2] = [(Evaluator::V2, "v2"), (Evaluator::V3, "v3")];

#[test]
fn applications_that_render_give_the_same_objects() {
    let Some(root) = conformance::folder() else {
        return;
    };
    let known = Known::read();
    let mut total = Tally::default();
    for suite in ["docs", "own"] {
        let cases = Case::all(&root, suite);
        assert!(cases.len() > 100, "the suite {suite} is incomplete");
        for case in &cases {
            for (evaluator, name) in EVALUATORS {
                total.add(&case.id, name, &known, rendered(case, evaluator));
            }
        }
    }
    total.report("successes (docs, own)");
    total.check();
    let few = (total.equal + total.known) / 50;
    assert!(
        total.known <= few,
        "{} known differences, of which there may be {few}: one in fifty",
        total.known
    );
}

fn rendered(case: &Case, evaluator: Evaluator) -> Verdict {
    let expected = match case.expected_objects(evaluator) {
        Ok(expected) => expected,
        Err(problem) => return Verdict::Different(problem),
    };
    match run::run(case, evaluator) {
        Ran::NotCovered(what) => Verdict::NotCovered(what),
        Ran::Failed { stage, text } => Verdict::Different(format!("fails in {stage}: {text}")),
        Ran::Objects(objects) => {
            let expected_count = expected.len();
            if expected_count != objects.len() {
                return Verdict::Different(format!(
                    "{} objects instead of {expected_count}",
                    objects.len()
                ));
            }
            let mut pairs = expected.iter().zip(&objects).enumerate();
            let found = pairs.find_map(|(index, (expected, actual))| {
                difference(expected, actual, &format!("document {index}"))
            });
            found.map_or(Verdict::Equal, Verdict::Different)
        }
    }
}

#[test]
fn applications_that_fail_fail_at_the_same_place() {
    let Some(root) = conformance::folder() else {
        return;
    };
    let known = Known::read();
    let mut total = Tally::default();
    for case in &Case::all(&root, "errors") {
        for (evaluator, name) in EVALUATORS {
            total.add(&case.id, name, &known, refused(case, evaluator));
        }
    }
    total.report("errors");
    total.check();
}

fn refused(case: &Case, evaluator: Evaluator) -> Verdict {
    let expected_stage = case.facts.stage.as_deref().unwrap_or_default();
    let expected = normalized(&case.expected_error(evaluator).unwrap_or_default());
    match run::run(case, evaluator) {
        Ran::NotCovered(what) => Verdict::NotCovered(what),
        Ran::Objects(_) => Verdict::Different(format!("renders; expected: {expected}")),
        Ran::Failed { stage, text } => {
            let text = normalized(&text);
            if stage != expected_stage {
                return Verdict::Different(format!(
                    "fails in {stage} instead of {expected_stage}: {text}"
                ));
            }
            if text == expected {
                return Verdict::Equal;
            }
            let places = ErrorPlaces::of(&expected);
            // A wrong shape is told in our words: Go's name its own types.
            if places == ErrorPlaces::of(&text) || stage == "decode" {
                return Verdict::SamePlaces;
            }
            Verdict::Different(format!("says\n{text}\ninstead of\n{expected}"))
        }
    }
}

#[test]
fn workflows_have_the_same_mode_and_steps() {
    let Some(root) = conformance::folder() else {
        return;
    };
    let (mut equal, mut without) = (0, 0);
    let mut different = Vec::new();
    for suite in ["docs", "own", "errors"] {
        for case in &Case::all(&root, suite) {
            let expected = case.expected_workflow(Evaluator::V2);
            let (Some(expected), Some(mut actual)) = (expected, run::workflow(case)) else {
                without += 1;
                continue;
            };
            unname(&expected["steps"], &mut actual["steps"]);
            let expected = with_steps(expected);
            match difference(&expected, &actual, "workflow") {
                None => equal += 1,
                Some(what) => different.push(format!("{}: {what}", case.id)),
            }
        }
    }
    let counts = format!(
        "conformance workflows: {equal} equal, {without} without, {} differ\n",
        different.len()
    );
    let _ = std::io::stderr().write_all(counts.as_bytes());
    assert!(different.is_empty(), "{}", different.join("\n"));
}

fn with_steps(mut workflow: Value) -> Value {
    if workflow.get("steps").is_none_or(Value::is_null) {
        workflow["steps"] = json!([]);
    }
    workflow
}

/// The goldens are from before KubeVela's webhook names unnamed steps (CRD-040); we name them at once.
fn unname(expected: &Value, actual: &mut Value) {
    let (Some(expected), Some(actual)) = (expected.as_array(), actual.as_array_mut()) else {
        return;
    };
    for (expected, actual) in expected.iter().zip(actual) {
        if let Some(fields) = actual.as_object_mut()
            && expected.get("name").is_none()
        {
            fields.remove("name");
        }
        unname(
            &expected["subSteps"],
            actual.get_mut("subSteps").unwrap_or(&mut Value::Null),
        );
    }
}

#[test]
fn objects_for_a_cluster_are_what_kubevela_applied() {
    let Some(root) = conformance::folder() else {
        return;
    };
    let known = Known::read();
    let (mut cases, mut objects) = (0, 0);
    let mut different = Vec::new();
    for folder in &folders(&root.join("live")) {
        let id = format!("live/{}", folder.file_name().unwrap().to_string_lossy());
        let listed = known.reason(&id, "v3").is_some();
        match live::compare(folder) {
            None | Some(Ok(0)) => {}
            Some(Ok(_)) if listed => different.push(format!("{id}: listed, but equal now")),
            Some(Ok(count)) => {
                cases += 1;
                objects += count;
            }
            Some(Err(_)) if listed => {}
            Some(Err(what)) => different.push(format!("{id}: {what}")),
        }
    }
    let counts = format!("conformance live: {objects} objects of {cases} Applications equal\n");
    let _ = std::io::stderr().write_all(counts.as_bytes());
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(cases > 50, "only {cases} Applications were compared");
}

#[test]
fn parameters_have_kubevelas_schema() {
    let Some(root) = conformance::folder() else {
        return;
    };
    let known = Known::read();
    let (mut equal, mut listed) = (0, 0);
    let mut different = Vec::new();
    for compared in parameters::compare(&root) {
        let (name, what) = match compared {
            Compared::Equal(name) => (name, None),
            Compared::Different(name, what) => (name, Some(what)),
            Compared::Absent(name) => (name, Some("there is no such definition".to_owned())),
        };
        let id = format!("parameters/{name}");
        match (what, known.reason(&id, "v2")) {
            (None, None) => equal += 1,
            (None, Some(_)) => different.push(format!("{id}: listed, but equal now")),
            (Some(_), Some(_)) => listed += 1,
            (Some(what), None) => different.push(format!("{id}:\n  {what}")),
        }
    }
    let counts = format!(
        "conformance parameters: {equal} equal, {listed} known differences, {} differ\n",
        different.len()
    );
    let _ = std::io::stderr().write_all(counts.as_bytes());
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn steps_do_what_kubevelas_do() {
    let Some(root) = conformance::folder() else {
        return;
    };
    let known = Known::read();
    let mut total = Tally::default();
    for folder in &folders(&root.join("workflow")) {
        let id = format!("workflow/{}", folder.file_name().unwrap().to_string_lossy());
        for (evaluator, name) in EVALUATORS {
            let verdict = match workflow::compare(folder, evaluator) {
                workflow::Compared::Equal => Verdict::Equal,
                workflow::Compared::OtherWords => Verdict::SamePlaces,
                workflow::Compared::NotCovered(call) => Verdict::NotCovered(format!("call {call}")),
                workflow::Compared::Different(what) => Verdict::Different(what),
            };
            total.add(&id, name, &known, verdict);
        }
    }
    total.report("steps");
    total.check();
}

#[test]
fn objects_are_judged_as_by_kubevela() {
    let Some(root) = conformance::folder() else {
        return;
    };
    let known = Known::read();
    let mut total = Tally::default();
    for folder in folders(&root.join("health")) {
        let id = format!("health/{}", folder.file_name().unwrap().to_string_lossy());
        for (evaluator, name) in EVALUATORS {
            let verdict = health::compare(&folder, evaluator, name)
                .map_or(Verdict::Equal, Verdict::Different);
            total.add(&id, name, &known, verdict);
        }
    }
    total.report("health");
    total.check();
}
