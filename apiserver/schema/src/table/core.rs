//! Kinds of the core group that are not workloads, and events.

use super::columns::{
    AGE, CREATED_AT, Doc::Field, Doc::Text, Heading, NAME, NONE, Printer, age, count, created,
    has_condition, items, labels, name, or_none, since, size, text, wide,
};
use jiff::Timestamp;
use serde_json::Value;

pub(super) fn printer(kind: &str) -> Option<&'static Printer> {
    Some(match kind {
        "Namespace" => &NAMESPACE,
        "ConfigMap" => &CONFIG_MAP,
        "Secret" => &SECRET,
        "ServiceAccount" => &SERVICE_ACCOUNT,
        "Event" => &EVENT,
        "Node" => &NODE,
        "ResourceQuota" => &RESOURCE_QUOTA,
        "LimitRange" => &LIMIT_RANGE,
        _ => return None,
    })
}

const NAMESPACE: Printer = Printer {
    columns: &[
        NAME,
        text("Status", Text("The status of the namespace")),
        AGE,
    ],
    cells: |o, now| {
        vec![
            name(o),
            o["status"]["phase"].as_str().unwrap_or_default().into(),
            age(o, now),
        ]
    },
};

const CONFIG_MAP: Printer = Printer {
    columns: &[NAME, text("Data", Field("core.v1.ConfigMap", "data")), AGE],
    cells: |o, now| {
        vec![
            name(o),
            (size(&o["data"]) + size(&o["binaryData"])).into(),
            age(o, now),
        ]
    },
};

const SECRET: Printer = Printer {
    columns: &[
        NAME,
        text("Type", Field("core.v1.Secret", "type")),
        text("Data", Field("core.v1.Secret", "data")),
        AGE,
    ],
    cells: |o, now| {
        vec![
            name(o),
            o["type"].as_str().unwrap_or_default().into(),
            size(&o["data"]).into(),
            age(o, now),
        ]
    },
};

const SERVICE_ACCOUNT: Printer = Printer {
    columns: &[
        NAME,
        text("Secrets", Field("core.v1.ServiceAccount", "secrets")),
        AGE,
    ],
    cells: |o, now| vec![name(o), items(&o["secrets"]).count().into(), age(o, now)],
};

const EVENT: Printer = Printer {
    columns: &[
        text("Last Seen", Field("core.v1.Event", "lastTimestamp")),
        text("Type", Field("core.v1.Event", "type")),
        text("Reason", Field("core.v1.Event", "reason")),
        text("Object", Field("core.v1.Event", "involvedObject")),
        wide("Subobject", Field("core.v1.ObjectReference", "fieldPath")),
        wide("Source", Field("core.v1.Event", "source")),
        text("Message", Field("core.v1.Event", "message")),
        wide("First Seen", Field("core.v1.Event", "firstTimestamp")),
        wide("Count", Field("core.v1.Event", "count")),
        Heading {
            priority: 1,
            ..NAME
        },
    ],
    cells: event,
};

/// Events of `events.k8s.io` are the same objects with other names for some fields.
fn event(o: &Value, now: Timestamp) -> Vec<Value> {
    let either = |core: &str, events: &str| {
        if o[core].is_null() {
            o[events].clone()
        } else {
            o[core].clone()
        }
    };
    let about = either("involvedObject", "regarding");
    let seen = |at: &Value| (!at.is_null()).then(|| since(at, now));
    let first = seen(&either("firstTimestamp", "deprecatedFirstTimestamp"))
        .unwrap_or_else(|| since(&o["eventTime"], now));
    let mut last =
        seen(&either("lastTimestamp", "deprecatedLastTimestamp")).unwrap_or_else(|| first.clone());
    let mut times = count(&either("count", "deprecatedCount")).max(1);
    if o["series"].is_object() {
        last = since(&o["series"]["lastObservedTime"], now);
        times = count(&o["series"]["count"]);
    }
    let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
    let target = match about["name"].as_str().unwrap_or_default() {
        "" => kind,
        object => format!("{kind}/{object}"),
    };
    let message = either("message", "note");
    vec![
        last.into(),
        o["type"].as_str().unwrap_or_default().into(),
        o["reason"].as_str().unwrap_or_default().into(),
        target.into(),
        about["fieldPath"].as_str().unwrap_or_default().into(),
        source(o, &either("source", "deprecatedSource")).into(),
        message.as_str().unwrap_or_default().trim().into(),
        first.into(),
        times.into(),
        name(o),
    ]
}

