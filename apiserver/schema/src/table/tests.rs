use super::*;
use crate::resources::{builtins, find_kind};
use std::path::PathBuf;

fn now() -> Timestamp {
    "2026-11-21T10:15:00Z".parse().expect("a time")
}

fn cells(group: &str, version: &str, kind: &str, object: Value) -> Vec<Value> {
    let resource = find_kind(group, version, kind).expect("served");
    builtin(resource, &[object], now()).rows.remove(0)
}

/// The recorded exchanges of kubectl with a real kube-apiserver.
fn transcript() -> Value {
    let root = std::env::var_os("CARAVEL_CONFORMANCE_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(root.join("kubectl/transcript.json"))
        .expect("the conformance data is there");
    serde_json::from_str(&text).expect("the transcript is JSON")
}

/// The column definitions of a recorded table, up to where the recording is cut.
fn recorded_columns(response: &str) -> Vec<Value> {
    let Some((_, rest)) = response.split_once("\"columnDefinitions\":[") else {
        return Vec::new();
    };
    let mut columns = Vec::new();
    let mut rest = rest;
    while rest.starts_with('{') {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(column)) = stream.next() else {
            break;
        };
        columns.push(column);
        rest = rest[stream.byte_offset()..].trim_start_matches(',');
    }
    columns
}

#[test]
fn headings_are_those_of_the_real_server() {
    let mut compared = 0;
    for command in transcript()["commands"].as_array().expect("a list") {
        for exchange in command["http"].as_array().expect("a list") {
            let (url, response) = (
                exchange["url"].as_str().unwrap_or_default(),
                exchange["response"].as_str().unwrap_or_default(),
            );
            let path = url.split('?').next().unwrap_or_default();
            let Some(resource) = builtins().iter().find(|r| {
                let root = if r.group.is_empty() {
                    "/api/v1".to_owned()
                } else {
                    format!("/apis/{}", r.api_version())
                };
                path.starts_with(&root)
                    && path.split('/').any(|part| part == r.plural)
                    && (r.plural != "namespaces"
                        || !path.trim_start_matches("/api/v1/namespaces/").contains('/'))
            }) else {
                continue;
            };
            if !response.starts_with("{\"kind\":\"Table\"") {
                continue;
            }
            let expected = recorded_columns(response);
            let ours = builtin(resource, &[], now()).columns;
            for (theirs, ours) in expected.iter().zip(&ours) {
                assert_eq!(theirs, ours, "{url}");
                compared += 1;
            }
        }
    }
    assert!(compared > 60, "{compared} columns compared");
}

#[test]
fn deployments_as_recorded() {
    let row = cells(
        "apps",
        "v1",
        "Deployment",
        json!({
            "metadata": {"name": "d2", "creationTimestamp": "2026-11-21T10:14:59Z"},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "d2"}},
                "template": {"spec": {"containers": [{"name": "a", "image": "nginx:2"}, {"name": "b", "image": "busybox:1"}]}}},
            "status": {"readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        }),
    );
    assert_eq!(
        json!(row),
        json!([
            "d2",
            "1/1",
            1,
            1,
            "1s",
            "a,b",
            "nginx:2,busybox:1",
            "app=d2"
        ])
    );
}

#[test]
fn events_as_recorded() {
    let row = cells(
        "",
        "v1",
        "Event",
        json!({
            "metadata": {"name": "e"}, "type": "Normal", "reason": "Scheduled", "message": " ok\n", "eventTime": "2026-11-21T10:15:00.000000Z",
            "firstTimestamp": null, "lastTimestamp": null, "involvedObject": {"kind": "Pod", "name": "p"},
            "reportingComponent": "default-scheduler", "reportingInstance": "default-scheduler-vm",
        }),
    );
    assert_eq!(
        json!(row),
        json!([
            "0s",
            "Normal",
            "Scheduled",
            "pod/p",
            "",
            "default-scheduler, default-scheduler-vm",
            "ok",
            "0s",
            1,
            "e"
        ])
    );
}

