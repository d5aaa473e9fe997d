//! The objects of a kind, as a cache that is watched.

use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::api::Api;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The objects of one kind, without their managed fields.
pub(crate) struct Cached<K: Resource<DynamicType = ()> + 'static>(Store<K>);

impl<K> Cached<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// Starts to watch, and tells of each change; ends with `shutdown`.
    pub(crate) fn follow(
        client: &Client,
        on_change: impl Fn() + Send + 'static,
        shutdown: &CancellationToken,
    ) -> Self {
        let writer = Writer::default();
        let objects = writer.as_reader();
        let api: Api<K> = Api::all(client.clone());
        let mut events = watcher(api, watcher::Config::default())
            .default_backoff()
            .modify(|object| object.managed_fields_mut().clear())
            .reflect(writer)
            .take_until(shutdown.clone().cancelled_owned())
            .boxed();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Ok(_) => on_change(),
                    Err(error) => warn!(%error, "the watch is tried again"),
                }
            }
        });
        Self(objects)
    }

    /// Waits until everything that exists has been read once.
    pub(crate) async fn ready(&self) {
        // The watch ends with the daemon: then nobody waits.
        let _ = self.0.wait_until_ready().await;
    }

    /// An object, if it is there.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.0.get(&ObjectRef::new(name).within(namespace))
    }
}
