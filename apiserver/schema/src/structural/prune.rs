//! Pruning: removing what the schema does not specify.

use super::node::{Additional, Node};
use crate::field::{Error, Errors, Path};
use serde_json::Value;

/// Removes unspecified fields below the root; `apiVersion`, `kind` and `metadata` stay. Gives the paths, in order.
pub(super) fn prune(object: &mut Value, root: &Node) -> Vec<String> {
    let mut removed = Vec::new();
    walk(object, root, true, "", &mut removed);
    removed.sort();
    removed
}

/// Prunes a value that is no whole object.
pub(super) fn prune_value(value: &mut Value, node: &Node) -> Vec<String> {
    let mut removed = Vec::new();
    walk(value, node, node.embedded, "", &mut removed);
    removed
}

const OBJECT_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

fn walk(
    value: &mut Value,
    node: &Node,
    is_object_root: bool,
    path: &str,
    removed: &mut Vec<String>,
) {
    match value {
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for (i, item) in list.iter_mut().enumerate() {
                    walk(
                        item,
                        items,
                        items.embedded,
                        &format!("{path}[{i}]"),
                        removed,
                    );
                }
            }
        }
        Value::Object(map) => {
            let keeps_all = node.preserve || matches!(node.additional, Additional::Any);
            map.retain(|name, child| {
                if is_object_root && OBJECT_FIELDS.contains(&name.as_str()) {
                    return true;
                }
                let at = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match node.child(name) {
                    Some(inner) => walk(child, inner, inner.embedded, &at, removed),
                    None if keeps_all => {}
                    None => {
                        removed.push(at);
                        return false;
                    }
                }
                true
            });
        }
        _ => {}
    }
}

/// Objects embedded in an object must say what they are.
pub(super) fn validate_embedded(object: &Value, root: &Node) -> Errors {
    let mut errors = Errors::new();
    embedded(object, root, &Path::ROOT, &mut errors);
    errors
}

fn embedded(value: &Value, node: &Node, path: &Path<'_>, errors: &mut Errors) {
    match value {
        Value::Object(map) => {
            if node.embedded && !map.is_empty() {
                for name in ["apiVersion", "kind"] {
                    if map
                        .get(name)
                        .and_then(Value::as_str)
                        .is_none_or(str::is_empty)
                    {
                        errors.push(Error::required(path.field(name), "must not be empty"));
                    }
                }
            }
            for (name, child) in map {
                if let Some(inner) = node.child(name) {
                    embedded(child, inner, &path.field(name), errors);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for (i, item) in list.iter().enumerate() {
                    embedded(item, items, &path.index(i), errors);
                }
            }
        }
        _ => {}
    }
}
