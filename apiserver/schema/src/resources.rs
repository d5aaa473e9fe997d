//! The resources that the API server serves, built-in and custom, and how discovery describes them.

mod builtins;
mod discovery;

pub use builtins::builtins;
pub use discovery::{Discovery, DiscoveryVersion};

use std::borrow::Cow;

/// A text that is static for built-in resources and owned for custom ones.
pub type Text = Cow<'static, str>;

/// The verbs of an ordinary stored resource.
pub const ALL_VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// The verbs in the order in which the real server lists them for custom resources.
pub const CUSTOM_VERBS: &[&str] = &[
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];

/// What a subresource is called and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// The last path segment, such as `status`.
    pub name: Text,
    /// Group of the kind that it carries, when it differs from the parent's.
    pub group: Option<Text>,
    /// Version of the kind that it carries, when it differs from the parent's.
    pub version: Option<Text>,
    /// Kind that it carries, when it differs from the parent's.
    pub kind: Option<Text>,
    /// Verbs.
    pub verbs: &'static [&'static str],
}

impl Subresource {
    /// `status`: the same kind, read and written apart from the rest.
    pub fn status() -> Self {
        Self {
            name: "status".into(),
            group: None,
            version: None,
            kind: None,
            verbs: &["get", "patch", "update"],
        }
    }

    /// `scale`: `autoscaling/v1 Scale`.
    pub fn scale() -> Self {
        Self {
            name: "scale".into(),
            group: Some("autoscaling".into()),
            version: Some("v1".into()),
            kind: Some("Scale".into()),
            verbs: &["get", "patch", "update"],
        }
    }
}

/// One resource in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: Text,
    /// Version, such as `v1`.
    pub version: Text,
    /// Kind, such as `Deployment`.
    pub kind: Text,
    /// Kind of a list of it, such as `DeploymentList`.
    pub list_kind: Text,
    /// Plural name, as in URLs.
    pub plural: Text,
    /// Singular name.
    pub singular: Text,
    /// Short names.
    pub short_names: Vec<Text>,
    /// Categories, such as `all`.
    pub categories: Vec<Text>,
    /// Does it live in a namespace?
    pub namespaced: bool,
    /// Verbs of the resource itself.
    pub verbs: &'static [&'static str],
    /// Its subresources.
    pub subresources: Vec<Subresource>,
    /// Name of its OpenAPI definition, for built-in kinds (`io.k8s.api.apps.v1.Deployment`).
    pub definition: Option<&'static str>,
}

impl Resource {
    /// `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// Is the resource kept in the store? Reviews and bindings are not.
    pub fn is_stored(&self) -> bool {
        self.verbs.contains(&"get")
    }
}

/// `group/version`, or the version alone in the core group.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// Group and version of an `apiVersion`; `None` if it has more than one slash or is empty.
pub fn parse_api_version(text: &str) -> Option<(&str, &str)> {
    match text.split_once('/') {
        None if text.is_empty() => None,
        None => Some(("", text)),
        Some((group, version))
            if !group.is_empty() && !version.is_empty() && !version.contains('/') =>
        {
            Some((group, version))
        }
        Some(_) => None,
    }
}

/// The built-in resource with that group, version and plural name.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    builtins()
        .iter()
        .find(|r| r.group == group && r.version == version && r.plural == plural)
}

/// The built-in resource with that group, version and kind.
pub fn find_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    builtins()
        .iter()
        .find(|r| r.group == group && r.version == version && r.kind == kind)
}

/// Kubernetes' order of versions: GA before beta before alpha, newer first, then others by name.
pub fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    version_rank(b).cmp(&version_rank(a)).then_with(|| a.cmp(b))
}

fn version_rank(version: &str) -> (u8, u32, u32) {
    let parsed = (|| {
        let rest = version.strip_prefix('v')?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major: u32 = rest.get(..digits)?.parse().ok()?;
        let tail = rest.get(digits..)?;
        if tail.is_empty() {
            return Some((3, major, 0));
        }
        for (name, rank) in [("beta", 2), ("alpha", 1)] {
            if let Some(minor) = tail.strip_prefix(name) {
                return Some((rank, major, minor.parse().ok()?));
            }
        }
        None
    })();
    parsed.unwrap_or((0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_discovery_does() {
        let mut versions = [
            "v1alpha1", "foo10", "v2", "v1beta2", "v10", "v1", "v1beta1", "foo1",
        ];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(
            versions,
            [
                "v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo1", "foo10"
            ]
        );
    }

    #[test]
    fn api_versions_are_parsed() {
        assert_eq!(parse_api_version("v1"), Some(("", "v1")));
        assert_eq!(parse_api_version("apps/v1"), Some(("apps", "v1")));
        assert_eq!(parse_api_version("a/b/c"), None);
        assert_eq!(parse_api_version(""), None);
    }

    #[test]
    fn every_builtin_is_unique_and_has_a_definition() {
        let mut seen = std::collections::BTreeSet::new();
        for r in builtins() {
            assert!(
                seen.insert((r.api_version(), r.plural.clone())),
                "{} twice",
                r.plural
            );
            assert!(r.definition.is_some(), "{}", r.plural);
        }
        assert!(
            find("apps", "v1", "deployments").is_some_and(|r| r.subresource("scale").is_some())
        );
        assert!(find_kind("", "v1", "Pod").is_some_and(Resource::is_stored));
    }
}
