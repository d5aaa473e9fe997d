//! A component at one place: its stages in their order (rows REN-018, REN-024, REN-025).
//!
//! What traits make for the stage before the workload is applied first, and the workload waits until it is healthy. Once the
//! component is healthy, the late traits are rendered; they see the live objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use caravel_clusters::ObjectKey;
use caravel_clusters::dispatch::Wanted;
use caravel_core::api::{ComponentStatus, LOCAL_CLUSTER, labels};
use caravel_core::appfile::{AppComponent, Appfile, Stage};
use caravel_core::engine::RenderBase;
use caravel_core::health::Observation;
use caravel_core::render::{RenderStage, RenderedComponent, RenderedObject, Role};
use serde_json::Value;

use super::delivery::{Delivery, DeliveryError};
use super::health::{Place, assess, is_dispatched};

/// What the workload waits for (row REN-024, TRAP-008).
const EARLY_MESSAGE: &str = "waiting for previous stage healthy";

/// A component that is to be delivered, and how.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The Application as the step sees it.
    pub(crate) appfile: &'a Arc<Appfile>,
    /// The component.
    pub(crate) component: &'a AppComponent,
    /// Where to.
    pub(crate) place: &'a Place,
    /// What the step lays over its objects.
    pub(crate) patches: Option<&'a Patches>,
}

/// Patches in CUE text (row REN-019).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Patches {
    /// Of the workload.
    pub(crate) workload: Option<String>,
    /// Of the objects of traits, by type.
    pub(crate) traits: BTreeMap<String, String>,
}

/// What came of applying a component.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    /// Its row of `status.services`.
    pub(crate) row: ComponentStatus,
    /// What waits for it may go on. Late traits do not count: nothing waits for them.
    pub(crate) is_ready: bool,
    /// The live workload.
    pub(crate) output: Arc<Value>,
    /// The live other objects by their names in the templates.
    pub(crate) outputs: BTreeMap<String, Arc<Value>>,
}

/// What was rendered, and what became of it.
struct Progress<'a> {
    asked: Asked<'a>,
    rendered: RenderedComponent,
    /// The live object of each rendered one; `Null` for one that is not applied (yet).
    live: Vec<Arc<Value>>,
}

impl Delivery {
    /// Renders a component for a place, applies what differs, and says how it stands.
    pub(crate) async fn apply_component(
        &self,
        asked: Asked<'_>,
    ) -> Result<Delivered, DeliveryError> {
        let name = &asked.component.spec.name;
        let referred = self.with_referred(asked.component).await?;
        let asked = Asked {
            component: referred.as_ref().unwrap_or(asked.component),
            ..asked
        };
        self.remember(asked).await;
        let rendered = self.render(asked, RenderStage::Dispatch).await;
        self.note_problem(name, &rendered);
        let rendered = rendered?;
        let mut progress = Progress {
            asked,
            live: vec![Arc::default(); rendered.objects.len()],
            rendered,
        };
        if progress.has_early() {
            self.dispatch_of(&mut progress, |object| object.stage == Stage::PreDispatch)
                .await?;
            let row = self.assess(&progress).await;
            if !early_are_healthy(asked.component, &row) {
                let row = ComponentStatus {
                    healthy: false,
                    workload_healthy: false,
                    message: Some(EARLY_MESSAGE.to_owned()),
                    ..row
                };
                return Ok(self.delivered(&progress, row, false).await);
            }
        }
        self.dispatch_of(&mut progress, |object| object.stage != Stage::PreDispatch)
            .await?;
        let mut row = self.assess(&progress).await;
        let is_ready = is_ready(asked.component, &row);
        if is_ready && !progress.rendered.pending_traits.is_empty() {
            let late = self.render_late(&progress).await;
            self.note_problem(name, &late);
            match late {
                Ok(late) => progress.add(late),
                Err(error) => {
                    // The trait is shown as waiting, the component as it is.
                    self.note(asked.place, row).await;
                    return Err(error);
                }
            }
            self.dispatch_of(&mut progress, |object| object.stage == Stage::PostDispatch)
                .await?;
            row = self.assess(&progress).await;
        }
        Ok(self.delivered(&progress, row, is_ready).await)
    }

    /// The late traits over the live objects.
    async fn render_late(
        &self,
        progress: &Progress<'_>,
    ) -> Result<RenderedComponent, DeliveryError> {
        let (output, outputs) = progress.outputs();
        let outputs = outputs.into_iter();
        let base = RenderBase {
            output: Value::clone(&output),
            outputs: outputs
                .map(|(name, live)| (name, Value::clone(&live)))
                .collect(),
        };
        self.render(progress.asked, RenderStage::PostDispatch(base))
            .await
    }

