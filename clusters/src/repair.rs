//! Drift: objects that are no longer as they were recorded (APP-048).
//!
//! What was recorded is applied again. Nothing is rendered, so a changed definition rolls nothing.

use std::sync::Arc;

use caravel_core::api::ManagedResource;
use serde_json::Value;

use crate::dispatch::{Applied, DispatchError, Dispatcher, Step, Wanted, decide};
use crate::inventory::{Inventory, Ledger, Tracker};
use crate::key::ObjectKey;
use crate::owner::{Owner, stamp};
use crate::rules::{Purpose, ResourcePolicies};

/// What is known of an object.
#[derive(Clone, Debug)]
pub enum Known {
    /// It is like this.
    There(Arc<Value>),
    /// It is not there.
    Gone,
    /// Its kind has not been listed yet: nothing can be said.
    Unknown,
}

/// The objects that are not as they were recorded, as far as is known.
pub fn drifted(
    inventory: &Inventory,
    policies: &ResourcePolicies,
    known: impl Fn(&ObjectKey) -> Known,
) -> Vec<ObjectKey> {
    if policies.applies_once() {
        return Vec::new();
    }
    recorded(inventory)
        .filter_map(|entry| {
            let raw = entry.raw.as_ref()?;
            let key = ObjectKey::of_entry(entry);
            let drifted = match known(&key) {
                Known::Unknown => false,
                Known::There(live) => needs_repair(raw, Some(&live), inventory.owner(), policies),
                Known::Gone => needs_repair(raw, None, inventory.owner(), policies),
            };
            drifted.then_some(key)
        })
        .collect()
}

/// Whether a recorded manifest has to be applied again, or the object cannot be repaired because it is
/// no longer ours, which is to be reported.
fn needs_repair(
    raw: &Value,
    live: Option<&Value>,
    owner: &Owner,
    policies: &ResourcePolicies,
) -> bool {
    let rules = policies.rules_for(raw);
    // An object that is only read carries no labels of ours, so watches do not see it.
    if rules.read_only || (live.is_none() && is_left_deleted(raw, policies)) {
        return false;
    }
    !matches!(
        decide(&stamp(raw), live, owner, &rules, Purpose::StateKeep),
        Ok(Step::Nothing(_))
    )
}

/// An object that somebody deleted stays deleted if it is written once as a whole.
fn is_left_deleted(raw: &Value, policies: &ResourcePolicies) -> bool {
    policies
        .rules_for(raw)
        .kept(Purpose::StateKeep)
        .iter()
        .any(|path| path == "*")
}

/// The entries that are to be as recorded.
fn recorded(inventory: &Inventory) -> impl Iterator<Item = &ManagedResource> {
    inventory
        .kept()
        .flat_map(Tracker::entries)
        .filter(|entry| !entry.deleted)
}

impl Dispatcher {
    /// Applies what was recorded of these objects again; of all objects if none are named.
    ///
    /// # Errors
    /// See [`DispatchError`].
    pub async fn repair(
        &self,
        ledger: &Ledger,
        only: Option<&[ObjectKey]>,
        policies: &ResourcePolicies,
    ) -> Result<Vec<Applied>, DispatchError> {
        if policies.applies_once() {
            return Ok(Vec::new());
        }
        let wanted = ledger
            .read(|inventory| {
                recorded(inventory)
                    .filter(|entry| {
                        only.is_none_or(|keys| keys.contains(&ObjectKey::of_entry(entry)))
                    })
                    .filter(|entry| {
                        let raw = entry.raw.as_ref();
                        raw.is_none_or(|raw| !is_left_deleted(raw, policies))
                    })
                    .filter_map(wanted)
                    .collect()
            })
            .await;
        self.restore(ledger, wanted, policies).await
    }
}

/// An entry as an object that is wanted; none if its manifest was not kept.
fn wanted(entry: &ManagedResource) -> Option<Wanted> {
    Some(Wanted {
        cluster: entry.cluster.clone(),
        creator: entry.creator.clone(),
        component: entry.component.clone(),
        trait_: entry.trait_.clone(),
        manifest: entry.raw.clone()?,
    })
}

#[cfg(test)]
mod tests;
