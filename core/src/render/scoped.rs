//! Policies that work on the Application itself, before anything of it is parsed (POL-014 to POL-018).
//!
//! They take effect one after the other: the global ones first, then those that the Application names. What each makes of
//! the Application is what the next one sees.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::asks::{Asks, Uncalled, go_on, uncalled};
use super::error::{RenderError, RenderFailure};
use super::{Input, Progress, Render};
use crate::api::{
    AppPolicy, AppWorkflow, Application, ApplicationComponent, AppliedApplicationPolicy, labels,
};
use crate::appfile::Definition;
use crate::engine::{
    Call, EvalError, Evaluator, Operation, Package, PolicyOutput, PolicyRequest, PolicyResult,
    Replay, Request, Template,
};
use crate::path::of_decoder;

/// Prefixes of labels and annotations that such policies do not see (POL-018).
const INTERNAL: [&str; 7] = [
    "app.oam.dev/",
    "oam.dev/",
    "kubectl.kubernetes.io/",
    "kubernetes.io/",
    "k8s.io/",
    "helm.sh/",
    "app.kubernetes.io/",
];

/// A policy that works on the Application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopedPolicy {
    /// Its name; that of its definition where it is global.
    pub name: String,
    /// Name of its definition.
    pub type_: String,
    /// Namespace of its definition.
    pub namespace: String,
    /// CUE text of its definition.
    pub template: String,
    /// The evaluator that its definition asks for.
    pub evaluator: Option<Evaluator>,
    /// Its properties.
    pub properties: Option<Value>,
    /// It holds for all Applications of its namespace.
    pub is_global: bool,
    /// Name of the DefinitionRevision.
    pub revision_name: String,
    /// Its number.
    pub revision: i64,
    /// Its hash.
    pub revision_hash: String,
}

impl ScopedPolicy {
    /// The policy that a definition is where nobody names it.
    pub fn of(definition: &Definition) -> Self {
        Self {
            name: definition.name.clone(),
            type_: definition.name.clone(),
            namespace: definition.namespace.clone(),
            template: definition.template.clone(),
            evaluator: definition.evaluator,
            is_global: definition.global.is_some(),
            ..Self::default()
        }
    }

    fn source(&self) -> &'static str {
        if self.is_global { "global" } else { "explicit" }
    }
}

/// What policies made of an Application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scoped {
    /// The Application as it is delivered.
    pub application: Application,
    /// What they added to the labels.
    pub labels: BTreeMap<String, String>,
    /// What they added to the annotations.
    pub annotations: BTreeMap<String, String>,
    /// `context.custom` of everything that is rendered later.
    pub custom: Map<String, Value>,
    /// What each did, for the status.
    pub applied: Vec<AppliedApplicationPolicy>,
    /// What each gave, for people who look for the cause of something.
    pub outputs: Vec<Value>,
}

impl Scoped {
    /// Whether any of them changed the specification.
    pub fn modifies_spec(&self) -> bool {
        self.applied.iter().any(|one| one.spec_modified)
    }
}

/// Evaluates such policies one after the other.
#[derive(Clone, Debug)]
pub struct ScopedRender<'a> {
    policies: &'a [ScopedPolicy],
    packages: &'a [Package],
    evaluator: Evaluator,
    /// Name of the revision that the Application is at; empty where it has none.
    app_revision: String,
    at: usize,
    replay: Replay,
    made: Scoped,
}

impl<'a> ScopedRender<'a> {
    /// Of the policies that hold for an Application, in their order.
    pub fn new(
        application: &Application,
        policies: &'a [ScopedPolicy],
        packages: &'a [Package],
        evaluator: Evaluator,
    ) -> Self {
        let latest = application
            .status
            .as_ref()
            .and_then(|status| status.latest_revision.as_ref());
        Self {
            policies,
            packages,
            evaluator,
            app_revision: latest.map(|one| one.name.clone()).unwrap_or_default(),
            at: 0,
            replay: Replay::new(),
            made: Scoped {
                application: application.clone(),
                ..Scoped::default()
            },
        }
    }

