//! How components stand: the engine is asked, and live objects are found again beside what was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caravel_clusters::inventory::Tracker;
use caravel_clusters::repair::Known;
use caravel_clusters::{ObjectKey, cluster_name};
use caravel_core::api::{ComponentStatus, LOCAL_CLUSTER, ManagedResource, labels};
use caravel_core::appfile::{AppComponent, Appfile, PolicyRule, Replication, Stage};
use caravel_core::engine::{Evaluator, Operation, RenderBase, StatusRequest, StatusResult};
use caravel_core::health::{Answers, Observation};
use caravel_core::render::{RenderedComponent, RenderedObject, Role, Target};
use caravel_engines::EngineError;
use serde_json::{Value, json};

use super::component::Asked;
use super::delivery::Delivery;
use super::late;

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

    /// Where the component of a row is. Copies share a row.
    fn of(row: &ComponentStatus, replica_key: String) -> Self {
        Self {
            cluster: row.cluster.clone().unwrap_or_default(),
            namespace: row.namespace.clone().unwrap_or_default(),
            replica_key,
        }
    }
}

/// Objects of a component at a place, beside what is really there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// As they were made.
    pub(super) rendered: RenderedComponent,
    /// The live object of each; `Null` for one that is not there (yet).
    pub(super) live: Vec<Arc<Value>>,
}

impl Seen {
    /// None of what was rendered is there yet.
    pub(super) fn nothing_of(rendered: RenderedComponent) -> Self {
        Self {
            live: vec![Arc::default(); rendered.objects.len()],
            rendered,
        }
    }

    /// Adds further objects of the same component.
    pub(super) fn add(&mut self, other: Self) {
        self.rendered.objects.extend(other.rendered.objects);
        self.live.extend(other.live);
    }

    fn pairs(&self) -> impl Iterator<Item = (&RenderedObject, &Arc<Value>)> {
        self.rendered.objects.iter().zip(&self.live)
    }

    /// Whether the workload is among them.
    pub(super) fn has_workload(&self) -> bool {
        self.rendered.workload().is_some()
    }

    /// The live workload, and the live other objects by their names in the templates.
    pub(super) fn outputs(&self) -> (Arc<Value>, BTreeMap<String, Arc<Value>>) {
        let mut output = Arc::default();
        let mut outputs = BTreeMap::new();
        for (object, live) in self.pairs() {
            match object.role {
                Role::Workload => output = live.clone(),
                Role::Auxiliary | Role::Trait | Role::Policy => {
                    outputs.insert(object.output_name.clone(), live.clone());
                }
            }
        }
        (output, outputs)
    }

    /// What late traits see: live objects, and in the place of those that are not there what was made.
    pub(super) fn base(&self) -> RenderBase {
        let mut base = RenderBase::default();
        for (object, live) in self.pairs() {
            let shown = if live.is_null() {
                object.object.clone()
            } else {
                Value::clone(live)
            };
            match object.role {
                Role::Workload => base.output = shown,
                Role::Auxiliary | Role::Trait | Role::Policy => {
                    base.outputs.insert(object.output_name.clone(), shown);
                }
            }
        }
        base
    }
}

/// Whether a rendered object is applied by us at all (REN-020).
pub(crate) fn is_dispatched(object: &RenderedObject) -> bool {
    !object.managed_elsewhere
}

impl Delivery {
    /// The row of `status.services`. What the engine cannot answer is unhealthy, with the reason as message.
    pub(super) async fn assess(
        &self,
        asked: Asked<'_>,
        seen: &Seen,
        reached: Stage,
    ) -> ComponentStatus {
        let observation = Observation {
            appfile: asked.appfile,
            component: asked.component,
            target: &asked.place.target(&self.revision.name),
            rendered: &seen.rendered,
            live: &seen.live,
            reached,
        };
        let mut answers = Answers::new();
        for question in observation.questions() {
            let answer = self
                .status(asked.appfile, question.evaluator, question.request)
                .await;
            answers.insert(question.subject, answer.map_err(|error| error.to_string()));
        }
        observation.assess(&answers)
    }

