//! Applications: the check of `caravel_core`, with the hub's definitions and its engine.

use std::time::Duration;

use caravel_apiserver::admission::AdmissionAttributes;
use caravel_core::api::Application;
use caravel_core::appfile::{Finding, FindingKind, named, read_application};
use caravel_core::check::Check;
use caravel_core::render::{ClusterVersion, Target};
use futures::future::join_all;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::attempt::{LATE, Tried, attempt, in_time};
use super::{OamAdmission, permission};
use crate::application::{LiveSource, component_revision};
use crate::evaluation::Evaluation;

/// How long a check may take: webhooks have ten seconds, and whoever writes waits for the answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

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
    let evaluation = &admission.evaluation;
    let mut findings = judged(evaluation, version, &application, check, PATIENCE).await;
    if admission.definition_permissions {
        let user = attributes.user;
        findings.extend(permission::findings(admission, &application, &source, user).await);
    }
    findings
}

/// Takes a check to its end, with the engine's answers. What it has no time for within `patience` it tells.
pub(crate) async fn judged(
    evaluation: &Evaluation,
    cluster_version: &ClusterVersion,
    application: &Application,
    mut check: Check,
    patience: Duration,
) -> Vec<Finding> {
    let namespace = application.namespace().unwrap_or_default();
    let questions = check.questions();
    let deadline = Instant::now() + patience;
    let outcomes = join_all(questions.iter().map(async |question| {
        let asked = evaluation.outcome(&namespace, question.operation.clone(), question.evaluator);
        in_time(deadline, asked).await
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
        let render = one.render(target, evaluation.evaluator());
        timeout_at(deadline, attempt(evaluation, &namespace, render))
    }))
    .await;
    let mut late = Vec::new();
    for (trial, outcome) in trials.iter().zip(outcomes) {
        let Ok(outcome) = outcome else {
            let component = trial.component();
            late.push(
                Finding::new(
                    FindingKind::Unchecked,
                    component.path(),
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
    use std::sync::Arc;

    use async_trait::async_trait;
    use caravel_core::appfile::{Definition, DefinitionSet};
    use caravel_core::engine::{Evaluator, Operation};
    use caravel_engines::{Answer, Engine, EngineError, Job};

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

    /// Never answers where a text says `slow`.
    struct Slow;

    #[async_trait]
    impl Engine for Slow {
        async fn call(&self, job: Job) -> Result<Answer, EngineError> {
            let (text, answer) = match job.operation {
                Operation::Validate(asked) => (asked.template.source, json!({})),
                Operation::Expression(asked) => (asked.expression, json!(true)),
                Operation::Render(asked) => {
                    let object = json!({"apiVersion": "v1", "kind": "ConfigMap"});
                    let text = asked.component.unwrap().source.replace("rendered", "slow");
                    (text, json!({"output": object}))
                }
                other => panic!("{other:?}"),
            };
            if text.contains("slow") {
                std::future::pending::<()>().await;
            }
            Ok(Answer::Done(answer))
        }
    }

    #[tokio::test]
    async fn what_there_is_no_time_for_is_told_in_time() {
        let mut definitions = DefinitionSet::default();
        for name in ["quick", "slow", "rendered"] {
            definitions.insert(Arc::new(Definition {
                name: name.to_owned(),
                template: format!("// {name}"),
                ..Definition::default()
            }));
        }
        let component = |name: &str| json!({"name": name, "type": name, "properties": {"a": 1}});
        let application: Application = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "default"},
            "spec": {
                "components": (["quick", "slow", "rendered"].map(component)),
                "workflow": {"steps": [{"name": "a", "type": "suspend", "if": "status.slow"}]},
            },
        }))
        .unwrap();
        let evaluation = Evaluation::new(Arc::new(Slow), Evaluator::V2);
        let check = Check::new(&application, &definitions);
        let version = ClusterVersion::default();
        let began = Instant::now();
        let patience = Duration::from_millis(50);
        let findings = judged(&evaluation, &version, &application, check, patience).await;
        assert!(began.elapsed() < Duration::from_secs(4));
        let told: Vec<_> = findings
            .iter()
            .filter(|one| one.message.ends_with(LATE))
            .map(|one| (one.kind, one.path.as_str()))
            .collect();
        let unchecked = FindingKind::Unchecked;
        assert_eq!(
            told,
            [
                (unchecked, "spec.components[1].properties"),
                (unchecked, "spec.workflow.steps[0].if"),
                (unchecked, "spec.components[2]"),
            ],
            "{findings:?}"
        );
    }
}
