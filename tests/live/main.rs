//! Applications on our control plane against what KubeVela made of them on a real one: the suite `live` of the
//! conformance folder (see [`caravel_tests::conformance`]).
//!
//! One daemon delivers all cases, several at a time, each in namespaces of its own. A case is covered if
//! everything that it uses is there; the others are counted with what they lack. What differs must be listed in
//! `known-differences.tsv` with the reason, and what is listed must differ.
//!
//! `LIVE_CASE=name` runs only the cases whose name contains it, and prints all their differences.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper fails the test"
)]

mod case;
mod compare;
mod known;
mod play;
mod shape;
mod sink;
mod transcript;
mod vela;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use caravel_tests::conformance;
use caravel_tests::daemon::Daemon;
use futures::stream::{self, StreamExt as _};

use case::Case;
use known::Known;
use play::{Played, Stage};
use sink::Sink;

/// How many cases are under way at the same time.
const AT_ONCE: usize = 8;

const RUNTIME: [&str; 2] = ["--local-runtime", "instant"];

/// As the records whose names say so.
const TWO_RETRIES: [&str; 2] = ["--max-workflow-step-error-retry-times", "2"];

/// What came of all cases.
#[derive(Default)]
struct Tally {
    compared: usize,
    steps: usize,
    equal: usize,
    known: usize,
    not_covered: BTreeMap<String, usize>,
    unknown: Vec<String>,
    stale: Vec<String>,
}

impl Tally {
    fn add(&mut self, played: &Played, known: &Known) {
        self.compared += 1;
        self.steps += played.steps;
        if let Some(rest) = &played.left_out {
            *self
                .not_covered
                .entry(format!("steps after one that needs {rest}"))
                .or_default() += 1;
        }
        let case = &played.case;
        match (played.differences.is_empty(), known.reason(case)) {
            (true, None) => self.equal += 1,
            (true, Some(reason)) => self.stale.push(format!("{case}: listed as: {reason}")),
            (false, Some(_)) => self.known += 1,
            (false, None) => self.unknown.push(played.told()),
        }
    }

    fn report(&self, total: usize, started: Instant) {
        let mut text = format!(
            "conformance live: {total} cases; {} compared ({} steps): {} equal, {} known differences, \
             {} unknown differences; {:.0} s\n",
            self.compared,
            self.steps,
            self.equal,
            self.known,
            self.unknown.len(),
            started.elapsed().as_secs_f64(),
        );
        for (what, count) in &self.not_covered {
            let _ = writeln!(text, "  not covered: {what} ({count})");
        }
        // Not `println!`: the counts are shown even if the test passes.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

async fn play_all(
    stage: &Arc<Stage>,
    cases: Vec<Case>,
    at_once: usize,
    known: &Known,
) -> Vec<Played> {
    let played = stream::iter(cases).map(|case| {
        let patience = known.reason(&case.name).is_none();
        let stage = stage.clone();
        tokio::spawn(async move { stage.play(case, patience).await })
    });
    let played: Vec<_> = played.buffer_unordered(at_once).collect().await;
    played.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_come_to_what_kubevela_made_of_them() {
    let Some(folder) = conformance::folder() else {
        return;
    };
    let started = Instant::now();
    let known = Known::read();
    let only = std::env::var("LIVE_CASE").ok();
    let mut cases = case::all(&folder.join("live"));
    let total = cases.len();
    if let Some(only) = &only {
        cases.retain(|case| case.name.contains(only));
    }
    let mut tally = Tally::default();
    let sink = Sink::start().await;
    let covered: Vec<Case> = cases
        .into_iter()
        .filter(|case| match case.lacks(sink.is_some()) {
            None => true,
            Some(what) => {
                *tally.not_covered.entry(what).or_default() += 1;
                false
            }
        })
        .collect();
    let names: Vec<String> = covered.iter().map(|case| case.name.clone()).collect();
    let (impatient, usual): (Vec<Case>, Vec<Case>) =
        covered.into_iter().partition(Case::gives_up_soon);
    // What is recorded of these passes after seconds: they do not share the daemon with others.
    let (passing, lasting): (Vec<Case>, Vec<Case>) =
        usual.into_iter().partition(Case::has_passing_states);
    let daemon = Daemon::start(&RUNTIME);
    let stage = Arc::new(Stage::new(&daemon, sink.clone()).await);
    let mut all = play_all(&stage, lasting, AT_ONCE, &known).await;
    all.extend(play_all(&stage, passing, 1, &known).await);
    drop(daemon);
    let daemon = Daemon::start(&[&RUNTIME[..], &TWO_RETRIES].concat());
    let stage = Arc::new(Stage::new(&daemon, sink).await);
    all.extend(play_all(&stage, impatient, AT_ONCE, &known).await);
    all.sort_by(|a, b| a.case.cmp(&b.case));
    for one in &all {
        tally.add(one, &known);
    }
    tally.report(total, started);
    if let Some(folder) = std::env::var_os("LIVE_REPORT") {
        let told: Vec<String> = all
            .iter()
            .filter(|one| !one.differences.is_empty())
            .map(Played::told)
            .collect();
        std::fs::write(folder, told.join("\n")).unwrap();
    }
    if only.is_some() {
        let told: Vec<String> = all.iter().map(Played::told).collect();
        let _ = std::io::stderr().write_all(told.join("\n").as_bytes());
    }
    let gone = known
        .cases()
        .filter(|case| !names.iter().any(|name| name == case));
    let gone: Vec<&str> = if only.is_some() {
        Vec::new()
    } else {
        gone.collect()
    };
    assert!(gone.is_empty(), "listed, but not covered: {gone:?}");
    assert!(
        tally.stale.is_empty(),
        "equal now, take them off the list:\n{}",
        tally.stale.join("\n")
    );
    assert!(
        tally.unknown.is_empty(),
        "{} cases differ:\n{}",
        tally.unknown.len(),
        tally.unknown.join("\n")
    );
}
