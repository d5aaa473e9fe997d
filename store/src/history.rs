//! What was delivered, when, and how it went.

use async_trait::async_trait;
use caravel_workflow::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AppKey, RunHead, RunId, StoreError};

/// One delivery: a run of an Application's workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The run.
    pub run: RunId,
    /// Whose.
    pub app: AppKey,
    /// The revision that was delivered.
    pub revision: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; absent while it goes on.
    pub ended: Option<Timestamp>,
    /// The run's phase, for example `succeeded`.
    pub result: String,
    /// Why it failed, where it did.
    pub message: String,
    /// Its steps, in the order in which they began.
    pub steps: Vec<DeliveryStep>,
}

/// One step of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryStep {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// The group that it is in, or nothing.
    pub group: String,
    /// How it stands.
    pub phase: String,
    /// Why.
    pub reason: String,
    /// In words.
    pub message: String,
    /// When it first had a status.
    pub started: Option<Timestamp>,
    /// When its status last changed.
    pub ended: Option<Timestamp>,
}

impl Delivery {
    /// The delivery that a run's state tells of.
    pub fn of(head: &RunHead, state: &State) -> Self {
        let dag = state.dag();
        let steps: Vec<DeliveryStep> = state
            .order()
            .iter()
            .filter_map(|step| {
                let (phase, reason, message) = state.standing(*step)?;
                let (started, ended) = state.times(*step);
                let shape = dag.step(*step);
                Some(DeliveryStep {
                    name: shape.name.clone(),
                    type_: shape.type_.clone(),
                    group: shape
                        .group
                        .map(|group| dag.step(group).name.clone())
                        .unwrap_or_default(),
                    phase: phase.as_str().to_owned(),
                    reason: reason
                        .map(|reason| reason.as_str().to_owned())
                        .unwrap_or_default(),
                    message,
                    started,
                    ended,
                })
            })
            .collect();
        let failed = steps.iter().find(|step| step.phase == "failed");
        let message =
            failed.map(|step| format!("step {}: {} {}", step.name, step.reason, step.message));
        Self {
            run: head.id.clone(),
            app: head.app.clone(),
            revision: head.revision.clone(),
            started: state.started().unwrap_or(head.opened),
            ended: state.ended(),
            result: state.phase().as_str().to_owned(),
            message: message
                .map(|text| text.trim_end().to_owned())
                .unwrap_or_default(),
            steps,
        }
    }
}

/// Which deliveries are wanted. Absent parts do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Of Applications in this namespace.
    pub namespace: Option<String>,
    /// Of Applications of this name.
    pub name: Option<String>,
    /// Begun at this time or later.
    pub since: Option<Timestamp>,
    /// Begun before this time.
    pub until: Option<Timestamp>,
    /// With this result.
    pub result: Option<String>,
    /// At most so many; 100 where absent, never more than 500.
    pub limit: Option<u32>,
    /// After this one of an earlier page.
    pub after: Option<Cursor>,
}

impl DeliveryQuery {
    pub(crate) fn page_size(&self) -> usize {
        usize::try_from(self.limit.unwrap_or(100).clamp(1, 500)).unwrap_or(100)
    }
}

/// A place in a list of deliveries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// When the last delivery of the page began, in milliseconds.
    pub started: i64,
    /// Its run.
    pub run: RunId,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    pub next: Option<Cursor>,
}

/// The history of deliveries.
#[async_trait]
pub trait History: Send + Sync {
    /// Records how a delivery stands. One that has ended closes its run, and what is beyond the retention of its Application
    /// is removed.
    async fn record(&self, delivery: &Delivery) -> Result<(), StoreError>;

    /// Deliveries without their steps, newest first.
    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>, StoreError>;

    /// One delivery with its steps.
    async fn delivery(&self, run: &RunId) -> Result<Option<Delivery>, StoreError>;
}
