//! Volumes, and what comes with them.

use serde_json::{Value, json};

use super::{Component, component};

/// A web service that has a volume of its own.
fn with_volume() -> Component {
    component(
        "webservice",
        json!({
            "image": "nginx",
            "volumeMounts": { "emptyDir": [{ "name": "cache", "mountPath": "/cache" }] },
        }),
    )
}

fn init(name: &str, folder: &Value) -> Value {
    let mut properties = json!({
        "name": name, "image": "busybox",
        "appMountPath": format!("/app-{name}"), "initMountPath": format!("/init-{name}"),
    });
    if folder.is_string() {
        properties["mountName"] = folder.clone();
    }
    properties
}

fn named(list: &Value) -> Vec<&str> {
    let names = list.as_array().unwrap().iter();
    names.map(|one| one["name"].as_str().unwrap()).collect()
}

/// The shared folder is one more volume, whether its name is given or not.
#[test]
fn an_init_container_shares_a_folder_beside_other_volumes() {
    for (folder, name) in [(Value::Null, "workdir"), (json!("shared"), "shared")] {
        let pod = with_volume()
            .with("init-container", init("one", &folder))
            .pod();
        assert_eq!(named(&pod["volumes"]), ["cache", name]);
        assert_eq!(
            pod["containers"][0]["volumeMounts"],
            json!([
                { "name": "cache", "mountPath": "/cache" },
                { "name": name, "mountPath": "/app-one" },
            ])
        );
        assert_eq!(
            pod["initContainers"][0]["volumeMounts"],
            json!([{ "name": name, "mountPath": "/init-one" }])
        );
    }
}

#[test]
fn several_init_containers_have_a_folder_each() {
    let storage = json!({ "emptyDir": [{ "name": "x", "mountPath": "/x" }] });
    let pod = with_volume()
        .with("init-container", init("one", &Value::Null))
        .with("init-container", init("two", &json!("second")))
        .with("storage", storage)
        .pod();
    assert_eq!(named(&pod["initContainers"]), ["one", "two"]);
    assert_eq!(
        named(&pod["volumes"]),
        ["cache", "workdir", "second", "emptydir-x"]
    );
    let mounts = &pod["containers"][0]["volumeMounts"];
    assert_eq!(named(mounts), ["cache", "workdir", "second", "emptydir-x"]);
}

/// Who gives no data means an object that others fill: it is there when the pods come.
#[test]
fn storage_makes_config_maps_and_secrets_without_data() {
    let given = |name: &str| json!([{ "name": name, "mountPath": format!("/{name}") }]);
    let web = component("webservice", json!({ "image": "nginx" })).with(
        "storage",
        json!({ "configMap": given("settings"), "secret": given("login") }),
    );
    for (kind, name) in [("ConfigMap", "settings"), ("Secret", "login")] {
        let object = web.object(kind);
        assert_eq!(object["metadata"]["name"], name);
        assert!(object.get("data").is_none(), "{object}");
    }
}

#[test]
fn storage_mounts_files_read_only_where_it_is_told_to() {
    let given = |name: &str, read_only: bool| json!([{ "name": name, "mountPath": format!("/{name}"), "readOnly": read_only }]);
    let pod = component("webservice", json!({ "image": "nginx" }))
        .with(
            "storage",
            json!({ "configMap": given("a", true), "secret": given("b", true) }),
        )
        .with("storage", json!({ "secret": given("c", false) }))
        .pod();
    assert_eq!(
        pod["containers"][0]["volumeMounts"],
        json!([
            { "name": "configmap-a", "mountPath": "/a", "readOnly": true },
            { "name": "secret-b", "mountPath": "/b", "readOnly": true },
            { "name": "secret-c", "mountPath": "/c" },
        ])
    );
}

#[test]
fn storage_takes_the_place_of_a_variable() {
    let env = json!([{ "name": "A", "value": "old" }, { "name": "B", "value": "kept" }]);
    let settings = json!([{
        "name": "settings", "mountOnly": true, "mountToEnv": { "envName": "A", "configMapKey": "a" },
    }]);
    let pod = component("webservice", json!({ "image": "nginx", "env": env }))
        .with("storage", json!({ "configMap": settings }))
        .pod();
    assert_eq!(
        pod["containers"][0]["env"],
        json!([
            { "name": "A", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "a" } } },
            { "name": "B", "value": "kept" },
        ])
    );
}

/// Beside a data source the selector stays where KubeVela has it: the specification of a claim cannot change.
#[test]
fn a_claim_selects_its_volume() {
    let selector = json!({
        "matchLabels": { "disk": "fast" },
        "matchExpressions": { "key": "zone", "operator": "In", "values": ["a"] },
    });
    let claim = component("webservice", json!({ "image": "nginx" }))
        .with(
            "pvc",
            json!({
                "claimName": "data", "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
                "volumesToMount": [{ "name": "data", "mountPath": "/data" }],
                "selector": selector,
            }),
        )
        .object("PersistentVolumeClaim");
    assert_eq!(
        claim["spec"]["selector"],
        json!({
            "matchLabels": { "disk": "fast" },
            "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a"] }],
        })
    );
    assert!(claim["spec"].get("dataSource").is_none());
}

