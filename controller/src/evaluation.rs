//! Asking the template engine on somebody's account.

use std::sync::Arc;

use caravel_core::engine::{Evaluator, Operation};
use caravel_engines::{Answer, Engine, EngineError, Job};
use serde::de::DeserializeOwned;

/// The engine, and the evaluator that this hub uses where a definition does not say otherwise.
#[derive(Clone)]
pub struct Evaluation {
    engine: Arc<dyn Engine>,
    evaluator: Evaluator,
}

impl Evaluation {
    /// An engine with the hub's evaluator.
    pub fn new(engine: Arc<dyn Engine>, evaluator: Evaluator) -> Self {
        Self { engine, evaluator }
    }

    /// Carries out an operation that needs no calls, on account of a namespace.
    ///
    /// # Errors
    /// As [`Engine::call`]; and if the answer is not of the expected shape.
    pub async fn call<T: DeserializeOwned>(
        &self,
        namespace: &str,
        operation: Operation,
    ) -> Result<T, EngineError> {
        self.ask(namespace, operation).await?.done()
    }

    /// Carries out an operation that may want calls carried out.
    ///
    /// # Errors
    /// As [`Engine::call`].
    pub async fn ask(&self, namespace: &str, operation: Operation) -> Result<Answer, EngineError> {
        self.engine
            .call(Job::new(operation, self.evaluator, namespace))
            .await
    }

    /// The engine itself.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// The hub's evaluator.
    pub fn evaluator(&self) -> Evaluator {
        self.evaluator
    }
}