    async fn assess(&self, progress: &Progress<'_>) -> ComponentStatus {
        let observation = Observation {
            appfile: progress.asked.appfile,
            component: progress.asked.component,
            target: &progress.asked.place.target(&self.revision.name),
            rendered: &progress.rendered,
            live: &progress.live,
        };
        assess(&self.evaluation, observation).await
    }

    async fn delivered(
        &self,
        progress: &Progress<'_>,
        row: ComponentStatus,
        is_ready: bool,
    ) -> Delivered {
        self.note(progress.asked.place, row.clone()).await;
        let (output, outputs) = progress.outputs();
        Delivered {
            row,
            is_ready,
            output,
            outputs,
        }
    }

    /// Applies those objects that belong to a stage.
    async fn dispatch_of(
        &self,
        progress: &mut Progress<'_>,
        belongs: impl Fn(&RenderedObject) -> bool,
    ) -> Result<(), DeliveryError> {
        let chosen: Vec<usize> = (0..progress.rendered.objects.len())
            .filter(|index| {
                let object = &progress.rendered.objects[*index];
                is_dispatched(object) && belongs(object)
            })
            .collect();
        if chosen.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Wanted> = chosen.iter().map(|index| progress.wanted(*index)).collect();
        let key_of = |one: &Wanted| ObjectKey::of(one.cluster.as_deref(), &one.manifest);
        let keys: Vec<ObjectKey> = wanted.iter().map(key_of).collect();
        let applied = self.dispatch(wanted).await?;
        let by_key: BTreeMap<ObjectKey, Arc<Value>> = applied.into_iter().collect();
        for (index, key) in chosen.into_iter().zip(keys) {
            // The renderer gives each object a namespace; only the cluster knows who has none.
            let without = ObjectKey {
                namespace: None,
                ..key.clone()
            };
            if let Some(live) = by_key.get(&key).or_else(|| by_key.get(&without)) {
                progress.live[index] = live.clone();
            }
        }
        Ok(())
    }
}

impl Progress<'_> {
    fn has_early(&self) -> bool {
        self.rendered
            .objects
            .iter()
            .any(|object| object.stage == Stage::PreDispatch)
    }

    /// The live workload, and the live other objects by their names in the templates.
    fn outputs(&self) -> (Arc<Value>, BTreeMap<String, Arc<Value>>) {
        let mut output = Arc::default();
        let mut outputs = BTreeMap::new();
        for (object, live) in self.rendered.objects.iter().zip(&self.live) {
            match object.role {
                Role::Workload => output = live.clone(),
                Role::Auxiliary | Role::Trait | Role::Policy => {
                    outputs.insert(object.output_name.clone(), live.clone());
                }
            }
        }
        (output, outputs)
    }

    /// Adds what the late traits made: none of them waits any more.
    fn add(&mut self, late: RenderedComponent) {
        self.live
            .resize(self.live.len() + late.objects.len(), Arc::default());
        self.rendered.objects.extend(late.objects);
        self.rendered.pending_traits.clear();
    }

    fn wanted(&self, index: usize) -> Wanted {
        let object = &self.rendered.objects[index];
        let cluster = if object.control_plane_only {
            LOCAL_CLUSTER
        } else {
            &self.asked.place.cluster
        };
        Wanted {
            cluster: Some(cluster.to_owned()).filter(|name| !name.is_empty()),
            creator: None,
            component: Some(self.asked.component.spec.name.clone()),
            trait_: object.object["metadata"]["labels"][labels::TRAIT_TYPE]
                .as_str()
                .map(str::to_owned),
            manifest: object.object.clone(),
        }
    }
}

fn stage_of(component: &AppComponent, type_: &str) -> Stage {
    let mut traits = component.traits.iter();
    traits
        .find(|part| part.type_ == type_ || part.resolved.type_name == type_)
        .map_or(Stage::Default, |part| part.resolved.definition.stage)
}

fn early_are_healthy(component: &AppComponent, row: &ComponentStatus) -> bool {
    row.traits
        .iter()
        .filter(|part| stage_of(component, &part.type_) == Stage::PreDispatch)
        .all(|part| part.healthy)
}

/// Whether the component is healthy, whatever its late traits are.
fn is_ready(component: &AppComponent, row: &ComponentStatus) -> bool {
    row.workload_healthy
        && row
            .traits
            .iter()
            .filter(|part| stage_of(component, &part.type_) != Stage::PostDispatch)
            .all(|part| part.healthy)
}
