//! How components stand: the engine is asked, and live objects are found again beside what was recorded.

use std::collections::BTreeSet;
use std::sync::Arc;

use caravel_clusters::inventory::Tracker;
use caravel_clusters::repair::Known;
use caravel_clusters::{ObjectKey, cluster_name};
use caravel_core::api::{ComponentStatus, ManagedResource, labels};
use caravel_core::appfile::{AppComponent, Appfile, PolicyRule, Replication, Stage};
use caravel_core::engine::{Operation, StatusResult};
use caravel_core::health::{Answers, Observation};
use caravel_core::render::{RenderedComponent, RenderedObject, Role, Target};
use serde_json::{Value, json};

use super::Context;
use super::delivery::Delivery;
use crate::evaluation::Evaluation;

/// Where a component was put.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Name of the cluster; empty for the hub's own where no policy names it.
    pub(crate) cluster: String,
    /// The namespace.
    pub(crate) namespace: String,
    /// Which copy of a replicated component; empty for one that is not.
    pub(crate) replica_key: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.cluster, self.namespace)?;
        if !self.replica_key.is_empty() {
            write!(f, "/{}", self.replica_key)?;
        }
        Ok(())
    }
}

impl Place {
    /// The same, as the renderer and the health of what it made know it.
    pub(crate) fn target(&self, revision: &str) -> Target {
        Target {
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            replica_key: self.replica_key.clone(),
            revision: revision.to_owned(),
            ..Target::default()
        }
    }
}

/// The row of `status.services`. What the engine cannot answer is unhealthy, with the reason as message.
pub(crate) async fn assess(
    evaluation: &Evaluation,
    observation: Observation<'_>,
) -> ComponentStatus {
    let mut answers = Answers::new();
    for (subject, question) in observation.questions() {
        let namespace = &observation.appfile.namespace;
        let answer = evaluation
            .call::<StatusResult>(namespace, Operation::Status(question))
            .await;
        answers.insert(subject, answer.map_err(|error| error.to_string()));
    }
    observation.assess(&answers)
}

/// Whether a rendered object is applied by us at all (REN-020).
pub(crate) fn is_dispatched(object: &RenderedObject) -> bool {
    !object.managed_elsewhere
}

/// Sees again how the components stand, from recorded manifests and observed objects: nothing is rendered.
/// A component of which something is not known yet keeps its row.
pub(crate) async fn reassess(context: &Context, delivery: &Delivery) {
    let rows = delivery.services.lock().await.clone();
    for row in rows {
        let place = Place {
            cluster: row.cluster.clone().unwrap_or_default(),
            namespace: row.namespace.clone().unwrap_or_default(),
            replica_key: String::new(),
        };
        for replica_key in copies_of(&delivery.appfile, &row.name) {
            let place = Place {
                replica_key,
                ..place.clone()
            };
            let Some((appfile, component)) = delivery.as_delivered(&row.name, &place).await else {
                continue;
            };
            let component = component.as_ref();
            let Some((mut rendered, live)) = recorded(context, delivery, component, &place).await
            else {
                continue;
            };
            rendered.pending_traits = still_pending(component, &row);
            let observation = Observation {
                appfile: &appfile,
                component,
                target: &place.target(&delivery.revision.name),
                rendered: &rendered,
                live: &live,
            };
            let row = assess(&context.evaluation, observation).await;
            delivery.note(&place, row).await;
        }
    }
}

/// The keys of a component's copies; one empty key for a component that is not replicated.
fn copies_of(appfile: &Appfile, component: &str) -> Vec<String> {
    let mut keys: Vec<String> = replications(appfile)
        .filter(|policy| {
            let selector = policy.selector.as_ref();
            selector.is_none_or(|names| names.iter().any(|name| name == component))
        })
        .flat_map(|policy| policy.keys.clone())
        .collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() {
        keys.push(String::new());
    }
    keys
}

fn replications(appfile: &Appfile) -> impl Iterator<Item = &Replication> {
    appfile
        .policies
        .iter()
        .filter_map(|policy| match &policy.rule {
            PolicyRule::Replication(replication) => Some(replication),
            _ => None,
        })
}

