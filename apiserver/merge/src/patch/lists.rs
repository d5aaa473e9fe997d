//! Strategic merge patch: lists that are merged, by key or as sets.

use serde_json::Value;

use super::PatchError;
use super::strategic::{DIRECTIVE, Lookup, Merger, Object, added, unknown_directive};
use crate::value::{go_plain, go_type};

impl Merger<'_> {
    /// Merges two lists whose strategy is `merge`.
    pub(super) fn lists(
        &self,
        original: Vec<Value>,
        patch: Vec<Value>,
        lookup: &Lookup,
    ) -> Result<Vec<Value>, PatchError> {
        if original.is_empty() && patch.is_empty() {
            return Ok(original);
        }
        if !has_maps(&original, &patch)? {
            return merge_sets(original, patch);
        }
        let key = lookup.merge_key.as_str();
        if key.is_empty() {
            return Err(PatchError::Unfit(
                "cannot merge lists without merge key for struct".to_owned(),
            ));
        }
        let (original, patch) = carry_out_directives(original, patch, key)?;
        let mut merged = original.clone();
        for item in &patch {
            let Value::Object(fields) = item else {
                continue;
            };
            let value = fields.get(key).ok_or_else(|| no_merge_key(fields, key))?;
            match position(&merged, key, value)? {
                Some(at) => {
                    if let Value::Object(current) = merged[at].take() {
                        merged[at] =
                            Value::Object(self.maps(current, fields.clone(), lookup.of)?);
                    }
                }
                None => merged.extend(added(item.clone())),
            }
        }
        in_order(merged, &patch, &original, key)
    }
}

/// `$patch: delete` takes an item out, `$patch: replace` drops all that were there. Returns the
/// list and the rest of the patch.
fn carry_out_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut replace = false;
    let mut plain = Vec::with_capacity(patch.len());
    for item in patch {
        let Value::Object(fields) = &item else {
            continue;
        };
        match fields.get(DIRECTIVE) {
            None => plain.push(item),
            Some(Value::String(directive)) if directive == "delete" => {
                let value = fields.get(key).ok_or_else(|| no_merge_key(fields, key))?;
                while let Some(at) = position(&original, key, value)? {
                    original.remove(at);
                }
            }
            Some(Value::String(directive)) if directive == "replace" => replace = true,
            Some(Value::String(directive)) if directive == "merge" => {
                return Err(PatchError::Unfit(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            Some(other) => {
                let mut rest = fields.clone();
                rest.remove(DIRECTIVE);
                return Err(unknown_directive(other, &rest));
            }
        }
    }
    if replace {
        return Ok((plain.into_iter().filter_map(added).collect(), Vec::new()));
    }
    Ok((original, plain))
}

fn merge_sets(original: Vec<Value>, patch: Vec<Value>) -> Result<Vec<Value>, PatchError> {
    let mut merged: Vec<Value> = Vec::with_capacity(original.len() + patch.len());
    for item in original.iter().chain(&patch) {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    in_order(merged, &patch, &original, "")
}

/// Whether the items are maps. All items of both lists must be of one kind.
fn has_maps(original: &[Value], patch: &[Value]) -> Result<bool, PatchError> {
    let mut kinds = original.iter().chain(patch).map(go_type);
    let first = kinds.next().unwrap_or_default();
    if first == "[]interface {}" {
        return Err(PatchError::Unprocessable(
            "lists of lists are not supported".to_owned(),
        ));
    }
    if kinds.any(|kind| kind != first) {
        let lists = [original, patch].map(|list| go_plain(&Value::Array(list.to_vec())));
        return Err(PatchError::Unfit(format!(
            "list element types are not identical: [{}]",
            lists.join(" ")
        )));
    }
    Ok(first == "map[string]interface {}")
}

fn no_merge_key(fields: &Object, key: &str) -> PatchError {
    PatchError::Unfit(format!(
        "map: {} does not contain declared merge key: {key}",
        go_plain(&Value::Object(fields.clone()))
    ))
}

/// Where the item with this key is.
fn position(items: &[Value], key: &str, value: &Value) -> Result<Option<usize>, PatchError> {
    for (at, item) in items.iter().enumerate() {
        let Value::Object(fields) = item else {
            return Err(PatchError::Unfit(format!(
                "value for key {at} is not a map"
            )));
        };
        if fields.get(key) == Some(value) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// What identifies an item: its merge key, or in a set the item itself.
fn identity<'v>(item: &'v Value, key: &str) -> Result<&'v Value, PatchError> {
    if key.is_empty() {
        return Ok(item);
    }
    match item {
        Value::Object(fields) => fields.get(key).ok_or_else(|| no_merge_key(fields, key)),
        other => Err(PatchError::Unfit(format!(
            "expected a map[string]interface {{}}, but received a {}",
            go_type(other)
        ))),
    }
}

fn index(items: &[Value], wanted: &Value, key: &str) -> Option<usize> {
    items
        .iter()
        .position(|item| identity(item, key).is_ok_and(|found| found == wanted))
}

/// Puts a merged list in order: items that `order` names as it says, the others as in the original
/// list, and both kinds mixed as the original list has them.
pub(super) fn in_order(
    merged: Vec<Value>,
    order: &[Value],
    original: &[Value],
    key: &str,
) -> Result<Vec<Value>, PatchError> {
    for item in merged.iter().chain(order) {
        identity(item, key)?;
    }
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in merged {
        let wanted = identity(&item, key)?;
        let (at, before) = (index(order, wanted, key), index(original, wanted, key));
        match at {
            Some(at) => named.push((at, before, item)),
            None => others.push((before, item)),
        }
    }
    named.sort_by_key(|(at, ..)| *at);
    others.sort_by_key(|(before, _)| before.unwrap_or(usize::MAX));
    let mut out = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, before, item) in named {
        while let (Some(at), Some((Some(other), _))) = (before, others.peek())
            && *other < at
        {
            out.extend(others.next().map(|(_, item)| item));
        }
        out.push(item);
    }
    out.extend(others.map(|(_, item)| item));
    Ok(out)
}

/// The patch must list its items in the order that it asks for.
pub(super) fn check_order(patch: &[Value], order: &[Value], key: &str) -> Result<(), PatchError> {
    if order.is_empty() {
        return Ok(());
    }
    let mut order_left = order.iter();
    for item in patch {
        if item.get(DIRECTIVE).is_some() {
            continue;
        }
        let wanted = identity(item, key)?;
        let mut found = false;
        for next in order_left.by_ref() {
            if identity(next, key)? == wanted {
                found = true;
                break;
            }
        }
        if !found {
            return Err(PatchError::Unfit(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                go_plain(&Value::Array(patch.to_vec())),
                go_plain(&Value::Array(order.to_vec()))
            )));
        }
    }
    Ok(())
}
