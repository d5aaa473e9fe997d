//! What a cluster serves: asked once per API version, and again when a kind is not found.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use kube::core::ApiResource;

use super::Cluster;
use crate::error::ClusterError;
use crate::key::group_of;

/// How a cluster serves a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group and version, for example `apps/v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Its name in addresses.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// The address of its objects.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.api_version.contains('/') {
            "/apis"
        } else {
            "/api"
        };
        match namespace {
            Some(namespace) if self.namespaced => {
                format!(
                    "{root}/{}/namespaces/{namespace}/{}",
                    self.api_version, self.plural
                )
            }
            _ => format!("{root}/{}/{}", self.api_version, self.plural),
        }
    }

    /// The same for kube's own types.
    pub fn api_resource(&self) -> ApiResource {
        let (group, version) = match self.api_version.split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), self.api_version.clone()),
        };
        ApiResource {
            group,
            version,
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }
}

type Kinds = HashMap<String, Arc<Resource>>;

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    versions: RwLock<HashMap<String, Kinds>>,
}

impl Discovery {
    pub(super) async fn find(
        &self,
        cluster: &Cluster,
        api_version: &str,
        kind: &str,
    ) -> Result<Arc<Resource>, ClusterError> {
        if let Some(resource) = self.known(api_version, kind) {
            return Ok(resource);
        }
        let kinds = ask(cluster, api_version).await?;
        let found = kinds.get(kind).cloned();
        self.versions
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(api_version.to_owned(), kinds);
        found.ok_or_else(|| ClusterError::KindNotServed {
            cluster: cluster.name().to_owned(),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        })
    }

    pub(super) fn forget(&self, api_version: &str) {
        self.versions
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(api_version);
    }

    fn known(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        versions.get(api_version)?.get(kind).cloned()
    }
}

/// All that a cluster serves now: `group/version` and `group/version/Kind`, sorted.
pub(super) async fn served(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
    let client = cluster.client();
    let answer = async {
        let core = client.list_core_api_versions_aggregated().await?;
        let groups = client.list_api_groups_aggregated().await?;
        Ok([core.items, groups.items].concat())
    };
    let groups = match cluster.within_time(answer).await {
        Ok(groups) => groups,
        Err(error) => return Err(cluster.failed("discovery".to_owned(), error)),
    };
    let mut served = BTreeSet::new();
    for group in groups {
        let name = group.metadata.and_then(|metadata| metadata.name);
        for version in group.versions {
            let number = version.version.unwrap_or_default();
            let api_version = match name.as_deref() {
                None | Some("") => number,
                Some(name) => format!("{name}/{number}"),
            };
            let kinds = version.resources.into_iter();
            let kinds = kinds.filter_map(|resource| resource.response_kind?.kind);
            served.extend(kinds.map(|kind| format!("{api_version}/{kind}")));
            served.insert(api_version);
        }
    }
    Ok(served.into_iter().collect())
}

/// The kinds of an API version; none if the version is not served.
async fn ask(cluster: &Cluster, api_version: &str) -> Result<Kinds, ClusterError> {
    let client = cluster.client();
    let answer = async {
        if group_of(api_version).is_empty() {
            client.list_core_api_resources(api_version).await
        } else {
            client.list_api_group_resources(api_version).await
        }
    };
    let list = match cluster.within_time(answer).await {
        Ok(list) => list.resources,
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(cluster.failed(format!("discovery of {api_version}"), error)),
    };
    Ok(list
        .into_iter()
        .filter(|resource| !resource.name.contains('/'))
        .map(|resource| {
            let kind = resource.kind.clone();
            let resource = Resource {
                api_version: api_version.to_owned(),
                kind: resource.kind,
                plural: resource.name,
                namespaced: resource.namespaced,
            };
            (kind, Arc::new(resource))
        })
        .collect())
}
