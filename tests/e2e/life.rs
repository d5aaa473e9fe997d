//! The life of an Application: it comes, changes, and goes.

use std::collections::BTreeMap;

use caravel_tests::conformance::workspace_root;
use caravel_tests::wait::eventually;
use serde_json::Value;

use crate::place::{Place, fields, generations};

fn website() -> String {
    std::fs::read_to_string(workspace_root().join("examples/website.yaml")).expect("the example")
}

/// The example without its worker.
fn without_backend(manifest: &str) -> String {
    let lines = manifest.lines().collect::<Vec<_>>();
    let worker = lines
        .iter()
        .position(|line| line.contains("# A worker runs"))
        .expect("the worker");
    lines[..worker].join("\n")
}

#[test]
fn the_example_runs_changes_and_goes() {
    let place = Place::own("default");
    place
        .run("create configmap foreign --from-literal=a=b")
        .ok();
    place.apply(&website()).ok();
    place.wait_until_running("website");
    has_its_objects(&place);
    has_its_columns(&place);
    let next = website().replace("nginx:1.27", "nginx:1.28");
    changes_only_what_differs(&place, &next);
    prunes_what_is_gone(&place, &next);
    leaves_nothing_behind(&place);
}

fn has_its_objects(place: &Place) {
    // What it is made of carries the labels by which people look for it.
    let frontend = place.object("deploy", "frontend");
    let labels = &frontend["metadata"]["labels"];
    for (label, value) in [
        ("app.oam.dev/name", "website"),
        ("app.oam.dev/namespace", "default"),
        ("app.oam.dev/component", "frontend"),
        ("app.oam.dev/appRevision", "website-v1"),
        ("app.oam.dev/resourceType", "WORKLOAD"),
        ("workload.oam.dev/type", "webservice"),
        ("tier", "frontend"),
    ] {
        assert_eq!(labels[label], value, "{labels:#}");
    }
    assert_eq!(frontend["spec"]["replicas"], 2);
    assert!(
        place.get("svc", "frontend").is_some(),
        "{:?}",
        place.names("svc")
    );
    assert!(place.get("deploy", "backend").is_some());
    assert_eq!(place.names("ingress").len(), 1);
    assert!(place.get("applicationrevision", "website-v1").is_some());
}

/// The columns of KubeVela's CRD.
fn has_its_columns(place: &Place) {
    let table = place.run("get app website").ok();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        [
            "NAME",
            "COMPONENT",
            "TYPE",
            "PHASE",
            "HEALTHY",
            "STATUS",
            "AGE"
        ]
    );
    assert_eq!(
        rows[1][..5],
        ["website", "frontend", "webservice", "running", "true"]
    );
}

/// A new image: a new revision, and only the object that it is for is another one, and begins a generation. (The others
/// get the labels of the new revision, as with KubeVela.)
fn changes_only_what_differs(place: &Place, next: &str) {
    let before = fields(place, "deploy,svc,ingress", "/spec");
    let generations_before = generations(place, "deploy,svc,ingress");
    place.apply(next).ok();
    eventually("the new image is delivered", || {
        (place.object("app", "website")["status"]["latestRevision"]["name"] == "website-v2")
            .then_some(())
    });
    place.wait_until_running("website");
    let after = fields(place, "deploy,svc,ingress", "/spec");
    assert_eq!(
        moved(&before, &after),
        ["Deployment/frontend"],
        "{before:?} {after:?}"
    );
    let generations_after = generations(place, "deploy,svc,ingress");
    assert_eq!(
        moved(&generations_before, &generations_after),
        ["Deployment/frontend"],
        "{generations_before:?} {generations_after:?}"
    );
    let image =
        &place.object("deploy", "frontend")["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "nginx:1.28");
    assert!(place.get("applicationrevision", "website-v2").is_some());

    // The same again is no new revision.
    place.apply(next).ok();
    place.wait_until_running("website");
    assert!(place.get("applicationrevision", "website-v3").is_none());
}

/// Names of the objects whose field is another one.
fn moved<'a>(
    before: &BTreeMap<String, Value>,
    after: &'a BTreeMap<String, Value>,
) -> Vec<&'a String> {
    let moved = after
        .iter()
        .filter(|(name, now)| before.get(*name) != Some(now));
    moved.map(|(name, _)| name).collect()
}

/// A component that is gone is pruned, the other stays as it is.
fn prunes_what_is_gone(place: &Place, next: &str) {
    let before = fields(place, "deploy", "/spec");
    place.apply(&without_backend(next)).ok();
    place
        .run("wait --for=delete deploy/backend --timeout=60s")
        .ok();
    place.wait_until_running("website");
    assert_eq!(
        fields(place, "deploy", "/spec")["Deployment/frontend"],
        before["Deployment/frontend"]
    );
}

/// Deleted: exactly what it owned is gone.
fn leaves_nothing_behind(place: &Place) {
    place.run("delete app website --timeout=60s").ok();
    for kind in [
        "deploy",
        "svc",
        "ingress",
        "applicationrevision",
        "resourcetracker",
    ] {
        let left = place.names(kind);
        let left: Vec<&String> = left.iter().filter(|name| *name != "kubernetes").collect();
        assert!(left.is_empty(), "{kind} {left:?}");
    }
    assert!(place.get("cm", "foreign").is_some());
}

#[test]
fn what_somebody_else_made_is_neither_taken_nor_deleted() {
    let place = Place::shared("foreign");
    place.run("create deployment web --image=nginx:0").ok();
    place
        .apply(&crate::place::application(
            "web",
            "webservice",
            "{image: nginx:1}",
        ))
        .ok();
    let said = eventually("the Application says why it does not go on", || {
        let application = place.object("app", "web");
        let text = application["status"].to_string();
        text.contains("exists").then_some(text)
    });
    assert!(said.contains("web"), "{said}");
    let container = |place: &Place| {
        place.object("deploy", "web")["spec"]["template"]["spec"]["containers"][0].clone()
    };
    assert_eq!(container(&place)["image"], "nginx:0");
    place.run("delete app web --timeout=60s").ok();
    assert_eq!(
        container(&place)["image"],
        "nginx:0",
        "an object that the Application never owned"
    );
}
