//! `kill -9` of a running workflow: the run goes on as if nothing had been, and no request is sent twice.

use std::time::Duration;

use caravel_tests::daemon::Daemon;
use caravel_tests::kubectl::Kubectl;
use caravel_tests::sink::Sink;
use caravel_tests::wait::eventually;
use serde_json::Value;

/// Names the place at which the daemon dies.
const FAULT: &str = "CARAVEL_FAULT";

/// The places that `controller/src/engine/fault.rs` and `clusters/src/dispatch/mod.rs` name.
const PLACES: [&str; 11] = [
    "run.opened",
    "step.evaluate",
    "request.intent",
    "request.sent",
    "request.result",
    "inventory.intended",
    "objects.written",
    "apply.done",
    "step.report",
    "turn.durable",
    "run.finished",
];

/// Between these two the answer is on its way: nobody can know whether the request arrived. Unless its definition says
/// otherwise it is sent again, with the same `Idempotency-Key`.
const IN_DOUBT: [&str; 2] = ["request.intent", "request.sent"];

/// A workflow that asks the sink twice, with a component before, between and behind.
fn workflow(sink: &Sink) -> String {
    format!(
        "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: shop, namespace: default}}
spec:
  components:
  - {{name: front, type: worker, properties: {{image: busybox:1}}, traits: [{{type: expose, properties: {{port: [80]}}}}]}}
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
    let in_doubt = IN_DOUBT.contains(&place);
    let sent = sink.count("/first");
    assert!(
        sent == 1 || (in_doubt && sent == 2),
        "{place}: the first request was sent {sent} times"
    );
    assert_eq!(
        sink.keys("/first"),
        1,
        "{place}: a request that is repeated has the same key"
    );
    assert_eq!(
        sink.count("/second"),
        1,
        "{place}: the second request was sent once"
    );
    let revisions = kubectl
        .run("get applicationrevision -n default -o name")
        .ok();
    assert_eq!(revisions.lines().count(), 1, "{place}: {revisions}");
    for (kind, name) in [("deploy", "front"), ("svc", "front"), ("deploy", "back")] {
        let object = kubectl.get(kind, "default", name);
        assert!(object.is_some(), "{place}: {kind} {name}");
    }
}

/// Applies, dies at a place, and starts again.
fn die_at(place: &'static str) -> (Sink, Kubectl, Daemon) {
    apply_and_die(Daemon::start_with(&[], &[(FAULT, place)]))
}

/// Applies to a daemon that will die of it, and starts it again.
fn apply_and_die(mut daemon: Daemon) -> (Sink, Kubectl, Daemon) {
    let sink = Sink::start();
    // The daemon may die before it answers.
    Kubectl::new(&daemon).apply(&workflow(&sink));
    daemon.wait_for_end(Duration::from_mins(1));
    daemon.restart();
    let kubectl = Kubectl::new(&daemon);
    (sink, kubectl, daemon)
}

#[test]
fn a_death_at_each_place_neither_loses_nor_repeats_a_step() {
    for place in PLACES {
        let (sink, kubectl, daemon) = die_at(place);
        wait_until_running(&kubectl, &daemon);
        check(&sink, &kubectl, place);
        // Whatever it made is known to be its own: nothing stays behind.
        kubectl.run("delete app shop -n default").ok();
        let left = kubectl
            .run("get deploy,resourcetracker,applicationrevision -n default -o name")
            .ok();
        assert_eq!(left, "", "{place}");
        assert_eq!(kubectl.get("svc", "default", "front"), None, "{place}");
    }
}

#[test]
fn a_request_in_doubt_is_not_repeated_where_its_definition_says_so() {
    let mut daemon = Daemon::start(&[]);
    let annotate =
        "annotate workflowstepdefinition request -n vela-system caravel.dev/unknown-outcome=fail";
    Kubectl::new(&daemon).run(annotate).ok();
    // A new start reads all definitions before it works.
    daemon.kill();
    daemon.restart_with(&[(FAULT, "request.sent")]);
    let (sink, kubectl, daemon) = apply_and_die(daemon);
    let told = eventually("the step says that nobody knows", || {
        let application = kubectl.get("app", "default", "shop")?;
        let step = &application["status"]["workflow"]["steps"][0];
        (step["phase"] == "failed").then(|| step["message"].as_str().unwrap_or_default().to_owned())
    });
    assert!(told.contains("before its answer was recorded"), "{told}");
    assert_eq!(sink.count("/first"), 1, "{}", daemon.log());
    assert_eq!(sink.count("/second"), 0, "nothing behind it has begun");
}

#[test]
fn deaths_at_any_time_neither_lose_nor_repeat_a_step() {
    let sink = Sink::start();
    let mut daemon = Daemon::start(&[]);
    let kubectl = Kubectl::new(&daemon);
    kubectl.apply(&workflow(&sink)).ok();
    for look in ["tell", "front", "tell-again"] {
        eventually("the workflow has come to this step", || {
            let application = kubectl.get("app", "default", "shop")?;
            let steps = application["status"]["workflow"]["steps"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let here = steps.iter().any(|step| step["name"] == look);
            (here || application["status"]["status"] == "running").then_some(())
        });
        daemon.kill();
        daemon.restart();
    }
    let kubectl = Kubectl::new(&daemon);
    wait_until_running(&kubectl, &daemon);
    // Each request was in doubt at one death at most.
    for path in ["/first", "/second"] {
        assert!(
            (1..=2).contains(&sink.count(path)),
            "{path}: {}",
            sink.count(path)
        );
        assert_eq!(sink.keys(path), 1, "{path}");
    }
}
