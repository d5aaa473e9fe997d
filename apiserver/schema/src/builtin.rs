//! Defaults and validation of built-in kinds: what the real server does to objects that users send.

mod access;
mod config;
mod network;
mod pod_defaults;
mod pod_validation;
mod rules;
mod storage;
mod volumes;
mod workload_defaults;
mod workloads;

use crate::field::Errors;
use crate::resources::Resource;
use crate::structural;
use serde_json::{Map, Value, json};

/// Fills in the defaults of an object of a built-in kind. Calling it twice changes nothing more.
///
/// `metadata.uid` must be set already, because jobs select their pods by it.
pub fn default(resource: &Resource, object: &mut Value) {
    match (resource.group.as_ref(), resource.kind.as_ref()) {
        ("", "Pod") => pod_defaults::pod(object),
        ("", "PodTemplate") => {
            if let Some(template) = object.get_mut("template") {
                pod_defaults::template(template);
            }
        }
        ("", "ReplicationController") | ("apps" | "batch", _) => {
            workload_defaults::default(&resource.kind, object);
        }
        ("", "Service" | "Endpoints") | ("networking.k8s.io" | "discovery.k8s.io", _) => {
            network::default(&resource.kind, object);
        }
        ("", "PersistentVolumeClaim" | "PersistentVolume") | ("storage.k8s.io", _) => {
            storage::default(&resource.kind, object);
        }
        ("", "Secret" | "Namespace") | ("autoscaling" | "scheduling.k8s.io", _) => {
            config::default(&resource.kind, object);
        }
        (
            "rbac.authorization.k8s.io" | "admissionregistration.k8s.io" | "apiregistration.k8s.io",
            _,
        ) => {
            access::default(&resource.kind, object);
        }
        ("apiextensions.k8s.io", _) => structural::default_crd(object),
        _ => {}
    }
}

/// What is wrong with a (defaulted) object of a built-in kind, apart from its metadata. `old` is the stored object on
/// updates: fields that may not change are compared with it.
pub fn validate(resource: &Resource, object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let e = &mut errors;
    match (resource.group.as_ref(), resource.kind.as_ref()) {
        ("", "Pod") => pod_validation::pod(object, old, e),
        ("", "PodTemplate") => pod_validation::template(&object["template"], "template", e),
        ("", "ReplicationController") | ("apps" | "batch", _) => {
            workloads::validate(&resource.kind, object, old, e);
        }
        ("", "Service") | ("networking.k8s.io", _) => {
            network::validate(&resource.kind, object, old, e);
        }
        ("", "PersistentVolumeClaim" | "PersistentVolume") | ("storage.k8s.io", _) => {
            storage::validate(&resource.kind, object, old, e);
        }
        ("", "ConfigMap" | "Secret")
        | ("autoscaling" | "policy" | "scheduling.k8s.io" | "coordination.k8s.io", _) => {
            config::validate(&resource.kind, object, old, e);
        }
        (
            "rbac.authorization.k8s.io" | "admissionregistration.k8s.io" | "apiregistration.k8s.io",
            _,
        ) => {
            access::validate(&resource.kind, object, old, e);
        }
        ("apiextensions.k8s.io", _) => {
            e.extend(structural::validate_crd(object));
            if let Some(old) = old {
                e.extend(structural::validate_crd_update(object, old));
            }
        }
        _ => {}
    }
    errors
}

/// Sets a field that is absent or null.
fn fill(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), value.into());
    }
}

/// Sets a text that is absent, null or empty.
fn fill_text(object: &mut Value, field: &str, value: &str) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(|v| v.is_null() || v == "")
    {
        map.insert(field.to_owned(), value.into());
    }
}

/// A field as an object, made if it is not there; `None` if something else stands there.
fn object_at<'a>(parent: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    fill(parent, field, Value::Object(Map::new()));
    parent.get_mut(field).filter(|v| v.is_object())
}

/// The objects of a list, to be changed.
fn items_mut<'a>(parent: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = parent.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter(|item| item.is_object())
}

/// Items of a list.
fn items<'a>(parent: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    parent
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// A text; what is absent is empty.
fn text<'a>(parent: &'a Value, field: &str) -> &'a str {
    parent
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Is there a value that is not null?
fn is_set(parent: &Value, field: &str) -> bool {
    parent.get(field).is_some_and(|v| !v.is_null())
}

/// The protocol of each port.
fn default_protocols(parent: &mut Value, field: &str) {
    items_mut(parent, field).for_each(|port| fill_text(port, "protocol", "TCP"));
}

/// A copy of a value without some of its fields.
fn without(value: &Value, fields: &[&str]) -> Value {
    let Some(map) = value.as_object() else {
        return json!({});
    };
    let kept = map
        .iter()
        .filter(|(name, v)| !fields.contains(&name.as_str()) && !v.is_null());
    kept.map(|(name, v)| (name.clone(), v.clone())).collect()
}

#[cfg(test)]
mod tests;
