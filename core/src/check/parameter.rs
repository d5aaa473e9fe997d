//! Parameters against their definition, in words for the one who gave them.

use super::usage::Usage;
use crate::appfile::{Finding, FindingKind};
use crate::engine::{
    DefinitionKind, Diagnostic, DiagnosticKind, Outcome, Position, ValidateResult,
};

/// What an engine's answer says about parameters. Where components are changed later, what is missing may
/// still come.
pub(super) fn findings(usage: &Usage, outcome: Outcome, may_still_come: bool) -> Vec<Finding> {
    let (errors, warnings) = match outcome {
        Outcome::Ok(body) => {
            let result: ValidateResult = serde_json::from_value(body).unwrap_or_default();
            (result.errors, result.warnings)
        }
        Outcome::Error(error) => (error.errors, Vec::new()),
        // What a call would answer is not known before it runs.
        Outcome::Need(_) => return Vec::new(),
        Outcome::Limit(fault) | Outcome::BadRequest(fault) | Outcome::Panic(fault) => {
            let message = format!("the parameters could not be checked: {}", fault.message);
            return vec![
                Finding::new(FindingKind::Unchecked, &usage.path, message).about(&usage.subject),
            ];
        }
    };
    let mut findings = Vec::new();
    for error in &errors {
        let finding = of_usage(usage, error);
        let is_told = usage.is_typed || (may_still_come && finding.kind == FindingKind::Missing);
        if !is_told {
            findings.push(finding);
        }
    }
    for warning in &warnings {
        let finding = of_usage(usage, warning);
        findings.push(match warning.kind {
            DiagnosticKind::Unknown => finding,
            _ => Finding {
                kind: FindingKind::Legacy,
                ..finding
            },
        });
    }
    findings
}

fn of_usage(usage: &Usage, diagnostic: &Diagnostic) -> Finding {
    let what = format!("{} type `{}`", word(usage.kind), usage.type_);
    of_diagnostic(diagnostic, &usage.path, &what)
        .about(&usage.subject)
        .decided_in(&usage.definition.name, places(&diagnostic.positions))
}

fn word(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Component | DefinitionKind::Workload => "component",
        DefinitionKind::Trait => "trait",
        DefinitionKind::Policy => "policy",
        DefinitionKind::WorkflowStep => "step",
    }
}

/// The places in templates; where a parameter stands in the Application is what the path says.
pub(super) fn places(positions: &[Position]) -> Vec<Position> {
    let of_template = |at: &&Position| at.file != "parameter" && at.file != "context";
    positions.iter().filter(of_template).cloned().collect()
}

/// One mistake of a template's parameters, which stand at `properties`; `what` is what defines them, for
/// instance "component type `webservice`".
pub fn of_diagnostic(diagnostic: &Diagnostic, properties: &str, what: &str) -> Finding {
    let inner = diagnostic
        .path
        .strip_prefix("parameter")
        .filter(|inner| inner.is_empty() || inner.starts_with(['.', '[']));
    let Some(inner) = inner else {
        return of_template(diagnostic, properties, what);
    };
    let path = format!("{properties}{inner}");
    let name = inner.trim_start_matches('.');
    let (kind, message) = match diagnostic.kind {
        DiagnosticKind::Missing => (
            FindingKind::Missing,
            format!("the parameter `{name}` is missing"),
        ),
        DiagnosticKind::Unknown => (
            FindingKind::Undeclared,
            format!("the {what} has no parameter `{name}`: it has no effect"),
        ),
        // A closed struct refuses what it does not declare.
        DiagnosticKind::Conflict if !diagnostic.expected.is_empty() => (
            FindingKind::Invalid,
            format!("the parameter `{name}` has a wrong value"),
        ),
        _ => (
            FindingKind::Invalid,
            format!(
                "the parameter `{name}` cannot be used: {}",
                diagnostic.message
            ),
        ),
    };
    let found = match kind {
        // There is nothing; saying so helps nobody.
        FindingKind::Missing => String::new(),
        _ => diagnostic.found.clone(),
    };
    Finding::new(kind, path, message)
        .expected(diagnostic.expected.clone(), found)
        .hint(diagnostic.hint.clone())
}

/// A mistake in the template, or one that shows with these parameters.
fn of_template(diagnostic: &Diagnostic, properties: &str, what: &str) -> Finding {
    let path = properties.strip_suffix(".properties").unwrap_or(properties);
    if diagnostic.kind == DiagnosticKind::User {
        return Finding::new(FindingKind::Author, path, diagnostic.message.clone())
            .hint(diagnostic.hint.clone());
    }
    let field = if diagnostic.path.is_empty() || diagnostic.message.contains(&diagnostic.path) {
        String::new()
    } else {
        format!("{}: ", diagnostic.path)
    };
    let message = format!(
        "the template of the {what} fails with these parameters: {field}{}",
        diagnostic.message
    );
    Finding::new(FindingKind::Template, path, message)
        .expected(diagnostic.expected.clone(), diagnostic.found.clone())
        .hint(diagnostic.hint.clone())
}
