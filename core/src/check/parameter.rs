//! Parameters against their definition, in words for the one who gave them.

use super::usage::Usage;
use crate::appfile::{Finding, FindingKind};
use crate::engine::{
    DefinitionKind, Diagnostic, DiagnosticKind, Outcome, Position, ValidateResult,
};
use crate::path::{Part, is_inside, last_name, parts};

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
    let mut findings: Vec<Finding> = Vec::new();
    for error in &errors {
        let finding = refused(of_usage(usage, error), usage);
        let is_told = usage.is_typed || (may_still_come && finding.kind == FindingKind::Missing);
        // What is wrong inside of a value of another shape follows from that.
        let is_inside = findings.iter().any(|outer| {
            outer.kind == FindingKind::Invalid && is_inside(&finding.path, &outer.path)
        });
        if !is_told && !is_inside {
            findings.push(finding);
        }
    }
    // A wrong name beside a missing one is one mistake.
    let misspelt: Vec<Finding> = findings
        .iter()
        .filter(|one| one.kind == FindingKind::UnknownField)
        .cloned()
        .collect();
    findings.retain(|one| !misspelt.iter().any(|given| is_meant(one, given)));
    for warning in &warnings {
        let finding = of_usage(usage, warning);
        // The missing one tells of it.
        if findings.iter().any(|missing| is_meant(missing, &finding)) {
            continue;
        }
        findings.push(match warning.kind {
            DiagnosticKind::Unknown | DiagnosticKind::Undeclared => finding,
            _ => Finding {
                kind: FindingKind::Legacy,
                ..finding
            },
        });
    }
    findings
}

/// Whether a parameter that is not declared is probably one that is missing.
fn is_meant(missing: &Finding, undeclared: &Finding) -> bool {
    let (wanted, given) = (parts(&missing.path), parts(&undeclared.path));
    let beside = |path: &[Part]| path.split_last().map(|(_, outer)| outer.to_vec());
    let is_beside = beside(&wanted) == beside(&given);
    let hint = format!("did you mean `{}`?", last_name(&missing.path));
    missing.kind == FindingKind::Missing && is_beside && undeclared.hint == hint
}

/// A closed struct does not only ignore what it does not declare.
fn refused(finding: Finding, usage: &Usage) -> Finding {
    if finding.kind != FindingKind::Undeclared {
        return finding;
    }
    let name = finding
        .path
        .strip_prefix(usage.path.as_str())
        .map_or("", |name| name.trim_start_matches('.'));
    let message = format!(
        "the {} type `{}` does not accept a parameter `{name}`",
        word(usage.kind),
        usage.type_
    );
    Finding {
        kind: FindingKind::UnknownField,
        message,
        ..finding
    }
}

fn of_usage(usage: &Usage, diagnostic: &Diagnostic) -> Finding {
    let what = format!("{} type `{}`", word(usage.kind), usage.type_);
    let mut positions = places(&diagnostic.positions);
    let of_template = |at: &&mut Position| at.object().is_some() && !usage.version.is_empty();
    for at in positions.iter_mut().filter(of_template) {
        at.file = format!("{}@{}", at.file, usage.version);
    }
    of_diagnostic(diagnostic, &usage.path, &what)
        .about(&usage.subject)
        .decided_in(&usage.definition.name, positions)
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
    let written = positions.iter().filter(of_template).cloned();
    written.map(Position::in_object).collect()
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
        DiagnosticKind::Missing if name.is_empty() => (
            FindingKind::Missing,
            format!("the {what} needs parameters, and none say what it is to do"),
        ),
        DiagnosticKind::Missing => (
            FindingKind::Missing,
            format!("the parameter `{name}` is missing"),
        ),
        DiagnosticKind::Unknown => (
            FindingKind::Undeclared,
            format!("the {what} has no parameter `{name}`: it has no effect"),
        ),
        DiagnosticKind::Undeclared => (
            FindingKind::Undeclared,
            format!(
                "the {what} does not declare the parameter `{name}`: its template takes it unchecked"
            ),
        ),
        DiagnosticKind::Conflict if !diagnostic.expected.is_empty() => (
            FindingKind::Invalid,
            format!("the parameter `{name}` has a wrong value"),
        ),
        _ => {
            let which = if name.is_empty() {
                "these parameters".to_owned()
            } else {
                format!("the parameter `{name}`")
            };
            (
                FindingKind::Invalid,
                format!("{which} cannot be used: {}", diagnostic.message),
            )
        }
    };
    let found = match kind {
        // There is nothing; saying so helps nobody.
        FindingKind::Missing => String::new(),
        _ => short(&diagnostic.found),
    };
    Finding::new(kind, path, message)
        .expected(short(&diagnostic.expected), found)
        .hint(diagnostic.hint.clone())
}

/// Longest type or value that is spelled out.
const SPELLED_OUT: usize = 60;

/// A type or value; of a long one, only what it is.
fn short(text: &str) -> String {
    if text.chars().count() <= SPELLED_OUT {
        return text.to_owned();
    }
    match text.as_bytes().first() {
        Some(b'[') => "a list".to_owned(),
        Some(b'{') => "an object".to_owned(),
        _ => {
            let head: String = text.chars().take(SPELLED_OUT).collect();
            format!("{head}…")
        }
    }
}

/// A mistake in the template, or one that shows with these parameters.
fn of_template(diagnostic: &Diagnostic, properties: &str, what: &str) -> Finding {
    let path = properties.strip_suffix(".properties").unwrap_or(properties);
    if diagnostic.kind == DiagnosticKind::User {
        return Finding::new(FindingKind::Author, path, diagnostic.message.clone())
            .hint(diagnostic.hint.clone());
    }
    if diagnostic.kind == DiagnosticKind::Package {
        let message = format!(
            "the template of the {what} imports what is not there: {}",
            diagnostic.message
        );
        return Finding::new(FindingKind::UnknownObject, path, message)
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
        .expected(short(&diagnostic.expected), short(&diagnostic.found))
        .hint(diagnostic.hint.clone())
}
