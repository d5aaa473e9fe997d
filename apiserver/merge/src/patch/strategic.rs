//! Strategic merge patch: maps and directives. Lists are in `lists`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::PatchError;
use crate::schema::{MapType, PatchMeta, Schema, TypeRef};
use crate::value::go_plain;

pub(super) const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

pub(super) type Object = Map<String, Value>;

/// What the schema says of a field: the type of its value (for a list: of its items), and how to
/// merge it.
pub(super) struct Lookup {
    pub(super) of: Option<TypeRef>,
    pub(super) replace: bool,
    pub(super) merge: bool,
    pub(super) merge_key: String,
}

pub(super) struct Merger<'s> {
    pub(super) schema: &'s Schema,
}

impl<'s> Merger<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        Self { schema }
    }

    pub(super) fn root(&self, object: Object, patch: Object) -> Result<Object, PatchError> {
        self.maps(object, patch, Some(self.schema.root()))
    }

    /// Merges a patch into a map. `of` is the type of the map, if known.
    pub(super) fn maps(
        &self,
        mut original: Object,
        mut patch: Object,
        of: Option<TypeRef>,
    ) -> Result<Object, PatchError> {
        if let Some(directive) = patch.remove(DIRECTIVE) {
            return match directive.as_str() {
                Some("replace") => Ok(patch),
                Some("delete") => Ok(Object::new()),
                _ => Err(unknown_directive(&directive, &patch)),
            };
        }
        retain_keys(&mut original, &mut patch)?;
        self.ordered_lists(&mut original, &mut patch, of)?;
        for (name, value) in patch {
            let deleted_items = name
                .starts_with(DELETE_FROM_LIST)
                .then(|| target(&name, DELETE_FROM_LIST, "primitive list"))
                .transpose()?;
            if let Some(target) = deleted_items {
                self.delete_items(&mut original, &target, value, of)?;
            } else {
                self.field(&mut original, name, value, of)?;
            }
        }
        Ok(original)
    }

    /// Merges the patch of one field.
    fn field(
        &self,
        original: &mut Object,
        name: String,
        patch: Value,
        of: Option<TypeRef>,
    ) -> Result<(), PatchError> {
        if patch.is_null() {
            original.remove(&name);
            return Ok(());
        }
        let merged = match (original.remove(&name), patch) {
            (Some(Value::Object(current)), Value::Object(patch)) => {
                let lookup = self.lookup(of, &name, false)?;
                Some(Value::Object(if lookup.replace {
                    patch
                } else {
                    self.maps(current, patch, lookup.of)?
                }))
            }
            (Some(Value::Array(current)), Value::Array(patch)) => {
                let lookup = self.lookup(of, &name, true)?;
                Some(Value::Array(if lookup.merge {
                    self.lists(current, patch, &lookup)?
                } else {
                    patch
                }))
            }
            (_, patch) => added(patch),
        };
        if let Some(merged) = merged {
            original.insert(name, merged);
        }
        Ok(())
    }

    /// `$deleteFromPrimitiveList/<name>`: takes scalars out of a list.
    fn delete_items(
        &self,
        original: &mut Object,
        name: &str,
        gone: Value,
        of: Option<TypeRef>,
    ) -> Result<(), PatchError> {
        if gone.is_null() {
            original.remove(name);
            return Ok(());
        }
        let (Some(Value::Array(current)), Value::Array(gone)) = (original.get_mut(name), gone)
        else {
            return Ok(());
        };
        self.lookup(of, name, true)?;
        current.retain(|item| !gone.contains(item));
        Ok(())
    }

    /// `$setElementOrder/<name>`: merges the list of that name and puts it in order. Takes both out
    /// of the patch.
    fn ordered_lists(
        &self,
        original: &mut Object,
        patch: &mut Object,
        of: Option<TypeRef>,
    ) -> Result<(), PatchError> {
        let directives: Vec<String> = patch
            .keys()
            .filter(|name| name.starts_with(SET_ORDER))
            .cloned()
            .collect();
        for directive in directives {
            let order = list(patch.remove(&directive).unwrap_or_default())?;
            let name = target(&directive, SET_ORDER, "setElementOrder list")?;
            let current = original.get(&name).cloned().map(list).transpose()?;
            let patched = patch.get(&name).cloned().map(list).transpose()?;
            let lookup = self.lookup(of, &name, true)?;
            super::lists::check_order(
                patched.as_deref().unwrap_or_default(),
                &order,
                &lookup.merge_key,
            )?;
            let merged = match (&current, patched) {
                (None, None) => continue,
                (Some(current), None) => current.clone(),
                (None, Some(patched)) => patched.into_iter().filter_map(added).collect(),
                (Some(current), Some(patched)) if lookup.merge => {
                    self.lists(current.clone(), patched, &lookup)?
                }
                (Some(_), Some(patched)) => patched,
            };
            let current = current.unwrap_or_default();
            let ordered = super::lists::in_order(merged, &order, &current, &lookup.merge_key)?;
            original.insert(name.clone(), Value::Array(ordered));
            patch.remove(&name);
        }
        Ok(())
    }

    /// What the schema says of a field of a type. Below an unknown type everything is unknown.
    fn lookup(&self, of: Option<TypeRef>, name: &str, items: bool) -> Result<Lookup, PatchError> {
        let map: Option<(&MapType, TypeRef)> =
            of.and_then(|of| Some((self.schema.resolve(of).map()?, of)));
        let none = PatchMeta::default();
        let (field, meta) = match map {
            None => (None, &none),
            Some((map, of)) => match (map.fields.get(name), map.others) {
                (Some(field), _) => (Some(field.of), &field.patch),
                (None, Some(others)) => (Some(others), &none),
                (None, None) => {
                    return Err(PatchError::Unfit(format!(
                        "unable to find api field in struct {} for the json field {name:?}",
                        self.schema.name(of)
                    )));
                }
            },
        };
        let of = match (field, items) {
            (Some(field), true) => self.schema.resolve(field).list().map(|list| list.items),
            (field, _) => field,
        };
        let has = |strategy: &str| meta.strategies.iter().any(|s| s == strategy);
        Ok(Lookup {
            of,
            replace: has("replace"),
            merge: has("merge"),
            merge_key: meta.merge_key.clone(),
        })
    }
}

