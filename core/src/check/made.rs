//! What the objects of a trial say about the Application that made them.

use serde_json::Value;

use super::name::{is_subdomain, proper};
use super::unfit;
use crate::appfile::{AppComponent, Finding, FindingKind};
use crate::render::{RenderedComponent, RenderedObject};

/// Objects that no cluster takes, and traits whose workload turns out to be another than they are made for.
pub(super) fn findings(component: &AppComponent, rendered: &RenderedComponent) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rendered
        .objects
        .iter()
        .filter_map(|object| misnamed(component, object))
        .take(1)
        .collect();
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
    let (path, hint) = if name == component.spec.name {
        let hint = format!("rename the component, for instance to `{}`", proper(name));
        (component.provenance.place("name"), hint)
    } else {
        (component.path().to_owned(), String::new())
    };
    Some(
        Finding::new(
            FindingKind::Invalid,
            path,
            format!("`{name}` cannot be the name of a {kind}"),
        )
        .expected(
            "letters a-z, digits, `-` and `.`, a letter or digit first and last",
            name,
        )
        .hint(hint),
    )
}
