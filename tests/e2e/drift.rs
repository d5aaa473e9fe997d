//! Drift is repaired from what was recorded; a changed definition rolls nothing by itself.

use std::time::Duration;

use caravel_tests::wait::{eventually, within};
use serde_json::{Value, json};

use crate::place::{Place, application, fields, generations};

/// The promise of the product.
const REPAIRED_WITHIN: Duration = Duration::from_secs(10);

fn scaled() -> String {
    application(
        "web",
        "webservice",
        "{image: nginx:1, ports: [{port: 80, expose: true}]}",
    ) + "    traits: [{type: scaler, properties: {replicas: 2}}]\n"
}

#[test]
fn what_was_changed_or_deleted_comes_back_without_a_new_revision() {
    let place = Place::shared("drift");
    place.apply(&scaled()).ok();
    place.wait_until_running("web");
    let replicas = || place.object("deploy", "web")["spec"]["replicas"].as_i64();

    place.run("scale deploy web --replicas=5").ok();
    within(
        REPAIRED_WITHIN,
        "the number of replicas is repaired",
        || (replicas() == Some(2)).then_some(()),
    );

    let image =
        r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"evil:1"}]}}}}"#;
    place
        .kubectl
        .run_args(&["-n", "drift", "patch", "deploy", "web", "-p", image])
        .ok();
    within(REPAIRED_WITHIN, "the image is repaired", || {
        let deployment = place.object("deploy", "web");
        (deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1")
            .then_some(())
    });

    for (kind, name) in [("deploy", "web"), ("svc", "web")] {
        let uid = place.object(kind, name)["metadata"]["uid"].clone();
        place.run(&format!("delete {kind} {name}")).ok();
        within(REPAIRED_WITHIN, "what was deleted is back", || {
            place
                .get(kind, name)
                .filter(|object| object["metadata"]["uid"] != uid)
        });
    }
    // What the Application does not own of the object is left alone.
    place.run("annotate deploy web mine=yes").ok();
    place.wait_until_running("web");
    assert_eq!(
        place.object("deploy", "web")["metadata"]["annotations"]["mine"],
        "yes"
    );

    let revisions = place.names("applicationrevision");
    assert_eq!(revisions, ["web-v1"]);
    assert_eq!(place.object("app", "web")["metadata"]["generation"], 1);
}

/// Measured trap 9: with KubeVela the objects go with it.
#[test]
fn a_resource_tracker_that_somebody_deletes_comes_back_and_the_objects_stay() {
    let place = Place::own("default");
    place.apply(&scaled()).ok();
    place.wait_until_running("web");
    let uids = || fields(&place, "deploy,svc", "/metadata/uid");
    let before = uids();
    let tracker = || place.get("resourcetracker", "web-v1-default");
    let first = tracker().expect("the tracker")["metadata"]["uid"].clone();
    place
        .run("delete resourcetracker web-v1-default --timeout=30s")
        .ok();
    eventually("the tracker is back", || {
        tracker().filter(|now| now["metadata"]["uid"] != first)
    });
    assert_eq!(uids(), before);
    // It still says what is the Application's: drift is repaired, and nothing stays behind.
    place.run("delete svc web").ok();
    within(REPAIRED_WITHIN, "what was deleted is back", || {
        place.get("svc", "web")
    });
    place.run("delete app web --timeout=60s").ok();
    assert_eq!(place.get("deploy", "web"), None);
    assert_eq!(place.names("resourcetracker"), [] as [String; 0]);
}

#[test]
fn a_definition_that_changes_rolls_nothing_by_itself() {
    let place = Place::own("definition");
    place.apply(&scaled()).ok();
    place.wait_until_running("web");
    let before = generations(&place, "deploy,svc");

    let mut webservice = place
        .kubectl
        .get("componentdefinition", "vela-system", "webservice")
        .expect("built in");
    let template = webservice["spec"]["schematic"]["cue"]["template"]
        .as_str()
        .expect("a template");
    let changed = template.to_owned()
        + "\noutputs: extra: {apiVersion: \"v1\", kind: \"ConfigMap\", metadata: name: \"extra\"}\n";
    webservice["spec"]["schematic"]["cue"]["template"] = json!(changed);
    place
        .kubectl
        .file("webservice.json", &webservice.to_string());
    place.run("replace -n vela-system -f webservice.json").ok();
    eventually("the definition has a second revision", || {
        let now = place
            .kubectl
            .get("componentdefinition", "vela-system", "webservice")?;
        (now["status"]["latestRevision"]["revision"] == 2).then_some(())
    });

    for round in ["one", "two"] {
        let turns = turns(&place);
        place
            .run(&format!("annotate app web poke={round} --overwrite"))
            .ok();
        eventually("the Application had a turn", || {
            (self::turns(&place) > turns).then_some(())
        });
    }
    place.wait_until_running("web");
    assert_eq!(generations(&place, "deploy,svc"), before);
    assert!(place.get("cm", "extra").is_none());
    assert_eq!(place.names("applicationrevision"), ["web-v1"]);

    // The next change of the Application uses it.
    place.apply(&scaled().replace("nginx:1", "nginx:2")).ok();
    eventually("the new definition is used", || place.get("cm", "extra"));
}

/// How many turns Applications had, by the daemon's metrics.
fn turns(place: &Place) -> u64 {
    counted(place, "caravel_turns_total")
}

/// The sum of a metric of the daemon.
fn counted(place: &Place, metric: &str) -> u64 {
    let text = crate::rest::Rest::new(&place.daemon).text("/metrics");
    let count = text.lines().filter_map(|line| line.strip_prefix(metric));
    count
        .filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok())
        .sum()
}

#[test]
fn an_application_at_rest_is_unloaded_and_still_repaired_and_delivered() {
    let place = Place::with("unloaded", &["--unload-after", "0"], &[]);
    place.apply(&scaled()).ok();
    let before = place.wait_until_running("web");
    let is_unloaded = |times: u64| {
        eventually("it is unloaded", || {
            (counted(&place, "caravel_unloads_total") > times).then_some(())
        });
    };
    is_unloaded(0);
    let times = counted(&place, "caravel_unloads_total");
    place.run("delete svc web").ok();
    within(REPAIRED_WITHIN, "what was deleted is back", || {
        place.get("svc", "web")
    });
    is_unloaded(times);
    let after = place.object("app", "web");
    for field in ["services", "workflow", "latestRevision", "appliedResources"] {
        assert_eq!(after["status"][field], before["status"][field], "{field}");
    }
    place.apply(&scaled().replace("nginx:1", "nginx:2")).ok();
    eventually("the change is delivered", || {
        (place.object("app", "web")["status"]["latestRevision"]["name"] == "web-v2").then_some(())
    });
    place.wait_until_running("web");
    let deployment = place.object("deploy", "web");
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        "nginx:2"
    );
}

#[test]
fn an_application_that_fails_to_start_says_what_is_not_healthy() {
    let place = Place::shared("stalled");
    let stalled = application("web", "webservice", "{image: nginx:1}")
        + "    traits: [{type: annotations, properties: {caravel.dev/simulate: stall}}]\n";
    place.apply(&stalled).ok();
    let application: Value = eventually("the component is seen as not healthy", || {
        let application = place.object("app", "web");
        (application["status"]["services"][0]["healthy"] == false).then_some(application)
    });
    assert_eq!(application["status"]["status"], "runningWorkflow");
    let message = application["status"]["services"][0]["message"]
        .as_str()
        .unwrap_or_default();
    assert!(message.contains("0/1"), "{message}");
}
