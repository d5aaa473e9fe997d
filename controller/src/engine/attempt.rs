//! One attempt of a step: its template is evaluated, what it calls for is carried out, and so on until nothing
//! is left to call.

use std::collections::BTreeMap;
use std::sync::Arc;

use caravel_core::engine::{
    ExpressionRequest, Operation, Replay, StepOutput, StepRequest, StepResult, Template,
};
use caravel_engines::{Answer, EngineError};
use caravel_store::RunId;
use caravel_workflow::{Event, Outcome, Reason, Recorded, StepRef};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::ports::{
    Applied, ComponentRequest, PortError, Ports, StepTemplate, UnknownOutcome, outputs_value,
};
use super::run::{Message, Parts, Shared, read};

/// Calls that one attempt may make. A template that asks for more does not end.
const CALLS: usize = 1_000;

/// An attempt, with all that it needs.
pub(super) struct Attempt {
    pub(super) parts: Arc<Parts>,
    pub(super) ports: Arc<dyn Ports>,
    pub(super) state: Shared,
    pub(super) inbox: mpsc::Sender<Message>,
    pub(super) run: RunId,
    pub(super) namespace: String,
    pub(super) step: StepRef,
    pub(super) number: u32,
}

/// The run does not want this attempt any more, or is gone: it ends without a report.
pub(super) struct Unwanted;

/// What an attempt is about, as the state had it at its begin.
pub(super) struct Work {
    pub(super) step_id: String,
    type_: String,
    parameters: Value,
    context: Map<String, Value>,
    outputs: Vec<StepOutput>,
    pub(super) recorded: BTreeMap<String, Recorded>,
    pub(super) unfinished: BTreeMap<String, String>,
    pub(super) unknown_outcome: UnknownOutcome,
    /// A Secret was read: what is sent from now on may be secret.
    pub(super) has_secrets: bool,
    /// What `#Message` or a waiting call said last.
    pub(super) message: String,
}

/// What came of a call.
pub(super) enum Called {
    /// The answer, as the template expects it.
    Answer(Value),
    /// The attempt ends here.
    End(Outcome),
}

impl Attempt {
    /// Evaluates the `if` of the step.
    pub(super) async fn condition(self) {
        let asked = read(&self.state).condition_of(self.step);
        let result = match asked {
            None => Ok(true),
            Some((expression, scope)) => self.decide(expression, scope).await,
        };
        let (step, attempt) = (self.step, self.number);
        // A run that is gone needs no answer.
        let _ = self
            .tell(Event::Condition {
                step,
                attempt,
                result,
            })
            .await;
    }

    async fn decide(&self, expression: String, scope: Map<String, Value>) -> Result<bool, String> {
        let written = expression.clone();
        let operation = Operation::Expression(ExpressionRequest {
            expression,
            scope,
            ..ExpressionRequest::default()
        });
        let why = match self.expression(operation).await {
            Ok(Value::Bool(value)) => return Ok(value),
            Ok(other) => format!("expected true or false, found {other}"),
            Err(error) => error.to_string(),
        };
        Err(format!("invalid if value: {why} (if: {written})"))
    }

    /// A condition cannot be decided a second time: one that has to wait is waited for here.
    async fn expression(&self, operation: Operation) -> Result<Value, EngineError> {
        loop {
            let asked = operation.clone();
            match self.parts.evaluation.call(&self.namespace, asked).await {
                Err(EngineError::Quarantined { retry_after, .. }) => {
                    tokio::time::sleep(retry_after).await;
                }
                decided => return decided,
            }
        }
    }

    /// Runs the step.
    pub(super) async fn run(self) {
        let Ok(outcome) = self.outcome().await else {
            return;
        };
        self.parts.faults.point("step.report").await;
        let (step, attempt) = (self.step, self.number);
        let _ = self
            .tell(Event::Ended {
                step,
                attempt,
                outcome,
            })
            .await;
    }

    async fn outcome(&self) -> Result<Outcome, Unwanted> {
        let work = match self.work() {
            Ok(work) => work,
            Err(why) => {
                return Ok(Outcome::Failed {
                    reason: Reason::Input,
                    message: why,
                });
            }
        };
        self.parts.faults.point("step.evaluate").await;
        if matches!(
            work.type_.as_str(),
            "apply-component" | "builtin-apply-component"
        ) {
            return Ok(self.component(work).await);
        }
        self.template(work).await
    }

    fn work(&self) -> Result<Work, String> {
        let state = read(&self.state);
        let shape = state.dag().step(self.step);
        let outputs = shape.outputs.iter().map(|output| StepOutput {
            name: output.name.clone(),
            value_from: output.value_from.clone(),
        });
        let unfinished = state.unfinished(self.step).into_iter();
        Ok(Work {
            step_id: state.step_id(self.step).to_owned(),
            type_: shape.type_.clone(),
            parameters: state.parameters(self.step)?,
            context: state.context(self.step),
            outputs: outputs.collect(),
            recorded: state.recorded(self.step),
            unfinished: unfinished.map(|one| (one.call, one.digest)).collect(),
            unknown_outcome: UnknownOutcome::default(),
            has_secrets: false,
            message: String::new(),
        })
    }

