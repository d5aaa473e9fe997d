//! Policies without effect: overrides of components that are not there, copies that nobody makes.

use serde_json::Value;

use super::Finding;
use super::name::names_of_components;
use crate::api::Application;
use crate::appfile::{Appfile, ComponentPatch, FindingKind, Override, PolicyRule, did_you_mean};
use crate::plan::overrides;

/// What of the policies of an Application is without effect, or adds a component that cannot be.
pub(super) fn findings(app: &Application, appfile: &Appfile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, written) in app.spec.policies.iter().enumerate() {
        let rule = appfile
            .policies
            .iter()
            .find(|policy| policy.name == written.name && !policy.external);
        let path = format!("spec.policies[{index}]");
        let found = match rule.map(|policy| &policy.rule) {
            Some(PolicyRule::Override(rule)) => {
                of_override(app, rule, &format!("{path}.properties"))
            }
            Some(PolicyRule::Replication(_)) => {
                unnamed(appfile, &written.name, path).into_iter().collect()
            }
            _ => continue,
        };
        let about = format!("policy {}", written.name);
        findings.extend(found.into_iter().map(|finding| finding.about(&about)));
    }
    findings
}

/// A replication policy that no step names: a `deploy` step makes the copies.
fn unnamed(appfile: &Appfile, policy: &str, path: String) -> Option<Finding> {
    let steps = serde_json::to_string(&appfile.workflow.steps).unwrap_or_default();
    if steps.contains(&Value::from(policy).to_string()) {
        return None;
    }
    let message = format!("no step of the workflow names the policy `{policy}`: nothing is copied");
    let hint = format!("name it in a step: `type: deploy, properties: {{policies: [{policy}]}}`");
    Some(Finding::new(FindingKind::Misapplied, path, message).hint(hint))
}

fn of_override(app: &Application, rule: &Override, path: &str) -> Vec<Finding> {
    let names = names_of_components(app);
    let hint = |wanted: &str| {
        did_you_mean(wanted, names.iter().copied())
            .unwrap_or_else(|| format!("the components are: {}", names.join(", ")))
    };
    let is_lost = |patch: &ComponentPatch| {
        let is_found = names.iter().any(|name| overrides::names(&patch.name, name));
        !patch.name.is_empty() && patch.type_.is_empty() && !is_found
    };
    let mut findings = Vec::new();
    for (index, patch) in rule.components.iter().enumerate() {
        if is_lost(patch) {
            let message = format!(
                "no component has the name `{}`: nothing is overridden, and without a type nothing is added",
                patch.name
            );
            let path = format!("{path}.components[{index}].name");
            findings.push(
                Finding::new(FindingKind::Misapplied, path, message)
                    .expected(
                        "the name of a component, or a pattern of names",
                        &patch.name,
                    )
                    .hint(hint(&patch.name)),
            );
        }
    }
    for (index, wanted) in rule.selector.iter().flatten().enumerate() {
        let added = rule.components.iter().any(|patch| patch.name == *wanted);
        if !added && !names.contains(&wanted.as_str()) {
            let message = format!("no component has the name `{wanted}`: it selects nothing");
            let path = format!("{path}.selector[{index}]");
            findings.push(
                Finding::new(FindingKind::Misapplied, path, message)
                    .expected("the name of a component", wanted)
                    .hint(hint(wanted)),
            );
        }
    }
    findings
}
