//! Whether a value fits its schema. Only what merging needs: types, declared fields, list keys.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{TypeError, TypeErrors, item_element};
use crate::path::PathElement;
use crate::schema::{Kind, ListType, MapType, ScalarType, Schema, TypeRef};
use crate::value::{go_plain, go_syntax, go_type};

/// Whether two items of an associative list may have the same key. Stored objects may hold such
/// lists (written before the list became associative); applied ones may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duplicates {
    Allowed,
    Refused,
}

pub(crate) fn validate(
    schema: &Schema,
    value: &Value,
    duplicates: Duplicates,
) -> Result<(), TypeErrors> {
    let mut walker = Walker {
        schema,
        duplicates,
        errors: Vec::new(),
    };
    walker.visit(schema.root(), value, &mut String::new());
    if walker.errors.is_empty() {
        Ok(())
    } else {
        Err(TypeErrors(walker.errors))
    }
}

struct Walker<'s> {
    schema: &'s Schema,
    duplicates: Duplicates,
    errors: Vec<TypeError>,
}

impl Walker<'_> {
    fn fail(&mut self, path: &str, message: impl Into<String>) {
        self.errors.push(TypeError {
            path: path.to_owned(),
            message: message.into(),
        });
    }

    fn visit(&mut self, of: TypeRef, value: &Value, path: &mut String) {
        match (self.schema.resolve(of).narrow(Some(value)).kind(), value) {
            (Kind::Nothing, _) => self.fail(path, "schema error: invalid atom: inlined"),
            (_, Value::Null) => {}
            (Kind::Map { of, .. }, Value::Object(map)) => self.map(of, map, path),
            (Kind::Map { .. }, other) => {
                self.fail(path, format!("expected map, got &{{{}}}", go_plain(other)));
            }
            (Kind::List(of), Value::Array(items)) => self.list(of, items, path),
            (Kind::List(_), other) => {
                self.fail(path, format!("expected list, got &{{{}}}", go_plain(other)));
            }
            (Kind::Scalar(of), value) => self.scalar(of, value, path),
        }
    }

    fn scalar(&mut self, of: ScalarType, value: &Value, path: &str) {
        let message = match (of, value) {
            (ScalarType::Numeric, Value::Number(_))
            | (ScalarType::Text, Value::String(_))
            | (ScalarType::Boolean, Value::Bool(_))
            | (ScalarType::Untyped, Value::Number(_) | Value::String(_) | Value::Bool(_)) => return,
            (ScalarType::Numeric, other) => {
                format!("expected numeric (int or float), got {}", go_type(other))
            }
            (ScalarType::Text, other) => format!(
                "expected string, got &value.valueUnstructured{{Value:{}}}",
                go_syntax(other)
            ),
            (ScalarType::Boolean, other) => {
                format!("expected boolean, got &{{{}}}", go_plain(other))
            }
            (ScalarType::Untyped, other) => {
                format!("expected any scalar, got &{{{}}}", go_plain(other))
            }
        };
        self.fail(path, message);
    }

    fn map(&mut self, of: &MapType, map: &Map<String, Value>, path: &mut String) {
        let length = path.len();
        for (name, value) in map {
            path.push('.');
            path.push_str(name);
            match of.field_type(name) {
                Some(field) => self.visit(field, value, path),
                None => self.fail(path, "field not declared in schema"),
            }
            path.truncate(length);
        }
    }

    fn list(&mut self, of: &ListType, items: &[Value], path: &mut String) {
        let mut seen = BTreeSet::new();
        let length = path.len();
        for (position, item) in items.iter().enumerate() {
            let element = if of.atomic {
                PathElement::Index(i64::try_from(position).unwrap_or(i64::MAX))
            } else {
                match item_element(self.schema, of, item) {
                    Ok(element) => element,
                    Err(reason) => {
                        self.fail(path, format!("element {position}: {reason}"));
                        return;
                    }
                }
            };
            path.push_str(&element.to_string());
            self.visit(of.items, item, path);
            path.truncate(length);
            if !of.atomic && self.duplicates == Duplicates::Refused && seen.contains(&element) {
                self.fail(path, format!("duplicate entries for key {element}"));
            }
            seen.insert(element);
        }
    }
}
