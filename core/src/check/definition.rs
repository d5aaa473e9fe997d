//! What can be found wrong with a definition without a hub: when it is registered, and by `caravel def vet`.

use serde_json::Value;

use super::name::misnamed_definition;
use super::selector;
use super::unfit::LABEL_SELECTOR;
use super::unknown::unknown_fields;
use crate::api::labels::annotations::{CUE_EVALUATOR, DEFINITION_REVISION_NAME};
use crate::appfile::{Definition, Finding, FindingKind, did_you_mean, wrong_value};
use crate::engine::{
    DefinitionKind, Diagnostic, DiagnosticKind, Operation, Outcome, Template, ValidateRequest,
    ValidateResult,
};

/// Where templates stand in a definition.
pub const TEMPLATE: &str = "spec.schematic.cue.template";

/// The field without which a rendered object cannot be applied, if it is missing.
pub fn unidentified(object: &Value) -> Option<&'static str> {
    let is_empty = |field: &&str| object[field].as_str().is_none_or(str::is_empty);
    ["kind", "apiVersion"].into_iter().find(is_empty)
}

/// A check of a definition under way.
#[derive(Clone, Debug)]
pub struct DefinitionCheck {
    definition: Option<Definition>,
    /// A policy for all Applications.
    is_global: bool,
    findings: Vec<Finding>,
}

impl DefinitionCheck {
    /// Begins with a definition object of any kind: its shape, its version, its scope.
    pub fn new(object: &Value) -> Self {
        let mut findings: Vec<Finding> = misnamed_definition(object);
        findings.extend(unserved(object));
        findings.extend(version(object));
        let definition = match Definition::from_object(object) {
            Ok(definition) => Some(definition),
            Err(problem) => {
                findings.push(unreadable(&problem));
                None
            }
        };
        findings.extend(unknown_fields(object));
        findings.extend(definition.iter().filter_map(|known| scope(object, known)));
        findings.extend(definition.iter().flat_map(conflicts));
        findings.extend(stage(object));
        Self {
            is_global: object["spec"]["global"] == true,
            definition,
            findings,
        }
    }

    /// The definition, if it can be read.
    pub fn definition(&self) -> Option<&Definition> {
        self.definition.as_ref()
    }

    /// What an engine is to say, with the evaluator that the definition asks for; nothing where there is no
    /// template.
    pub fn question(&self) -> Option<Operation> {
        let definition = self.definition.as_ref()?;
        if definition.template.is_empty() {
            return None;
        }
        Some(Operation::Validate(ValidateRequest {
            kind: definition.kind,
            template: Template {
                name: definition.name.clone(),
                source: definition.template.clone(),
                parameters: Value::Null,
            },
            status: definition.status.clone(),
            defaults_only: self.is_global,
            ..ValidateRequest::default()
        }))
    }

    /// Takes the answer.
    pub fn answer(&mut self, outcome: Outcome) {
        if let Some(definition) = &self.definition {
            self.findings.extend(judged(definition, outcome));
        }
    }

    /// Everything that was found.
    pub fn findings(self) -> Vec<Finding> {
        self.findings
    }
}

fn unreadable(problem: &str) -> Finding {
    let (path, message) = match problem.split_once(": ") {
        Some((path, message)) if path.starts_with("spec.") || path.starts_with("metadata.") => {
            (path, message)
        }
        _ => ("spec", problem),
    };
    let finding = wrong_value(path, message);
    if path.contains(CUE_EVALUATOR) {
        return finding.hint("v2 is what KubeVela uses by default, v3 is CUE's newer evaluator");
    }
    finding
}

/// A version of definitions that no hub serves.
fn unserved(object: &Value) -> Option<Finding> {
    const SERVED: &str = "core.oam.dev/v1beta1";
    let found = object["apiVersion"].as_str()?;
    (found != SERVED).then(|| {
        let message = "this is no version of definitions that is served";
        Finding::new(FindingKind::Unserved, "apiVersion", message)
            .expected(SERVED, found)
            .hint(format!("write apiVersion: {SERVED}"))
    })
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
                .hint("a pre-release, or a `v` before it, is not accepted"),
        );
    }
    findings
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

/// When a trait is dispatched (row REN-024): KubeVela says that a stage is none only when the trait is used.
fn stage(object: &Value) -> Option<Finding> {
    const STAGES: [&str; 3] = ["PreDispatch", "DefaultDispatch", "PostDispatch"];
    let written = object["spec"]["stage"].as_str()?;
    if object["kind"] != "TraitDefinition" || written.is_empty() || STAGES.contains(&written) {
        return None;
    }
    let hint = did_you_mean(written, STAGES).unwrap_or_default();
    Some(
        Finding::new(FindingKind::Invalid, "spec.stage", "there is no such stage")
            .expected(STAGES.join(", "), written)
            .hint(hint),
    )
}

/// Rules about other traits that can never hold.
fn conflicts(definition: &Definition) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, rule) in definition.conflicts_with.iter().enumerate() {
        let labels = rule.strip_prefix(LABEL_SELECTOR);
        if let Some(Err(problem)) = labels.map(selector::parse) {
            let path = format!("spec.conflictsWith[{index}]");
            findings.push(
                Finding::new(FindingKind::Misapplied, path, problem)
                    .expected("a selector such as `labelSelector:tier=edge`", rule)
                    .hint("a rule names a trait, a kind (`services`), a group (`*.networking.k8s.io`) or labels"),
            );
        }
    }
    findings
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
        DiagnosticKind::Package => FindingKind::UnknownObject,
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
    fn an_object_says_what_it_is() {
        assert_eq!(unidentified(&json!({"apiVersion": "v1"})), Some("kind"));
        assert_eq!(
            unidentified(&json!({"apiVersion": "", "kind": "A"})),
            Some("apiVersion")
        );
        assert_eq!(
            unidentified(&json!({"apiVersion": "v1", "kind": "A"})),
            None
        );
    }

    #[test]
    fn a_wrong_evaluator_is_told_at_its_annotation() {
        let object = json!({
            "kind": "TraitDefinition",
            "metadata": {"name": "t", "annotations": {CUE_EVALUATOR: "v4"}},
        });
        let findings = DefinitionCheck::new(&object).findings();
        assert_eq!(
            findings[0].path,
            "metadata.annotations[caravel.dev/cue-evaluator]"
        );
        assert_eq!(findings[0].expected, "v2 or v3");
    }
}
