//! The end of an Application: its objects go, then its inventory, then its revisions, then itself.

use std::collections::BTreeMap;

use caravel_clusters::inventory::Inventory;
use caravel_clusters::prune::{Cause, Dependents, Report, plan};
use caravel_clusters::{ObjectKey, Owner, ResourcePolicies};
use caravel_core::api::labels::{self, APP_NAME, finalizers};
use caravel_core::api::{Application, ApplicationComponent, ApplicationRevision};
use caravel_core::appfile::GarbageOrder;
use caravel_store::AppKey;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams};

use super::{Context, TurnError};

/// What is left after a turn.
pub(crate) enum Left {
    /// Nothing: the finalizers can go.
    Nothing,
    /// Objects that are on their way out, or cannot be deleted; in words.
    Waiting(String),
}

/// Deletes what the Application owns, as far as it goes now.
pub(crate) async fn turn(
    context: &Context,
    application: &Application,
    owner: Owner,
    policies: &ResourcePolicies,
) -> Result<Left, TurnError> {
    let mut inventory = context.inventories.load(owner).await?;
    context.watch(application, &inventory, policies);
    let report = collect(context, application, &mut inventory, policies).await?;
    if let Some(waiting) = waiting(&report) {
        return Ok(Left::Waiting(waiting));
    }
    context.pruner.tidy(&mut inventory, true).await?;
    delete_revisions(context, application).await?;
    let app = app_key(application);
    context.store.forget(&app).await?;
    Ok(Left::Nothing)
}

async fn collect(
    context: &Context,
    application: &Application,
    inventory: &mut Inventory,
    policies: &ResourcePolicies,
) -> Result<Report, TurnError> {
    let orphan = application
        .finalizers()
        .iter()
        .any(|name| name == finalizers::ORPHAN_RESOURCE);
    let items = plan(inventory, policies, &Cause::Deleted { orphan });
    let in_order = policies.garbage().order == GarbageOrder::Dependency;
    let dependents = in_order.then(|| dependents(&application.spec.components));
    Ok(context
        .pruner
        .prune(inventory, items, dependents.as_ref())
        .await?)
}

/// Who depends on a component: by `dependsOn`, or by taking its outputs (row APP-053).
pub(crate) fn dependents(components: &[ApplicationComponent]) -> Dependents {
    let mut givers = BTreeMap::new();
    for component in components {
        for output in &component.outputs {
            givers.insert(output.name.as_str(), component.name.as_str());
        }
    }
    let mut dependents = Dependents::new();
    for component in components {
        let taken = component.inputs.iter().filter_map(|input| {
            let root = input.from.split(['.', '[']).next().unwrap_or(&input.from);
            givers.get(root).copied()
        });
        for other in component.depends_on.iter().map(String::as_str).chain(taken) {
            dependents
                .entry(other.to_owned())
                .or_default()
                .insert(component.name.clone());
        }
    }
    dependents
}

/// Row APP-020: the first object by name, and how many there are.
fn waiting(report: &Report) -> Option<String> {
    if let Some((key, problem)) = report.failed.first() {
        return Some(format!("{} cannot be deleted: {problem}", named(key)));
    }
    let first = report.waiting.first()?;
    Some(format!(
        "Waiting for {} to delete. (At least {} resources are deleting.)",
        named(first),
        report.waiting.len()
    ))
}

fn named(key: &ObjectKey) -> String {
    match &key.namespace {
        Some(namespace) => format!("{} {} (Namespace: {namespace})", key.kind, key.name),
        None => format!("{} {}", key.kind, key.name),
    }
}

async fn delete_revisions(context: &Context, application: &Application) -> Result<(), TurnError> {
    let namespace = application.namespace().unwrap_or_default();
    if !labels::is_value(&application.name_any()) {
        // No revision could be labelled with such a name.
        return Ok(());
    }
    let api: Api<ApplicationRevision> = Api::namespaced(context.client.clone(), &namespace);
    let mine = ListParams::default().labels(&format!("{APP_NAME}={}", application.name_any()));
    api.delete_collection(&DeleteParams::default(), &mine)
        .await?;
    Ok(())
}

/// The Application as the store knows it.
pub(crate) fn app_key(application: &Application) -> AppKey {
    AppKey {
        namespace: application.namespace().unwrap_or_default(),
        name: application.name_any(),
        uid: application.metadata.uid.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn who_waits_for_whom_follows_from_depends_on_and_outputs() {
        let components: Vec<ApplicationComponent> = serde_json::from_value(json!([
            {"name": "db", "type": "x", "outputs": [{"name": "url", "valueFrom": "output.url"}]},
            {"name": "api", "type": "x", "inputs": [{"from": "url", "parameterKey": "url"}]},
            {"name": "web", "type": "x", "dependsOn": ["api"]},
        ]))
        .expect("components");
        let found = dependents(&components);
        assert_eq!(found["db"], BTreeSet::from(["api".to_owned()]));
        assert_eq!(found["api"], BTreeSet::from(["web".to_owned()]));
    }

    #[test]
    fn what_is_waited_for_is_named_as_kubevela_names_it() {
        let key = |name: &str| ObjectKey {
            cluster: "local".to_owned(),
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: Some("n".to_owned()),
            name: name.to_owned(),
        };
        let report = Report {
            waiting: vec![key("fin"), key("b")],
            ..Report::default()
        };
        assert_eq!(
            waiting(&report).as_deref(),
            Some(
                "Waiting for ConfigMap fin (Namespace: n) to delete. (At least 2 resources are deleting.)"
            )
        );
    }
}
