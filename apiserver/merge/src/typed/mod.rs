//! Operations on a value together with its schema. All but `validate` expect a value that has been
//! validated; on another they leave out what they cannot place.

mod compare;
mod fields;
mod merge;
mod reconcile;
mod remove;
mod validate;

use std::fmt;

use serde_json::Value;

use crate::path::PathElement;
use crate::schema::{ListType, Schema};
use crate::value::Datum;

pub(crate) use compare::{Comparison, compare};
pub(crate) use fields::{field_set, with_named_parents};
pub(crate) use merge::merge;
pub(crate) use reconcile::reconcile;
pub(crate) use remove::remove;
pub(crate) use validate::{Duplicates, validate};

/// A place of a value that does not fit its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    /// The place, such as `.spec.ports[port=80].name`; empty for the whole object.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Every place of a value that does not fit its schema; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TypeErrors(
    /// The places, in the order of the schema walk.
    pub Vec<TypeError>,
);

impl fmt::Display for TypeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return only.fmt(f);
        }
        f.write_str("errors:")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

/// The path element of an item of an associative list: its key fields, or the value itself in a set.
fn item_element(schema: &Schema, list: &ListType, item: &Value) -> Result<PathElement, String> {
    if list.keys.is_empty() {
        return set_element(item);
    }
    let Value::Object(map) = item else {
        return Err(match item {
            Value::Null => "associative list with keys may not have a null element",
            _ => "associative list with keys may not have non-map elements",
        }
        .to_owned());
    };
    let fields = schema
        .resolve(list.items)
        .map()
        .ok_or("associative list may not have non-map types")?;
    let mut key: Vec<(String, Datum)> = Vec::with_capacity(list.keys.len());
    for name in &list.keys {
        let default = || fields.fields.get(name)?.default.as_ref();
        // A key field without value and default is left out: that names another item.
        if let Some(value) = map.get(name).or_else(default) {
            key.push((name.clone(), Datum(value.clone())));
        }
    }
    if key.is_empty() {
        let names: Vec<_> = list.keys.iter().map(|name| format!("{name:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            names.join(" ")
        ));
    }
    key.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(PathElement::Key(key))
}

fn set_element(item: &Value) -> Result<PathElement, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type"),
        Value::Array(_) => Err("not supported: associative list with lists as elements"),
        Value::Null => Err("associative list without keys has an element that's an explicit null"),
        scalar => return Ok(PathElement::Value(Datum(scalar.clone()))),
    }
    .map_err(str::to_owned)
}
