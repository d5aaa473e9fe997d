//! Structural schemas of custom resources: compiled once per version of a CRD, then used to prune, default and validate
//! every object.
//!
//! The rules and texts are those of Kubernetes' apiextensions server.

mod check;
mod constraints;
mod crd;
mod default;
mod fields;
mod format;
mod lists;
mod node;
mod prune;
mod rules;
mod validate;

pub use crd::{
    Column, CustomVersion, ScalePaths, accepted_conditions, default_crd, validate_crd,
    validate_crd_update, versions,
};

use crate::field::Errors;
use node::Node;
use serde_json::Value;

/// A compiled `openAPIV3Schema`.
#[derive(Debug)]
pub struct Schema {
    root: Node,
}

impl Schema {
    /// Compiles a schema that has passed [`validate_crd`]. `path` is where it stands, for errors.
    ///
    /// # Errors
    /// What keeps it from being structural.
    pub fn compile(schema: &Value, path: &str) -> Result<Self, Errors> {
        let mut errors = Errors::new();
        let root = node::parse(schema, path, &mut errors);
        if errors.is_empty() {
            Ok(Self { root })
        } else {
            Err(errors)
        }
    }

    /// Removes the fields that the schema does not specify. Gives their paths, in order.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut removed = crate::decode::prune_unknown_metadata(object);
        removed.extend(prune::prune(object, &self.root));
        removed
    }

    /// Fills in defaults.
    pub fn default(&self, object: &mut Value) {
        default::prune_nulls(object, &self.root);
        default::default(object, &self.root);
    }

    /// Everything that is wrong with the object. `old` is the stored object on updates: what did not change is not
    /// judged again (ratcheting), and transition rules see it.
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Errors {
        let mut errors = validate::validate(object, old, &self.root);
        errors.extend(prune::validate_embedded(object, &self.root));
        errors.extend(lists::validate(object, &self.root));
        if self.root.has_rules() {
            if errors.iter().any(rules::blocks) {
                errors.push(rules::not_checked());
            } else {
                errors.extend(rules::validate(object, old, &self.root));
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests;
