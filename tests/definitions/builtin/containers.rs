//! Traits that change a container.

use serde_json::{Value, json};

use super::{Component, component, foreign};

fn nginx() -> Value {
    json!({ "name": "nginx", "image": "nginx" })
}

/// The names of the containers that a trait leaves.
#[track_caller]
fn names(component: &Component) -> Vec<Value> {
    let pod = component.pod();
    let containers = pod["containers"].as_array().unwrap();
    containers.iter().map(|one| one["name"].clone()).collect()
}

/// Traits that name no container.
fn traits() -> [(&'static str, Value); 4] {
    [
        ("resource", json!({ "cpu": "1", "memory": "1Gi" })),
        (
            "storage",
            json!({ "emptyDir": [{ "name": "x", "mountPath": "/x" }] }),
        ),
        (
            "service-binding",
            json!({ "envMappings": { "A": { "secret": "s" } } }),
        ),
        (
            "init-container",
            json!({ "name": "one", "image": "busybox", "appMountPath": "/a", "initMountPath": "/b" }),
        ),
    ]
}

/// Traits that name no container mean the one that is named like the component, or else the first.
#[test]
fn no_container_is_made_up() {
    for (type_, properties) in traits() {
        let other = foreign(json!([nginx()])).with(type_, properties.clone());
        assert_eq!(names(&other), ["nginx"], "{type_}");
        let changed = &other.pod()["containers"][0];
        assert_ne!(*changed, nginx(), "{type_} has no effect");

        let second = foreign(json!([nginx(), { "name": "web", "image": "web" }]));
        let second = second.with(type_, properties);
        assert_eq!(names(&second), ["nginx", "web"], "{type_}");
        assert_eq!(second.pod()["containers"][0], nginx(), "{type_}");
    }
}

/// Where a container needs no name, as in a Knative Service, it has none.
#[test]
fn containers_without_a_name_are_changed_where_they_stand() {
    let nameless = || json!({ "image": "x" });
    let web = || json!({ "name": "web", "image": "web" });
    for (type_, properties) in traits() {
        let alone = foreign(json!([nameless()])).with(type_, properties.clone());
        let changed = &alone.pod()["containers"];
        assert_eq!(changed.as_array().unwrap().len(), 1, "{type_}");
        assert!(changed[0].get("name").is_none(), "{type_}: {changed}");
        assert_ne!(changed[0], nameless(), "{type_} has no effect");

        let second = foreign(json!([nameless(), web()])).with(type_, properties);
        let changed = &second.pod()["containers"];
        assert_eq!(changed[0], nameless(), "{type_}");
        assert_eq!(changed[1]["name"], "web", "{type_}");
        assert_ne!(changed[1], web(), "{type_} has no effect");
    }
}

/// Traits that name a container, with a change.
fn changes() -> [(&'static str, Value); 6] {
    [
        ("env", json!({ "env": { "A": "b" } })),
        ("command", json!({ "command": ["sh"] })),
        ("container-image", json!({ "image": "x" })),
        (
            "container-ports",
            json!({ "ports": [{ "containerPort": 80 }] }),
        ),
        ("securitycontext", json!({ "runAsUser": 1 })),
        ("startup-probe", json!({ "exec": { "command": ["a"] } })),
    ]
}

#[test]
fn a_workload_without_such_containers_is_told_of_once() {
    let nightly = json!({ "image": "busybox", "schedule": "0 1 * * *", "cmd": ["true"] });
    for (type_, change) in changes() {
        let none = component("cron-task", nightly.clone()).with(type_, change.clone());
        none.fails_with_one(
            "the CronJob has no spec.template.spec.containers: this trait changes containers of",
        );
        let nameless = foreign(json!([{ "image": "x" }])).with(type_, change);
        nameless.fails_with_one("container web not found; one of the containers has no name");
    }
}

#[test]
fn resources_of_a_cron_job_are_those_of_the_container_that_it_has() {
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "web" },
        "spec": { "jobTemplate": { "spec": { "template": { "spec": { "containers": [nginx()] } } } } },
    });
    let spec = component("k8s-objects", json!({ "objects": [cron_job] }))
        .with("resource", json!({ "cpu": "1", "memory": "1Gi" }))
        .object("CronJob");
    let both = json!({ "cpu": "1", "memory": "1Gi" });
    assert_eq!(
        spec["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"],
        json!([{ "name": "nginx", "image": "nginx", "resources": { "limits": both, "requests": both } }])
    );
}

/// One of the two alone is set, and the other one stays as the component has it.
#[test]
fn resources_that_are_given_are_set() {
    let web = json!({ "image": "nginx", "cpu": "250m", "memory": "64Mi" });
    for (given, cpu, memory) in [
        (json!({ "cpu": "2" }), "2", "64Mi"),
        (json!({ "memory": "1Gi" }), "250m", "1Gi"),
        (json!({ "cpu": "2", "memory": "1Gi" }), "2", "1Gi"),
    ] {
        let pod = component("webservice", web.clone())
            .with("resource", given.clone())
            .pod();
        let both = json!({ "cpu": cpu, "memory": memory });
        assert_eq!(
            pod["containers"][0]["resources"],
            json!({ "limits": both, "requests": both }),
            "{given}"
        );
    }
    let pod = component("webservice", json!({ "image": "nginx" }))
        .with("resource", json!({ "memory": "1Gi" }))
        .pod();
    let memory = json!({ "memory": "1Gi" });
    assert_eq!(
        pod["containers"][0]["resources"],
        json!({ "limits": memory, "requests": memory })
    );
}

