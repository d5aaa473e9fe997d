//! What is accepted into a hub, decided where the client waits for the answer (DESIGN, admission).
//!
//! Refused: wrong shape, duplicate names, cycles, wrong types, missing required values that nothing feeds, broken
//! definitions. Warned: what may mend itself (a type that nobody has defined yet), and what works but is
//! probably not meant (an undeclared parameter). With `strict`, warnings are refusals.

mod application;
mod definition;

use async_trait::async_trait;
use caravel_apiserver::admission::{Admission, AdmissionAttributes, Denial, Operation, Warning};
use caravel_apiserver::status::Status;
use caravel_schema::field;
use kube::Client;

use crate::evaluation::Evaluation;
use crate::library::Library;

/// Decides about Applications and definitions.
pub struct OamAdmission {
    pub(crate) client: Client,
    pub(crate) library: Library,
    pub(crate) evaluation: Evaluation,
    /// Refuse what is otherwise only warned of.
    pub(crate) strict: bool,
}

/// What was found wrong with an object.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// What makes it unacceptable.
    pub(crate) errors: Vec<field::Error>,
    /// What its author should know.
    pub(crate) warnings: Vec<Warning>,
}

#[async_trait]
impl Admission for OamAdmission {
    async fn admit(&self, attributes: AdmissionAttributes<'_>) -> Result<Vec<Warning>, Denial> {
        let is_ours =
            attributes.group == caravel_core::api::GROUP && attributes.subresource.is_empty();
        let is_write = matches!(attributes.operation, Operation::Create | Operation::Update);
        if !is_ours || !is_write || is_being_deleted(&attributes) || is_unchanged(&attributes) {
            return Ok(Vec::new());
        }
        let verdict = match attributes.kind {
            "Application" => {
                application::admit(self, attributes.object, attributes.namespace).await
            }
            "ComponentDefinition"
            | "TraitDefinition"
            | "PolicyDefinition"
            | "WorkflowStepDefinition" => {
                definition::admit(&self.evaluation, attributes.kind, attributes.object).await
            }
            _ => return Ok(Vec::new()),
        };
        let is_fine = verdict.warnings.is_empty() || !self.strict;
        if verdict.errors.is_empty() && is_fine {
            return Ok(verdict.warnings);
        }
        let mut errors = verdict.errors;
        if self.strict {
            let refused = verdict.warnings.into_iter();
            errors.extend(refused.map(|warning| field::Error::forbidden("spec", warning)));
        }
        Err(Status::invalid(attributes.group, attributes.kind, attributes.name, &errors).into())
    }
}

/// The end of an object must never be held up by what is wrong with it.
fn is_being_deleted(attributes: &AdmissionAttributes<'_>) -> bool {
    !attributes.object["metadata"]["deletionTimestamp"].is_null()
}

/// A write of finalizers, labels or status has nothing new to be judged.
fn is_unchanged(attributes: &AdmissionAttributes<'_>) -> bool {
    attributes.operation == Operation::Update && attributes.object["spec"] == attributes.old["spec"]
}
