//! In which order the objects of one dispatch are written.

use serde_json::Value;

use crate::key::{group_of, text};

/// What others may need goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Namespaces.
    Namespace,
    /// `CustomResourceDefinitions`.
    Definition,
    /// Everything else.
    Other,
}

impl Rank {
    pub(crate) fn of(api_version: &str, kind: &str) -> Self {
        match (group_of(api_version), kind) {
            ("", "Namespace") => Self::Namespace,
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::Definition,
            _ => Self::Other,
        }
    }

    pub(crate) fn of_manifest(manifest: &Value) -> Self {
        Self::of(text(&manifest["apiVersion"]), text(&manifest["kind"]))
    }
}

/// Whether the kind that a `CustomResourceDefinition` of the same dispatch will serve lives in
/// namespaces.
pub(super) fn scope_from<'a>(
    mut manifests: impl Iterator<Item = &'a Value>,
    api_version: &str,
    kind: &str,
) -> Option<(String, bool)> {
    manifests.find_map(|manifest| {
        let spec = &manifest["spec"];
        let serves = Rank::of_manifest(manifest) == Rank::Definition
            && text(&spec["group"]) == group_of(api_version)
            && text(&spec["names"]["kind"]) == kind;
        serves.then(|| {
            (
                text(&spec["names"]["plural"]).to_owned(),
                text(&spec["scope"]) == "Namespaced",
            )
        })
    })
}
