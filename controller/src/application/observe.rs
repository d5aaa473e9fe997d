//! What wakes an Application besides itself: its objects, definitions that it misses, and policies that work on it.

use std::sync::Arc;

use caravel_clusters::observe::Observed;
use caravel_clusters::owner_labels;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::session::Key;

/// Wants a turn of each Application whose object changed, until `shutdown`.
pub(crate) async fn objects(
    context: Arc<Context>,
    mut observed: mpsc::Receiver<Observed>,
    shutdown: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            event = observed.recv() => event,
            () = shutdown.cancelled() => return,
        };
        match event {
            Some(Observed::Changed { object, .. } | Observed::Deleted { object, .. }) => {
                if let Some(key) = owner(&object) {
                    context.sessions.mark_change(&key);
                    context.queue.wake(&key);
                }
            }
            // What changed while nobody watched is seen now.
            Some(Observed::Synced(kind)) => context.trigger_all_having(&kind),
            None => return,
        }
    }
}

fn owner(object: &Value) -> Option<Key> {
    let (namespace, name) = owner_labels(object)?;
    Some(Key {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

/// Wants a turn of each Application that a change of definitions concerns, until `shutdown`.
pub(crate) async fn definitions(context: Arc<Context>, shutdown: CancellationToken) {
    let mut changes = context.library.changes();
    loop {
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = shutdown.cancelled() => return,
        }
        changes.mark_unchanged();
        for key in context.sessions.keys() {
            let session = context.sessions.get(&key);
            match session.memory.try_lock() {
                Ok(memory) if memory.waits_for_definitions() => context.trigger(&key),
                Ok(memory) if !memory.is_outdated(&context.library) => {}
                // A global policy concerns very many. One that is in the middle of a turn may have looked before the
                // change.
                Ok(_) | Err(_) => context.trigger_later(&key),
            }
        }
    }
}
