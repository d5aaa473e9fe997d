//! Configurations: what their templates make of the properties (PRV-022, OPS-021).

use serde_json::json;

use super::error::{RenderError, RenderFailure};
use super::{Input, Progress, Render, calls};
use crate::engine::{
    Call, ConfigRequest, ConfigResult, Diagnostic, DiagnosticKind, EvalError, EvalStage, Evaluator,
    Operation, Outcome, Replay, Request, Template,
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

    fn eval(&mut self, results: Replay) -> Progress<ConfigResult> {
        self.request.replay.extend(results);
        Progress::Eval(Box::new(Request {
            id: 0,
            evaluator: self.evaluator,
            operation: Operation::Config(self.request.clone()),
        }))
    }

    fn plain(&self, failure: RenderFailure, message: String) -> Box<RenderError> {
        RenderError::plain(failure, &self.name, "", message)
    }

    fn evaluated(&self, error: EvalError) -> Box<RenderError> {
        let text = error.kubevela_text.clone();
        RenderError::evaluated(&self.name, None, String::new(), error, text)
    }
}

impl Render for ConfigRender {
    type Output = ConfigResult;

    fn next(&mut self, input: Input) -> Result<Progress<ConfigResult>, Box<RenderError>> {
        let outcome = match input {
            Input::Start => return Ok(self.eval(Replay::new())),
            Input::Results(results) => return Ok(self.eval(results)),
            Input::Reply(reply) => reply.outcome,
        };
        match outcome {
            Outcome::Need(calls) => {
                let rest = calls::carry_out(calls, &mut self.request.replay)
                    .map_err(|failed| self.call_failed(&failed.call, &failed.why))?;
                Ok(if rest.is_empty() {
                    self.eval(Replay::new())
                } else {
                    Progress::Do(rest)
                })
            }
            Outcome::Ok(body) => {
                serde_json::from_value(body)
                    .map(Progress::Done)
                    .map_err(|error| {
                        let why = format!("the engine's answer is malformed: {error}");
                        self.plain(RenderFailure::Protocol, why)
                    })
            }
            Outcome::Error(error) => Err(self.evaluated(error)),
            Outcome::Limit(fault) => Err(self.plain(RenderFailure::Limit, fault.message)),
            Outcome::BadRequest(fault) => Err(self.plain(RenderFailure::Protocol, fault.message)),
            Outcome::Panic(fault) => Err(self.plain(RenderFailure::Engine, fault.message)),
        }
    }

    fn call_failed(&self, call: &Call, why: &str) -> Box<RenderError> {
        let mut failed = self.evaluated(EvalError {
            stage: EvalStage::Export,
            definition: self.request.template.name.clone(),
            trait_index: None,
            noticed_by: None,
            errors: vec![Diagnostic {
                kind: DiagnosticKind::Other,
                path: call.path.clone(),
                message: format!("{}.{}: {why}", call.provider, call.action),
                ..Diagnostic::default()
            }],
            kubevela_text: format!(
                "failed to compile config template: function call error for {}: {why}",
                call.path
            ),
        });
        failed.failure = RenderFailure::Call;
        failed
    }
}
