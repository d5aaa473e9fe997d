//! What is accepted into a hub, decided where the client waits for the answer (DESIGN, admission).
//!
//! Refused: wrong shape, duplicate names, cycles, wrong types, missing required values that nothing feeds, what a
//! template says against its parameters, broken definitions, the end of a definition that is in use. Warned: what
//! may mend itself (a type that nobody has defined yet), and what works but is probably not meant (an undeclared
//! parameter). Strict, by the hub's flag or by an annotation, warnings are refusals.

mod application;
mod attempt;
mod definition;
mod deletion;
mod permission;
mod trial;
mod verdict;

use async_trait::async_trait;
use caravel_apiserver::admission::{Admission, AdmissionAttributes, Denial, Operation, Warning};
use caravel_core::api::labels::annotations::STRICT_ADMISSION;
use caravel_core::appfile::Finding;
use caravel_core::render::ClusterVersion;
use kube::Client;
use serde_json::Value;

use crate::author::Authentication;
use crate::definition::Kind;
use crate::evaluation::Evaluation;
use crate::library::Library;

pub(crate) use application::{PATIENCE, judged};
pub(crate) use deletion::{InUse, Wanted, types_in_use};

/// Decides about Applications and definitions.
pub struct OamAdmission {
    pub(crate) client: Client,
    pub(crate) library: Library,
    pub(crate) evaluation: Evaluation,
    /// The version of the hub's own cluster, for which components are tried.
    pub(crate) cluster_version: ClusterVersion,
    /// Refuse what is otherwise only warned of.
    pub(crate) strict: bool,
    /// Only who may read a definition may use it (row OPS-203).
    pub(crate) definition_permissions: bool,
    /// Authors of Applications are recorded.
    pub(crate) authentication: Option<Authentication>,
}

#[async_trait]
impl Admission for OamAdmission {
    async fn admit(&self, mut attributes: AdmissionAttributes<'_>) -> Result<Vec<Warning>, Denial> {
        let is_ours =
            attributes.group == caravel_core::api::GROUP && attributes.subresource.is_empty();
        if !is_ours {
            return Ok(Vec::new());
        }
        if attributes.operation == Operation::Delete {
            return deletion::admit(self, &attributes).await;
        }
        if let ("Application", Some(rules)) = (attributes.kind, &self.authentication) {
            let stamped = rules.stamp(attributes.user, attributes.object);
            stamped.map_err(|why| Denial::forbidden(&attributes, why))?;
        }
        if is_being_deleted(&attributes) || is_unchanged(&attributes) {
            return Ok(Vec::new());
        }
        let is_strict = self.strict || asks_for_strictness(attributes.object);
        let findings = match attributes.kind {
            "Application" => application::admit(self, &mut attributes).await,
            kind if Kind::of(kind).is_some() => {
                definition::admit(self, kind, attributes.object, attributes.old).await
            }
            _ => return Ok(Vec::new()),
        };
        let refused = |finding: &&Finding| is_strict || !finding.kind.is_warning();
        let errors: Vec<&Finding> = findings.iter().filter(refused).collect();
        if errors.is_empty() {
            return Ok(findings.iter().map(ToString::to_string).collect());
        }
        Err(verdict::refusal(&attributes, &errors).into())
    }
}

fn asks_for_strictness(object: &Value) -> bool {
    object["metadata"]["annotations"][STRICT_ADMISSION] == "true"
}

/// The end of an object must never be held up by what is wrong with it.
fn is_being_deleted(attributes: &AdmissionAttributes<'_>) -> bool {
    !attributes.object["metadata"]["deletionTimestamp"].is_null()
}

/// A write of finalizers, labels or status has nothing new to be judged; annotations may say how to judge.
fn is_unchanged(attributes: &AdmissionAttributes<'_>) -> bool {
    let same =
        |pointer: &str| attributes.object.pointer(pointer) == attributes.old.pointer(pointer);
    attributes.operation == Operation::Update
        && same("/spec")
        && JUDGED
            .iter()
            .all(|name| annotation(attributes.object, name) == annotation(attributes.old, name))
}

/// Annotations that decide what an object means.
const JUDGED: [&str; 5] = {
    use caravel_core::api::labels::annotations as names;
    [
        names::AUTO_UPDATE,
        names::PUBLISH_VERSION,
        names::CUE_EVALUATOR,
        names::DEFINITION_REVISION_NAME,
        STRICT_ADMISSION,
    ]
};

fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][name].as_str()
}
