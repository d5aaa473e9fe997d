//! The versions that the objects of a kind are at, as a cache that is watched.

use futures::StreamExt as _;
use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::warn;

type Metadata = PartialObjectMeta<DynamicObject>;

/// The objects of one kind.
pub(crate) struct Versions {
    resource: ApiResource,
    objects: Store<Metadata>,
}

impl Versions {
    /// Starts to watch, and tells of each change; ends with `shutdown`.
    pub(crate) fn follow(
        client: &Client,
        resource: ApiResource,
        on_change: impl Fn() + Send + 'static,
        shutdown: &CancellationToken,
    ) -> Self {
        let writer = Writer::new(resource.clone());
        let objects = writer.as_reader();
        let api: Api<Metadata> = Api::all_with(client.clone(), &resource);
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
        Self { resource, objects }
    }

    /// Waits until everything that exists has been read once.
    pub(crate) async fn ready(&self) {
        // The watch ends with the daemon: then nobody waits.
        let _ = self.objects.wait_until_ready().await;
    }

    /// The version of an object, if it is there.
    pub(crate) fn of(&self, namespace: &str, name: &str) -> Option<String> {
        let key = ObjectRef::new_with(name, self.resource.clone()).within(namespace);
        self.objects.get(&key)?.resource_version()
    }
}
