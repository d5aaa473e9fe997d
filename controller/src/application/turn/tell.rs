//! Telling how an Application stands: its status and its events.

use std::collections::BTreeSet;

use caravel_clusters::ObjectKey;
use caravel_clusters::inventory::Tracker;
use caravel_core::api::phase::{ApplicationPhase, ConditionType, EventReason};
use caravel_core::api::{ApplicationStatus, ComponentStatus, WorkflowStatus};
use caravel_core::appfile::Rejection;
use caravel_core::health::is_healthy;
use caravel_core::render::RenderError;
use caravel_workflow::RunPhase;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::Patch;

use super::super::delivery::Delivery;
use super::super::intent::Intent;
use super::super::status::{Report, Stage, applied_resource, failure, phase, project};
use super::super::{TurnError, events, report};
use super::{Turn, ours};

/// How far apart two reports are that only tell how a run goes on. Each is a write to the hub.
const PROGRESS: SignedDuration = SignedDuration::from_millis(250);

impl Turn<'_> {
    pub(super) async fn report(
        &mut self,
        intent: &Intent,
        restart_at: Option<Time>,
    ) -> Result<(), TurnError> {
        let found = self.application.status.clone().unwrap_or_default();
        let Some(active) = self.memory.active.as_ref() else {
            return Ok(());
        };
        let workflow = active.run.status(&self.application);
        let services = active.delivery.services.lock().await.clone();
        let policies = &active.delivery.policies;
        let mut seen = BTreeSet::new();
        let applied = active.delivery.applied.lock().await.clone();
        let run_phase = active.run.phase();
        // Once the run has done all, what an earlier one left in the root tracker is no longer told of.
        let has_done_all =
            active.is_settled && active.is_complete && run_phase == RunPhase::Succeeded;
        let is_told = |key: &ObjectKey| !has_done_all || applied.contains(key);
        let applied_resources = active
            .delivery
            .inventory
            .read(|inventory| {
                self.context.watch(&self.application, inventory, policies);
                inventory
                    .kept()
                    .flat_map(Tracker::entries)
                    .filter(|entry| !entry.deleted && seen.insert(ObjectKey::of_entry(entry)))
                    .filter(|entry| is_told(&ObjectKey::of_entry(entry)))
                    .map(applied_resource)
                    .collect()
            })
            .await;
        let components = intent.appfile.components.iter();
        let components: Vec<&str> = components.map(|one| one.spec.name.as_str()).collect();
        let services = of_spec(&components, services);
        let is_healthy = is_healthy(&services, &intent.appfile.policies);
        let now_phase = phase(run_phase, is_healthy);
        let mut stages = stages(run_phase, problem(&active.delivery, &workflow));
        let late = active.delivery.late_problems().await;
        for (problem, _) in late.iter().filter(|(_, is_new)| *is_new) {
            self.event(EventReason::FailedApply, problem);
        }
        if run_phase == RunPhase::Succeeded && !late.is_empty() {
            // As KubeVela has it: steps and phase do not tell of them.
            let problems: Vec<String> = late.into_iter().map(|(problem, _)| problem).collect();
            stages.retain(|stage| stage.condition != ConditionType::Ready);
            stages.push(Stage::failed(ConditionType::Synced, problems.join("\n")));
        }
        let mut report = Report {
            generation: self.application.metadata.generation.unwrap_or(0),
            phase: Some(now_phase),
            stages,
            latest_revision: Some(intent.revision.clone()),
            workflow: Some(workflow.clone()),
            services,
            applied_resources,
            policies: intent.told.clone(),
            restart_at,
            warnings: intent.warnings.clone(),
        };
        if run_phase.is_over() && !active.is_settled {
            // Something is still on its way out.
            report
                .stages
                .retain(|stage| stage.condition != ConditionType::Ready);
        }
        let status = project(&found, report, &report::time(self.context.now()));
        if self.is_too_soon(&found, &status) {
            return Ok(());
        }
        if let Some(active) = self.memory.active.as_mut() {
            // Uids of what was made since the last write.
            let inventory = &active.delivery.inventory;
            inventory.commit(&self.context.inventories).await?;
            active
                .run
                .project(self.context, found.workflow.as_ref(), &workflow)
                .await?;
        }
        self.write_status(&status).await?;
        if let Some(active) = self.memory.active.as_mut() {
            active.run.projected();
        }
        Ok(())
    }

    /// Whether this report can wait: it tells only how a run goes on, and the one before was written a moment
    /// ago. The next turn is due when it no longer is too soon.
    pub(super) fn is_too_soon(
        &mut self,
        found: &ApplicationStatus,
        wanted: &ApplicationStatus,
    ) -> bool {
        let stage = |status: &ApplicationStatus| {
            let workflow = status.workflow.as_ref();
            (
                status.status.clone(),
                workflow.map(|one| (one.suspend, one.terminated, one.finished)),
                status.latest_revision.clone(),
            )
        };
        let earliest = self.memory.reported.map(|last| last + PROGRESS);
        let Some(earliest) = earliest.filter(|earliest| *earliest > self.context.now()) else {
            return false;
        };
        if found == wanted || stage(found) != stage(wanted) {
            return false;
        }
        let due = self.memory.due.map_or(earliest, |due| due.min(earliest));
        self.memory.due = Some(due);
        true
    }

    pub(super) async fn write_status(
        &mut self,
        status: &ApplicationStatus,
    ) -> Result<(), TurnError> {
        let Some(patch) = report::patch(&self.object, status)? else {
            return Ok(());
        };
        self.memory.reported = Some(self.context.now());
        let name = self.application.name_any();
        let patch = Patch::Merge(patch);
        let written = self.api.patch_status(&name, &ours(), &patch).await;
        self.written(written)
    }

    /// Writes an event beside the turn: nothing waits for it.
    pub(super) fn event(&self, reason: EventReason, message: &str) {
        let (client, now) = (self.context.client.clone(), self.context.now());
        let (application, message) = (self.application.clone(), message.to_owned());
        tokio::spawn(async move {
            events::record(&client, &application, reason, &message, now).await;
        });
    }

    /// Events of policies that worked on the Application.
    pub(super) fn tell_policies(&self, intent: &Intent) {
        let applied = intent.told.iter().flat_map(|told| &told.applied);
        for one in applied {
            let is_global = one.source.as_deref() == Some("global");
            let (reason, message) = match (is_global, one.applied) {
                (true, true) => (
                    EventReason::GlobalPolicyApplied,
                    format!(
                        "Applied global policy {} from namespace {}",
                        one.name, one.namespace
                    ),
                ),
                (false, true) => (
                    EventReason::PolicyApplied,
                    format!("Applied policy {}", one.name),
                ),
                (true, false) => (
                    EventReason::GlobalPolicySkipped,
                    format!("Skipped global policy {}", one.name),
                ),
                (false, false) => (
                    EventReason::PolicySkipped,
                    format!("Skipped policy {}", one.name),
                ),
            };
            self.event(reason, &message);
        }
    }

    /// The Application cannot be delivered as it is. What ran before keeps running.
    pub(super) async fn reject(&mut self, rejection: &Rejection) -> Result<(), TurnError> {
        self.memory.intent = None;
        self.memory.is_unresolved = rejection.unresolved().next().is_some();
        let stage = Stage::failed(ConditionType::Parsed, rejection.to_string());
        self.stop(
            ApplicationPhase::Rendering,
            vec![stage],
            EventReason::FailedParse,
        )
        .await
    }

    /// A policy that works on the Application cannot be evaluated; a new definition may help.
    pub(super) async fn refuse(&mut self, error: &RenderError) -> Result<(), TurnError> {
        self.memory.intent = None;
        self.memory.is_unresolved = true;
        let message = format!("{}\n{error}", error.kubevela_text);
        let stage = Stage::failed(ConditionType::Synced, message);
        self.stop(
            ApplicationPhase::Starting,
            vec![stage],
            EventReason::PolicyFailed,
        )
        .await
    }

    /// Reports the stage that did not succeed.
    pub(super) async fn stop(
        &mut self,
        phase: ApplicationPhase,
        stages: Vec<Stage>,
        reason: EventReason,
    ) -> Result<(), TurnError> {
        let problem = stages.iter().find_map(|stage| stage.problem.clone());
        let message = problem.unwrap_or_default();
        let found = self.application.status.clone().unwrap_or_default();
        let mut report = Report {
            generation: self.application.metadata.generation.unwrap_or(0),
            phase: Some(phase),
            stages,
            latest_revision: found.latest_revision.clone(),
            workflow: found.workflow.clone(),
            services: found.services.clone(),
            applied_resources: found.applied_resources.clone(),
            policies: None,
            restart_at: found.workflow_restart_scheduled_at.clone(),
            warnings: None,
        };
        if found
            .workflow
            .as_ref()
            .is_some_and(|workflow| workflow.finished)
        {
            // The last delivery still stands: the phase tells of it, the condition of the mistake.
            report.phase = None;
        }
        let status = project(&found, report, &report::time(self.context.now()));
        if status != found {
            self.event(reason, &message);
        }
        self.write_status(&status).await
    }
}

