//! The merge schema of a kind: for each place of an object, whether it is a scalar, a list or a map,
//! and how two writers share it. Built from OpenAPI v3 (`Schema::from_openapi`,
//! `Schema::for_custom_resource`) or deduced from the object itself (`Schema::deduced`).

mod object_meta;
mod openapi;

use std::collections::BTreeMap;

use serde_json::Value;

pub use openapi::SchemaError;

/// The merge schema of one version of one kind.
#[derive(Clone, Debug)]
pub struct Schema {
    types: Vec<Atom>,
    root: TypeRef,
}

/// Index into [`Schema::types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TypeId(usize);

/// Any value; lists and maps inside are atomic.
const UNTYPED: TypeId = TypeId(0);
/// Any value; maps are merged field by field, lists are atomic.
const DEDUCED: TypeId = TypeId(1);

/// A use of a type. The place of use may override how the fields of a map relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TypeRef {
    id: TypeId,
    atomic: Option<bool>,
}

impl From<TypeId> for TypeRef {
    fn from(id: TypeId) -> Self {
        Self { id, atomic: None }
    }
}

/// What a place may hold: each part that is present is allowed.
#[derive(Clone, Debug, Default)]
struct Atom {
    scalar: Option<ScalarType>,
    list: Option<ListType>,
    map: Option<MapType>,
    /// The name of the component, if it is not written out at its place of use.
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarType {
    Numeric,
    Text,
    Boolean,
    Untyped,
}

#[derive(Clone, Debug)]
pub(crate) struct ListType {
    pub(crate) items: TypeRef,
    /// Written as a whole, by one owner.
    pub(crate) atomic: bool,
    /// Key fields of the items; empty for a set of scalars.
    pub(crate) keys: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MapType {
    pub(crate) fields: BTreeMap<String, Field>,
    /// Type of the fields that are not declared; `None`: they are not allowed.
    pub(crate) others: Option<TypeRef>,
    atomic: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) of: TypeRef,
    pub(crate) default: Option<Value>,
    pub(crate) patch: PatchMeta,
}

/// How a strategic merge patch treats a field (`x-kubernetes-patch-strategy`, `…-merge-key`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PatchMeta {
    pub(crate) strategies: Vec<String>,
    pub(crate) merge_key: String,
}

impl MapType {
    /// The type of a field, declared or not.
    pub(crate) fn field_type(&self, name: &str) -> Option<TypeRef> {
        self.fields.get(name).map(|field| field.of).or(self.others)
    }

    /// Whether every field is unknown and its type deduced.
    pub(crate) fn is_deduced(&self, schema: &Schema) -> bool {
        self.fields.is_empty()
            && self.others.is_some_and(|others| {
                let atom = &schema.types[others.id.0];
                others.id == DEDUCED
                    || (atom.name.is_none() && atom.scalar == Some(ScalarType::Untyped))
            })
    }
}

/// A type after looking at a value: which of its parts apply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'s> {
    scalar: Option<ScalarType>,
    list: Option<&'s ListType>,
    map: Option<(&'s MapType, bool)>,
}

/// The one part of a shape that decides.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'s> {
    Map { of: &'s MapType, atomic: bool },
    Scalar(ScalarType),
    List(&'s ListType),
    Nothing,
}

impl<'s> Shape<'s> {
    /// Narrows the type to the part that fits the value. A missing, null or unfitting value leaves
    /// it as it is.
    pub(crate) fn narrow(self, value: Option<&Value>) -> Self {
        let none = Shape {
            scalar: None,
            list: None,
            map: None,
        };
        match value {
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if self.scalar.is_some() => {
                Shape {
                    scalar: self.scalar,
                    ..none
                }
            }
            Some(Value::Array(_)) if self.list.is_some() => Shape {
                list: self.list,
                ..none
            },
            Some(Value::Object(_)) if self.map.is_some() => Shape {
                map: self.map,
                ..none
            },
            _ => self,
        }
    }

    /// Whether two narrowings of the same type kept the same parts.
    pub(crate) fn same_parts(self, other: Self) -> bool {
        self.scalar.is_some() == other.scalar.is_some()
            && self.list.is_some() == other.list.is_some()
            && self.map.is_some() == other.map.is_some()
    }

    pub(crate) fn kind(self) -> Kind<'s> {
        match self {
            Shape {
                map: Some((of, atomic)),
                ..
            } => Kind::Map { of, atomic },
            Shape {
                scalar: Some(scalar),
                ..
            } => Kind::Scalar(scalar),
            Shape {
                list: Some(list), ..
            } => Kind::List(list),
            _ => Kind::Nothing,
        }
    }

    pub(crate) fn map(self) -> Option<&'s MapType> {
        self.map.map(|(of, _)| of)
    }

    pub(crate) fn list(self) -> Option<&'s ListType> {
        self.list
    }
}

impl Schema {
    /// A schema that allows everything: maps are merged field by field, lists are atomic. For
    /// objects of which no schema is known.
    pub fn deduced() -> Self {
        let (types, root) = (common_types(), DEDUCED.into());
        Self { types, root }
    }

    /// The short name of a component, such as `PodSpec`.
    pub(crate) fn name(&self, of: TypeRef) -> &str {
        let name = self.types[of.id.0].name.as_deref().unwrap_or_default();
        name.rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn root(&self) -> TypeRef {
        self.root
    }

    pub(crate) fn resolve(&self, of: TypeRef) -> Shape<'_> {
        let atom = &self.types[of.id.0];
        Shape {
            scalar: atom.scalar,
            list: atom.list.as_ref(),
            map: atom
                .map
                .as_ref()
                .map(|map| (map, of.atomic.unwrap_or(map.atomic))),
        }
    }
}

fn common_types() -> Vec<Atom> {
    let any = |id: TypeId, atomic| Atom {
        scalar: Some(ScalarType::Untyped),
        list: Some(ListType {
            items: UNTYPED.into(),
            atomic: true,
            keys: Vec::new(),
        }),
        map: Some(MapType {
            fields: BTreeMap::new(),
            others: Some(id.into()),
            atomic,
        }),
        name: Some(String::new()),
    };
    vec![any(UNTYPED, true), any(DEDUCED, false)]
}
