//! Garbage collection by owner references.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::{DynamicObject, PartialObjectMeta, TypeMeta};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::graph::{Graph, Node, Uid, Verdict};
use super::watching::{Served, already, insist, objects, served, watch};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// Events come and go too often, and own nothing.
const IGNORED: &[&str] = &["Event"];
/// Actions that are under way at once.
const MAX_ACTIONS: usize = 32;

type Kind = Arc<Served>;
type Event = watcher::Event<PartialObjectMeta<DynamicObject>>;

/// Collects garbage for ever.
pub(super) async fn run(client: Client) {
    let (sender, mut events) = mpsc::channel(256);
    let mut collector = Collector {
        client,
        sender,
        watches: HashMap::new(),
        unlisted: HashSet::new(),
        relisting: HashMap::new(),
        graph: Graph::default(),
        queue: BTreeSet::new(),
        busy: HashSet::new(),
        actions: FuturesUnordered::new(),
    };
    collector.refresh().await;
    loop {
        collector.start_actions();
        tokio::select! {
            Some((kind, event)) = events.recv() => collector.observe(&kind, event).await,
            Some((uid, outcome)) = collector.actions.next() => collector.settle(uid, outcome),
        }
    }
}

/// What came of an action.
enum Outcome {
    Done,
    /// An owner was looked up.
    Owner(Uid, bool),
    Failed(kube::Error),
    /// It is time to judge again.
    Again,
}

struct Collector {
    client: Client,
    sender: mpsc::Sender<(Kind, Event)>,
    /// The watched kinds, by URL.
    watches: HashMap<String, DropGuard>,
    /// Kinds whose first list has not come yet. Until then nothing is judged.
    unlisted: HashSet<String>,
    /// Objects that a new list has not shown yet.
    relisting: HashMap<String, HashSet<Uid>>,
    graph: Graph<Kind>,
    queue: BTreeSet<Uid>,
    busy: HashSet<Uid>,
    actions: FuturesUnordered<BoxFuture<'static, (Uid, Outcome)>>,
}

fn url(kind: &Served) -> String {
    format!("{}/{}", kind.resource.api_version, kind.resource.plural)
}

impl Collector {
    /// Watches the kinds that are served now, and those only.
    async fn refresh(&mut self) {
        let client = self.client.clone();
        let kinds = insist("discovery for garbage collection", || served(&client))
            .await
            .unwrap_or_default();
        let kinds: HashMap<String, Served> = kinds
            .into_iter()
            .filter(|kind| !IGNORED.contains(&kind.resource.kind.as_str()))
            .map(|kind| (url(&kind), kind))
            .collect();
        let gone: Vec<_> = self
            .watches
            .keys()
            .filter(|url| !kinds.contains_key(*url))
            .cloned()
            .collect();
        for url in gone {
            self.watches.remove(&url);
            self.unlisted.remove(&url);
            self.relisting.remove(&url);
            for uid in self.graph.of(|kind| self::url(kind) == url) {
                self.queue.extend(self.graph.remove(&uid));
            }
        }
        for (url, kind) in kinds {
            if !self.watches.contains_key(&url) {
                let stop = CancellationToken::new();
                tokio::spawn(forward(
                    self.client.clone(),
                    Arc::new(kind),
                    self.sender.clone(),
                    stop.clone(),
                ));
                self.unlisted.insert(url.clone());
                self.watches.insert(url, stop.drop_guard());
            }
        }
    }