#[test]
fn a_daemon_mounts_folders_of_the_node_as_it_is_told_to() {
    let mounts = json!([
        { "name": "a", "mountPath": "/a", "path": "/a", "mountPropagation": "HostToContainer", "readOnly": true },
        { "name": "b", "mountPath": "/b", "path": "/b" },
    ]);
    let pod = component(
        "daemon",
        json!({ "image": "nginx", "volumeMounts": { "hostPath": mounts } }),
    )
    .pod();
    assert_eq!(
        pod["containers"][0]["volumeMounts"],
        json!([
            { "name": "a", "mountPath": "/a", "mountPropagation": "HostToContainer", "readOnly": true },
            { "name": "b", "mountPath": "/b" },
        ])
    );
}

/// A part of a volume is mounted wherever KubeVela's template reads `subPath`, declared or not.
#[test]
fn a_file_of_a_volume_is_mounted() {
    let mounts = json!({ "configMap": [
        { "name": "conf", "mountPath": "/etc/x.conf", "subPath": "x.conf", "cmName": "conf" },
    ] });
    for type_ in ["webservice", "worker", "daemon", "statefulset"] {
        let pod = component(type_, json!({ "image": "nginx", "volumeMounts": mounts })).pod();
        assert_eq!(
            pod["containers"][0]["volumeMounts"],
            json!([{ "name": "conf", "mountPath": "/etc/x.conf", "subPath": "x.conf" }]),
            "{type_}"
        );
    }
}

/// And nowhere else: what had no effect must not get one when an Application comes over.
#[test]
fn fields_of_volumes_that_nobody_declared_stay_out() {
    let volumes = json!([{ "name": "a", "mountPath": "/a", "subPath": "x", "type": "emptyDir" }]);
    for type_ in ["webservice", "worker", "daemon", "statefulset"] {
        let pod = component(type_, json!({ "image": "nginx", "volumes": volumes })).pod();
        assert_eq!(
            pod["containers"][0]["volumeMounts"],
            json!([{ "name": "a", "mountPath": "/a" }]),
            "{type_}"
        );
    }
    let claims = json!({ "pvc": [
        { "name": "a", "mountPath": "/a", "claimName": "a", "readOnly": true, "mountPropagation": "None" },
    ] });
    let pod = component(
        "daemon",
        json!({ "image": "nginx", "volumeMounts": claims }),
    )
    .pod();
    assert_eq!(
        pod["containers"][0]["volumeMounts"],
        json!([{ "name": "a", "mountPath": "/a" }])
    );
    let pod = component("webservice", json!({ "image": "nginx" }))
        .with(
            "storage",
            json!({
                "pvc": [{ "name": "p", "mountPath": "/p", "subPath": "in", "readOnly": true }],
                "secret": [{ "name": "s", "mountPath": "/s", "readOnly": true }],
                "emptyDir": [{ "name": "e", "mountPath": "/e", "readOnly": true }],
                "hostPath": [{ "name": "h", "path": "/h", "mountPath": "/h", "subPath": "in", "readOnly": true }],
            }),
        )
        .pod();
    assert_eq!(
        pod["containers"][0]["volumeMounts"],
        json!([
            { "name": "pvc-p", "mountPath": "/p", "subPath": "in" },
            { "name": "secret-s", "mountPath": "/s", "readOnly": true },
            { "name": "emptydir-e", "mountPath": "/e" },
            { "name": "hostpath-h", "mountPath": "/h" },
        ])
    );
}

#[test]
fn a_secret_may_be_variables_only() {
    let secret = json!({ "name": "db", "mountOnly": true, "mountToEnv": { "envName": "PW", "secretKey": "pw" } });
    let pod = component("webservice", json!({ "image": "nginx" }))
        .with("storage", json!({ "secret": [secret] }))
        .pod();
    assert_eq!(pod["volumes"], json!([]));
    assert_eq!(
        pod["containers"][0]["env"],
        json!([{ "name": "PW", "valueFrom": { "secretKeyRef": { "name": "db", "key": "pw" } } }])
    );
}

#[test]
fn a_claim_may_have_a_limit_only() {
    let claim = component("webservice", json!({ "image": "nginx" }))
        .with(
            "storage",
            json!({ "pvc": [{ "name": "p", "mountPath": "/p", "resources": { "limits": { "storage": "9Gi" } } }] }),
        )
        .object("PersistentVolumeClaim");
    assert_eq!(
        claim["spec"]["resources"],
        json!({ "requests": { "storage": "8Gi" }, "limits": { "storage": "9Gi" } })
    );
}

#[test]
fn a_volume_that_a_task_mounts_twice_is_declared_once() {
    let volumes = json!([
        { "name": "a", "mountPath": "/a", "type": "emptyDir" },
        { "name": "a", "mountPath": "/b", "type": "emptyDir" },
    ]);
    let pod = component("task", json!({ "image": "busybox", "volumes": volumes })).pod();
    assert_eq!(named(&pod["volumes"]), ["a"]);
    assert_eq!(named(&pod["containers"][0]["volumeMounts"]), ["a", "a"]);
}
