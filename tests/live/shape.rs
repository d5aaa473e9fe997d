//! What of an Application, its trackers and its objects is the same in every run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use caravel_core::api::ResourceTrackerSpec;
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::compare::lasting;

/// A parameter that an error names.
static PARAMETER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^  parameter\.[\w.\[\]]+").unwrap());

/// Labels that hold a hash over something with KubeVela's version in it.
const HASHES: [&str; 2] = ["app.oam.dev/app-revision-hash", "oam.dev/render-hash"];

/// What a step says whose component is not healthy yet.
const WAITING: &str = "wait healthy";

/// KubeVela's version, which it puts on everything.
const VERSION: &str = "oam.dev/kubevela-version";

/// The status of an Application.
pub(crate) fn application(application: &Value) -> Value {
    let status = &application["status"];
    let workflow = &status["workflow"];
    json!({
        "phase": status["status"],
        "conditions": conditions(status, has_failed(workflow)),
        "services": services(status),
        "latestRevision": status["latestRevision"]["name"],
        "appliedResources": applied(status),
        "workflow": pick(workflow, &["mode", "suspend", "terminated", "finished", "message", "appRevision"]),
        "steps": steps(workflow, "steps"),
    })
}

/// Each condition as `status reason`, by type; without `Warned`, which KubeVela does not have. With us, a failed step makes `Workflow` and `Ready` false; KubeVela
/// does not set them (measured trap 1, FIX): where a step failed they count as that.
fn conditions(status: &Value, has_failed: bool) -> Value {
    let conditions = list(&status["conditions"]).map(|one| {
        let state = format!("{} {}", text(one, "status"), text(one, "reason"));
        (text(one, "type"), json!(state))
    });
    let mut conditions: Map<String, Value> = conditions.collect();
    conditions.remove("Warned");
    if has_failed {
        for name in ["Workflow", "Ready"] {
            let failed = || json!("False ReconcileError");
            conditions.entry(name).or_insert_with(failed);
        }
    }
    Value::Object(conditions)
}

fn has_failed(of: &Value) -> bool {
    let failed = |step: &Value| step["phase"] == "failed";
    let inner = |step: &Value| list(&step["subSteps"]).any(failed);
    list(&of["steps"]).any(|step| failed(step) || inner(step))
}

/// The rows by name and place: their order says nothing.
fn services(status: &Value) -> Value {
    let rows = list(&status["services"]).map(|row| {
        let key = format!(
            "{} in {}/{}",
            text(row, "name"),
            text(row, "cluster"),
            text(row, "namespace")
        );
        let mut shape = pick(row, &["healthy", "message"]);
        let traits = list(&row["traits"]).map(|one| pick(one, &["type", "healthy", "message"]));
        let mut traits: Vec<Value> = traits.collect();
        traits.sort_by_key(|one| text(one, "type"));
        if !traits.is_empty() {
            shape["traits"] = json!(traits);
        }
        (key, shape)
    });
    Value::Object(rows.collect())
}

fn applied(status: &Value) -> Value {
    let keys = list(&status["appliedResources"]).map(|one| {
        let key = format!("{} as {}", identity(one, one), text(one, "creator"));
        (key, Value::Bool(true))
    });
    Value::Object(keys.collect())
}

/// Steps; those of a DAG by name, because their order says nothing.
fn steps(of: &Value, key: &str) -> Value {
    let mut steps: Vec<Value> = list(&of[key])
        .map(|step| {
            let mut shape = pick(step, &["name", "type", "phase", "reason", "message"]);
            if let Some(message) = shape["message"].as_str() {
                shape["message"] = words(message, &step["reason"]);
            }
            if step["subSteps"].is_array() {
                shape["subSteps"] = steps(step, "subSteps");
            }
            shape
        })
        .collect();
    let in_order = of["mode"]
        .as_str()
        .is_some_and(|mode| mode.starts_with("StepByStep"));
    if !in_order {
        steps.sort_by_key(|step| text(step, "name"));
    }
    Value::Array(steps)
}

