//! Packages that templates import (`Package` objects): what is to be delivered waits until all of them are there, as it
//! waits for definitions.

use std::collections::BTreeSet;

use caravel_core::appfile::{Appfile, Definition, PolicyRule};
use caravel_core::engine::{DiagnosticKind, Operation, Template, ValidateRequest, ValidateResult};
use caravel_core::packages::imports_others;

use super::Context;
use super::delivery::DeliveryError;

/// Whether every package is there that templates of an Application import.
pub(super) async fn check(context: &Context, appfile: &Appfile) -> Result<(), DeliveryError> {
    let mut seen = BTreeSet::new();
    for definition in definitions(appfile) {
        let is_new = seen.insert((definition.kind, &definition.namespace, &definition.name));
        if !is_new || !imports_others(&definition.template) {
            continue;
        }
        if let Some(missing) = missing(context, definition).await? {
            return Err(DeliveryError::Imported {
                definition: definition.name.clone(),
                missing,
            });
        }
    }
    Ok(())
}

fn definitions(appfile: &Appfile) -> impl Iterator<Item = &Definition> {
    let components = appfile.components.iter().flat_map(|component| {
        let traits = component.traits.iter().map(|part| &part.resolved);
        std::iter::once(&component.resolved).chain(traits)
    });
    let policies = appfile
        .policies
        .iter()
        .filter_map(|policy| match &policy.rule {
            PolicyRule::Custom(resolved) => Some(resolved),
            _ => None,
        });
    components
        .chain(policies)
        .chain(appfile.step_definitions.values())
        .map(|resolved| &*resolved.definition)
}

/// What a template imports in vain, in the engine's words.
async fn missing(
    context: &Context,
    definition: &Definition,
) -> Result<Option<String>, DeliveryError> {
    let request = ValidateRequest {
        kind: definition.kind,
        template: Template {
            name: definition.name.clone(),
            source: definition.template.clone(),
            ..Template::default()
        },
        ..ValidateRequest::default()
    };
    let result: ValidateResult = context
        .evaluation
        .call(&definition.namespace, Operation::Validate(request))
        .await?;
    let mut errors = result.errors.into_iter();
    let found = errors.find(|one| one.kind == DiagnosticKind::Package);
    Ok(found.map(|one| one.message))
}
