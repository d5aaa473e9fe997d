//! Which policies work on an Application itself (POL-014 to POL-016), and in which order.

use std::collections::BTreeMap;

use crate::api::labels::annotations::SKIP_GLOBAL_POLICIES;
use crate::api::{Application, SYSTEM_NAMESPACE};
use crate::appfile::{
    Definition, DefinitionSet, DefinitionSource, Finding, FindingKind, namespace_of, resolve,
};
use crate::engine::DefinitionKind;
use crate::render::ScopedPolicy;

/// The scope of such policies.
pub const APPLICATION_SCOPE: &str = "Application";

/// Whether global policies leave the Application alone (POL-016).
pub fn skips_globals(app: &Application) -> bool {
    let annotations = app.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.get(SKIP_GLOBAL_POLICIES).is_some_and(|it| it == "true"))
}

/// The policy that a definition is for Applications that do not name it, with its priority; none where it holds only where
/// it is named.
pub fn global(definition: &Definition) -> Option<(i64, ScopedPolicy)> {
    let priority = definition
        .global
        .filter(|_| definition.scope == APPLICATION_SCOPE)?;
    Some((priority, ScopedPolicy::of(definition)))
}

/// The policies that an Application names, in their order.
///
/// # Errors
/// If it names one that holds by itself.
pub fn named(
    app: &Application,
    source: &dyn DefinitionSource,
) -> Result<Vec<ScopedPolicy>, Box<Finding>> {
    let mut found = Vec::new();
    for (index, policy) in app.spec.policies.iter().enumerate() {
        let kind = DefinitionKind::Policy;
        let resolved = resolve(source, kind, &policy.type_, namespace_of(app), false);
        let Some(definition) = resolved.map(|resolved| resolved.definition) else {
            continue;
        };
        if definition.scope != APPLICATION_SCOPE {
            continue;
        }
        if definition.global.is_some() {
            let path = format!("spec.policies[{index}].type");
            let message = format!("`{}` is a global policy: it holds by itself", policy.type_);
            let finding = Finding::new(FindingKind::Invalid, path, message)
                .hint(format!(
                    "remove the policy; to be left out of global policies, set the annotation {SKIP_GLOBAL_POLICIES}: \"true\""
                ))
                .kubevela(format!(
                    "validation failed: policy \"{}\" references global policy type \"{}\", which cannot be explicitly referenced",
                    policy.name, policy.type_
                ));
            return Err(Box::new(finding));
        }
        found.push(ScopedPolicy {
            name: policy.name.clone(),
            properties: policy.properties.clone(),
            ..ScopedPolicy::of(&definition)
        });
    }
    Ok(found)
}

/// All policies that hold for an Application of which the definitions are in memory: the global ones of its namespace and
/// of the system by their priority, then those that it names.
///
/// # Errors
/// As [`named`].
pub fn of_set(
    app: &Application,
    set: &DefinitionSet,
    source: &dyn DefinitionSource,
) -> Result<Vec<ScopedPolicy>, Box<Finding>> {
    let mut by_name = BTreeMap::new();
    let namespaces = [SYSTEM_NAMESPACE, namespace_of(app)];
    for namespace in namespaces.into_iter().filter(|_| !skips_globals(app)) {
        for name in set.names(DefinitionKind::Policy, namespace) {
            let known = set.definition(DefinitionKind::Policy, namespace, &name);
            if let Some(policy) = known.and_then(|definition| global(&definition)) {
                by_name.insert(name, policy);
            }
        }
    }
    let mut globals: Vec<_> = by_name.into_values().collect();
    globals.sort_by_key(|(priority, _)| *priority);
    let mut policies: Vec<_> = globals.into_iter().map(|(_, policy)| policy).collect();
    policies.extend(named(app, source)?);
    Ok(policies)
}
