//! In what kinds differ: names, generation, subresources, and what is set when an object is created.

use serde_json::{Map, Value, json};

use crate::catalog::Kind;

/// How a kind's names look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameStyle {
    /// RFC 1123 subdomain.
    Subdomain,
    /// RFC 1123 label.
    Label,
    /// RFC 1035 label.
    Label1035,
    /// Anything that can be a path segment.
    Path,
}

/// The style of a kind's names.
pub(super) fn name_style(kind: &Kind) -> NameStyle {
    match (kind.group(), kind.plural()) {
        ("", "namespaces") => NameStyle::Label,
        ("", "services") => NameStyle::Label1035,
        ("rbac.authorization.k8s.io", _) => NameStyle::Path,
        _ => NameStyle::Subdomain,
    }
}

/// Is `status` written only through the subresource of that name?
pub(crate) fn has_status(kind: &Kind) -> bool {
    match &kind.custom {
        Some(custom) => custom.version.has_status,
        None => kind.resource.subresource("status").is_some(),
    }
}

/// Does `metadata.generation` count changes of the desired state?
fn counts_generation(kind: &Kind) -> bool {
    if kind.custom.is_some() {
        return true;
    }
    matches!(
        (kind.group(), kind.plural()),
        (
            "apps",
            "deployments" | "statefulsets" | "daemonsets" | "replicasets"
        ) | ("batch", "jobs" | "cronjobs")
            | (
                "networking.k8s.io",
                "ingresses" | "networkpolicies" | "ingressclasses"
            )
            | ("", "pods" | "replicationcontrollers")
            | ("policy", "poddisruptionbudgets")
            | ("apiextensions.k8s.io", "customresourcedefinitions")
            | (
                "admissionregistration.k8s.io" | "flowcontrol.apiserver.k8s.io",
                _
            )
    )
}

/// May an update come without a resourceVersion?
pub(super) fn allows_unconditional_update(kind: &Kind) -> bool {
    kind.custom.is_none()
        && !matches!(
            (kind.group(), kind.plural()),
            (
                "apiextensions.k8s.io"
                    | "apiregistration.k8s.io"
                    | "coordination.k8s.io"
                    | "discovery.k8s.io",
                _
            )
        )
}

/// Does a PUT of an object that is not there create it?
pub(super) fn creates_on_update(kind: &Kind) -> bool {
    matches!(
        (kind.group(), kind.plural()),
        ("coordination.k8s.io", "leases")
            | ("", "endpoints" | "events" | "limitranges")
            | ("events.k8s.io", "events")
    )
}

/// Sets what only the server may set in a new object of this kind.
pub(super) fn prepare_new(kind: &Kind, object: &mut Map<String, Value>, name: &str) {
    if has_status(kind) {
        object.remove("status");
    }
    if counts_generation(kind) {
        object["metadata"]["generation"] = json!(1);
    } else if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generation");
    }
    match (kind.group(), kind.plural()) {
        ("", "namespaces") => prepare_namespace(object, name),
        ("apiextensions.k8s.io", "customresourcedefinitions") => prepare_definition(object),
        ("apps", "deployments" | "statefulsets" | "daemonsets" | "replicasets")
        | ("batch", "jobs" | "cronjobs") => {
            object.insert("status".to_owned(), json!({}));
        }
        _ => {}
    }
}

fn prepare_namespace(object: &mut Map<String, Value>, name: &str) {
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
    object.insert("spec".to_owned(), json!({"finalizers": ["kubernetes"]}));
    object.insert("status".to_owned(), json!({"phase": "Active"}));
}

fn prepare_definition(object: &mut Map<String, Value>) {
    let versions = object
        .get("spec")
        .and_then(|spec| spec["versions"].as_array());
    let storage: Vec<Value> = versions
        .into_iter()
        .flatten()
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect();
    let names = json!({"plural": "", "kind": ""});
    object.insert(
        "status".to_owned(),
        json!({"conditions": null, "acceptedNames": names, "storedVersions": storage}),
    );
}

/// Sets what only the server may set in a changed object of this kind, and counts the generation.
pub(super) fn prepare_changed(kind: &Kind, object: &mut Map<String, Value>, old: &Value) {
    if has_status(kind) {
        restore(object, old, "status");
    }
    if kind.is("", "namespaces") {
        // Only the subresource `finalize` changes the finalizers of a namespace's content.
        restore(object, old, "spec");
    }
    if !counts_generation(kind) {
        return;
    }
    let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
    let next = if desired_differs(kind, object, old) {
        generation + 1
    } else {
        generation
    };
    object["metadata"]["generation"] = json!(next);
}

fn desired_differs(kind: &Kind, object: &Map<String, Value>, old: &Value) -> bool {
    if kind.is("apps", "deployments")
        && object["metadata"]["annotations"] != old["metadata"]["annotations"]
    {
        return true;
    }
    let ignored = |name: &str| name == "metadata" || (name == "status" && has_status(kind));
    let none = Map::new();
    let old = old.as_object().unwrap_or(&none);
    object
        .keys()
        .chain(old.keys())
        .any(|name| !ignored(name) && object.get(name) != old.get(name))
}

/// Takes a top-level field from the stored object.
fn restore(object: &mut Map<String, Value>, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => object.insert(field.to_owned(), value.clone()),
        None => object.remove(field),
    };
}

/// Keeps of a write to the subresource `status` what it may change: the status, and for built-in kinds the
/// annotations.
pub(super) fn prepare_status(kind: &Kind, object: &mut Map<String, Value>, old: &Value) {
    let status = object.get("status").cloned();
    let metadata = object.get("metadata").cloned().unwrap_or_default();
    let mut next = old.as_object().cloned().unwrap_or_default();
    match status {
        Some(status) => next.insert("status".to_owned(), status),
        None => next.remove("status"),
    };
    let mut keep = vec!["managedFields"];
    if kind.custom.is_none() {
        keep.push("annotations");
    }
    for field in keep {
        match metadata.get(field) {
            Some(value) => next["metadata"][field] = value.clone(),
            None => {
                if let Some(metadata) = next.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove(field);
                }
            }
        }
    }
    *object = next;
}
