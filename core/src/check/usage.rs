//! Every place where an Application gives parameters to a definition.

use serde_json::{Value, json};

use super::before::{self, Before};
use super::name::names_of_components;
use super::step::{self, Written};
use super::variant::Variant;
use super::{About, Question};
use crate::api::Application;
use crate::appfile::{
    Definition, DefinitionSource, Finding, FindingKind, Provenance, did_you_mean, resolve_in,
};
use crate::engine::{DefinitionKind, Operation, Template, ValidateRequest};

/// One template with the parameters that an Application gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Usage {
    pub kind: DefinitionKind,
    pub definition: std::sync::Arc<Definition>,
    /// Which version of it, for messages; empty where nobody counts them.
    pub version: String,
    /// Type as written.
    pub type_: String,
    pub parameters: Value,
    /// What they were before; null where that is not known, or does not matter.
    pub previous: Value,
    /// Parameters that inputs fill, as the template sees them.
    pub fed: Vec<String>,
    /// Field path of the parameters, as if the whole component stood in one place.
    pub path: String,
    /// Where they stand, if they are those of a component: in it, or in what overrides it.
    pub provenance: Option<Provenance>,
    /// Which component, trait, policy or step.
    pub subject: String,
    /// Only undeclared parameters are of interest: the rest was judged already.
    pub is_typed: bool,
}

/// What marks a parameter that does not change once it is set (row REN-032).
const IMMUTABLE: &str = "+immutable";

impl Usage {
    /// Notes what was given before, where the template cares.
    fn was(&mut self, before: Option<&Value>) {
        if let Some(before) = before
            && self.definition.template.contains(IMMUTABLE)
        {
            self.previous = before.clone();
        }
    }

    /// A finding about these parameters at the place where they were given.
    pub(super) fn placed(&self, finding: Finding) -> Finding {
        let place = |provenance: &Provenance| provenance.relocate(&finding.path);
        match self.provenance.as_ref().map(place) {
            Some(path) => Finding { path, ..finding },
            None => finding,
        }
    }

    pub(super) fn question(self) -> Question {
        let request = ValidateRequest {
            kind: self.kind,
            template: Template {
                name: self.definition.name.clone(),
                source: self.definition.template.clone(),
                parameters: self.parameters.clone(),
            },
            provided_later: self.fed.clone(),
            previous: self.previous.clone(),
            ..ValidateRequest::default()
        };
        Question {
            operation: Operation::Validate(request),
            evaluator: self.definition.evaluator,
            about: About::Parameters(Box::new(self)),
        }
    }
}

/// All of them, where the definition is known and has a template.
pub(super) fn usages(
    app: &Application,
    before: Option<&Before<'_>>,
    variants: &[Variant],
    source: &dyn DefinitionSource,
) -> Vec<Usage> {
    let mut usages = Usages {
        app,
        before,
        source,
        found: Vec::new(),
    };
    for variant in variants {
        usages.component(variant);
    }
    for (index, policy) in app.spec.policies.iter().enumerate() {
        if let Some(properties) = &policy.properties {
            let path = format!("spec.policies[{index}]");
            let subject = format!("policy {}", policy.name);
            let added = usages.add(
                DefinitionKind::Policy,
                &policy.type_,
                Some(properties),
                &[],
                &path,
                subject,
            );
            if let (Some(usage), Some(before)) = (added, before) {
                usage.was(before.policy(&policy.name, &policy.type_));
            }
        }
    }
    for step in step::steps(app) {
        let added = usages.step(&step);
        if let (Some(usage), Some(before)) = (added, before) {
            usage.was(before.step(&step));
        }
    }
    usages.found
}

struct Usages<'a> {
    app: &'a Application,
    before: Option<&'a Before<'a>>,
    source: &'a dyn DefinitionSource,
    found: Vec<Usage>,
}

