//! Errors that teach: one case for each kind of mistake, and what is said about it.
//!
//! The cases lie in `cases/*.yaml`: an Application (or a definition) with one mistake, or several at once. They go
//! through the check that admission and `caravel dry-run` use; what comes out is compared with a snapshot in
//! `snapshots/`. A snapshot is to be read as a user reads it: what, where, expected, found, what to do.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper fails the test"
)]

mod case;
mod engine;
mod goldens;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use caravel_core::appfile::{DefinitionSet, Finding};
use caravel_core::check::{Check, DefinitionCheck};
use caravel_core::engine::Evaluator;
use caravel_core::render::{ClusterVersion, Offline, Target, offline};

use case::{Case, What};

/// How many kinds of mistake there have to be at least.
const LEAST: usize = 60;

#[test]
fn every_mistake_says_what_where_and_what_to_do() {
    let cases = Case::all();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    assert!(
        cases.len() >= LEAST,
        "only {} kinds of mistake",
        cases.len()
    );
    let mut messages = BTreeSet::new();
    let mut silent = Vec::new();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for case in &cases {
        let findings = findings(case);
        if findings.is_empty() {
            silent.push(case.name.clone());
        }
        messages.extend(findings.iter().map(ToString::to_string));
        settings.set_description(&case.about);
        settings.bind(|| insta::assert_snapshot!(case.name.as_str(), told(&findings)));
    }
    assert!(silent.is_empty(), "nothing was found in {silent:?}");
    assert!(
        messages.len() >= LEAST,
        "only {} different messages",
        messages.len()
    );
}

fn findings(case: &Case) -> Vec<Finding> {
    match &case.what {
        What::Application(object, before) => application(object, before, &case.definitions),
        What::Definition(object) => definition(object),
    }
}

fn application(
    object: &serde_json::Value,
    before: &serde_json::Value,
    definitions: &DefinitionSet,
) -> Vec<Finding> {
    let app = match caravel_core::appfile::read_application(object) {
        Ok(app) => app,
        Err(rejection) => return rejection.findings,
    };
    let source = engine::layered(definitions.clone());
    let before = caravel_core::appfile::read_application(before).ok();
    let mut check = Check::of_update(&app, before.as_ref(), &source);
    assert_eq!(source.problems(), Vec::<String>::new());
    for question in check.questions() {
        let outcome = engine::outcome(question.operation.clone(), question.evaluator);
        check.answer(&question, outcome);
    }
    for trial in check.trials() {
        let mut render = trial.render(Target::dry_run(ClusterVersion::default()), Evaluator::V2);
        match offline(&mut render, &mut engine::eval) {
            Ok(Offline::Done(rendered)) => check.tried(&trial, Ok(&rendered)),
            Ok(Offline::Calls(_)) => {}
            Err(error) => check.tried(&trial, Err(&error)),
        }
    }
    check.findings()
}

fn definition(object: &serde_json::Value) -> Vec<Finding> {
    let mut check = DefinitionCheck::new(object);
    if let Some(question) = check.question() {
        let evaluator = check.definition().and_then(|known| known.evaluator);
        check.answer(engine::outcome(question, evaluator));
    }
    check.findings()
}

/// One line for each finding, in their order.
fn told(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let verdict = if finding.kind.is_warning() {
            "warning"
        } else {
            "refused"
        };
        let _ = writeln!(text, "{verdict}: {finding}");
    }
    text
}

/// No built-in definition has a mistake: what we ship passes what we ask of others.
#[test]
fn built_in_definitions_have_no_mistakes() {
    let mut wrong = Vec::new();
    for builtin in caravel_definitions::all() {
        let object = engine::parsed(&builtin.file, builtin.source.to_string());
        let findings = definition(&object);
        wrong.extend(
            findings
                .iter()
                .map(|finding| format!("{}: {finding}", builtin.file)),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