    /// `context` of the policy (rows REN-105, POL-018).
    fn context(&self, policy: &ScopedPolicy) -> Map<String, Value> {
        let application = &self.made.application;
        let metadata = &application.metadata;
        let fields = json!({
            "appName": metadata.name,
            "namespace": metadata.namespace,
            "appRevision": self.app_revision,
            "appLabels": visible(metadata.labels.as_ref()),
            "appAnnotations": visible(metadata.annotations.as_ref()),
            "appComponents": application.spec.components,
            "appWorkflow": application.spec.workflow,
            "appPolicies": application.spec.policies,
            "policyName": policy.name,
            "policyType": policy.type_,
            "policyRevisionName": policy.revision_name,
            "policyRevision": policy.revision,
            "policyRevisionHash": policy.revision_hash,
        });
        let mut context = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        if !self.made.custom.is_empty() {
            let custom = Value::Object(self.made.custom.clone());
            context.insert("custom".to_owned(), custom);
        }
        context
    }

    /// Makes of the Application what a policy says.
    fn apply(&mut self, result: PolicyResult) -> Result<(), Box<RenderError>> {
        let Some(policy) = self.policies.get(self.at) else {
            return Ok(());
        };
        let mut record = AppliedApplicationPolicy {
            name: policy.name.clone(),
            type_: Some(policy.type_.clone()),
            namespace: policy.namespace.clone(),
            source: Some(policy.source().to_owned()),
            definition_revision_name: Some(policy.revision_name.clone())
                .filter(|name| !name.is_empty()),
            revision: policy.revision,
            revision_hash: Some(policy.revision_hash.clone()).filter(|hash| !hash.is_empty()),
            ..AppliedApplicationPolicy::default()
        };
        let mut shown = json!({
            "name": policy.name,
            "namespace": policy.namespace,
            "enabled": result.enabled,
            "output": result.output,
        });
        if !policy.revision_name.is_empty() {
            shown["definitionRevisionName"] = policy.revision_name.as_str().into();
            shown["revision"] = policy.revision.into();
            shown["revisionHash"] = policy.revision_hash.as_str().into();
        }
        self.made.outputs.push(shown);
        if !result.enabled {
            record.message = Some("the policy is not enabled".to_owned());
            self.made.applied.push(record);
            return Ok(());
        }
        let PolicyOutput {
            components,
            workflow,
            policies,
            labels,
            annotations,
            ctx,
        } = result.output;
        let count = |entries: usize| i64::try_from(entries).unwrap_or(i64::MAX);
        record.applied = true;
        record.labels_count = count(labels.len());
        record.annotations_count = count(annotations.len());
        record.has_context = !ctx.is_empty();
        let before = self.made.application.spec.clone();
        if let Some(components) = components {
            self.made.application.spec.components =
                self.read::<Vec<ApplicationComponent>>("components", components.into())?;
        }
        if let Some(workflow) = workflow {
            let workflow: AppWorkflow = self.read("workflow", workflow)?;
            self.made.application.spec.workflow = Some(workflow);
        }
        if let Some(policies) = policies {
            self.made.application.spec.policies =
                self.read::<Vec<AppPolicy>>("policies", policies.into())?;
        }
        record.spec_modified = self.made.application.spec != before;
        self.check_metadata(&labels, &annotations)?;
        let metadata = &mut self.made.application.metadata;
        for (added, field) in [
            (&labels, &mut metadata.labels),
            (&annotations, &mut metadata.annotations),
        ] {
            if !added.is_empty() {
                let all = field.get_or_insert_default();
                all.extend(
                    added
                        .iter()
                        .map(|(key, value)| (key.clone(), value.clone())),
                );
            }
        }
        self.made.labels.extend(labels);
        self.made.annotations.extend(annotations);
        merge(&mut self.made.custom, ctx);
        self.made.applied.push(record);
        Ok(())
    }

