//! kubectl's commands that the recorded transcript does not have: edit, explain, rollout, wait, events, diff,
//! cascading deletes, a namespace with its content, and what is refused.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::place::{Place, application};

#[test]
fn edit_explain_and_diff() {
    let place = Place::shared("list-edit");
    place
        .apply(&application("web", "worker", "{image: busybox:1}"))
        .ok();
    place.wait_until_running("web");

    // The editor is a script: kubectl hands it the file.
    place.kubectl.file(
        "editor.sh",
        "#!/bin/sh\nsed -i 's/busybox:1$/busybox:2/' \"$1\"\n",
    );
    let edited = caravel_tests::kubectl::finish(
        place
            .kubectl
            .command(&["-n", "list-edit", "edit", "app", "web"])
            .env("KUBE_EDITOR", "sh editor.sh"),
    );
    assert!(edited.ok().contains("edited"));
    assert_eq!(
        place.object("app", "web")["spec"]["components"][0]["properties"]["image"],
        "busybox:2"
    );
    place.wait_until_running("web");

    let explained = place.run("explain app.spec.workflow").ok();
    assert!(
        explained.contains("steps") && explained.contains("mode"),
        "{explained}"
    );
    let explained = place.run("explain deployment.spec.replicas").ok();
    assert!(explained.contains("<integer>"), "{explained}");

    place.kubectl.file(
        "next.yaml",
        &application("web", "worker", "{image: busybox:3}"),
    );
    let diff = place.run("diff -f next.yaml");
    assert_eq!(diff.exit, 1, "a difference is exit code 1: {}", diff.stderr);
    assert!(diff.stdout.contains("busybox:3"), "{}", diff.stdout);
    place.run("diff --server-side --force-conflicts -f next.yaml");
    assert_eq!(
        place.object("app", "web")["spec"]["components"][0]["properties"]["image"],
        "busybox:2",
        "a diff changes nothing"
    );
}

#[test]
fn rollout_status_and_the_three_ways_to_wait() {
    let place = Place::shared("list-wait");
    place
        .apply(&application("web", "webservice", "{image: nginx:1}"))
        .ok();
    place
        .run("wait --for=jsonpath={.status.status}=running app/web --timeout=60s")
        .ok();
    place
        .run("wait --for=condition=Available deploy/web --timeout=60s")
        .ok();
    place
        .run("wait --for=condition=Ready app/web --timeout=60s")
        .ok();
    let rollout = place.run("rollout status deploy/web --timeout=60s").ok();
    assert!(rollout.contains("successfully rolled out"), "{rollout}");
    place.run("delete app web --wait=false").ok();
    place.run("wait --for=delete app/web --timeout=60s").ok();
    place.run("wait --for=delete deploy/web --timeout=60s").ok();
}

#[test]
fn events_and_describe_tell_what_happened() {
    let place = Place::shared("list-events");
    place
        .apply(&application("web", "worker", "{image: busybox:1}"))
        .ok();
    place.wait_until_running("web");
    let events = caravel_tests::wait::eventually("the event that it is deployed", || {
        let events = place.run("events --for application/web").ok();
        events.contains("Deployed").then_some(events)
    });
    assert!(
        events.contains("Revisioned") && events.contains("Application/web"),
        "{events}"
    );
    let table = place.run("get events").ok();
    assert!(table.contains("application/web"), "{table}");
    let described = place.run("describe app web").ok();
    assert!(
        described.contains("Events:") && described.contains("Deployed"),
        "{described}"
    );
}

