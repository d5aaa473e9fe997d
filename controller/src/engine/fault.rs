//! Named places at which a test makes the process die.
//!
//! They are in every build, so that what is tested is what runs, and do nothing unless the environment variable
//! `CARAVEL_FAULT` names one.

use async_trait::async_trait;

/// The environment variable that names the place.
pub const FAULTS: &str = "CARAVEL_FAULT";

/// What happens at a named place. The engine calls it at these, besides those of
/// [`caravel_clusters::dispatch::Probe`]:
///
/// | place | what has happened |
/// |---|---|
/// | `run.opened` | the run is in the journal, no step has begun |
/// | `step.evaluate` | a step is about to be evaluated |
/// | `request.intent` | that a request will be sent is in the journal |
/// | `request.sent` | it was answered, which is in no journal |
/// | `request.result` | the answer is in the journal |
/// | `apply.done` | an object or component was applied, the step does not know yet |
/// | `step.report` | an attempt ended, which is in no journal |
/// | `turn.durable` | a turn is in the journal, nothing that follows from it has begun |
/// | `run.finished` | the last turn is in the journal, the delivery is not recorded |
#[async_trait]
pub trait Faults: Send + Sync {
    /// Is called at a place.
    async fn point(&self, name: &'static str);
}

/// Ends the process, as a power failure would, at the place that was named.
#[derive(Clone, Debug, Default)]
pub struct AbortAt(Option<String>);

impl AbortAt {
    /// The place that the environment names; usually none.
    pub fn from_environment() -> Self {
        Self(std::env::var(FAULTS).ok().filter(|name| !name.is_empty()))
    }
}

#[async_trait]
impl Faults for AbortAt {
    async fn point(&self, name: &'static str) {
        self.pass(name);
    }
}

impl AbortAt {
    /// As [`Faults::point`].
    pub fn pass(&self, name: &'static str) {
        if self.0.as_deref() == Some(name) {
            tracing::error!(fault = name, "ending the process: {FAULTS} asks for it");
            std::process::abort();
        }
    }
}
