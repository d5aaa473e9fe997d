//! A component at one place: its stages in their order (rows REN-018, REN-024, REN-025).
//!
//! What traits make for the stage before the workload is applied first, and the workload waits until it is healthy. Once the
//! workload is healthy, the late traits are rendered; they see the live objects (`late.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use caravel_clusters::ObjectKey;
use caravel_clusters::dispatch::Wanted;
use caravel_core::api::{ComponentStatus, LOCAL_CLUSTER, labels};
use caravel_core::appfile::{AppComponent, Appfile, Stage};
use caravel_core::render::{RenderStage, RenderedObject};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::delivery::{Delivery, DeliveryError};
use super::health::{Place, Seen, is_dispatched};

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Patches {
    /// Of the workload.
    pub(crate) workload: Option<String>,
    /// Of further objects, by output name.
    pub(crate) outputs: BTreeMap<String, String>,
}

/// What came of applying a component.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    /// Its row of `status.services`.
    pub(crate) row: ComponentStatus,
    /// What waits for it may go on. Late traits do not count: nothing waits for them.
    pub(crate) is_ready: bool,
    /// Late traits have not made their objects yet, and why.
    pub(crate) awaits: Option<String>,
    /// The live workload.
    pub(crate) output: Arc<Value>,
    /// The live other objects by their names in the templates.
    pub(crate) outputs: BTreeMap<String, Arc<Value>>,
}

impl Delivery {
    /// Renders a component for a place, applies what differs, and says how it stands.
    pub(crate) async fn apply_component(
        &self,
        asked: Asked<'_>,
    ) -> Result<Delivered, DeliveryError> {
        let name = &asked.component.spec.name;
        self.remember(asked).await?;
        let as_given = asked;
        let referred = self.with_referred(asked.component).await?;
        let asked = Asked {
            component: referred.as_ref().unwrap_or(asked.component),
            ..asked
        };
        let rendered = self.render(asked, RenderStage::Dispatch).await;
        self.note_problem(name, &rendered);
        let mut seen = Seen::nothing_of(rendered?);
        let is_early = |object: &RenderedObject| object.stage == Stage::PreDispatch;
        if seen.rendered.objects.iter().any(is_early) {
            self.apply(asked, &mut seen, is_early).await?;
            let row = self.assess(asked, &seen, Stage::PreDispatch).await;
            if !row.traits.iter().all(|part| part.healthy || part.pending) {
                return Ok(self.delivered(asked, &seen, row, false).await);
            }
        }
        self.apply(asked, &mut seen, |object| !is_early(object))
            .await?;
        let row = self.assess(asked, &seen, Stage::Default).await;
        let is_ready = row.healthy;
        let (seen, row) = self.with_late(as_given, seen, row).await;
        Ok(self.delivered(asked, &seen, row, is_ready).await)
    }

    async fn delivered(
        &self,
        asked: Asked<'_>,
        seen: &Seen,
        row: ComponentStatus,
        is_ready: bool,
    ) -> Delivered {
        self.note(asked.place, row.clone()).await;
        let (output, outputs) = seen.outputs();
        Delivered {
            awaits: row
                .traits
                .iter()
                .find(|part| part.pending)
                .and_then(|part| part.message.clone()),
            row,
            is_ready,
            output,
            outputs,
        }
    }

    /// Applies those objects that are meant, and sees what is live then.
    pub(super) async fn apply(
        &self,
        asked: Asked<'_>,
        seen: &mut Seen,
        is_meant: impl Fn(&RenderedObject) -> bool,
    ) -> Result<(), DeliveryError> {
        let objects = &seen.rendered.objects;
        let chosen: Vec<usize> = (0..objects.len())
            .filter(|index| is_dispatched(&objects[*index]) && is_meant(&objects[*index]))
            .collect();
        if chosen.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Wanted> = chosen
            .iter()
            .map(|index| wanted(asked, &objects[*index]))
            .collect();
        let key_of = |one: &Wanted| ObjectKey::of(one.cluster.as_deref(), &one.manifest);
        let keys: Vec<ObjectKey> = wanted.iter().map(key_of).collect();
        let by_key: BTreeMap<ObjectKey, Arc<Value>> =
            self.dispatch(wanted).await?.into_iter().collect();
        for (index, key) in chosen.into_iter().zip(keys) {
            // The renderer gives each object a namespace; only the cluster knows who has none.
            let without = ObjectKey {
                namespace: None,
                ..key.clone()
            };
            if let Some(live) = by_key.get(&key).or_else(|| by_key.get(&without)) {
                seen.live[index] = live.clone();
            }
        }
        Ok(())
    }
}

fn wanted(asked: Asked<'_>, object: &RenderedObject) -> Wanted {
    let cluster = if object.control_plane_only {
        LOCAL_CLUSTER
    } else {
        &asked.place.cluster
    };
    Wanted {
        cluster: Some(cluster.to_owned()).filter(|name| !name.is_empty()),
        creator: None,
        component: Some(asked.component.spec.name.clone()),
        trait_: object.object["metadata"]["labels"][labels::TRAIT_TYPE]
            .as_str()
            .map(str::to_owned),
        manifest: object.object.clone(),
    }
}
