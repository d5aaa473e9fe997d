//! A render's conversation with the engine: it asks, carries out the calls that it can, and asks again with their results.

use serde::de::DeserializeOwned;

use super::error::{RenderError, RenderFailure};
use super::{Input, Progress, Render, calls};
use crate::engine::{
    Call, Diagnostic, DiagnosticKind, EvalError, EvalStage, Fault, Outcome, Replay,
};

/// A render that asks one kind of question.
pub(super) trait Asks: Render {
    /// What the engine answers.
    type Answer: DeserializeOwned;

    /// What is to be asked, with the results of calls so far.
    fn ask(&self) -> Progress<Self::Output>;

    /// The results of calls.
    fn replay(&mut self) -> &mut Replay;

    /// Goes on with an answer.
    fn take(&mut self, answer: Self::Answer) -> Result<Progress<Self::Output>, Box<RenderError>>;

    /// Puts an error of the evaluation to its place in the Application.
    fn evaluated(&self, error: EvalError) -> Box<RenderError>;

    /// A failure that has no place in a template.
    fn plain(&self, failure: RenderFailure, message: String) -> Box<RenderError>;
}

/// Goes on with what was asked for.
pub(super) fn go_on<R: Asks>(
    render: &mut R,
    input: Input,
) -> Result<Progress<R::Output>, Box<RenderError>> {
    let outcome = match input {
        Input::Start => return Ok(render.ask()),
        Input::Results(results) => {
            render.replay().extend(results);
            return Ok(render.ask());
        }
        Input::Reply(reply) => reply.outcome,
    };
    let failed = |failure, fault: Fault| Err(render.plain(failure, fault.message));
    match outcome {
        Outcome::Need(needed) => {
            let rest = calls::carry_out(needed, render.replay())
                .map_err(|failed| render.call_failed(&failed.call, &failed.why))?;
            Ok(if rest.is_empty() {
                render.ask()
            } else {
                Progress::Do(rest)
            })
        }
        Outcome::Ok(body) => {
            let answer = serde_json::from_value(body).map_err(|error| {
                let why = format!("the engine's answer is malformed: {error}");
                render.plain(RenderFailure::Protocol, why)
            })?;
            render.take(answer)
        }
        Outcome::Error(error) => Err(render.evaluated(error)),
        Outcome::Limit(fault) => failed(RenderFailure::Limit, fault),
        Outcome::BadRequest(fault) => failed(RenderFailure::Protocol, fault),
        Outcome::Panic(fault) => failed(RenderFailure::Engine, fault),
    }
}

/// What is known of a call that did not succeed.
pub(super) struct Uncalled<'a> {
    /// The definition whose template wants it.
    pub(super) definition: &'a str,
    /// Index of the trait in the request; none for the component.
    pub(super) trait_index: Option<usize>,
    /// Why, in words.
    pub(super) why: &'a str,
    /// What KubeVela says of it.
    pub(super) kubevela_text: String,
}

/// Says that a call of a template did not succeed.
pub(super) fn uncalled<R: Asks>(render: &R, call: &Call, told: Uncalled<'_>) -> Box<RenderError> {
    let message = format!("{}.{}: {}", call.provider, call.action, told.why);
    let mut failed = render.evaluated(EvalError {
        stage: EvalStage::Export,
        definition: told.definition.to_owned(),
        trait_index: told.trait_index,
        noticed_by: None,
        errors: vec![Diagnostic {
            kind: DiagnosticKind::Other,
            path: call.path.clone(),
            message,
            ..Diagnostic::default()
        }],
        kubevela_text: told.kubevela_text,
    });
    failed.failure = RenderFailure::Call;
    failed
}
