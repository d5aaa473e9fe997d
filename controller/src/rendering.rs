//! Carrying a render to its end: evaluates, does what the templates ask for, evaluates again.

use caravel_core::engine::{Outcome, Replay, Reply, Request};
use caravel_core::render::{Input, Progress, Render, RenderError};
use caravel_engines::{Answer, EngineError};

use crate::calls::{Calls, Subject};
use crate::evaluation::Evaluation;

/// Calls that the templates of one render may make. Some that ask for more do not end.
const CALLS: usize = 1_000;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderingError {
    /// The templates, or what they are given, are wrong.
    #[error("{}", .0.kubevela_text)]
    Render(Box<RenderError>),
    /// The engine is at fault.
    #[error("{0}")]
    Engine(#[from] EngineError),
}

/// Renders for one Application.
pub(crate) struct Renderer {
    /// Evaluates.
    pub(crate) evaluation: Evaluation,
    /// Does what templates ask for.
    pub(crate) calls: Calls,
    /// The Application's namespace, on whose account all of it goes.
    pub(crate) namespace: String,
}

impl Renderer {
    /// Carries a render to its end.
    pub(crate) async fn carry<R: Render>(
        &self,
        subject: impl Into<Subject<'_>>,
        mut render: R,
    ) -> Result<R::Output, RenderingError> {
        let subject = subject.into();
        let mut input = Input::Start;
        let mut count = 0;
        loop {
            let calls = match render.next(input).map_err(RenderingError::Render)? {
                Progress::Done(rendered) => return Ok(rendered),
                Progress::Eval(request) => {
                    input = Input::Reply(self.evaluate(*request).await?);
                    continue;
                }
                Progress::Do(calls) => calls,
            };
            let mut results = Replay::new();
            for call in calls {
                count += 1;
                let answer = if count > CALLS {
                    Err(format!("the templates make more than {CALLS} calls"))
                } else {
                    self.calls.carry_out(subject, &call).await
                };
                let answer = answer
                    .map_err(|why| RenderingError::Render(render.call_failed(&call, &why)))?;
                results.insert(call.key, answer);
            }
            input = Input::Results(results);
        }
    }

    async fn evaluate(&self, request: Request) -> Result<Reply, EngineError> {
        let asked = self
            .evaluation
            .ask_with(&self.namespace, request.operation, request.evaluator);
        let outcome = match asked.await {
            Ok(Answer::Done(value)) => Outcome::Ok(value),
            Ok(Answer::Need(calls)) => Outcome::Need(calls),
            Err(EngineError::Template(error)) => Outcome::Error(*error),
            Err(error) => return Err(error),
        };
        Ok(Reply {
            id: request.id,
            outcome,
        })
    }
}
