//! Carrying out one delivery: render a component, apply its objects, see how they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use caravel_clusters::connect::Clusters;
use caravel_clusters::dispatch::{DispatchError, Dispatcher, Wanted};
use caravel_clusters::inventory::{Inventory, InventoryError, Ledger};
use caravel_clusters::{ClusterError, ObjectKey, ResourcePolicies};
use caravel_core::api::{Application, ComponentStatus, LatestRevision, SYSTEM_NAMESPACE, labels};
use caravel_core::appfile::{AppComponent, Appfile, Definition, DefinitionSource};
use caravel_core::engine::{Call, DefinitionKind, Outcome, Reply, Request};
use caravel_core::render::{
    ClusterVersion, ComponentRender, Input, Progress, RenderError, RenderStage, RenderedComponent,
    Target,
};
use caravel_engines::{Answer, EngineError};
use serde_json::Value;
use tokio::sync::Mutex;

use super::Context;
use super::health::{Deployed, Place, is_dispatched};
use super::intent::Intent;
use crate::evaluation::Evaluation;
use crate::library::Library;

/// What made an object (`creator` in trackers and in `status.appliedResources`).
const WORKFLOW: &str = "workflow";

/// Why something could not be delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// The component does not exist (any more).
    #[error("component {0} not found")]
    NoComponent(String),
    /// It cannot be rendered.
    #[error("{}", .0.kubevela_text)]
    Render(Box<RenderError>),
    /// A template wants something that is not carried out while rendering.
    #[error(
        "the template of component {component} calls `{provider}.{action}` at {path}, which is not \
         supported while a component is rendered"
    )]
    Unsupported {
        component: String,
        provider: String,
        action: String,
        path: String,
    },
    /// Its objects could not be applied.
    #[error("{0}")]
    Dispatch(#[from] DispatchError),
    /// The inventory could not be read or written.
    #[error("{0}")]
    Inventory(#[from] InventoryError),
    /// A cluster could not be asked.
    #[error("{0}")]
    Cluster(#[from] ClusterError),
    /// The engine is at fault.
    #[error("{0}")]
    Engine(#[from] EngineError),
}

/// What came of applying a component.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    /// Its row of `status.services`.
    pub(crate) row: ComponentStatus,
    /// The live workload.
    pub(crate) output: Value,
    /// The live other objects by their names in the templates.
    pub(crate) outputs: BTreeMap<String, Value>,
}

/// What a delivery works with; shared by all its steps.
pub(crate) struct Delivery {
    pub(crate) clusters: Clusters,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) evaluation: Evaluation,
    pub(crate) application: Arc<Application>,
    pub(crate) appfile: Arc<Appfile>,
    /// Where its definitions come from.
    pub(crate) source: Arc<dyn DefinitionSource + Send + Sync>,
    library: Library,
    pub(crate) revision: LatestRevision,
    pub(crate) policies: ResourcePolicies,
    pub(crate) cluster_version: ClusterVersion,
    /// What the Application has made; steps that run at the same time share its writes.
    pub(crate) inventory: Ledger,
    /// What this run has applied or found as it should be.
    pub(crate) applied: Mutex<BTreeSet<ObjectKey>>,
    /// Rows of `status.services`, by component and place.
    pub(crate) services: Mutex<Vec<ComponentStatus>>,
    /// The Application as it was delivered, by component and place: steps may override it.
    appfiles: Mutex<BTreeMap<(String, Place), Arc<Appfile>>>,
    /// Components that cannot be rendered, and why.
    problems: std::sync::Mutex<BTreeMap<String, String>>,
}

impl Delivery {
    /// A delivery of what is intended, with the inventory and the rows that there are.
    pub(crate) fn new(
        context: &Context,
        intent: &Intent,
        inventory: Inventory,
        services: Vec<ComponentStatus>,
    ) -> Self {
        let rules = intent.appfile.policies.iter().map(|policy| &policy.rule);
        Self {
            clusters: context.clusters.clone(),
            dispatcher: context.dispatcher.clone(),
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
            appfiles: Mutex::default(),
            problems: std::sync::Mutex::default(),
        }
    }

    /// Keeps what is wrong with a component, with place and hint; forgets it once it renders.
    fn note_problem<T>(&self, component: &str, rendered: &Result<T, DeliveryError>) {
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

    /// Renders a component for a place, applies what differs, and says how it stands.
    pub(crate) async fn apply_component(
        &self,
        appfile: &Appfile,
        component: &AppComponent,
        place: &Place,
    ) -> Result<Delivered, DeliveryError> {
        let rendered = self
            .render(appfile, component, place, RenderStage::Dispatch)
            .await;
        self.note_problem(&component.spec.name, &rendered);
        let rendered = rendered?;
        let objects = rendered
            .objects
            .iter()
            .filter(|object| is_dispatched(object));
        let wanted: Vec<Wanted> = objects
            .map(|object| Wanted {
                cluster: Some(place.cluster.clone()).filter(|name| !name.is_empty()),
                creator: None,
                component: Some(component.spec.name.clone()),
                trait_: object.object["metadata"]["labels"][labels::TRAIT_TYPE]
                    .as_str()
                    .map(str::to_owned),
                manifest: object.object.clone(),
            })
            .collect();
        let applied = self.dispatch(wanted).await?;
        let by_key: BTreeMap<ObjectKey, Arc<Value>> = applied.into_iter().collect();
        let live: Vec<Value> = rendered
            .objects
            .iter()
            .map(|object| {
                let key = ObjectKey::of(Some(&place.cluster), &object.object);
                // The renderer gives each object a namespace; only the cluster knows who has none.
                let without = ObjectKey {
                    namespace: None,
                    ..key.clone()
                };
                let live = by_key.get(&key).or_else(|| by_key.get(&without));
                live.map_or(Value::Null, |live| (**live).clone())
            })
            .collect();
        let deployed = Deployed {
            appfile,
            component,
            revision: &self.revision.name,
            place,
            rendered: &rendered,
            live: &live,
        };
        let row = deployed.assess(&self.evaluation).await;
        self.note(row.clone()).await;
        let (output, outputs) = deployed.outputs();
        Ok(Delivered {
            row,
            output,
            outputs,
        })
    }

    /// Renders without applying.
    pub(crate) async fn render(
        &self,
        appfile: &Appfile,
        component: &AppComponent,
        place: &Place,
        stage: RenderStage,
    ) -> Result<RenderedComponent, DeliveryError> {
        let target = Target {
            cluster: place.cluster.clone(),
            cluster_version: self.cluster_version.clone(),
            // A namespace that is named overrules those that objects name themselves.
            namespace: if place.namespace == appfile.namespace {
                String::new()
            } else {
                place.namespace.clone()
            },
            revision: self.revision.name.clone(),
            revision_hash: self.revision.revision_hash.clone().unwrap_or_default(),
            dispatch: true,
            ..Target::default()
        };
        let evaluator = self.evaluation.evaluator();
        let mut render = ComponentRender::new(appfile, component, target, stage, evaluator);
        let mut input = Input::Start;
        loop {
            match render.next(input).map_err(DeliveryError::Render)? {
                Progress::Done(rendered) => return Ok(rendered),
                Progress::Eval(request) => input = Input::Reply(self.evaluate(*request).await?),
                Progress::Do(calls) => return Err(unsupported(component, &calls)),
            }
        }
    }

    async fn evaluate(&self, request: Request) -> Result<Reply, EngineError> {
        let outcome = match self
            .evaluation
            .ask(&self.appfile.namespace, request.operation)
            .await
        {
            Ok(Answer::Done(value)) => Outcome::Ok(value),
            Ok(Answer::Need(calls)) => Outcome::Need(calls),
            Err(EngineError::Template(error)) => Outcome::Error(*error),
            Err(error) => return Err(error),
        };
        Ok(Reply {
            id: request.id,
            outcome,
        })
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

    async fn dispatch(
        &self,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<(ObjectKey, Arc<Value>)>, DeliveryError> {
        let result = self
            .dispatcher
            .dispatch(&self.inventory, wanted, &self.policies)
            .await?;
        let mut applied = self.applied.lock().await;
        applied.extend(result.iter().map(|one| one.key.clone()));
        Ok(result
            .into_iter()
            .map(|one| (one.key, one.object))
            .collect())
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

    /// The Application as the steps that deliver a component to a place see it.
    pub(crate) async fn appfile_of(&self, component: &str, place: &Place) -> Arc<Appfile> {
        let mut known = self.appfiles.lock().await;
        let key = (component.to_owned(), place.clone());
        known
            .entry(key)
            .or_insert_with(|| super::deploy::appfile_of(self, component, place))
            .clone()
    }

    /// Puts a row in place of the one for the same component and place; a new one comes first, as
    /// KubeVela has it (TRAP-007).
    pub(crate) async fn note(&self, row: ComponentStatus) {
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

fn unsupported(component: &AppComponent, calls: &[Call]) -> DeliveryError {
    let first = calls.first();
    let text = |read: fn(&Call) -> &String| first.map(read).cloned().unwrap_or_default();
    DeliveryError::Unsupported {
        component: component.spec.name.clone(),
        provider: text(|call| &call.provider),
        action: text(|call| &call.action),
        path: text(|call| &call.path),
    }
}
