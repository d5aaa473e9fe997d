//! An Application that KubeVela made, handed over: it keeps running untouched, and is ours from then on.

mod recorded;
mod standing;

use std::path::Path;

use caravel_core::api::{Algorithm, ManagedResource, ResourceTracker};
use caravel_core::yaml;
use caravel_tests::conformance;
use caravel_tests::kubectl::Kubectl;
use caravel_tests::object::as_applied;
use caravel_tests::wait::eventually;
use serde_json::{Value, json};

use self::recorded::{Definitions, Recorded};
use self::standing::Standing;
use crate::place::Place;

const NAMESPACE: &str = "batch-web0-1000";

fn sample(file: &str) -> Option<Value> {
    let folder = conformance::folder()?.join("live/zstd-sample");
    let text = std::fs::read_to_string(folder.join(file)).expect("a recorded file");
    yaml::parse(&text).expect("YAML").into_iter().next()
}

/// What KubeVela adds to a manifest when it applies it: a hash of its own kind, and the manifest itself.
fn as_kubevela_applies(mut manifest: Value) -> Value {
    manifest["metadata"]["labels"]["oam.dev/render-hash"] = "d14c5b31c0cd75dc".into();
    let text = manifest.to_string();
    manifest["metadata"]["annotations"]["app.oam.dev/last-applied-configuration"] = text.into();
    manifest
}

/// Writes the status that KubeVela left.
fn set_status(kubectl: &Kubectl, namespace: &str, name: &str, status: &Value) {
    let status = json!({ "status": status }).to_string();
    let place = ["-n", namespace, "patch", "app", name];
    let patch = ["--subresource=status", "--type=merge", "-p", &status];
    kubectl.run_args(&[&place[..], &patch].concat()).ok();
}

fn create(place: &Place, object: &Value) -> Value {
    place.kubectl.file("object.json", &object.to_string());
    let text = place.run("create -f object.json -o json").ok();
    serde_json::from_str(&text).expect("kubectl prints JSON")
}

