//! Carries a field set over to a schema that changed since the set was written: what was owned below
//! a list or map that is atomic now becomes ownership of the whole. The other direction needs
//! nothing: the owner of the whole keeps it.

use crate::path::PathElement;
use crate::schema::{Kind, Schema, TypeRef};
use crate::set::{FieldSet, Node};

/// The set in terms of the schema, or `None` when nothing changed.
pub(crate) fn reconcile(schema: &Schema, set: &FieldSet) -> Option<FieldSet> {
    children(schema, schema.root(), set)
}

fn children(schema: &Schema, of: TypeRef, set: &FieldSet) -> Option<FieldSet> {
    let kind = schema.resolve(of).kind();
    let child_type = |element: &PathElement| match (kind, element) {
        (Kind::Map { of, .. }, PathElement::Field(name)) => of.field_type(name),
        (Kind::Map { of, .. }, _) => of.others,
        (Kind::List(of), _) => Some(of.items),
        _ => None,
    };
    let mut out: Option<FieldSet> = None;
    for (element, child) in set.nodes() {
        let Some(of) = child_type(element) else {
            continue;
        };
        if let Some(changed) = node(schema, of, child) {
            out.get_or_insert_with(|| set.clone())
                .put(element.clone(), changed);
        }
    }
    out
}

fn node(schema: &Schema, of: TypeRef, current: &Node) -> Option<Node> {
    let whole = current.member && current.children.is_empty();
    match schema.resolve(of).kind() {
        Kind::List(of) if of.atomic => (!whole).then(Node::leaf),
        Kind::Map { of, .. } if of.is_deduced(schema) => None,
        Kind::Map { atomic: true, .. } => (!current.children.is_empty()).then(Node::leaf),
        Kind::Map { .. } | Kind::List(_) => Some(Node {
            member: current.member,
            children: children(schema, of, &current.children)?,
        }),
        Kind::Scalar(_) | Kind::Nothing => None,
    }
}
