//! Items of lists of type `set` and `map` must be unique.

use super::node::{ListType, Node};
use crate::field::{Error, Errors, Path};
use serde_json::Value;

pub(super) fn validate(object: &Value, root: &Node) -> Errors {
    let mut errors = Errors::new();
    walk(object, root, &Path::ROOT, &mut errors);
    errors
}

fn walk(value: &Value, node: &Node, path: &Path<'_>, errors: &mut Errors) {
    match value {
        Value::Object(map) => {
            for (name, child) in map {
                if let Some(inner) = node.child(name) {
                    walk(child, inner, &path.field(name), errors);
                }
            }
        }
        Value::Array(list) => {
            unique(list, node, path, errors);
            if let Some(items) = &node.items {
                for (i, item) in list.iter().enumerate() {
                    walk(item, items, &path.index(i), errors);
                }
            }
        }
        _ => {}
    }
}

/// Reports every item that repeats an earlier one, once for each value.
fn unique(list: &[Value], node: &Node, path: &Path<'_>, errors: &mut Errors) {
    let keys: Vec<Value> = match &node.list {
        ListType::Atomic => return,
        ListType::Set => list.to_vec(),
        ListType::Map(keys) => list
            .iter()
            .map(|item| node.key_of(item, keys).into())
            .collect(),
    };
    let mut seen = std::collections::HashMap::new();
    for (i, key) in keys.iter().enumerate() {
        let count: &mut usize = seen.entry(key.to_string()).or_default();
        *count += 1;
        if *count == 2 {
            errors.push(Error::duplicate(path.index(i), key.clone()));
        }
    }
}
