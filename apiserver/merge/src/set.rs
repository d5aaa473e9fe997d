//! Sets of fields: the algebra that ownership is made of, and their JSON form `FieldsV1`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::path::{Path, PathElement, PathElementError};

/// A set of fields, kept as a tree. A field is a member on its own account: owning `spec.replicas`
/// does not mean owning `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: BTreeMap<PathElement, Node>,
}

/// One field and what is below it. Never stored empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// Whether the field itself is in the set.
    pub(crate) member: bool,
    /// The members below the field.
    pub(crate) children: FieldSet,
}

impl Node {
    pub(crate) fn leaf() -> Self {
        Self {
            member: true,
            children: FieldSet::default(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

impl FieldSet {
    /// The set without members.
    pub const EMPTY: Self = Self {
        nodes: BTreeMap::new(),
    };

    /// A set of paths of plain fields, for constants such as "the status".
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&Path::of_fields(path).0);
        }
        set
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many fields are members.
    pub fn len(&self) -> usize {
        self.nodes
            .values()
            .map(|node| usize::from(node.member) + node.children.len())
            .sum()
    }

    /// Adds one field. The empty path (the whole object) is never a member.
    pub fn insert(&mut self, path: &[PathElement]) {
        if let [element, rest @ ..] = path {
            let node = self.nodes.entry(element.clone()).or_default();
            if rest.is_empty() {
                node.member = true;
            } else {
                node.children.insert(rest);
            }
        }
    }

    /// Whether the field is a member.
    pub fn contains(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [element] => self.nodes.get(element).is_some_and(|node| node.member),
            [element, rest @ ..] => self
                .nodes
                .get(element)
                .is_some_and(|node| node.children.contains(rest)),
        }
    }

    pub(crate) fn get(&self, element: &PathElement) -> Option<&Node> {
        self.nodes.get(element)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&PathElement, &Node)> {
        self.nodes.iter()
    }

    pub(crate) fn put(&mut self, element: PathElement, node: Node) {
        if !node.is_empty() {
            self.nodes.insert(element, node);
        }
    }

    /// The members of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.extend(other);
        out
    }

    /// Adds the members of the other set.
    pub fn extend(&mut self, other: &Self) {
        for (element, node) in &other.nodes {
            if let Some(mine) = self.nodes.get_mut(element) {
                mine.member |= node.member;
                mine.children.extend(&node.children);
            } else {
                self.nodes.insert(element.clone(), node.clone());
            }
        }
    }

    fn combine(&self, other: &Self, mut pick: impl FnMut(&Node, Option<&Node>) -> Node) -> Self {
        let mut out = Self::default();
        for (element, node) in &self.nodes {
            let picked = pick(node, other.nodes.get(element));
            out.put(element.clone(), picked);
        }
        out
    }

