//! The Pods of workloads: pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::SIMULATED;
use super::children::{Step, controlled_by, reference};
use super::states::{Kind, revision};
use super::wish::SIMULATE;

/// More Pods than this are not made for one owner: they would be many objects that do nothing.
const MOST: usize = 20;
const REVISION: &str = "controller-revision-hash";

/// What to do so that a workload has the Pods that it should have. `found` are those that its selector matches.
pub(super) fn steps(kind: Kind, owner: &Value, found: &[Value]) -> Vec<Step> {
    let revision = match kind {
        Kind::StatefulSet | Kind::DaemonSet => Some(revision(owner)),
        _ => None,
    };
    if kind == Kind::Job {
        return runs(owner, found);
    }
    let (mut good, mut surplus) = (Vec::new(), Vec::new());
    for pod in found {
        if !controlled_by(pod, owner) || pod["metadata"]["deletionTimestamp"].is_string() {
            continue;
        }
        let label = pod["metadata"]["labels"][REVISION].as_str();
        if revision
            .as_deref()
            .is_none_or(|wanted| label == Some(wanted))
        {
            good.push(name(pod));
        } else {
            surplus.push(name(pod));
        }
    }
    let wanted = match kind {
        Kind::DaemonSet => 1,
        _ => owner["spec"]["replicas"].as_u64().unwrap_or(1),
    };
    let wanted = usize::try_from(wanted).unwrap_or(MOST).min(MOST);
    let mut steps = Vec::new();
    if kind == Kind::StatefulSet {
        let names: BTreeSet<String> = (0..wanted)
            .map(|ordinal| format!("{}-{ordinal}", name(owner)))
            .collect();
        surplus.extend(good.iter().filter(|name| !names.contains(*name)).cloned());
        steps.extend(surplus.iter().cloned().map(Step::Delete));
        // One whose name is still taken comes when the other has gone.
        let free = |name: &&String| !good.contains(name) && !surplus.contains(name);
        let missing = names.iter().filter(free);
        steps.extend(missing.map(|name| Step::Create(numbered(owner, name, revision.as_deref()))));
        return steps;
    }
    surplus.extend(good.iter().skip(wanted).cloned());
    steps.extend(surplus.into_iter().map(Step::Delete));
    let missing = wanted.saturating_sub(good.len());
    steps.extend((0..missing).map(|_| Step::Create(pod(owner, revision.as_deref()))));
    steps
}

/// The Pods of a Job. They are not replaced: a simulated one ends as its Job does.
fn runs(job: &Value, found: &[Value]) -> Vec<Step> {
    if job["spec"]["suspend"] == true {
        return Vec::new();
    }
    let spec = |name: &str| job["spec"][name].as_u64();
    let wanted = spec("completions")
        .or_else(|| spec("parallelism"))
        .unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or(MOST).min(MOST);
    let known = found.iter().filter(|pod| controlled_by(pod, job)).count();
    (known..wanted)
        .map(|_| Step::Create(pod(job, None)))
        .collect()
}

fn name(object: &Value) -> String {
    object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// A Pod of a `StatefulSet`.
fn numbered(owner: &Value, name: &str, revision: Option<&str>) -> Value {
    let mut pod = pod(owner, revision);
    let ordinal = name.rsplit('-').next().unwrap_or_default();
    pod["metadata"]["name"] = name.into();
    pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = name.into();
    pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = ordinal.into();
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.remove("generateName");
    }
    pod
}

/// A Pod of the owner's template. Its name is made by the server.
fn pod(owner: &Value, revision: Option<&str>) -> Value {
    let template = &owner["spec"]["template"];
    let mut labels = template["metadata"]["labels"].clone();
    if let Some(revision) = revision {
        labels[REVISION] = revision.into();
    }
    let mut annotations = template["metadata"]["annotations"].clone();
    if !annotations.is_object() {
        annotations = json!({});
    }
    annotations[SIMULATED] = "true".into();
    // What was wished for the workload is wished for its Pods.
    if let Some(wish) = owner["metadata"]["annotations"].get(SIMULATE) {
        annotations[SIMULATE] = wish.clone();
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": format!("{}-", name(owner)),
            "namespace": owner["metadata"]["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [reference(owner)],
        },
        "spec": template["spec"],
    })
}

#[cfg(test)]
mod tests;