#[test]
fn an_application_that_kubevela_made_is_not_rolled() {
    let Some(application) = sample("application.yaml") else {
        return;
    };
    let place = Place::own(NAMESPACE);
    // Nobody touches it before everything is there.
    let mut held = as_applied(application.clone());
    held["metadata"]["labels"] = json!({"controller.core.oam.dev/pause": "true"});
    let uid = create(&place, &held)["metadata"]["uid"].clone();

    let tracker = sample("resourcetracker.yaml").expect("a tracker");
    let mut tracker: ResourceTracker = serde_json::from_value(tracker).expect("a tracker");
    let mut resources: Vec<ManagedResource> = tracker
        .spec
        .resources()
        .expect("compressed resources")
        .into_owned();
    for resource in &mut resources {
        let raw = resource.raw.clone().expect("a manifest");
        let live = create(&place, &as_kubevela_applies(raw));
        resource.uid = live["metadata"]["uid"].as_str().map(str::to_owned);
    }
    tracker
        .spec
        .set_resources(resources, Some(Algorithm::Zstd))
        .expect("compressed resources");
    let mut tracker = as_applied(json!(tracker));
    tracker["apiVersion"] = "core.oam.dev/v1beta1".into();
    tracker["kind"] = "ResourceTracker".into();
    tracker["metadata"]["labels"]["app.oam.dev/uid"] = uid.clone();
    create(&place, &tracker);
    let mut revision = as_applied(sample("applicationrevision.yaml").expect("a revision"));
    revision["metadata"]["ownerReferences"][0]["uid"] = uid;
    create(&place, &revision);
    set_status(&place.kubectl, NAMESPACE, "b0500", &application["status"]);
    place.run("rollout status deploy b0500").ok();
    // What the simulated cluster writes of it besides is its own affair.
    let written = || {
        let mut object = place.object("deploy", "b0500");
        let metadata = object["metadata"].take();
        json!([
            metadata["uid"],
            metadata["generation"],
            metadata["labels"],
            object["spec"].take()
        ])
    };
    let before = written();

    place
        .run("label app b0500 controller.core.oam.dev/pause-")
        .ok();
    // That it is ours shows when something is missing.
    place.run("delete svc b0500").ok();
    eventually("the service is back", || place.get("svc", "b0500"));
    assert_eq!(written(), before, "the Deployment is not touched");
    assert_eq!(place.names("apprev"), ["b0500-v1"]);
    let app = place.wait_until_running("b0500");
    assert_eq!(app["status"]["workflow"]["appRevision"], "b0500-v1");
    assert_eq!(
        app["status"]["workflow"]["endTime"], application["status"]["workflow"]["endTime"],
        "the workflow did not run again"
    );

    // From now on it is delivered as any other.
    let patch =
        r#"[{"op":"replace","path":"/spec/components/0/properties/image","value":"nginx:1.26"}]"#;
    place
        .kubectl
        .run_args(&[
            "-n",
            NAMESPACE,
            "patch",
            "app",
            "b0500",
            "--type=json",
            "-p",
            patch,
        ])
        .ok();
    eventually("the change is delivered", || {
        let app = place.object("app", "b0500");
        let is_second = app["status"]["latestRevision"]["name"] == "b0500-v2";
        (is_second && app["status"]["status"] == "running").then_some(())
    });
    let image =
        &place.object("deploy", "b0500")["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "nginx:1.26");
    assert!(place.get("svc", "b0500").is_some());
}

/// Which part of the cases is handed over: one in so many. `HANDOVER_EVERY=1` takes all.
fn every() -> usize {
    let given = std::env::var("HANDOVER_EVERY").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// The recorded cases that could be put into a hub, each held still.
fn handed_over(place: &Place, root: &Path) -> Vec<Recorded> {
    let entries = std::fs::read_dir(root.join("live")).expect("recorded cases");
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("a case").path()).collect();
    folders.sort();
    let mut definitions = Definitions::default();
    let (mut cases, mut refused) = (Vec::new(), Vec::new());
    // All of them take minutes.
    let recorded = folders.iter().filter_map(|folder| Recorded::read(folder));
    for case in recorded.step_by(every()) {
        match case.hand_over(&place.kubectl, &mut definitions) {
            Ok(()) => cases.push(case),
            Err(why) => refused.push(format!("{}: {why}", case.namespace)),
        }
    }
    assert!(
        cases.len() > 100 / every(),
        "only {} could be handed over; refused are\n{}",
        cases.len(),
        refused.join("\n")
    );
    cases
}

/// Lets go of the Applications, and returns when each has been looked at: when it has repaired what is missing of it.
fn look_at(place: &Place, cases: &[Recorded]) {
    let label = "label app --all -A controller.core.oam.dev/pause-";
    place.kubectl.run(label).ok();
    for case in cases {
        let (kind, name) = case.first_object();
        let arguments = ["-n", &case.namespace, "delete", kind, name, "--wait=true"];
        place.kubectl.run_args(&arguments).ok();
    }
    for case in cases {
        let (kind, name) = case.first_object();
        let what = format!("{}: {kind} {name} is back", case.namespace);
        eventually(&what, || place.kubectl.get(kind, &case.namespace, name));
    }
}

#[test]
fn applications_of_all_kinds_are_not_rolled() {
    let Some(root) = conformance::folder() else {
        return;
    };
    let place = Place::own("handover");
    let cases = handed_over(&place, &root);
    let before = Standing::of_all(&place, &cases);
    look_at(&place, &cases);
    let after = Standing::of_all(&place, &cases);

    let columns = "-o=custom-columns=NS:.metadata.namespace,NAME:.metadata.name";
    let arguments = ["get", "apprev", "-A", "--no-headers", columns];
    let revisions = place.kubectl.run_args(&arguments).ok();
    let is_second = |name: &&str| !name.trim_end().ends_with("-v1");
    let second: Vec<&str> = revisions.lines().filter(is_second).collect();
    assert!(second.is_empty(), "new revisions: {second:?}");
    let rolled: Vec<String> = before
        .iter()
        .filter_map(|old| old.touched(&after, &cases))
        .collect();
    assert!(
        rolled.is_empty(),
        "{} objects were touched:\n{}",
        rolled.len(),
        rolled.join("\n\n")
    );
}