    async fn status(
        &self,
        appfile: &Appfile,
        evaluator: Option<Evaluator>,
        request: StatusRequest,
    ) -> Result<StatusResult, EngineError> {
        let evaluator = evaluator.unwrap_or_else(|| self.evaluation.evaluator());
        let operation = Operation::Status(request);
        let asked = self
            .evaluation
            .ask_with(&appfile.namespace, operation, evaluator);
        asked.await?.done()
    }

    /// Sees again how the components stand, from recorded manifests and live objects, and lets late traits follow. Other
    /// traits and components are not rendered. A component of which something is not known yet keeps its row; with
    /// `late_only` so does each that has no late traits, or no healthy workload for them.
    pub(crate) async fn look(&self, late_only: bool) {
        let rows = self.services.lock().await.clone();
        for row in rows {
            if late_only && !row.workload_healthy {
                continue;
            }
            for replica_key in copies_of(&self.appfile, &row.name) {
                self.look_at(&row.name, &Place::of(&row, replica_key), late_only)
                    .await;
            }
        }
    }

    async fn look_at(&self, component: &str, place: &Place, late_only: bool) {
        let Some(delivered) = self.as_delivered(component, place).await else {
            return;
        };
        let asked = delivered.asked(place);
        if late_only && !late::has_late(asked.component) {
            return;
        }
        let Some(seen) = self
            .recorded(asked, |stage| stage != Stage::PostDispatch)
            .await
        else {
            return;
        };
        if seen.rendered.objects.is_empty() {
            return;
        }
        let is_gated = !seen.has_workload() && is_gated(asked.component);
        let reached = if is_gated {
            Stage::PreDispatch
        } else {
            Stage::Default
        };
        let row = self.assess(asked, &seen, reached).await;
        let row = if is_gated {
            row
        } else {
            self.with_late(asked, seen, row).await.1
        };
        self.note(place, row).await;
    }

    /// The objects of a component that were recorded, of the stages that are wanted, and as they are now; none if that is
    /// not known.
    pub(super) async fn recorded(
        &self,
        asked: Asked<'_>,
        is_wanted: impl Fn(Stage) -> bool,
    ) -> Option<Seen> {
        let Asked {
            component, place, ..
        } = asked;
        let entries = self.entries(component, place).await;
        let mut found = Seen::default();
        found.rendered.name.clone_from(&component.spec.name);
        for entry in entries {
            let now = match self.observed.get(&ObjectKey::of_entry(&entry)) {
                Known::There(object) => object,
                Known::Gone => Arc::default(),
                Known::Unknown => return None,
            };
            // Under an apply-once policy no manifest is recorded; the object itself says what it is.
            let manifest = match entry.raw {
                Some(raw) => raw,
                None if now.is_null() => named(&entry),
                None => Value::clone(&now),
            };
            let object = object_of(component, manifest);
            if is_wanted(object.stage) {
                found.rendered.objects.push(object);
                found.live.push(now);
            }
        }
        Some(found)
    }

    /// What the inventory lists of a component at a place, as the revision that is delivered has it.
    async fn entries(&self, component: &AppComponent, place: &Place) -> Vec<ManagedResource> {
        let name = &component.spec.name;
        let rows = self.services.lock().await;
        let own = rows.iter().filter(|row| row.name == *name);
        let places: Vec<Place> = own.map(|row| Place::of(row, String::new())).collect();
        drop(rows);
        let keys = copies_of(&self.appfile, name);
        let mut seen = BTreeSet::new();
        self.inventory
            .read(|inventory| {
                let all = inventory.kept().flat_map(Tracker::entries);
                let own = all
                    .filter(|entry| !entry.deleted && entry.component.as_ref() == Some(name))
                    .filter(|entry| self.is_of_revision(entry))
                    .filter(|entry| {
                        is_for_all(component, entry) || self.is_at(entry, place, &places)
                    })
                    .filter(|entry| is_of_copy(&entry.name, name, &keys, &place.replica_key));
                own.filter(|entry| seen.insert(ObjectKey::of_entry(entry)))
                    .cloned()
                    .collect()
            })
            .await
    }

