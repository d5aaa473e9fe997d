//! Asking the template engine on somebody's account.

use std::sync::Arc;

use caravel_core::engine::{Evaluator, Fault, Operation, Outcome};
use caravel_engines::{Answer, Engine, EngineError, Job};
use serde::de::DeserializeOwned;

use crate::packages::Packages;

/// The engine, and the evaluator that this hub uses where a definition does not say otherwise.
#[derive(Clone)]
pub struct Evaluation {
    engine: Arc<dyn Engine>,
    evaluator: Evaluator,
    packages: Packages,
}

impl Evaluation {
    /// An engine with the hub's evaluator.
    pub fn new(engine: Arc<dyn Engine>, evaluator: Evaluator) -> Self {
        Self {
            engine,
            evaluator,
            packages: Packages::default(),
        }
    }

    /// The same, with packages that templates may import.
    #[must_use]
    pub(crate) fn with_packages(mut self, packages: Packages) -> Self {
        self.packages = packages;
        self
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
        self.ask_with(namespace, operation, self.evaluator).await
    }

    /// As [`Self::ask`], with the evaluator of a request.
    ///
    /// # Errors
    /// As [`Engine::call`].
    pub async fn ask_with(
        &self,
        namespace: &str,
        operation: Operation,
        evaluator: Evaluator,
    ) -> Result<Answer, EngineError> {
        self.engine
            .call(self.job(namespace, operation, evaluator))
            .await
    }

    /// An operation with the packages that its templates import.
    fn job(&self, namespace: &str, mut operation: Operation, evaluator: Evaluator) -> Job {
        self.packages.attach(namespace, &mut operation);
        Job::new(operation, evaluator, namespace)
    }

    /// As [`Self::ask`], with an evaluator that a definition asks for, and with the outcome as an engine tells it:
    /// for what was made to be asked of any engine.
    pub async fn outcome(
        &self,
        namespace: &str,
        operation: Operation,
        evaluator: Option<Evaluator>,
    ) -> Outcome {
        let evaluator = evaluator.unwrap_or(self.evaluator);
        let job = self.job(namespace, operation, evaluator);
        match self.engine.call(job).await {
            Ok(Answer::Done(value)) => Outcome::Ok(value),
            Ok(Answer::Need(calls)) => Outcome::Need(calls),
            Err(EngineError::Template(error)) => Outcome::Error(*error),
            Err(error @ EngineError::Fault(_)) => Outcome::Panic(Fault {
                message: error.to_string(),
            }),
            Err(limit) => Outcome::Limit(Fault {
                message: limit.to_string(),
            }),
        }
    }

    /// The hub's evaluator.
    pub fn evaluator(&self) -> Evaluator {
        self.evaluator
    }
}
