//! The tree of a structural schema.

use super::check;
use super::constraints::Constraints;
use super::rules::Rules;
use crate::field::{Error, Errors};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The JSON type that a node specifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Text,
    Integer,
    Number,
    Boolean,
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::Text,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::Text => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// How items of a list relate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum ListType {
    #[default]
    Atomic,
    Set,
    /// Items are objects with these keys.
    Map(Vec<String>),
}

/// What properties other than the named ones are.
#[derive(Debug, Default)]
pub(super) enum Additional {
    /// Not specified: unknown fields are pruned.
    #[default]
    None,
    /// Anything.
    Any,
    Of(Box<Node>),
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// The JSON types that a value may have; none means any.
    pub(super) kinds: &'static [Kind],
    pub(super) nullable: bool,
    pub(super) preserve: bool,
    pub(super) embedded: bool,
    pub(super) properties: BTreeMap<String, Node>,
    pub(super) items: Option<Box<Node>>,
    pub(super) additional: Additional,
    pub(super) default: Option<Value>,
    pub(super) list: ListType,
    pub(super) constraints: Constraints,
    pub(super) rules: Option<Rules>,
}

impl Node {
    /// Does this node or one below it have CEL rules?
    pub(super) fn has_rules(&self) -> bool {
        self.rules.is_some()
            || self.properties.values().any(Self::has_rules)
            || self.items.as_deref().is_some_and(Self::has_rules)
            || matches!(&self.additional, Additional::Of(node) if node.has_rules())
    }

    /// The node of a field of an object.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Of(node) => Some(node),
            _ => None,
        })
    }

    /// The value that corresponds to `item` in the old list; only lists of type map can tell.
    pub(super) fn correlate<'a>(&self, item: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
        let (ListType::Map(keys), Some(old)) = (&self.list, old) else {
            return None;
        };
        let of_item = self.key_of(item, keys);
        old.as_array()?
            .iter()
            .find(|o| self.key_of(o, keys) == of_item)
    }

    /// The key of an item of a list of type map; defaults of key fields count.
    pub(super) fn key_of(&self, item: &Value, keys: &[String]) -> Map<String, Value> {
        let default = |key: &str| self.items.as_ref()?.properties.get(key)?.default.as_ref();
        keys.iter()
            .filter_map(|key| Some((key.clone(), item.get(key).or_else(|| default(key))?.clone())))
            .collect()
    }
}

/// Parses a schema and all below it. What is not structural goes to `errors`.
pub(super) fn parse(schema: &Value, path: &str, errors: &mut Errors) -> Node {
    check::root(schema, path, errors);
    build(schema, path, errors)
}

fn build(schema: &Value, path: &str, errors: &mut Errors) -> Node {
    let flag = |name: &str| schema.get(name) == Some(&Value::Bool(true));
    let child = |inner: &Value, name: &str, errors: &mut Errors| {
        Box::new(build(inner, &format!("{path}.{name}"), errors))
    };
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let properties = properties
        .map(|(name, inner)| {
            (
                name.clone(),
                build(inner, &format!("{path}.properties[{name}]"), errors),
            )
        })
        .collect();
    let items = schema
        .get("items")
        .filter(|i| i.is_object())
        .map(|inner| child(inner, "items", errors));
    let additional = match schema.get("additionalProperties") {
        Some(Value::Bool(true)) => Additional::Any,
        Some(inner @ Value::Object(_)) => {
            Additional::Of(child(inner, "additionalProperties", errors))
        }
        _ => Additional::None,
    };
    let node = Node {
        kinds: kinds(schema),
        nullable: flag("nullable"),
        preserve: flag("x-kubernetes-preserve-unknown-fields"),
        embedded: flag("x-kubernetes-embedded-resource"),
        properties,
        items,
        additional,
        default: schema.get("default").filter(|d| !d.is_null()).cloned(),
        list: list_type(schema),
        constraints: Constraints::parse(schema, path, errors),
        rules: Rules::compile(schema, path, errors),
    };
    check_default(&node, path, errors);
    node
}

/// A default must itself be what the schema asks for.
fn check_default(node: &Node, path: &str, errors: &mut Errors) {
    let Some(default) = &node.default else { return };
    let at = format!("{path}.default");
    let mut filled = default.clone();
    super::default::default(&mut filled, node);
    for mut error in super::validate::validate(&filled, None, node) {
        error.field = match error.field.as_str() {
            "<nil>" => at.clone(),
            below => format!("{at}.{below}"),
        };
        errors.push(error);
    }
    let mut pruned = default.clone();
    let unknown = super::prune::prune_value(&mut pruned, node);
    if !unknown.is_empty() {
        let detail = format!(
            "must not have fields that the schema does not specify: {}",
            unknown.join(", ")
        );
        errors.push(Error::invalid(at, default.clone(), detail));
    }
}

fn kinds(schema: &Value) -> &'static [Kind] {
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        return &[Kind::Integer, Kind::Text];
    }
    let kind = schema
        .get("type")
        .and_then(Value::as_str)
        .and_then(Kind::of);
    kind.map_or(&[], |kind| match kind {
        Kind::Object => &[Kind::Object],
        Kind::Array => &[Kind::Array],
        Kind::Text => &[Kind::Text],
        Kind::Integer => &[Kind::Integer],
        Kind::Number => &[Kind::Number],
        Kind::Boolean => &[Kind::Boolean],
    })
}

fn list_type(schema: &Value) -> ListType {
    let keys = || {
        let keys = schema
            .get("x-kubernetes-list-map-keys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        keys.filter_map(|k| k.as_str().map(str::to_owned)).collect()
    };
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(keys()),
        _ => ListType::Atomic,
    }
}
