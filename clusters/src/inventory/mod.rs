//! The inventory of an Application: `ResourceTracker`s in KubeVela's format (APP-041 … APP-045).
//!
//! An entry is written before its object is applied, without uid (*intended*). The uid follows when the
//! object is there. What is in an inventory decides what may be deleted; the names and generations of
//! the trackers are only for people and for KubeVela.

mod index;
mod ledger;
mod store;
mod tracker;

use std::collections::BTreeSet;

use caravel_core::api::{CompressionError, ManagedResource, TrackerType};
use serde::{Deserialize, Serialize};

pub use index::{Application, Index};
pub use ledger::{Exclusive, Ledger};
pub use store::Store;
pub use tracker::Tracker;

use crate::error::ClusterError;
use crate::key::ObjectKey;
use crate::owner::Owner;

/// Why an inventory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The hub refused, or does not answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A tracker cannot be read.
    #[error("ResourceTracker {name} cannot be read: {source}")]
    Compressed {
        /// Its name.
        name: String,
        /// What is wrong.
        source: CompressionError,
    },
    /// A tracker is not what a tracker is.
    #[error("ResourceTracker {name} cannot be read: {message}")]
    Malformed {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A tracker of this name belongs to another Application that had the same name.
    #[error(
        "ResourceTracker {name} belongs to an application of the same name with uid {found}, expected \
         {expected}; wait until that one is deleted, or delete its tracker"
    )]
    Foreign {
        /// Its name.
        name: String,
        /// The uid in its label.
        found: String,
        /// The uid of the Application.
        expected: String,
    },
    /// The publish version was used before, and newer ones followed.
    #[error(
        "publishVersion {version} is in-use and outdated: a newer version was delivered since; choose a \
         new value for app.oam.dev/publishVersion"
    )]
    Outdated {
        /// The publish version.
        version: String,
    },
    /// Somebody else changed the tracker since it was read. Read again, and decide again.
    #[error("ResourceTracker {name} was changed by another writer")]
    Conflict {
        /// Its name.
        name: String,
    },
}

/// All trackers of an Application.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inventory {
    owner: Owner,
    root: Option<Tracker>,
    current: Option<Tracker>,
    component_revisions: Option<Tracker>,
    history: Vec<Tracker>,
}

impl Inventory {
    /// An inventory without objects.
    pub fn empty(owner: Owner) -> Self {
        Self {
            owner,
            root: None,
            current: None,
            component_revisions: None,
            history: Vec::new(),
        }
    }

    /// Sorts the trackers of an Application (APP-042).
    ///
    /// # Errors
    /// [`InventoryError::Foreign`], [`InventoryError::Outdated`].
    pub fn of(owner: Owner, trackers: Vec<Tracker>) -> Result<Self, InventoryError> {
        let mut inventory = Self::empty(owner);
        for tracker in trackers {
            let found = tracker.app_uid();
            if found.is_some_and(|uid| uid != inventory.owner.uid) {
                return Err(InventoryError::Foreign {
                    name: tracker.name().to_owned(),
                    found: found.unwrap_or_default().to_owned(),
                    expected: inventory.owner.uid,
                });
            }
            match tracker.type_() {
                TrackerType::Root => inventory.root = Some(tracker),
                TrackerType::ComponentRevision => inventory.component_revisions = Some(tracker),
                TrackerType::Versioned if inventory.is_current(&tracker) => {
                    inventory.current = Some(tracker);
                }
                TrackerType::Versioned => inventory.history.push(tracker),
            }
        }
        inventory.history.sort_by_key(Tracker::generation);
        inventory.check_age()?;
        Ok(inventory)
    }

    fn is_current(&self, tracker: &Tracker) -> bool {
        match &self.owner.publish_version {
            Some(version) => tracker.publish_version() == Some(version),
            None => {
                tracker.publish_version().is_none() && tracker.generation() == self.owner.generation
            }
        }
    }

