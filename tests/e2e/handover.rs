//! An Application that KubeVela made, handed over: it keeps running untouched, and is ours from then on.

use caravel_core::api::{Algorithm, ManagedResource, ResourceTracker};
use caravel_core::yaml;
use caravel_tests::conformance;
use caravel_tests::wait::eventually;
use serde_json::{Value, json};

use crate::place::Place;

const NAMESPACE: &str = "batch-web0-1000";

fn recorded(file: &str) -> Option<Value> {
    let folder = conformance::folder()?.join("live/zstd-sample");
    let text = std::fs::read_to_string(folder.join(file)).expect("a recorded file");
    yaml::parse(&text).expect("YAML").into_iter().next()
}

/// An object as somebody applies it: without what an API server decides.
fn bare(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
            metadata.remove(field);
        }
    }
    object
}

/// What KubeVela adds to a manifest when it applies it: a hash of its own kind, and the manifest itself.
fn as_kubevela_applies(mut manifest: Value) -> Value {
    manifest["metadata"]["labels"]["oam.dev/render-hash"] = "d14c5b31c0cd75dc".into();
    let text = manifest.to_string();
    manifest["metadata"]["annotations"]["app.oam.dev/last-applied-configuration"] = text.into();
    manifest
}

fn create(place: &Place, object: &Value) -> Value {
    place.kubectl.file("object.json", &object.to_string());
    let text = place.run("create -f object.json -o json").ok();
    serde_json::from_str(&text).expect("kubectl prints JSON")
}

#[test]
fn an_application_that_kubevela_made_is_not_rolled() {
    let Some(application) = recorded("application.yaml") else {
        return;
    };
    let place = Place::own(NAMESPACE);
    // Nobody touches it before everything is there.
    let mut held = bare(application.clone());
    held["metadata"]["labels"] = json!({"controller.core.oam.dev/pause": "true"});
    let uid = create(&place, &held)["metadata"]["uid"].clone();

    let tracker = recorded("resourcetracker.yaml").expect("a tracker");
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
    let mut tracker = bare(json!(tracker));
    tracker["apiVersion"] = "core.oam.dev/v1beta1".into();
    tracker["kind"] = "ResourceTracker".into();
    tracker["metadata"]["labels"]["app.oam.dev/uid"] = uid.clone();
    create(&place, &tracker);
    let mut revision = bare(recorded("applicationrevision.yaml").expect("a revision"));
    revision["metadata"]["ownerReferences"][0]["uid"] = uid;
    create(&place, &revision);
    let status = json!({"status": application["status"]}).to_string();
    place
        .kubectl
        .run_args(&[
            "-n",
            NAMESPACE,
            "patch",
            "app",
            "b0500",
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ])
        .ok();
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
