//! Applying objects (APP-043 … APP-047): decide about all of them, record what is intended, write, record
//! what came of it.
//!
//! An object that is not there is created by POST, and not by a server-side apply, which would quietly
//! merge into an object that somebody else made in the same moment. What is there is changed by
//! server-side apply. Before the first one, the managedFields entry of our POST (or of KubeVela) is turned
//! into one of an apply, so that fields which are no longer wanted go. An object that already is as wanted
//! is not written.

mod act;
mod decide;
mod equal;
mod failure;
mod fields;
mod order;
mod paths;

use std::collections::BTreeMap;
use std::sync::Arc;

use caravel_core::api::{ManagedResource, TrackerType};
use caravel_core::appfile::GarbageStrategy;
use futures::{StreamExt as _, stream};
use serde_json::Value;

pub use decide::{Reason, Refusal, Step, decide};
pub use failure::{DispatchError, ObjectError};

pub(crate) use decide::sharers;
pub(crate) use order::Rank;

use crate::connect::{Cluster, Clusters, Resource, Target};
use crate::error::ClusterError;
use crate::inventory::{Inventory, Ledger, Store};
use crate::key::{ObjectKey, filled, text};
use crate::owner::{Owner, label, stamp};
use crate::rules::{Purpose, ResourcePolicies, Rules};

/// How many objects are read or written at once.
const PARALLEL: usize = 10;

/// An object that is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Its cluster; none means the hub's own, and is recorded so.
    pub cluster: Option<String>,
    /// What made it: `workflow` or `policy`.
    pub creator: Option<String>,
    /// The component that it belongs to.
    pub component: Option<String>,
    /// The trait that made it.
    pub trait_: Option<String>,
    /// As it was rendered.
    pub manifest: Value,
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Which object.
    pub key: ObjectKey,
    /// What was done.
    pub change: Change,
    /// The object as it is now.
    pub object: Arc<Value>,
}

/// What was done with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was created.
    Created,
    /// It was changed.
    Updated,
    /// It was deleted and created again, because this field changed.
    Recreated(String),
    /// We said that we use it.
    Shared,
    /// Nothing was to be done.
    Unchanged(Reason),
}

/// What would become of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Which object.
    pub key: ObjectKey,
    /// What would be done.
    pub step: Step,
    /// The object as it is; none if it is not there.
    pub before: Option<Value>,
    /// The object as it would be; none if it stays as it is.
    pub after: Option<Value>,
}

/// Is called at named places, at which a test makes the process die:
///
/// | place | what has happened |
/// |---|---|
/// | `inventory.intended` | the inventory lists the objects, none is written |
/// | `objects.written` | the objects of a batch are written, their uids are in no inventory |
pub type Probe = Arc<dyn Fn(&'static str) + Send + Sync>;

/// Writes objects to clusters. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    clusters: Clusters,
    store: Store,
    probe: Probe,
}

type Failure = (ObjectKey, ObjectError);

/// An object with all that the decision about it needs.
struct Plan {
    key: ObjectKey,
    cluster: Arc<Cluster>,
    target: Target,
    wanted: Wanted,
    /// With marks.
    desired: Value,
    rules: Rules,
    live: Option<Value>,
}

impl Dispatcher {
    /// Writes to these clusters, and keeps inventories there.
    pub fn new(clusters: Clusters, store: Store) -> Self {
        Self {
            clusters,
            store,
            probe: Arc::new(|_| {}),
        }
    }

    /// The same, writing to other clusters, for instance in somebody's name.
    #[must_use]
    pub fn writing_to(&self, clusters: Clusters) -> Self {
        Self {
            clusters,
            ..self.clone()
        }
    }

    /// The same, with somebody who is called at named places.
    #[must_use]
    pub fn probed(mut self, probe: Probe) -> Self {
        self.probe = probe;
        self
    }

