//! Deployments and their like.

use super::columns::{
    AGE, CONTAINERS, Doc::Field, Doc::Text, IMAGES, NAME, Printer, age, containers, count, integer,
    labels, name, selector, text, wide,
};
use super::pods;
use serde_json::{Value, json};

pub(super) fn printer(kind: &str) -> Option<&'static Printer> {
    Some(match kind {
        "Deployment" => &DEPLOYMENT,
        "ReplicaSet" => &REPLICA_SET,
        "ReplicationController" => &REPLICATION_CONTROLLER,
        "StatefulSet" => &STATEFUL_SET,
        "DaemonSet" => &DAEMON_SET,
        "ControllerRevision" => &CONTROLLER_REVISION,
        "Pod" => &pods::POD,
        "PodTemplate" => &POD_TEMPLATE,
        _ => return None,
    })
}

fn ready(o: &Value) -> Value {
    format!(
        "{}/{}",
        count(&o["status"]["readyReplicas"]),
        count(&o["spec"]["replicas"])
    )
    .into()
}

fn with_containers(mut cells: Vec<Value>, o: &Value) -> Vec<Value> {
    cells.extend(containers(&o["spec"]["template"]["spec"]));
    cells
}

const READY: &str = "Number of the pod with ready state";

const DEPLOYMENT: Printer = Printer {
    columns: &[
        NAME,
        text("Ready", Text(READY)),
        text(
            "Up-to-date",
            Field("apps.v1.DeploymentStatus", "updatedReplicas"),
        ),
        text(
            "Available",
            Field("apps.v1.DeploymentStatus", "availableReplicas"),
        ),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", Field("apps.v1.DeploymentSpec", "selector")),
    ],
    cells: |o, now| {
        let status = &o["status"];
        let cells = vec![
            name(o),
            ready(o),
            count(&status["updatedReplicas"]).into(),
            count(&status["availableReplicas"]).into(),
            age(o, now),
        ];
        let mut cells = with_containers(cells, o);
        cells.push(selector(&o["spec"]["selector"]).into());
        cells
    },
};

fn replicas(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let status = &o["status"];
    let cells = vec![
        name(o),
        count(&o["spec"]["replicas"]).into(),
        count(&status["replicas"]).into(),
        count(&status["readyReplicas"]).into(),
        age(o, now),
    ];
    with_containers(cells, o)
}

const REPLICA_SET: Printer = Printer {
    columns: &[
        NAME,
        integer("Desired", Field("apps.v1.ReplicaSetSpec", "replicas")),
        integer("Current", Field("apps.v1.ReplicaSetStatus", "replicas")),
        integer("Ready", Field("apps.v1.ReplicaSetStatus", "readyReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", Field("apps.v1.ReplicaSetSpec", "selector")),
    ],
    cells: |o, now| {
        let mut cells = replicas(o, now);
        cells.push(selector(&o["spec"]["selector"]).into());
        cells
    },
};

const REPLICATION_CONTROLLER: Printer = Printer {
    columns: &[
        NAME,
        integer(
            "Desired",
            Field("core.v1.ReplicationControllerSpec", "replicas"),
        ),
        integer(
            "Current",
            Field("core.v1.ReplicationControllerStatus", "replicas"),
        ),
        integer(
            "Ready",
            Field("core.v1.ReplicationControllerStatus", "readyReplicas"),
        ),
        AGE,
        CONTAINERS,
        IMAGES,
        wide(
            "Selector",
            Field("core.v1.ReplicationControllerSpec", "selector"),
        ),
    ],
    cells: |o, now| {
        let mut cells = replicas(o, now);
        cells.push(labels(&o["spec"]["selector"]).into());
        cells
    },
};

const STATEFUL_SET: Printer = Printer {
    columns: &[NAME, text("Ready", Text(READY)), AGE, CONTAINERS, IMAGES],
    cells: |o, now| with_containers(vec![name(o), ready(o), age(o, now)], o),
};

const DAEMON_SET: Printer = Printer {
    columns: &[
        NAME,
        integer(
            "Desired",
            Field("apps.v1.DaemonSetStatus", "desiredNumberScheduled"),
        ),
        integer(
            "Current",
            Field("apps.v1.DaemonSetStatus", "currentNumberScheduled"),
        ),
        integer("Ready", Field("apps.v1.DaemonSetStatus", "numberReady")),
        integer(
            "Up-to-date",
            Field("apps.v1.DaemonSetStatus", "updatedNumberScheduled"),
        ),
        integer(
            "Available",
            Field("apps.v1.DaemonSetStatus", "numberAvailable"),
        ),
        text("Node Selector", Field("core.v1.PodSpec", "nodeSelector")),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", Field("apps.v1.DaemonSetSpec", "selector")),
    ],
    cells: |o, now| {
        let status = &o["status"];
        let numbers = [
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "updatedNumberScheduled",
            "numberAvailable",
        ];
        let mut cells = vec![name(o)];
        cells.extend(numbers.map(|n| count(&status[n]).into()));
        cells.extend([
            labels(&o["spec"]["template"]["spec"]["nodeSelector"]).into(),
            age(o, now),
        ]);
        let mut cells = with_containers(cells, o);
        cells.push(selector(&o["spec"]["selector"]).into());
        cells
    },
};

const CONTROLLER_REVISION: Printer = Printer {
    columns: &[
        NAME,
        text("Controller", Text("Controller of the object")),
        text("Revision", Field("apps.v1.ControllerRevision", "revision")),
        AGE,
    ],
    cells: |o, now| {
        let owner = super::columns::items(&o["metadata"]["ownerReferences"])
            .find(|r| r["controller"] == true);
        let owner = owner.map_or_else(
            || super::columns::NONE.to_owned(),
            |r| {
                let api = r["apiVersion"].as_str().unwrap_or_default();
                let group = api
                    .split_once('/')
                    .map(|(group, _)| format!(".{group}"))
                    .unwrap_or_default();
                let text = |f: &str| r[f].as_str().unwrap_or_default().to_owned();
                format!("{}{group}/{}", text("kind").to_lowercase(), text("name"))
            },
        );
        vec![
            name(o),
            owner.into(),
            count(&o["revision"]).into(),
            age(o, now),
        ]
    },
};

const POD_TEMPLATE: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Containers",
            Text("Names of each container in the template."),
        ),
        text(
            "Images",
            Text("Images referenced by each container in the template."),
        ),
        text("Pod Labels", Text("The labels for the pod template.")),
    ],
    cells: |o, _| {
        let [names, images] = containers(&o["template"]["spec"]);
        vec![
            name(o),
            names,
            images,
            json!(labels(&o["template"]["metadata"]["labels"])),
        ]
    },
};
