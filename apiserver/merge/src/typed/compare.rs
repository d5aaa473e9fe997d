//! Which fields two versions of an object differ in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::item_element;
use crate::path::PathElement;
use crate::schema::{Kind, ListType, MapType, Schema, Shape, TypeRef};
use crate::set::{FieldSet, Node};
use crate::value::equal;

/// The difference of two values. No field is in more than one set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) removed: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) added: FieldSet,
}

impl Comparison {
    /// Leaves out fields, and everything below them.
    pub(crate) fn without(self, fields: &FieldSet) -> Self {
        if fields.is_empty() {
            return self;
        }
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }
}

pub(crate) fn compare(schema: &Schema, old: &Value, new: &Value) -> Comparison {
    let diff = Walker { schema }.visit(schema.root(), Some(old), Some(new));
    Comparison {
        removed: diff.removed.children,
        modified: diff.modified.children,
        added: diff.added.children,
    }
}

/// The comparison of one place: the place itself and what is below.
#[derive(Default)]
struct Diff {
    removed: Node,
    modified: Node,
    added: Node,
}

impl Diff {
    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.added.member = true,
            (_, None) => self.removed.member = true,
            (Some(old), Some(new)) if !equal(old, new) => self.modified.member = true,
            _ => {}
        }
    }

    /// Takes over the difference of a child; `element` is made only if there is one.
    fn child(&mut self, element: impl Fn() -> PathElement, child: Self) {
        for (mine, theirs) in [
            (&mut self.removed, child.removed),
            (&mut self.modified, child.modified),
            (&mut self.added, child.added),
        ] {
            if !theirs.is_empty() {
                mine.children.put(element(), theirs);
            }
        }
    }
}

fn items(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

struct Walker<'s> {
    schema: &'s Schema,
}

impl Walker<'_> {
    fn visit(&self, of: TypeRef, old: Option<&Value>, new: Option<&Value>) -> Diff {
        let mut diff = Diff::default();
        // Most of an object is as it was.
        if old.is_some() && old == new {
            return diff;
        }
        let shape = self.schema.resolve(of);
        let (before, after) = (shape.narrow(old), shape.narrow(new));
        let leaf = if new.is_none() {
            self.place(before, old, new, &mut diff)
        } else {
            // The value changed its type: what it was is removed, what it is now is added.
            if old.is_some() && !before.same_parts(after) {
                self.place(before, old, new, &mut diff);
            }
            self.place(after, old, new, &mut diff)
        };
        if !leaf {
            diff.added.member |= old.is_none();
            diff.removed.member |= old.is_some() && new.is_none();
        }
        diff
    }

    /// Compares a place as one kind of value. Returns whether it was compared as a whole.
    fn place(
        &self,
        as_shape: Shape<'_>,
        old: Option<&Value>,
        new: Option<&Value>,
        diff: &mut Diff,
    ) -> bool {
        match as_shape.kind() {
            Kind::Map { of, atomic: false } => {
                let (a, b) = (
                    old.and_then(Value::as_object),
                    new.and_then(Value::as_object),
                );
                if a.is_some_and(|m| !m.is_empty()) || b.is_some_and(|m| !m.is_empty()) {
                    self.maps(of, a, b, diff);
                    return false;
                }
            }
            Kind::List(of) if !of.atomic => {
                let (a, b) = (items(old), items(new));
                if !a.is_empty() || !b.is_empty() {
                    self.lists(of, a, b, diff);
                    return false;
                }
            }
            Kind::Nothing => return false,
            _ => {}
        }
        diff.leaf(old, new);
        true
    }

    fn maps(
        &self,
        of: &MapType,
        old: Option<&Map<String, Value>>,
        new: Option<&Map<String, Value>>,
        diff: &mut Diff,
    ) {
        let names: BTreeSet<&String> = old.into_iter().chain(new).flat_map(Map::keys).collect();
        for name in names {
            let Some(field) = of.field_type(name) else {
                continue;
            };
            let before = old.and_then(|map| map.get(name));
            let after = new.and_then(|map| map.get(name));
            let child = self.visit(field, before, after);
            diff.child(|| PathElement::field(name.as_str()), child);
        }
    }

    fn lists(&self, of: &ListType, old: &[Value], new: &[Value], diff: &mut Diff) {
        let mut places: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for item in old {
            if let Ok(element) = item_element(self.schema, of, item) {
                places.entry(element).or_default().0.push(item);
            }
        }
        for item in new {
            if let Ok(element) = item_element(self.schema, of, item) {
                places.entry(element).or_default().1.push(item);
            }
        }
        for (element, (before, after)) in places {
            let child = self.items(of, &before, &after);
            diff.child(|| element.clone(), child);
        }
    }

    /// Compares the items of one key. Several of them are compared as one unit.
    fn items(&self, of: &ListType, before: &[&Value], after: &[&Value]) -> Diff {
        match (before, after) {
            ([] | [_], [] | [_]) => {
                self.visit(of.items, before.first().copied(), after.first().copied())
            }
            ([_, _, ..], [_, _, ..]) => {
                let same = before.len() == after.len()
                    && before.iter().zip(after).all(|(a, b)| equal(a, b));
                let mut diff = Diff::default();
                diff.modified.member = !same;
                diff
            }
            ([_, _, ..], _) => {
                let mut diff = after
                    .first()
                    .map_or_else(Diff::default, |item| self.visit(of.items, None, Some(item)));
                diff.removed.member = true;
                diff
            }
            (_, _) => {
                let mut diff = before
                    .first()
                    .map_or_else(Diff::default, |item| self.visit(of.items, Some(item), None));
                diff.added.member = true;
                diff
            }
        }
    }
}
