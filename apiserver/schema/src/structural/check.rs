//! Is a schema structural? Upstream's rules and texts.

use crate::field::{Error, Errors};
use serde_json::Value;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

/// Checks a whole schema.
pub(super) fn root(schema: &Value, path: &str, errors: &mut Errors) {
    if !schema.is_object() {
        errors.push(Error::required(path, "must not be empty"));
        return;
    }
    if is_true(schema, "nullable") {
        errors.push(Error::forbidden(
            format!("{path}.nullable"),
            "nullable cannot be set to true at the root",
        ));
    }
    walk(schema, path, Level::Root, errors);
}

fn is_true(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn kind_of(schema: &Value) -> &str {
    schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn walk(schema: &Value, path: &str, level: Level, errors: &mut Errors) {
    unsupported(schema, path, errors);
    types(schema, path, level, errors);
    if level == Level::Root || is_true(schema, "x-kubernetes-embedded-resource") {
        object_fields(schema, path, errors);
    }
    list_type(schema, path, errors);
    map_type(schema, path, errors);
    for name in ["allOf", "anyOf", "oneOf"] {
        for (i, inner) in schema
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            junctor(
                inner,
                schema,
                &format!("{path}.{name}[{i}]"),
                path,
                is_true(schema, "x-kubernetes-int-or-string"),
                errors,
            );
        }
    }
    if let Some(inner) = schema.get("not").filter(|n| n.is_object()) {
        junctor(inner, schema, &format!("{path}.not"), path, false, errors);
    }
    for (name, inner) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        walk(
            inner,
            &format!("{path}.properties[{name}]"),
            Level::Field,
            errors,
        );
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|a| a.is_object()) {
        walk(
            inner,
            &format!("{path}.additionalProperties"),
            Level::Field,
            errors,
        );
    }
    if let Some(inner) = schema.get("items").filter(|i| i.is_object()) {
        walk(inner, &format!("{path}.items"), Level::Item, errors);
    }
}

fn unsupported(schema: &Value, path: &str, errors: &mut Errors) {
    let mut forbid =
        |name: &str, detail: &str| errors.push(Error::forbidden(format!("{path}.{name}"), detail));
    let set = |name: &str| schema.get(name).is_some_and(|v| !v.is_null());
    for name in [
        "$ref",
        "id",
        "patternProperties",
        "definitions",
        "dependencies",
        "additionalItems",
    ] {
        if set(name) {
            forbid(name, &format!("{name} is not supported"));
        }
    }
    if is_true(schema, "uniqueItems") {
        forbid(
            "uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        );
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => forbid(
            "additionalProperties",
            "additionalProperties cannot be set to false",
        ),
        Some(Value::Null) | None => {}
        Some(_) => {
            if schema
                .get("properties")
                .and_then(Value::as_object)
                .is_some_and(|p| !p.is_empty())
            {
                forbid(
                    "additionalProperties",
                    "additionalProperties and properties are mutual exclusive",
                );
            }
        }
    }
    if schema.get("items").is_some_and(Value::is_array) {
        forbid("items", "items must be a schema object and not an array");
    }
    if is_true(schema, "x-kubernetes-embedded-resource") && set("additionalProperties") {
        forbid(
            "additionalProperties",
            "must not be used if x-kubernetes-embedded-resource is set",
        );
    }
}

fn types(schema: &Value, path: &str, level: Level, errors: &mut Errors) {
    let kind = kind_of(schema);
    let at = format!("{path}.type");
    let free = is_true(schema, "x-kubernetes-int-or-string")
        || is_true(schema, "x-kubernetes-preserve-unknown-fields");
    if is_true(schema, "x-kubernetes-embedded-resource") && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() {
            Error::required(at, detail)
        } else {
            Error::invalid(at, kind, detail)
        });
    } else if kind.is_empty() && (!free || level == Level::Root) {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(Error::required(at, detail));
    } else if !kind.is_empty() && super::node::Kind::of(kind).is_none() {
        let known = ["array", "boolean", "integer", "number", "object", "string"];
        errors.push(Error::not_supported(at, kind, &known));
    } else if level == Level::Root && kind != "object" {
        errors.push(Error::invalid(at, kind, "must be object at the root"));
    } else if !kind.is_empty() && is_true(schema, "x-kubernetes-int-or-string") {
        errors.push(Error::invalid(
            at,
            kind,
            "must be empty if x-kubernetes-int-or-string is true",
        ));
    } else if kind == "array" && schema.get("items").is_none() {
        errors.push(Error::required(
            format!("{path}.items"),
            "must be specified",
        ));
    }
    if is_true(schema, "x-kubernetes-preserve-unknown-fields") && !matches!(kind, "object" | "") {
        errors.push(Error::invalid(
            format!("{path}.type"),
            kind,
            "must be object or empty if x-kubernetes-preserve-unknown-fields is true",
        ));
    }
}

