//! What is asked of an engine, and what it answers.

use caravel_core::engine::{Call, Evaluator, Operation, Outcome, Reply, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::EngineError;

/// One operation, and on whose account it is done.
#[derive(Clone, Debug)]
pub struct Job {
    /// What to do.
    pub operation: Operation,
    /// With which evaluator.
    pub evaluator: Evaluator,
    /// On whose account.
    pub lane: Lane,
}

impl Job {
    /// A job of a namespace; the digest of the template is taken from the operation.
    #[must_use]
    pub fn new(operation: Operation, evaluator: Evaluator, namespace: impl Into<String>) -> Self {
        let lane = Lane {
            namespace: namespace.into(),
            template: digest(&operation),
        };
        Self {
            operation,
            evaluator,
            lane,
        }
    }

    /// The job as a request frame.
    #[must_use]
    pub fn into_request(self, id: u64) -> Request {
        Request {
            id,
            evaluator: self.evaluator,
            operation: self.operation,
        }
    }
}

/// Who waits for an operation, and for which template: queueing is fair between namespaces, and what a
/// template did before decides how far it is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lane {
    /// Namespace of the Application or definition.
    pub namespace: String,
    /// SHA-256 of the template's text.
    pub template: [u8; 32],
}

/// Digest of everything in an operation that a definition's author wrote.
fn digest(operation: &Operation) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut text = |part: &str| {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    };
    match operation {
        Operation::Ping => {}
        Operation::Render(render) => {
            for template in render.component.iter().chain(&render.traits) {
                text(&template.source);
            }
        }
        Operation::Step(step) => text(&step.template.source),
        Operation::Expression(expression) => text(&expression.expression),
        Operation::Status(status) => {
            for part in [
                &status.health_policy,
                &status.custom_status,
                &status.details,
            ] {
                text(part);
            }
        }
        Operation::Merge(merge) => text(&merge.patch),
        Operation::Schema(schema) => text(&schema.source),
        Operation::Validate(validate) => text(&validate.template.source),
        Operation::ParseDefinition(parse) => text(&parse.source),
        Operation::PrintDefinition(print) => text(&print.object.to_string()),
        Operation::Format(format) | Operation::Upgrade(format) => text(&format.source),
    }
    hash.finalize().into()
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done: the result that belongs to the operation.
    Done(Value),
    /// The template wants these calls carried out. Ask again with their results in the replay.
    Need(Vec<Call>),
}

impl Answer {
    /// The result as its type.
    ///
    /// # Errors
    /// [`EngineError::Fault`] where the answer is a need, or does not have the type's shape.
    pub fn done<T: DeserializeOwned>(self) -> Result<T, EngineError> {
        match self {
            Self::Done(value) => serde_json::from_value(value).map_err(|error| {
                EngineError::Fault(format!(
                    "the engine answered with an unknown shape: {error}"
                ))
            }),
            Self::Need(calls) => Err(EngineError::Fault(format!(
                "the engine wants {} calls carried out first",
                calls.len()
            ))),
        }
    }

    /// Reads a reply frame.
    pub(crate) fn from_frame(frame: &[u8]) -> Result<Self, EngineError> {
        let reply: Reply = serde_json::from_slice(frame).map_err(|error| {
            EngineError::Fault(format!(
                "the engine's reply is not of the protocol: {error}"
            ))
        })?;
        match reply.outcome {
            Outcome::Ok(value) => Ok(Self::Done(value)),
            Outcome::Need(calls) => Ok(Self::Need(calls)),
            Outcome::Error(error) => Err(EngineError::Template(Box::new(error))),
            Outcome::Limit(fault) => Err(EngineError::Limit(fault.message)),
            Outcome::BadRequest(fault) | Outcome::Panic(fault) => {
                Err(EngineError::Fault(fault.message))
            }
        }
    }
}
