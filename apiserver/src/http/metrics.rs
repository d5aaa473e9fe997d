//! Figures for Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::core::Core;

/// What distinguishes requests. All values are from closed sets, so that clients cannot make new series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    pub(crate) verb: &'static str,
    pub(crate) resource: String,
    pub(crate) code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verb {
    verb: &'static str,
}

/// The figures of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Verb, Histogram>,
    /// Watches that are open.
    pub(crate) watches: Gauge,
    version: Gauge<u64, AtomicU64>,
    served: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("caravel_apiserver");
        let requests = Family::default();
        registry.register("requests", "Requests that were answered", requests.clone());
        let durations: Family<Verb, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 2.0, 16)));
        registry.register(
            "request_duration_seconds",
            "How long requests took, watches apart",
            durations.clone(),
        );
        let (watches, version, served) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("watches", "Watches that are open", watches.clone());
        registry.register(
            "resource_version",
            "The version of the last write",
            version.clone(),
        );
        registry.register(
            "served_resources",
            "Resources that are served, by version",
            served.clone(),
        );
        Self {
            registry,
            requests,
            durations,
            watches,
            version,
            served,
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, labels: Labels, seconds: f64) {
        if labels.verb != "watch" {
            self.durations
                .get_or_create(&Verb { verb: labels.verb })
                .observe(seconds);
        }
        self.requests.get_or_create(&labels).inc();
    }

    /// The figures as text.
    pub(crate) fn encode(&self, core: &Core) -> String {
        self.version.set(core.store.version());
        let served = core.catalog.load().kinds().count();
        self.served.set(i64::try_from(served).unwrap_or(i64::MAX));
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics could not be written");
        }
        text
    }
}