fn list(value: Value) -> Result<Vec<Value>, PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(PatchError::Unfit(format!(
            "expected a []interface {{}}, but received a {}",
            crate::value::go_type(&other)
        ))),
    }
}

/// The field that a directive such as `$setElementOrder/ports` is about.
fn target(directive: &str, prefix: &str, what: &str) -> Result<String, PatchError> {
    match directive.split_once('/') {
        Some((head, name)) if head == prefix => Ok(name.to_owned()),
        _ => Err(PatchError::BadRequest(format!(
            "invalid patch format of {what}"
        ))),
    }
}

pub(super) fn unknown_directive(directive: &Value, patch: &Object) -> PatchError {
    let mut map = patch.clone();
    map.insert(DIRECTIVE.to_owned(), directive.clone());
    PatchError::Unfit(format!(
        "unknown patch type: {} in map: {}",
        go_plain(directive),
        go_plain(&Value::Object(map))
    ))
}

/// `$retainKeys`: fields that are not listed go.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let malformed = || PatchError::BadRequest("invalid patch format of retainKeys".to_owned());
    let Some(keys) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let Value::Array(keys) = keys else {
        return Err(malformed());
    };
    let keys: BTreeSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    for (name, value) in patch.iter() {
        let directive = name.starts_with(DELETE_FROM_LIST) || name.starts_with(SET_ORDER);
        if !value.is_null() && !directive && !keys.contains(name.as_str()) {
            return Err(malformed());
        }
    }
    original.retain(|name, _| keys.contains(name.as_str()));
    Ok(())
}

/// A part of the patch that the object does not have, as it is stored: without nulls and directives.
/// `None` when the part itself says that it is to be deleted.
pub(super) fn added(patch: Value) -> Option<Value> {
    match patch {
        Value::Object(map) => {
            if map.contains_key(DIRECTIVE) {
                return None;
            }
            let fields = map.into_iter().filter(|(name, value)| {
                let directive = name == RETAIN_KEYS
                    || [DELETE_FROM_LIST, SET_ORDER].iter().any(|prefix| {
                        name.strip_prefix(prefix)
                            .is_some_and(|rest| rest.starts_with('/'))
                    });
                !directive && !value.is_null()
            });
            let fields = fields.filter_map(|(name, value)| Some((name, added(value)?)));
            Some(Value::Object(fields.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(added).collect())),
        scalar => Some(scalar),
    }
}
