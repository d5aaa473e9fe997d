//! Deleting one object after the other, most dependent first.

use std::collections::BTreeSet;
use std::sync::Arc;

use caravel_core::api::labels::{self, annotations};
use futures::{StreamExt as _, stream};
use kube::core::params::Preconditions;
use serde_json::{Map, Value, json};

use super::{Dependents, Intent, Item, Pruner, Report};
use crate::connect::{Cluster, Target};
use crate::dispatch::{Rank, sharers};
use crate::error::ClusterError;
use crate::inventory::{Inventory, InventoryError};
use crate::key::{ObjectKey, filled, text};
use crate::owner::Owner;

/// How many objects are deleted at once.
const PARALLEL: usize = 10;

/// What became of one object.
enum End {
    Gone,
    Released,
    Waiting,
    Held(String),
}

pub(super) async fn prune(
    pruner: &Pruner,
    inventory: &mut Inventory,
    items: Vec<Item>,
    dependents: Option<&Dependents>,
) -> Result<Report, InventoryError> {
    let owner = inventory.owner().clone();
    let mut report = Report::default();
    let mut left = Vec::new();
    for item in items {
        match item.intent {
            Intent::Hold(reason) => report.held.push((item.key, reason)),
            Intent::Delete | Intent::Release => left.push(item),
        }
    }
    settle_intended(pruner, inventory, &owner, &mut left).await?;
    while !left.is_empty() {
        let (wave, rest) = next_wave(left, dependents);
        let ends: Vec<_> = stream::iter(wave)
            .map(|item| remove(pruner, &owner, item))
            .buffered(PARALLEL)
            .collect()
            .await;
        let mut all_gone = true;
        for (key, end) in ends {
            match end {
                Ok(End::Gone) => {
                    inventory.forget(&key);
                    report.gone.push(key);
                }
                Ok(End::Released) => {
                    inventory.forget(&key);
                    report.released.push(key);
                }
                Ok(End::Waiting) => {
                    all_gone = false;
                    report.waiting.push(key);
                }
                Ok(End::Held(reason)) => report.held.push((key, reason)),
                Err(error) => {
                    all_gone = false;
                    report.failed.push((key, error.to_string()));
                }
            }
        }
        left = rest;
        if !all_gone {
            // What comes after waits for these.
            report.waiting.extend(left.drain(..).map(|item| item.key));
        }
    }
    pruner.store.save(inventory).await?;
    Ok(report)
}

/// What may go now, and what has to wait for it: components that others depend on (APP-053), then
/// `CustomResourceDefinitions`, then Namespaces.
fn next_wave(items: Vec<Item>, dependents: Option<&Dependents>) -> (Vec<Item>, Vec<Item>) {
    let rank = |item: &Item| Rank::of(&item.entry.api_version, &item.entry.kind);
    let last = items.iter().map(rank).max();
    let components: BTreeSet<String> = items
        .iter()
        .filter_map(|item| item.entry.component.clone())
        .collect();
    let blocked = |item: &Item| {
        let component = item.entry.component.as_ref();
        let others = component.and_then(|component| dependents?.get(component));
        others.is_some_and(|others| {
            others
                .iter()
                .any(|other| Some(other) != component && components.contains(other))
        })
    };
    let all_blocked = items
        .iter()
        .filter(|item| Some(rank(item)) == last)
        .all(&blocked);
    items
        .into_iter()
        // A circle of dependencies must not stop everything.
        .partition(|item| Some(rank(item)) == last && (all_blocked || !blocked(item)))
}

/// Objects that were intended, and of which it is not known whether they were created: if they are there
/// and ours, their uid is recorded first.
async fn settle_intended(
    pruner: &Pruner,
    inventory: &mut Inventory,
    owner: &Owner,
    items: &mut [Item],
) -> Result<(), InventoryError> {
    let mut settled = false;
    for item in items.iter_mut().filter(|item| item.entry.uid.is_none()) {
        // What cannot be read now is reported when its turn comes.
        let Ok(Some((_, _, live))) = read(pruner, item).await else {
            continue;
        };
        if owner.owns(&live) {
            let uid = text(&live["metadata"]["uid"]);
            inventory.settle(&item.key, uid);
            item.entry.uid = filled(uid);
            settled = true;
        }
    }
    if settled {
        pruner.store.save(inventory).await
    } else {
        Ok(())
    }
}

