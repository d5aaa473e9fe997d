//! Who owns which fields: reading `managedFields`, and comparing what we want with what there is.
//!
//! Objects are compared without their schema. What a list is merged by is read from the managedFields
//! of the live object, which the API server wrote with the schema at hand.

use serde_json::{Map, Value, json};

use super::equal;
use crate::connect::FIELD_MANAGER;
use crate::key::text;

/// The names under which KubeVela writes. Its entries become ours when an object is taken over.
const KUBEVELA: [&str; 3] = ["kubevela", "vela-core", "vela"];

/// Writers of `spec.replicas` that are left alone.
const AUTOSCALERS: [&str; 3] = [
    "kube-controller-manager",
    "horizontal-pod-autoscaler",
    "keda-operator",
];

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
}

fn is_ours(entry: &Value) -> bool {
    text(&entry["manager"]) == FIELD_MANAGER && text(&entry["operation"]) == "Apply"
}

/// An entry of a plain update, by us (a create is one) or by KubeVela.
fn is_adoptable(entry: &Value) -> bool {
    let manager = text(&entry["manager"]);
    text(&entry["operation"]) == "Update"
        && text(&entry["subresource"]).is_empty()
        && (manager == FIELD_MANAGER || KUBEVELA.contains(&manager))
}

/// Whether an autoscaler decides about the number of replicas.
pub(crate) fn is_autoscaled(live: &Value) -> bool {
    entries(live).any(|entry| {
        text(&entry["subresource"]) == "scale"
            && AUTOSCALERS.contains(&text(&entry["manager"]))
            && entry["fieldsV1"]["f:spec"].get("f:replicas").is_some()
    })
}

