//! What all parts of the server share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::auth::Auth;
use crate::catalog::Catalog;
use crate::registry::Addresses;
use crate::store::Store;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The running server, without its listeners.
pub(crate) struct Core {
    pub(crate) store: Store,
    pub(crate) catalog: ArcSwap<Catalog>,
    pub(crate) admission: ArcSwap<Vec<Arc<dyn Admission>>>,
    /// What Services were given.
    pub(crate) addresses: Addresses,
    pub(crate) auth: Auth,
    pub(crate) clock: Clock,
    /// Ends watches when the server goes down.
    pub(crate) stopping: CancellationToken,
}

impl Core {
    /// The time as Kubernetes writes it: whole seconds, UTC.
    pub(crate) fn now(&self) -> String {
        text((self.clock)())
    }

    /// Serves what the `CustomResourceDefinitions` in the store say now.
    pub(crate) fn refresh_catalog(&self) {
        self.catalog
            .rcu(|previous| Catalog::load(&self.store, Some(previous)));
    }
}

/// A time as Kubernetes writes it.
pub(crate) fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
