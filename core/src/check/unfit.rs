//! Traits that are not meant for the workload, or not for each other (REN-023: KubeVela does not look).

use kube_core::SelectorExt as _;
use serde_json::Value;

use super::selector;
use super::variant::Variant;
use crate::api::{Application, WorkloadGvk};
use crate::appfile::{Definition, DefinitionSource, Finding, FindingKind, base_name, resolve_in};
use crate::engine::DefinitionKind;

/// What does not go together in a component as it is delivered.
pub(super) fn misapplied(
    app: &Application,
    variant: &Variant,
    source: &dyn DefinitionSource,
) -> Vec<Finding> {
    let component = &variant.component;
    let named = resolve_in(app, source, DefinitionKind::Component, &component.type_)
        .and_then(|resolved| workload_name(&resolved.definition));
    let mut findings = Vec::new();
    for (index, part) in component.traits.iter().enumerate() {
        let Some(resolved) = resolve_in(app, source, DefinitionKind::Trait, &part.type_) else {
            continue;
        };
        let definition = &resolved.definition;
        let path = variant.provenance.place(&format!("traits[{index}].type"));
        let subject = format!("trait {} of component {}", part.type_, component.name);
        findings.extend(
            unmeant(definition, named.as_deref(), &component.type_).map(|finding| {
                Finding {
                    path: path.clone(),
                    ..finding
                }
                .about(&subject)
            }),
        );
        for other in component
            .traits
            .iter()
            .filter(|other| other.type_ != part.type_)
        {
            let known = resolve_in(app, source, DefinitionKind::Trait, &other.type_);
            let known = known.as_ref().map(|resolved| &*resolved.definition);
            let conflicts = |pattern: &String| excludes(pattern, &other.type_, known);
            if definition.conflicts_with.iter().any(conflicts) {
                findings.push(
                    Finding::new(
                        FindingKind::Misapplied,
                        &path,
                        format!(
                            "the trait `{}` does not go with the trait `{}`",
                            part.type_, other.type_
                        ),
                    )
                    .about(&subject)
                    .expected("one of the two", format!("`{}` besides", other.type_))
                    .hint("remove one of them"),
                );
            }
        }
    }
    findings
}

/// A trait over a workload of which only rendering shows what it is. The path is the caller's to add.
pub(super) fn of_made(
    component: &Definition,
    part: &Definition,
    workload: &Value,
    type_: &str,
) -> Option<Finding> {
    if workload_name(component).is_some() {
        return None;
    }
    let made: WorkloadGvk = serde_json::from_value(workload.clone()).ok()?;
    unmeant(part, resource_name(&made).as_deref(), type_)
}

/// Kinds of workloads of which it is known what fields they have.
const KNOWN: [&str; 5] = [
    "deployments.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "jobs.batch",
    "cronjobs.batch",
];

/// Whether what a trait changes can be held against the fields of a sample: it is for workloads of known kinds, and
/// says so.
pub fn is_for_known_workloads(definition: &Definition) -> bool {
    let targets = &definition.applies_to_workloads;
    !targets.is_empty()
        && targets
            .iter()
            .all(|target| KNOWN.contains(&target.as_str()))
}

/// The path is the caller's to add.
fn unmeant(definition: &Definition, workload: Option<&str>, type_: &str) -> Option<Finding> {
    let targets = &definition.applies_to_workloads;
    let workload = workload?;
    let fits = |pattern: &String| applies(pattern, workload, type_);
    if targets.is_empty() || targets.iter().any(fits) {
        return None;
    }
    Some(
        Finding::new(
            FindingKind::Misapplied,
            "",
            format!(
                "the trait `{}` is not meant for components of type `{type_}`, and may have no effect",
                definition.name
            ),
        )
        .expected(targets.join(" or "), workload)
        .hint("remove the trait, or choose a component type that it is made for"),
    )
}

