//! Deleting what is no longer wanted (APP-050 … APP-055), and nothing else.
//!
//! An object is deleted only if a later run that came to its end did not apply it, or its Application is
//! being deleted. Before that it is read: it must be the one that was recorded (its uid), and carry our
//! owner labels.

mod act;
mod plan;

use std::collections::{BTreeMap, BTreeSet};

pub use plan::{Intent, Item, plan};

use crate::connect::Clusters;
use crate::inventory::{Inventory, InventoryError, Store};
use crate::key::ObjectKey;

/// On an object that holds data or other objects: it may be deleted when the Application drops it.
pub const ALLOW_PRUNE: &str = "caravel.dev/prune";

/// Why objects are deleted.
#[derive(Clone, Debug)]
pub enum Cause<'a> {
    /// A run came to its end, and applied these objects.
    Succeeded {
        /// All objects that it applied, and those that it found as they should be.
        applied: &'a BTreeSet<ObjectKey>,
    },
    /// The Application is being deleted.
    Deleted {
        /// All objects stay (finalizer `app.oam.dev/orphan-resource`).
        orphan: bool,
    },
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Objects that were asked to go, and are still there.
    pub waiting: Vec<ObjectKey>,
    /// Objects that are gone.
    pub gone: Vec<ObjectKey>,
    /// Objects that stay, and are no longer ours.
    pub released: Vec<ObjectKey>,
    /// Objects that stay ours for now, and why.
    pub held: Vec<(ObjectKey, String)>,
    /// Objects that could not be looked at or deleted, and why.
    pub failed: Vec<(ObjectKey, String)>,
}

impl Report {
    /// Whether everything that was to go is gone.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.failed.is_empty()
    }
}

/// Deletes objects. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pruner {
    clusters: Clusters,
    store: Store,
}

/// Which components must be gone before a component goes: those that depend on it, by name.
pub type Dependents = BTreeMap<String, BTreeSet<String>>;

impl Pruner {
    /// Deletes in these clusters what these inventories list.
    pub fn new(clusters: Clusters, store: Store) -> Self {
        Self { clusters, store }
    }

    /// Carries out a plan as far as it goes now. Come again while objects are waiting: when one of them
    /// is seen to be gone, not after a time.
    ///
    /// # Errors
    /// If the inventory cannot be written.
    pub async fn prune(
        &self,
        inventory: &mut Inventory,
        items: Vec<Item>,
        dependents: Option<&Dependents>,
    ) -> Result<Report, InventoryError> {
        act::prune(self, inventory, items, dependents).await
    }

    /// Deletes the trackers that list nothing any more but what a newer one lists too. To be called when
    /// a run came to its end, or its Application is being deleted.
    ///
    /// # Errors
    /// If another writer was faster.
    pub async fn tidy(
        &self,
        inventory: &mut Inventory,
        deleted: bool,
    ) -> Result<(), InventoryError> {
        inventory.supersede();
        self.store.drop_empty(inventory, !deleted).await?;
        self.store.save(inventory).await
    }
}

#[cfg(test)]
mod tests;
