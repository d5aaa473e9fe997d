//! What every namespace has: the service account `default`, and the certificate of the server's
//! authority as ConfigMap `kube-root-ca.crt`. Deleted or changed ones come back.

use std::collections::HashSet;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::watching::{already, insist, watch};

const ACCOUNT: &str = "default";
const CERTIFICATE: &str = "kube-root-ca.crt";

/// Keeps the defaults of all namespaces for ever.
pub(super) async fn run(client: Client, authority: Option<String>) {
    let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut namespaces = watch(
        Api::<Namespace>::all(client.clone()),
        watcher::Config::default(),
    );
    let mut accounts = watch(Api::<ServiceAccount>::all(client.clone()), named(ACCOUNT));
    let mut certificates = watch(Api::<ConfigMap>::all(client.clone()), named(CERTIFICATE));
    let mut active = HashSet::new();
    let keeper = Keeper { client, authority };
    loop {
        tokio::select! {
            Some(event) = namespaces.next() => match event {
                Event::Apply(namespace) | Event::InitApply(namespace) => {
                    let name = namespace.name_any();
                    if namespace.metadata.deletion_timestamp.is_some() {
                        active.remove(&name);
                    } else if active.insert(name.clone()) {
                        keeper.account(&name).await;
                        keeper.certificate(&name).await;
                    }
                }
                Event::Delete(namespace) => {
                    active.remove(&namespace.name_any());
                }
                Event::Init | Event::InitDone => {}
            },
            Some(event) = accounts.next() => {
                if let Event::Delete(account) = event
                    && let Some(namespace) = account.namespace().filter(|name| active.contains(name))
                {
                    keeper.account(&namespace).await;
                }
            }
            Some(event) = certificates.next() => {
                let wrong = match event {
                    Event::Delete(map) => Some(map),
                    Event::Apply(map) | Event::InitApply(map) => Some(map).filter(|map| !keeper.is_right(map)),
                    Event::Init | Event::InitDone => None,
                };
                if let Some(namespace) = wrong.and_then(|map| map.namespace()).filter(|name| active.contains(name)) {
                    keeper.certificate(&namespace).await;
                }
            }
            else => return,
        }
    }
}

struct Keeper {
    client: Client,
    authority: Option<String>,
}

/// It is there, the namespace is going, or it is gone.
const FINE: &[u16] = &[403, 404, 409];

impl Keeper {
    async fn account(&self, namespace: &str) {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let mut account = ServiceAccount::default();
        account.metadata.name = Some(ACCOUNT.to_owned());
        let parameters = PostParams::default();
        let create = || async { already(api.create(&parameters, &account).await, FINE) };
        insist("creating a default service account", create).await;
    }

    async fn certificate(&self, namespace: &str) {
        let Some(authority) = &self.authority else {
            return;
        };
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let patch = Patch::Apply(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CERTIFICATE},
            "data": {"ca.crt": authority},
        }));
        let parameters = PatchParams::apply("caravel-root-ca-publisher").force();
        let apply = || async { already(api.patch(CERTIFICATE, &parameters, &patch).await, FINE) };
        insist("publishing the certificate of the authority", apply).await;
    }

    fn is_right(&self, map: &ConfigMap) -> bool {
        let Some(authority) = &self.authority else {
            return true;
        };
        map.data.as_ref().and_then(|data| data.get("ca.crt")) == Some(authority)
    }
}
