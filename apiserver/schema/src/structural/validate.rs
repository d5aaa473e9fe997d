//! Validation against the schema.

use super::constraints::{Bound, Constraints, Junctor};
use super::format;
use super::node::{Kind, Node};
use crate::field::{Error, Errors, Path};
use serde_json::{Number, Value};
use std::cmp::Ordering;

/// What is wrong with the object, except for lists of type set and map, and CEL rules.
pub(super) fn validate(object: &Value, old: Option<&Value>, root: &Node) -> Errors {
    let mut errors = Errors::new();
    walk(object, old, root, &Path::ROOT, &mut errors);
    errors
}

fn walk(value: &Value, old: Option<&Value>, node: &Node, path: &Path<'_>, errors: &mut Errors) {
    // Ratcheting: what did not change is not judged again.
    if old == Some(value) {
        return;
    }
    let allowed = node.kinds;
    if value.is_null() {
        if !node.nullable && !allowed.is_empty() {
            errors.push(wrong_type(path, allowed, value));
        }
        constrain_enum(value, &node.constraints, path, errors);
        return;
    }
    if !allowed.is_empty() && !allowed.iter().any(|kind| is_a(value, *kind)) {
        errors.push(wrong_type(path, allowed, value));
        return;
    }
    constrain(value, &node.constraints, path, errors);
    match value {
        Value::Object(map) => {
            for (name, child) in map {
                // Metadata is judged by the rules of object metadata.
                if path.is_root() && name == "metadata" && !node.properties.contains_key(name) {
                    continue;
                }
                if let Some(inner) = node.child(name) {
                    walk(
                        child,
                        old.and_then(|o| o.get(name)),
                        inner,
                        &path.field(name),
                        errors,
                    );
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for (i, item) in list.iter().enumerate() {
                    walk(
                        item,
                        node.correlate(item, old),
                        items,
                        &path.index(i),
                        errors,
                    );
                }
            }
        }
        _ => {}
    }
}

fn is_a(value: &Value, kind: Kind) -> bool {
    match kind {
        Kind::Object => value.is_object(),
        Kind::Array => value.is_array(),
        Kind::Text => value.is_string(),
        Kind::Boolean => value.is_boolean(),
        Kind::Number => value.is_number(),
        Kind::Integer => match value {
            Value::Number(n) => !n.is_f64() || n.as_f64().is_some_and(|f| f.fract() == 0.0),
            _ => false,
        },
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_a(value, Kind::Integer) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wrong_type(path: &Path<'_>, allowed: &[Kind], value: &Value) -> Error {
    let names: Vec<&str> = allowed.iter().map(|k| k.name()).collect();
    let found = type_name(value);
    let detail = format!(
        "{} must be of type {}: \"{found}\"",
        in_body(path),
        names.join(",")
    );
    Error::type_invalid(path, found, detail)
}

/// How messages name the place: the path `in body`, or the body.
fn in_body(path: &Path<'_>) -> String {
    if path.is_root() {
        "in body".to_owned()
    } else {
        format!("{path} in body")
    }
}

fn constrain(value: &Value, constraints: &Constraints, path: &Path<'_>, errors: &mut Errors) {
    match value {
        Value::String(text) => constrain_text(text, constraints, path, errors),
        Value::Number(number) => constrain_number(number, constraints, path, errors),
        Value::Array(list) => constrain_list(list, constraints, path, errors),
        Value::Object(map) => constrain_object(map, constraints, path, errors),
        _ => {}
    }
    constrain_enum(value, constraints, path, errors);
    constrain_junctors(value, constraints, path, errors);
}

fn constrain_text(text: &str, c: &Constraints, path: &Path<'_>, errors: &mut Errors) {
    let length = text.chars().count();
    if let Some(max) = c.max_length.filter(|max| length > *max) {
        errors.push(Error::too_long(path, max));
    }
    if let Some(min) = c.min_length.filter(|min| length < *min) {
        errors.push(Error::invalid(
            path,
            text,
            format!("{} should be at least {min} chars long", in_body(path)),
        ));
    }
    if let Some((source, regex)) = &c.pattern
        && !regex.is_match(text)
    {
        errors.push(Error::invalid(
            path,
            text,
            format!("{} should match '{source}'", in_body(path)),
        ));
    }
    if let Some(name) = c
        .format
        .as_deref()
        .filter(|name| !format::holds(name, text))
    {
        let detail = format!(
            "{} must be of type {name}: {}",
            in_body(path),
            crate::field::quote(text)
        );
        errors.push(Error::type_invalid(path, text, detail));
    }
}

fn constrain_number(number: &Number, c: &Constraints, path: &Path<'_>, errors: &mut Errors) {
    let mut limit = |bound: &Option<Bound>, wrong: Ordering, words: &str| {
        let Some(bound) = bound else { return };
        let order = compare(number, &bound.value);
        if order == wrong || (bound.exclusive && order == Ordering::Equal) {
            let or_equal = if bound.exclusive { "" } else { " or equal to" };
            let detail = format!(
                "{} should be {words} than{or_equal} {}",
                in_body(path),
                bound.value
            );
            errors.push(Error::invalid(path, number.clone(), detail));
        }
    };
    limit(&c.maximum, Ordering::Greater, "less");
    limit(&c.minimum, Ordering::Less, "greater");
    if let (Some(step), Some(value)) = (c.multiple_of, number.as_f64()) {
        let ratio = value / step;
        if (ratio - ratio.round()).abs() > 1e-9 {
            errors.push(Error::invalid(
                path,
                number.clone(),
                format!("{} should be a multiple of {step}", in_body(path)),
            ));
        }
    }
}

fn compare(a: &Number, b: &Number) -> Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a
            .as_f64()
            .partial_cmp(&b.as_f64())
            .unwrap_or(Ordering::Equal),
    }
}

fn constrain_list(list: &[Value], c: &Constraints, path: &Path<'_>, errors: &mut Errors) {
    if let Some(max) = c.max_items.filter(|max| list.len() > *max) {
        errors.push(Error::too_many(path, list.len(), max));
    }
    if let Some(min) = c.min_items.filter(|min| list.len() < *min) {
        let detail = format!("{} should have at least {min} items", in_body(path));
        errors.push(Error::invalid(path, list.len(), detail));
    }
}

fn constrain_object(
    map: &serde_json::Map<String, Value>,
    c: &Constraints,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    if let Some(max) = c.max_properties.filter(|max| map.len() > *max) {
        errors.push(Error::too_many(path, map.len(), max));
    }
    if let Some(min) = c.min_properties.filter(|min| map.len() < *min) {
        let detail = format!("{} should have at least {min} properties", in_body(path));
        errors.push(Error::invalid(path, map.len(), detail));
    }
    for name in c.required.iter().filter(|name| !map.contains_key(*name)) {
        errors.push(Error::required(path.field(name), ""));
    }
}

fn constrain_enum(value: &Value, c: &Constraints, path: &Path<'_>, errors: &mut Errors) {
    if let Some(allowed) = c.allowed.as_ref().filter(|all| !all.contains(value)) {
        let texts: Vec<String> = allowed
            .iter()
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .collect();
        errors.push(Error::not_supported(path, value.clone(), &texts));
    }
}

/// `allOf`, `anyOf`, `oneOf`, `not`. Their messages stand at the root, as upstream puts them there.
fn constrain_junctors(value: &Value, c: &Constraints, path: &Path<'_>, errors: &mut Errors) {
    let name = if path.is_root() {
        String::new()
    } else {
        path.to_string()
    };
    let name = crate::field::quote(&name);
    let mut composite = |detail: String| errors.push(Error::invalid("<nil>", "", detail));
    let mut inner = Errors::new();
    if !c.any_of.is_empty() {
        let results: Vec<Errors> = c.any_of.iter().map(|j| judge(value, j, path)).collect();
        if results.iter().all(|r| !r.is_empty()) {
            composite(format!("{name} must validate at least one schema (anyOf)"));
            inner.extend(best(results));
        }
    }
    if !c.one_of.is_empty() {
        let results: Vec<Errors> = c.one_of.iter().map(|j| judge(value, j, path)).collect();
        match results.iter().filter(|r| r.is_empty()).count() {
            1 => {}
            0 => {
                composite(format!(
                    "{name} must validate one and only one schema (oneOf). Found none valid"
                ));
                inner.extend(best(results));
            }
            n => composite(format!(
                "{name} must validate one and only one schema (oneOf). Found {n} valid alternatives"
            )),
        }
    }
    if !c.all_of.is_empty() {
        let results: Vec<Errors> = c.all_of.iter().map(|j| judge(value, j, path)).collect();
        let valid = results.iter().filter(|r| r.is_empty()).count();
        if valid < results.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            composite(format!(
                "{name} must validate all the schemas (allOf){none}"
            ));
        }
        inner.extend(results.into_iter().flatten());
    }
    if c.not
        .as_ref()
        .is_some_and(|j| judge(value, j, path).is_empty())
    {
        composite(format!("{name} must not validate the schema (not)"));
    }
    errors.extend(inner);
}

/// The alternative that came closest.
fn best(results: Vec<Errors>) -> Errors {
    results.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

fn judge(value: &Value, junctor: &Junctor, path: &Path<'_>) -> Errors {
    let mut errors = Errors::new();
    if let Some(kind) = junctor.kind.filter(|kind| !is_a(value, *kind)) {
        errors.push(wrong_type(path, &[kind], value));
        return errors;
    }
    constrain(value, &junctor.constraints, path, &mut errors);
    match value {
        Value::Object(map) => {
            for (name, child) in map {
                let named = junctor
                    .properties
                    .iter()
                    .find(|(n, _)| n == name)
                    .map(|(_, j)| j);
                if let Some(inner) = named.or(junctor.additional.as_deref()) {
                    errors.extend(judge(child, inner, &path.field(name)));
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &junctor.items {
                for (i, item) in list.iter().enumerate() {
                    errors.extend(judge(item, items, &path.index(i)));
                }
            }
        }
        _ => {}
    }
    errors
}
