//! From client-side to server-side apply: what the annotation of `kubectl apply` says was applied
//! does not conflict with a later `kubectl apply --server-side`, and the annotation stays true.

use serde_json::{Map, Value};

use crate::schema::Schema;
use crate::set::FieldSet;
use crate::typed::{Duplicates, compare, field_set, validate};
use crate::value::go_json;

/// The only manager that this applies to; others opt out by their name.
pub(crate) const UPGRADED_MANAGER: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// All annotations of an object together, names and values.
const MAX_ANNOTATIONS: usize = 256 * 1024;

fn annotations(object: &Value) -> Option<&Map<String, Value>> {
    object.pointer("/metadata/annotations")?.as_object()
}

fn last_applied(object: &Value) -> Option<&str> {
    annotations(object)?
        .get(ANNOTATION)?
        .as_str()
        .filter(|text| !text.is_empty())
}

/// The fields that were applied by the client and still have the value that it gave them. `None`
/// when there is no usable annotation.
pub(crate) fn owned_fields(stored: &Value, api_version: &str, schema: &Schema) -> Option<FieldSet> {
    let applied: Value = serde_json::from_str(last_applied(stored)?).ok()?;
    if applied.get("apiVersion").and_then(Value::as_str) != Some(api_version) {
        return None;
    }
    validate(schema, &applied, Duplicates::Refused).ok()?;
    let changes = compare(schema, &applied, stored);
    let fields = field_set(schema, &applied);
    Some(
        fields
            .difference(&changes.modified)
            .difference(&changes.added)
            .difference(&changes.removed),
    )
}

/// Writes what is applied now into the annotation, if the object has it. An annotation that would be
/// too large is dropped.
pub(crate) fn refresh(object: &mut Value, applied: &Value) {
    if last_applied(object).is_none() {
        return;
    }
    let mut config = applied.clone();
    if let Some(Value::Object(annotations)) = config.pointer_mut("/metadata/annotations") {
        annotations.remove(ANNOTATION);
    }
    let text = go_json(&config) + "\n";
    if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
        annotations.insert(ANNOTATION.to_owned(), text.into());
        let size: usize = annotations
            .iter()
            .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
            .sum();
        if size > MAX_ANNOTATIONS {
            annotations.remove(ANNOTATION);
        }
    }
}
