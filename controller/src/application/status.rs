//! What is written into an Application's status. Pure: the time is given.

use std::sync::Arc;

use super::scoped::Told;
use caravel_core::api::phase::{ApplicationPhase, ConditionReason, ConditionType};
use caravel_core::api::{
    ApplicationStatus, AppliedResource, ComponentStatus, Condition, LatestRevision,
    ManagedResource, WorkflowStatus,
};
use caravel_workflow::RunPhase;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How one stage of a turn went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    /// Which.
    pub(crate) condition: ConditionType,
    /// Why it did not succeed.
    pub(crate) problem: Option<String>,
}

impl Stage {
    /// It went well.
    pub(crate) fn done(condition: ConditionType) -> Self {
        Self {
            condition,
            problem: None,
        }
    }

    /// It did not.
    pub(crate) fn failed(condition: ConditionType, problem: impl Into<String>) -> Self {
        Self {
            condition,
            problem: Some(problem.into()),
        }
    }
}

/// Everything that a turn found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) generation: i64,
    pub(crate) phase: Option<ApplicationPhase>,
    /// In order; a stage that is not here has not come to pass, and its condition is taken away.
    pub(crate) stages: Vec<Stage>,
    pub(crate) latest_revision: Option<LatestRevision>,
    pub(crate) workflow: Option<WorkflowStatus>,
    pub(crate) services: Vec<ComponentStatus>,
    pub(crate) applied_resources: Vec<AppliedResource>,
    /// What policies did that work on the Application itself; none where that is not known now.
    pub(crate) policies: Option<Told>,
    /// When the workflow is to run again.
    pub(crate) restart_at: Option<Time>,
    /// What admission warned of; none where that was not looked at again.
    pub(crate) warnings: Option<Arc<[String]>>,
}

/// The status after a turn. What the report does not speak of stays as it was found.
pub(crate) fn project(found: &ApplicationStatus, report: Report, now: &Time) -> ApplicationStatus {
    let mut status = found.clone();
    status.observed_generation = report.generation;
    if let Some(phase) = report.phase {
        status.status = Some(phase.as_str().to_owned());
    }
    status.conditions = conditions(&found.conditions, &report.stages, now);
    let warned = match report.warnings {
        Some(warnings) => warned(&found.conditions, &warnings, now),
        None => find(&found.conditions, ConditionType::Warned).cloned(),
    };
    status.conditions.extend(warned);
    if report.latest_revision.is_some() {
        status.latest_revision = report.latest_revision;
    }
    status.workflow = report.workflow;
    status.services = report.services;
    status.applied_resources = report.applied_resources;
    status.workflow_restart_scheduled_at = report.restart_at;
    if let Some(told) = report.policies {
        status.applied_application_policies = told.applied;
        status.application_policies_config_map = told.config_map;
    }
    status
}

/// The conditions of all stages that came to pass, and `Ready` (rows APP-018, APP-020, APP-035). A failed
/// stage makes `Ready` false with the same message.
fn conditions(found: &[Condition], stages: &[Stage], now: &Time) -> Vec<Condition> {
    let mut conditions: Vec<Condition> = stages
        .iter()
        .filter(|stage| stage.condition != ConditionType::Ready)
        .map(|stage| {
            let reason = match stage.problem {
                None => ConditionReason::Available,
                Some(_) => ConditionReason::ReconcileError,
            };
            condition(found, stage.condition, reason, stage.problem.clone(), now)
        })
        .collect();
    let problem = stages.iter().find_map(|stage| stage.problem.clone());
    let is_ready = stages
        .iter()
        .any(|stage| stage.condition == ConditionType::Ready);
    if problem.is_some() {
        let reason = ConditionReason::ReconcileError;
        conditions.push(condition(found, ConditionType::Ready, reason, problem, now));
    } else if is_ready {
        let reason = ConditionReason::ReconcileSuccess;
        conditions.push(condition(found, ConditionType::Ready, reason, None, now));
    }
    // Conditions that others set stay.
    let ours = |name: &str| ConditionType::parse(name).is_some();
    conditions.extend(found.iter().filter(|other| !ours(&other.type_)).cloned());
    conditions
}

/// How many warnings a condition spells out.
const SPELLED_OUT: usize = 20;

