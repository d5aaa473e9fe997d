//! Checks that many kinds share.

use super::{is_set, text};
use crate::field::{Error, Errors};
use serde_json::Value;

/// Adds what a check of a name says of a field.
pub(super) fn name(check: fn(&str) -> Vec<String>, at: &str, value: &str, e: &mut Errors) {
    e.extend(
        check(value)
            .into_iter()
            .map(|reason| Error::invalid(at, value, reason)),
    );
}

/// A field that must be given.
pub(super) fn required(parent: &Value, field: &str, at: &str, e: &mut Errors) -> bool {
    let missing = match parent.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(_) => false,
    };
    if missing {
        e.push(Error::required(join(at, field), ""));
    }
    !missing
}

/// A text from a closed set.
pub(super) fn one_of(parent: &Value, field: &str, at: &str, valid: &[&str], e: &mut Errors) {
    let value = text(parent, field);
    if !valid.contains(&value) {
        e.push(Error::not_supported(join(at, field), value, valid));
    }
}

/// A text from a closed set, if it is given.
pub(super) fn maybe_one_of(parent: &Value, field: &str, at: &str, valid: &[&str], e: &mut Errors) {
    if is_set(parent, field) {
        one_of(parent, field, at, valid, e);
    }
}

/// A number that may not be negative.
pub(super) fn not_negative(parent: &Value, field: &str, at: &str, e: &mut Errors) {
    if let Some(value) = parent.get(field).and_then(Value::as_i64).filter(|v| *v < 0) {
        e.push(Error::invalid(
            join(at, field),
            value,
            "must be greater than or equal to 0",
        ));
    }
}

/// A number that must be positive.
pub(super) fn positive(parent: &Value, field: &str, at: &str, e: &mut Errors) {
    if let Some(value) = parent.get(field).and_then(Value::as_i64).filter(|v| *v < 1) {
        e.push(Error::invalid(
            join(at, field),
            value,
            "must be greater than 0",
        ));
    }
}

/// A port number.
pub(super) fn port(value: &Value, at: &str, e: &mut Errors) {
    let number = value.as_i64().unwrap_or_default();
    if !(1..=65_535).contains(&number) {
        e.push(Error::invalid(
            at,
            number,
            "must be between 1 and 65535, inclusive",
        ));
    }
}

/// A port number or the name of one.
pub(super) fn port_or_name(value: &Value, at: &str, e: &mut Errors) {
    match value {
        Value::String(text) => name(crate::names::port_name, at, text, e),
        other => port(other, at, e),
    }
}

/// A field that may not change.
pub(super) fn immutable(new: &Value, old: &Value, field: &str, at: &str, e: &mut Errors) {
    let (now, before) = (&new[field], &old[field]);
    if now != before {
        e.push(Error::invalid(
            join(at, field),
            now.clone(),
            "field is immutable",
        ));
    }
}

/// Keys and values of labels.
pub(super) fn labels(map: &Value, at: &str, e: &mut Errors) {
    for (key, value) in map.as_object().into_iter().flatten() {
        name(crate::names::qualified, at, key, e);
        name(
            crate::names::label_value,
            at,
            value.as_str().unwrap_or_default(),
            e,
        );
    }
}

/// A label selector.
pub(super) fn label_selector(selector: &Value, at: &str, e: &mut Errors) {
    labels(&selector["matchLabels"], &join(at, "matchLabels"), e);
    for (i, requirement) in super::items(selector, "matchExpressions").enumerate() {
        let at = format!("{at}.matchExpressions[{i}]");
        let count = super::items(requirement, "values").count();
        match text(requirement, "operator") {
            "In" | "NotIn" if count == 0 => {
                e.push(Error::required(
                    format!("{at}.values"),
                    "must be specified when `operator` is 'In' or 'NotIn'",
                ));
            }
            "Exists" | "DoesNotExist" if count > 0 => {
                e.push(Error::forbidden(
                    format!("{at}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => e.push(Error::invalid(
                format!("{at}.operator"),
                other,
                "not a valid selector operator",
            )),
        }
        name(
            crate::names::qualified,
            &format!("{at}.key"),
            text(requirement, "key"),
            e,
        );
    }
}

/// Does a label selector select these labels? An empty one selects everything.
pub(super) fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(k, v)| labels.get(k) == Some(v));
    equal
        && super::items(selector, "matchExpressions").all(|r| {
            let value = labels.get(text(r, "key"));
            let listed = value.is_some_and(|v| super::items(r, "values").any(|w| w == v));
            match text(r, "operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

/// Does the selector select nothing in particular?
pub(super) fn is_empty_selector(selector: &Value) -> bool {
    selector["matchLabels"]
        .as_object()
        .is_none_or(serde_json::Map::is_empty)
        && super::items(selector, "matchExpressions").next().is_none()
}

/// A field of a value that stands at a path.
pub(super) fn join(at: &str, field: &str) -> String {
    if at.is_empty() {
        field.to_owned()
    } else {
        format!("{at}.{field}")
    }
}
