//! The controllers that a Kubernetes-style server cannot be without. They work through a plain
//! client, on watches.
//!
//! - namespaces: the content of one that is deleted goes first;
//! - garbage collection by owner references: background, foreground and orphaning deletions;
//! - every namespace has a service account `default` and the ConfigMap `kube-root-ca.crt`;
//! - Secrets of type `kubernetes.io/service-account-token` get their tokens;
//! - cluster roles with an `aggregationRule` get the rules of those that they select;
//! - events are deleted after a while;
//! - the names of `CustomResourceDefinitions` are accepted, and their objects go with them.

mod account_tokens;
mod aggregation;
mod defaults;
mod definitions;
mod events;
mod garbage;
mod graph;
mod names;
mod namespaces;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::simulator::Clock;

/// What the controllers need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The certificate of the server's authority (PEM), which every namespace is given as
    /// `kube-root-ca.crt`. Without it there is no such ConfigMap.
    pub authority: Option<String>,
    /// How long events are kept.
    pub event_ttl: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            authority: None,
            event_ttl: Duration::from_hours(1),
        }
    }
}

/// Runs all controllers until they are told to stop. They stop at once, whatever they wait for; what
/// is left undone is found again at the next start.
pub async fn run(client: Client, clock: Arc<dyn Clock>, options: Options, stop: CancellationToken) {
    let all = async {
        tokio::join!(
            namespaces::run(client.clone()),
            garbage::run(client.clone()),
            defaults::run(client.clone(), options.authority.clone()),
            account_tokens::run(client.clone(), options.authority),
            events::run(client.clone(), clock, options.event_ttl),
            aggregation::run(client.clone()),
            definitions::run(client),
        )
    };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = Box::pin(all) => {}
    }
}
