//! Applications: the check of `caravel_core`, with the hub's definitions and its engine.

use std::time::Duration;

use caravel_apiserver::admission::AdmissionAttributes;
use caravel_core::api::Application;
use caravel_core::appfile::{Finding, FindingKind, named, read_application};
use caravel_core::check::{Check, Trial};
use caravel_core::engine::{Fault, Outcome, Reply};
use caravel_core::render::{
    ClusterVersion, Input, Progress, RenderError, RenderedComponent, Target,
};
use futures::future::join_all;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{OamAdmission, permission};
use crate::application::{LiveSource, component_revision};
use crate::evaluation::Evaluation;

/// How long a check may take: webhooks have ten seconds, and whoever writes waits for the answer.
const PATIENCE: Duration = Duration::from_secs(8);
const LATE: &str = "the engine had no time for it, because other templates do not end";

/// Judges an Application, and names the steps that have no name (CRD-040).
pub(crate) async fn admit(
    admission: &OamAdmission,
    attributes: &mut AdmissionAttributes<'_>,
) -> Vec<Finding> {
    name_steps(attributes.object);
    // The kind's schema is checked after this, and says better what is wrong with a shape.
    let Ok(mut application) = read_application(attributes.object) else {
        return Vec::new();
    };
    application.metadata.namespace = Some(attributes.namespace.to_owned());
    let gathered = LiveSource::gather(&admission.client, &admission.library, &application).await;
    let source = match gathered {
        Ok(source) => source,
        Err(error) => {
            let message = format!("the Application could not be checked: {error}");
            return vec![Finding::new(FindingKind::Unchecked, "spec", message)];
        }
    };
    let before = read_application(attributes.old).ok();
    let check = Check::of_update(&application, before.as_ref(), &source);
    let version = &admission.cluster_version;
    let mut findings = judged(&admission.evaluation, version, &application, check).await;
    if admission.definition_permissions {
        let (namespace, user) = (attributes.namespace, attributes.user);
        findings.extend(permission::findings(admission, &application, namespace, user).await);
    }
    findings
}

/// Takes a check to its end, with the engine's answers.
pub(crate) async fn judged(
    evaluation: &Evaluation,
    cluster_version: &ClusterVersion,
    application: &Application,
    mut check: Check,
) -> Vec<Finding> {
    let namespace = application.namespace().unwrap_or_default();
    let questions = check.questions();
    let deadline = Instant::now() + PATIENCE;
    let outcomes = join_all(questions.iter().map(async |question| {
        let asked = evaluation.outcome(&namespace, question.operation.clone(), question.evaluator);
        let outcome = timeout_at(deadline, asked).await;
        outcome.unwrap_or_else(|_| {
            Outcome::Limit(Fault {
                message: LATE.to_owned(),
            })
        })
    }))
    .await;
    for (question, outcome) in questions.iter().zip(outcomes) {
        check.answer(question, outcome);
    }
    let trials = check.trials();
    let outcomes = join_all(trials.iter().map(|one| {
        let target = Target {
            cluster_version: cluster_version.clone(),
            revision: next_revision(application),
            component_revision: component_revision(one.component()),
            dispatch: true,
            ..Target::default()
        };
        timeout_at(deadline, attempt(evaluation, &namespace, one, target))
    }))
    .await;
    let mut late = Vec::new();
    for (trial, outcome) in trials.iter().zip(outcomes) {
        let Ok(outcome) = outcome else {
            let component = trial.component();
            late.push(
                Finding::new(
                    FindingKind::Unchecked,
                    &component.path,
                    format!("the component could not be rendered for a trial: {LATE}"),
                )
                .about(format!("component {}", component.spec.name)),
            );
            continue;
        };
        match outcome {
            Tried::Done(rendered) => check.tried(trial, Ok(&rendered)),
            Tried::Failed(error) => check.tried(trial, Err(&error)),
            Tried::Stopped => {}
        }
    }
    let mut findings = check.findings();
    findings.extend(late);
    findings
}

/// The revision that a delivery of the Application most probably makes. That it is the right one matters only for
/// speed: what is rendered for a trial is remembered, and not rendered again.
fn next_revision(application: &Application) -> String {
    let status = application.status.as_ref();
    let latest = status.and_then(|status| status.latest_revision.as_ref());
    let number = latest.map_or(0, |latest| latest.revision) + 1;
    format!("{}-v{number}", application.name_any())
}

/// What came of a trial.
enum Tried {
    Done(RenderedComponent),
    Failed(Box<RenderError>),
    /// It wants a call carried out: nothing is known after that.
    Stopped,
}

/// Renders a component for a trial.
async fn attempt(evaluation: &Evaluation, namespace: &str, trial: &Trial, target: Target) -> Tried {
    let mut render = trial.render(target, evaluation.evaluator());
    let mut input = Input::Start;
    loop {
        match render.next(input) {
            Ok(Progress::Done(rendered)) => return Tried::Done(rendered),
            Ok(Progress::Do(_)) => return Tried::Stopped,
            Ok(Progress::Eval(request)) => {
                let evaluator = Some(request.evaluator);
                let outcome = evaluation
                    .outcome(namespace, request.operation, evaluator)
                    .await;
                input = Input::Reply(Reply {
                    id: request.id,
                    outcome,
                });
            }
            Err(error) => return Tried::Failed(error),
        }
    }
}

/// Writes generated names into the steps, so that everybody sees the same ones.
fn name_steps(object: &mut Value) {
    let Some(steps) = object.pointer_mut("/spec/workflow/steps") else {
        return;
    };
    let Ok(typed) = serde_json::from_value(steps.clone()) else {
        return;
    };
    let typed: Vec<caravel_core::api::WorkflowStep> = named(typed);
    for (step, named) in steps.as_array_mut().into_iter().flatten().zip(typed) {
        set_name(step, &named.name);
        // Indexing with `[]` would write a null where there is nothing.
        let sub_steps = step
            .get_mut("subSteps")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten();
        for (sub_step, named) in sub_steps.zip(named.sub_steps) {
            set_name(sub_step, &named.name);
        }
    }
}

fn set_name(step: &mut Value, name: &str) {
    if step["name"].as_str().is_none_or(str::is_empty) {
        step["name"] = json!(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unnamed_steps_get_the_names_that_everybody_sees() {
        let mut object = json!({"spec": {"workflow": {"steps": [
            {"type": "suspend"},
            {"name": "group", "type": "step-group", "subSteps": [{"type": "request"}]},
        ]}}});
        name_steps(&mut object);
        let steps = &object["spec"]["workflow"]["steps"];
        assert_eq!(steps[0], json!({"type": "suspend", "name": "step-0"}));
        assert_eq!(steps[1]["name"], "group");
        assert_eq!(steps[1]["subSteps"][0]["name"], "step-1-0");
    }
}
