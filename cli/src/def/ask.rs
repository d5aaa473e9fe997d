//! Asking the template engine.

use std::sync::atomic::{AtomicU64, Ordering};

use caravel_core::engine::{Call, Diagnostic, Evaluator, Operation, Outcome, Request};
use serde::de::DeserializeOwned;

use crate::engine;

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The text is wrong.
    Wrong(Vec<Diagnostic>),
    /// It cannot be said before these calls are carried out.
    Calls(Vec<Call>),
    /// Something else, in words.
    Fault(String),
}

/// Carries out an operation.
pub(crate) fn ask<T: DeserializeOwned>(
    operation: Operation,
    evaluator: Evaluator,
) -> Result<T, Refusal> {
    static IDS: AtomicU64 = AtomicU64::new(1);
    let request = Request {
        id: IDS.fetch_add(1, Ordering::Relaxed),
        evaluator,
        operation,
    };
    match engine::eval(&request).outcome {
        Outcome::Ok(body) => serde_json::from_value(body)
            .map_err(|error| Refusal::Fault(format!("the engine's answer is malformed: {error}"))),
        Outcome::Error(error) => Err(Refusal::Wrong(error.errors)),
        Outcome::Need(calls) => Err(Refusal::Calls(calls)),
        Outcome::BadRequest(fault) | Outcome::Limit(fault) | Outcome::Panic(fault) => {
            Err(Refusal::Fault(fault.message))
        }
    }
}
