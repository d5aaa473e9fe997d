//! The packages of a hub (`Package` objects), as a cache that is watched.

use std::sync::{Arc, PoisonError, RwLock};

use caravel_core::api::Package;
use caravel_core::engine::Operation;
use caravel_core::packages;
use futures::StreamExt as _;
use kube::Client;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// All packages of a hub.
#[derive(Clone, Default)]
pub(crate) struct Packages(Arc<RwLock<packages::Packages>>);

impl Packages {
    /// Starts to watch; ends with `shutdown`.
    pub(crate) fn start(client: &Client, shutdown: &CancellationToken) -> Self {
        let packages = Self::default();
        let known = packages.clone();
        let mut events = watcher(
            Api::<Package>::all(client.clone()),
            watcher::Config::default(),
        )
        .default_backoff()
        .take_until(shutdown.clone().cancelled_owned())
        .boxed();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => known.take(event),
                    Err(error) => warn!(%error, "the watch of packages is tried again"),
                }
            }
        });
        packages
    }

    fn take(&self, event: watcher::Event<Package>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            watcher::Event::Init => all.clear(),
            watcher::Event::InitDone => {}
            watcher::Event::Apply(package) | watcher::Event::InitApply(package) => {
                all.insert(package);
            }
            watcher::Event::Delete(package) => all.remove(&package),
        }
    }

    /// Puts the packages that an operation's templates import beside them.
    pub(crate) fn attach(&self, namespace: &str, operation: &mut Operation) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.attach(namespace, operation);
    }
}
