//! What identifies an object.

use std::fmt;

use caravel_core::api::{LOCAL_CLUSTER, ManagedResource};
use serde_json::Value;

/// An object in a cluster. The version of its API is not part of what it is (APP-045).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Name of the cluster; `local` is the hub's own.
    pub cluster: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; none for a cluster-scoped object.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// The key of a manifest or a live object.
    pub fn of(cluster: Option<&str>, object: &Value) -> Self {
        let metadata = &object["metadata"];
        Self {
            cluster: cluster_name(cluster).to_owned(),
            group: group_of(text(&object["apiVersion"])).to_owned(),
            kind: text(&object["kind"]).to_owned(),
            namespace: filled(text(&metadata["namespace"])),
            name: text(&metadata["name"]).to_owned(),
        }
    }

    /// The key of an entry of an inventory.
    pub fn of_entry(entry: &ManagedResource) -> Self {
        Self {
            cluster: cluster_name(entry.cluster.as_deref()).to_owned(),
            group: group_of(&entry.api_version).to_owned(),
            kind: entry.kind.clone(),
            namespace: entry.namespace.clone(),
            name: entry.name.clone(),
        }
    }

    /// Kind, namespace and name, as KubeVela's messages write them: `ConfigMap ns/name`.
    pub fn short(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} /{}", self.kind, self.name),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)?;
        if self.cluster != LOCAL_CLUSTER {
            write!(f, " in cluster {}", self.cluster)?;
        }
        Ok(())
    }
}

/// The name of a cluster; nothing means the hub's own.
pub fn cluster_name(cluster: Option<&str>) -> &str {
    cluster
        .filter(|name| !name.is_empty())
        .unwrap_or(LOCAL_CLUSTER)
}

/// The group of an `apiVersion`.
pub(crate) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The text of a value; empty if it is none.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