    /// `apply-component` has no template (WF-023); its outputs are read from the live objects.
    async fn component(&self, work: Work) -> Outcome {
        let text = |key: &str| {
            work.parameters
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let request = ComponentRequest {
            component: text("component"),
            cluster: text("cluster"),
            namespace: text("namespace"),
            value: work.parameters.get("value").cloned(),
            patch: None,
        };
        let applied = match self.ports.apply_component(request).await {
            Ok(applied) => applied,
            Err(error) => return unable(error),
        };
        self.parts.faults.point("apply.done").await;
        if !applied.healthy {
            return waiting(applied);
        }
        if work.outputs.is_empty() {
            return Outcome::Succeeded {
                message: String::new(),
                outputs: BTreeMap::new(),
            };
        }
        // JSON is CUE: the live objects are the template in whose scope the outputs are read.
        let source = format!(
            "output: {}\noutputs: {}\n",
            applied.output,
            outputs_value(&applied.outputs)
        );
        let template = StepTemplate {
            name: work.type_.clone(),
            source,
            ..StepTemplate::default()
        };
        match self.evaluate(&work, &template, Replay::new()).await {
            Ok(Answer::Done(value)) => match applied.awaits {
                Some(message) if is_missing(&value) => Outcome::Waiting { message },
                _ => done(value, String::new()),
            },
            Ok(Answer::Need(_)) => execute("the objects of the component call for something"),
            Err(error) => unable(error),
        }
    }

    async fn template(&self, mut work: Work) -> Result<Outcome, Unwanted> {
        let template = match self.ports.template(&work.type_).await {
            Ok(Some(template)) => template,
            Ok(None) => {
                let type_ = &work.type_;
                return Ok(execute(format!(
                    "there is no WorkflowStepDefinition {type_:?}; register one, or correct the step's type"
                )));
            }
            Err(error) => return Ok(unable(error)),
        };
        work.unknown_outcome = template.unknown_outcome;
        let mut replay = Replay::new();
        loop {
            let calls = match self.evaluate(&work, &template, replay.clone()).await {
                Ok(Answer::Done(value)) => {
                    let id = read(&self.state).step_id(self.step).to_owned();
                    if let Err(error) = self.ports.debug(&id, &value["value"]).await {
                        tracing::warn!(%error, "what a step came to could not be kept");
                    }
                    return Ok(done(value, work.message));
                }
                Ok(Answer::Need(calls)) => calls,
                Err(error) => return Ok(unable(error)),
            };
            if calls.iter().all(|call| replay.contains_key(&call.key)) {
                return Ok(execute("the template asks again for what was answered"));
            }
            for call in calls {
                if replay.contains_key(&call.key) {
                    continue;
                }
                if replay.len() >= CALLS {
                    return Ok(execute(format!(
                        "the template makes more than {CALLS} calls"
                    )));
                }
                match self.call(&mut work, &call).await? {
                    Called::Answer(value) => {
                        work.has_secrets |= crate::calls::is_secret(&value);
                        replay.insert(call.key, value)
                    }
                    Called::End(outcome) => return Ok(outcome),
                };
            }
        }
    }

    async fn evaluate(
        &self,
        work: &Work,
        template: &StepTemplate,
        replay: Replay,
    ) -> Result<Answer, PortError> {
        let operation = Operation::Step(StepRequest {
            template: Template {
                name: template.name.clone(),
                source: template.source.clone(),
                parameters: work.parameters.clone(),
            },
            context: work.context.clone(),
            outputs: work.outputs.clone(),
            replay,
            ..StepRequest::default()
        });
        let evaluation = &self.parts.evaluation;
        let evaluator = template.evaluator.unwrap_or_else(|| evaluation.evaluator());
        evaluation
            .ask_with(&self.namespace, operation, evaluator)
            .await
            .map_err(|error| PortError::evaluation(&error, &error))
    }

    /// Tells the run something, and waits until it is durable.
    pub(super) async fn tell(&self, event: Event) -> Result<(), Unwanted> {
        let (answer, done) = oneshot::channel();
        let message = Message {
            event,
            answer: Some(answer),
        };
        self.inbox.send(message).await.map_err(|_| Unwanted)?;
        done.await.map_err(|_| Unwanted)?.map_err(|_| Unwanted)
    }
}

/// A failed attempt that is tried again.
pub(super) fn execute(error: impl std::fmt::Display) -> Outcome {
    Outcome::Failed {
        reason: Reason::Execute,
        message: error.to_string(),
    }
}

/// What could not be tried yet is no failed attempt: the step waits for it.
pub(super) fn unable(error: PortError) -> Outcome {
    match error {
        PortError::Failed(message) => execute(message),
        PortError::Later(message) => Outcome::Waiting { message },
    }
}

pub(super) fn waiting(applied: Applied) -> Outcome {
    let message = Some(applied.message).filter(|text| !text.is_empty());
    Outcome::Waiting {
        message: message.unwrap_or_else(|| "wait healthy".to_owned()),
    }
}

/// Whether an output could not be read.
fn is_missing(result: &Value) -> bool {
    let missing = result["missing"].as_object();
    missing.is_some_and(|missing| !missing.is_empty())
}

/// A step that is done. An output that is missing does not fail it, but its message says so (trap 5).
fn done(value: Value, message: String) -> Outcome {
    let result: StepResult = match serde_json::from_value(value) {
        Ok(result) => result,
        Err(error) => {
            return execute(format!(
                "the engine answered with an unknown shape: {error}"
            ));
        }
    };
    let missing: Vec<&str> = result.missing.values().map(String::as_str).collect();
    let message = if missing.is_empty() {
        message
    } else {
        missing.join("\n")
    };
    Outcome::Succeeded {
        message,
        outputs: result.outputs,
    }
}
