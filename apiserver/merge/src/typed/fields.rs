//! The set of fields that a value mentions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::item_element;
use crate::path::PathElement;
use crate::schema::{Kind, ListType, MapType, Schema, Shape, TypeRef};
use crate::set::{FieldSet, Node};

/// Every leaf and every list item that the value mentions.
pub(crate) fn field_set(schema: &Schema, value: &Value) -> FieldSet {
    Walker { schema }.visit(schema.root(), value).children
}

struct Walker<'s> {
    schema: &'s Schema,
}

impl Walker<'_> {
    fn visit(&self, of: TypeRef, value: &Value) -> Node {
        match self.schema.resolve(of).narrow(Some(value)).kind() {
            Kind::Scalar(_) | Kind::Map { atomic: true, .. } => Node::leaf(),
            Kind::List(of) if of.atomic => Node::leaf(),
            Kind::Map { of, .. } => value
                .as_object()
                .map_or_else(Node::default, |map| self.map(of, map)),
            Kind::List(of) => value
                .as_array()
                .map_or_else(Node::default, |items| self.list(of, items)),
            Kind::Nothing => Node::default(),
        }
    }

    fn map(&self, of: &MapType, map: &Map<String, Value>) -> Node {
        let mut node = Node::default();
        for (name, value) in map {
            let Some(field) = of.field_type(name) else {
                continue;
            };
            let mut child = self.visit(field, value);
            let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
            child.member |= empty || !of.fields.contains_key(name);
            node.children.put(PathElement::field(name.as_str()), child);
        }
        node
    }

    fn list(&self, of: &ListType, items: &[Value]) -> Node {
        let mut places: BTreeMap<PathElement, Node> = BTreeMap::new();
        let mut twice = BTreeSet::new();
        for item in items {
            let Ok(element) = item_element(self.schema, of, item) else {
                continue;
            };
            if places.contains_key(&element) {
                twice.insert(element);
                continue;
            }
            let mut child = self.visit(of.items, item);
            child.member = true;
            places.insert(element, child);
        }
        // Items that share a key are owned as one unit.
        for element in twice {
            places.insert(element, Node::leaf());
        }
        let mut node = Node::default();
        for (element, child) in places {
            node.children.put(element, child);
        }
        node
    }
}

/// The set with each declared field that has a member below it as a member, too. Declared fields
/// are not owned by mentioning what is in them; to prune a value they must count.
pub(crate) fn with_named_parents(schema: &Schema, set: &FieldSet) -> FieldSet {
    named_parents(schema, Some(schema.root()), set)
}

fn named_parents(schema: &Schema, of: Option<TypeRef>, set: &FieldSet) -> FieldSet {
    let shape = of.map(|of| schema.resolve(of));
    let map = shape.and_then(Shape::map);
    let list = shape.and_then(Shape::list);
    let mut out = FieldSet::default();
    for (element, node) in set.nodes() {
        let mut named = false;
        let below = match element {
            PathElement::Field(name) => map.and_then(|map| {
                named = map.fields.contains_key(name);
                map.field_type(name)
            }),
            PathElement::Key(_) => list.map(|list| list.items),
            _ => None,
        };
        let child = Node {
            member: node.member || (named && !node.children.is_empty()),
            children: named_parents(schema, below, &node.children),
        };
        out.put(element.clone(), child);
    }
    out
}
