//! Reading and changing the metadata of objects of any kind, as Kubernetes' `unstructured` does.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A text at the top level, empty where it is not there.
fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// `apiVersion`.
pub fn api_version(object: &Value) -> &str {
    text(object, "apiVersion")
}

/// `kind`.
pub fn kind(object: &Value) -> &str {
    text(object, "kind")
}

/// `metadata.name`.
pub fn name(object: &Value) -> &str {
    object
        .get("metadata")
        .map_or("", |metadata| text(metadata, "name"))
}

/// `metadata.namespace`.
pub fn namespace(object: &Value) -> &str {
    object
        .get("metadata")
        .map_or("", |metadata| text(metadata, "namespace"))
}

/// A label.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("labels")?.get(key)?.as_str()
}

/// The API group in an `apiVersion`; empty for the core group.
pub fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Sets `metadata.<field>`.
pub fn set_metadata(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(metadata) = metadata_mut(object) {
        metadata.insert(field.to_owned(), value.into());
    }
}

/// Merges into `metadata.<field>` (labels, annotations); new values win. A map whose values are not all
/// texts counts as none, as in Kubernetes' accessors.
pub fn merge_texts(object: &mut Value, field: &str, added: &BTreeMap<String, String>) {
    let Some(metadata) = metadata_mut(object) else {
        return;
    };
    let old = metadata.get(field).and_then(Value::as_object);
    let usable = old.filter(|texts| texts.values().all(Value::is_string));
    let mut merged = usable.cloned().unwrap_or_default();
    merged.extend(
        added
            .iter()
            .map(|(key, value)| (key.clone(), Value::from(value.as_str()))),
    );
    metadata.insert(field.to_owned(), Value::Object(merged));
}

/// Removes keys from `metadata.<field>`; the map stays even if it is empty then.
pub fn remove_texts<'a>(object: &mut Value, field: &str, keys: impl IntoIterator<Item = &'a str>) {
    let texts = metadata_mut(object).and_then(|metadata| metadata.get_mut(field)?.as_object_mut());
    if let Some(texts) = texts {
        for key in keys {
            texts.remove(key);
        }
    }
}

fn metadata_mut(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let fields = object.as_object_mut()?;
    let metadata = fields
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut()
}

/// Sets a value at a dotted path (`spec.workloadRef`, `spec.refs[0].name`), making what is missing on the
/// way.
///
/// # Errors
/// If the path is malformed, or something on it is neither object nor list.
pub fn set_path(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let mut place = object;
    for segment in segments(path)? {
        place = match segment {
            Segment::Field(field) => {
                if place.is_null() {
                    *place = Value::Object(Map::new());
                }
                let Some(fields) = place.as_object_mut() else {
                    return Err(format!("{path}: `{field}` is not inside an object"));
                };
                fields.entry(field).or_insert(Value::Null)
            }
            Segment::Index(index) => {
                if place.is_null() {
                    *place = Value::Array(Vec::new());
                }
                let Some(items) = place.as_array_mut() else {
                    return Err(format!("{path}: [{index}] is not inside a list"));
                };
                if items.len() <= index {
                    items.resize(index + 1, Value::Null);
                }
                &mut items[index]
            }
        };
    }
    *place = value;
    Ok(())
}

/// The value at a dotted path.
pub fn get_path<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    segments(path)
        .ok()?
        .into_iter()
        .try_fold(object, |place, segment| match segment {
            Segment::Field(field) => place.get(field),
            Segment::Index(index) => place.get(index),
        })
}

enum Segment {
    Field(String),
    Index(usize),
}

/// Splits a path: fields by dots, indices and quoted or dotted field names in brackets.
fn segments(path: &str) -> Result<Vec<Segment>, String> {
    const MAX_INDEX: usize = 1024;
    let mut found = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (inner, after) = tail
                .split_once(']')
                .ok_or_else(|| format!("{path}: `[` is not closed"))?;
            found.push(match inner.parse::<usize>() {
                Ok(index) if index <= MAX_INDEX => Segment::Index(index),
                Ok(index) => return Err(format!("{path}: index {index} is too large")),
                Err(_) => Segment::Field(inner.trim_matches(['"', '\'']).to_owned()),
            });
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (field, after) = rest.split_at(end);
            if field.is_empty() {
                return Err(format!("{path}: a field name is missing"));
            }
            found.push(Segment::Field(field.to_owned()));
            rest = after.strip_prefix('.').unwrap_or(after);
        }
    }
    if found.is_empty() {
        Err("the path is empty".to_owned())
    } else {
        Ok(found)
    }
}
