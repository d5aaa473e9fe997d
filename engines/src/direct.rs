//! An engine in this process.

use std::sync::Arc;

use crate::{Answer, Engine, EngineError, Job};

/// A function that serves one frame, for instance `caravel_cue::call`.
type Serve = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

/// Evaluates in this process, on the threads for blocking work. Without deadline or memory limit: for tests and
/// measurements.
#[derive(Clone)]
pub struct Direct {
    serve: Arc<Serve>,
}

impl Direct {
    /// An engine over a function that serves frames.
    pub fn new(serve: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self {
            serve: Arc::new(serve),
        }
    }

    /// Carries out a job without an async runtime.
    ///
    /// # Errors
    /// As [`Engine::call`].
    pub fn call_blocking(&self, job: Job) -> Result<Answer, EngineError> {
        let request = serde_json::to_vec(&job.into_request(1)).map_err(|error| {
            EngineError::Fault(format!("the request cannot be written: {error}"))
        })?;
        Answer::from_frame(&(self.serve)(&request))
    }
}

#[async_trait::async_trait]
impl Engine for Direct {
    async fn call(&self, job: Job) -> Result<Answer, EngineError> {
        let engine = self.clone();
        tokio::task::spawn_blocking(move || engine.call_blocking(job))
            .await
            .map_err(|error| {
                EngineError::Fault(format!("the evaluation did not finish: {error}"))
            })?
    }
}
