//! What templates of charts look up in a cluster, by Helm's rules.

use caravel_core::charts::Lookup;
use serde_json::{Value, json};

use super::{Cluster, Target};
use crate::error::ClusterError;

impl Cluster {
    /// An object, or a list of those in a namespace or in the cluster; none where there is no such object or kind.
    ///
    /// # Errors
    /// If the cluster does not answer, or refuses.
    pub async fn look_up(&self, wanted: &Lookup) -> Result<Option<Value>, ClusterError> {
        match self.looked_up(wanted).await {
            Err(error) if error.is_gone() => Ok(None),
            other => other,
        }
    }

    async fn looked_up(&self, wanted: &Lookup) -> Result<Option<Value>, ClusterError> {
        let Lookup {
            api_version,
            kind,
            namespace,
            name,
        } = wanted;
        let resource = self.resource(api_version, kind).await?;
        let namespace = Some(namespace.clone()).filter(|name| !name.is_empty());
        let namespace = namespace.filter(|_| resource.namespaced);
        if name.is_empty() {
            let items = self.list(&resource, namespace.as_deref(), "").await?;
            let list =
                json!({"apiVersion": api_version, "kind": format!("{kind}List"), "items": items});
            return Ok(Some(list));
        }
        if resource.namespaced && namespace.is_none() {
            return Ok(None);
        }
        let name = name.clone();
        self.get(&Target {
            resource,
            namespace,
            name,
        })
        .await
    }
}