/// Objects carry no mark of the copy that they belong to; their names have to tell them apart, or one copy would
/// take the other's.
fn is_of_copy(name: &str, keys: &[String], replica_key: &str) -> bool {
    let named = keys.iter().filter(|key| name.contains(key.as_str()));
    named
        .max_by_key(|key| key.len())
        .is_none_or(|key| key == replica_key)
}

/// Types of the late traits that waited at the last look and were not rendered since.
fn still_pending(component: &AppComponent, row: &ComponentStatus) -> Vec<String> {
    let waits = |type_: &str| {
        row.traits
            .iter()
            .any(|part| part.pending && part.type_ == type_)
    };
    component
        .traits
        .iter()
        .filter(|part| waits(&part.resolved.type_name))
        .map(|part| part.resolved.type_name.clone())
        .collect()
}

/// The objects of a component as they were recorded, and as they are now.
async fn recorded(
    context: &Context,
    delivery: &Delivery,
    component: &AppComponent,
    place: &Place,
) -> Option<(RenderedComponent, Vec<Arc<Value>>)> {
    let observed = context.observer.objects();
    let keys = copies_of(&delivery.appfile, &component.spec.name);
    let entries: Vec<ManagedResource> = delivery
        .inventory
        .read(|inventory| {
            let all = inventory.kept().flat_map(Tracker::entries);
            let own = all
                .filter(|entry| is_of(entry, &component.spec.name, place))
                .filter(|entry| is_of_copy(&entry.name, &keys, &place.replica_key));
            own.cloned().collect()
        })
        .await;
    let mut objects = Vec::new();
    let mut live = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in &entries {
        let key = ObjectKey::of_entry(entry);
        if !seen.insert(key.clone()) {
            continue;
        }
        let now = match observed.get(&key) {
            Known::There(object) => object,
            Known::Gone => Arc::default(),
            Known::Unknown => return None,
        };
        // Under an apply-once policy no manifest is recorded; the object itself says what it is.
        let manifest = match &entry.raw {
            Some(raw) => raw.clone(),
            None if now.is_null() => named(entry),
            None => Value::clone(&now),
        };
        objects.push(object_of(component, manifest));
        live.push(now);
    }
    let rendered = RenderedComponent {
        name: component.spec.name.clone(),
        objects,
        ..RenderedComponent::default()
    };
    (!rendered.objects.is_empty()).then_some((rendered, live))
}

/// What is known of an object that is gone and was recorded without its manifest.
fn named(entry: &ManagedResource) -> Value {
    json!({"apiVersion": entry.api_version, "kind": entry.kind, "metadata": {"name": entry.name}})
}

fn is_of(entry: &ManagedResource, component: &str, place: &Place) -> bool {
    entry.component.as_deref() == Some(component)
        && cluster_name(entry.cluster.as_deref()) == cluster_name(Some(&place.cluster))
        && entry
            .namespace
            .as_ref()
            .is_none_or(|namespace| place.namespace.is_empty() || *namespace == place.namespace)
        && !entry.deleted
}

/// A recorded manifest as the renderer would have made it: its labels say what it is (section 2.10).
fn object_of(component: &AppComponent, manifest: Value) -> RenderedObject {
    let label = |name: &str| {
        manifest["metadata"]["labels"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let trait_type = label(labels::TRAIT_TYPE);
    let role = match (label(labels::RESOURCE_TYPE).as_str(), trait_type.as_str()) {
        (labels::WORKLOAD, _) => Role::Workload,
        (_, labels::AUXILIARY_WORKLOAD) => Role::Auxiliary,
        _ => Role::Trait,
    };
    let trait_index = component
        .traits
        .iter()
        .position(|part| part.type_ == trait_type);
    RenderedObject {
        output_name: label(labels::TRAIT_RESOURCE),
        trait_type: Some(trait_type).filter(|name| !name.is_empty()),
        trait_index,
        role,
        stage: Stage::Default,
        control_plane_only: false,
        managed_elsewhere: false,
        object: manifest,
    }
}
