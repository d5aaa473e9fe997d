//! Clients: one per cluster, with what the cluster serves.
//!
//! Objects go in and out as JSON: nothing that we do not know is lost. No request is sent twice by
//! itself: whether a POST whose answer was lost took effect is for the caller to find out.

mod acting;
mod discovery;
mod lookup;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use caravel_core::api::LOCAL_CLUSTER;
use kube::core::params::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::request::Request;
use serde_json::Value;

pub use acting::ActingAs;
pub use discovery::Resource;

use crate::error::ClusterError;
use crate::key::{ObjectKey, cluster_name, text};
use discovery::Discovery;

/// The name under which our writes are recorded in managedFields.
pub const FIELD_MANAGER: &str = "caravel";

/// The name under which templates and steps write what no inventory has. It is another one than that of dispatch,
/// which takes away what is written in its own name and is not in the manifest.
pub const TEMPLATE_MANAGER: &str = "caravel-template";

/// How long a request may take, unless said otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A client for a cluster that sends nothing twice: kube's own retry repeats POSTs.
///
/// # Errors
/// If TLS or credentials of the configuration cannot be used.
pub fn client(mut config: kube::Config) -> Result<kube::Client, kube::Error> {
    config.default_retry = false;
    kube::Client::try_from(config)
}

/// The clusters that are known, by name. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clusters {
    by_name: Arc<ArcSwap<BTreeMap<String, Arc<Cluster>>>>,
    complete: Arc<AtomicBool>,
    timeout: Duration,
    /// In whose name they are spoken with; the daemon's own where absent.
    acting: Option<Arc<acting::Acting>>,
}

impl Clusters {
    /// The hub alone, under the name `local`.
    pub fn new(local: kube::Client) -> Self {
        Self::with_timeout(local, REQUEST_TIMEOUT)
    }

    /// The same with another time that a request may take. A cluster that does not answer costs no more
    /// than that.
    pub fn with_timeout(local: kube::Client, timeout: Duration) -> Self {
        let clusters = Self {
            by_name: Arc::default(),
            complete: Arc::new(AtomicBool::new(true)),
            timeout,
            acting: None,
        };
        clusters.insert(LOCAL_CLUSTER, local);
        clusters
    }

    /// Adds a cluster, or replaces its client.
    pub fn insert(&self, name: &str, client: kube::Client) {
        let cluster = Arc::new(Cluster::new(name, client, self.timeout));
        self.by_name.rcu(|clusters| {
            let mut clusters = BTreeMap::clone(clusters);
            clusters.insert(name.to_owned(), Arc::clone(&cluster));
            clusters
        });
    }

    /// Forgets a cluster.
    pub fn remove(&self, name: &str) {
        self.by_name.rcu(|clusters| {
            let mut clusters = BTreeMap::clone(clusters);
            clusters.remove(name);
            clusters
        });
    }

    /// Says whether all registered clusters are in. Until they are, a cluster that is not here is not
    /// taken for one that was detached, so nothing is forgotten because of it.
    pub fn set_complete(&self, complete: bool) {
        self.complete.store(complete, Ordering::Release);
    }

    /// The cluster of this name. An empty name is the hub's own.
    ///
    /// # Errors
    /// [`ClusterError::UnknownCluster`].
    pub fn get(&self, name: &str) -> Result<Arc<Cluster>, ClusterError> {
        let clusters = self.by_name.load();
        let found = clusters.get(cluster_name(Some(name))).cloned();
        let found = found.map(|cluster| match &self.acting {
            Some(acting) => acting.cluster(cluster),
            None => cluster,
        });
        found.ok_or_else(|| ClusterError::UnknownCluster {
            name: name.to_owned(),
            known: clusters.keys().cloned().collect::<Vec<_>>().join(", "),
            complete: self.complete.load(Ordering::Acquire),
        })
    }

    /// The hub's own cluster.
    ///
    /// # Errors
    /// [`ClusterError::UnknownCluster`] if it was removed.
    pub fn hub(&self) -> Result<Arc<Cluster>, ClusterError> {
        self.get(LOCAL_CLUSTER)
    }

    /// The same clusters, spoken with in somebody's name.
    #[must_use]
    pub fn acting_as(&self, who: ActingAs) -> Self {
        Self {
            acting: Some(Arc::new(acting::Acting::new(who))),
            ..self.clone()
        }
    }

    /// The names of all clusters.
    pub fn names(&self) -> Vec<String> {
        self.by_name.load().keys().cloned().collect()
    }
}

/// A cluster that can be reached.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    client: ClientDebug,
    discovery: Arc<Discovery>,
    timeout: Duration,
}

/// `kube::Client` says nothing about itself.
struct ClientDebug(kube::Client);

