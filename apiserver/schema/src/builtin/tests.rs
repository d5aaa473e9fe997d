use super::*;
use crate::protobuf;
use crate::resources::{builtins, find_kind};
use std::path::PathBuf;

fn resource(api_version: &str, kind: &str) -> &'static Resource {
    let (group, version) = crate::resources::parse_api_version(api_version).expect("well-formed");
    find_kind(group, version, kind).expect("served")
}

fn defaulted(mut object: Value) -> Value {
    let of = resource(text(&object, "apiVersion"), text(&object, "kind"));
    default(of, &mut object);
    let once = object.clone();
    default(of, &mut object);
    assert_eq!(object, once, "defaulting twice changes nothing");
    object
}

fn faults(object: Value) -> Vec<String> {
    let object = defaulted(object);
    faults_of(&object, None)
}

fn faults_of(object: &Value, old: Option<&Value>) -> Vec<String> {
    let of = resource(text(object, "apiVersion"), text(object, "kind"));
    validate(of, object, old)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn transcript() -> Value {
    let root = std::env::var_os("CARAVEL_CONFORMANCE_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(root.join("kubectl/transcript.json"))
        .expect("the conformance data is there");
    serde_json::from_str(&text).expect("the transcript is JSON")
}

fn bytes_of(dump: &str) -> Vec<u8> {
    let hex = dump
        .lines()
        .filter_map(|l| l.get(8..)?.split('|').next())
        .flat_map(str::split_whitespace);
    hex.filter_map(|b| u8::from_str_radix(b, 16).ok()).collect()
}

fn body(text: &str) -> Option<Value> {
    if text.starts_with("00000000  6b 38 73 00") {
        protobuf::decode(&bytes_of(text)).ok()
    } else {
        serde_json::from_str(text).ok()
    }
}

/// Every recorded creation of a built-in object: what was sent, defaulted here, has the spec that came back.
#[test]
fn created_objects_have_the_recorded_defaults() {
    let mut compared = Vec::new();
    for command in transcript()["commands"].as_array().expect("a list") {
        for exchange in command["http"].as_array().expect("a list") {
            let status = exchange["status"].as_str().unwrap_or_default();
            if exchange["verb"] != "POST" || !status.starts_with("201") {
                continue;
            }
            let (Some(sent), Some(answer)) = (
                body(exchange["request"].as_str().unwrap_or_default()),
                body(exchange["response"].as_str().unwrap_or_default()),
            ) else {
                continue;
            };
            let (group, version) = crate::resources::parse_api_version(text(&sent, "apiVersion"))
                .expect("well-formed");
            let Some(of) = find_kind(group, version, text(&sent, "kind")).filter(|r| r.is_stored())
            else {
                continue;
            };
            let mut ours = sent.clone();
            crate::decode::normalise(&mut ours, of.definition.expect("built in"));
            default(of, &mut ours);
            assert_eq!(
                faults_of(&ours, None),
                Vec::<String>::new(),
                "command {}",
                command["n"]
            );
            let strip = |v: &Value| {
                // What the strategies of the server set is not a default.
                let mut v = without(v, &["metadata", "status"]);
                if of.kind == "Namespace" {
                    v["spec"] = Value::Null;
                }
                v
            };
            assert_eq!(strip(&ours), strip(&answer), "command {}", command["n"]);
            compared.push(of.kind.to_string());
        }
    }
    for kind in [
        "ConfigMap",
        "Deployment",
        "Namespace",
        "Role",
        "RoleBinding",
        "Secret",
        "ServiceAccount",
    ] {
        assert!(
            compared.iter().any(|k| k == kind),
            "{kind} is not among {compared:?}"
        );
    }
}

fn pod_spec() -> Value {
    json!({"containers": [{"name": "a", "image": "nginx:1"}]})
}

fn workload(api_version: &str, kind: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "uid": "u"}, "spec": {
        "selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": pod_spec()}}});
    if let (Some(map), Value::Object(more)) = (object["spec"].as_object_mut(), spec) {
        map.extend(more);
    }
    object
}