async fn remove(
    pruner: &Pruner,
    owner: &Owner,
    item: Item,
) -> (ObjectKey, Result<End, ClusterError>) {
    let end = match read(pruner, &item).await {
        Ok(None) => Ok(End::Gone),
        Ok(Some((cluster, target, live))) => {
            remove_live(pruner, owner, &item, &cluster, &target, &live).await
        }
        Err(error) => Err(error),
    };
    (item.key, end)
}

/// The object as it is; none if it, its kind or its cluster is gone (APP-055).
async fn read(
    pruner: &Pruner,
    item: &Item,
) -> Result<Option<(Arc<Cluster>, Target, Value)>, ClusterError> {
    let found = async {
        let cluster = pruner.clusters.get(&item.key.cluster)?;
        let resource = cluster
            .resource(&item.entry.api_version, &item.key.kind)
            .await?;
        let namespace = item.key.namespace.clone().filter(|_| resource.namespaced);
        let target = Target {
            resource,
            namespace,
            name: item.key.name.clone(),
        };
        let live = cluster.get(&target).await?;
        Ok(live.map(|live| (cluster, target, live)))
    };
    match found.await {
        Err(error) if matches!(error, ClusterError::Api { .. }) => Err(error),
        Err(error) if error.is_gone() => Ok(None),
        other => other,
    }
}

async fn remove_live(
    pruner: &Pruner,
    owner: &Owner,
    item: &Item,
    cluster: &Cluster,
    target: &Target,
    live: &Value,
) -> Result<End, ClusterError> {
    let uid = text(&live["metadata"]["uid"]);
    let others: Vec<&str> = sharers(live)
        .into_iter()
        .filter(|id| *id != owner.id())
        .collect();
    if !owner.owns(live) {
        // Somebody else's, or nobody's: it was read only, was handed over, or was never ours.
        return leave_shared(owner, cluster, target, live, &others).await;
    }
    if item.entry.uid.as_deref() != Some(uid) {
        // Another object of the same name, which we did not make. The one that we recorded is gone.
        return Ok(End::Released);
    }
    if item.intent == Intent::Release || !others.is_empty() {
        let patch = release(live, others.first().copied(), &others);
        return finished(
            cluster.merge_patch(target, &patch).await.map(drop),
            End::Released,
        );
    }
    if live["metadata"]["deletionTimestamp"].is_string() {
        return Ok(End::Waiting);
    }
    if let Some(reason) = in_use(pruner, owner, item, cluster, live).await? {
        return Ok(End::Held(reason));
    }
    let preconditions = Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: filled(text(&live["metadata"]["resourceVersion"])),
    };
    match cluster.delete(target, preconditions).await {
        Ok(()) => {
            // Without finalizers it is gone at once.
            let gone = cluster
                .get(target)
                .await?
                .is_none_or(|now| now["metadata"]["uid"] != uid);
            Ok(if gone { End::Gone } else { End::Waiting })
        }
        Err(error) => finished(Err(error), End::Gone),
    }
}

/// An object that is gone meanwhile is what we wanted; one that changed is looked at again.
fn finished(result: Result<(), ClusterError>, end: End) -> Result<End, ClusterError> {
    match result {
        Ok(()) => Ok(end),
        Err(error) if error.code() == 404 => Ok(End::Gone),
        Err(error) if error.is_conflict() => Ok(End::Waiting),
        Err(error) => Err(error),
    }
}

/// Takes our name out of the list of those who use an object that another Application owns.
async fn leave_shared(
    owner: &Owner,
    cluster: &Cluster,
    target: &Target,
    live: &Value,
    others: &[&str],
) -> Result<End, ClusterError> {
    if !sharers(live).contains(&owner.id().as_str()) {
        return Ok(End::Released);
    }
    let list = if others.is_empty() {
        Value::Null
    } else {
        others.join(",").into()
    };
    let patch = bound(
        live,
        json!({"annotations": { annotations::SHARED_BY: list }}),
    );
    finished(
        cluster.merge_patch(target, &patch).await.map(drop),
        End::Released,
    )
}

