//! Figures about the work on Applications.

use std::sync::{Mutex, PoisonError};

use jiff::SignedDuration;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: String,
}

/// The metrics and where they are registered.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    turns: Family<Outcome, Counter>,
    turn_seconds: Histogram,
    deliveries: Family<Result, Counter>,
    delivery_seconds: Histogram,
    repairs: Counter,
    unloads: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("caravel");
        let turns = Family::default();
        registry.register("turns", "Turns of Applications, by outcome", turns.clone());
        let turn_seconds = Histogram::new(exponential_buckets(0.000_1, 4.0, 10));
        registry.register(
            "turn_seconds",
            "How long turns of Applications take",
            turn_seconds.clone(),
        );
        let deliveries = Family::default();
        registry.register(
            "deliveries",
            "Workflow runs that ended, by result",
            deliveries.clone(),
        );
        let delivery_seconds = Histogram::new(exponential_buckets(0.01, 4.0, 10));
        registry.register(
            "delivery_seconds",
            "How long workflow runs take from begin to end",
            delivery_seconds.clone(),
        );
        let repairs = Counter::default();
        registry.register(
            "repairs",
            "Objects that were brought back after drift",
            repairs.clone(),
        );
        let unloads = Counter::default();
        registry.register(
            "unloads",
            "Applications of which little was kept in memory, as they were at rest",
            unloads.clone(),
        );
        Self {
            registry: Mutex::new(registry),
            turns,
            turn_seconds,
            deliveries,
            delivery_seconds,
            repairs,
            unloads,
        }
    }
}

impl Metrics {
    /// A turn ended.
    pub(crate) fn turn(&self, succeeded: bool, took: SignedDuration) {
        let outcome = if succeeded { "success" } else { "error" };
        self.turns.get_or_create(&Outcome { outcome }).inc();
        self.turn_seconds.observe(took.as_secs_f64());
    }

    /// A run ended.
    pub(crate) fn delivery(&self, result: &str, took: SignedDuration) {
        self.deliveries
            .get_or_create(&Result {
                result: result.to_owned(),
            })
            .inc();
        self.delivery_seconds.observe(took.as_secs_f64());
    }

    /// Objects were brought back.
    pub(crate) fn repaired(&self, objects: u64) {
        self.repairs.inc_by(objects);
    }

    /// Applications at rest were unloaded.
    pub(crate) fn unloaded(&self, applications: u64) {
        self.unloads.inc_by(applications);
    }

    /// All of them as text.
    pub(crate) fn render(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}