/// `apiVersion`, `kind` and `metadata` are implicit; what is said of them must agree.
fn object_fields(schema: &Value, path: &str, errors: &mut Errors) {
    for (name, expected) in [
        ("kind", "string"),
        ("apiVersion", "string"),
        ("metadata", "object"),
    ] {
        let Some(inner) = schema.get("properties").and_then(|p| p.get(name)) else {
            continue;
        };
        let kind = kind_of(inner);
        if kind != expected {
            errors.push(Error::invalid(
                format!("{path}.properties[{name}].type"),
                kind,
                format!("must be {expected}"),
            ));
        }
        if name == "metadata" {
            let extra = inner
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            if extra
                .map(|(n, _)| n.as_str())
                .any(|n| n != "name" && n != "generateName")
            {
                errors.push(Error::forbidden(
                    format!("{path}.properties[metadata]"),
                    "must not specify anything other than name and generateName, but metadata is implicitly specified",
                ));
            }
        }
    }
}

fn list_type(schema: &Value, path: &str, errors: &mut Errors) {
    let at = format!("{path}.x-kubernetes-list-type");
    let keys_at = format!("{path}.x-kubernetes-list-map-keys");
    let keys: Vec<&str> = strings(schema, "x-kubernetes-list-map-keys");
    let Some(list) = schema.get("x-kubernetes-list-type").and_then(Value::as_str) else {
        if !keys.is_empty() {
            errors.push(Error::required(
                at,
                "must be map if x-kubernetes-list-map-keys is non-empty",
            ));
        }
        return;
    };
    if !matches!(list, "atomic" | "set" | "map") {
        errors.push(Error::not_supported(at, list, &["atomic", "map", "set"]));
        return;
    }
    let kind = kind_of(schema);
    if kind != "array" {
        let detail = "must be array if x-kubernetes-list-type is specified";
        let type_at = format!("{path}.type");
        errors.push(if kind.is_empty() {
            Error::required(type_at, detail)
        } else {
            Error::invalid(type_at, kind, detail)
        });
    }
    if list != "map" {
        if !keys.is_empty() {
            errors.push(Error::invalid(
                at,
                list,
                "must be map if x-kubernetes-list-map-keys is non-empty",
            ));
        }
        return;
    }
    if keys.is_empty() {
        errors.push(Error::required(
            keys_at,
            "must not be empty if x-kubernetes-list-type is map",
        ));
        return;
    }
    map_keys(schema, path, &keys, errors);
}

