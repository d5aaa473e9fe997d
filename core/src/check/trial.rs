//! A trial: components are rendered as they will be, without a cluster and without calls.

use super::parameter::{of_diagnostic, places};
use super::variant::Variant;
use crate::appfile::{AppComponent, Appfile, Finding, FindingKind, REF_OBJECTS};
use crate::engine::Evaluator;
use crate::path::is_at;
use crate::render::{ComponentRender, Problem, RenderError, RenderFailure, RenderStage, Target};

/// A component to be rendered for a trial.
#[derive(Clone, Debug)]
pub struct Trial {
    appfile: Appfile,
    component: AppComponent,
    subject: String,
    /// Of which copy; empty where the component is not copied.
    replica_key: String,
}

impl Trial {
    /// The component.
    pub fn component(&self) -> &AppComponent {
        &self.component
    }

    /// The render for a target: where it is the one that a delivery renders for, the delivery finds the result.
    /// It comes to findings by [`Trial::failed`]; a call (`#do`) that it wants carried out ends it.
    pub fn render(&self, target: Target, evaluator: Evaluator) -> ComponentRender<'_> {
        // Traits that wait for the live workload have nothing to look at.
        let stage = RenderStage::Dispatch;
        let target = Target {
            replica_key: self.replica_key.clone(),
            ..target
        };
        ComponentRender::new(&self.appfile, &self.component, target, stage, evaluator)
    }

    pub(super) fn is_copy(&self) -> bool {
        !self.replica_key.is_empty()
    }

    /// What is tried here, with all its copies.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether a finding is about the component as it is tried here, or a trait of it.
    pub(super) fn has(&self, finding: &Finding) -> bool {
        is_about(finding, &self.subject)
    }

    /// What a failed render says about the Application.
    pub(super) fn failed(&self, error: &RenderError) -> Vec<Finding> {
        let whole = match self.replica_key.as_str() {
            "" => self.subject.clone(),
            key => format!("copy {key} of {}", self.subject),
        };
        let named = |finding: Finding| {
            let subject = match &error.trait_type {
                Some(type_) => format!("trait {type_} of {whole}"),
                None => whole.clone(),
            };
            finding.about(subject)
        };
        of_render(error).into_iter().map(named).collect()
    }
}

/// Whether a finding names this component, as it is delivered, or a trait of it.
fn is_about(finding: &Finding, subject: &str) -> bool {
    let before = finding.subject.strip_suffix(subject);
    before.is_some_and(|before| before.is_empty() || before.ends_with(" of "))
}

/// The components that can be tried: known, with all their traits, and nothing wrong with them so far.
pub(super) fn trials(appfile: &Appfile, variants: &[Variant], findings: &[Finding]) -> Vec<Trial> {
    let is_wrong = |variant: &Variant| {
        let subject = variant.subject();
        findings.iter().any(|finding| {
            let is_error = !finding.kind.is_warning() && finding.kind != FindingKind::Missing;
            // What took too long once is not tried again.
            let is_hopeless = finding.kind.may_resolve() || finding.kind == FindingKind::Unchecked;
            let concerns = is_at(&finding.path, variant.path()) || is_about(finding, &subject);
            concerns && (is_error || is_hopeless)
        })
    };
    let mut trials = Vec::new();
    for variant in variants {
        let component = &variant.component;
        let is_fed = !component.inputs.is_empty() || !variant.step_inputs.is_empty();
        if is_fed || component.external_revision.is_some() || is_wrong(variant) {
            continue;
        }
        let Some(tried) = &variant.assembled else {
            continue;
        };
        if needs_more(tried) {
            continue;
        }
        trials.extend(variant.replica_keys.iter().map(|key| Trial {
            appfile: appfile.clone(),
            component: tried.clone(),
            subject: variant.subject(),
            replica_key: key.clone(),
        }));
    }
    trials
}

/// Templates that read what only a delivery knows would fail for want of it.
fn needs_more(component: &AppComponent) -> bool {
    if component.resolved.definition.name == REF_OBJECTS {
        // The objects come from clusters.
        return true;
    }
    let traits = component.traits.iter().map(|part| &part.resolved);
    let mut resolved = std::iter::once(&component.resolved).chain(traits);
    resolved.any(|resolved| resolved.definition.template.contains("context.custom"))
}

/// The mistakes of a render as findings: where in the Application, and in words for its author.
pub fn of_render(error: &RenderError) -> Vec<Finding> {
    if error.problems.is_empty() {
        let kind = match error.failure {
            RenderFailure::Result => FindingKind::Template,
            // Perhaps only the machine was busy: the delivery tries again, and tells.
            _ => FindingKind::Unchecked,
        };
        return vec![
            Finding::new(kind, &error.path, &error.message)
                .decided_in(&error.definition, Vec::new()),
        ];
    }
    let word = if error.trait_type.is_some() {
        "trait"
    } else {
        "component"
    };
    let what = format!("{word} type `{}`", error.definition);
    let properties = format!("{}.properties", error.path);
    let finding = |problem: &Problem| {
        let diagnostic = &problem.diagnostic;
        let found = of_diagnostic(diagnostic, &properties, &what);
        // A render stops at what it cannot use: nothing of it is only a warning.
        let kind = match found.kind {
            FindingKind::Undeclared => FindingKind::UnknownField,
            kind => kind,
        };
        let path = problem.path.clone();
        Finding {
            kind,
            path,
            ..found
        }
        .decided_in(&error.definition, places(&diagnostic.positions))
        .kubevela(&error.kubevela_text)
    };
    error.problems.iter().map(finding).collect()
}