    /// Applies objects. If one must not be touched, nothing is written at all.
    ///
    /// That they are intended is on the hub before the first of them is written. Their uids are only in
    /// memory after that: they go with the next [`Ledger::commit`]. Should we die before it, they are found
    /// again by our labels.
    ///
    /// # Errors
    /// See [`DispatchError`]. What was applied before a failure is in the inventory.
    pub async fn dispatch(
        &self,
        ledger: &Ledger,
        objects: Vec<Wanted>,
        policies: &ResourcePolicies,
    ) -> Result<Vec<Applied>, DispatchError> {
        let owner = ledger.read(|inventory| inventory.owner().clone()).await;
        let (plans, failures) = self
            .decide(&owner, objects, policies, Purpose::Update)
            .await;
        nothing_failed(failures, false)?;
        ledger
            .edit(|inventory| {
                for (plan, _) in &plans {
                    let (type_, entry) = plan.entry(policies);
                    inventory.intend(type_, entry);
                }
            })
            .await;
        self.carry_out(ledger, plans, Vec::new(), Purpose::Update)
            .await
    }

    /// What [`Dispatcher::dispatch`] would do, by a dry run against each cluster. Nothing is written.
    ///
    /// # Errors
    /// As [`Dispatcher::dispatch`].
    pub async fn preview(
        &self,
        owner: &Owner,
        objects: Vec<Wanted>,
        policies: &ResourcePolicies,
    ) -> Result<Vec<Preview>, DispatchError> {
        let (plans, failures) = self.decide(owner, objects, policies, Purpose::Update).await;
        nothing_failed(failures, false)?;
        let results: Vec<Result<Preview, Failure>> = stream::iter(plans)
            .map(|(plan, step)| act::dry_run(plan, step))
            .buffered(PARALLEL)
            .collect()
            .await;
        let mut previews = Vec::with_capacity(results.len());
        let mut failures = Vec::new();
        for result in results {
            match result {
                Ok(preview) => previews.push(preview),
                Err(failure) => failures.push(failure),
            }
        }
        nothing_failed(failures, false).map(|()| previews)
    }

    /// Brings objects back to what was recorded (APP-048). The inventory changes only where a uid does.
    /// One that fails stops no other.
    ///
    /// # Errors
    /// As [`Dispatcher::dispatch`].
    pub(crate) async fn restore(
        &self,
        ledger: &Ledger,
        objects: Vec<Wanted>,
        policies: &ResourcePolicies,
    ) -> Result<Vec<Applied>, DispatchError> {
        let owner = ledger.read(|inventory| inventory.owner().clone()).await;
        let (plans, failures) = self
            .decide(&owner, objects, policies, Purpose::StateKeep)
            .await;
        self.carry_out(ledger, plans, failures, Purpose::StateKeep)
            .await
    }

    /// Finds where each object is, reads it, and decides about it.
    async fn decide(
        &self,
        owner: &Owner,
        objects: Vec<Wanted>,
        policies: &ResourcePolicies,
        purpose: Purpose,
    ) -> (Vec<(Plan, Step)>, Vec<Failure>) {
        let manifests: Vec<Value> = objects
            .iter()
            .map(|wanted| wanted.manifest.clone())
            .collect();
        let prepared: Vec<Result<Plan, Failure>> = stream::iter(objects)
            .map(|wanted| self.prepare_one(owner, wanted, policies, &manifests))
            .buffered(PARALLEL)
            .collect()
            .await;
        let mut plans = Vec::with_capacity(prepared.len());
        let mut failures = Vec::new();
        for result in prepared {
            match result {
                Ok(plan) => plans.push(plan),
                Err(failure) => failures.push(failure),
            }
        }
        let mut decided = Vec::with_capacity(plans.len());
        for plan in last_of_each(plans) {
            match decide(
                &plan.desired,
                plan.live.as_ref(),
                owner,
                &plan.rules,
                purpose,
            ) {
                Ok(step) => decided.push((plan, step)),
                Err(refusal) => failures.push((plan.key, refusal.into())),
            }
        }
        (decided, failures)
    }

