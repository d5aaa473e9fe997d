//! What workloads make: the `ReplicaSets` of Deployments, and Pods. Nothing is kept: when a workload or something that
//! it made changes, both are read, and what is missing follows.

use std::collections::HashSet;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::clock::Clock;
use super::states::Kind;
use super::{FIELD_MANAGER, RETRY, pods, resource, rollout};

/// Workloads that are looked after at once.
const AT_ONCE: usize = 16;

/// One change to what a workload made.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Make this.
    Create(Value),
    /// A merge patch of what is there.
    Patch { name: String, patch: Value },
    /// Delete what has this name.
    Delete(String),
    /// Annotate the workload itself.
    Annotate(Value),
}

/// A workload, by kind, namespace and name.
type Key = (Kind, String, String);

/// The work that is left.
pub(super) struct Children {
    client: Client,
    clock: Arc<dyn Clock>,
    enabled: bool,
    waiting: HashSet<Key>,
    busy: HashSet<Key>,
    work: FuturesUnordered<BoxFuture<'static, (Key, bool)>>,
}

impl Children {
    pub(super) fn new(client: Client, clock: Arc<dyn Clock>, enabled: bool) -> Self {
        Self {
            client,
            clock,
            enabled,
            waiting: HashSet::new(),
            busy: HashSet::new(),
            work: FuturesUnordered::new(),
        }
    }

    /// Notes the workloads that an event is about.
    pub(super) fn observe(&mut self, kind: Kind, event: &watcher::Event<DynamicObject>) {
        if !self.enabled {
            return;
        }
        let (object, gone) = match event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => (object, false),
            watcher::Event::Delete(object) => (object, true),
            watcher::Event::Init | watcher::Event::InitDone => return,
        };
        let namespace = object.namespace().unwrap_or_default();
        if makes(kind).is_some() && !gone {
            self.waiting
                .insert((kind, namespace.clone(), object.name_any()));
        }
        // A Pod matters to its workload when it goes, a ReplicaSet also when it becomes ready.
        if (kind == Kind::Pod && gone) || kind == Kind::ReplicaSet {
            let owner = object
                .owner_references()
                .iter()
                .find(|owner| owner.controller == Some(true));
            let of = owner.and_then(|owner| Some((Kind::named(&owner.kind)?, owner.name.clone())));
            // The Pods of Jobs have ended, or soon will: they are not made again.
            let of = of.filter(|(kind, _)| makes(*kind).is_some() && *kind != Kind::Job);
            if let Some((kind, name)) = of {
                self.waiting.insert((kind, namespace, name));
            }
        }
        self.begin();
    }

    /// Waits until something is done. Never, if nothing is under way.
    pub(super) async fn next(&mut self) {
        match self.work.next().await {
            None => std::future::pending().await,
            Some((key, done)) => {
                self.busy.remove(&key);
                if !done {
                    self.waiting.insert(key);
                }
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        while self.busy.len() < AT_ONCE {
            let next = self.waiting.difference(&self.busy).next().cloned();
            let Some(key) = next else { return };
            self.waiting.remove(&key);
            self.busy.insert(key.clone());
            let (client, clock) = (self.client.clone(), Arc::clone(&self.clock));
            let work = async move {
                let done = look_after(&client, &key).await;
                if let Err(error) = &done {
                    tracing::debug!(?key, %error, "what a workload makes could not be written");
                    clock.sleep_until(clock.now() + RETRY).await;
                }
                (key, done.is_ok())
            };
            self.work.push(work.boxed());
        }
    }
}

/// What a kind makes.
fn makes(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::Deployment => Some(Kind::ReplicaSet),
        Kind::ReplicaSet | Kind::StatefulSet | Kind::DaemonSet | Kind::Job => Some(Kind::Pod),
        _ => None,
    }
}

async fn look_after(client: &Client, key: &Key) -> kube::Result<()> {
    let (kind, namespace, name) = key;
    let Some(made) = makes(*kind) else {
        return Ok(());
    };
    let owners: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource(*kind));
    let children: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &resource(made));
    let Some(owner) = owners.get_opt(name).await? else {
        return Ok(());
    };
    if owner.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let owner = serde_json::to_value(owner).unwrap_or_default();
    let found = children.list(&selected(&owner)).await?;
    let found: Vec<Value> = found
        .into_iter()
        .filter_map(|child| serde_json::to_value(child).ok())
        .collect();
    let steps = match kind {
        Kind::Deployment => rollout::steps(&owner, &found),
        _ => pods::steps(*kind, &owner, &found),
    };
    let written = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    for step in steps {
        let done = match step {
            Step::Create(child) => match serde_json::from_value(child) {
                Ok(child) => children.create(&created(), &child).await.map(drop),
                Err(error) => Err(kube::Error::SerdeError(error)),
            },
            Step::Patch { name, patch } => children
                .patch(&name, &written, &Patch::Merge(patch))
                .await
                .map(drop),
            Step::Delete(name) => children
                .delete(&name, &DeleteParams::background())
                .await
                .map(drop),
            Step::Annotate(annotations) => {
                let patch = json!({"metadata": {"annotations": annotations}});
                owners
                    .patch_status(name, &written, &Patch::Merge(patch))
                    .await
                    .map(drop)
            }
        };
        match done {
            // Somebody deleted it first: the next look says what follows.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => other?,
        }
    }
    Ok(())
}

fn created() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// What has the labels that a workload selects. Expressions are left to the owner references.
fn selected(owner: &Value) -> ListParams {
    let labels = owner["spec"]["selector"]["matchLabels"].as_object();
    let terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)))
        .collect();
    ListParams::default().labels(&terms.join(","))
}

/// The reference by which a workload owns what it made.
pub(super) fn reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Was it made by this workload?
pub(super) fn controlled_by(child: &Value, owner: &Value) -> bool {
    let references = child["metadata"]["ownerReferences"].as_array();
    references.into_iter().flatten().any(|reference| {
        reference["controller"] == true && reference["uid"] == owner["metadata"]["uid"]
    })
}