/// What is probably not meant, for those who did not see the answer to the write (DESIGN, admission). Where there
/// is nothing to be said there is no such condition.
fn warned(found: &[Condition], warnings: &[String], now: &Time) -> Option<Condition> {
    let mut lines: Vec<String> = warnings.iter().take(SPELLED_OUT).cloned().collect();
    if warnings.len() > SPELLED_OUT {
        lines.push(format!("and {} more", warnings.len() - SPELLED_OUT));
    }
    let type_ = ConditionType::Warned;
    let before = find(found, type_).filter(|before| before.status == "True");
    let since = before.map_or_else(|| now.clone(), |before| before.last_transition_time.clone());
    (!lines.is_empty()).then(|| Condition {
        type_: type_.as_str().to_owned(),
        status: "True".to_owned(),
        last_transition_time: since,
        reason: ConditionReason::Accepted.as_str().to_owned(),
        message: Some(lines.join("\n")),
    })
}

fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    let mut conditions = conditions.iter();
    conditions.find(|known| known.type_ == type_.as_str())
}

/// `Ready` of an Application that is being deleted and waits (row APP-020).
pub(crate) fn deleting(
    found: &ApplicationStatus,
    waiting: Option<String>,
    now: &Time,
) -> ApplicationStatus {
    let mut status = found.clone();
    status.status = Some(ApplicationPhase::Deleting.as_str().to_owned());
    let Some(message) = waiting else {
        return status;
    };
    let (ready, reason) = (ConditionType::Ready, ConditionReason::Deleting);
    put(&mut status.conditions, ready, reason, message, now);
    status
}

/// That turns do not come to their end: `Synced` and `Ready` say why, all else stays as it was told.
pub(crate) fn failing(found: &ApplicationStatus, problem: &str, now: &Time) -> ApplicationStatus {
    let mut status = found.clone();
    let begins = || ApplicationPhase::Starting.as_str().to_owned();
    status.status.get_or_insert_with(begins);
    for type_ in [ConditionType::Synced, ConditionType::Ready] {
        let reason = ConditionReason::ReconcileError;
        put(
            &mut status.conditions,
            type_,
            reason,
            problem.to_owned(),
            now,
        );
    }
    status
}

/// Puts a condition that is false in place of the one of its type.
fn put(
    conditions: &mut Vec<Condition>,
    type_: ConditionType,
    reason: ConditionReason,
    message: String,
    now: &Time,
) {
    let failed = condition(conditions, type_, reason, Some(message), now);
    conditions.retain(|other| other.type_ != type_.as_str());
    conditions.push(failed);
}

fn condition(
    found: &[Condition],
    type_: ConditionType,
    reason: ConditionReason,
    message: Option<String>,
    now: &Time,
) -> Condition {
    let status = if message.is_some() { "False" } else { "True" };
    let before = find(found, type_);
    let since = before.filter(|other| other.status == status);
    Condition {
        type_: type_.as_str().to_owned(),
        status: status.to_owned(),
        last_transition_time: since
            .map_or_else(|| now.clone(), |other| other.last_transition_time.clone()),
        reason: reason.as_str().to_owned(),
        message,
    }
}

/// The phase of an Application whose run stands so (row APP-019).
pub(crate) fn phase(run: RunPhase, healthy: bool) -> ApplicationPhase {
    match run {
        RunPhase::Initializing | RunPhase::Executing => ApplicationPhase::RunningWorkflow,
        RunPhase::Suspending => ApplicationPhase::WorkflowSuspending,
        RunPhase::Terminated => ApplicationPhase::WorkflowTerminated,
        RunPhase::Failed => ApplicationPhase::WorkflowFailed,
        RunPhase::Succeeded if healthy => ApplicationPhase::Running,
        RunPhase::Succeeded => ApplicationPhase::Unhealthy,
    }
}

/// An entry of the inventory as `status.appliedResources` shows it.
pub(crate) fn applied_resource(entry: &ManagedResource) -> AppliedResource {
    AppliedResource {
        cluster: entry.cluster.clone(),
        creator: Some(
            entry
                .creator
                .clone()
                .unwrap_or_else(|| "workflow".to_owned()),
        ),
        api_version: Some(entry.api_version.clone()),
        kind: Some(entry.kind.clone()),
        name: Some(entry.name.clone()),
        namespace: entry.namespace.clone(),
        ..AppliedResource::default()
    }
}

