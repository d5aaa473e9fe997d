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
