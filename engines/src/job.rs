//! What is asked of an engine, and what it answers.

use caravel_core::engine::{
    Call, Evaluator, ExplainRequest, Operation, Outcome, Reply, Request, Template,
};
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
    /// On whose account: the namespace of the Application or definition.
    pub namespace: String,
}

impl Job {
    /// A job of a namespace.
    #[must_use]
    pub fn new(operation: Operation, evaluator: Evaluator, namespace: impl Into<String>) -> Self {
        Self {
            operation,
            evaluator,
            namespace: namespace.into(),
        }
    }

    /// Who waits for it, and for which templates.
    pub(crate) fn lane(&self) -> Lane {
        Lane {
            namespace: self.namespace.clone(),
            templates: templates(&self.operation),
            subject: subject(&self.operation),
        }
    }

    /// Digest of operation and evaluator: equal for jobs with the same answer.
    pub(crate) fn digest(&self) -> Fingerprint {
        // Hashed at once: the writer writes in very small pieces.
        let mut bytes = Vec::with_capacity(32 << 10);
        bytes.push(u8::from(self.evaluator == Evaluator::V3));
        // Writing into memory cannot fail, and the operation's keys are strings.
        let _ = serde_json::to_writer(&mut bytes, &self.operation);
        Sha256::digest(&bytes).into()
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

/// SHA-256 of some text.
pub(crate) type Fingerprint = [u8; 32];

/// Who waits for an operation, and for which templates: queueing is fair between namespaces, and what a
/// template did before decides how far it is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    /// Namespace of the Application or definition.
    pub(crate) namespace: String,
    /// SHA-256 of the text of each template.
    pub(crate) templates: Vec<Fingerprint>,
    /// What an error that is about no place in a template calls them.
    pub(crate) subject: String,
}

/// Names the templates of an operation, where whoever asked cannot say better which of them an error is about.
fn subject(operation: &Operation) -> String {
    let named = |what: &str, template: &Template| format!("{what} {}", template.name);
    let names: Vec<String> = match operation {
        Operation::Render(render) | Operation::Explain(ExplainRequest { render, .. }) => {
            let component = render.component.iter();
            component
                .map(|template| named("component type", template))
                .chain(
                    render
                        .traits
                        .iter()
                        .map(|template| named("trait", template)),
                )
                .collect()
        }
        Operation::Step(step) => vec![named("step type", &step.template)],
        Operation::Policy(policy) => vec![named("policy type", &policy.template)],
        Operation::Config(config) => vec![named("config template", &config.template)],
        _ => Vec::new(),
    };
    match names.as_slice() {
        [] => "the template".to_owned(),
        [one] => format!("the template of {one}"),
        [first, rest @ ..] => format!("one of the templates of {first} with {}", rest.join(", ")),
    }
}

/// Digests of what definitions' authors wrote in an operation. What is no definition is a template of its
/// own.
fn templates(operation: &Operation) -> Vec<Fingerprint> {
    let of = |text: &str| Sha256::digest(text).into();
    match operation {
        Operation::Ping => Vec::new(),
        Operation::Render(render) | Operation::Explain(ExplainRequest { render, .. }) => render
            .component
            .iter()
            .chain(&render.traits)
            .map(|template| of(&template.source))
            .collect(),
        Operation::Step(step) => vec![of(&step.template.source)],
        Operation::Policy(policy) => vec![of(&policy.template.source)],
        Operation::Config(config) => vec![of(&config.template.source)],
        Operation::Validate(validate) => vec![of(&validate.template.source)],
        Operation::Schema(schema) => vec![of(&schema.source)],
        Operation::Status(status) => [
            &status.health_policy,
            &status.custom_status,
            &status.details,
        ]
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| of(text))
        .collect(),
        Operation::Expression(expression) => vec![of(&expression.expression)],
        Operation::Merge(merge) => vec![of(&merge.patch)],
        Operation::ParseDefinition(parse) => vec![of(&parse.source)],
        Operation::PrintDefinition(print) => vec![of(&print.object.to_string())],
        Operation::Format(format) | Operation::Upgrade(format) => vec![of(&format.source)],
    }
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
        reply.outcome.try_into()
    }
}

impl TryFrom<Outcome> for Answer {
    type Error = EngineError;

    fn try_from(outcome: Outcome) -> Result<Self, EngineError> {
        match outcome {
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