/// What failed in a run that goes on or is over: the message of the first failed step.
pub(crate) fn failure(workflow: &WorkflowStatus) -> Option<String> {
    let of = |name: &str, phase: Option<&str>, message: Option<&str>| {
        (phase == Some("failed")).then(|| format!("step {name}: {}", message.unwrap_or("failed")))
    };
    workflow.steps.iter().find_map(|step| {
        let inside = step
            .sub_steps
            .iter()
            .find_map(|sub| of(&sub.name, sub.phase.as_deref(), sub.message.as_deref()));
        inside.or_else(|| of(&step.name, step.phase.as_deref(), step.message.as_deref()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).expect("a time"))
    }

    fn report(stages: Vec<Stage>) -> Report {
        Report {
            generation: 1,
            stages,
            ..Report::default()
        }
    }

    #[test]
    fn a_failed_stage_makes_ready_false_with_the_same_message() {
        let stages = vec![Stage::failed(ConditionType::Parsed, "no such type")];
        let status = project(&ApplicationStatus::default(), report(stages), &at(1));
        let shown: Vec<_> = status
            .conditions
            .iter()
            .map(|c| {
                (
                    c.type_.as_str(),
                    c.status.as_str(),
                    c.reason.as_str(),
                    c.message.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("Parsed", "False", "ReconcileError", Some("no such type")),
                ("Ready", "False", "ReconcileError", Some("no such type")),
            ]
        );
    }

    #[test]
    fn times_move_only_with_the_status_and_later_stages_are_taken_away() {
        let all = [
            ConditionType::Parsed,
            ConditionType::Workflow,
            ConditionType::Ready,
        ];
        let first = project(
            &ApplicationStatus::default(),
            report(all.iter().copied().map(Stage::done).collect()),
            &at(1),
        );
        let second = project(
            &first,
            report(vec![Stage::done(ConditionType::Parsed)]),
            &at(2),
        );
        assert_eq!(second.conditions.len(), 1);
        assert_eq!(second.conditions[0].last_transition_time, at(1));
        let third = project(
            &second,
            report(vec![Stage::failed(ConditionType::Parsed, "x")]),
            &at(3),
        );
        assert_eq!(third.conditions[0].last_transition_time, at(3));
    }

    #[test]
    fn warnings_stand_until_they_are_looked_at_again() {
        let first = Report {
            warnings: Some(["x is not declared".to_owned()].into()),
            ..report(vec![Stage::done(ConditionType::Parsed)])
        };
        let first = project(&ApplicationStatus::default(), first, &at(1));
        let warned = find(&first.conditions, ConditionType::Warned).expect("a condition");
        assert_eq!(
            (warned.status.as_str(), warned.message.as_deref()),
            ("True", Some("x is not declared"))
        );
        let stages = || vec![Stage::done(ConditionType::Parsed)];
        let second = project(&first, report(stages()), &at(2));
        assert_eq!(second.conditions, first.conditions);
        let clean = Report {
            warnings: Some([].into()),
            ..report(stages())
        };
        let third = project(&second, clean, &at(3));
        assert_eq!(find(&third.conditions, ConditionType::Warned), None);
    }

    #[test]
    fn a_turn_that_fails_again_and_again_is_told_beside_what_was_told_before() {
        let stages = [ConditionType::Parsed, ConditionType::Ready].map(Stage::done);
        let told = project(&ApplicationStatus::default(), report(stages.into()), &at(1));
        let failing = failing(&told, "the hub answers with 500: full", &at(2));
        let shown = |status: &ApplicationStatus| -> Vec<String> {
            let conditions = status.conditions.iter();
            conditions
                .map(|one| format!("{}={}", one.type_, one.status))
                .collect()
        };
        assert_eq!(
            shown(&failing),
            ["Parsed=True", "Synced=False", "Ready=False"]
        );
        assert_eq!(failing.observed_generation, told.observed_generation);
        let stages = [ConditionType::Parsed, ConditionType::Ready].map(Stage::done);
        let mended = project(&failing, report(stages.into()), &at(3));
        assert_eq!(shown(&mended), ["Parsed=True", "Ready=True"]);
    }

    #[test]
    fn an_unchanged_report_gives_an_equal_status() {
        let stages = || {
            vec![
                Stage::done(ConditionType::Parsed),
                Stage::done(ConditionType::Ready),
            ]
        };
        let first = project(&ApplicationStatus::default(), report(stages()), &at(1));
        assert_eq!(project(&first, report(stages()), &at(2)), first);
    }
}