    fn check_age(&self) -> Result<(), InventoryError> {
        let newest = self
            .history
            .iter()
            .filter(|t| !t.is_deleting())
            .map(Tracker::generation)
            .max();
        match (&self.owner.publish_version, &self.current, newest) {
            (Some(version), Some(current), Some(newest)) if current.generation() < newest => {
                Err(InventoryError::Outdated {
                    version: version.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// The Application.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// All trackers: root, current, component revisions, then history from old to new.
    pub fn trackers(&self) -> impl Iterator<Item = &Tracker> {
        let first = [&self.root, &self.current, &self.component_revisions];
        first.into_iter().flatten().chain(&self.history)
    }

    fn trackers_mut(&mut self) -> impl Iterator<Item = &mut Tracker> {
        let first = [
            &mut self.root,
            &mut self.current,
            &mut self.component_revisions,
        ];
        first.into_iter().flatten().chain(&mut self.history)
    }

    /// The trackers whose objects are to be as recorded: root and current (APP-048). History is only
    /// waiting to be collected; before the first dispatch of a generation, its newest counts.
    pub fn kept(&self) -> impl Iterator<Item = &Tracker> {
        let newest = self.history.last().filter(|_| self.current.is_none());
        self.root.iter().chain(self.current.as_ref()).chain(newest)
    }

    /// The newest entry of an object: of root or current, else of the newest tracker.
    pub fn entry(&self, key: &ObjectKey) -> Option<&ManagedResource> {
        let first = [&self.root, &self.current, &self.component_revisions]
            .into_iter()
            .flatten();
        first
            .chain(self.history.iter().rev())
            .find_map(|tracker| tracker.get(key))
    }

    /// The keys of all objects.
    pub fn keys(&self) -> BTreeSet<ObjectKey> {
        self.trackers()
            .flat_map(Tracker::entries)
            .map(ObjectKey::of_entry)
            .collect()
    }

    /// Records that an object is going to be applied. A uid that is known stays.
    pub fn intend(&mut self, type_: TrackerType, mut entry: ManagedResource) {
        let key = ObjectKey::of_entry(&entry);
        if entry.uid.is_none() {
            entry.uid = self.entry(&key).and_then(|known| known.uid.clone());
        }
        self.tracker(type_).put(entry);
    }

    /// Records the uid of an object that is there.
    pub fn settle(&mut self, key: &ObjectKey, uid: &str) {
        for tracker in self.trackers_mut() {
            tracker.settle(key, uid);
        }
    }

    /// Records that an object is about to be created: whatever its uid was, it will be another one.
    pub fn unsettle(&mut self, key: &ObjectKey) {
        for tracker in self.trackers_mut() {
            tracker.unsettle(key);
        }
    }

    /// Records that a step of the workflow deleted an object (APP-049).
    pub fn mark_deleted(&mut self, key: &ObjectKey) {
        for tracker in self.trackers_mut() {
            tracker.mark_deleted(key);
        }
    }

    /// Forgets an object.
    pub fn forget(&mut self, key: &ObjectKey) {
        for tracker in self.trackers_mut() {
            tracker.remove(key);
        }
    }

    /// Takes out of history what root or current list too.
    pub(crate) fn supersede(&mut self) {
        let owned: BTreeSet<ObjectKey> = [&self.root, &self.current]
            .into_iter()
            .flatten()
            .flat_map(Tracker::entries)
            .map(ObjectKey::of_entry)
            .collect();
        for tracker in &mut self.history {
            for key in &owned {
                tracker.remove(key);
            }
        }
        // One that is empty now is deleted, not written.
    }

    /// Forgets an object in the root or current tracker only: it was never ours to apply.
    pub fn withdraw(&mut self, key: &ObjectKey) {
        for tracker in [&mut self.root, &mut self.current].into_iter().flatten() {
            tracker.remove(key);
        }
    }

    /// Takes over what the API server made of the trackers of a copy that was written.
    fn stored(&mut self, written: Self) {
        let known = [written.root, written.current, written.component_revisions];
        for copy in known.into_iter().flatten().chain(written.history) {
            let name = copy.name().to_owned();
            if let Some(tracker) = self.trackers_mut().find(|one| one.name() == name) {
                tracker.take_stored(copy);
            }
        }
    }

    /// The tracker of a type, made if it is not there.
    fn tracker(&mut self, type_: TrackerType) -> &mut Tracker {
        let slot = match type_ {
            TrackerType::Root => &mut self.root,
            TrackerType::Versioned => &mut self.current,
            TrackerType::ComponentRevision => &mut self.component_revisions,
        };
        slot.get_or_insert_with(|| Tracker::new(&self.owner, type_))
    }
}

#[cfg(test)]
mod tests;
