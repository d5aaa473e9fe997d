//! Volumes, claims and storage classes.

use super::rules::{immutable, one_of, required};
use super::{fill, fill_text, is_set, items, object_at, text, without};
use crate::field::{Error, Errors};
use serde_json::Value;

pub(super) fn default(kind: &str, object: &mut Value) {
    match kind {
        "PersistentVolumeClaim" => {
            if let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) {
                fill_text(spec, "volumeMode", "Filesystem");
            }
            pending(object);
        }
        "PersistentVolume" => {
            if let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) {
                fill_text(spec, "volumeMode", "Filesystem");
                fill_text(spec, "persistentVolumeReclaimPolicy", "Retain");
                if let Some(path) = spec.get_mut("hostPath").filter(|p| p.is_object()) {
                    fill(path, "type", "");
                }
            }
            pending(object);
        }
        "StorageClass" => {
            fill_text(object, "reclaimPolicy", "Delete");
            fill_text(object, "volumeBindingMode", "Immediate");
        }
        _ => {}
    }
}

fn pending(object: &mut Value) {
    if let Some(status) = object_at(object, "status") {
        fill_text(status, "phase", "Pending");
    }
}

const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

pub(super) fn validate(kind: &str, object: &Value, old: Option<&Value>, e: &mut Errors) {
    let spec = &object["spec"];
    match kind {
        "PersistentVolumeClaim" => claim(spec, old.map(|o| &o["spec"]), e),
        "PersistentVolume" => volume(spec, e),
        "StorageClass" => class(object, old, e),
        _ => {}
    }
}

fn access_modes(spec: &Value, e: &mut Errors) {
    if items(spec, "accessModes").next().is_none() {
        e.push(Error::required(
            "spec.accessModes",
            "at least 1 access mode is required",
        ));
    }
    for mode in items(spec, "accessModes").filter(|m| !ACCESS_MODES.iter().any(|a| m == a)) {
        e.push(Error::not_supported(
            "spec.accessModes",
            mode.clone(),
            &ACCESS_MODES,
        ));
    }
}

fn claim(spec: &Value, old: Option<&Value>, e: &mut Errors) {
    access_modes(spec, e);
    let storage = &spec["resources"]["requests"]["storage"];
    if storage.is_null() {
        e.push(Error::required("spec.resources[storage]", ""));
    } else if storage
        .as_str()
        .is_some_and(|s| crate::quantity::parse(s).is_some_and(|v| v <= 0))
    {
        e.push(Error::invalid(
            "spec.resources[storage]",
            storage.clone(),
            "must be greater than zero",
        ));
    }
    one_of(spec, "volumeMode", "spec", &["Block", "Filesystem"], e);
    let Some(old) = old else { return };
    // The binder fills in the volume; the size may grow.
    let mut changeable = vec!["resources", "volumeAttributesClassName"];
    if text(old, "volumeName").is_empty() {
        changeable.push("volumeName");
    }
    if without(spec, &changeable) != without(old, &changeable) {
        e.push(Error::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ));
    }
    let size = |s: &Value| {
        s["resources"]["requests"]["storage"]
            .as_str()
            .and_then(crate::quantity::parse)
    };
    if size(spec) < size(old) {
        e.push(Error::forbidden(
            "spec.resources.requests.storage",
            "field can not be less than status.capacity",
        ));
    }
}

fn volume(spec: &Value, e: &mut Errors) {
    access_modes(spec, e);
    if spec["capacity"]
        .as_object()
        .is_none_or(serde_json::Map::is_empty)
    {
        e.push(Error::required("spec.capacity", ""));
    }
    #[rustfmt::skip]
    let others = [
        "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy", "storageClassName",
        "volumeAttributesClassName", "volumeMode",
    ];
    let sources = without(spec, &others);
    match sources.as_object().map(serde_json::Map::len) {
        Some(1) => {}
        Some(0) | None => e.push(Error::required("spec", "must specify a volume type")),
        Some(_) => e.push(Error::forbidden(
            "spec",
            "may not specify more than 1 volume type",
        )),
    }
    one_of(
        spec,
        "persistentVolumeReclaimPolicy",
        "spec",
        &["Delete", "Recycle", "Retain"],
        e,
    );
}

fn class(object: &Value, old: Option<&Value>, e: &mut Errors) {
    required(object, "provisioner", "", e);
    one_of(object, "reclaimPolicy", "", &["Delete", "Retain"], e);
    one_of(
        object,
        "volumeBindingMode",
        "",
        &["Immediate", "WaitForFirstConsumer"],
        e,
    );
    let Some(old) = old else { return };
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if object[field] != old[field] {
            e.push(Error::forbidden(
                field,
                format!("updates to {field} are forbidden."),
            ));
        }
    }
    if is_set(old, "volumeBindingMode") {
        immutable(object, old, "volumeBindingMode", "", e);
    }
}
