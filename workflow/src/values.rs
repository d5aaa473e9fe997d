//! The values that steps give to each other: outputs, and what `builtin.#DoVar` puts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Values by name, as the context of a run holds them (WF-014 to WF-016).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Values(Map<String, Value>);

impl Values {
    /// The value at a dotted path. A name that holds dots itself is found too.
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.0.get(path).or_else(|| lookup_in(&self.0, path))
    }

    /// Puts a value at a dotted path; values that stand in the way are replaced.
    pub fn put(&mut self, path: &str, value: Value) {
        let mut parts: Vec<&str> = path.split('.').collect();
        let Some(last) = parts.pop() else { return };
        let mut place = &mut self.0;
        for part in parts {
            let next = place
                .entry(part.to_owned())
                .or_insert_with(|| Value::Object(Map::new()));
            if !next.is_object() {
                *next = Value::Object(Map::new());
            }
            let Value::Object(map) = next else { return };
            place = map;
        }
        place.insert(last.to_owned(), value);
    }

    /// Gives an output its value; its name is one name even where it holds dots.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All values, for the context ConfigMap.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl From<Map<String, Value>> for Values {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

/// The value at a path such as `a.b[0].c` or `a["x.y"]` in a map.
pub(crate) fn lookup_in<'a>(map: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut parts = split(path)?.into_iter();
    let Part::Key(first) = parts.next()? else {
        return None;
    };
    parts.try_fold(map.get(&first)?, |value, part| match part {
        Part::Key(key) => value.get(key),
        Part::Index(index) => value.get(index),
    })
}

/// Puts a value at a path such as `a.b[0].c` into the parameters of a step (WF-015).
pub(crate) fn fill(root: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let parts = split(path).ok_or_else(|| format!("invalid parameterKey {path:?}"))?;
    let mut place = root;
    for part in parts {
        place = match part {
            Part::Key(key) => {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                let Value::Object(map) = place else {
                    return Err(path.to_owned());
                };
                map.entry(key).or_insert(Value::Null)
            }
            Part::Index(index) => {
                if !place.is_array() {
                    *place = Value::Array(Vec::new());
                }
                let Value::Array(list) = place else {
                    return Err(path.to_owned());
                };
                // One past the end appends; a hole in a list has no value that could stand there.
                if index > list.len() {
                    return Err(format!(
                        "parameterKey {path:?}: index {index} is past the end, the list has {} items",
                        list.len()
                    ));
                }
                if index == list.len() {
                    list.push(Value::Null);
                }
                &mut list[index]
            }
        };
    }
    *place = value;
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Part {
    Key(String),
    Index(usize),
}

/// Splits `a.b[0]["c.d"]` into its parts; `None` where it is not such a path.
fn split(path: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (inside, after) = tail.split_once(']')?;
            parts.push(match inside.trim().strip_prefix('"') {
                Some(quoted) => Part::Key(quoted.strip_suffix('"')?.to_owned()),
                None => Part::Index(inside.trim().parse().ok()?),
            });
            rest = after;
        } else if let Some(tail) = rest.strip_prefix('"') {
            let (inside, after) = tail.split_once('"')?;
            parts.push(Part::Key(inside.to_owned()));
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, after) = rest.split_at(end);
            if key.is_empty() {
                return None;
            }
            // A bare number after a dot indexes a list, as KubeVela's paths allow.
            parts.push(Part::Key(key.to_owned()));
            rest = after;
        }
        if let Some(tail) = rest.strip_prefix('.') {
            if tail.is_empty() {
                return None;
            }
            rest = tail;
        }
    }
    if parts.is_empty() { None } else { Some(parts) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn puts_and_gets_by_path() {
        let mut values = Values::default();
        values.put("a.b", json!(1));
        values.put("a.c", json!([{"x": 2}]));
        values.set("with.dot", json!(3));
        assert_eq!(values.get("a.b"), Some(&json!(1)));
        assert_eq!(values.get("a.c[0].x"), Some(&json!(2)));
        assert_eq!(values.get("with.dot"), Some(&json!(3)));
        assert_eq!(values.get("a.none"), None);
        values.put("a.b.deeper", json!(true));
        assert_eq!(
            values.get("a"),
            Some(&json!({"b": {"deeper": true}, "c": [{"x": 2}]}))
        );
    }

    #[test]
    fn fills_parameters() {
        let mut parameters = json!({"image": "old", "env": [{"name": "A"}]});
        fill(&mut parameters, "image", json!("new")).unwrap();
        fill(&mut parameters, "env[0].value", json!("1")).unwrap();
        fill(&mut parameters, "env[1]", json!({"name": "B"})).unwrap();
        fill(&mut parameters, "labels[\"a.b/c\"]", json!("x")).unwrap();
        assert_eq!(
            parameters,
            json!({"image": "new", "env": [{"name": "A", "value": "1"}, {"name": "B"}],
                   "labels": {"a.b/c": "x"}})
        );
        let error = fill(&mut parameters, "env[7].value", json!(1)).unwrap_err();
        assert!(error.contains("past the end, the list has 2"), "{error}");
        assert!(fill(&mut parameters, "a..b", json!(1)).is_err());
        assert!(fill(&mut parameters, "", json!(1)).is_err());
    }
}