/// Rows of components that the specification still has (row APP-013), in its order, and by place: who reads the first of them
/// gets the same one each time. KubeVela's order is that in which it came to look at them.
fn of_spec(components: &[&str], mut services: Vec<ComponentStatus>) -> Vec<ComponentStatus> {
    let position = |row: &ComponentStatus| components.iter().position(|name| *name == row.name);
    services.retain(|row| position(row).is_some());
    services.sort_by_cached_key(|row| (position(row), row.cluster.clone(), row.namespace.clone()));
    services
}

/// What failed: KubeVela's words where clients expect them (the step), ours with place and hint behind them.
fn problem(delivery: &Delivery, workflow: &WorkflowStatus) -> Option<String> {
    let told = failure(workflow)?;
    let places = delivery.problems();
    Some(if places.is_empty() {
        told
    } else {
        format!("{told}\n{}", places.join("\n"))
    })
}

/// The stages that have come to pass when a run stands so.
fn stages(run: RunPhase, problem: Option<String>) -> Vec<Stage> {
    let mut stages: Vec<Stage> = [
        ConditionType::Parsed,
        ConditionType::Revision,
        ConditionType::Policy,
        ConditionType::Render,
    ]
    .map(Stage::done)
    .into();
    match (run, problem) {
        (RunPhase::Succeeded, _) => {
            stages.push(Stage::done(ConditionType::Workflow));
            stages.push(Stage::done(ConditionType::Ready));
        }
        (_, Some(problem)) => stages.push(Stage::failed(ConditionType::Workflow, problem)),
        (RunPhase::Terminated, None) => {
            stages.push(Stage::failed(
                ConditionType::Workflow,
                "the workflow was terminated",
            ));
        }
        (_, None) => {}
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_specification_and_by_place() {
        let row = |name: &str, cluster: &str| ComponentStatus {
            name: name.to_owned(),
            cluster: Some(cluster.to_owned()),
            ..ComponentStatus::default()
        };
        let rows = ["b/y", "gone/x", "a/y", "b/x", "a/x"];
        let rows = rows.map(|row| row.split_once('/').unwrap_or_default());
        let rows = rows.map(|(name, cluster)| row(name, cluster)).into();
        let told = of_spec(&["b", "a"], rows).into_iter();
        let told: Vec<String> = told
            .map(|row| format!("{}/{}", row.name, row.cluster.unwrap_or_default()))
            .collect();
        assert_eq!(told, ["b/x", "b/y", "a/x", "a/y"]);
    }
}