#[test]
fn a_watch_shows_changes_as_they_come() {
    let place = Place::shared("list-watch");
    let mut child = place
        .kubectl
        .command(&[
            "-n",
            "list-watch",
            "get",
            "app",
            "-w",
            "-o",
            "jsonpath={.metadata.name}={.status.status}{\"\\n\"}",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("kubectl can be started");
    place
        .apply(&application("web", "worker", "{image: busybox:1}"))
        .ok();
    place.wait_until_running("web");
    let lines = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    let seen: Vec<String> = lines.take_while(|line| line != "web=running").collect();
    let _ = child.kill();
    let _ = child.wait();
    assert!(seen.iter().all(|line| line.starts_with("web=")), "{seen:?}");
}

#[test]
fn cascading_deletes() {
    let place = Place::shared("list-cascade");
    let owner = |name: &str| {
        place.run(&format!("create configmap {name}")).ok();
        let uid = place.object("cm", name)["metadata"]["uid"]
            .as_str()
            .expect("a uid")
            .to_owned();
        place
            .apply(&format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}-child\n  ownerReferences:\n\
                 \x20 - {{apiVersion: v1, kind: ConfigMap, name: {name}, uid: {uid}, blockOwnerDeletion: true}}\n"
            ))
            .ok();
    };
    owner("behind");
    place.run("delete cm behind --cascade=background").ok();
    place
        .run("wait --for=delete cm/behind-child --timeout=60s")
        .ok();

    owner("before");
    place
        .run("delete cm before --cascade=foreground --timeout=60s")
        .ok();
    assert!(
        place.get("cm", "before-child").is_none(),
        "in the foreground children go first"
    );

    owner("orphan");
    place
        .run("delete cm orphan --cascade=orphan --timeout=60s")
        .ok();
    let child = place.object("cm", "orphan-child");
    assert!(child["metadata"]["ownerReferences"].is_null(), "{child:#}");
}

#[test]
fn a_namespace_goes_with_its_content() {
    let place = Place::shared("list-namespace");
    place
        .apply(&application(
            "web",
            "webservice",
            "{image: nginx:1, ports: [{port: 80, expose: true}]}",
        ))
        .ok();
    place.wait_until_running("web");
    place.run("create secret generic s --from-literal=a=b").ok();
    place
        .kubectl
        .run("delete namespace list-namespace --timeout=80s")
        .ok();
    place.kubectl.run("create namespace list-namespace").ok();
    for kind in ["app", "deploy", "svc", "secret", "applicationrevision"] {
        assert!(
            place.names(kind).is_empty(),
            "{kind}: {:?}",
            place.names(kind)
        );
    }
}

#[test]
fn what_is_not_served_is_refused() {
    let place = Place::shared("list-refused");
    place.run("create deployment web --image=nginx").ok();
    for line in [
        "logs web",
        "exec web -- ls",
        "port-forward web 8080:80",
        "top pods",
    ] {
        let said = place.run(line).fails();
        assert!(!said.trim().is_empty(), "{line}");
    }
}

#[test]
fn a_server_side_apply_owns_its_fields() {
    let place = Place::shared("list-apply");
    let config = |data: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: shared}}\ndata: {data}\n")
    };
    let apply = |manager: &str, data: &str| {
        place.kubectl.file("cm.yaml", &config(data));
        place.run(&format!(
            "apply --server-side --field-manager={manager} -f cm.yaml"
        ))
    };
    apply("one", "{a: \"1\", b: \"1\"}").ok();
    apply("two", "{c: \"2\"}").ok();
    // A field that is dropped disappears, another manager's stays.
    apply("one", "{a: \"1\"}").ok();
    let data = place.object("cm", "shared")["data"].clone();
    assert_eq!(data, serde_json::json!({"a": "1", "c": "2"}));
    let conflict = apply("two", "{a: \"2\", c: \"2\"}").fails();
    assert!(
        conflict.contains("\"one\"") && conflict.contains(".data.a"),
        "{conflict}"
    );
}

#[test]
fn services_have_addresses_and_jobs_have_pods() {
    let place = Place::shared("list-addresses");
    place.run("create service nodeport web --tcp=80:8080").ok();
    let service = place.object("svc", "web");
    let address = service["spec"]["clusterIP"].as_str().expect("an address");
    let port = service["spec"]["ports"][0]["nodePort"]
        .as_i64()
        .expect("a node port");
    let line = place.run("get svc web --no-headers").ok();
    assert!(
        line.contains(address) && line.contains(&format!("80:{port}/TCP")),
        "{line}"
    );
    let taken = place.run(&format!(
        "create service clusterip other --tcp=80 --clusterip={address}"
    ));
    assert_eq!(taken.exit, 1);
    assert!(
        taken.stderr.contains("provided IP is already allocated"),
        "{}",
        taken.stderr
    );

    place.run("create job once --image=busybox -- true").ok();
    place
        .run("wait --for=condition=complete job/once --timeout=60s")
        .ok();
    place
        .run("wait --for=jsonpath={.status.phase}=Succeeded pod -l job-name=once --timeout=60s")
        .ok();
    let pods = place.run("get pods -l job-name=once --no-headers").ok();
    assert!(pods.contains("0/1") && pods.contains("Completed"), "{pods}");
}
