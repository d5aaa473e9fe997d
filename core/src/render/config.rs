//! Configurations: what their templates make of the properties (PRV-022, OPS-021).

use serde_json::json;

use super::asks::{Asks, Uncalled, go_on, uncalled};
use super::error::{RenderError, RenderFailure};
use super::{Input, Progress, Render};
use crate::engine::{
    Call, ConfigRequest, ConfigResult, EvalError, Evaluator, Operation, Replay, Request, Template,
};

/// Evaluates the template of one configuration.
#[derive(Clone, Debug)]
pub struct ConfigRender {
    name: String,
    evaluator: Evaluator,
    request: ConfigRequest,
}

impl ConfigRender {
    /// A configuration `name` of a namespace, made with a template. The template's parameters are the properties.
    pub fn new(name: &str, namespace: &str, template: Template, evaluator: Evaluator) -> Self {
        let context = [("name", name), ("namespace", namespace)];
        let context = context.map(|(key, value)| (key.to_owned(), json!(value)));
        Self {
            name: name.to_owned(),
            evaluator,
            request: ConfigRequest {
                template,
                context: context.into_iter().collect(),
                ..ConfigRequest::default()
            },
        }
    }
}

impl Asks for ConfigRender {
    type Answer = ConfigResult;

    fn ask(&self) -> Progress<ConfigResult> {
        Progress::Eval(Box::new(Request {
            id: 0,
            evaluator: self.evaluator,
            operation: Operation::Config(self.request.clone()),
        }))
    }

    fn replay(&mut self) -> &mut Replay {
        &mut self.request.replay
    }

    fn take(&mut self, made: ConfigResult) -> Result<Progress<ConfigResult>, Box<RenderError>> {
        Ok(Progress::Done(made))
    }

    fn evaluated(&self, error: EvalError) -> Box<RenderError> {
        let text = error.kubevela_text.clone();
        RenderError::evaluated(&self.name, None, String::new(), error, text)
    }

    fn plain(&self, failure: RenderFailure, message: String) -> Box<RenderError> {
        RenderError::plain(failure, &self.name, "", message)
    }
}

impl Render for ConfigRender {
    type Output = ConfigResult;

    fn next(&mut self, input: Input) -> Result<Progress<ConfigResult>, Box<RenderError>> {
        go_on(self, input)
    }

    fn call_failed(&self, call: &Call, why: &str) -> Box<RenderError> {
        let told = Uncalled {
            definition: &self.request.template.name,
            trait_index: None,
            why,
            kubevela_text: format!(
                "failed to compile config template: function call error for {}: {why}",
                call.path
            ),
        };
        uncalled(self, call, told)
    }
}