    async fn prepare_one(
        &self,
        owner: &Owner,
        mut wanted: Wanted,
        policies: &ResourcePolicies,
        manifests: &[Value],
    ) -> Result<Plan, Failure> {
        let key = ObjectKey::of(wanted.cluster.as_deref(), &wanted.manifest);
        let failed = |error| (key.clone(), ObjectError::Cluster(error));
        let cluster = self.clusters.get(&key.cluster).map_err(failed)?;
        let target = locate(&cluster, owner, &wanted.manifest, manifests)
            .await
            .map_err(failed)?;
        place(&mut wanted.manifest, target.namespace.as_deref());
        wanted.manifest = label(wanted.manifest, owner, wanted.cluster.as_deref());
        let live = cluster.get(&target).await.map_err(failed)?;
        Ok(Plan {
            key: ObjectKey::of(wanted.cluster.as_deref(), &wanted.manifest),
            rules: policies.rules_for(&wanted.manifest),
            desired: stamp(&wanted.manifest),
            cluster,
            target,
            wanted,
            live,
        })
    }

    /// Writes, batch by batch, and records what came of it.
    async fn carry_out(
        &self,
        ledger: &Ledger,
        plans: Vec<(Plan, Step)>,
        mut failures: Vec<Failure>,
        purpose: Purpose,
    ) -> Result<Vec<Applied>, DispatchError> {
        let owner = ledger.read(|inventory| inventory.owner().clone()).await;
        let mut batches: BTreeMap<Rank, Vec<(Plan, Step)>> = BTreeMap::new();
        // What is new and may turn out to be refused.
        let mut absent: BTreeMap<ObjectKey, (Arc<Cluster>, Target)> = BTreeMap::new();
        let mut doubtful = Vec::new();
        for (plan, step) in plans {
            if purpose == Purpose::Update && matches!(step, Step::Create(_)) {
                absent.insert(
                    plan.key.clone(),
                    (plan.cluster.clone(), plan.target.clone()),
                );
            }
            if matches!(step, Step::Create(_) | Step::Recreate { .. }) {
                doubtful.push(plan.key.clone());
            }
            batches
                .entry(Rank::of_manifest(&plan.desired))
                .or_default()
                .push((plan, step));
        }
        // Should we die before their new uids are recorded, they are known to be in doubt.
        ledger
            .edit(|inventory| doubtful.iter().for_each(|key| inventory.unsettle(key)))
            .await;
        ledger.commit(&self.store).await?;
        (self.probe)("inventory.intended");
        let mut applied = Vec::new();
        for (_, batch) in batches {
            let results: Vec<_> = stream::iter(batch)
                .map(|(plan, step)| act::carry_out(plan, step, &owner, purpose))
                .buffered(PARALLEL)
                .collect()
                .await;
            (self.probe)("objects.written");
            for (key, result) in &results {
                if !matches!(result, Err(ObjectError::Cluster(error)) if error.is_refusal()) {
                    absent.remove(key);
                }
            }
            ledger.edit(|inventory| record(inventory, &results)).await;
            for (key, result) in results {
                match result {
                    Ok(done) => applied.push(done),
                    Err(error) => failures.push((key, error)),
                }
            }
            if purpose == Purpose::Update && !failures.is_empty() {
                break;
            }
        }
        for (key, (cluster, target)) in absent {
            // Refused, or not even tried: where nothing is, there is nothing to be recorded.
            if matches!(cluster.get(&target).await, Ok(None)) {
                ledger.edit(|inventory| inventory.withdraw(&key)).await;
            }
        }
        if !failures.is_empty() || purpose == Purpose::StateKeep {
            ledger.commit(&self.store).await?;
        }
        nothing_failed(failures, true).map(|()| applied)
    }
}

