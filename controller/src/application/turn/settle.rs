//! What follows a run: pruning, history; and keeping what was delivered as it is.

use caravel_clusters::ObjectKey;
use caravel_clusters::inventory::Tracker;
use caravel_clusters::prune::{Cause, plan};
use caravel_clusters::repair::drifted;
use caravel_core::api::phase::EventReason;
use caravel_core::api::{Application, ManagedResource};
use caravel_core::appfile::GarbageOrder;
use caravel_workflow::RunPhase;
use jiff::SignedDuration;
use kube::ResourceExt as _;
use tracing::{info, warn};

use super::super::delivery::Delivery;
use super::super::intent::Intent;
use super::super::session::Active;
use super::super::status::failure;
use super::super::{Context, TurnError, deletion, intent};
use super::Turn;

impl Turn<'_> {
    /// Somebody deleted `ResourceTracker`s: they come back, and their objects stay (measured trap 9).
    pub(super) async fn revive(&mut self) -> Result<(), TurnError> {
        let Some(active) = self.memory.active.as_ref() else {
            return Ok(());
        };
        let mut inventory = active.delivery.inventory.lock().await;
        if self.context.inventories.revive(&mut inventory).await? {
            warn!(
                application = self.application.name_any(),
                "somebody deleted its ResourceTracker: it is made anew, the objects stay"
            );
        }
        Ok(())
    }

    /// The run is over: what it no longer applied goes, and what came of it is recorded.
    pub(super) async fn settle(&mut self, intent: &Intent) -> Result<(), TurnError> {
        let Some(active) = self.memory.active.as_mut() else {
            return Ok(());
        };
        let phase = active.run.phase();
        let garbage = active.delivery.policies.garbage().clone();
        let may_prune = phase == RunPhase::Succeeded
            || (phase == RunPhase::Failed && garbage.continue_on_failure);
        if may_prune && !prune(self.context, &self.application, active).await? {
            // What is on its way out is looked at again when it is seen to be gone.
            return Ok(());
        }
        active
            .run
            .close(self.context, &self.application, intent)
            .await?;
        active.is_settled = true;
        active.is_swept = !may_prune || active.delivery.awaited().await.is_empty();
        let limit = garbage.application_revision_limit;
        intent::drop_surplus(self.context, &self.application, intent, limit).await?;
        let found = self.application.status.as_ref();
        let told = found.and_then(|status| status.workflow.as_ref());
        if !active.is_complete && told == Some(&active.run.status(&self.application)) {
            // Of a run that was over before this process began, or before it was forgotten.
            return Ok(());
        }
        let (reason, message) = if phase == RunPhase::Succeeded {
            (EventReason::Applied, "Workflow finished".to_owned())
        } else {
            let status = active.run.status(&self.application);
            let message = failure(&status).unwrap_or_else(|| "Workflow ended".to_owned());
            (EventReason::FailedWorkflow, message)
        };
        self.event(reason, &message);
        if phase == RunPhase::Succeeded {
            self.event(EventReason::Deployed, "Deployed successfully");
        }
        Ok(())
    }

    /// Brings objects back that somebody changed or deleted, from what was recorded (row APP-048), and lets late traits
    /// follow the objects that they see.
    pub(super) async fn keep_state(&mut self) -> Result<(), TurnError> {
        let Some(active) = self.memory.active.as_ref() else {
            return Ok(());
        };
        let delivery = active.delivery.clone();
        let holds = active.is_settled || active.run.phase() == RunPhase::Suspending;
        if holds {
            self.repair(&delivery).await;
            delivery.look(false).await;
        } else if self.marks.objects_changed || self.is_due {
            delivery.look(true).await;
        }
        if let Some(again) = delivery.late_due().await {
            self.wake_at(again);
        }
        self.sweep().await
    }

    async fn repair(&mut self, delivery: &Delivery) {
        let objects = self.context.observer.objects();
        let lost = delivery
            .inventory
            .read(|inventory| drifted(inventory, &delivery.policies, |key| objects.get(key)))
            .await;
        if lost.is_empty() {
            return;
        }
        info!(
            application = self.application.name_any(),
            objects = lost.len(),
            "drift is repaired"
        );
        match delivery
            .dispatcher
            .repair(&delivery.inventory, Some(&lost), &delivery.policies)
            .await
        {
            Ok(_) => self
                .context
                .metrics
                .repaired(u64::try_from(lost.len()).unwrap_or(u64::MAX)),
            Err(error) => {
                warn!(application = self.application.name_any(), %error, "drift could not be repaired");
                self.memory.due = Some(self.context.now() + SignedDuration::from_secs(5));
            }
        }
    }

    /// Prunes again once all late traits are delivered: what they made before was left to them until then.
    async fn sweep(&mut self) -> Result<(), TurnError> {
        let Some(active) = self.memory.active.as_mut() else {
            return Ok(());
        };
        let is_due = active.is_settled && !active.is_swept;
        if is_due && active.delivery.awaited().await.is_empty() {
            active.is_swept = prune(self.context, &self.application, active).await?;
        }
        Ok(())
    }
}

/// Deletes what the run did not apply; whether nothing is on its way out any more.
async fn prune(
    context: &Context,
    application: &Application,
    active: &Active,
) -> Result<bool, TurnError> {
    let delivery = &active.delivery;
    let awaited = delivery.awaited().await;
    let mut inventory = delivery.inventory.lock().await;
    let mut applied = delivery.applied.lock().await.clone();
    let entries = inventory.kept().flat_map(Tracker::entries);
    let may_be_wanted = entries.filter(|entry| is_awaited(entry, &awaited));
    applied.extend(may_be_wanted.map(ObjectKey::of_entry));
    if !active.is_complete {
        // Steps that were done before this process began are not done again: what they applied is in the
        // inventory of this generation.
        applied.extend(
            inventory
                .kept()
                .flat_map(Tracker::entries)
                .map(ObjectKey::of_entry),
        );
    }
    let items = plan(
        &inventory,
        &delivery.policies,
        &Cause::Succeeded { applied: &applied },
    );
    let in_order = delivery.policies.garbage().order == GarbageOrder::Dependency;
    let dependents = in_order.then(|| deletion::dependents(&application.spec.components));
    let report = context
        .pruner
        .prune(&mut inventory, items, dependents.as_ref())
        .await?;
    for (key, problem) in &report.failed {
        warn!(application = application.name_any(), object = %key, problem, "could not be deleted");
    }
    let is_done = report.is_done();
    if is_done {
        context.pruner.tidy(&mut inventory, false).await?;
    }
    context.watch(application, &inventory, &delivery.policies);
    Ok(is_done)
}

/// Whether an object was made by a late trait that is still to come.
fn is_awaited(entry: &ManagedResource, awaited: &[(String, String)]) -> bool {
    let mut awaited = awaited.iter();
    awaited.any(|(component, type_)| {
        entry.component.as_ref() == Some(component) && entry.trait_.as_ref() == Some(type_)
    })
}
