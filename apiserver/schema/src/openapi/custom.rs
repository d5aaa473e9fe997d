//! OpenAPI of custom resources.

use super::document::{add_paths, collect, collect_references, document};
use super::{OBJECT_META, REF_PREFIX};
use crate::resources::Resource;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A custom kind in one version, with its structural schema if it has one.
#[derive(Clone, Copy, Debug)]
pub struct CustomKind<'a> {
    /// The resource.
    pub resource: &'a Resource,
    /// `openAPIV3Schema` of that version.
    pub schema: Option<&'a Value>,
}

/// The document of a custom group version.
pub fn custom_document(group: &str, version: &str, kinds: &[CustomKind<'_>]) -> Value {
    let mut schemas = BTreeMap::new();
    let mut paths = Map::new();
    for kind in kinds {
        let name = definition_name(group, version, &kind.resource.kind);
        let schema = custom_schema(kind.resource, kind.schema);
        collect_references(&schema, &mut schemas);
        schemas.insert(name.clone(), schema);
        add_paths(&mut paths, kind.resource, &name);
    }
    for name in ["DeleteOptions", "Status"] {
        collect(
            &format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"),
            &mut schemas,
        );
    }
    if kinds
        .iter()
        .any(|k| k.resource.subresource("scale").is_some())
    {
        collect("io.k8s.api.autoscaling.v1.Scale", &mut schemas);
    }
    document("Kubernetes CRD Swagger", "v0.1.0", paths, schemas)
}

/// The schema of a custom kind with `apiVersion`, `kind` and `metadata` filled in: what server-side apply merges by.
pub fn custom_schema(resource: &Resource, schema: Option<&Value>) -> Value {
    let mut out = schema
        .cloned()
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    embed(&mut out);
    add_object_fields(&mut out, false);
    out["x-kubernetes-group-version-kind"] =
        json!([{"group": resource.group, "kind": resource.kind, "version": resource.version}]);
    out
}

/// Fills in the fields of an object wherever one is embedded.
fn embed(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(embed);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(key).filter(|v| v.is_object()) {
            embed(inner);
        }
    }
    if schema["x-kubernetes-embedded-resource"] == true {
        add_object_fields(schema, true);
    }
}

fn add_object_fields(schema: &mut Value, keep: bool) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    let Some(properties) = map
        .entry("properties")
        .or_insert_with(|| json!({}))
        .as_object_mut()
    else {
        return;
    };
    let metadata = json!({"description": "Standard object's metadata.", "allOf": [{"$ref": format!("{REF_PREFIX}{OBJECT_META}")}]});
    let fields = [
        (
            "apiVersion",
            json!({"type": "string", "description": "APIVersion names the group and version of this object's schema."}),
        ),
        (
            "kind",
            json!({"type": "string", "description": "Kind names the REST resource that this object represents. In CamelCase."}),
        ),
        ("metadata", metadata),
    ];
    for (name, value) in fields {
        // What a schema says of metadata (name and generateName only) is weaker than the definition.
        if !keep || name == "metadata" || properties.get(name).is_none() {
            properties.insert(name.to_owned(), value);
        }
    }
}

/// `com.example.v1.Gadget`: the group's labels in reverse order, the version, the kind.
pub(super) fn definition_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').rev().collect();
    parts.extend([version, kind]);
    parts.join(".")
}