#[test]
fn defaults_of_other_workloads() {
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "uid": "u"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}});
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": {"schedule": "*/5 * * * *",
        "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}}}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "type": "LoadBalancer"}});
    let mut stateful = workload(
        "apps/v1",
        "StatefulSet",
        json!({"serviceName": "x", "volumeClaimTemplates": [{"metadata": {"name": "d"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}),
    );
    stateful["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "e"}, {"name": "c", "configMap": {"name": "c"}}]);
    let daemon = workload("apps/v1", "DaemonSet", json!({}));
    let all: Vec<Value> = [job, cron, service, stateful, daemon]
        .into_iter()
        .map(defaulted)
        .collect();
    for object in &all {
        assert_eq!(faults_of(object, None), Vec::<String>::new());
    }
    insta::assert_json_snapshot!(all);
}

#[test]
fn faults_of_deployments() {
    assert_eq!(
        faults(workload(
            "apps/v1",
            "Deployment",
            json!({"selector": {"matchLabels": {"app": "y"}}})
        )),
        [
            "spec.template.metadata.labels: Invalid value: {\"app\":\"x\"}: `selector` does not match template `labels`",
        ]
    );
    assert_eq!(
        faults(workload(
            "apps/v1",
            "Deployment",
            json!({"replicas": -1, "selector": null})
        )),
        [
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"x\"}: `selector` does not match template `labels`",
        ]
    );
    assert_eq!(
        faults(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}})
        ),
        [
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
            "spec.template.spec.containers: Required value",
        ]
    );
    let mut bad = workload(
        "apps/v1",
        "Deployment",
        json!({"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}),
    );
    bad["spec"]["template"]["spec"] = json!({"restartPolicy": "Never", "containers": [
        {"name": "a", "image": "x", "ports": [{"containerPort": 70000}], "volumeMounts": [{"name": "gone", "mountPath": "/x"}]},
        {"name": "a", "env": [{"value": "x"}], "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}]});
    assert_eq!(
        faults(bad),
        [
            "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"gone\"",
            "spec.template.spec.containers[1].name: Duplicate value: \"a\"",
            "spec.template.spec.containers[1].image: Required value",
            "spec.template.spec.containers[1].env[0].name: Required value",
            "spec.template.spec.containers[1].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ]
    );
}

#[test]
fn faults_of_what_pods_mount_and_where_they_go() {
    let mut object = workload("apps/v1", "Deployment", json!({}));
    object["spec"]["template"]["spec"] = json!({
        "volumes": [{"name": "disk", "azureDisk": {"diskName": "d", "diskURI": "test.disk.uri"}}, {"name": "v", "emptyDir": {}}],
        "containers": [{"name": "a", "image": "x", "volumeMounts": [
            {"name": "disk", "mountPath": "/disk"}, {"name": "", "mountPath": ""},
            {"name": "v", "mountPath": "/a", "subPath": "/absolute"}, {"name": "v", "mountPath": "/b", "subPath": "a/../b"},
        ]}],
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 1},
        ],
    });
    assert_eq!(
        faults(object),
        [
            "spec.template.spec.volumes[0].azureDisk.diskURI: Unsupported value: \"test.disk.uri\": supported values: \"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd\"",
            "spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"disk\"",
            "spec.template.spec.containers[0].volumeMounts[1].name: Required value",
            "spec.template.spec.containers[0].volumeMounts[1].name: Not found: \"\"",
            "spec.template.spec.containers[0].volumeMounts[1].mountPath: Required value",
            "spec.template.spec.containers[0].volumeMounts[2].subPath: Invalid value: \"/absolute\": must be a relative path",
            "spec.template.spec.containers[0].volumeMounts[3].subPath: Invalid value: \"a/../b\": must not contain '..'",
            "spec.template.spec.topologySpreadConstraints[0].minDomains: Invalid value: 1: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
        ]
    );
}

#[test]
fn a_daemon_set_has_too_few_pods_or_too_many_never_both() {
    let set = |rolling: Value| {
        let strategy =
            json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling}});
        faults(workload("apps/v1", "DaemonSet", strategy))
    };
    assert_eq!(
        set(json!({"maxUnavailable": 0, "maxSurge": "20%"})),
        Vec::<String>::new()
    );
    assert_eq!(
        set(json!({"maxUnavailable": "30%", "maxSurge": "20%"})),
        [
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: \"20%\": may not be set when maxUnavailable is non-zero",
        ]
    );
    assert_eq!(
        set(json!({"maxUnavailable": 0, "maxSurge": 0})),
        [
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"
        ]
    );
}

#[test]
fn immutable_fields() {
    let old = defaulted(workload("apps/v1", "Deployment", json!({})));
    let mut new = old.clone();
    new["spec"]["selector"] = json!({"matchLabels": {"app": "z"}});
    new["spec"]["template"]["metadata"]["labels"] = json!({"app": "z"});
    assert_eq!(
        faults_of(&new, Some(&old)),
        ["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"z\"}}: field is immutable"]
    );

    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "uid": "u"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}});
    let old = defaulted(job);
    let mut new = old.clone();
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "c".into();
    let found = faults_of(&new, Some(&old));
    assert!(
        found.len() == 1
            && found[0].starts_with("spec.template: Invalid value: {")
            && found[0].ends_with(": field is immutable"),
        "{found:?}"
    );

    let frozen =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "data": {"a": "1"}});
    let mut new = frozen.clone();
    new["data"]["a"] = "2".into();
    assert_eq!(
        faults_of(&new, Some(&frozen)),
        ["data: Forbidden: field is immutable when `immutable` is set"]
    );

    let service = defaulted(
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}}),
    );
    let mut new = service.clone();
    new["spec"]["clusterIP"] = "10.0.0.2".into();
    new["spec"]["clusterIPs"] = json!(["10.0.0.2"]);
    assert_eq!(
        faults_of(&new, Some(&service)),
        ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"]
    );

    let old = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"}});
    let mut new = old.clone();
    new["roleRef"]["name"] = "b".into();
    assert!(faults_of(&new, Some(&old))[0].ends_with(": cannot change roleRef"));
}

