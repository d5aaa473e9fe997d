//! Reading and writing inventories on the hub. Every write is compare-and-swap: it fails if somebody
//! else wrote since we read.

use std::sync::Arc;

use caravel_core::api::{Algorithm, labels};
use kube::Api;
use kube::api::ObjectMeta;
use kube::core::params::Preconditions;
use serde_json::{Value, json};

use super::index::Index;
use super::{Inventory, InventoryError, Tracker};
use crate::connect::{Cluster, Resource, Target};
use crate::key::text;
use crate::owner::Owner;

/// The inventories of a hub.
#[derive(Clone, Debug)]
pub struct Store {
    hub: Arc<Cluster>,
    algorithm: Option<Algorithm>,
    resource: Arc<Resource>,
    index: Index,
}

impl Store {
    /// Inventories on this hub, compressed with zstd as KubeVela's chart has it (CRD-033).
    pub fn new(hub: Arc<Cluster>) -> Self {
        let resource = Arc::new(Resource {
            api_version: "core.oam.dev/v1beta1".to_owned(),
            kind: "ResourceTracker".to_owned(),
            plural: "resourcetrackers".to_owned(),
            namespaced: false,
        });
        Self {
            hub,
            algorithm: Some(Algorithm::Zstd),
            resource,
            index: Index::default(),
        }
    }

    /// Keeps in mind which trackers there are, for as long as it is polled. Without it, each
    /// [`Store::load`] looks through all trackers of the hub. Calls `on_lost` with namespace and name of an
    /// Application of which somebody else deletes a tracker: see [`Store::revive`].
    pub async fn follow(&self, on_lost: impl Fn(&str, &str)) {
        let resource = self.resource.api_resource();
        let api = Api::all_with(self.hub.client().clone(), &resource);
        let owner = |tracker: &ObjectMeta| {
            let found = tracker.labels.as_ref()?;
            let label = |name: &str| found.get(name).cloned();
            Some((label(labels::APP_NAMESPACE)?, label(labels::APP_NAME)?))
        };
        self.index.follow(api, owner, on_lost).await;
    }

    /// The same with another compression, or none.
    #[must_use]
    pub fn compressed(mut self, algorithm: Option<Algorithm>) -> Self {
        self.algorithm = algorithm;
        self
    }

    pub(super) fn target(&self, name: &str) -> Target {
        Target {
            resource: Arc::clone(&self.resource),
            namespace: None,
            name: name.to_owned(),
        }
    }

    /// Reads the inventory of an Application.
    ///
    /// # Errors
    /// If the hub does not answer, or a tracker is damaged or belongs to another Application.
    pub async fn load(&self, owner: Owner) -> Result<Inventory, InventoryError> {
        let found = match self.index.of(&owner.namespace, &owner.name) {
            Some(names) => self.read(&owner, names).await?,
            None => self.find(&owner).await?,
        };
        let trackers = found
            .into_iter()
            .map(Tracker::read)
            .collect::<Result<_, _>>()?;
        Inventory::of(owner, trackers)
    }

    /// The names of an Application's trackers, once all trackers are known.
    #[cfg(test)]
    pub(super) fn known(&self, namespace: &str, name: &str) -> Option<Vec<String>> {
        self.index.of(namespace, name)
    }

