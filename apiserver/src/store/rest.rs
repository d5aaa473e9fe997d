//! Packs what nobody has written for a while.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Shared;
use super::object::Object;
use super::pack::Dictionary;

/// What was written within one or two of these is left as it is: it is read most.
const PERIOD: Duration = Duration::from_secs(10);
/// How often is looked whether memory is short.
const LOOK: Duration = Duration::from_millis(500);
/// More bytes than these are not left as they are, however young.
const MOST: usize = 48 << 20;
/// Objects that are packed in one go.
const BATCH: usize = 64;
/// The pause between two goes: other work comes first.
const PAUSE: Duration = Duration::from_millis(20);
/// A resource with fewer objects is left as it is.
const FEW: usize = 8;
/// How much a resource may grow before its dictionary is made anew, of what its objects have in common then.
const GROWTH: usize = 8;

/// Packs objects until the store is gone.
pub(super) async fn run(shared: Weak<Shared>) {
    let mut packer = Packer::default();
    let mut young = Vec::new();
    loop {
        let Some(taken) = wait(&shared).await else {
            return;
        };
        let old = std::mem::replace(&mut young, taken);
        let mut sum = Sum::default();
        for batch in old.chunks(BATCH) {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            sum += packer.pack(&shared, batch);
            let hurry = shared.read(|state| state.fresh_bytes() > MOST);
            drop(shared);
            if hurry {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(PAUSE).await;
            }
        }
        if sum.objects > 0 {
            tracing::debug!(
                objects = sum.objects,
                bytes = sum.plain,
                left = sum.packed,
                "objects were packed"
            );
        }
    }
}

/// Waits until objects may have come to rest, and takes those that were written since; `None` if the store is gone.
async fn wait(shared: &Weak<Shared>) -> Option<Vec<Weak<Object>>> {
    let started = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let shared = shared.upgrade()?;
        if started.elapsed() >= PERIOD || shared.read(|state| state.fresh_bytes() > MOST) {
            return Some(shared.write(super::State::take_fresh));
        }
    }
}

/// What packing did.
#[derive(Default)]
struct Sum {
    objects: usize,
    plain: usize,
    packed: usize,
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.plain += other.plain;
        self.packed += other.packed;
    }
}

/// Packs everything, without waiting for it to come to rest.
#[cfg(test)]
pub(super) fn pack_all(shared: &Shared) {
    let fresh = shared.write(super::State::take_fresh);
    let _ = Packer::default().pack(shared, &fresh);
}

/// The dictionary of each resource, and how many objects it had when it was made.
#[derive(Default)]
struct Packer(HashMap<Arc<str>, (usize, Arc<Dictionary>)>);

impl Packer {
    fn pack(&mut self, shared: &Shared, batch: &[Weak<Object>]) -> Sum {
        let mut sum = Sum::default();
        for object in batch.iter().filter_map(Weak::upgrade) {
            if let Some(dictionary) = self.dictionary(shared, &object.key.resource)
                && let Some(left) = object.pack(&dictionary)
            {
                sum += Sum {
                    objects: 1,
                    plain: object.size(),
                    packed: left,
                };
            }
        }
        sum
    }

    /// The dictionary of a resource; `None` if it has few objects.
    fn dictionary(&mut self, shared: &Shared, resource: &Arc<str>) -> Option<Arc<Dictionary>> {
        let known = self.0.get(resource);
        let made = known.map(|(made, _)| *made);
        let renewed = shared.read(|state| {
            let objects = &state.resources.get(resource)?.objects;
            let count = objects.len();
            if count < FEW || made.is_some_and(|made| count < made * GROWTH) {
                return None;
            }
            // From all over the resource: those that are neighbours by name are more alike than others.
            let samples = objects.values().step_by(count / FEW);
            Some((count, samples.cloned().collect::<Vec<_>>()))
        });
        if let Some((count, samples)) = renewed {
            let dictionary = Dictionary::of(samples.iter().map(|object| object.body()));
            self.0
                .insert(Arc::clone(resource), (count, Arc::new(dictionary)));
        }
        self.0
            .get(resource)
            .map(|(_, dictionary)| Arc::clone(dictionary))
    }
}
