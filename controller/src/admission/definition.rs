//! Definitions: the check of `caravel_core`, with the hub's engine, its revisions and its schemas.

use caravel_core::api::labels::annotations::DEFINITION_REVISION_NAME;
use caravel_core::appfile::{Definition, Finding, FindingKind};
use caravel_core::check::{DefinitionCheck, TEMPLATE};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::attempt::{LATE, in_time};
use super::{OamAdmission, PATIENCE, trial};
use crate::definition::revision_conflict;

/// Judges a definition.
pub(crate) async fn admit(
    admission: &OamAdmission,
    kind: &str,
    object: &Value,
    old: &Value,
) -> Vec<Finding> {
    let mut object = object.clone();
    object["kind"] = Value::from(kind);
    let mut check = DefinitionCheck::new(&object);
    let Some(definition) = check.definition().cloned() else {
        return check.findings();
    };
    let deadline = Instant::now() + PATIENCE;
    if let Some(question) = check.question() {
        let asked =
            admission
                .evaluation
                .outcome(&definition.namespace, question, definition.evaluator);
        check.answer(in_time(deadline, asked).await);
    }
    let mut findings = check.findings();
    findings.extend(is_recorded(admission, &object, old, &definition));
    let can_be_tried = |finding: &Finding| finding.kind.is_warning() && !finding.kind.may_resolve();
    if findings.iter().all(can_be_tried) {
        let tried = timeout_at(deadline, trial::findings(admission, &definition)).await;
        findings.extend(tried.unwrap_or_else(|_| {
            let message = format!("the definition could not be tried: {LATE}");
            vec![Finding::new(FindingKind::Unchecked, TEMPLATE, message)]
        }));
    }
    findings
}

/// A revision with a name of its own is immutable: a change needs another name (row DEF-002).
fn is_recorded(
    admission: &OamAdmission,
    object: &Value,
    old: &Value,
    definition: &Definition,
) -> Option<Finding> {
    if object["spec"] == old["spec"] {
        return None;
    }
    let name = revision_conflict(object, |name| {
        admission
            .library
            .revision(definition.kind, &definition.namespace, name)
            .map(|entry| entry.object)
    })?;
    let path = if object["spec"]["version"].is_string() {
        "spec.version".to_owned()
    } else {
        format!("metadata.annotations[{DEFINITION_REVISION_NAME}]")
    };
    Some(
        Finding::new(
            FindingKind::Invalid,
            path,
            format!("the revision {name} exists and holds another definition"),
        )
        .expected("a version that is not taken", name)
        .hint("give the change a version of its own"),
    )
}
