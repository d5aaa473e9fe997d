//! OpenAPI v3 documents of a group version.

use super::{REF_PREFIX, definition};
use crate::resources::{Resource, api_version, builtins};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};
use std::collections::BTreeMap;

/// The document of a built-in group version; `None` if it is not served.
pub fn builtin_document(group: &str, version: &str) -> Option<Value> {
    let resources: Vec<&Resource> = builtins()
        .iter()
        .filter(|r| r.group == group && r.version == version)
        .collect();
    if resources.is_empty() {
        return None;
    }
    let mut paths = Map::new();
    let mut schemas = BTreeMap::new();
    for resource in resources {
        let name = resource.definition?;
        collect(name, &mut schemas);
        add_paths(&mut paths, resource, name);
    }
    collect(DELETE_OPTIONS, &mut schemas);
    collect(STATUS, &mut schemas);
    collect(SCALE, &mut schemas);
    Some(document("Kubernetes", "v1.36", paths, schemas))
}

/// An entry of `GET /openapi/v3`: the path below `/openapi/v3` and its `serverRelativeURL` with the document's hash.
pub fn index_entry(group: &str, version: &str, document: &Value) -> (String, Value) {
    let path = if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{}", api_version(group, version))
    };
    let hash = hex::encode_upper(Sha512::digest(document.to_string()));
    let url = format!("/openapi/v3/{path}?hash={hash}");
    (path, json!({"serverRelativeURL": url}))
}

pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
pub(super) const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

pub(super) fn document(
    title: &str,
    version: &str,
    paths: Map<String, Value>,
    schemas: BTreeMap<String, Value>,
) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// Adds a definition and all that it refers to.
pub(super) fn collect(name: &str, into: &mut BTreeMap<String, Value>) {
    if into.contains_key(name) {
        return;
    }
    if let Some(schema) = definition(name) {
        into.insert(name.to_owned(), schema.clone());
        collect_references(schema, into);
    }
}

/// Adds all that a schema refers to.
pub(super) fn collect_references(schema: &Value, into: &mut BTreeMap<String, Value>) {
    match schema {
        Value::Object(map) => {
            if let Some(name) = map
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|t| t.strip_prefix(REF_PREFIX))
            {
                collect(name, into);
            }
            map.values().for_each(|v| collect_references(v, into));
        }
        Value::Array(items) => items.iter().for_each(|v| collect_references(v, into)),
        _ => {}
    }
}

/// Adds the paths of a resource: the collection, the object, its subresources.
pub(super) fn add_paths(paths: &mut Map<String, Value>, resource: &Resource, schema: &str) {
    let root = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}", resource.api_version())
    };
    let collection = if resource.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else {
        format!("{root}/{}", resource.plural)
    };
    let gvk = json!({"group": resource.group, "kind": resource.kind, "version": resource.version});
    let has = |verb: &str| resource.verbs.contains(&verb);
    let mut operations = Map::new();
    for (verb, method, action) in [
        ("list", "get", "list"),
        ("create", "post", "post"),
        ("deletecollection", "delete", "deletecollection"),
    ] {
        if has(verb) {
            operations.insert(method.into(), operation(action, resource, "", schema, &gvk));
        }
    }
    paths.insert(
        collection.clone(),
        with_parameters(operations, resource.namespaced, false),
    );
    if resource.namespaced && has("list") {
        let mut all = Map::new();
        all.insert(
            "get".into(),
            operation("list", resource, "ForAllNamespaces", schema, &gvk),
        );
        paths.insert(
            format!("{root}/{}", resource.plural),
            with_parameters(all, false, false),
        );
    }
    if has("get") {
        let object = format!("{collection}/{{name}}");
        paths.insert(
            object.clone(),
            object_path(resource, "", schema, &gvk, has("delete")),
        );
        add_subresource_paths(paths, &object, resource, schema, &gvk);
    }
}