fn source(o: &Value, source: &Value) -> String {
    let pick = |old: &Value, new: &[&str]| {
        let texts = std::iter::once(old).chain(new.iter().map(|f| &o[f]));
        texts
            .filter_map(Value::as_str)
            .find(|t| !t.is_empty())
            .unwrap_or_default()
            .to_owned()
    };
    let component = pick(
        &source["component"],
        &["reportingComponent", "reportingController"],
    );
    let host = pick(&source["host"], &["reportingInstance"]);
    if host.is_empty() {
        component
    } else {
        format!("{component}, {host}")
    }
}

const NODE: Printer = Printer {
    columns: &[
        NAME,
        text("Status", Text("The status of the node")),
        text("Roles", Text("The roles of the node")),
        AGE,
        text("Version", Field("core.v1.NodeSystemInfo", "kubeletVersion")),
        wide("Internal-IP", Field("core.v1.NodeStatus", "addresses")),
        wide("External-IP", Field("core.v1.NodeStatus", "addresses")),
        wide("OS-Image", Field("core.v1.NodeSystemInfo", "osImage")),
        wide(
            "Kernel-Version",
            Field("core.v1.NodeSystemInfo", "kernelVersion"),
        ),
        wide(
            "Container-Runtime",
            Field("core.v1.NodeSystemInfo", "containerRuntimeVersion"),
        ),
    ],
    cells: node,
};

fn node(o: &Value, now: Timestamp) -> Vec<Value> {
    let known = items(&o["status"]["conditions"]).any(|c| c["type"] == "Ready");
    let mut status = match (known, has_condition(o, "Ready")) {
        (false, _) => "Unknown",
        (true, true) => "Ready",
        (true, false) => "NotReady",
    }
    .to_owned();
    if o["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let roles: Vec<&str> = o["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(
            |(label, value)| match label.strip_prefix("node-role.kubernetes.io/") {
                Some(role) if !role.is_empty() => Some(role),
                _ if label == "kubernetes.io/role" => value.as_str(),
                _ => None,
            },
        )
        .collect();
    let roles = if roles.is_empty() {
        NONE.to_owned()
    } else {
        roles.join(",")
    };
    let address = |kind: &str| {
        let found = items(&o["status"]["addresses"]).find(|a| a["type"] == kind);
        Value::from(found.map_or_else(|| NONE.to_owned(), |a| or_none(&a["address"])))
    };
    let info = |field: &str| {
        let text = o["status"]["nodeInfo"][field].as_str().unwrap_or_default();
        Value::from(if text.is_empty() && field != "kubeletVersion" {
            "<unknown>"
        } else {
            text
        })
    };
    vec![
        name(o),
        status.into(),
        roles.into(),
        age(o, now),
        info("kubeletVersion"),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

const RESOURCE_QUOTA: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Request",
            Text("Request represents a minimum amount of cpu/memory that a container may consume."),
        ),
        text(
            "Limit",
            Text(
                "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
            ),
        ),
        AGE,
    ],
    cells: |o, now| {
        let status = &o["status"];
        let amounts = |limits: bool| {
            let hard = status["hard"].as_object().into_iter().flatten();
            let wanted = hard.filter(|(resource, _)| resource.starts_with("limits.") == limits);
            let texts: Vec<String> = wanted
                .map(|(resource, hard)| {
                    let used = status["used"][resource].as_str().unwrap_or("0");
                    format!("{resource}: {used}/{}", hard.as_str().unwrap_or_default())
                })
                .collect();
            Value::from(texts.join(", "))
        };
        vec![name(o), amounts(false), amounts(true), age(o, now)]
    },
};

const LIMIT_RANGE: Printer = Printer {
    columns: &[NAME, CREATED_AT],
    cells: |o, _| vec![name(o), created(o)],
};

/// Labels of an object, for kinds that show a selector.
pub(super) fn selector_cell(map: &Value) -> Value {
    labels(map).into()
}