    async fn observe(&mut self, kind: &Kind, event: Event) {
        let url = url(kind);
        if !self.watches.contains_key(&url) {
            return;
        }
        match event {
            watcher::Event::Init => {
                let known = self.graph.of(|other| self::url(other) == url);
                self.relisting.insert(url, known);
            }
            watcher::Event::InitDone => {
                for uid in self.relisting.remove(&url).unwrap_or_default() {
                    self.queue.extend(self.graph.remove(&uid));
                }
                if self.unlisted.remove(&url) && self.unlisted.is_empty() {
                    self.queue.extend(self.graph.all());
                }
            }
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                let uid = object.metadata.uid.clone().unwrap_or_default();
                if let Some(unseen) = self.relisting.get_mut(&url) {
                    unseen.remove(&uid);
                }
                let node = Node::new(Arc::clone(kind), &object.metadata);
                self.queue.extend(self.graph.set(uid, node));
                self.refresh_after(kind).await;
            }
            watcher::Event::Delete(object) => {
                let uid = object.metadata.uid.unwrap_or_default();
                self.queue.extend(self.graph.remove(&uid));
                self.refresh_after(kind).await;
            }
        }
    }

    /// A change of the definitions changes what is served.
    async fn refresh_after(&mut self, kind: &Kind) {
        if kind.resource.kind == "CustomResourceDefinition" {
            self.refresh().await;
        }
    }

    /// Judges what is in the queue, as far as there is room for actions.
    fn start_actions(&mut self) {
        if !self.unlisted.is_empty() {
            return;
        }
        let mut later = Vec::new();
        while self.actions.len() < MAX_ACTIONS
            && let Some(uid) = self.queue.pop_first()
        {
            if self.busy.contains(&uid) {
                later.push(uid);
                continue;
            }
            let Some(node) = self.graph.get(&uid) else {
                continue;
            };
            let action = match self.graph.judge(&uid) {
                Verdict::Stay => continue,
                Verdict::LookUp(owner) => {
                    look_up(self.client.clone(), node.namespace.clone(), owner).boxed()
                }
                Verdict::Delete(policy) => delete(&self.client, node, &uid, policy).boxed(),
                Verdict::Disown(owners) => {
                    let owners = node.owners_without(&owners);
                    change(&self.client, node, json!({"ownerReferences": owners})).boxed()
                }
                Verdict::Release(finalizer) => {
                    let finalizers = node.finalizers_without(finalizer);
                    change(&self.client, node, json!({"finalizers": finalizers})).boxed()
                }
            };
            self.busy.insert(uid.clone());
            self.actions
                .push(async move { (uid, action.await) }.boxed());
        }
        self.queue.extend(later);
    }

    fn settle(&mut self, uid: Uid, outcome: Outcome) {
        self.busy.remove(&uid);
        match outcome {
            // The watch tells what has become of it.
            Outcome::Done => {}
            Outcome::Owner(owner, exists) => {
                self.graph.looked_up(owner, exists);
                self.queue.insert(uid);
            }
            Outcome::Failed(error) => {
                tracing::debug!(%uid, %error, "garbage collection of an object is tried again");
                self.busy.insert(uid.clone());
                self.actions.push(
                    async move {
                        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                        (uid, Outcome::Again)
                    }
                    .boxed(),
                );
            }
            Outcome::Again => {
                self.queue.insert(uid);
            }
        }
    }
}

/// Sends on what happens to the objects of a kind.
async fn forward(
    client: Client,
    kind: Kind,
    to: mpsc::Sender<(Kind, Event)>,
    stop: CancellationToken,
) {
    let api: Api<PartialObjectMeta<DynamicObject>> = objects(&client, &kind, None);
    let mut events = watch(api, watcher::Config::default());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => {
                let Some(event) = event else { return };
                if to.send((Arc::clone(&kind), event)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Finds out whether an owner exists. One of a kind that is not served counts as there: nothing is
/// deleted on a guess.
async fn look_up(client: Client, namespace: Option<String>, owner: OwnerReference) -> Outcome {
    match exists(client, namespace, &owner).await {
        Ok(exists) => Outcome::Owner(owner.uid, exists),
        Err(error) => Outcome::Failed(error),
    }
}

async fn exists(
    client: Client,
    namespace: Option<String>,
    owner: &OwnerReference,
) -> kube::Result<bool> {
    let types = TypeMeta {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
    };
    let Ok(wanted) = (&types).try_into() else {
        return Ok(true);
    };
    let found = match kube::discovery::pinned_kind(&client, &wanted).await {
        Ok(found) => found,
        Err(kube::Error::Discovery(_)) => return Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(true),
        Err(error) => return Err(error),
    };
    let (resource, capabilities) = found;
    let namespaced = capabilities.scope == kube::discovery::Scope::Namespaced;
    if namespaced && namespace.is_none() {
        tracing::warn!(owner = %owner.name, kind = %owner.kind, "a cluster-wide object names an owner that has a namespace");
        return Ok(true);
    }
    let kind = Served {
        resource,
        namespaced,
    };
    let api: Api<DynamicObject> = objects(&client, &kind, namespace.as_deref());
    let live = api.get_metadata_opt(&owner.name).await?;
    Ok(live.is_some_and(|live| live.metadata.uid.as_deref() == Some(&owner.uid)))
}

fn delete(
    client: &Client,
    node: &Node<Kind>,
    uid: &str,
    policy: PropagationPolicy,
) -> impl Future<Output = Outcome> + use<> {
    let api: Api<DynamicObject> = objects(client, &node.resource, node.namespace.as_deref());
    let name = node.name.clone();
    let parameters = DeleteParams {
        propagation_policy: Some(policy),
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: node.version.clone(),
        }),
        ..DeleteParams::default()
    };
    async move { outcome(already(api.delete(&name, &parameters).await, &[404, 409])) }
}

/// Changes metadata of an object as it was judged; if it has changed since, it is judged again.
fn change(
    client: &Client,
    node: &Node<Kind>,
    mut metadata: Value,
) -> impl Future<Output = Outcome> + use<> {
    let api: Api<DynamicObject> = objects(client, &node.resource, node.namespace.as_deref());
    let name = node.name.clone();
    metadata["resourceVersion"] = json!(node.version);
    async move {
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let parameters = PatchParams {
            field_manager: Some("caravel-garbage-collector".to_owned()),
            ..PatchParams::default()
        };
        outcome(already(
            api.patch(&name, &parameters, &patch).await,
            &[404, 409],
        ))
    }
}

fn outcome<T>(result: kube::Result<T>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Failed(error),
    }
}