#[test]
fn pods_say_what_keeps_them() {
    let pod = |status: Value| {
        json!({"metadata": {"name": "p", "creationTimestamp": "2026-11-21T10:00:00Z"},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}]}, "status": status})
    };
    let state = |status: Value| cells("", "v1", "Pod", pod(status))[1..4].to_vec();
    assert_eq!(
        json!(state(json!({"phase": "Pending"}))),
        json!(["0/2", "Pending", "0"])
    );
    let running = json!({"ready": true, "restartCount": 2, "state": {"running": {}}, "lastState": {"terminated": {"finishedAt": "2026-11-21T10:05:00Z"}}});
    assert_eq!(
        json!(state(
            json!({"phase": "Running", "containerStatuses": [running, {"restartCount": 0, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]})
        )),
        json!(["1/2", "CrashLoopBackOff", "2 (10m ago)"])
    );
    assert_eq!(
        json!(state(json!({"phase": "Failed", "reason": "Evicted"}))),
        json!(["0/2", "Evicted", "0"])
    );
}

#[test]
fn services_jobs_and_claims() {
    let service = cells(
        "",
        "v1",
        "Service",
        json!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"],
        "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}),
    );
    assert_eq!(
        json!(service[1..5]),
        json!([
            "LoadBalancer",
            "10.0.0.1",
            "<pending>",
            "80:30080/TCP,53/UDP"
        ])
    );
    let job = cells(
        "batch",
        "v1",
        "Job",
        json!({"metadata": {"name": "j"}, "spec": {"completions": 3, "parallelism": 1},
        "status": {"succeeded": 3, "startTime": "2026-11-21T10:00:00Z", "completionTime": "2026-11-21T10:00:05Z",
        "conditions": [{"type": "Complete", "status": "True"}]}}),
    );
    assert_eq!(json!(job[1..4]), json!(["Complete", "3/3", "5s"]));
    let claim = cells(
        "",
        "v1",
        "PersistentVolumeClaim",
        json!({"metadata": {"name": "c"}, "spec": {"volumeName": "v", "volumeMode": "Filesystem",
        "storageClassName": "fast"}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}}),
    );
    assert_eq!(
        json!(claim[1..7]),
        json!(["Bound", "v", "1Gi", "RWO", "fast", "<unset>"])
    );
}

#[test]
fn custom_columns_as_recorded() {
    let column = |name: &str, kind: &str, path: &str| Column {
        name: name.into(),
        kind: kind.into(),
        format: String::new(),
        description: String::new(),
        priority: 0,
        json_path: path.into(),
    };
    let columns = [
        column("Size", "integer", ".spec.size"),
        column("Names", "string", ".spec.components[*].name"),
        column("Age", "date", ".metadata.creationTimestamp"),
    ];
    let object = json!({"metadata": {"name": "g1", "creationTimestamp": "2026-11-21T10:15:00Z"}, "spec": {"size": 3, "components": [{"name": "a"}, {"name": "b"}]}});
    let table = custom(
        &columns,
        &[object, json!({"metadata": {"name": "g2"}})],
        now(),
    );
    assert_eq!(
        json!(table.rows),
        json!([["g1", 3, "a", "0s"], ["g2", null, null, null]])
    );
    assert_eq!(
        table.columns[1]["description"],
        "Custom resource definition column (in JSONPath format): .spec.size"
    );
    assert_eq!(table.columns[0]["format"], "name");
}

#[test]
fn every_kind_has_as_many_cells_as_columns_even_when_empty() {
    for resource in builtins() {
        let table = builtin(
            resource,
            &[json!({"metadata": {"name": "x"}}), json!({})],
            now(),
        );
        for row in &table.rows {
            assert_eq!(row.len(), table.columns.len(), "{}", resource.kind);
        }
        for column in &table.columns {
            assert_ne!(
                column["description"], "",
                "{} {}",
                resource.kind, column["name"]
            );
        }
    }
}
