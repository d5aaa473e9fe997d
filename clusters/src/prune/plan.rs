//! What has to go: a function of the inventory and of what the last run applied.

use caravel_core::api::{ManagedResource, TrackerType};
use caravel_core::appfile::{GarbageStrategy, Propagation};
use serde_json::Value;

use super::{ALLOW_PRUNE, Cause};
use crate::inventory::{Inventory, Tracker};
use crate::key::{ObjectKey, text};
use crate::rules::{ResourcePolicies, Rules};

/// An object that is to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Which object.
    pub key: ObjectKey,
    /// Its newest entry.
    pub entry: ManagedResource,
    /// What is to be done with it.
    pub intent: Intent,
}

/// What is to be done with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Delete it.
    Delete,
    /// Take our labels off and forget it.
    Release,
    /// Leave it, and say why.
    Hold(String),
}

/// Decides what has to go.
pub fn plan(inventory: &Inventory, policies: &ResourcePolicies, cause: &Cause<'_>) -> Vec<Item> {
    inventory
        .keys()
        .into_iter()
        .filter_map(|key| {
            let entry = inventory.entry(&key)?.clone();
            let lifelong = is_in_root(inventory, &key);
            let rules = entry
                .raw
                .as_ref()
                .map(|raw| policies.rules_for(raw))
                .unwrap_or_default();
            let intent = intent(&key, &entry, lifelong, policies, &rules, cause)?;
            Some(Item { key, entry, intent })
        })
        .collect()
}

fn is_in_root(inventory: &Inventory, key: &ObjectKey) -> bool {
    let mut trackers = inventory
        .trackers()
        .filter(|tracker| tracker.type_() == TrackerType::Root);
    trackers.any(|tracker: &Tracker| tracker.get(key).is_some())
}

/// None if the object stays as it is.
fn intent(
    key: &ObjectKey,
    entry: &ManagedResource,
    lifelong: bool,
    policies: &ResourcePolicies,
    rules: &Rules,
    cause: &Cause<'_>,
) -> Option<Intent> {
    let never = entry.skip_gc || rules.garbage == GarbageStrategy::Never;
    let orphan = rules.propagation == Propagation::Orphan;
    match cause {
        Cause::Deleted { orphan: all } if never || orphan || *all => Some(Intent::Release),
        Cause::Deleted { .. } => Some(Intent::Delete),
        // A step of the workflow deleted it (APP-049).
        Cause::Succeeded { .. } if entry.deleted => Some(Intent::Delete),
        Cause::Succeeded { applied } => {
            let stays = applied.contains(key)
                || never
                || lifelong
                || rules.garbage == GarbageStrategy::OnAppDelete
                || policies.garbage().keep_legacy_resource;
            match stays {
                true => None,
                false if orphan => Some(Intent::Release),
                false => Some(guard(key, entry)),
            }
        }
    }
}

/// Objects that hold data or other objects are not deleted by an edit alone.
fn guard(key: &ObjectKey, entry: &ManagedResource) -> Intent {
    let holds = match (key.group.as_str(), key.kind.as_str()) {
        ("", "PersistentVolumeClaim") => "the data of its volume",
        ("", "Namespace") => "all objects in it",
        ("apiextensions.k8s.io", "CustomResourceDefinition") => "all objects of its kind",
        _ => return Intent::Delete,
    };
    let raw = entry.raw.as_ref().unwrap_or(&Value::Null);
    if text(&raw["metadata"]["annotations"][ALLOW_PRUNE]) == "allow" {
        return Intent::Delete;
    }
    Intent::Hold(format!(
        "{key} is no longer part of the application, but deleting it deletes {holds}; it goes with the \
         application, or delete it yourself (annotation {ALLOW_PRUNE}: allow, set while it is still part \
         of the application, lets edits delete it)"
    ))
}