/// The patch that turns entries of plain updates into ours, so that the next apply can remove fields
/// that are no longer wanted. None if there is nothing to turn. It holds only for this version of the
/// object.
pub(crate) fn adoption(live: &Value, api_version: &str) -> Option<Value> {
    let fits = |entry: &Value| text(&entry["apiVersion"]) == api_version;
    if !entries(live).any(|entry| is_adoptable(entry) && fits(entry)) {
        return None;
    }
    let mut owned = Value::Object(Map::new());
    let mut kept = Vec::new();
    let mut time = Value::Null;
    for entry in entries(live) {
        if fits(entry) && (is_ours(entry) || is_adoptable(entry)) {
            unite(&mut owned, &entry["fieldsV1"]);
            time = entry["time"].clone();
        } else {
            kept.push(entry.clone());
        }
    }
    kept.push(json!({
        "manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": api_version,
        "time": time, "fieldsType": "FieldsV1", "fieldsV1": owned,
    }));
    // Writing the version that we read makes the API server refuse the patch if there is another one.
    let version = &live["metadata"]["resourceVersion"];
    Some(json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": kept},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]))
}

/// Adds the fields of `more` to `all`.
fn unite(all: &mut Value, more: &Value) {
    if let (Value::Object(all), Value::Object(more)) = (all, more) {
        for (key, value) in more {
            unite(all.entry(key.clone()).or_insert_with(|| json!({})), value);
        }
    }
}

/// Where the live object differs from what we want of it: the path of the first field. None if it has
/// all that we want, and we own nothing that we no longer want.
pub(crate) fn difference(desired: &Value, live: &Value) -> Option<String> {
    let mut fields = Value::Object(Map::new());
    for entry in entries(live) {
        unite(&mut fields, &entry["fieldsV1"]);
    }
    let desired = equal::normal(desired);
    let compare = Compare {
        builtin: equal::is_builtin(text(&desired["apiVersion"])),
    };
    if let Some(path) = compare.missing(&desired, live, &fields, "") {
        return Some(path);
    }
    entries(live)
        .filter(|entry| is_ours(entry))
        .find_map(|entry| unwanted(&entry["fieldsV1"], Some(&desired), live, ""))
}

struct Compare {
    builtin: bool,
}

impl Compare {
    /// The path of the first field of `desired` that `live` does not have.
    fn missing(&self, desired: &Value, live: &Value, fields: &Value, path: &str) -> Option<String> {
        match (desired, live) {
            (Value::Object(desired), Value::Object(live)) => {
                self.missing_in_map(desired, live, fields, path)
            }
            (Value::Array(desired), Value::Array(live)) => {
                self.missing_in_list(desired, live, fields, path)
            }
            _ => (!equal::scalars(desired, live, path)).then(|| path.to_owned()),
        }
    }

    fn missing_in_map(
        &self,
        desired: &Map<String, Value>,
        live: &Map<String, Value>,
        fields: &Value,
        path: &str,
    ) -> Option<String> {
        desired.iter().find_map(|(key, wanted)| {
            let path = join(path, key);
            if is_server_made(&path) {
                return None;
            }
            let fields = &fields[format!("f:{key}")];
            match live.get(key) {
                Some(found) => self.missing(wanted, found, fields, &path),
                None if wanted.is_null() => None,
                None if self.builtin && equal::is_left_out(wanted, &path) => None,
                None => Some(path),
            }
        })
    }

    fn missing_in_list(
        &self,
        desired: &[Value],
        live: &[Value],
        fields: &Value,
        path: &str,
    ) -> Option<String> {
        let keys: Vec<(Value, &Value)> = item_keys(fields);
        if !keys.is_empty() {
            return desired.iter().enumerate().find_map(|(index, wanted)| {
                let path = format!("{path}[{index}]");
                let candidates = keys
                    .iter()
                    .filter(|(key, _)| item_may_have(wanted, key))
                    .flat_map(|(key, fields)| {
                        let items = items_of(live, key).into_iter();
                        items.map(|item| (item, *fields))
                    });
                // A plain create takes several items of one key.
                let mut first = None;
                for (item, fields) in candidates {
                    let missing = self.missing(wanted, item, fields, &path)?;
                    first.get_or_insert(missing);
                }
                Some(first.unwrap_or(path))
            });
        }
        if has_values(fields) {
            let absent = desired.iter().position(|wanted| !live.contains(wanted));
            return absent.map(|index| format!("{path}[{index}]"));
        }
        if desired.len() != live.len() {
            return Some(path.to_owned());
        }
        desired
            .iter()
            .zip(live)
            .enumerate()
            .find_map(|(index, (wanted, found))| {
                self.missing(wanted, found, &Value::Null, &format!("{path}[{index}]"))
            })
    }
}

/// The path of the first field that we own, that is there, and that we no longer want.
fn unwanted(owned: &Value, desired: Option<&Value>, live: &Value, path: &str) -> Option<String> {
    let owned = owned.as_object()?;
    owned.iter().find_map(|(element, inner)| {
        if let Some(name) = element.strip_prefix("f:") {
            let path = join(path, name);
            let found = live.get(name).filter(|_| !is_server_made(&path))?;
            let Some(wanted) = desired.and_then(|desired| desired.get(name)) else {
                // Zero values that the server leaves out cannot be told from absent ones.
                return (!equal::is_left_out(found, &path)).then_some(path);
            };
            unwanted(inner, Some(wanted), found, &path)
        } else if let Some(key) = element.strip_prefix("k:") {
            let key: Value = serde_json::from_str(key).ok()?;
            let found = item_of(live.as_array()?, &key)?;
            let wanted = desired
                .and_then(Value::as_array)
                .and_then(|items| item_of(items, &key));
            match wanted {
                Some(wanted) => unwanted(inner, Some(wanted), found, &format!("{path}[{key}]")),
                None => Some(format!("{path}[{key}]")),
            }
        } else if let Some(value) = element.strip_prefix("v:") {
            let value: Value = serde_json::from_str(value).ok()?;
            let there = live.as_array()?.contains(&value);
            let wanted = desired
                .and_then(Value::as_array)
                .is_some_and(|all| all.contains(&value));
            (there && !wanted).then(|| format!("{path}[{value}]"))
        } else {
            None
        }
    })
}

/// The keys of the items of a list, with the fields below each.
fn item_keys(fields: &Value) -> Vec<(Value, &Value)> {
    let Some(map) = fields.as_object() else {
        return Vec::new();
    };
    map.iter()
        .filter_map(|(element, inner)| {
            let key = element.strip_prefix("k:")?;
            Some((serde_json::from_str(key).ok()?, inner))
        })
        .collect()
}

fn has_values(fields: &Value) -> bool {
    fields
        .as_object()
        .is_some_and(|map| map.keys().any(|element| element.starts_with("v:")))
}

/// The items with this key; of those that do not write it in full only the first.
fn items_of<'a>(items: &'a [Value], key: &Value) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = items.iter().filter(|item| item_has(item, key)).collect();
    if found.is_empty() {
        found.extend(items.iter().find(|item| item_may_have(item, key)));
    }
    found
}

/// The item with this key.
fn item_of<'a>(items: &'a [Value], key: &Value) -> Option<&'a Value> {
    items_of(items, key).first().copied()
}

fn item_has(item: &Value, key: &Value) -> bool {
    key.as_object().is_some_and(|key| {
        key.iter()
            .all(|(name, value)| item.get(name) == Some(value))
    })
}

/// As [`item_has`], where a part of the key that is not written has its default.
fn item_may_have(item: &Value, key: &Value) -> bool {
    key.as_object().is_some_and(|key| {
        key.iter()
            .all(|(name, value)| item.get(name).is_none_or(|found| found == value))
            && key.keys().any(|name| item.get(name).is_some())
    })
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// What the API server or a controller writes: it is never ours to compare.
fn is_server_made(path: &str) -> bool {
    const PATHS: [&str; 10] = [
        "apiVersion",
        "kind",
        "status",
        "metadata.uid",
        "metadata.resourceVersion",
        "metadata.generation",
        "metadata.creationTimestamp",
        "metadata.managedFields",
        "metadata.selfLink",
        "metadata.annotations.app.oam.dev/last-applied-time",
    ];
    PATHS.contains(&path)
}