fn map_keys(schema: &Value, path: &str, keys: &[&str], errors: &mut Errors) {
    let items = schema.get("items").unwrap_or(&Value::Null);
    if kind_of(items) != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(Error::invalid(
            format!("{path}.items.type"),
            kind_of(items),
            detail,
        ));
        return;
    }
    let required = strings(items, "required");
    for (i, key) in keys.iter().enumerate() {
        let keys_at = format!("{path}.x-kubernetes-list-map-keys[{i}]");
        let Some(property) = items.get("properties").and_then(|p| p.get(key)) else {
            errors.push(Error::invalid(
                keys_at,
                *key,
                "entries must all be names of item properties",
            ));
            continue;
        };
        if matches!(kind_of(property), "object" | "array") {
            errors.push(Error::invalid(
                format!("{path}.items.properties[{key}].type"),
                kind_of(property),
                "must be a scalar type if parent array's x-kubernetes-list-type is map",
            ));
        }
        if keys[..i].contains(key) {
            errors.push(Error::duplicate(keys_at, *key));
        }
        if !required.contains(key) && property.get("default").is_none() {
            errors.push(Error::required(
                format!("{path}.items.properties[{key}].default"),
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            ));
        }
    }
}

fn map_type(schema: &Value, path: &str, errors: &mut Errors) {
    let Some(map) = schema.get("x-kubernetes-map-type").and_then(Value::as_str) else {
        return;
    };
    if !matches!(map, "atomic" | "granular") {
        errors.push(Error::not_supported(
            format!("{path}.x-kubernetes-map-type"),
            map,
            &["atomic", "granular"],
        ));
    } else if kind_of(schema) != "object" {
        let detail = "must be object if x-kubernetes-map-type is specified";
        errors.push(Error::invalid(
            format!("{path}.type"),
            kind_of(schema),
            detail,
        ));
    }
}

/// A schema within `allOf` and the like holds constraints only, and only on what the structure specifies.
fn junctor(
    schema: &Value,
    structure: &Value,
    path: &str,
    structure_path: &str,
    int_or_string: bool,
    errors: &mut Errors,
) {
    for name in [
        "type",
        "title",
        "description",
        "default",
        "nullable",
        "additionalProperties",
    ] {
        let allowed = name == "type" && int_or_string;
        if !allowed
            && schema
                .get(name)
                .is_some_and(|v| !v.is_null() && *v != Value::Bool(false))
        {
            errors.push(Error::forbidden(
                format!("{path}.{name}"),
                "must be empty to be structural",
            ));
        }
    }
    for name in schema.as_object().into_iter().flatten().map(|(n, _)| n) {
        let rules = name == "x-kubernetes-validations";
        if name.starts_with("x-kubernetes-") && !rules {
            errors.push(Error::forbidden(
                format!("{path}.{name}"),
                "must be false to be structural",
            ));
        }
    }
    for (name, inner) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let at = format!("{path}.properties[{name}]");
        let below = format!("{structure_path}.properties[{name}]");
        match structure
            .get("properties")
            .and_then(|p| p.get(name))
            .or(structure.get("additionalProperties"))
        {
            Some(specified) if specified.is_object() => {
                junctor(inner, specified, &at, &below, false, errors);
            }
            Some(Value::Bool(true)) => {}
            _ if is_true(structure, "x-kubernetes-embedded-resource") && name == "metadata" => {}
            _ => errors.push(Error::required(
                below,
                format!("because it is defined in {at}"),
            )),
        }
    }
    if let Some(inner) = schema.get("items").filter(|i| i.is_object()) {
        let at = format!("{path}.items");
        match structure.get("items") {
            Some(specified) => junctor(
                inner,
                specified,
                &at,
                &format!("{structure_path}.items"),
                false,
                errors,
            ),
            None => errors.push(Error::required(
                format!("{structure_path}.items"),
                format!("because it is defined in {at}"),
            )),
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        for (i, inner) in schema
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            junctor(
                inner,
                structure,
                &format!("{path}.{name}[{i}]"),
                structure_path,
                int_or_string,
                errors,
            );
        }
    }
    if let Some(inner) = schema.get("not").filter(|n| n.is_object()) {
        junctor(
            inner,
            structure,
            &format!("{path}.not"),
            structure_path,
            int_or_string,
            errors,
        );
    }
}

fn strings<'a>(schema: &'a Value, name: &str) -> Vec<&'a str> {
    schema
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
