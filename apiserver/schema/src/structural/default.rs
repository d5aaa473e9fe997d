//! Defaulting.

use super::node::Node;
use serde_json::Value;

/// Fills in the defaults of missing fields, then those within the values.
pub(super) fn default(value: &mut Value, node: &Node) {
    match value {
        Value::Object(map) => {
            for (name, inner) in &node.properties {
                if let Some(fallback) = &inner.default {
                    let missing = map.get(name).is_none_or(|v| v.is_null() && !inner.nullable);
                    if missing {
                        map.insert(name.clone(), fallback.clone());
                    }
                }
            }
            for (name, child) in map.iter_mut() {
                if let Some(inner) = node.child(name) {
                    replace_null(child, inner);
                    default(child, inner);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for item in list {
                    replace_null(item, items);
                    default(item, items);
                }
            }
        }
        _ => {}
    }
}

fn replace_null(value: &mut Value, node: &Node) {
    if let (true, false, Some(fallback)) = (value.is_null(), node.nullable, &node.default) {
        *value = fallback.clone();
    }
}

/// Removes nulls where null is not allowed; where a default stands ready, it takes their place later.
pub(super) fn prune_nulls(value: &mut Value, node: &Node) {
    match value {
        Value::Object(map) => map.retain(|name, child| {
            let Some(inner) = node.child(name) else {
                return true;
            };
            if child.is_null() && !inner.nullable && inner.default.is_none() {
                return false;
            }
            prune_nulls(child, inner);
            true
        }),
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for item in list {
                    prune_nulls(item, items);
                }
            }
        }
        _ => {}
    }
}
