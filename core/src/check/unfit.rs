//! Traits that are not meant for the workload, or not for each other (REN-023: KubeVela does not look).

use super::variant::Variant;
use crate::api::{Application, WorkloadGvk};
use crate::appfile::{Definition, DefinitionSource, Finding, FindingKind, resolve_in};
use crate::engine::DefinitionKind;

/// What does not go together in a component as it is delivered.
pub(super) fn misapplied(
    app: &Application,
    variant: &Variant,
    source: &dyn DefinitionSource,
) -> Vec<Finding> {
    let component = &variant.component;
    let workload = resolve_in(app, source, DefinitionKind::Component, &component.type_)
        .and_then(|resolved| resolved.definition.workload.clone());
    let named = workload.as_ref().and_then(resource_name);
    let mut findings = Vec::new();
    for (index, part) in component.traits.iter().enumerate() {
        let Some(resolved) = resolve_in(app, source, DefinitionKind::Trait, &part.type_) else {
            continue;
        };
        let definition = &resolved.definition;
        let path = format!("{}.traits[{index}]", variant.path);
        let subject = format!("trait {} of component {}", part.type_, component.name);
        findings.extend(
            unmeant(definition, named.as_deref(), &component.type_).map(|finding| {
                Finding {
                    path: format!("{path}.type"),
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
            let conflicts = |pattern: &String| {
                pattern == &other.type_
                    || pattern == other.type_.split('@').next().unwrap_or_default()
            };
            if definition.conflicts_with.iter().any(conflicts) {
                findings.push(
                    Finding::new(
                        FindingKind::Misapplied,
                        format!("{path}.type"),
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
    if pattern == "*" || pattern == type_ {
        return true;
    }
    match pattern.strip_prefix("*.") {
        Some(group) => workload.split_once('.').is_some_and(|(_, of)| of == group),
        // `deployments` without a group is what old definitions write.
        None => pattern == workload || workload.split('.').next() == Some(pattern),
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