#[test]
fn faults_of_other_kinds() {
    let cases = [
        (
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}, {"port": 80}]}}),
            vec![
                "spec.ports[0].name: Required value",
                "spec.ports[1].name: Required value",
                "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
            ],
        ),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a b": ""}}),
            vec![
                "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            ],
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
            vec!["data[tls.key]: Required value"],
        ),
        (
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {}}),
            vec!["spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"],
        ),
        (
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {"rules": [{"http": {"paths": [{"path": "x", "backend": {"service": {"name": "s"}}}]}}]}}),
            vec![
                "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
                "spec.rules[0].http.paths[0].backend.service: Required value: port name or number is required",
            ],
        ),
        (
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": [{"resources": ["pods"]}]}),
            vec![
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            ],
        ),
        (
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {}}),
            vec![
                "spec.accessModes: Required value: at least 1 access mode is required",
                "spec.resources[storage]: Required value",
            ],
        ),
        (
            json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": {"schedule": "* *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}}}}),
            vec![
                "spec.schedule: Invalid value: \"* *\": expected exactly 5 fields, found 2: [* *]",
            ],
        ),
        (
            json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 0, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}}),
            vec![
                "spec.maxReplicas: Invalid value: 0: must be greater than 0",
                "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
            ],
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(faults(object), expected);
    }
}

#[test]
fn priorities_of_the_system_are_its_own() {
    let class = |name: &str, value: i64| {
        faults(json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
        }))
    };
    assert_eq!(class("high", 1_000_000_000), [""; 0]);
    assert_eq!(class("system-node-critical", 2_000_001_000), [""; 0]);
    assert_eq!(
        class("high", 1_000_000_001),
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]
    );
    assert_eq!(
        class("system-x", 1),
        [
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. \
          error: system-x is not a known system priority class"
        ]
    );
}

#[test]
fn containers_of_a_stateful_set_may_mount_its_claims() {
    let mut object = workload(
        "apps/v1",
        "StatefulSet",
        json!({"volumeClaimTemplates": [{"metadata": {"name": "d"}}]}),
    );
    object["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "d", "mountPath": "/d"}]);
    assert_eq!(faults(object), Vec::<String>::new());
}

#[test]
fn new_pods_are_pending_and_have_a_class() {
    let pod = |resources: Value| {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": pod_spec()});
        pod["spec"]["containers"][0]["resources"] = resources;
        defaulted(pod)["status"].clone()
    };
    assert_eq!(
        pod(json!({})),
        json!({"phase": "Pending", "qosClass": "BestEffort"})
    );
    assert_eq!(
        pod(json!({"requests": {"cpu": "1"}}))["qosClass"],
        "Burstable"
    );
    assert_eq!(
        pod(json!({"limits": {"cpu": "1", "memory": "1Gi"}}))["qosClass"],
        "Guaranteed"
    );
}

#[test]
fn string_data_moves_into_data() {
    let secret = defaulted(
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"b": "Yg=="}, "stringData": {"a": "b"}}),
    );
    assert_eq!(
        secret,
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"a": "Yg==", "b": "Yg=="}})
    );
}

#[test]
fn odd_shapes_do_not_panic() {
    for of in builtins() {
        for odd in [
            json!({}),
            json!({"spec": 7, "data": 1, "rules": "x", "webhooks": {}}),
            json!({"spec": {"template": [], "selector": 1, "ports": "x", "strategy": 3}}),
            json!([]),
            Value::Null,
        ] {
            let mut object = odd.clone();
            if object.is_object() {
                default(of, &mut object);
                let _ = validate(of, &object, Some(&odd));
            }
        }
    }
}