    /// What an earlier revision left is not known to be gone before the run is over.
    fn is_of_revision(&self, entry: &ManagedResource) -> bool {
        let raw = entry.raw.as_ref();
        let revision = raw.and_then(|raw| raw["metadata"]["labels"][labels::APP_REVISION].as_str());
        revision.is_none_or(|revision| revision == self.revision.name)
    }

    /// Whether an object belongs to a place. A placement that names a namespace puts everything there; otherwise objects
    /// may name one themselves, and it is theirs unless it is that of another place.
    fn is_at(&self, entry: &ManagedResource, place: &Place, places: &[Place]) -> bool {
        if cluster_name(entry.cluster.as_deref()) != cluster_name(Some(&place.cluster)) {
            return false;
        }
        let Some(namespace) = &entry.namespace else {
            return true;
        };
        let is_free = place.namespace.is_empty() || place.namespace == self.appfile.namespace;
        *namespace == place.namespace
            || is_free
                && !places
                    .iter()
                    .any(|other| other.cluster == place.cluster && other.namespace == *namespace)
    }
}

/// Whether a component waits for traits of the first stage.
fn is_gated(component: &AppComponent) -> bool {
    let mut traits = component.traits.iter();
    !component.workload_is_managed()
        && traits.any(|part| part.resolved.definition.stage == Stage::PreDispatch)
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
/// take the other's. The component's own name tells nothing, and a key that stands for itself more than one that is a part
/// of a word.
fn is_of_copy(name: &str, component: &str, keys: &[String], replica_key: &str) -> bool {
    let rest = name.replacen(component, "-", 1);
    let stands_alone = |key: &str| {
        rest.match_indices(key).any(|(at, _)| {
            let (before, after) = (&rest[..at], &rest[at + key.len()..]);
            !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
        })
    };
    let longest = |is_named: &dyn Fn(&str) -> bool| {
        let named = keys.iter().filter(|key| is_named(key));
        named.max_by_key(|key| key.len())
    };
    longest(&stands_alone)
        .or_else(|| longest(&|key| rest.contains(key)))
        .is_none_or(|key| key == replica_key)
}

/// What is known of an object that is gone and was recorded without its manifest.
fn named(entry: &ManagedResource) -> Value {
    json!({"apiVersion": entry.api_version, "kind": entry.kind, "metadata": {"name": entry.name}})
}

/// Whether an object stays on the hub, whatever the placements: they share it (REN-022).
fn is_for_all(component: &AppComponent, entry: &ManagedResource) -> bool {
    let type_ = entry.trait_.as_deref();
    let mut traits = component.traits.iter();
    cluster_name(entry.cluster.as_deref()) == LOCAL_CLUSTER
        && traits.any(|part| {
            part.resolved.definition.control_plane_only
                && Some(part.resolved.type_name.as_str()) == type_
        })
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
    let mut traits = component.traits.iter();
    let trait_index = traits.position(|part| part.resolved.type_name == trait_type);
    let stage = trait_index.map(|index| component.traits[index].resolved.definition.stage);
    RenderedObject {
        output_name: label(labels::TRAIT_RESOURCE),
        trait_type: Some(trait_type).filter(|name| !name.is_empty()),
        trait_index,
        role,
        stage: stage.unwrap_or_default(),
        control_plane_only: false,
        managed_elsewhere: false,
        object: manifest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_by_its_key_and_not_by_the_letters_of_its_component() {
        let keys = ["a".to_owned(), "b".to_owned()];
        let copy = |name: &str| -> Vec<&str> {
            let all = keys.iter().map(String::as_str);
            all.filter(|key| is_of_copy(name, "web", &keys, key))
                .collect()
        };
        assert_eq!(copy("web-a"), ["a"]);
        assert_eq!(copy("web-b"), ["b"]);
        assert_eq!(copy("b-web-svc"), ["b"]);
        assert_eq!(copy("weba"), ["a"]);
        assert_eq!(copy("web"), ["a", "b"], "nothing tells");
        let regions = ["eu".to_owned(), "eu-west".to_owned()];
        assert!(is_of_copy("web-eu-west", "web", &regions, "eu-west"));
        assert!(!is_of_copy("web-eu-west", "web", &regions, "eu"));
    }
}
