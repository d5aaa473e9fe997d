//! Validation of volumes.

use super::rules::name;
use super::text;
use crate::field::{Error, Errors};
use crate::names;
use serde_json::Value;

/// Checks volumes; gives the names of those that are right.
pub(super) fn validate<'a>(spec: &'a Value, at: &str, e: &mut Errors) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for (i, volume) in super::items(spec, "volumes").enumerate() {
        let before = e.len();
        let at = format!("{at}.volumes[{i}]");
        let called = text(volume, "name");
        if called.is_empty() {
            e.push(Error::required(format!("{at}.name"), ""));
        } else {
            name(names::label, &format!("{at}.name"), called, e);
        }
        if seen.contains(&called) {
            e.push(Error::duplicate(format!("{at}.name"), called));
        }
        source(volume, &at, e);
        if e.len() == before {
            seen.push(called);
        }
    }
    seen
}

fn source(volume: &Value, at: &str, e: &mut Errors) {
    let given = volume
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(field, v)| *field != "name" && !v.is_null());
    for (i, (field, value)) in given.enumerate() {
        let at = format!("{at}.{field}");
        if i > 0 {
            e.push(Error::forbidden(
                at,
                "may not specify more than 1 volume type",
            ));
            continue;
        }
        let key = match field.as_str() {
            "configMap" => "name",
            "secret" => "secretName",
            "persistentVolumeClaim" => "claimName",
            "hostPath" => "path",
            "nfs" => {
                for key in ["server", "path"] {
                    if text(value, key).is_empty() {
                        e.push(Error::required(format!("{at}.{key}"), ""));
                    }
                }
                continue;
            }
            "azureDisk" => {
                azure_disk(value, &at, e);
                continue;
            }
            _ => continue,
        };
        if text(value, key).is_empty() {
            e.push(Error::required(format!("{at}.{key}"), ""));
        }
    }
}

fn azure_disk(disk: &Value, at: &str, e: &mut Errors) {
    for key in ["diskName", "diskURI"] {
        if text(disk, key).is_empty() {
            e.push(Error::required(format!("{at}.{key}"), ""));
        }
    }
    let (scheme, form) = if text(disk, "kind") == "Managed" {
        (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        )
    } else {
        (
            "https://",
            "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
        )
    };
    let address = text(disk, "diskURI");
    if !address.starts_with(scheme) {
        e.push(Error::not_supported(
            format!("{at}.diskURI"),
            address,
            &[form],
        ));
    }
}
