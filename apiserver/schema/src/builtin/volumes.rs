//! Validation of volumes.

use super::rules::name;
use super::text;
use crate::field::{Error, Errors};
use crate::names;
use serde_json::Value;

/// Checks volumes; gives their names.
pub(super) fn validate<'a>(spec: &'a Value, at: &str, e: &mut Errors) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for (i, volume) in super::items(spec, "volumes").enumerate() {
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
        seen.push(called);
        source(volume, &at, e);
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
            _ => continue,
        };
        if text(value, key).is_empty() {
            e.push(Error::required(format!("{at}.{key}"), ""));
        }
    }
}