    /// What no API server takes would stop every revision of the Application.
    fn check_metadata(
        &self,
        added: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(), Box<RenderError>> {
        let wrong = |what: String| Err(self.plain(RenderFailure::Result, what));
        for (field, key) in added
            .keys()
            .map(|key| ("labels", key))
            .chain(annotations.keys().map(|key| ("annotations", key)))
        {
            if !labels::is_key(key) {
                return wrong(format!("output.{field}: {key:?} cannot be the key of one"));
            }
        }
        for (key, value) in added {
            if !labels::is_value(value) {
                return wrong(format!(
                    "output.labels.{key}: {value:?} cannot be the value of a label (at most 63 letters, digits, `-`, `_` \
                     and `.`, a letter or digit first and last)"
                ));
            }
        }
        Ok(())
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        field: &str,
        value: Value,
    ) -> Result<T, Box<RenderError>> {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = of_decoder(&format!("output.{field}"), error.path());
            let why = format!("{path}: {}", error.inner());
            self.plain(RenderFailure::Result, why)
        })
    }

    fn path(&self) -> String {
        match self.policies.get(self.at) {
            Some(policy) if policy.is_global => {
                format!("PolicyDefinition {}/{}", policy.namespace, policy.name)
            }
            Some(policy) => format!("spec.policies[{}]", policy.name),
            None => "spec.policies".to_owned(),
        }
    }

    /// In KubeVela's words, which stand before those of the evaluation.
    fn told(&self, text: &str) -> String {
        match self.policies.get(self.at) {
            Some(policy) => format!(
                "failed to render {} policy {:?}: {text}",
                policy.source(),
                policy.name
            ),
            None => text.to_owned(),
        }
    }

    fn name(&self) -> &str {
        self.policies
            .get(self.at)
            .map_or("", |policy| policy.name.as_str())
    }
}

impl Asks for ScopedRender<'_> {
    type Answer = PolicyResult;

    fn ask(&self) -> Progress<Scoped> {
        let Some(policy) = self.policies.get(self.at) else {
            return Progress::Done(self.made.clone());
        };
        let operation = Operation::Policy(PolicyRequest {
            template: Template {
                name: policy.type_.clone(),
                source: policy.template.clone(),
                parameters: policy.properties.clone().unwrap_or_default(),
            },
            context: self.context(policy),
            packages: self.packages.to_vec(),
            replay: self.replay.clone(),
        });
        Progress::Eval(Box::new(Request {
            id: 0,
            evaluator: policy.evaluator.unwrap_or(self.evaluator),
            operation,
        }))
    }

    fn replay(&mut self) -> &mut Replay {
        &mut self.replay
    }

    fn take(&mut self, result: PolicyResult) -> Result<Progress<Scoped>, Box<RenderError>> {
        self.apply(result)?;
        self.at += 1;
        self.replay.clear();
        Ok(self.ask())
    }

    fn evaluated(&self, error: EvalError) -> Box<RenderError> {
        let text = self.told(&error.kubevela_text);
        RenderError::evaluated(self.name(), None, self.path(), error, text)
    }

    fn plain(&self, failure: RenderFailure, message: String) -> Box<RenderError> {
        let mut error = RenderError::plain(failure, self.name(), &self.path(), message);
        error.kubevela_text = self.told(&error.kubevela_text);
        error
    }
}

impl Render for ScopedRender<'_> {
    type Output = Scoped;

    fn next(&mut self, input: Input) -> Result<Progress<Scoped>, Box<RenderError>> {
        go_on(self, input)
    }

    fn call_failed(&self, call: &Call, why: &str) -> Box<RenderError> {
        let told = Uncalled {
            definition: self.name(),
            trait_index: None,
            why,
            kubevela_text: format!(
                "failed to render CUE template: failed to compile CUE template: function call error for {}: {why}",
                call.path
            ),
        };
        uncalled(self, call, told)
    }
}