/// Takes our labels off, or hands them to the next who uses the object (APP-054).
fn release(live: &Value, heir: Option<&str>, others: &[&str]) -> Value {
    let (namespace, name) = match heir.and_then(|heir| heir.split_once('/')) {
        Some((namespace, name)) => (namespace.into(), name.into()),
        None => (Value::Null, Value::Null),
    };
    let mut metadata =
        json!({"labels": { labels::APP_NAMESPACE: namespace, labels::APP_NAME: name }});
    if live["metadata"]["annotations"]
        .get(annotations::SHARED_BY)
        .is_some()
    {
        let list = if others.is_empty() {
            Value::Null
        } else {
            others.join(",").into()
        };
        metadata["annotations"] = json!({ annotations::SHARED_BY: list });
    }
    bound(live, metadata)
}

/// A patch of metadata that holds only for this version of the object.
fn bound(live: &Value, mut metadata: Value) -> Value {
    for field in ["uid", "resourceVersion"] {
        metadata[field] = live["metadata"][field].clone();
    }
    let mut patch = Map::new();
    patch.insert("metadata".to_owned(), metadata);
    Value::Object(patch)
}

/// Why a Namespace or `CustomResourceDefinition` must stay: what it holds is not all ours.
async fn in_use(
    pruner: &Pruner,
    owner: &Owner,
    item: &Item,
    cluster: &Cluster,
    live: &Value,
) -> Result<Option<String>, ClusterError> {
    match Rank::of(&item.entry.api_version, &item.key.kind) {
        Rank::Other => Ok(None),
        Rank::Definition => instances(cluster, live).await,
        Rank::Namespace => foreign_in_namespace(pruner, owner, item).await,
    }
}

/// Objects of the kind that a definition serves.
async fn instances(cluster: &Cluster, crd: &Value) -> Result<Option<String>, ClusterError> {
    let spec = &crd["spec"];
    let versions = spec["versions"].as_array().into_iter().flatten();
    let Some(version) = versions.clone().find(|version| version["served"] == true) else {
        return Ok(None);
    };
    let api_version = format!("{}/{}", text(&spec["group"]), text(&version["name"]));
    let kind = text(&spec["names"]["kind"]);
    let resource = match cluster.resource(&api_version, kind).await {
        Ok(resource) => resource,
        Err(error) if error.is_gone() => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = match cluster.list(&resource, None, "").await {
        Ok(found) => found,
        Err(error) if error.is_gone() => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(found.first().map(|first| {
        format!(
            "the CustomResourceDefinition stays, because {} objects of its kind are left ({} first); delete \
             them to let it go",
            found.len(),
            ObjectKey::of(Some(cluster.name()), first)
        )
    }))
}

/// Objects of other Applications in a namespace.
async fn foreign_in_namespace(
    pruner: &Pruner,
    owner: &Owner,
    item: &Item,
) -> Result<Option<String>, ClusterError> {
    const SYSTEM: [&str; 5] = [
        "default",
        "kube-system",
        "kube-public",
        "kube-node-lease",
        "vela-system",
    ];
    let name = &item.key.name;
    if SYSTEM.contains(&name.as_str()) {
        return Ok(Some(format!("namespace {name} belongs to the system")));
    }
    let trackers = match pruner.store.all().await {
        Ok(trackers) => trackers,
        Err(InventoryError::Cluster(error)) => return Err(error),
        Err(error) => {
            return Ok(Some(format!(
                "whether namespace {name} is in use is unknown: {error}"
            )));
        }
    };
    Ok(trackers.iter().filter(|tracker| tracker.app_uid() != Some(&owner.uid)).find_map(|tracker| {
        let mut keys = tracker.entries().iter().map(ObjectKey::of_entry);
        let foreign = keys.find(|key| {
            key.cluster == item.key.cluster && key.namespace.as_ref() == Some(name)
        })?;
        Some(format!(
            "namespace {name} stays, because {foreign} of another application is in it (ResourceTracker {})",
            tracker.name()
        ))
    }))
}