impl Usages<'_> {
    fn component(&mut self, variant: &Variant) {
        let component = &variant.component;
        let mut fed: Vec<String> = component
            .inputs
            .iter()
            .chain(&variant.step_inputs)
            .filter_map(|input| input.parameter_key.clone())
            .map(|key| key.strip_prefix("value.").unwrap_or(&key).to_owned())
            .collect();
        let previous = self.before.and_then(|before| before.component(variant));
        let subject = variant.subject();
        for (index, part) in component.traits.iter().enumerate() {
            let prefix = format!("traits[{index}].properties.");
            let mine: Vec<String> = fed
                .iter()
                .filter_map(|key| key.strip_prefix(&prefix).map(str::to_owned))
                .collect();
            let added = self.add(
                DefinitionKind::Trait,
                &part.type_,
                part.properties.as_ref(),
                &mine,
                &format!("{}.traits[{index}]", variant.path()),
                format!("trait {} of {subject}", part.type_),
            );
            if let Some(usage) = added {
                usage.provenance = Some(variant.provenance.clone());
                usage.was(previous.and_then(|was| before::of_trait(was, &component.traits, index)));
            }
        }
        fed.retain(|key| !key.starts_with("traits["));
        for key in &mut fed {
            if let Some(inner) = key.strip_prefix("properties.") {
                *key = inner.to_owned();
            }
        }
        let added = self.add(
            DefinitionKind::Component,
            &component.type_,
            component.properties.as_ref(),
            &fed,
            variant.path(),
            subject,
        );
        if let Some(usage) = added {
            usage.provenance = Some(variant.provenance.clone());
            usage.was(previous.and_then(|was| was.properties.as_ref()));
        }
    }

    fn step(&mut self, step: &Written<'_>) -> Option<&mut Usage> {
        let mut fed: Vec<String> = step
            .inputs
            .iter()
            .filter_map(|input| input.parameter_key.clone())
            .collect();
        // That a step does not say what it applies is told where the components are known.
        if step.applies_component() && step.property(COMPONENT).is_null() {
            fed.push(COMPONENT.to_owned());
        }
        self.add(
            DefinitionKind::WorkflowStep,
            step.type_,
            step.properties,
            &fed,
            &step.path(),
            step.subject(),
        )
    }

    fn add(
        &mut self,
        kind: DefinitionKind,
        type_: &str,
        parameters: Option<&Value>,
        fed: &[String],
        path: &str,
        subject: String,
    ) -> Option<&mut Usage> {
        let resolved = resolve_in(self.app, self.source, kind, type_)?;
        // Properties of another shape were told of already, and nothing can be said about what is in them.
        let parameters = match parameters {
            None | Some(Value::Null) => json!({}),
            Some(Value::Object(fields)) => Value::Object(fields.clone()),
            Some(_) => return None,
        };
        if resolved.definition.template.is_empty() {
            return None;
        }
        self.found.push(Usage {
            kind,
            is_typed: kind == DefinitionKind::Policy && is_typed_policy(type_),
            version: self.source.version_of(&resolved.definition),
            definition: resolved.definition,
            type_: type_.to_owned(),
            parameters,
            previous: Value::Null,
            fed: fed.to_vec(),
            path: format!("{path}.properties"),
            provenance: None,
            subject,
        });
        self.found.last_mut()
    }
}

/// Policies whose properties are read without their template (POL-001 … POL-011).
fn is_typed_policy(type_: &str) -> bool {
    matches!(
        type_,
        "topology"
            | "override"
            | "replication"
            | "garbage-collect"
            | "apply-once"
            | "shared-resource"
            | "read-only"
            | "take-over"
            | "resource-update"
            | "env-binding"
            | "debug"
    )
}

/// The parameter of a step that says which component it applies.
const COMPONENT: &str = "component";

/// Steps that apply a component which the Application does not have (trap 6).
pub(super) fn unknown_components(app: &Application) -> Vec<Finding> {
    let names = names_of_components(app);
    let mut findings = Vec::new();
    for step in step::steps(app) {
        let wanted = step.property(COMPONENT);
        // A name of another type is told of with the other parameters.
        let is_judged = wanted.is_string() || wanted.is_null();
        if !step.applies_component() || step.is_fed(COMPONENT) || !is_judged {
            continue;
        }
        let wanted = wanted.as_str().unwrap_or_default();
        if names.contains(&wanted) {
            continue;
        }
        let hint = did_you_mean(wanted, names.iter().copied())
            .unwrap_or_else(|| format!("the components are: {}", names.join(", ")));
        let (kind, message) = if wanted.is_empty() {
            (
                FindingKind::Missing,
                "this step does not say which component it applies".to_owned(),
            )
        } else {
            (
                FindingKind::UnknownReference,
                format!("the Application has no component `{wanted}`"),
            )
        };
        let path = format!("{}.properties.{COMPONENT}", step.path());
        findings.push(
            Finding::new(kind, path, message)
                .about(step.subject())
                .expected("the name of a component", wanted)
                .hint(hint)
                .kubevela(format!("component {wanted} not found")),
        );
    }
    findings
}
