//! Policies of scope `Application` (rows POL-014 to POL-018), tried on an Application.

use serde_json::{Value, json};

use super::unknown::unknown_fields;
use crate::api::{AppWorkflow, Application, LatestRevision, WorkflowStep};
use crate::appfile::{Definition, Finding, FindingKind};
use crate::engine::{Diagnostic, DiagnosticKind, Evaluator};
use crate::render::{Scoped, ScopedPolicy, ScopedRender};

/// A policy, and the Application that it is tried on.
#[derive(Clone, Debug)]
pub struct PolicyTrial {
    application: Application,
    policies: [ScopedPolicy; 1],
}

impl PolicyTrial {
    /// With properties. Everything that such a policy can read of its context has a value: the Application has a workflow
    /// and counts as delivered once, and the definition as recorded.
    pub fn new(definition: &Definition, mut application: Application, properties: Value) -> Self {
        let name = application.metadata.name.as_deref().unwrap_or_default();
        let latest = LatestRevision {
            name: format!("{name}-v1"),
            revision: 1,
            ..LatestRevision::default()
        };
        let status = application.status.get_or_insert_default();
        status.latest_revision.get_or_insert(latest);
        application.spec.workflow.get_or_insert_with(deploying);
        let mut policies = application.spec.policies.iter();
        let named = policies.find(|policy| policy.type_ == definition.name);
        let mut policy = ScopedPolicy {
            properties: Some(properties),
            revision_name: format!("{}-v1", definition.name),
            revision: 1,
            revision_hash: "0000000000000000".to_owned(),
            ..ScopedPolicy::of(definition)
        };
        if let Some(named) = named {
            policy.name.clone_from(&named.name);
        }
        Self {
            policies: [policy],
            application,
        }
    }

    /// The evaluation.
    pub fn render(&self, evaluator: Evaluator) -> ScopedRender<'_> {
        ScopedRender::new(&self.application, &self.policies, &[], evaluator)
    }

    /// What the policy gives the Application; an empty object where it is not enabled.
    pub fn output(made: &Scoped) -> Value {
        let shown = made.outputs.first().map(|shown| shown["output"].clone());
        shown.unwrap_or_default()
    }
}

/// What an Application does that says nothing about it.
fn deploying() -> AppWorkflow {
    let step = WorkflowStep {
        name: "deploy".to_owned(),
        type_: "deploy".to_owned(),
        ..WorkflowStep::default()
    };
    AppWorkflow {
        steps: vec![step],
        ..AppWorkflow::default()
    }
}

/// What a policy gives an Application although no Application has it: it would be dropped. Paths begin with `output`.
pub fn unknown_output(output: &Value) -> Vec<Finding> {
    let part = |name: &str| output.get(name).filter(|part| !part.is_null());
    let parts = ["components", "workflow", "policies"];
    let spec: Value = parts
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), part(name)?.clone())))
        .collect();
    let application = json!({
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "spec": spec,
    });
    let found = unknown_fields(&application).into_iter();
    let of_output = |finding: Finding| {
        let path = finding.path.replacen("spec", "output", 1);
        let message = format!("no Application has `{path}`: it has no effect");
        Finding::new(FindingKind::Unserved, path, message).hint(finding.hint)
    };
    found.map(of_output).collect()
}

/// Whether a mistake that a trial shows is its author's, whatever parameters and Application are: what is missing, and what is
/// wrong with parameters, the samples may be to blame for.
pub fn is_of_author(found: &Diagnostic) -> bool {
    let is_certain = matches!(
        found.kind,
        DiagnosticKind::Reference | DiagnosticKind::Conflict | DiagnosticKind::Unknown
    );
    is_certain && !found.path.starts_with("parameter")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Operation;
    use crate::render::{Input, Progress, Render as _};

    #[test]
    fn a_policy_can_read_everything_that_there_is() {
        let application = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "prod", "labels": {"team": "a", "app.oam.dev/x": "1"}},
            "spec": {
                "components": [{"name": "web", "type": "webservice"}],
                "policies": [{"name": "mine", "type": "mutate"}],
            },
        }))
        .unwrap();
        let definition = Definition {
            name: "mutate".to_owned(),
            scope: "Application".to_owned(),
            ..Definition::default()
        };
        let trial = PolicyTrial::new(&definition, application, json!({"tag": 1}));
        let Ok(Progress::Eval(request)) = trial.render(Evaluator::V2).next(Input::Start) else {
            panic!("an evaluation is wanted");
        };
        let Operation::Policy(asked) = request.operation else {
            panic!("another operation");
        };
        assert_eq!(asked.template.parameters, json!({"tag": 1}));
        assert_eq!(
            Value::Object(asked.context),
            json!({
                "appName": "shop", "namespace": "prod", "appRevision": "shop-v1",
                "appLabels": {"team": "a"}, "appAnnotations": {},
                "appComponents": [{"name": "web", "type": "webservice"}],
                "appWorkflow": {"steps": [{"name": "deploy", "type": "deploy"}]},
                "appPolicies": [{"name": "mine", "type": "mutate"}],
                "policyName": "mine", "policyType": "mutate",
                "policyRevisionName": "mutate-v1", "policyRevision": 1, "policyRevisionHash": "0000000000000000",
            })
        );
    }

    #[test]
    fn what_no_application_has_is_found_in_the_output() {
        let output = json!({
            "components": [{"name": "a", "type": "b", "trait": [], "properties": {"any": 1}}],
            "workflow": {"step": []}, "policies": null,
            "labels": {"any": "thing"}, "ctx": {"any": "thing"},
        });
        let told: Vec<_> = unknown_output(&output)
            .into_iter()
            .map(|one| (one.path, one.hint))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "output.components[0].trait".to_owned(),
                    "did you mean `traits`?".to_owned()
                ),
                (
                    "output.workflow.step".to_owned(),
                    "did you mean `steps`?".to_owned()
                ),
            ]
        );
        assert_eq!(unknown_output(&json!({})), []);
    }
}
