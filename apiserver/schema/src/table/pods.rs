//! Pods.

use super::columns::{
    AGE, Doc::Field, Doc::Text, NAME, NONE, Printer, age, count, is_deleted, items, name, or_none,
    since, text, wide,
};
use jiff::Timestamp;
use serde_json::Value;

pub(super) const POD: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Ready",
            Text("The aggregate readiness state of this pod for accepting traffic."),
        ),
        text(
            "Status",
            Text("The aggregate status of the containers in this pod."),
        ),
        text(
            "Restarts",
            Text(
                "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
            ),
        ),
        AGE,
        wide("IP", Field("core.v1.PodStatus", "podIP")),
        wide("Node", Field("core.v1.PodSpec", "nodeName")),
        wide(
            "Nominated Node",
            Field("core.v1.PodStatus", "nominatedNodeName"),
        ),
        wide(
            "Readiness Gates",
            Field("core.v1.PodSpec", "readinessGates"),
        ),
    ],
    cells,
};

fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let total = items(&spec["containers"]).count()
        + items(&spec["initContainers"])
            .filter(|c| is_sidecar(c))
            .count();
    let all = items(&status["initContainerStatuses"])
        .filter(|s| is_sidecar_status(pod, s))
        .chain(items(&status["containerStatuses"]));
    let ready = all
        .filter(|s| s["ready"] == true && s["state"]["running"].is_object())
        .count();
    let address = items(&status["podIPs"])
        .next()
        .map_or(&status["podIP"], |ip| &ip["ip"]);
    vec![
        name(pod),
        format!("{ready}/{total}").into(),
        state(pod).into(),
        restarts(pod, now).into(),
        age(pod, now),
        or_none(address).into(),
        or_none(&spec["nodeName"]).into(),
        or_none(&status["nominatedNodeName"]).into(),
        readiness_gates(pod).into(),
    ]
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn is_sidecar_status(pod: &Value, status: &Value) -> bool {
    items(&pod["spec"]["initContainers"]).any(|c| c["name"] == status["name"] && is_sidecar(c))
}

/// The one word that says most about the pod.
fn state(pod: &Value) -> String {
    let status = &pod["status"];
    let own = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let mut reason = own(&status["reason"])
        .or_else(|| own(&status["phase"]))
        .unwrap_or_default();
    if items(&status["conditions"])
        .any(|c| c["type"] == "PodScheduled" && c["reason"] == "SchedulingGated")
    {
        reason = "SchedulingGated".into();
    }
    let initialising = init_state(pod);
    match &initialising {
        Some(text) => reason.clone_from(text),
        None => reason = container_state(pod).unwrap_or(reason),
    }
    if !is_deleted(pod) {
        return reason;
    }
    if status["reason"] == "NodeLost" {
        "Unknown".into()
    } else {
        "Terminating".into()
    }
}

/// The state of the first init container that keeps the others waiting.
fn init_state(pod: &Value) -> Option<String> {
    let total = items(&pod["spec"]["initContainers"]).count();
    for (i, container) in items(&pod["status"]["initContainerStatuses"]).enumerate() {
        let (terminated, waiting) = (
            &container["state"]["terminated"],
            &container["state"]["waiting"],
        );
        let done = terminated.is_object() && count(&terminated["exitCode"]) == 0;
        if done || (is_sidecar_status(pod, container) && container["started"] == true) {
            continue;
        }
        if terminated.is_object() {
            return Some(format!("Init:{}", ended(terminated)));
        }
        return Some(match waiting["reason"].as_str() {
            Some(reason) if !reason.is_empty() && reason != "PodInitializing" => {
                format!("Init:{reason}")
            }
            _ => format!("Init:{i}/{total}"),
        });
    }
    None
}

fn ended(terminated: &Value) -> String {
    match (
        terminated["reason"].as_str().unwrap_or_default(),
        count(&terminated["signal"]),
    ) {
        ("", 0) => format!("ExitCode:{}", count(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn container_state(pod: &Value) -> Option<String> {
    let containers: Vec<&Value> = items(&pod["status"]["containerStatuses"]).collect();
    let mut running = false;
    let mut reason = None;
    for container in containers.iter().rev() {
        let state = &container["state"];
        match state["waiting"]["reason"]
            .as_str()
            .filter(|r| !r.is_empty())
        {
            Some(waiting) => reason = Some(waiting.to_owned()),
            None if state["terminated"].is_object() => reason = Some(ended(&state["terminated"])),
            None if container["ready"] == true && state["running"].is_object() => running = true,
            None => {}
        }
    }
    if reason.as_deref() == Some("Completed") && running {
        let ready = items(&pod["status"]["conditions"])
            .any(|c| c["type"] == "Ready" && c["status"] == "True");
        return Some(if ready { "Running" } else { "NotReady" }.into());
    }
    reason
}

fn restarts(pod: &Value, now: Timestamp) -> String {
    let status = &pod["status"];
    let sidecars = items(&status["initContainerStatuses"]).filter(|s| is_sidecar_status(pod, s));
    let containers: Vec<&Value> = if init_state(pod).is_some() {
        items(&status["initContainerStatuses"]).collect()
    } else {
        sidecars
            .chain(items(&status["containerStatuses"]))
            .collect()
    };
    let total: i64 = containers.iter().map(|c| count(&c["restartCount"])).sum();
    let last = containers
        .iter()
        .map(|c| &c["lastState"]["terminated"]["finishedAt"])
        .filter(|t| t.is_string());
    match last.max_by_key(|t| t.as_str().unwrap_or_default().to_owned()) {
        Some(at) if total > 0 => format!("{total} ({} ago)", since(at, now)),
        _ => total.to_string(),
    }
}

fn readiness_gates(pod: &Value) -> String {
    let gates: Vec<&Value> = items(&pod["spec"]["readinessGates"]).collect();
    if gates.is_empty() {
        return NONE.into();
    }
    let is_true = |gate: &&&Value| {
        items(&pod["status"]["conditions"])
            .any(|c| c["type"] == gate["conditionType"] && c["status"] == "True")
    };
    format!("{}/{}", gates.iter().filter(is_true).count(), gates.len())
}
