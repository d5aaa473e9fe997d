//! Defaults of deployments, stateful sets, daemon sets, replica sets, jobs and cron jobs.

use super::{fill, fill_text, is_set, items_mut, object_at, pod_defaults, text};
use serde_json::{Value, json};

pub(super) fn default(kind: &str, object: &mut Value) {
    if kind == "Job" {
        job(object);
    }
    if kind == "ReplicationController" {
        let labels = object["spec"]["template"]["metadata"]["labels"].clone();
        if labels.is_object() && object["spec"].is_object() {
            fill(&mut object["spec"], "selector", labels);
        }
    }
    let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) else {
        return;
    };
    match kind {
        "Deployment" => deployment(spec),
        "StatefulSet" => stateful_set(spec),
        "DaemonSet" => daemon_set(spec),
        "ReplicaSet" | "ReplicationController" => fill(spec, "replicas", 1),
        "CronJob" => {
            cron_job(spec);
            let job = object_at(spec, "jobTemplate").and_then(|job| object_at(job, "spec"));
            if let Some(template) = job.and_then(|job| object_at(job, "template")) {
                pod_defaults::template(template);
            }
            return;
        }
        _ => {}
    }
    if let Some(template) = object_at(spec, "template") {
        pod_defaults::template(template);
    }
}

fn deployment(spec: &mut Value) {
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
    fill(spec, "progressDeadlineSeconds", 600);
    let Some(strategy) = object_at(spec, "strategy") else {
        return;
    };
    fill_text(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate"
        && let Some(rolling) = object_at(strategy, "rollingUpdate")
    {
        fill(rolling, "maxUnavailable", "25%");
        fill(rolling, "maxSurge", "25%");
    }
}

fn stateful_set(spec: &mut Value) {
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
    fill_text(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = object_at(spec, "updateStrategy") {
        fill_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = object_at(strategy, "rollingUpdate")
        {
            fill(rolling, "partition", 0);
        }
    }
    if let Some(policy) = object_at(spec, "persistentVolumeClaimRetentionPolicy") {
        fill_text(policy, "whenDeleted", "Retain");
        fill_text(policy, "whenScaled", "Retain");
    }
    for claim in items_mut(spec, "volumeClaimTemplates") {
        fill_text(claim, "apiVersion", "v1");
        fill_text(claim, "kind", "PersistentVolumeClaim");
        if let Some(spec) = object_at(claim, "spec") {
            fill_text(spec, "volumeMode", "Filesystem");
        }
        if let Some(status) = object_at(claim, "status") {
            fill_text(status, "phase", "Pending");
        }
    }
}

fn daemon_set(spec: &mut Value) {
    fill(spec, "revisionHistoryLimit", 10);
    let Some(strategy) = object_at(spec, "updateStrategy") else {
        return;
    };
    fill_text(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate"
        && let Some(rolling) = object_at(strategy, "rollingUpdate")
    {
        fill(rolling, "maxUnavailable", 1);
        fill(rolling, "maxSurge", 0);
    }
}

fn job(object: &mut Value) {
    let name = object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let uid = object["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) else {
        return;
    };
    if !is_set(spec, "completions") && !is_set(spec, "parallelism") {
        fill(spec, "completions", 1);
    }
    fill(spec, "parallelism", 1);
    let per_index = is_set(spec, "backoffLimitPerIndex");
    fill(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
    fill_text(spec, "completionMode", "NonIndexed");
    fill(spec, "suspend", false);
    let replace = if is_set(spec, "podFailurePolicy") {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    fill_text(spec, "podReplacementPolicy", replace);
    if spec["manualSelector"] == true || is_set(spec, "selector") || uid.is_empty() {
        return;
    }
    spec["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let labels = object_at(spec, "template")
        .and_then(|t| object_at(t, "metadata"))
        .and_then(|m| object_at(m, "labels"));
    if let Some(labels) = labels {
        for (key, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            ("job-name", &name),
        ] {
            fill(labels, key, value.as_str());
        }
    }
}

fn cron_job(spec: &mut Value) {
    fill_text(spec, "concurrencyPolicy", "Allow");
    fill(spec, "suspend", false);
    fill(spec, "successfulJobsHistoryLimit", 3);
    fill(spec, "failedJobsHistoryLimit", 1);
}
