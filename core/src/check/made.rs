//! What the objects of a trial say about the Application that made them.

use serde_json::Value;

use super::name::{is_label, is_subdomain, proper};
use super::unfit;
use crate::appfile::{AppComponent, Finding, FindingKind};
use crate::render::{RenderedComponent, RenderedObject, object};

/// Objects that no cluster takes, and traits whose workload turns out to be another than they are made for.
pub(super) fn findings(component: &AppComponent, rendered: &RenderedComponent) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rendered
        .objects
        .iter()
        .filter_map(|object| misnamed(component, object))
        .take(1)
        .collect();
    if findings.is_empty() {
        let of_containers = rendered
            .objects
            .iter()
            .filter_map(|one| unnameable(component, one));
        findings.extend(of_containers.take(1));
    }
    if let Some(workload) = rendered.workload() {
        for (index, part) in component.traits.iter().enumerate() {
            let found = unfit::of_made(
                &component.resolved.definition,
                &part.resolved.definition,
                &workload.object,
                &component.spec.type_,
            );
            findings.extend(found.map(|finding| {
                Finding {
                    path: component.provenance.place(&format!("traits[{index}].type")),
                    ..finding
                }
                .about(format!(
                    "trait {} of component {}",
                    part.type_, component.spec.name
                ))
            }));
        }
    }
    findings
}

/// Copies of a component that are one object: each is applied over the one before. `known` are the workloads of its copies.
pub(super) fn same_workload(
    component: &AppComponent,
    rendered: &RenderedComponent,
    known: &mut Vec<String>,
) -> Option<Finding> {
    let made = &rendered.workload()?.object;
    let name = format!("{}/{}", object::kind(made), object::name(made));
    if !known.contains(&name) {
        known.push(name);
        return None;
    }
    let message = format!(
        "the copies of the component `{}` are all {name}",
        component.spec.name
    );
    let hint = "its definition can tell them apart: `metadata: name: \"\\(context.name)-\\(context.replicaKey)\"`";
    Some(Finding::new(FindingKind::Misapplied, "spec.policies", message).hint(hint))
}

/// Where the Pods of Kubernetes' own workloads stand.
const PODS: [&str; 3] = [
    "/spec/template/spec",
    "/spec/jobTemplate/spec/template/spec",
    "/spec",
];

/// A container whose name no API server takes: it has no dots, unlike the object around it.
fn unnameable(component: &AppComponent, object: &RenderedObject) -> Option<Finding> {
    let version = object.object["apiVersion"].as_str()?;
    if !matches!(version, "v1" | "apps/v1" | "batch/v1") {
        return None;
    }
    let pods = PODS.iter().filter_map(|path| object.object.pointer(path));
    let lists = pods.flat_map(|pod| [&pod["containers"], &pod["initContainers"]]);
    let containers = lists.filter_map(Value::as_array).flatten();
    let mut names = containers.filter_map(|container| container["name"].as_str());
    let name = names.find(|name| !name.is_empty() && !is_label(name))?;
    Some(wrong_name(component, name, "container").expected(
        "at most 63 letters a-z, digits and `-`, a letter or digit first and last",
        name,
    ))
}

/// A wrong name that a component gives, or makes of its own.
fn wrong_name(component: &AppComponent, name: &str, kind: &str) -> Finding {
    let message = format!("`{name}` cannot be the name of a {kind}");
    let finding = |path| Finding::new(FindingKind::Invalid, path, message);
    if name == component.spec.name {
        finding(component.provenance.place("name")).hint(format!(
            "rename the component, for instance to `{}`",
            proper(name)
        ))
    } else {
        finding(component.path().to_owned())
    }
}

/// Of several objects with one wrong name, the first one says it.
fn misnamed(component: &AppComponent, object: &RenderedObject) -> Option<Finding> {
    let text = |pointer: &str| object.object.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name")?;
    // Roles and their bindings may have almost any name.
    let is_free = text("/apiVersion")?.starts_with("rbac.authorization.k8s.io/");
    if is_free || name.is_empty() || is_subdomain(name) {
        return None;
    }
    let kind = text("/kind").unwrap_or("object");
    Some(wrong_name(component, name, kind).expected(
        "letters a-z, digits, `-` and `.`, a letter or digit first and last",
        name,
    ))
}