/// Labels or annotations without those of the platform itself.
fn visible(all: Option<&BTreeMap<String, String>>) -> BTreeMap<&String, &String> {
    all.into_iter()
        .flatten()
        .filter(|(key, _)| !INTERNAL.iter().any(|prefix| key.starts_with(prefix)))
        .collect()
}

/// Lays values over others, object by object.
fn merge(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Outcome, Reply};

    fn application() -> Application {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "prod",
                "labels": {"team": "a", "app.oam.dev/x": "internal"}},
            "spec": {"components": [{"name": "a", "type": "webservice"}]},
        }))
        .unwrap()
    }

    fn policy(name: &str) -> ScopedPolicy {
        ScopedPolicy {
            name: name.to_owned(),
            type_: name.to_owned(),
            ..ScopedPolicy::default()
        }
    }

    type Ran = Result<Scoped, Box<RenderError>>;
    type Contexts = Vec<Map<String, Value>>;

    /// Answers each policy with the next result; gives the contexts that they saw.
    fn run(policies: &[ScopedPolicy], results: Vec<Outcome>) -> (Ran, Contexts) {
        let mut render = ScopedRender::new(&application(), policies, &[], Evaluator::V2);
        let mut contexts = Vec::new();
        let mut input = Input::Start;
        let mut results = results.into_iter();
        loop {
            match render.next(input) {
                Err(error) => return (Err(error), contexts),
                Ok(Progress::Done(done)) => return (Ok(done), contexts),
                Ok(Progress::Do(calls)) => panic!("{calls:?}"),
                Ok(Progress::Eval(request)) => {
                    let Operation::Policy(asked) = request.operation else {
                        panic!("another operation");
                    };
                    contexts.push(asked.context);
                    let outcome = results.next().expect("an answer for each policy");
                    input = Input::Reply(Reply { id: 0, outcome });
                }
            }
        }
    }

    #[test]
    fn each_policy_sees_what_the_one_before_made() {
        let first = json!({"enabled": true, "output": {
            "components": [{"name": "b", "type": "worker"}],
            "labels": {"team": "b"}, "ctx": {"k": {"x": 1}}}});
        let off = json!({"enabled": false});
        let last = json!({"enabled": true, "output": {"ctx": {"k": {"y": 2}}}});
        let policies = [policy("one"), policy("off"), policy("two")];
        let results = [first, off, last].map(Outcome::Ok).into();
        let (made, contexts) = run(&policies, results);
        let made = made.unwrap();
        assert_eq!(made.application.spec.components[0].name, "b");
        assert_eq!(made.labels, [("team".to_owned(), "b".to_owned())].into());
        assert_eq!(Value::Object(made.custom), json!({"k": {"x": 1, "y": 2}}));
        let applied: Vec<_> = made
            .applied
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.applied,
                    one.spec_modified,
                    one.has_context,
                )
            })
            .collect();
        assert_eq!(
            applied,
            [
                ("one", true, true, true),
                ("off", false, false, false),
                ("two", true, false, true)
            ]
        );
        // Labels of the platform are not for policies.
        assert_eq!(contexts[0]["appLabels"], json!({"team": "a"}));
        assert_eq!(contexts[2]["appLabels"], json!({"team": "b"}));
        assert_eq!(contexts[2]["custom"], json!({"k": {"x": 1}}));
        assert_eq!(contexts[2]["appComponents"][0]["name"], "b");
    }

    #[test]
    fn a_component_of_a_wrong_shape_is_told_with_its_place() {
        let wrong = json!({"enabled": true, "output": {"components": [{"name": 5}]}});
        let (made, _) = run(&[policy("one")], vec![Outcome::Ok(wrong)]);
        let error = made.unwrap_err();
        assert_eq!(error.path, "spec.policies[one]");
        assert!(
            error.message.starts_with("output.components[0].name: "),
            "{}",
            error.message
        );
        assert!(
            error
                .kubevela_text
                .starts_with("failed to render explicit policy \"one\": ")
        );
    }
}
