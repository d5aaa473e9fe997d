//! The `ReplicaSets` of a Deployment: pure. Facts: what kube-controller-manager 1.36 does.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::children::{Step, controlled_by, reference};

/// The label and annotations by which clients find their way from a Deployment to its `ReplicaSets` and back.
const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations of a Deployment that its `ReplicaSets` do not take over.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
];

/// What to do so that the `ReplicaSets` of a Deployment are as they should be. `found` are those that its selector
/// matches.
pub(super) fn steps(deployment: &Value, found: &[Value]) -> Vec<Step> {
    let found: Vec<&Value> = found
        .iter()
        .filter(|set| controlled_by(set, deployment))
        .collect();
    let current = found
        .iter()
        .copied()
        .find(|set| same_template(set, deployment));
    let old: Vec<&Value> = found
        .into_iter()
        .filter(|set| !std::ptr::eq(*set, current.unwrap_or(&Value::Null)))
        .collect();
    let wanted = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    if current.is_none() && deployment["spec"]["paused"] == true {
        // A new template waits until the Deployment goes on; what runs is scaled all the same.
        return newest(&old)
            .and_then(|set| scale(set, wanted))
            .into_iter()
            .collect();
    }
    let serving = old.iter().any(|set| replicas(set) > 0);
    let available = current.is_some_and(|set| {
        set["status"]["availableReplicas"].as_i64().unwrap_or(0) >= wanted.min(1)
    });
    // The first new one must run before the old ones go.
    let share = if !serving || available {
        wanted
    } else {
        wanted.min(1)
    };
    let last = old.iter().map(|set| revision(set)).max().unwrap_or(0);
    let number = current
        .map(revision)
        .filter(|number| *number > last)
        .unwrap_or(last + 1);
    let mut steps = Vec::new();
    match current {
        None => steps.push(Step::Create(new_set(deployment, share, number))),
        Some(set) => steps.extend(bring_up_to_date(deployment, set, share, number)),
    }
    let number = number.to_string();
    if deployment["metadata"]["annotations"][REVISION] != number.as_str() {
        steps.push(Step::Annotate(json!({REVISION: number})));
    }
    if available || !serving {
        steps.extend(old.iter().filter_map(|set| scale(set, 0)));
        steps.extend(forget(deployment, &old));
    }
    steps
}

fn replicas(set: &Value) -> i64 {
    set["spec"]["replicas"].as_i64().unwrap_or(1)
}

fn revision(set: &Value) -> i64 {
    set["metadata"]["annotations"][REVISION]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn newest<'a>(sets: &[&'a Value]) -> Option<&'a Value> {
    sets.iter().copied().max_by_key(|set| revision(set))
}

fn name(object: &Value) -> String {
    object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn scale(set: &Value, wanted: i64) -> Option<Step> {
    (replicas(set) != wanted).then(|| Step::Patch {
        name: name(set),
        patch: json!({"spec": {"replicas": wanted}}),
    })
}

/// Is it what the Deployment's pod template makes now?
fn same_template(set: &Value, deployment: &Value) -> bool {
    let mut template = set["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
    template == deployment["spec"]["template"]
}

/// The hash of a pod template, of the letters that Kubernetes uses for it.
fn hash(template: &Value) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let fnv = template
        .to_string()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
    fnv.to_string()
        .bytes()
        .map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()]))
        .collect()
}

/// The annotations that a `ReplicaSet` takes over, and its own.
fn annotations(deployment: &Value, number: i64) -> Map<String, Value> {
    let taken = deployment["metadata"]["annotations"].as_object();
    let mut all: Map<String, Value> = taken
        .into_iter()
        .flatten()
        .filter(|(name, _)| !OWN.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let wanted = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    let own = BTreeMap::from([
        (REVISION, number),
        (DESIRED, wanted),
        (MAXIMUM, wanted + surge(deployment, wanted)),
    ]);
    all.extend(
        own.into_iter()
            .map(|(name, number)| (name.to_owned(), number.to_string().into())),
    );
    all
}

/// How many Pods more than wanted a rollout may have.
fn surge(deployment: &Value, wanted: i64) -> i64 {
    let strategy = &deployment["spec"]["strategy"];
    if strategy["type"] == "Recreate" {
        return 0;
    }
    match &strategy["rollingUpdate"]["maxSurge"] {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => text
            .strip_suffix('%')
            .and_then(|percent| percent.parse::<i64>().ok())
            .map_or(0, |percent| (wanted * percent + 99) / 100),
        _ => 0,
    }
}

fn new_set(deployment: &Value, replicas: i64, number: i64) -> Value {
    let spec = &deployment["spec"];
    let mut template = spec["template"].clone();
    let hash = hash(&template);
    if !template["metadata"]["labels"].is_object() {
        template["metadata"]["labels"] = json!({});
    }
    template["metadata"]["labels"][HASH] = hash.clone().into();
    let mut selector = spec["selector"].clone();
    if !selector["matchLabels"].is_object() {
        selector["matchLabels"] = json!({});
    }
    selector["matchLabels"][HASH] = hash.clone().into();
    let mut set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", name(deployment)),
            "namespace": deployment["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": annotations(deployment, number),
            "ownerReferences": [reference(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    });
    if let Some(seconds) = spec.get("minReadySeconds") {
        set["spec"]["minReadySeconds"] = seconds.clone();
    }
    set
}

/// The patch of a `ReplicaSet` that is there already, if it needs one.
fn bring_up_to_date(deployment: &Value, set: &Value, share: i64, number: i64) -> Option<Step> {
    let mut wanted = annotations(deployment, number);
    let before = revision(set);
    if before != number && before != 0 {
        let known = set["metadata"]["annotations"][HISTORY].as_str();
        let history = known.map_or_else(|| before.to_string(), |known| format!("{known},{before}"));
        wanted.insert(HISTORY.to_owned(), history.into());
    }
    let changed: Map<String, Value> = wanted
        .into_iter()
        .filter(|(name, value)| &set["metadata"]["annotations"][name] != value)
        .collect();
    let mut patch = Map::new();
    if !changed.is_empty() {
        patch.insert("metadata".to_owned(), json!({"annotations": changed}));
    }
    // A share that is larger already stays: what runs is not stopped to be started again.
    let present = replicas(set);
    let goal = deployment["spec"]["replicas"].as_i64().unwrap_or(1);
    let share = if present > share && present <= goal {
        present
    } else {
        share
    };
    if present != share {
        patch.insert("spec".to_owned(), json!({"replicas": share}));
    }
    (!patch.is_empty()).then(|| Step::Patch {
        name: name(set),
        patch: Value::Object(patch),
    })
}

/// The old `ReplicaSets` that the history has no room for.
fn forget(deployment: &Value, old: &[&Value]) -> Vec<Step> {
    let limit = deployment["spec"]["revisionHistoryLimit"]
        .as_u64()
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(10);
    let mut idle: Vec<&Value> = old
        .iter()
        .copied()
        .filter(|set| replicas(set) == 0 && set["status"]["replicas"].as_i64().unwrap_or(0) == 0)
        .collect();
    idle.sort_by_key(|set| revision(set));
    let surplus = idle.len().saturating_sub(limit);
    idle.into_iter()
        .take(surplus)
        .map(|set| Step::Delete(name(set)))
        .collect()
}

#[cfg(test)]
mod tests;
