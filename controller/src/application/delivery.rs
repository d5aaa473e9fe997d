//! Carrying out one delivery: render a component, apply its objects, see how they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use caravel_apiserver::simulator::Clock;
use caravel_clusters::connect::Clusters;
use caravel_clusters::dispatch::{DispatchError, Dispatcher, Wanted};
use caravel_clusters::inventory::{self, Inventory, InventoryError, Ledger};
use caravel_clusters::observe::Objects;
use caravel_clusters::{ClusterError, ObjectKey, ResourcePolicies};
use caravel_core::api::{
    Application, ApplicationComponent, ComponentStatus, LatestRevision, SYSTEM_NAMESPACE,
};
use caravel_core::appfile::{AppComponent, Appfile, Definition, DefinitionSource, PolicyRule};
use caravel_core::engine::DefinitionKind;
use caravel_core::render::{
    ClusterVersion, ComponentRender, PolicyRender, RenderError, RenderStage, RenderedComponent,
    Target,
};
use caravel_engines::EngineError;
use caravel_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OnceCell};
use tracing::warn;

use super::component::{Asked, Patches};
use super::deletion::app_key;
use super::health::Place;
use super::intent::Intent;
use super::late::{AllLate, has_late};
use super::{Actor, Context};
use crate::calls::Subject;
use crate::engine::PortError;
use crate::evaluation::Evaluation;
use crate::library::Library;
use crate::rendering::{Renderer, RenderingError};

/// What made an object (`creator` in trackers and in `status.appliedResources`).
const WORKFLOW: &str = "workflow";
/// The same, of objects that policies render.
const POLICY: &str = "policy";

