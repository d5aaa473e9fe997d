//! client-go's informers, unmodified, see every change in order.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use caravel_tests::conformance::workspace_root;
use caravel_tests::wait::PATIENCE;
use serde_json::Value;

use crate::place::{Place, application};

/// Names of the objects that tests follow.
const NAMES: [&str; 3] = ["marked", "before", "after"];

/// How often each object changes.
const CHANGES: usize = 20;

fn program() -> PathBuf {
    std::env::var_os("INFORMERS_BIN").map_or_else(
        || workspace_root().join(".tools/bin/informers"),
        PathBuf::from,
    )
}

struct Informers {
    child: Child,
    lines: Receiver<Value>,
}

impl Informers {
    fn start(place: &Place) -> Self {
        let mut child = Command::new(program())
            .arg("-kubeconfig")
            .arg(place.daemon.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the informers can be started: make tools");
        let output = child.stdout.take().expect("a pipe");
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("a line of JSON");
                if send.send(value).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("another event")
    }
}

impl Drop for Informers {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The events of the objects of a test. (Each namespace also gets a ConfigMap from the server.)
fn follow(
    informers: &Informers,
    namespace: &str,
    kind: &str,
    done: impl Fn(&Value) -> bool,
) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let event = informers.next();
        let is_other = event["namespace"] != namespace || event["kind"] != kind;
        if is_other || !NAMES.iter().any(|name| event["name"] == *name) {
            continue;
        }
        let last = done(&event);
        events.push(event);
        if last {
            return events;
        }
    }
}

fn marks(events: &[Value]) -> Vec<String> {
    let mut marks: Vec<String> = events
        .iter()
        .map(|event| event["mark"].as_str().unwrap_or_default().to_owned())
        .collect();
    marks.dedup();
    marks
}

#[test]
fn every_change_of_a_config_map_is_seen_in_order() {
    let place = Place::shared("informers-cm");
    let informers = Informers::start(&place);
    while informers.next() != "synced" {}
    place
        .run("create configmap marked --from-literal=mark=0")
        .ok();
    for mark in 1..=CHANGES {
        let patch = format!(r#"{{"data":{{"mark":"{mark}"}}}}"#);
        place
            .run(&format!("patch configmap marked -p {patch}"))
            .ok();
    }
    place.run("delete configmap marked").ok();
    let events = follow(&informers, "informers-cm", "ConfigMap", |event| {
        event["type"] == "DELETED"
    });
    assert_eq!(events[0]["type"], "ADDED");
    let expected: Vec<String> = (0..=CHANGES).map(|mark| mark.to_string()).collect();
    assert_eq!(marks(&events), expected);
}

#[test]
fn every_change_of_an_application_is_seen_in_order() {
    let place = Place::shared("informers-app");
    let informers = Informers::start(&place);
    while informers.next() != "synced" {}
    place
        .apply(&application("marked", "worker", "{image: busybox:1}"))
        .ok();
    for mark in 1..=CHANGES {
        place
            .run(&format!("annotate app marked mark={mark} --overwrite"))
            .ok();
    }
    place.wait_until_running("marked");
    place.run("delete app marked --timeout=60s").ok();
    let events = follow(&informers, "informers-app", "Application", |event| {
        event["type"] == "DELETED"
    });
    let versions: Vec<u64> = events
        .iter()
        .map(|event| {
            event["resourceVersion"]
                .as_str()
                .and_then(|v| v.parse().ok())
                .expect("a version")
        })
        .collect();
    assert!(versions.is_sorted(), "{versions:?}");
    let mut expected = vec![String::new()];
    expected.extend((1..=CHANGES).map(|mark| mark.to_string()));
    assert_eq!(marks(&events), expected);
}

#[test]
fn an_informer_finds_its_way_back_after_the_daemon_was_killed() {
    let mut daemon = caravel_tests::daemon::Daemon::start(&["--kube-listen", &free_address()]);
    let kubectl = caravel_tests::kubectl::Kubectl::new(&daemon);
    let mut child = Command::new(program())
        .arg("-kubeconfig")
        .arg(daemon.kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the informers can be started: make tools");
    let output = child.stdout.take().expect("a pipe");
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = send.send(serde_json::from_str(&line).expect("JSON"));
        }
    });
    let informers = Informers { child, lines };
    while informers.next() != "synced" {}
    kubectl
        .run("create configmap before --from-literal=mark=1")
        .ok();
    daemon.kill();
    daemon.restart();
    kubectl
        .run("create configmap after --from-literal=mark=2")
        .ok();
    let events = follow(&informers, "default", "ConfigMap", |event| {
        event["name"] == "after"
    });
    let gone = events.iter().any(|event| {
        event["type"]
            .as_str()
            .is_some_and(|t| t.starts_with("DELETED"))
    });
    assert!(!gone, "what was answered is durable: {events:?}");
}

/// An address that stays the same over a restart.
fn free_address() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address").to_string()
}
