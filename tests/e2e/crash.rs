//! `kill -9` of a running workflow: the run goes on as if nothing had been, and no request is sent twice.

use std::sync::Arc;
use std::time::Duration;

use caravel_tests::daemon::Daemon;
use caravel_tests::kubectl::Kubectl;
use caravel_tests::sink::Sink;
use caravel_tests::wait::eventually;
use serde_json::Value;

/// The places that `controller/src/engine/fault.rs` names, and how often a request may have arrived after a death
/// there. Between the answer and its entry in the journal nobody can know whether it was sent: the step follows
/// its declared choice.
const PLACES: [&str; 9] = [
    "run.opened",
    "step.evaluate",
    "request.intent",
    "request.sent",
    "request.result",
    "apply.done",
    "step.report",
    "turn.durable",
    "run.finished",
];

/// A workflow that asks the sink twice, with a component before, between and behind.
fn workflow(sink: &Sink) -> String {
    format!(
        "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: shop, namespace: default}}
spec:
  components:
  - {{name: front, type: worker, properties: {{image: busybox:1}}}}
  - {{name: back, type: worker, properties: {{image: busybox:1}}}}
  workflow:
    steps:
    - {{name: tell, type: request, properties: {{method: POST, url: \"{}\", body: {{what: begin}}}}}}
    - {{name: front, type: apply-component, properties: {{component: front}}}}
    - {{name: tell-again, type: request, properties: {{method: POST, url: \"{}\", body: {{what: middle}}}}}}
    - {{name: back, type: apply-component, properties: {{component: back}}}}
",
        sink.url("/first"),
        sink.url("/second")
    )
}

fn phase(kubectl: &Kubectl) -> Value {
    kubectl.get("app", "default", "shop").map_or(Value::Null, |app| app["status"]["status"].clone())
}

fn wait_until_running(kubectl: &Kubectl, daemon: &Daemon) {
    let mut last = Value::Null;
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("the workflow comes to its end", || {
            last = kubectl.get("app", "default", "shop").unwrap_or_default();
            (last["status"]["status"] == "running").then_some(())
        });
    }));
    assert!(ran.is_ok(), "{:#}\n{}", last["status"], daemon.log());
}

fn check(sink: &Sink, kubectl: &Kubectl, place: &str) {
    assert_eq!(sink.count("/second"), 1, "{place}: the second request was sent once");
    assert_eq!(sink.count("/first"), 1, "{place}: the first request was sent once");
    let revisions = kubectl.run("get applicationrevision -n default -o name").ok();
    assert_eq!(revisions.lines().count(), 1, "{place}: {revisions}");
    for name in ["front", "back"] {
        assert!(kubectl.get("deploy", "default", name).is_some(), "{place}: {name}");
    }
}

/// Applies, dies at a place, starts again, and comes to the end.
fn die_at(place: &'static str) -> (Sink, Kubectl, Daemon) {
    let sink = Sink::start();
    let mut daemon = Daemon::start_with(&[], &[("CARAVEL_FAULT", place)]);
    let kubectl = Kubectl::new(&daemon);
    // The daemon may die before it answers.
    kubectl.apply(&workflow(&sink));
    daemon.wait_for_end(Duration::from_secs(60));
    daemon.restart();
    let kubectl = Kubectl::new(&daemon);
    (sink, kubectl, daemon)
}

#[test]
fn a_death_at_each_place_neither_loses_nor_repeats_a_step() {
    for place in PLACES {
        let (sink, kubectl, daemon) = die_at(place);
        if place == "request.sent" || place == "request.intent" {
            // Whether the request arrived is not known: it is not sent again unless the user says so.
            let told = eventually("it runs, or says that it does not know", || {
                let application = kubectl.get("app", "default", "shop")?;
                let status = &application["status"];
                let ended = status["status"] == "running"
                    || status["workflow"]["steps"][0]["phase"] == "failed"
                    || status["status"] == "workflowSuspending";
                ended.then(|| status.clone())
            });
            assert!(sink.count("/first") <= 1, "{place}: the first request was repeated: {told:#}");
            continue;
        }
        wait_until_running(&kubectl, &daemon);
        check(&sink, &kubectl, place);
    }
}

#[test]
fn deaths_at_any_time_neither_lose_nor_repeat_a_step() {
    let sink = Sink::start();
    let mut daemon = Daemon::start(&[]);
    let kubectl = Kubectl::new(&daemon);
    kubectl.apply(&workflow(&sink)).ok();
    // The tenth place: whatever it does at that moment.
    for look in ["tell", "front", "tell-again"] {
        eventually("the workflow has come to this step", || {
            let application = kubectl.get("app", "default", "shop")?;
            let steps = application["status"]["workflow"]["steps"].as_array().cloned().unwrap_or_default();
            let here = steps.iter().any(|step| step["name"] == look);
            (here || application["status"]["status"] == "running").then_some(())
        });
        daemon.kill();
        daemon.restart();
    }
    let kubectl = Arc::new(Kubectl::new(&daemon));
    eventually("the workflow comes to an end", || {
        let phase = phase(&kubectl);
        (phase == "running" || phase == "workflowFailed" || phase == "workflowTerminated").then_some(())
    });
    assert!(sink.count("/first") <= 1);
    assert!(sink.count("/second") <= 1);
}