fn add_subresource_paths(
    paths: &mut Map<String, Value>,
    object: &str,
    resource: &Resource,
    schema: &str,
    gvk: &Value,
) {
    for sub in &resource.subresources {
        let (schema, gvk) = match sub.name.as_ref() {
            "status" => (schema, gvk.clone()),
            "scale" => (
                SCALE,
                json!({"group": "autoscaling", "kind": "Scale", "version": "v1"}),
            ),
            _ => continue,
        };
        paths.insert(
            format!("{object}/{}", sub.name),
            object_path(resource, &sub.name, schema, &gvk, false),
        );
    }
}

fn object_path(
    resource: &Resource,
    sub: &str,
    schema: &str,
    gvk: &Value,
    deletable: bool,
) -> Value {
    let mut operations = Map::new();
    for (method, action) in [
        ("get", "get"),
        ("put", "put"),
        ("patch", "patch"),
        ("delete", "delete"),
    ] {
        if method != "delete" || deletable {
            operations.insert(method.into(), operation(action, resource, sub, schema, gvk));
        }
    }
    with_parameters(operations, resource.namespaced, true)
}

fn with_parameters(mut operations: Map<String, Value>, namespaced: bool, named: bool) -> Value {
    let path_parameter = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    let mut parameters = Vec::new();
    if named {
        parameters.push(path_parameter("name"));
    }
    if namespaced {
        parameters.push(path_parameter("namespace"));
    }
    if !parameters.is_empty() {
        operations.insert("parameters".into(), Value::Array(parameters));
    }
    Value::Object(operations)
}

fn operation(action: &str, resource: &Resource, suffix: &str, schema: &str, gvk: &Value) -> Value {
    let query = |name: &str, kind: &str| json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}});
    let mut parameters = vec![query("pretty", "string")];
    let writes = matches!(action, "post" | "put" | "patch");
    if writes {
        parameters
            .extend(["dryRun", "fieldManager", "fieldValidation"].map(|n| query(n, "string")));
    }
    if action == "patch" {
        parameters.push(query("force", "boolean"));
    }
    if matches!(action, "list" | "deletecollection") {
        let texts = [
            "continue",
            "fieldSelector",
            "labelSelector",
            "resourceVersion",
            "resourceVersionMatch",
        ];
        parameters.extend(texts.map(|n| query(n, "string")));
        parameters.extend(["limit", "timeoutSeconds"].map(|n| query(n, "integer")));
        parameters.extend(
            ["allowWatchBookmarks", "sendInitialEvents", "watch"].map(|n| query(n, "boolean")),
        );
    }
    let reference = |name: &str| json!({"$ref": format!("{REF_PREFIX}{name}")});
    let answer = if matches!(action, "delete" | "deletecollection") {
        reference(STATUS)
    } else {
        reference(schema)
    };
    let mut op = json!({
        "operationId": format!("{action}{}{}{suffix}", capitalised(&resource.version), resource.kind),
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": answer}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk,
    });
    let builtin = resource.definition.is_some();
    if let Some(content) = request_body(
        action,
        builtin,
        reference(schema),
        reference(DELETE_OPTIONS),
    ) {
        op["requestBody"] = json!({"content": content});
    }
    op
}

fn request_body(action: &str, builtin: bool, schema: Value, options: Value) -> Option<Value> {
    match action {
        "post" | "put" => Some(json!({"*/*": {"schema": schema}})),
        "patch" => {
            let types = [
                "application/apply-patch+yaml",
                "application/json-patch+json",
                "application/merge-patch+json",
                // kubectl takes from here whether a kind can be patched so; custom ones cannot.
                "application/strategic-merge-patch+json",
            ];
            Some(
                types[..if builtin { 4 } else { 3 }]
                    .iter()
                    .map(|t| ((*t).to_owned(), json!({"schema": {"type": "object"}})))
                    .collect::<Map<_, _>>()
                    .into(),
            )
        }
        "delete" | "deletecollection" => Some(json!({"*/*": {"schema": options}})),
        _ => None,
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
