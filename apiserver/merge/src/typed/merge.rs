//! Lays one value over another. Nothing is removed; where both have a leaf, the upper one counts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::item_element;
use crate::path::PathElement;
use crate::schema::{Kind, ListType, MapType, Schema, TypeRef};

pub(crate) fn merge(schema: &Schema, lower: &Value, upper: &Value) -> Value {
    Walker { schema }
        .visit(schema.root(), Some(lower), Some(upper))
        .unwrap_or(Value::Null)
}

struct Walker<'s> {
    schema: &'s Schema,
}

fn is_empty_map(value: Option<&Value>) -> bool {
    value.and_then(Value::as_object).is_none_or(Map::is_empty)
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

impl Walker<'_> {
    fn visit(&self, of: TypeRef, lower: Option<&Value>, upper: Option<&Value>) -> Option<Value> {
        let shape = self.schema.resolve(of);
        let shape = if upper.is_some() {
            shape.narrow(upper)
        } else {
            shape.narrow(lower)
        };
        match shape.kind() {
            Kind::Map { of, atomic: false } if !is_empty_map(lower) || !is_empty_map(upper) => self
                .maps(
                    of,
                    lower.and_then(Value::as_object),
                    upper.and_then(Value::as_object),
                ),
            Kind::List(of)
                if !(of.atomic || items(lower).is_empty() && items(upper).is_empty()) =>
            {
                let out = self.lists(of, items(lower), items(upper));
                (!out.is_empty()).then_some(Value::Array(out))
            }
            // Empty against missing is told apart by taking such a value as a whole.
            _ => upper.or(lower).cloned(),
        }
    }

    fn maps(
        &self,
        of: &MapType,
        lower: Option<&Map<String, Value>>,
        upper: Option<&Map<String, Value>>,
    ) -> Option<Value> {
        let mut out = Map::new();
        let names: BTreeSet<&String> = lower.into_iter().chain(upper).flat_map(Map::keys).collect();
        for name in names {
            let below = lower.and_then(|map| map.get(name));
            let above = upper.and_then(|map| map.get(name));
            let merged = match of.field_type(name) {
                Some(field) => self.visit(field, below, above),
                None => above.or(below).cloned(),
            };
            if let Some(merged) = merged {
                out.insert(name.clone(), merged);
            }
        }
        (!out.is_empty()).then_some(Value::Object(out))
    }

    /// Merges associative lists. Items of both take the order of the upper list; items of the lower
    /// list keep their place between them.
    fn lists(&self, of: &ListType, lower: &[Value], upper: &[Value]) -> Vec<Value> {
        let lower = Indexed::new(self.schema, of, lower);
        let upper = Indexed::new(self.schema, of, upper);
        let mut shared: VecDeque<_> = upper
            .order
            .iter()
            .filter(|(element, _)| lower.by_key.contains_key(element))
            .map(|(element, _)| element)
            .collect();
        let mut next_shared = shared.pop_front();
        let mut done = BTreeSet::new();
        let mut out = Vec::with_capacity(lower.order.len().max(upper.order.len()));
        let (mut l, mut u) = (0, 0);
        while l < lower.order.len() || u < upper.order.len() {
            if let (Some((left, _)), Some((right, _))) = (lower.order.get(l), upper.order.get(u)) {
                if left == right {
                    done.insert(left);
                    out.extend(self.visit(of.items, lower.get(left), upper.get(left)));
                    l += 1;
                    u += 1;
                    next_shared = shared.pop_front();
                    continue;
                }
                if upper.by_key.contains_key(left) && next_shared.is_some_and(|next| next != left) {
                    // Shared, but its turn comes later in the upper list.
                    l += 1;
                    continue;
                }
            }
            if let Some((left, item)) = lower.order.get(l) {
                if !upper.by_key.contains_key(left) {
                    out.extend(self.visit(of.items, Some(item), None));
                    l += 1;
                    continue;
                }
                if done.contains(left) {
                    l += 1;
                }
            }
            if let Some((right, _)) = upper.order.get(u) {
                done.insert(right);
                out.extend(self.visit(of.items, lower.get(right), upper.get(right)));
                u += 1;
                if next_shared == Some(right) {
                    next_shared = shared.pop_front();
                }
            }
        }
        out
    }
}

/// A list with its keys, in order and by key. Items that share a key are not merged: by key they
/// are null.
struct Indexed<'v> {
    order: Vec<(PathElement, &'v Value)>,
    by_key: BTreeMap<PathElement, &'v Value>,
}

impl<'v> Indexed<'v> {
    fn new(schema: &Schema, of: &ListType, items: &'v [Value]) -> Self {
        let mut order = Vec::with_capacity(items.len());
        let mut by_key = BTreeMap::new();
        for item in items {
            let Ok(element) = item_element(schema, of, item) else {
                continue;
            };
            by_key
                .entry(element.clone())
                .and_modify(|item| *item = &Value::Null)
                .or_insert(item);
            order.push((element, item));
        }
        Self { order, by_key }
    }

    fn get(&self, element: &PathElement) -> Option<&'v Value> {
        self.by_key.get(element).copied()
    }
}
