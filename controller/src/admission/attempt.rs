//! Asking the hub's engine for a check: rendering for a trial, and no longer than there is time.

use caravel_core::engine::{Fault, Outcome, Reply};
use caravel_core::render::{Input, Progress, Render, RenderError};
use tokio::time::{Instant, timeout_at};

use crate::evaluation::Evaluation;

/// Why something was not checked.
pub(super) const LATE: &str = "the engine had no time for it, because other templates do not end";

/// The answer of an engine, or that there was no time for it: nobody is to blame.
pub(super) async fn in_time(deadline: Instant, asked: impl Future<Output = Outcome>) -> Outcome {
    timeout_at(deadline, asked).await.unwrap_or_else(|_| {
        Outcome::Panic(Fault {
            message: LATE.to_owned(),
        })
    })
}

/// What came of a trial.
pub(super) enum Tried<T> {
    Done(T),
    Failed(Box<RenderError>),
    /// It wants a call carried out: nothing is known after that.
    Stopped,
}

/// Renders for a trial, on account of a namespace.
pub(super) async fn attempt<R: Render>(
    evaluation: &Evaluation,
    namespace: &str,
    mut render: R,
) -> Tried<R::Output> {
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
