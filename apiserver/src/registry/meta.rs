//! Rules of `metadata` that hold for every kind.

use caravel_schema::field::Error;
use caravel_schema::names as rules;
use serde_json::{Map, Value, json};

use super::strategy::name_style;
use super::{Call, names};
use crate::status::{Result, Status};

/// An object must be a JSON object with the kind of the URL, and a `metadata` object.
pub(super) fn check_shape(call: &Call, object: &mut Value) -> Result<()> {
    let resource = &call.kind.resource;
    let api_version = resource.api_version();
    let Some(fields) = object.as_object_mut() else {
        return Err(Status::bad_request(
            "the request body must be a JSON object",
        ));
    };
    let kind = fields.entry("kind").or_insert_with(|| json!(resource.kind));
    let found_kind = kind.as_str().unwrap_or_default().to_owned();
    let version = fields
        .entry("apiVersion")
        .or_insert_with(|| json!(api_version));
    let found_version = version.as_str().unwrap_or_default().to_owned();
    if found_kind != resource.kind || found_version != api_version {
        let (group, version) = found_version
            .split_once('/')
            .unwrap_or(("", &found_version));
        let found = go_kind(group, version, &found_kind);
        let wanted = go_kind(&resource.group, &resource.version, &resource.kind);
        return Err(Status::bad_request(format!(
            "{found_kind} in version {} cannot be handled as a {}: the object provided is unrecognized or of the \
             wrong kind: expected {wanted}, found {found}",
            caravel_schema::field::quote(version),
            resource.kind
        )));
    }
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
    if !metadata.is_object() {
        return Err(Status::bad_request("metadata must be an object"));
    }
    Ok(())
}

fn go_kind(group: &str, version: &str, kind: &str) -> String {
    let version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    format!("{version}, Kind={kind}")
}

/// The object's namespace is the URL's, or nothing.
pub(super) fn check_namespace(call: &Call, object: &mut Value) -> Result<()> {
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if call.kind.resource.namespaced {
        if !given.is_empty() && given != call.namespace {
            return Err(Status::bad_request(format!(
                "the namespace of the provided object does not match the namespace sent on the request: {given} is \
                 not {}",
                call.namespace
            )));
        }
        object["metadata"]["namespace"] = json!(call.namespace);
    } else if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    Ok(())
}

pub(super) fn metadata(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.get_mut("metadata").and_then(Value::as_object_mut)
}

/// Removes what is empty, as a typed server does not write it.
pub(super) fn tidy(object: &mut Value) {
    let Some(metadata) = metadata(object) else {
        return;
    };
    metadata.remove("selfLink");
    for field in [
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ] {
        let empty = match metadata.get(field) {
            Some(Value::Null) => true,
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            _ => false,
        };
        if empty {
            metadata.remove(field);
        }
    }
    for field in [
        "generateName",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "resourceVersion",
    ] {
        if metadata
            .get(field)
            .is_some_and(|value| value.is_null() || value == "")
        {
            metadata.remove(field);
        }
    }
}

/// The errors of a new object's metadata.
pub(super) fn validate_new(call: &Call, object: &Value) -> Vec<Error> {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let mut errors = if name.is_empty() {
        vec![Error::required(
            "metadata.name",
            "name or generateName is required",
        )]
    } else {
        names::errors(name_style(&call.kind), name)
    };
    validate_common(metadata, &mut errors);
    errors
}

/// The errors of a changed object's metadata.
pub(super) fn validate_changed(object: &Value, old: &Value) -> Vec<Error> {
    let (new, old) = (&object["metadata"], &old["metadata"]);
    let mut errors = Vec::new();
    if old["deletionTimestamp"].is_string() {
        let had = strings(&old["finalizers"]);
        let added: Vec<String> = strings(&new["finalizers"])
            .into_iter()
            .filter(|finalizer| !had.contains(finalizer))
            .collect();
        if !added.is_empty() {
            let list: Vec<String> = added
                .iter()
                .map(|name| caravel_schema::field::quote(name))
                .collect();
            errors.push(Error::forbidden(
                "metadata.finalizers",
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    list.join(", ")
                ),
            ));
        }
    }
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        if !new[field].is_null() && new[field] != old[field] {
            errors.push(Error::invalid(
                format!("metadata.{field}"),
                new[field].clone(),
                "field is immutable",
            ));
        }
    }
    validate_common(new, &mut errors);
    errors
}

fn validate_common(metadata: &Value, errors: &mut Vec<Error>) {
    for owner in metadata["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let (index, owner) = owner;
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().is_none_or(str::is_empty) {
                let path = format!("metadata.ownerReferences[{index}].{field}");
                errors.push(Error::invalid(
                    path,
                    "",
                    if field == "apiVersion" {
                        "version must not be empty".to_owned()
                    } else {
                        format!("{field} must not be empty")
                    },
                ));
            }
        }
    }
    validate_keys(metadata, errors);
    let size: usize = metadata["annotations"].as_object().map_or(0, |map| {
        map.iter()
            .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
            .sum()
    });
    if size > 256 << 10 {
        errors.push(Error::too_long("metadata.annotations", 256 << 10));
    }
}

/// Labels, annotations and finalizers have names of a certain form.
fn validate_keys(metadata: &Value, errors: &mut Vec<Error>) {
    let mut check = |field: &str, text: &str, reasons: Vec<String>| {
        errors.extend(
            reasons
                .into_iter()
                .map(|why| Error::invalid(format!("metadata.{field}"), text, why)),
        );
    };
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        check("labels", key, rules::qualified(key));
        let value = value.as_str().unwrap_or_default();
        check("labels", value, rules::label_value(value));
    }
    for key in metadata["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
    {
        check("annotations", key, rules::qualified(&key.to_lowercase()));
    }
    for finalizer in strings(&metadata["finalizers"]) {
        check("finalizers", &finalizer, rules::qualified(&finalizer));
    }
}

pub(super) fn strings(values: &Value) -> Vec<String> {
    values
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
