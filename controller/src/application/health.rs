//! How a component stands: its definition's health policy over its live objects (rows REN-026 to REN-031).

use std::collections::{BTreeMap, BTreeSet};

use caravel_clusters::inventory::Tracker;
use caravel_clusters::repair::Known;
use caravel_clusters::{ObjectKey, cluster_name};
use caravel_core::api::{ComponentStatus, ManagedResource, TraitStatus, labels};
use caravel_core::appfile::{AppComponent, Appfile, PolicyRule, Replication, Stage};
use caravel_core::engine::{DefinitionStatusText, Operation, StatusRequest, StatusResult};
use caravel_core::render::{RenderedComponent, RenderedObject, Role};
use serde_json::{Map, Value, json};

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

/// A rendered component beside its live objects.
pub(crate) struct Deployed<'a> {
    pub(crate) appfile: &'a Appfile,
    pub(crate) component: &'a AppComponent,
    pub(crate) revision: &'a str,
    pub(crate) place: &'a Place,
    pub(crate) rendered: &'a RenderedComponent,
    /// The live object of each rendered one, in the same order; `Null` for one that is not there.
    pub(crate) live: &'a [Value],
}

impl Deployed<'_> {
    /// The row of `status.services`. A policy that cannot be evaluated means unhealthy, with the reason as
    /// message: KubeVela only logs it (TRAPS 39).
    pub(crate) async fn assess(&self, evaluation: &Evaluation) -> ComponentStatus {
        let definition = &self.component.resolved.definition;
        let parameters = self.component.spec.properties.clone().unwrap_or_default();
        let own = if self.component.workload_is_managed() {
            // A trait applies the workload, so there is none to look at here (row REN-020).
            StatusResult {
                healthy: true,
                ..StatusResult::default()
            }
        } else {
            self.evaluate(evaluation, &definition.status, &parameters)
                .await
        };
        let missing = self.missing();
        let workload_healthy = own.healthy && missing.is_none();
        let mut traits = Vec::new();
        let mut in_order: Vec<_> = self.component.traits.iter().collect();
        // They are shown in the order in which they take effect (row REN-018).
        in_order.sort_by_key(|part| part.resolved.definition.stage);
        for part in in_order {
            traits.push(self.assess_trait(evaluation, part).await);
        }
        let healthy = workload_healthy && traits.iter().all(|row| row.healthy || row.pending);
        ComponentStatus {
            name: self.component.spec.name.clone(),
            namespace: Some(self.place.namespace.clone()),
            cluster: Some(self.place.cluster.clone()).filter(|name| !name.is_empty()),
            workload_definition: Some(definition.workload.clone().unwrap_or_default()),
            healthy,
            workload_healthy,
            message: missing
                .or(Some(own.message))
                .filter(|text| !text.is_empty()),
            details: own.details,
            traits,
            ..ComponentStatus::default()
        }
    }

    async fn assess_trait(
        &self,
        evaluation: &Evaluation,
        part: &caravel_core::appfile::AppTrait,
    ) -> TraitStatus {
        let definition = &part.resolved.definition;
        if definition.stage == Stage::PostDispatch
            && self
                .rendered
                .pending_traits
                .contains(&part.resolved.type_name)
        {
            return TraitStatus {
                type_: part.resolved.type_name.clone(),
                healthy: false,
                pending: true,
                message: Some("⏳ Waiting for component to be healthy".to_owned()),
                ..TraitStatus::default()
            };
        }
        let parameters = part.properties.clone().unwrap_or_default();
        let result = self
            .evaluate(evaluation, &definition.status, &parameters)
            .await;
        TraitStatus {
            type_: part.resolved.type_name.clone(),
            healthy: result.healthy,
            message: Some(result.message).filter(|text| !text.is_empty()),
            details: result.details,
            ..TraitStatus::default()
        }
    }

    async fn evaluate(
        &self,
        evaluation: &Evaluation,
        status: &DefinitionStatusText,
        parameters: &Value,
    ) -> StatusResult {
        if *status == DefinitionStatusText::default() {
            return StatusResult {
                healthy: true,
                ..StatusResult::default()
            };
        }
        let request = StatusRequest {
            health_policy: status.health_policy.clone(),
            custom_status: status.custom_status.clone(),
            details: status.details.clone(),
            context: self.context(),
            parameters: parameters.clone(),
        };
        let namespace = &self.appfile.namespace;
        match evaluation
            .call::<StatusResult>(namespace, Operation::Status(request))
            .await
        {
            Ok(mut result) => {
                if let Some(first) = result.errors.first()
                    && !result.healthy
                    && result.message.is_empty()
                {
                    result.message.clone_from(&first.message);
                }
                result
            }
            Err(error) => StatusResult {
                healthy: false,
                message: error.to_string(),
                ..StatusResult::default()
            },
        }
    }

    /// `context` of the status texts (row REN-106).
    fn context(&self) -> Map<String, Value> {
        let mut context = Map::new();
        let mut put = |key: &str, value: Value| context.insert(key.to_owned(), value);
        put("name", json!(self.component.spec.name));
        put("appName", json!(self.appfile.name));
        put("namespace", json!(self.place.namespace));
        put("appRevision", json!(self.revision));
        let cluster = if self.place.cluster.is_empty() {
            "local"
        } else {
            &self.place.cluster
        };
        put("cluster", json!(cluster));
        if !self.place.replica_key.is_empty() {
            put("replicaKey", json!(self.place.replica_key));
        }
        let (output, outputs) = self.outputs();
        put("output", output);
        put("outputs", json!(outputs));
        context
    }

    /// The live workload, and the live other objects by their names in the templates.
    pub(crate) fn outputs(&self) -> (Value, BTreeMap<String, Value>) {
        let mut output = Value::Null;
        let mut outputs = BTreeMap::new();
        for (object, live) in self.rendered.objects.iter().zip(self.live) {
            match object.role {
                Role::Workload => output = live.clone(),
                Role::Auxiliary | Role::Trait | Role::Policy => {
                    outputs.insert(object.output_name.clone(), live.clone());
                }
            }
        }
        (output, outputs)
    }

    /// What is not there although it was applied.
    fn missing(&self) -> Option<String> {
        let mut pairs = self.rendered.objects.iter().zip(self.live);
        let (gone, _) = pairs.find(|(object, live)| is_dispatched(object) && live.is_null())?;
        let kind = gone.object["kind"].as_str().unwrap_or("object");
        let name = gone.object["metadata"]["name"].as_str().unwrap_or_default();
        Some(format!("{kind} {name} is not there"))
    }
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
            let deployed = Deployed {
                appfile: &appfile,
                component,
                revision: &delivery.revision.name,
                place: &place,
                rendered: &rendered,
                live: &live,
            };
            let row = deployed.assess(&context.evaluation).await;
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
) -> Option<(RenderedComponent, Vec<Value>)> {
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
            Known::There(object) => (*object).clone(),
            Known::Gone => Value::Null,
            Known::Unknown => return None,
        };
        // Under an apply-once policy no manifest is recorded; the object itself says what it is.
        let manifest = entry.raw.clone().or_else(|| Some(now.clone()));
        let manifest = manifest.filter(|manifest| !manifest.is_null());
        objects.push(object_of(
            component,
            manifest.unwrap_or_else(|| named(entry)),
        ));
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