impl std::fmt::Debug for ClientDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// Where an object is in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its kind.
    pub resource: Arc<Resource>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Target {
    fn request(&self) -> Request {
        Request::new(self.resource.path(self.namespace.as_deref()))
    }

    fn describe(&self, verb: &str) -> String {
        let namespace = self
            .namespace
            .as_ref()
            .map(|n| format!("{n}/"))
            .unwrap_or_default();
        format!("{verb} {} {namespace}{}", self.resource.kind, self.name)
    }
}

impl Cluster {
    fn new(name: &str, client: kube::Client, timeout: Duration) -> Self {
        Self {
            name: name.to_owned(),
            client: ClientDebug(client),
            discovery: Arc::default(),
            timeout,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its client.
    pub fn client(&self) -> &kube::Client {
        &self.client.0
    }

    /// How the cluster serves a kind.
    ///
    /// # Errors
    /// [`ClusterError::KindNotServed`], or the cluster does not answer.
    pub async fn resource(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Arc<Resource>, ClusterError> {
        self.discovery.find(self, api_version, kind).await
    }

    /// Forgets what is known of an API version, because it proved wrong.
    pub fn forget(&self, api_version: &str) {
        self.discovery.forget(api_version);
    }

    /// Where the object of a manifest is, or will be. The namespace is left out for a cluster-scoped
    /// kind (TRAPS 6).
    ///
    /// # Errors
    /// As [`Cluster::resource`], and if kind or name is missing.
    pub async fn target(&self, object: &Value) -> Result<Target, ClusterError> {
        let key = ObjectKey::of(Some(&self.name), object);
        for (field, empty) in [
            ("kind", key.kind.is_empty()),
            ("metadata.name", key.name.is_empty()),
        ] {
            if empty {
                return Err(ClusterError::Incomplete {
                    what: format!("a manifest ({key})"),
                    field,
                });
            }
        }
        let resource = self
            .resource(text(&object["apiVersion"]), &key.kind)
            .await?;
        let namespace = key.namespace.filter(|_| resource.namespaced);
        if resource.namespaced && namespace.is_none() {
            return Err(ClusterError::Incomplete {
                what: format!("{} {}", key.kind, key.name),
                field: "metadata.namespace",
            });
        }
        Ok(Target {
            resource,
            namespace,
            name: key.name,
        })
    }

    /// Reads an object; none if it is not there.
    ///
    /// # Errors
    /// If the request fails for another reason.
    pub async fn get(&self, target: &Target) -> Result<Option<Value>, ClusterError> {
        let request = target.request().get(&target.name, &GetParams::default());
        match self.send(target.describe("get"), request).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.code() == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its version, for instance `v1.32.0`.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn version(&self) -> Result<String, ClusterError> {
        match self.within_time(self.client().apiserver_version()).await {
            Ok(version) => Ok(version.git_version),
            Err(error) => Err(self.failed("version".to_owned(), error)),
        }
    }

    /// All that the cluster serves now: `group/version` and `group/version/Kind`, sorted.
    ///
    /// # Errors
    /// If a request fails.
    pub async fn served(&self) -> Result<Vec<String>, ClusterError> {
        discovery::served(self).await
    }

    /// Lists objects, in pages.
    ///
    /// # Errors
    /// If a request fails.
    pub async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<Value>, ClusterError> {
        let mut found = Vec::new();
        let mut params = ListParams::default().labels(labels).limit(500);
        loop {
            let request = Request::new(resource.path(namespace)).list(&params);
            let mut page = self
                .send(format!("list {}", resource.plural), request)
                .await?;
            if let Value::Array(items) = page["items"].take() {
                found.extend(items.into_iter().map(|mut item| {
                    // Items of a list leave out what the list says once.
                    item["apiVersion"] = resource.api_version.clone().into();
                    item["kind"] = resource.kind.clone().into();
                    item
                }));
            }
            match page["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => params = params.continue_token(token),
                _ => return Ok(found),
            }
        }
    }

    /// Creates an object.
    ///
    /// # Errors
    /// If it is there already, or is refused.
    pub async fn create(&self, target: &Target, object: &Value) -> Result<Value, ClusterError> {
        self.post(target, object, false).await
    }

    /// What a create would come to.
    ///
    /// # Errors
    /// As [`Cluster::create`].
    pub async fn dry_create(&self, target: &Target, object: &Value) -> Result<Value, ClusterError> {
        self.post(target, object, true).await
    }

    async fn post(
        &self,
        target: &Target,
        object: &Value,
        dry_run: bool,
    ) -> Result<Value, ClusterError> {
        let params = PostParams {
            dry_run,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        let request = target
            .request()
            .create(&params, object.to_string().into_bytes());
        self.send(target.describe("create"), request).await
    }

    /// Server-side apply; fields of others that the object names become ours.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn apply(
        &self,
        target: &Target,
        object: &Value,
        dry_run: bool,
    ) -> Result<Value, ClusterError> {
        let params = PatchParams {
            dry_run,
            ..PatchParams::apply(FIELD_MANAGER).force()
        };
        self.patched(target, "apply", &params, &Patch::Apply(object))
            .await
    }

    /// Server-side apply under another name: what was applied before under the same name and is no longer given goes.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn apply_as(
        &self,
        manager: &str,
        target: &Target,
        object: &Value,
    ) -> Result<Value, ClusterError> {
        let params = PatchParams::apply(manager).force();
        self.patched(target, "apply", &params, &Patch::Apply(object))
            .await
    }

    /// Changes an object under another name.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn patch_as<T: serde::Serialize + std::fmt::Debug>(
        &self,
        manager: &str,
        target: &Target,
        patch: &Patch<T>,
    ) -> Result<Value, ClusterError> {
        let params = PatchParams {
            field_manager: Some(manager.to_owned()),
            ..PatchParams::default()
        };
        self.patched(target, "patch", &params, patch).await
    }

    async fn patched<T: serde::Serialize + std::fmt::Debug>(
        &self,
        target: &Target,
        action: &str,
        params: &PatchParams,
        patch: &Patch<T>,
    ) -> Result<Value, ClusterError> {
        let request = target.request().patch(&target.name, params, patch);
        self.send(target.describe(action), request).await
    }

    /// Writes a whole object; its resourceVersion must still be the same.
    ///
    /// # Errors
    /// If it changed, or is refused.
    pub async fn replace(&self, target: &Target, object: &Value) -> Result<Value, ClusterError> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let body = object.to_string().into_bytes();
        let request = target.request().replace(&target.name, &params, body);
        self.send(target.describe("replace"), request).await
    }

    /// JSON patch (RFC 6902).
    ///
    /// # Errors
    /// If a test in it fails, or it is refused.
    pub async fn json_patch(&self, target: &Target, patch: &Value) -> Result<Value, ClusterError> {
        let operations = serde_json::from_value(patch.clone()).unwrap_or_default();
        self.patch_as(FIELD_MANAGER, target, &Patch::Json::<()>(operations))
            .await
    }

    /// JSON merge patch (RFC 7396).
    ///
    /// # Errors
    /// If it is refused.
    pub async fn merge_patch(&self, target: &Target, patch: &Value) -> Result<Value, ClusterError> {
        self.patch_as(FIELD_MANAGER, target, &Patch::Merge(patch))
            .await
    }

    /// Deletes an object. What it made goes in the background.
    ///
    /// # Errors
    /// If it is not there, is not the one that is meant, or is refused.
    pub async fn delete(
        &self,
        target: &Target,
        preconditions: kube::core::params::Preconditions,
    ) -> Result<(), ClusterError> {
        let params = DeleteParams::background().preconditions(preconditions);
        let request = target.request().delete(&target.name, &params);
        self.send(target.describe("delete"), request)
            .await
            .map(drop)
    }

    /// Sends a request and reads the JSON of the answer.
    async fn send(
        &self,
        action: String,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, ClusterError> {
        let answer = async {
            let request = request.map_err(kube::Error::BuildRequest)?;
            let text = self.client().request_text(request).await?;
            serde_json::from_str(&text).map_err(kube::Error::SerdeError)
        };
        self.within_time(answer)
            .await
            .map_err(|error| self.failed(action, error))
    }

    /// The answer, if it comes in time.
    async fn within_time<T>(
        &self,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, kube::Error> {
        tokio::time::timeout(self.timeout, answer)
            .await
            .unwrap_or_else(|_| {
                let late = format!("no answer within {:?}", self.timeout);
                Err(kube::Error::Service(late.into()))
            })
    }

    fn failed(&self, action: String, error: kube::Error) -> ClusterError {
        let cluster = self.name.clone();
        match error {
            kube::Error::Api(status) => ClusterError::Api {
                cluster,
                action,
                status,
            },
            other => ClusterError::Unanswered {
                cluster,
                action,
                source: Box::new(other),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cluster_that_does_not_answer_costs_only_its_time() {
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, kube::Error>>()
        });
        let client = kube::Client::new(silent, "default");
        let clusters = Clusters::with_timeout(client, Duration::from_millis(1));
        let cluster = clusters.hub().unwrap();
        let error = cluster.resource("v1", "ConfigMap").await.unwrap_err();
        assert!(error.is_transient());
        assert!(!error.is_gone());
        assert_eq!(
            error.to_string(),
            "discovery of v1 in cluster \"local\" has no answer: ServiceError: no answer within 1ms"
        );
    }

    #[tokio::test]
    async fn clusters_come_and_go() {
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, kube::Error>>()
        });
        let client = kube::Client::new(silent, "default");
        let clusters = Clusters::new(client.clone());
        clusters.insert("far", client);
        assert_eq!(clusters.names(), ["far", "local"]);
        assert_eq!(clusters.get("").unwrap().name(), "local");
        clusters.remove("far");
        let error = clusters.get("far").unwrap_err();
        assert!(error.is_gone() && !error.is_transient());
        clusters.set_complete(false);
        let error = clusters.get("far").unwrap_err();
        assert!(!error.is_gone() && error.is_transient());
    }
}
