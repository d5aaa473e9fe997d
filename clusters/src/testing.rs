//! A hub for tests: the embedded API server, in process.

use caravel_apiserver::{ApiServer, Config, Identity};
use caravel_core::appfile::PolicyRule;
use serde_json::{Value, json};

use crate::connect::{Cluster, Clusters, Target};
use crate::dispatch::{Dispatcher, Wanted};
use crate::inventory::{Inventory, Ledger, Store};
use crate::owner::Owner;
use crate::prune::Pruner;
use crate::rules::ResourcePolicies;
use std::sync::Arc;

pub(crate) struct Hub {
    pub(crate) clusters: Clusters,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) store: Store,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) pruner: Pruner,
}

impl Hub {
    /// A hub with the kinds of Caravel and a namespace `demo`.
    pub(crate) async fn open() -> Self {
        let server = ApiServer::open(Config::memory()).await.unwrap();
        let clusters = Clusters::new(server.client(Identity::admin("caravel")));
        let cluster = clusters.hub().unwrap();
        let store = Store::new(Arc::clone(&cluster));
        let hub = Self {
            dispatcher: Dispatcher::new(clusters.clone(), store.clone()),
            pruner: Pruner::new(clusters.clone(), store.clone()),
            clusters,
            cluster,
            store,
        };
        for crd in caravel_core::api::crds() {
            hub.create(crd).await;
        }
        hub.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}))
            .await;
        hub
    }

    /// The ledger of an Application, as it is on the hub.
    pub(crate) async fn ledger(&self, owner: &Owner) -> Ledger {
        Ledger::new(self.inventory(owner).await)
    }

    pub(crate) async fn create(&self, object: Value) -> Value {
        let target = self.cluster.target(&object).await.unwrap();
        self.cluster.create(&target, &object).await.unwrap()
    }

    pub(crate) async fn target(&self, api_version: &str, kind: &str, name: &str) -> Target {
        let resource = self.cluster.resource(api_version, kind).await.unwrap();
        let namespace = resource.namespaced.then(|| "demo".to_owned());
        Target {
            resource,
            namespace,
            name: name.to_owned(),
        }
    }

    pub(crate) async fn get(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let target = self.target(api_version, kind, name).await;
        self.cluster.get(&target).await.unwrap()
    }

    /// A create by somebody else.
    pub(crate) async fn create_foreign(&self, object: Value) -> Value {
        self.create_as("kubectl", object).await
    }

    /// A create by this field manager.
    pub(crate) async fn create_as(&self, manager: &str, object: Value) -> Value {
        use kube::core::params::PostParams;
        let target = self.cluster.target(&object).await.unwrap();
        let path = target.resource.path(target.namespace.as_deref());
        let params = PostParams {
            field_manager: Some(manager.into()),
            ..Default::default()
        };
        let request = kube::core::Request::new(path).create(&params, object.to_string().into());
        self.cluster
            .client()
            .request(request.unwrap())
            .await
            .unwrap()
    }

    /// Takes an object away, whatever protects it.
    pub(crate) async fn remove(&self, target: &Target) {
        let unbound = json!({"metadata": {"finalizers": null}});
        self.cluster.merge_patch(target, &unbound).await.unwrap();
        let any = kube::core::params::Preconditions::default();
        self.cluster.delete(target, any).await.unwrap();
    }

    /// A write by somebody else.
    pub(crate) async fn edit(
        &self,
        api_version: &str,
        kind: &str,
        name: &str,
        patch: Value,
    ) -> Value {
        use kube::core::params::{Patch, PatchParams};
        let target = self.target(api_version, kind, name).await;
        let path = target.resource.path(target.namespace.as_deref());
        let params = PatchParams {
            field_manager: Some("kubectl".into()),
            ..Default::default()
        };
        let request = kube::core::Request::new(path).patch(name, &params, &Patch::Merge(patch));
        self.cluster
            .client()
            .request(request.unwrap())
            .await
            .unwrap()
    }

    pub(crate) async fn inventory(&self, owner: &Owner) -> Inventory {
        self.store.load(owner.clone()).await.unwrap()
    }
}

pub(crate) fn owner(name: &str, generation: i64) -> Owner {
    Owner {
        name: name.to_owned(),
        namespace: "demo".to_owned(),
        uid: format!("uid-of-{name}"),
        generation,
        publish_version: None,
        revision: Some(format!("{name}-v{generation}")),
    }
}

pub(crate) fn wanted(manifest: Value) -> Wanted {
    let component = manifest["metadata"]["name"].as_str().map(str::to_owned);
    Wanted {
        component,
        manifest,
        ..Wanted::default()
    }
}

pub(crate) fn config_map(name: &str, data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data,
    })
}

/// What a component of type webservice becomes.
pub(crate) fn deployment(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "demo", "annotations": {}, "labels": {
            "app.oam.dev/component": name, "workload.oam.dev/type": "webservice",
            "app.oam.dev/resourceType": "WORKLOAD",
        }},
        "spec": {
            "selector": {"matchLabels": {"app.oam.dev/component": name}},
            "template": {
                "metadata": {"labels": {"app.oam.dev/component": name}},
                "spec": {"containers": [{
                    "name": name, "image": image,
                    "ports": [{"containerPort": 80, "name": "port-80"}],
                    "resources": {"limits": {"cpu": "0.5"}, "requests": {"cpu": "0.5"}},
                    "env": [{"name": "EMPTY", "value": ""}],
                }]},
            },
        },
    })
}

/// A policy with one rule about objects of these names.
pub(crate) fn policy(kind: &str, names: &[&str], strategy: Option<Value>) -> ResourcePolicies {
    let mut rule = json!({"selector": {"resourceNames": names}});
    if let Some(strategy) = strategy {
        rule["strategy"] = strategy;
    }
    let properties = json!({"enable": true, "rules": [rule]});
    ResourcePolicies::of(&[match kind {
        "take-over" => PolicyRule::TakeOver(read(properties)),
        "read-only" => PolicyRule::ReadOnly(read(properties)),
        "shared-resource" => PolicyRule::SharedResource(read(properties)),
        "apply-once" => PolicyRule::ApplyOnce(read(properties)),
        "resource-update" => PolicyRule::ResourceUpdate(read(properties)),
        "garbage-collect" => PolicyRule::GarbageCollect(read(properties)),
        other => panic!("{other}"),
    }])
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}