#[test]
fn a_binding_takes_the_place_of_a_variable() {
    let env = json!([{ "name": "A", "value": "old" }, { "name": "B", "value": "kept" }]);
    let pod = component("webservice", json!({ "image": "nginx", "env": env }))
        .with(
            "service-binding",
            json!({ "envMappings": { "A": { "secret": "s" } } }),
        )
        .pod();
    assert_eq!(
        pod["containers"][0]["env"],
        json!([
            { "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "A" } } },
            { "name": "B", "value": "kept" },
        ])
    );
}

/// A list of changes says of each which container it is for.
#[test]
fn a_change_in_a_list_names_its_container() {
    let web = || component("webservice", json!({ "image": "nginx" }));
    for (type_, change) in changes() {
        let list = if type_ == "startup-probe" {
            "probes"
        } else {
            "containers"
        };
        let mut named = change.clone();
        named["containerName"] = "web".into();
        let with = |changes: Value| web().with(type_, json!({ list: changes }));
        assert_ne!(
            with(json!([named])).pod(),
            web().pod(),
            "{type_} has no effect"
        );
        with(json!([named, change])).fails(&format!("{list}[1] needs a containerName"));
    }
}

fn args(given: Value, change: Value) -> Value {
    let pod = component("webservice", json!({ "image": "nginx", "args": given }))
        .with("command", change)
        .pod();
    pod["containers"][0]["args"].clone()
}

#[test]
fn arguments_are_added_once_and_removed_wherever_they_come_from() {
    let given = json!(["--x", "--y"]);
    assert_eq!(
        args(given.clone(), json!({ "addArgs": ["--x", "--z"] })),
        json!(["--x", "--y", "--z"])
    );
    let both = json!({ "addArgs": ["--y", "--z", "--w"], "delArgs": ["--y", "--z"] });
    assert_eq!(args(given.clone(), both), json!(["--x", "--w"]));
    for mixed in [
        json!({ "args": ["--q"], "addArgs": ["--z"] }),
        json!({ "args": ["--q"], "delArgs": ["--q"] }),
    ] {
        component("webservice", json!({ "image": "nginx", "args": given }))
            .with("command", mixed)
            .fails("args cannot be set together with addArgs or delArgs");
    }
}

#[test]
fn a_rolling_update_has_defaults() {
    let strategy = |type_: &'static str, kind: &str, field: &str| {
        let properties = json!({ "targetKind": kind, "strategy": { "type": "RollingUpdate" } });
        component(type_, json!({ "image": "nginx" }))
            .with("k8s-update-strategy", properties)
            .object(kind)["spec"][field]
            .take()
    };
    let percentages = json!({
        "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" },
    });
    assert_eq!(
        strategy("webservice", "Deployment", "strategy"),
        percentages
    );
    assert_eq!(
        strategy("daemon", "DaemonSet", "updateStrategy"),
        percentages
    );
    assert_eq!(
        strategy("statefulset", "StatefulSet", "updateStrategy"),
        json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } })
    );
}

/// A probe that is given counts for every kind of component that takes one.
#[test]
fn probes_of_components_are_rendered() {
    let probe = json!({ "exec": { "command": ["true"] } });
    let properties = json!({
        "image": "nginx", "schedule": "* * * * *", "livenessProbe": probe, "readinessProbe": probe,
    });
    for type_ in [
        "webservice",
        "worker",
        "statefulset",
        "daemon",
        "task",
        "cron-task",
    ] {
        let mut object = component(type_, properties.clone())
            .objects()
            .swap_remove(0);
        let template = match type_ {
            "cron-task" => &mut object["spec"]["jobTemplate"]["spec"]["template"],
            _ => &mut object["spec"]["template"],
        };
        let container = &template["spec"]["containers"][0];
        for field in ["livenessProbe", "readinessProbe"] {
            assert_eq!(container[field]["exec"], probe["exec"], "{type_} {field}");
        }
    }
}

/// A typing error would become a field that no API server knows, or a reservation that nobody expects.
#[test]
fn fields_that_nobody_declared_stay_out() {
    let web = || component("webservice", json!({ "image": "nginx" }));
    let pod = web()
        .with(
            "resource",
            json!({ "requests": { "cpu": 1, "memory": "1Gi", "nvidia.com/gpu": 1 } }),
        )
        .pod();
    assert_eq!(
        pod["containers"][0]["resources"],
        json!({ "requests": { "cpu": 1, "memory": "1Gi" } })
    );
    let toleration = json!({ "key": "a", "operator": "Exists", "zz": 1 });
    let pod = web()
        .with("affinity", json!({ "tolerations": [toleration] }))
        .pod();
    assert_eq!(
        pod["tolerations"],
        json!([{ "key": "a", "operator": "Exists" }])
    );
    let spread = json!({ "maxSkew": 1, "topologyKey": "zone", "labelSelector": {}, "minDomains": 2, "zz": 1 });
    let pod = web()
        .with(
            "topologyspreadconstraints",
            json!({ "constraints": [spread] }),
        )
        .pod();
    assert_eq!(
        pod["topologySpreadConstraints"],
        json!([{
            "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {}, "minDomains": 2,
        }])
    );
}

#[test]
fn a_misspelt_key_of_a_binding_is_refused() {
    component("webservice", json!({ "image": "nginx" }))
        .with(
            "service-binding",
            json!({ "envMappings": { "A": { "secret": "s", "kye": "password" } } }),
        )
        .fails("kye");
}
