//! Label and field selectors as they stand in URLs, with Kubernetes' grammar and error texts.

mod fields;
mod labels;
mod lexer;

pub use fields::{FieldRequirement, FieldSelector};
pub use labels::{LabelRequirement, LabelSelector};

/// Why a selector cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);

#[cfg(test)]
mod tests;
