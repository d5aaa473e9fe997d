//! Definitions: do they compile, and make what they are for.

use caravel_core::api::labels::annotations::{CUE_EVALUATOR, DEFINITION_REVISION_NAME};
use caravel_core::appfile::{Definition, Finding, FindingKind};
use caravel_core::engine::{
    DefinitionKind, Diagnostic, DiagnosticKind, Operation, Outcome, Template, ValidateRequest,
    ValidateResult,
};
use serde_json::Value;

use super::OamAdmission;
use super::trial;
use crate::definition::revision_conflict;

/// Where templates stand in a definition.
pub(super) const TEMPLATE: &str = "spec.schematic.cue.template";

/// Judges a definition.
pub(crate) async fn admit(
    admission: &OamAdmission,
    kind: &str,
    object: &Value,
    old: &Value,
) -> Vec<Finding> {
    let mut object = object.clone();
    object["kind"] = Value::from(kind);
    let mut findings = version(&object);
    let definition = match Definition::from_object(&object) {
        Ok(definition) => definition,
        Err(problem) => {
            findings.push(unreadable(&problem));
            return findings;
        }
    };
    findings.extend(is_recorded(admission, &object, old, &definition));
    findings.extend(scope(&object, &definition));
    if definition.template.is_empty() {
        return findings;
    }
    let request = ValidateRequest {
        kind: definition.kind,
        template: Template {
            name: definition.name.clone(),
            source: definition.template.clone(),
            parameters: Value::Null,
        },
        status: definition.status.clone(),
        ..ValidateRequest::default()
    };
    let operation = Operation::Validate(request);
    let outcome = admission
        .evaluation
        .outcome(&definition.namespace, operation, definition.evaluator)
        .await;
    findings.extend(judged(&definition, outcome));
    if findings.iter().all(|finding| finding.kind.is_warning()) {
        findings.extend(trial::findings(admission, &definition).await);
    }
    findings
}

fn unreadable(problem: &str) -> Finding {
    let (path, message) = match problem.split_once(": ") {
        Some((path, message)) if path.starts_with("spec.") || path.starts_with("metadata.") => {
            (path, message)
        }
        _ => ("spec", problem),
    };
    let finding = Finding::new(FindingKind::Invalid, path, message);
    if path.contains(CUE_EVALUATOR) {
        return finding.hint("v2 is what KubeVela uses by default, v3 is CUE's newer evaluator");
    }
    finding
}

/// The version of a definition, and the two ways of naming it (rows DEF-002, OPS-204).
fn version(object: &Value) -> Vec<Finding> {
    let named = object["metadata"]["annotations"][DEFINITION_REVISION_NAME].as_str();
    let Some(version) = object["spec"]["version"]
        .as_str()
        .filter(|text| !text.is_empty())
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if let Some(name) = named.filter(|name| !name.is_empty()) {
        findings.push(
            Finding::new(
                FindingKind::Invalid,
                "spec.version",
                "the definition names its revision twice",
            )
            .expected(
                format!("spec.version or the annotation {DEFINITION_REVISION_NAME}"),
                format!("{version} and {name}"),
            )
            .hint("remove one of them"),
        );
    }
    let parts: Vec<&str> = version.split('.').collect();
    let is_number =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() != 3 || !parts.iter().all(is_number) {
        findings.push(
            Finding::new(FindingKind::Invalid, "spec.version", "this is no version")
                .expected("three numbers such as 1.2.0", version)
                .hint("a pre-release or a `v` before it is not accepted"),
        );
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

/// Policies for all Applications (row POL-015).
fn scope(object: &Value, definition: &Definition) -> Option<Finding> {
    let is_global = object["spec"]["global"] == true;
    if definition.kind != DefinitionKind::Policy || !is_global || definition.scope == "Application"
    {
        return None;
    }
    Some(
        Finding::new(
            FindingKind::Invalid,
            "spec.scope",
            "a global policy works on Applications",
        )
        .expected("Application", definition.scope.clone())
        .hint("set spec.scope to Application, or spec.global to false"),
    )
}

fn judged(definition: &Definition, outcome: Outcome) -> Vec<Finding> {
    let result = match outcome {
        Outcome::Ok(body) => serde_json::from_value(body).unwrap_or_default(),
        Outcome::Error(error) => ValidateResult {
            errors: error.errors,
            warnings: Vec::new(),
        },
        Outcome::Need(_) => ValidateResult::default(),
        // What loops or bursts is the author's, and is refused; a fault of the engine is not.
        Outcome::Limit(fault) => {
            let finding = Finding::new(FindingKind::Template, TEMPLATE, fault.message);
            return vec![finding.decided_in(&definition.name, Vec::new())];
        }
        Outcome::Panic(fault) | Outcome::BadRequest(fault) => {
            let message = format!("the template could not be checked: {}", fault.message);
            return vec![Finding::new(FindingKind::Unchecked, TEMPLATE, message)];
        }
    };
    let errors = result.errors.iter().map(|one| finding(definition, one));
    let warnings = result.warnings.iter().map(|one| Finding {
        kind: FindingKind::Legacy,
        ..finding(definition, one)
    });
    errors.chain(warnings).collect()
}

/// A mistake of the author. A text of the status has a path of its own.
fn finding(definition: &Definition, diagnostic: &Diagnostic) -> Finding {
    let file = diagnostic
        .positions
        .first()
        .map_or("", |at| at.file.as_str());
    let path = match file
        .strip_prefix("status/")
        .and_then(|file| file.strip_suffix(".cue"))
    {
        Some(text) => format!("spec.status.{text}"),
        None => TEMPLATE.to_owned(),
    };
    let message = if diagnostic.path.is_empty() || diagnostic.message.contains(&diagnostic.path) {
        diagnostic.message.clone()
    } else {
        format!("{}: {}", diagnostic.path, diagnostic.message)
    };
    let kind = match diagnostic.kind {
        DiagnosticKind::Missing => FindingKind::Missing,
        _ => FindingKind::Template,
    };
    Finding::new(kind, path, message)
        .expected(diagnostic.expected.clone(), diagnostic.found.clone())
        .decided_in(&definition.name, diagnostic.positions.clone())
        .hint(diagnostic.hint.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_version_is_three_numbers_and_stands_alone() {
        let of = |version: &str, name: Option<&str>| {
            let mut object = json!({"metadata": {"annotations": {}}, "spec": {"version": version}});
            if let Some(name) = name {
                object["metadata"]["annotations"][DEFINITION_REVISION_NAME] = json!(name);
            }
            super::version(&object).len()
        };
        assert_eq!(of("1.2.0", None), 0);
        assert_eq!(of("", Some("one")), 0);
        assert_eq!(of("1.2", None), 1);
        assert_eq!(of("v1.2.0", None), 1);
        assert_eq!(of("1.2.0", Some("one")), 1);
    }

    #[test]
    fn a_wrong_evaluator_is_told_at_its_annotation() {
        let object = json!({
            "kind": "TraitDefinition",
            "metadata": {"name": "t", "annotations": {CUE_EVALUATOR: "v4"}},
        });
        let problem = Definition::from_object(&object).expect_err("no evaluator");
        let finding = unreadable(&problem);
        assert_eq!(
            finding.path,
            "metadata.annotations[caravel.dev/cue-evaluator]"
        );
        assert_eq!(finding.message, "expected v2 or v3, found \"v4\"");
    }
}