/// Records what came of a batch.
fn record(inventory: &mut Inventory, results: &[(ObjectKey, Result<Applied, ObjectError>)]) {
    for (key, result) in results {
        match result {
            Ok(done) => inventory.settle(key, text(&done.object["metadata"]["uid"])),
            // The object that we met is not ours: it must never be deleted.
            Err(ObjectError::Refused(why)) if !why.is_transient() => inventory.withdraw(key),
            Err(_) => {}
        }
    }
}

impl Plan {
    /// The entry that records the object, and the tracker that it goes to (APP-044).
    fn entry(&self, policies: &ResourcePolicies) -> (TrackerType, ManagedResource) {
        let type_ = match self.rules.garbage {
            GarbageStrategy::Never | GarbageStrategy::OnAppDelete => TrackerType::Root,
            GarbageStrategy::OnAppUpdate => TrackerType::Versioned,
        };
        let entry = ManagedResource {
            cluster: self.wanted.cluster.clone().filter(|name| !name.is_empty()),
            creator: self.wanted.creator.clone(),
            api_version: text(&self.desired["apiVersion"]).to_owned(),
            kind: self.key.kind.clone(),
            name: self.key.name.clone(),
            namespace: self.key.namespace.clone(),
            component: self.wanted.component.clone(),
            trait_: self.wanted.trait_.clone(),
            skip_gc: self.rules.garbage == GarbageStrategy::Never,
            raw: (!policies.applies_once()).then(|| self.wanted.manifest.clone()),
            ..ManagedResource::default()
        };
        (type_, entry)
    }
}

fn nothing_failed(failures: Vec<Failure>, applied: bool) -> Result<(), DispatchError> {
    if failures.is_empty() {
        return Ok(());
    }
    Err(DispatchError::Objects { failures, applied })
}

/// If an object is wanted twice, the last manifest counts.
fn last_of_each(plans: Vec<Plan>) -> Vec<Plan> {
    let mut last: Vec<Plan> = Vec::with_capacity(plans.len());
    for plan in plans {
        match last.iter_mut().find(|known| known.key == plan.key) {
            Some(known) => *known = plan,
            None => last.push(plan),
        }
    }
    last
}

/// Where an object is. Its kind may be one that a `CustomResourceDefinition` of the same dispatch brings.
/// An object without namespace goes to the namespace of its Application.
async fn locate(
    cluster: &Cluster,
    owner: &Owner,
    manifest: &Value,
    manifests: &[Value],
) -> Result<Target, ClusterError> {
    let (api_version, kind) = (text(&manifest["apiVersion"]), text(&manifest["kind"]));
    let name = text(&manifest["metadata"]["name"]);
    for (field, value) in [
        ("apiVersion", api_version),
        ("kind", kind),
        ("metadata.name", name),
    ] {
        if value.is_empty() {
            return Err(ClusterError::Incomplete {
                what: format!("object {kind} {name}"),
                field,
            });
        }
    }
    let resource = match cluster.resource(api_version, kind).await {
        Ok(resource) => resource,
        Err(error @ ClusterError::KindNotServed { .. }) => {
            match order::scope_from(manifests.iter(), api_version, kind) {
                Some((plural, namespaced)) => Arc::new(Resource {
                    api_version: api_version.to_owned(),
                    kind: kind.to_owned(),
                    plural,
                    namespaced,
                }),
                None => return Err(error),
            }
        }
        Err(error) => return Err(error),
    };
    let namespace = filled(text(&manifest["metadata"]["namespace"]))
        .or_else(|| Some(owner.namespace.clone()))
        .filter(|_| resource.namespaced);
    Ok(Target {
        resource,
        namespace,
        name: name.to_owned(),
    })
}

/// Writes the namespace into a manifest, or takes it out.
fn place(manifest: &mut Value, namespace: Option<&str>) {
    if let Some(metadata) = manifest["metadata"].as_object_mut() {
        match namespace {
            Some(namespace) => metadata.insert("namespace".to_owned(), namespace.into()),
            None => metadata.remove("namespace"),
        };
    }
}

#[cfg(test)]
mod tests;