/// What a rule for conflicts says about another trait: its name, the kind that it stands for, the group of that, or
/// labels of its definition.
fn excludes(pattern: &str, type_: &str, other: Option<&Definition>) -> bool {
    if pattern == "*" || pattern == type_ || pattern == base_name(type_) {
        return true;
    }
    let Some(other) = other else {
        return false;
    };
    if let Some(labels) = pattern.strip_prefix(LABEL_SELECTOR) {
        return selector::parse(labels).is_ok_and(|selector| selector.matches(&other.labels));
    }
    is_of_kind(pattern, &other.definition_ref)
}

/// What a rule begins with that is about labels.
pub(super) const LABEL_SELECTOR: &str = "labelSelector:";

/// The kind of a component's workload; nothing where the definition leaves it open.
fn workload_name(definition: &Definition) -> Option<String> {
    let named = Some(&definition.workload_type);
    let named = named.filter(|name| !name.is_empty() && !name.starts_with("autodetects."));
    let made = definition.workload.as_ref();
    made.and_then(resource_name).or_else(|| named.cloned())
}

/// `deployments.apps` for a Deployment. The plural is guessed as Kubernetes' own kinds form it; there is none
/// for a definition that leaves the kind open (`autodetects.core.oam.dev`).
fn resource_name(workload: &WorkloadGvk) -> Option<String> {
    if workload.kind.is_empty() {
        return None;
    }
    let group = workload
        .api_version
        .split_once('/')
        .map_or("", |(group, _)| group);
    let lower = workload.kind.to_lowercase();
    let plural = match lower.as_bytes() {
        [.., b's' | b'x'] => format!("{lower}es"),
        [.., b'y'] => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    };
    Some(if group.is_empty() {
        plural
    } else {
        format!("{plural}.{group}")
    })
}

fn applies(pattern: &str, workload: &str, type_: &str) -> bool {
    pattern == "*"
        || pattern == type_
        || pattern == base_name(type_)
        || is_of_kind(pattern, workload)
}

/// Whether `*.apps`, `deployments.apps`, or `deployments` as old definitions write it, means a kind.
fn is_of_kind(pattern: &str, kind: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(group) => kind.split_once('.').is_some_and(|(_, of)| of == group),
        None => !kind.is_empty() && (pattern == kind || kind.split('.').next() == Some(pattern)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(api_version: &str, kind: &str) -> Option<String> {
        resource_name(&WorkloadGvk {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        })
    }

    #[test]
    fn traits_exclude_each_other_by_name_kind_group_or_label() {
        let other = Definition {
            definition_ref: "ingresses.networking.k8s.io".to_owned(),
            labels: [("tier".to_owned(), "edge".to_owned())].into(),
            ..Definition::default()
        };
        for (pattern, expected) in [
            ("gateway", true),
            ("ingresses.networking.k8s.io", true),
            ("*.networking.k8s.io", true),
            ("labelSelector:tier=edge", true),
            ("labelSelector:tier in (edge, core),!legacy", true),
            ("*", true),
            ("scaler", false),
            ("*.apps", false),
            ("labelSelector:tier!=edge", false),
            ("labelSelector:tier in (", false),
        ] {
            assert_eq!(
                excludes(pattern, "gateway@v1", Some(&other)),
                expected,
                "{pattern}"
            );
        }
        assert!(!excludes("labelSelector:!x", "gateway", None));
    }

    #[test]
    fn traits_apply_by_kind_group_or_definition() {
        let workload = named("apps/v1", "Deployment").expect("a name");
        assert_eq!(workload, "deployments.apps");
        assert_eq!(
            named("networking.k8s.io/v1", "Ingress").as_deref(),
            Some("ingresses.networking.k8s.io")
        );
        assert_eq!(named("", ""), None);
        for (pattern, expected) in [
            ("*", true),
            ("deployments.apps", true),
            ("deployments", true),
            ("*.apps", true),
            ("webservice", true),
            ("jobs.batch", false),
            ("*.batch", false),
        ] {
            assert_eq!(
                applies(pattern, &workload, "webservice"),
                expected,
                "{pattern}"
            );
        }
    }
}
