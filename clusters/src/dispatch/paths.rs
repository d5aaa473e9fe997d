//! Fields by their path, as policies write it: `spec.template.spec.containers[0].image`, or
//! `metadata.annotations["example.com/key"]`.

use serde_json::{Map, Value};

enum Part {
    Key(String),
    Index(usize),
}

/// The parts of a path.
fn parse(path: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(inner) = rest.strip_prefix('[') {
            let end = inner.find(']').unwrap_or(inner.len());
            let word = inner[..end].trim_matches(['"', '\'']);
            parts.push(match word.parse() {
                Ok(index) => Part::Index(index),
                Err(_) => Part::Key(word.to_owned()),
            });
            rest = inner.get(end + 1..).unwrap_or_default();
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end > 0 {
                parts.push(Part::Key(rest[..end].to_owned()));
            }
            rest = &rest[end..];
        }
    }
    parts
}

/// The value at a path.
pub(super) fn get<'a>(path: &str, object: &'a Value) -> Option<&'a Value> {
    parse(path)
        .iter()
        .try_fold(object, |value, part| match part {
            Part::Key(key) => value.get(key),
            Part::Index(index) => value.get(index),
        })
}

/// Makes the value at a path in `to` what it is in `from`; absent there, it is absent here.
pub(super) fn copy(path: &str, from: &Value, to: &mut Value) {
    match get(path, from) {
        Some(value) => set(path, value.clone(), to),
        None => remove(path, to),
    }
}

/// Takes the value at a path away.
pub(super) fn remove(path: &str, object: &mut Value) {
    let parts = parse(path);
    let Some((last, above)) = parts.split_last() else {
        return;
    };
    let parent = above.iter().try_fold(object, |value, part| match part {
        Part::Key(key) => value.get_mut(key),
        Part::Index(index) => value.get_mut(index),
    });
    match (parent, last) {
        (Some(Value::Object(map)), Part::Key(key)) => {
            map.remove(key);
        }
        (Some(Value::Array(items)), Part::Index(index)) if *index < items.len() => {
            items.remove(*index);
        }
        _ => {}
    }
}

/// Sets the value at a path. A place in a list must be there already.
fn set(path: &str, value: Value, object: &mut Value) {
    let mut slot = object;
    for part in parse(path) {
        slot = match part {
            Part::Key(key) => {
                if slot.is_null() {
                    *slot = Value::Object(Map::new());
                }
                let Value::Object(map) = slot else { return };
                map.entry(key).or_insert(Value::Null)
            }
            Part::Index(index) => {
                let Some(item) = slot.get_mut(index) else {
                    return;
                };
                item
            }
        };
    }
    *slot = value;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_reach_into_maps_and_lists() {
        let object = json!({"a": {"b": [{"c": 1}, {"c": 2}]}, "m": {"x.y/z": 3}});
        assert_eq!(get("a.b[1].c", &object), Some(&json!(2)));
        assert_eq!(get("m[\"x.y/z\"]", &object), Some(&json!(3)));
        assert_eq!(get("a.b[2].c", &object), None);
        assert_eq!(get("a..b", &object), Some(&json!([{"c": 1}, {"c": 2}])));
        assert_eq!(get("a.b[", &object), None);
    }

    #[test]
    fn copies_what_is_there_and_removes_what_is_not() {
        let live = json!({"spec": {"replicas": 5}});
        let mut desired = json!({"spec": {"replicas": 1, "paused": true}});
        copy("spec.replicas", &live, &mut desired);
        copy("spec.paused", &live, &mut desired);
        copy("spec.absent.deep", &live, &mut desired);
        assert_eq!(desired, json!({"spec": {"replicas": 5}}));
        let mut empty = json!({});
        copy("spec.replicas", &live, &mut empty);
        assert_eq!(empty, live);
    }
}
