//! OpenAPI: the definitions of built-in kinds and the documents that `/openapi/v3` and `/openapi/v2` serve.
//!
//! The definitions come from `k8s-openapi`'s JSON schemas. What these lack — list types, map keys, patch strategies —
//! is added from a table ([`extensions`]), because server-side apply, strategic merge and `kubectl` need it.

mod custom;
mod document;
mod extensions;
mod gnostic;
mod kinds;
mod v2;

pub use custom::{CustomKind, custom_document, custom_schema};
pub use document::{builtin_document, index_entry};
pub use gnostic::encode as encode_v2;
pub use v2::swagger;

use crate::resources::builtins;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What every reference to a definition starts with.
pub const REF_PREFIX: &str = "#/components/schemas/";

/// The definition of `ObjectMeta`.
pub const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// All definitions by name, such as `io.k8s.api.apps.v1.Deployment`.
pub fn definitions() -> &'static BTreeMap<String, Value> {
    static DEFINITIONS: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    DEFINITIONS.get_or_init(|| {
        let mut all: BTreeMap<String, Value> =
            kinds::schemas().into_iter().map(|(name, schema)| (name, to_openapi(schema))).collect();
        all.insert("io.k8s.apimachinery.pkg.util.intstr.IntOrString".into(), int_or_string());
        all.insert("io.k8s.apimachinery.pkg.api.resource.Quantity".into(), quantity());
        all.values_mut().for_each(relax_metadata);
        extensions::apply(&mut all);
        for resource in builtins() {
            if let Some(schema) = resource.definition.and_then(|name| all.get_mut(name)) {
                schema["x-kubernetes-group-version-kind"] =
                    json!([{"group": resource.group, "kind": resource.kind, "version": resource.version}]);
            }
        }
        all
    })
}

/// One definition by name.
pub fn definition(name: &str) -> Option<&'static Value> {
    definitions().get(name)
}

/// The definition that a schema refers to, directly or through `allOf` with one item; the schema itself otherwise.
pub fn resolve(schema: &Value) -> &Value {
    match reference(schema) {
        Some(name) => definition(name).unwrap_or(schema),
        None => schema,
    }
}

/// Name of the definition that a schema refers to.
pub fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref");
    let target = direct.or_else(|| schema.get("allOf")?.get(0)?.get("$ref"))?;
    target.as_str()?.strip_prefix(REF_PREFIX)
}

fn int_or_string() -> Value {
    json!({
        "description": "IntOrString is an int32 or a string: a name or a number, a count or a percentage.",
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    })
}

fn quantity() -> Value {
    json!({
        "description": "Quantity is a fixed-point number with a suffix, such as 500m, 1.5Gi or 2e3.",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    })
}

/// `k8s-openapi` always writes `metadata`, so its schemas call it required; to clients it is optional.
fn relax_metadata(schema: &mut Value) {
    let is_object = schema["properties"].get("apiVersion").is_some();
    if let Some(required) = schema
        .get_mut("required")
        .and_then(Value::as_array_mut)
        .filter(|_| is_object)
    {
        required.retain(|name| name != "metadata");
        if required.is_empty()
            && let Some(map) = schema.as_object_mut()
        {
            map.remove("required");
        }
    }
}

/// JSON Schema to OpenAPI 3.0: a reference may not have siblings, so it moves into `allOf`.
fn to_openapi(schema: Value) -> Value {
    match schema {
        Value::Array(items) => Value::Array(items.into_iter().map(to_openapi).collect()),
        Value::Object(map) => {
            let mut out: Map<String, Value> =
                map.into_iter().map(|(k, v)| (k, to_openapi(v))).collect();
            if out.len() > 1
                && let Some(target) = out.get("$ref").filter(|t| t.is_string()).cloned()
            {
                out.remove("$ref");
                out.insert("allOf".into(), json!([{"$ref": target}]));
            }
            Value::Object(out)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