/// What of a message is a contract. Words that are ours on purpose are replaced by what they stand for: of errors
/// the parameters at fault (measured trap 2), of a suspension nothing (trap 15).
fn words(message: &str, reason: &Value) -> Value {
    if *reason == "Suspend" {
        return json!("it waits for approval");
    }
    if ["Execute", "FailedAfterRetries", "Timeout", "Terminate"]
        .iter()
        .any(|name| reason == name)
    {
        let parameters = PARAMETER.find_iter(message).map(|found| found.as_str());
        let parameters: BTreeSet<&str> = parameters.collect();
        return json!({ "error": parameters });
    }
    if message.starts_with(WAITING) {
        // With us it also says what the component says of itself.
        return json!(WAITING);
    }
    // KubeVela tells the path as it rewrote it, and of outputs in the order of their declaration.
    let plain = message.replace("$returns.", "").replace(".$returns", "");
    let mut lines: Vec<&str> = plain.trim_end().lines().collect();
    if plain.starts_with("failed to get output") {
        lines.sort_unstable();
    }
    json!(lines.join("\n"))
}

/// What the trackers hold, by their name and the object's identity.
pub(crate) fn trackers(trackers: &[Value]) -> Value {
    let mut shape = Map::new();
    for tracker in trackers {
        let mut entries = Map::new();
        for entry in resources(tracker) {
            let mut one = pick(&entry, &["component", "trait", "deleted"]);
            if entry["raw"].is_object() {
                one["raw"] = without_hashes(entry["raw"].clone());
            }
            entries.insert(identity(&entry, &entry), one);
        }
        if entries.is_empty() {
            // It is written before the first object, and not at all by KubeVela.
            continue;
        }
        let kind = text(&tracker["spec"], "type");
        let name = format!("{} ({kind})", text(&tracker["metadata"], "name"));
        shape.insert(name, Value::Object(entries));
    }
    Value::Object(shape)
}

/// Manifests that trackers recorded, by the identity of the object.
pub(crate) fn manifests(trackers: &[Value]) -> BTreeMap<String, Value> {
    let entries = trackers
        .iter()
        .flat_map(|tracker| list(&tracker["spec"]["managedResources"]));
    let recorded = entries.filter(|entry| entry["raw"].is_object());
    recorded
        .map(|entry| {
            (
                live_identity(&entry["raw"]),
                without_hashes(entry["raw"].clone()),
            )
        })
        .collect()
}

/// What a tracker lists, compressed or not.
fn resources(tracker: &Value) -> Vec<Value> {
    let spec = serde_json::from_value::<ResourceTrackerSpec>(tracker["spec"].clone()).unwrap();
    let resources = spec.resources().unwrap().into_owned();
    resources
        .iter()
        .map(|one| serde_json::to_value(one).unwrap())
        .collect()
}

/// `group/version kind namespace/name`, as a live object says it.
pub(crate) fn live_identity(object: &Value) -> String {
    identity(object, &object["metadata"])
}

fn identity(kind: &Value, name: &Value) -> String {
    let cluster = match kind["cluster"].as_str() {
        None | Some("" | "local") => String::new(),
        Some(other) => format!("{other}:"),
    };
    format!(
        "{cluster}{} {} {}/{}",
        text(kind, "apiVersion"),
        text(kind, "kind"),
        text(name, "namespace"),
        lasting(&text(name, "name"))
    )
}

/// The labels of a live object.
pub(crate) fn labels(object: &Value) -> Value {
    let mut labels = object["metadata"]["labels"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    for hash in HASHES {
        labels.remove(hash);
    }
    Value::Object(labels)
}

/// A manifest without hashes and the version of who made it, at any depth: `k8s-objects` may hold more of them.
fn without_hashes(mut manifest: Value) -> Value {
    let metadata = &mut manifest["metadata"];
    for (part, names) in [("labels", &HASHES[..]), ("annotations", &[VERSION][..])] {
        let Some(texts) = metadata[part].as_object_mut() else {
            continue;
        };
        for name in names {
            texts.remove(*name);
        }
        if texts.is_empty() {
            metadata.as_object_mut().unwrap().remove(part);
        }
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|_, value| !value.is_null());
    }
    manifest
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_default().to_owned()
}

/// These fields, without those that are absent or empty.
fn pick(of: &Value, names: &[&str]) -> Value {
    let there = names
        .iter()
        .filter(|name| !of[**name].is_null() && of[**name] != "");
    Value::Object(
        there
            .map(|name| ((*name).to_owned(), of[*name].clone()))
            .collect(),
    )
}
