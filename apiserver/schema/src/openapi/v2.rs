//! The OpenAPI v2 document, of everything at once: for clients from before v3, and those that still prefer it.
//!
//! It says the same as the documents of v3, as far as v2 can say it. Where it cannot, it says less: a value that may be
//! null or of several types has no type.

use super::custom::{CustomKind, custom_schema, definition_name};
use super::document::{DELETE_OPTIONS, SCALE, STATUS, add_paths, collect, collect_references};
use super::reference;
use crate::resources::builtins;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What every reference to a definition starts with in v2.
const PREFIX: &str = "#/definitions/";

/// The document of all built-in kinds and these.
pub fn swagger(kinds: &[CustomKind<'_>]) -> Value {
    let mut schemas = BTreeMap::new();
    let mut paths = Map::new();
    for resource in builtins() {
        if let Some(name) = resource.definition {
            collect(name, &mut schemas);
            add_paths(&mut paths, resource, name);
        }
    }
    for kind in kinds {
        let resource = kind.resource;
        let name = definition_name(&resource.group, &resource.version, &resource.kind);
        let schema = custom_schema(resource, kind.schema);
        collect_references(&schema, &mut schemas);
        add_paths(&mut paths, resource, &name);
        schemas.insert(name, schema);
    }
    for name in [DELETE_OPTIONS, STATUS, SCALE] {
        collect(name, &mut schemas);
    }
    let definitions: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, definition)| (name, schema(&definition)))
        .collect();
    let paths: Map<String, Value> = paths
        .into_iter()
        .map(|(path, item)| (path, path_item(&item)))
        .collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.36.3"},
        "paths": paths,
        "definitions": definitions,
    })
}

fn pointer(name: &str) -> Value {
    format!("{PREFIX}{name}").into()
}

/// A schema in the words of v2.
fn schema(source: &Value) -> Value {
    let Some(map) = source.as_object() else {
        return source.clone();
    };
    let mut out = Map::new();
    for (name, value) in map {
        let value = match name.as_str() {
            // A reference stands for itself, or is the only item of `allOf`.
            "$ref" | "allOf" | "anyOf" | "oneOf" | "not" | "nullable" | "default" => continue,
            "properties" => properties(value),
            "items" | "additionalProperties" => schema(value),
            _ => value.clone(),
        };
        out.insert(name.clone(), value);
    }
    if let Some(name) = reference(source) {
        out.insert("$ref".into(), pointer(name));
    }
    let untyped = [
        "nullable",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
    ];
    if untyped.iter().any(|name| source[*name] == true) {
        for name in [
            "type",
            "items",
            "properties",
            "additionalProperties",
            "required",
        ] {
            out.remove(name);
        }
    } else if map.contains_key("oneOf") && !map.contains_key("type") {
        // Quantities and the like: clients write them as texts.
        out.insert("type".into(), "string".into());
    }
    Value::Object(out)
}

fn properties(source: &Value) -> Value {
    let named = source.as_object().into_iter().flatten();
    named
        .map(|(name, property)| (name.clone(), schema(property)))
        .collect::<Map<_, _>>()
        .into()
}

fn path_item(source: &Value) -> Value {
    let members = source.as_object().into_iter().flatten();
    members
        .map(|(name, value)| {
            let value = match name.as_str() {
                "parameters" => parameters(value).into(),
                _ => operation(value),
            };
            (name.clone(), value)
        })
        .collect::<Map<_, _>>()
        .into()
}

fn parameters(source: &Value) -> Vec<Value> {
    let list = source.as_array().into_iter().flatten();
    list.map(|parameter| {
        let mut out = parameter.as_object().cloned().unwrap_or_default();
        if let Some(Value::Object(schema)) = out.remove("schema") {
            out.extend(schema);
        }
        Value::Object(out)
    })
    .collect()
}

fn operation(source: &Value) -> Value {
    let mut out = source.as_object().cloned().unwrap_or_default();
    let mut parameters = parameters(&source["parameters"]);
    out.remove("requestBody");
    if let Some(content) = source["requestBody"]["content"].as_object() {
        let types: Vec<&String> = content.keys().collect();
        out.insert("consumes".into(), json!(types));
        let body = content.values().next().map(|body| schema(&body["schema"]));
        parameters.push(json!({"name": "body", "in": "body", "required": true, "schema": body}));
    }
    out.insert("parameters".into(), parameters.into());
    out.insert("produces".into(), json!(["application/json"]));
    let answer = &source["responses"]["200"]["content"]["application/json"]["schema"];
    out.insert(
        "responses".into(),
        json!({"200": {"description": "OK", "schema": schema(answer)}}),
    );
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::REF_PREFIX;

    /// Every reference, with where it stands.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    found.push(target);
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_has_its_definition_and_nothing_of_v3_is_left() {
        let document = swagger(&[]);
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 1000);
        for target in found {
            let name = target
                .strip_prefix(PREFIX)
                .unwrap_or_else(|| panic!("{target}"));
            assert!(document["definitions"].get(name).is_some(), "{name}");
        }
        let text = document.to_string();
        for word in [
            REF_PREFIX,
            "\"requestBody\":",
            "\"content\":{\"application",
            "\"nullable\":true",
            "\"oneOf\":[",
        ] {
            assert!(!text.contains(word), "{word}");
        }
    }

    #[test]
    fn kinds_are_found_and_what_may_be_anything_has_no_type() {
        let document = swagger(&[]);
        let deployment = &document["definitions"]["io.k8s.api.apps.v1.Deployment"];
        assert_eq!(
            deployment["x-kubernetes-group-version-kind"],
            json!([{"group": "apps", "kind": "Deployment", "version": "v1"}])
        );
        assert_eq!(
            deployment["properties"]["spec"]["$ref"],
            "#/definitions/io.k8s.api.apps.v1.DeploymentSpec"
        );
        let patch =
            &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        let parameters = patch["parameters"].as_array().expect("a list");
        assert!(parameters.iter().any(|p| p["name"] == "fieldValidation"
            && p["in"] == "query"
            && p["type"] == "string"));
        assert!(parameters.iter().any(|p| p["in"] == "body"));
        let quantity = &document["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"];
        assert_eq!(quantity["type"], "string");
        let anything = json!({"type": "object", "nullable": true, "description": "d", "properties": {"a": {"type": "string"}}});
        assert_eq!(schema(&anything), json!({"description": "d"}));
    }
}
