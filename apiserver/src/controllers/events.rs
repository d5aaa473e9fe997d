//! Events are kept for a while, and then deleted.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use kube::api::{DeleteParams, Preconditions};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};

use super::watching::{already, insist, watch};
use crate::simulator::Clock;

/// Namespace, name and uid.
type Key = (String, String, String);

/// Deletes events that are older than `ttl`, counted from when they last happened.
pub(super) async fn run(client: Client, clock: Arc<dyn Clock>, ttl: Duration) {
    let mut seen = watch(
        Api::<Event>::all(client.clone()),
        watcher::Config::default(),
    );
    let ttl = SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX);
    let mut due: BTreeSet<(Timestamp, Key)> = BTreeSet::new();
    let mut ends: HashMap<Key, Timestamp> = HashMap::new();
    loop {
        let next = due.first().cloned();
        let alarm = match &next {
            Some((at, _)) => clock.sleep_until(*at),
            None => std::future::pending().boxed(),
        };
        tokio::select! {
            Some(event) = seen.next() => match event {
                watcher::Event::Apply(event) | watcher::Event::InitApply(event) => {
                    let end = last_time(&event).checked_add(ttl).unwrap_or(Timestamp::MAX);
                    let key = key(&event);
                    if let Some(before) = ends.insert(key.clone(), end) {
                        due.remove(&(before, key.clone()));
                    }
                    due.insert((end, key));
                }
                watcher::Event::Delete(event) => {
                    let key = key(&event);
                    if let Some(end) = ends.remove(&key) {
                        due.remove(&(end, key));
                    }
                }
                watcher::Event::Init | watcher::Event::InitDone => {}
            },
            () = alarm => {
                if let Some((at, key)) = next {
                    delete(&client, &key).await;
                    ends.remove(&key);
                    due.remove(&(at, key));
                }
            }
        }
    }
}

fn key(event: &Event) -> Key {
    (
        event.namespace().unwrap_or_default(),
        event.name_any(),
        event.uid().unwrap_or_default(),
    )
}

/// When the event happened last.
fn last_time(event: &Event) -> Timestamp {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    let times = [
        series.map(|time| time.0),
        event.last_timestamp.as_ref().map(|time| time.0),
        event.event_time.as_ref().map(|time| time.0),
        event
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0),
    ];
    times
        .into_iter()
        .flatten()
        .max()
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

async fn delete(client: &Client, (namespace, name, uid): &Key) {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let delete = || async { already(api.delete(name, &parameters).await, &[404, 409]) };
    insist("deleting an old event", delete).await;
}
