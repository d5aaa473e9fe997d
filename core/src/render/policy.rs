//! Policies that render objects (POL-013, REN-104).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::asks::{Asks, Uncalled, go_on, uncalled};
use super::contract::label_policy_object;
use super::error::{self, RenderError, RenderFailure};
use super::{Input, Progress, Render, RenderedComponent, RenderedObject, Role, Target, context};
use crate::api::labels;
use crate::appfile::{Appfile, Policy, PolicyRule};
use crate::engine::{
    Call, EvalError, Evaluator, Operation, RenderRequest, RenderResult, Replay, Request, Template,
};

/// Renders the objects of one policy.
#[derive(Clone, Debug)]
pub struct PolicyRender<'a> {
    appfile: &'a Appfile,
    policy: &'a Policy,
    request: RenderRequest,
    target: Target,
    evaluator: Evaluator,
}

impl Asks for PolicyRender<'_> {
    type Answer = RenderResult;

    fn ask(&self) -> Progress<Self::Output> {
        let operation = Operation::Render(self.request.clone());
        Progress::Eval(Box::new(Request {
            id: 0,
            evaluator: self.evaluator,
            operation,
        }))
    }

    fn replay(&mut self) -> &mut Replay {
        &mut self.request.replay
    }

    fn take(&mut self, result: RenderResult) -> Result<Progress<Self::Output>, Box<RenderError>> {
        Ok(Progress::Done(self.finish(result)))
    }

    fn evaluated(&self, error: EvalError) -> Box<RenderError> {
        RenderError::of_policy(self.appfile, &self.policy.name, &self.path(), error)
    }

    fn plain(&self, failure: RenderFailure, message: String) -> Box<RenderError> {
        RenderError::plain(failure, &self.policy.name, &self.path(), message)
    }
}

impl Render for PolicyRender<'_> {
    type Output = Vec<RenderedObject>;

    fn next(&mut self, input: Input) -> Result<Progress<Self::Output>, Box<RenderError>> {
        go_on(self, input)
    }

    fn call_failed(&self, call: &Call, why: &str) -> Box<RenderError> {
        let name = &self.policy.name;
        let told = Uncalled {
            definition: name,
            trait_index: None,
            why,
            kubevela_text: error::text_of_call("workload", name, call, why),
        };
        uncalled(self, call, told)
    }
}

impl<'a> PolicyRender<'a> {
    /// A render of a policy; `None` if it renders no objects. The components are those that were
    /// rendered before: the policy sees them as `context.artifacts`.
    pub fn new(
        appfile: &'a Appfile,
        policy: &'a Policy,
        components: &[RenderedComponent],
        target: Target,
        evaluator: Evaluator,
    ) -> Option<Self> {
        let PolicyRule::Custom(resolved) = &policy.rule else {
            return None;
        };
        if !resolved.definition.scope.is_empty() {
            return None;
        }
        let template = &resolved.definition.template;
        let artifacts = artifacts(components);
        let request = RenderRequest {
            component: Some(Template {
                name: resolved.definition.name.clone(),
                source: template.clone(),
                parameters: policy.properties.clone().unwrap_or_default(),
            }),
            context: context::of_policy(appfile, &policy.name, &target, artifacts, template),
            ..RenderRequest::default()
        };
        Some(Self {
            appfile,
            policy,
            request,
            target,
            evaluator: resolved.definition.evaluator.unwrap_or(evaluator),
        })
    }

    fn path(&self) -> String {
        format!("spec.policies[{}]", self.policy.name)
    }

    fn finish(&self, result: RenderResult) -> Vec<RenderedObject> {
        let first = (String::new(), result.output);
        let others = result
            .outputs
            .into_iter()
            .map(|output| (output.name, output.object));
        let revision = self.target.revision_or(&self.appfile.revision);
        [first]
            .into_iter()
            .chain(others)
            .map(|(output_name, mut object)| {
                label_policy_object(&mut object, self.appfile, &self.policy.name, revision);
                RenderedObject {
                    output_name,
                    ..RenderedObject::new(object, Role::Policy)
                }
            })
            .collect()
    }
}

/// What policies see of rendered components: `<component>.workload`, and
/// `<component>.traits.<trait type>.<output>`.
pub fn artifacts(components: &[RenderedComponent]) -> Value {
    let mut all = Map::new();
    for component in components {
        let mut traits: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        let mut fields = Map::new();
        for rendered in &component.objects {
            if rendered.role == Role::Workload {
                fields.insert("workload".to_owned(), rendered.object.clone());
                continue;
            }
            let type_ = rendered
                .trait_type
                .as_deref()
                .unwrap_or(labels::AUXILIARY_WORKLOAD);
            let of_type = traits.entry(type_).or_default();
            of_type.insert(rendered.output_name.clone(), rendered.object.clone());
        }
        if !traits.is_empty() {
            let traits = traits
                .into_iter()
                .map(|(type_, of)| (type_.to_owned(), of.into()));
            fields.insert("traits".to_owned(), Value::Object(traits.collect()));
        }
        all.insert(component.name.clone(), Value::Object(fields));
    }
    Value::Object(all)
}
