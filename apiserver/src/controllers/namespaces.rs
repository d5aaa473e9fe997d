//! The end of namespaces: what is in one that is being deleted goes first.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::json;

use super::watching::{Served, already, insist, objects, served, until_none_left, watch};

const FINALIZER: &str = "kubernetes";
/// Something, such as admission, refuses that content is deleted: it may change its mind.
const AFTER_REFUSAL: Duration = Duration::from_secs(10);

/// Finishes namespaces for ever.
pub(super) async fn run(client: Client) {
    let mut events = watch(
        Api::<Namespace>::all(client.clone()),
        watcher::Config::default(),
    );
    let mut busy = HashSet::new();
    let mut work = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(event) = events.next() => {
                if let watcher::Event::Apply(namespace) | watcher::Event::InitApply(namespace) = event
                    && ends(&namespace)
                    && busy.insert(namespace.metadata.uid.clone())
                {
                    let client = client.clone();
                    work.push(async move {
                        let uid = namespace.metadata.uid.clone();
                        finish(client, namespace).await;
                        uid
                    }.boxed());
                }
            }
            Some(uid) = work.next() => {
                busy.remove(&uid);
            }
            else => return,
        }
    }
}

/// Whether the content of the namespace still has to go.
fn ends(namespace: &Namespace) -> bool {
    let finalizers = namespace
        .spec
        .iter()
        .flat_map(|spec| spec.finalizers.iter().flatten());
    namespace.metadata.deletion_timestamp.is_some()
        && finalizers.into_iter().any(|name| name == FINALIZER)
}

/// Deletes the content of a namespace, waits until it is gone, and lets the namespace go.
async fn finish(client: Client, namespace: Namespace) {
    let name = namespace.metadata.name.clone().unwrap_or_default();
    let mut told = false;
    loop {
        let left = insist("emptying a namespace", || empty(&client, &name)).await;
        let Some(left) = left else {
            tokio::time::sleep(AFTER_REFUSAL).await;
            continue;
        };
        if left.is_empty() {
            break;
        }
        if !told {
            insist("telling what is left in a namespace", || {
                tell(&client, &name, &left)
            })
            .await;
            told = true;
        }
        let gone = left
            .iter()
            .map(|(kind, _)| until_none_left(&client, kind, Some(&name)));
        join_all(gone).await;
    }
    insist("finalizing a namespace", || finalize(&client, &namespace)).await;
}

/// Deletes everything in a namespace. Returns the kinds of which something is left, and how much.
async fn empty(client: &Client, namespace: &str) -> kube::Result<Vec<(Served, usize)>> {
    let mut left = Vec::new();
    for kind in served(client).await? {
        if !kind.namespaced {
            continue;
        }
        let api: Api<PartialObjectMeta<DynamicObject>> = objects(client, &kind, Some(namespace));
        let count = || async { already(api.list(&ListParams::default()).await, &[404, 405]) };
        if count().await?.is_none_or(|list| list.items.is_empty()) {
            continue;
        }
        let all: Api<DynamicObject> = objects(client, &kind, Some(namespace));
        let deleted = all
            .delete_collection(&DeleteParams::background(), &ListParams::default())
            .await;
        already(deleted, &[404, 405])?;
        let rest = count().await?.map_or(0, |list| list.items.len());
        if rest > 0 {
            left.push((kind, rest));
        }
    }
    Ok(left)
}

/// Says in the namespace's status what it waits for.
async fn tell(client: &Client, name: &str, left: &[(Served, usize)]) -> kube::Result<()> {
    let mut counts: Vec<_> = left
        .iter()
        .map(|(kind, count)| {
            let group = &kind.resource.group;
            format!(
                "{}.{group} has {count} resource instances",
                kind.resource.plural
            )
        })
        .collect();
    counts.sort();
    let now = crate::core::text(jiff::Timestamp::now());
    let condition = json!({
        "type": "NamespaceContentRemaining",
        "status": "True",
        "reason": "SomeResourcesRemain",
        "message": format!("Some resources are remaining: {}", counts.join(", ")),
        "lastTransitionTime": now,
    });
    let patch = Patch::Merge(json!({"status": {"conditions": [condition]}}));
    let api: Api<Namespace> = Api::all(client.clone());
    let told = api
        .patch_status(name, &PatchParams::default(), &patch)
        .await;
    already(told, &[404]).map(drop)
}

async fn finalize(client: &Client, namespace: &Namespace) -> kube::Result<()> {
    let name = namespace.metadata.name.as_deref().unwrap_or_default();
    let api: Api<Namespace> = Api::all(client.clone());
    let Some(mut live) = api.get_opt(name).await? else {
        return Ok(());
    };
    if live.metadata.uid != namespace.metadata.uid {
        return Ok(());
    }
    if let Some(finalizers) = live.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    }
    let done = api
        .replace_subresource("finalize", name, &PostParams::default(), &live)
        .await;
    already(done, &[404]).map(drop)
}