/// Why something could not be delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// The component does not exist (any more).
    #[error("component {0} not found")]
    NoComponent(String),
    /// It cannot be rendered.
    #[error("{}", .0.kubevela_text)]
    Render(Box<RenderError>),
    /// Its objects could not be applied.
    #[error("{0}")]
    Dispatch(#[from] DispatchError),
    /// The inventory could not be read or written.
    #[error("{0}")]
    Inventory(#[from] InventoryError),
    /// A cluster could not be asked.
    #[error("{0}")]
    Cluster(#[from] ClusterError),
    /// What the component refers to is not there, or the reference says nothing.
    #[error("failed to parseReferredObjects: {0}")]
    Referred(String),
    /// A template imports a package that is not there.
    #[error("the template of {definition} cannot be read: {missing}")]
    Imported {
        /// Whose template it is.
        definition: String,
        /// What is missing, in words.
        missing: String,
    },
    /// The engine is at fault.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// The journal cannot be written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Rendering and what the templates call for take too long.
    #[error("{} not rendered after {} s, with all that the templates call for", .0, .1.as_secs())]
    Slow(String, std::time::Duration),
}

impl From<RenderingError> for DeliveryError {
    fn from(error: RenderingError) -> Self {
        match error {
            RenderingError::Render(error) => Self::Render(error),
            RenderingError::Engine(error) => Self::Engine(error),
        }
    }
}

/// A component as a step delivered it: steps override it, and give it inputs.
#[derive(Clone)]
pub(super) struct AsDelivered {
    /// The Application as the step saw it.
    pub(super) appfile: Arc<Appfile>,
    pub(super) component: Arc<AppComponent>,
    pub(super) patches: Option<Arc<Patches>>,
    /// Whether it is known to be so. Inputs that another process gave and did not keep are not.
    pub(super) is_certain: bool,
}

impl AsDelivered {
    pub(super) fn asked<'a>(&'a self, place: &'a Place) -> Asked<'a> {
        Asked {
            appfile: &self.appfile,
            component: &self.component,
            place,
            patches: self.patches.as_deref(),
        }
    }
}

/// What is kept of a component that was not delivered as the Application has it.
#[derive(Serialize, Deserialize)]
struct Kept {
    revision: String,
    component: ApplicationComponent,
    patches: Option<Patches>,
}

/// What a delivery works with; shared by all its steps.
pub(crate) struct Delivery {
    pub(crate) clusters: Clusters,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) evaluation: Evaluation,
    pub(crate) application: Arc<Application>,
    pub(crate) appfile: Arc<Appfile>,
    /// Renders, and does what templates ask for.
    pub(super) renderer: Renderer,
    pub(super) http: reqwest::Client,
    pub(super) inventories: inventory::Store,
    /// Where its definitions come from.
    pub(crate) source: Arc<dyn DefinitionSource + Send + Sync>,
    library: Library,
    pub(crate) revision: LatestRevision,
    /// `context.custom`, from policies that work on the Application.
    custom: Option<Value>,
    pub(crate) policies: ResourcePolicies,
    pub(crate) cluster_version: ClusterVersion,
    /// What the Application has made; steps that run at the same time share its writes.
    pub(crate) inventory: Ledger,
    /// What this run has applied or found as it should be.
    pub(crate) applied: Mutex<BTreeSet<ObjectKey>>,
    /// Rows of `status.services`, by component and place.
    pub(crate) services: Mutex<Vec<ComponentStatus>>,
    /// Rows of replicated components, by component and place, then by key of the copy.
    copies: Mutex<BTreeMap<(String, Place), BTreeMap<String, ComponentStatus>>>,
    /// Components as they were delivered, by name and place.
    pub(super) delivered: Mutex<BTreeMap<(String, Place), AsDelivered>>,
    /// How it stands with late traits.
    pub(super) late: Mutex<AllLate>,
    /// Live objects as they were seen last.
    pub(super) observed: Objects,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Store>,
    /// How another process delivered components, where that was not as the Application has them.
    kept: OnceCell<BTreeMap<String, Value>>,
    /// Held while what steps leave for people to read is changed.
    pub(super) notes: Mutex<()>,
    /// Components that cannot be rendered, and why.
    problems: std::sync::Mutex<BTreeMap<String, String>>,
}

impl Delivery {
    /// A delivery of what is intended, with the inventory and the rows that there are, in somebody's name.
    pub(crate) fn new(
        context: &Context,
        actor: Actor,
        intent: &Intent,
        inventory: Inventory,
        services: Vec<ComponentStatus>,
    ) -> Self {
        let rules = intent.appfile.policies.iter().map(|policy| &policy.rule);
        Self {
            renderer: context.renderer(
                &intent.application,
                &intent.desired,
                actor.clusters.clone(),
            ),
            custom: intent.custom.clone(),
            http: context.http.clone(),
            inventories: context.inventories.clone(),
            clusters: actor.clusters,
            dispatcher: actor.dispatcher,
            evaluation: context.evaluation.clone(),
            application: intent.application.clone(),
            appfile: intent.appfile.clone(),
            source: intent.source.clone(),
            library: context.library.clone(),
            revision: intent.revision.clone(),
            policies: ResourcePolicies::of(rules),
            cluster_version: context.cluster_version.clone(),
            inventory: Ledger::new(inventory),
            applied: Mutex::default(),
            services: Mutex::new(services),
            copies: Mutex::default(),
            delivered: Mutex::default(),
            late: Mutex::default(),
            observed: context.observer.objects(),
            clock: context.clock.clone(),
            store: context.store.clone(),
            kept: OnceCell::new(),
            notes: Mutex::default(),
            problems: std::sync::Mutex::default(),
        }
    }

    /// Keeps what is wrong with a component, with place and hint; forgets it once it renders.
    pub(super) fn note_problem<T>(&self, component: &str, rendered: &Result<T, DeliveryError>) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        match rendered {
            Err(DeliveryError::Render(error)) => {
                problems.insert(component.to_owned(), error.to_string());
            }
            Ok(_) | Err(_) => {
                problems.remove(component);
            }
        }
    }

    /// What is wrong with components that cannot be rendered: place, expected, found, what to do.
    pub(crate) fn problems(&self) -> Vec<String> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.values().cloned().collect()
    }

    /// Renders without applying.
    pub(crate) async fn render(
        &self,
        asked: Asked<'_>,
        stage: RenderStage,
    ) -> Result<RenderedComponent, DeliveryError> {
        let name = format!("{}@{}", asked.component.spec.name, asked.place);
        let subject = Subject {
            name: &name,
            cluster: &asked.place.cluster,
        };
        let render = self.component_render(asked, stage);
        Ok(self.renderer.carry(subject, render).await?)
    }

    /// A render that has not begun.
    pub(super) fn component_render<'a>(
        &self,
        asked: Asked<'a>,
        stage: RenderStage,
    ) -> ComponentRender<'a> {
        let Asked {
            appfile,
            component,
            place,
            patches,
        } = asked;
        let target = Target {
            cluster: place.cluster.clone(),
            // A namespace that is named overrules those that objects name themselves.
            namespace: if place.namespace == appfile.namespace {
                String::new()
            } else {
                place.namespace.clone()
            },
            replica_key: place.replica_key.clone(),
            component_revision: component_revision(component),
            ..self.target()
        };
        let evaluator = self.evaluation.evaluator();
        let render = ComponentRender::new(appfile, component, target, stage, evaluator);
        match patches {
            Some(patches) => render.patched(patches.workload.clone(), patches.outputs.clone()),
            None => render,
        }
    }

    /// What all objects of this delivery have in common.
    fn target(&self) -> Target {
        Target {
            cluster_version: self.cluster_version.clone(),
            revision: self.revision.name.clone(),
            revision_hash: self.revision.revision_hash.clone().unwrap_or_default(),
            custom: self.custom.clone(),
            dispatch: true,
            ..Target::default()
        }
    }

    /// Applies objects that a step made, outside of any component.
    pub(crate) async fn apply_object(
        &self,
        cluster: &str,
        manifest: Value,
    ) -> Result<Value, DeliveryError> {
        let cluster = Some(cluster.to_owned()).filter(|name| !name.is_empty());
        let owner = self.inventory.read(|known| known.owner().clone()).await;
        let manifest = caravel_clusters::label(manifest, &owner, cluster.as_deref());
        let wanted = Wanted {
            cluster,
            creator: Some(WORKFLOW.to_owned()),
            manifest,
            ..Wanted::default()
        };
        let applied = self.dispatch(vec![wanted]).await?;
        Ok(applied
            .into_iter()
            .next()
            .map_or(Value::Null, |(_, live)| (*live).clone()))
    }

    /// Renders the objects of policies and applies them (row POL-013).
    pub(crate) async fn apply_policies(&self) -> Result<(), DeliveryError> {
        let mut wanted = Vec::new();
        let mut components = None;
        for policy in &self.appfile.policies {
            let PolicyRule::Custom(resolved) = &policy.rule else {
                continue;
            };
            if !resolved.definition.scope.is_empty() {
                continue;
            }
            // Most policies do not look at what components render.
            let looks = resolved.definition.template.contains("artifacts");
            if looks && components.is_none() {
                components = Some(self.artifacts().await?);
            }
            let seen = components.as_deref().filter(|_| looks).unwrap_or_default();
            let evaluator = resolved
                .definition
                .evaluator
                .unwrap_or_else(|| self.evaluation.evaluator());
            let render = PolicyRender::new(&self.appfile, policy, seen, self.target(), evaluator);
            let Some(render) = render else { continue };
            let rendered = self.renderer.carry(policy.name.as_str(), render).await;
            let rendered = rendered.map_err(DeliveryError::from);
            self.note_problem(&policy.name, &rendered);
            wanted.extend(rendered?.into_iter().map(|object| Wanted {
                creator: Some(POLICY.to_owned()),
                component: Some(policy.name.clone()),
                manifest: object.object,
                ..Wanted::default()
            }));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.dispatch(wanted).await.map(drop)
    }

    /// What the components render, for policies that look at it.
    async fn artifacts(&self) -> Result<Vec<RenderedComponent>, DeliveryError> {
        let mut rendered = Vec::new();
        let place = Place {
            namespace: self.appfile.namespace.clone(),
            ..Place::default()
        };
        for component in &self.appfile.components {
            let asked = Asked {
                appfile: &self.appfile,
                component,
                place: &place,
                patches: None,
            };
            rendered.push(self.render(asked, RenderStage::Dispatch).await?);
        }
        Ok(rendered)
    }

    pub(super) async fn dispatch(
        &self,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<(ObjectKey, Arc<Value>)>, DeliveryError> {
        let result = self
            .dispatcher
            .dispatch(&self.inventory, wanted, &self.policies)
            .await?;
        let mut applied = self.applied.lock().await;
        for one in &result {
            self.observed.wrote(&one.key, &one.object);
            applied.insert(one.key.clone());
        }
        Ok(result
            .into_iter()
            .map(|one| (one.key, one.object))
            .collect())
    }

    /// Writes what was changed in the inventory.
    pub(super) async fn commit(&self) -> Result<(), PortError> {
        self.inventory
            .commit(&self.inventories)
            .await
            .map_err(PortError::new)
    }

    /// The definition of a step type that an Application needs no definition for.
    pub(crate) fn builtin_step(&self, type_: &str) -> Option<Arc<Definition>> {
        let kind = DefinitionKind::WorkflowStep;
        let entry = self.library.definition(kind, SYSTEM_NAMESPACE, type_)?;
        Some(entry.definition)
    }

    /// Reads an object of a cluster; none if it is not there.
    pub(crate) async fn read_object(
        &self,
        cluster: &str,
        object: &Value,
    ) -> Result<Option<Value>, ClusterError> {
        let cluster = self.clusters.get(cluster)?;
        let target = cluster.target(object).await?;
        cluster.get(&target).await
    }

    /// Keeps how a component is delivered. Late traits need that as long as the component is there, also in another
    /// process: what it could not find out again is stored.
    pub(super) async fn remember(&self, asked: Asked<'_>) -> Result<(), DeliveryError> {
        let key = (asked.component.spec.name.clone(), asked.place.clone());
        let value = AsDelivered {
            appfile: asked.appfile.clone(),
            component: Arc::new(asked.component.clone()),
            patches: asked.patches.cloned().map(Arc::new),
            is_certain: true,
        };
        let before = self.delivered.lock().await.insert(key, value);
        let is_same = before.as_ref().is_some_and(|before| {
            *before.component == *asked.component && before.patches.as_deref() == asked.patches
        });
        let is_plain = asked.patches.is_none() && self.plain(asked) == Some(asked.component);
        if is_same || (before.is_none() && is_plain) || !has_late(asked.component) {
            return Ok(());
        }
        let mut component = asked.component.spec.clone();
        for (part, delivered) in component.traits.iter_mut().zip(&asked.component.traits) {
            part.properties.clone_from(&delivered.properties);
        }
        let kept = Kept {
            revision: self.revision.name.clone(),
            component,
            patches: asked.patches.cloned(),
        };
        let app = app_key(&self.application);
        let key = kept_key(asked.component, asked.place);
        self.store.keep(&app, &key, &json!(kept)).await?;
        Ok(())
    }

    /// A component as the Application has it.
    fn plain(&self, asked: Asked<'_>) -> Option<&AppComponent> {
        let name = &asked.component.spec.name;
        let mut components = self.appfile.components.iter();
        components.find(|one| one.spec.name == *name)
    }

    /// A component as it was delivered to a place, with the Application as the step saw it.
    pub(super) async fn as_delivered(&self, component: &str, place: &Place) -> Option<AsDelivered> {
        let key = (component.to_owned(), place.clone());
        if let Some(found) = self.delivered.lock().await.get(&key) {
            return Some(found.clone());
        }
        // It was delivered by another process.
        let appfile = super::deploy::appfile_of(self, component, place);
        let mut components = appfile.components.iter();
        let found = components.find(|one| one.spec.name == component)?;
        let found = Arc::new(found.clone());
        let value = self.restored(found, appfile, place).await?;
        let mut known = self.delivered.lock().await;
        Some(known.entry(key).or_insert(value).clone())
    }

    /// A component that another process delivered; none if that cannot be found out now.
    async fn restored(
        &self,
        component: Arc<AppComponent>,
        appfile: Arc<Appfile>,
        place: &Place,
    ) -> Option<AsDelivered> {
        let plain = AsDelivered {
            is_certain: component.spec.inputs.is_empty(),
            appfile,
            component,
            patches: None,
        };
        if !has_late(&plain.component) {
            return Some(plain);
        }
        let app = app_key(&self.application);
        let kept = self.kept.get_or_try_init(|| self.store.kept(&app)).await;
        let kept = kept
            .inspect_err(|error| warn!(%error, "how components were delivered"))
            .ok()?;
        self.restore_late(&plain.component, place, kept).await;
        let kept = kept.get(&kept_key(&plain.component, place));
        let kept = kept.and_then(|kept| Kept::deserialize(kept).ok());
        let Some(kept) = kept.filter(|kept| kept.revision == self.revision.name) else {
            return Some(plain);
        };
        let mut component = self.assembled(kept.component).ok()?;
        component.provenance.clone_from(&plain.component.provenance);
        Some(AsDelivered {
            component: Arc::new(component),
            patches: kept.patches.map(Arc::new),
            is_certain: true,
            ..plain
        })
    }

    /// Puts a row in place of the one for the same component and place; a new one comes first, as
    /// KubeVela has it (TRAP-007). The copies of a replicated component share a row.
    pub(crate) async fn note(&self, place: &Place, row: ComponentStatus) {
        let row = if place.replica_key.is_empty() {
            row
        } else {
            let mut copies = self.copies.lock().await;
            let at = Place {
                replica_key: String::new(),
                ..place.clone()
            };
            let of_component = copies.entry((row.name.clone(), at)).or_default();
            of_component.insert(place.replica_key.clone(), row);
            together(of_component)
        };
        let mut services = self.services.lock().await;
        let same = |other: &ComponentStatus| {
            (&other.name, &other.namespace, &other.cluster)
                == (&row.name, &row.namespace, &row.cluster)
        };
        match services.iter().position(same) {
            Some(index) => services[index] = row,
            None => services.insert(0, row),
        }
    }
}

/// Under which a component is kept.
fn kept_key(component: &AppComponent, place: &Place) -> String {
    format!("{}@{place}", component.spec.name)
}

/// `context.revision`: the same for the same component, whatever else changes (row REN-101).
pub(crate) fn component_revision(component: &AppComponent) -> String {
    let traits = component.traits.iter();
    let traits: Vec<Value> = traits
        .map(|part| json!({"type": part.type_, "properties": part.properties}))
        .collect();
    let spec = &component.spec;
    let content = json!({
        "name": spec.name,
        "type": spec.type_,
        "properties": spec.properties,
        "traits": traits,
    });
    hex::encode(&Sha256::digest(content.to_string())[..8])
}

/// One row for several copies: that of the first that is not healthy, else of the last.
fn together(copies: &BTreeMap<String, ComponentStatus>) -> ComponentStatus {
    let ill = copies.iter().find(|(_, row)| !row.healthy);
    match ill {
        Some((key, row)) => ComponentStatus {
            message: Some(match &row.message {
                Some(message) => format!("{key}: {message}"),
                None => format!("{key} is not healthy"),
            }),
            ..row.clone()
        },
        None => copies.values().next_back().cloned().unwrap_or_default(),
    }
}