    /// Reads the trackers that are known.
    async fn read(&self, owner: &Owner, names: Vec<String>) -> Result<Vec<Value>, InventoryError> {
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            match self.hub.get(&self.target(&name)).await? {
                Some(raw) if owner.owns(&raw) => found.push(raw),
                Some(_) | None => self.index.remove(&owner.namespace, &owner.name, &name),
            }
        }
        Ok(found)
    }

    /// Looks through all trackers.
    async fn find(&self, owner: &Owner) -> Result<Vec<Value>, InventoryError> {
        let selector = format!(
            "{}={},{}={}",
            labels::APP_NAME,
            owner.name,
            labels::APP_NAMESPACE,
            owner.namespace
        );
        Ok(self.hub.list(&self.resource, None, &selector).await?)
    }

    /// The trackers of all Applications.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub async fn all(&self) -> Result<Vec<Tracker>, InventoryError> {
        let found = self.hub.list(&self.resource, None, "").await?;
        found.into_iter().map(Tracker::read).collect()
    }

    /// Writes the trackers that changed.
    ///
    /// # Errors
    /// [`InventoryError::Conflict`] if another writer was faster.
    pub async fn save(&self, inventory: &mut Inventory) -> Result<(), InventoryError> {
        for tracker in inventory
            .trackers_mut()
            .filter(|tracker| tracker.is_changed())
        {
            self.save_tracker(tracker).await?;
        }
        Ok(())
    }

    async fn save_tracker(&self, tracker: &mut Tracker) -> Result<(), InventoryError> {
        let name = tracker.name().to_owned();
        let body = tracker
            .write(self.algorithm)
            .map_err(|source| InventoryError::Compressed {
                name: name.clone(),
                source,
            })?;
        let target = self.target(&name);
        let label = |name: &str| text(&body["metadata"]["labels"][name]);
        self.index
            .insert(label(labels::APP_NAMESPACE), label(labels::APP_NAME), &name);
        let stored = if tracker.is_stored() {
            self.hub.replace(&target, &body).await
        } else {
            self.hub.create(&target, &body).await
        };
        match stored {
            Ok(raw) => {
                tracker.stored(raw);
                Ok(())
            }
            Err(error) if error.is_conflict() || error.code() == 404 => {
                Err(InventoryError::Conflict { name })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes trackers that somebody deleted by hand anew, while the Application lives: the objects stay
    /// (measured trap 9). Whether there were any.
    ///
    /// # Errors
    /// [`InventoryError::Conflict`] if another writer was faster.
    pub async fn revive(&self, inventory: &mut Inventory) -> Result<bool, InventoryError> {
        let mut revived = false;
        for tracker in inventory
            .trackers_mut()
            .filter(|tracker| tracker.is_stored())
        {
            match self.hub.get(&self.target(tracker.name())).await? {
                Some(live) if live["metadata"]["deletionTimestamp"].is_null() => continue,
                Some(live) => self.drop_tracker(&Tracker::read(live)?).await?,
                None => {}
            }
            tracker.unstore();
            self.save_tracker(tracker).await?;
            revived = true;
        }
        Ok(revived)
    }

    /// Lets trackers go that somebody deleted, whose Application is not there any more. What they list
    /// stays.
    ///
    /// # Errors
    /// If the hub does not answer.
    pub async fn release(&self, owner: &Owner) -> Result<(), InventoryError> {
        let names = self.index.of(&owner.namespace, &owner.name);
        for raw in self.read(owner, names.unwrap_or_default()).await? {
            let tracker = Tracker::read(raw)?;
            if tracker.is_deleting() {
                self.drop_tracker(&tracker).await?;
            }
        }
        Ok(())
    }

    /// Deletes the trackers that list nothing, except the current one while the Application lives.
    ///
    /// # Errors
    /// [`InventoryError::Conflict`] if another writer was faster.
    pub async fn drop_empty(
        &self,
        inventory: &mut Inventory,
        keep_current: bool,
    ) -> Result<(), InventoryError> {
        let is_empty = |tracker: &Tracker| tracker.entries().is_empty();
        let mut slots = vec![&mut inventory.root, &mut inventory.component_revisions];
        if !keep_current {
            slots.push(&mut inventory.current);
        }
        for slot in slots {
            if let Some(tracker) = slot.take_if(|tracker| is_empty(tracker)) {
                self.drop_tracker(&tracker).await?;
            }
        }
        let (empty, rest) = std::mem::take(&mut inventory.history)
            .into_iter()
            .partition(is_empty);
        inventory.history = rest;
        let empty: Vec<Tracker> = empty;
        for tracker in &empty {
            self.drop_tracker(tracker).await?;
        }
        Ok(())
    }

    /// Deletes a tracker and its finalizer. What it listed stays.
    async fn drop_tracker(&self, tracker: &Tracker) -> Result<(), InventoryError> {
        if !tracker.is_stored() {
            return Ok(());
        }
        let target = self.target(tracker.name());
        let metadata = &tracker.raw()["metadata"];
        let label = |name: &str| text(&metadata["labels"][name]);
        self.index.remove(
            label(labels::APP_NAMESPACE),
            label(labels::APP_NAME),
            tracker.name(),
        );
        let patch = json!({"metadata": {
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "finalizers": Value::Null,
        }});
        let patched = self.hub.merge_patch(&target, &patch).await;
        let deleted = match patched {
            // The finalizer was all that kept it.
            Ok(_) if tracker.is_deleting() => Ok(()),
            Ok(raw) => {
                let preconditions = Preconditions {
                    uid: Some(text(&raw["metadata"]["uid"]).to_owned()),
                    resource_version: None,
                };
                self.hub.delete(&target, preconditions).await
            }
            Err(error) => Err(error),
        };
        match deleted {
            Err(error) if error.is_gone() => Ok(()),
            Err(error) if error.is_conflict() => Err(InventoryError::Conflict {
                name: tracker.name().to_owned(),
            }),
            other => Ok(other?),
        }
    }
}
