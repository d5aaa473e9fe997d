//! Takes fields and list items out of a value.

use serde_json::{Map, Value};

use super::item_element;
use crate::path::PathElement;
use crate::schema::{Kind, ListType, MapType, Schema, TypeRef};
use crate::set::FieldSet;

/// The value without the members of the set. A map or list that becomes empty becomes null.
pub(crate) fn remove(schema: &Schema, value: Value, fields: &FieldSet) -> Value {
    Walker { schema }.visit(schema.root(), value, fields)
}

struct Walker<'s> {
    schema: &'s Schema,
}

impl Walker<'_> {
    fn visit(&self, of: TypeRef, value: Value, fields: &FieldSet) -> Value {
        match (self.schema.resolve(of).narrow(Some(&value)).kind(), value) {
            (Kind::Scalar(_), scalar) => scalar,
            (Kind::Map { of, atomic: false }, Value::Object(map)) => self.map(of, map, fields),
            (Kind::List(of), Value::Array(items)) if !of.atomic => self.list(of, items, fields),
            _ => Value::Null,
        }
    }

    fn map(&self, of: &MapType, map: Map<String, Value>, fields: &FieldSet) -> Value {
        let mut out = Map::new();
        for (name, value) in map {
            let kept = match fields.get(&PathElement::field(name.as_str())) {
                Some(node) if node.member => continue,
                Some(node) => of
                    .field_type(&name)
                    .map(|field| self.visit(field, value, &node.children))
                    .unwrap_or_default(),
                None => value,
            };
            out.insert(name, kept);
        }
        if out.is_empty() {
            Value::Null
        } else {
            Value::Object(out)
        }
    }

    fn list(&self, of: &ListType, items: Vec<Value>, fields: &FieldSet) -> Value {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let node = item_element(self.schema, of, &item).ok();
            match node.and_then(|element| fields.get(&element)) {
                Some(node) if node.member => {}
                Some(node) => out.push(self.visit(of.items, item, &node.children)),
                None => out.push(item),
            }
        }
        if out.is_empty() {
            Value::Null
        } else {
            Value::Array(out)
        }
    }
}
