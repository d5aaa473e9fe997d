//! Decoding of request bodies: JSON and YAML with an eye on repeated fields, and the check of an object against the
//! definition of its built-in kind, in the words of Go's decoder.

mod fields;
mod reader;
mod types;

pub use fields::{normalise, prune_unknown, prune_unknown_metadata};
pub use reader::{Decoded, Syntax, json, yaml};
pub use types::{check_metadata_types, check_types};

use crate::field::quote;

/// What clients are told when a body does not fit its kind.
///
/// `reason` is what [`check_types`] says, or [`strict`] of the repeated and unknown fields.
pub fn cannot_be_handled(kind: &str, version: &str, reason: &str) -> String {
    format!(
        "{kind} in version {} cannot be handled as a {kind}: {reason}",
        quote(version)
    )
}

/// All repeated and unknown fields in one reason: `strict decoding error: unknown field "spec.foo", …`.
pub fn strict(faults: &[String]) -> String {
    format!("strict decoding error: {}", faults.join(", "))
}

/// `unknown field "spec.foo"`
pub fn unknown(path: &str) -> String {
    format!("unknown field {}", quote(path))
}

#[cfg(test)]
mod tests;