    /// The members of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| {
            theirs.map_or_else(Node::default, |theirs| Node {
                member: mine.member && theirs.member,
                children: mine.children.intersection(&theirs.children),
            })
        })
    }

    /// The members that the other set does not have. Children of a member of the other stay.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| {
            theirs.map_or_else(
                || mine.clone(),
                |theirs| Node {
                    member: mine.member && !theirs.member,
                    children: mine.children.difference(&theirs.children),
                },
            )
        })
    }

    /// The members that are neither in the other set nor below one of its members.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.combine(other, |mine, theirs| match theirs {
            None => mine.clone(),
            Some(theirs) if theirs.member => Node::default(),
            Some(theirs) => Node {
                member: mine.member,
                children: mine.children.recursive_difference(&theirs.children),
            },
        })
    }

    /// The members that have no member below them.
    #[must_use]
    pub fn leaves(&self) -> Self {
        let nodes = self.nodes.iter().map(|(element, node)| {
            let leaf = Node {
                member: node.member && node.children.is_empty(),
                children: node.children.leaves(),
            };
            (element.clone(), leaf)
        });
        Self {
            nodes: nodes.collect(),
        }
    }

    /// All members, those of one level before those below them, as Kubernetes lists conflicts.
    pub fn paths(&self) -> Vec<Path> {
        let mut out = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut out);
        out
    }

    fn collect_paths(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<Path>) {
        for (element, node) in &self.nodes {
            if node.member {
                let mut path = prefix.clone();
                path.push(element.clone());
                out.push(Path(path));
            }
        }
        for (element, node) in &self.nodes {
            if !node.children.is_empty() {
                prefix.push(element.clone());
                node.children.collect_paths(prefix, out);
                prefix.pop();
            }
        }
    }

    /// The `FieldsV1` form: a tree of path elements; `"."` marks a parent that is itself a member.
    pub fn to_fields_v1(&self) -> Value {
        Value::Object(self.encode(false))
    }

    fn encode(&self, own: bool) -> Map<String, Value> {
        let mut out = Map::new();
        if own && !self.is_empty() {
            out.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, node) in &self.nodes {
            out.insert(
                element.encode(),
                Value::Object(node.children.encode(node.member)),
            );
        }
        out
    }

    /// Reads the `FieldsV1` form. Elements of an unknown type are left out, as Kubernetes does.
    ///
    /// # Errors
    /// When the value is no tree of objects, or a path element is malformed.
    pub fn from_fields_v1(fields: &Value) -> Result<Self, PathElementError> {
        Ok(Node::decode(fields)?.children)
    }
}

impl Node {
    fn decode(fields: &Value) -> Result<Self, PathElementError> {
        let Value::Object(map) = fields else {
            return Err(PathElementError::Malformed {
                text: fields.to_string(),
                reason: "expected an object of path elements".to_owned(),
            });
        };
        let mut node = Self::default();
        for (key, value) in map {
            if key == "." {
                node.member = true;
                continue;
            }
            match PathElement::decode(key) {
                Ok(element) => node.children.put(element, Self::decode(value)?),
                Err(PathElementError::UnknownType(_)) => {}
                Err(error) => return Err(error),
            }
        }
        // An entry without children stands for itself.
        node.member |= node.children.is_empty();
        Ok(node)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(fields: &Value) -> FieldSet {
        FieldSet::from_fields_v1(fields).unwrap()
    }

    #[test]
    fn fields_v1_keeps_its_form() {
        let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}, "f:set": {"v:\"x\"": {}}}});
        assert_eq!(set(&fields).to_fields_v1(), fields);
        assert_eq!(set(&fields).len(), 5);
        assert_eq!(set(&json!({})), FieldSet::default());
    }

    #[test]
    fn unknown_elements_are_left_out_and_malformed_ones_refused() {
        assert_eq!(
            set(&json!({"z:new": {}, "f:a": {}})),
            set(&json!({"f:a": {}}))
        );
        assert!(FieldSet::from_fields_v1(&json!({"v:{": {}})).is_err());
        assert!(FieldSet::from_fields_v1(&json!({"f:a": 1})).is_err());
    }

    #[test]
    fn difference_keeps_children_and_recursive_difference_drops_them() {
        let a = set(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        let b = set(&json!({"f:a": {}}));
        assert_eq!(
            a.difference(&b),
            set(&json!({"f:a": {"f:b": {}}, "f:c": {}}))
        );
        assert_eq!(a.recursive_difference(&b), set(&json!({"f:c": {}})));
        assert_eq!(b.difference(&a), FieldSet::default());
    }

    #[test]
    fn leaves_are_members_without_members_below() {
        let a = set(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        assert_eq!(a.leaves(), set(&json!({"f:a": {"f:b": {}}, "f:c": {}})));
    }

    #[test]
    fn paths_list_a_level_before_what_is_below() {
        let a = set(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        let paths: Vec<_> = a.paths().iter().map(ToString::to_string).collect();
        assert_eq!(paths, [".a", ".c", ".a.b"]);
    }
}
