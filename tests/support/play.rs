//! Plays the workflow of an Application: the engine's state machine, the templates of the steps in the real evaluator,
//! and a [`World`] for their calls. No clock moves: it is played as far as it gets at once.

use std::collections::BTreeMap;

use caravel_core::api::{WorkflowMode, WorkflowStep};
use caravel_core::appfile::{Finding, apply_component_step, resolve};
use caravel_core::engine::{
    Call, DefinitionKind, Evaluator, ExpressionRequest, Operation, Outcome as Reply, Request,
    StepOutput, StepRequest, StepResult, Template,
};
use caravel_workflow::{
    Effect, Event, Limits, Outcome, Reason, RunSpec, State, StepRef, Suspension, parse_duration,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::render::eval;
use crate::world::{Called, World, package};

/// Why a workflow cannot be played.
#[derive(Debug)]
pub enum Unplayable {
    /// It is refused before it begins.
    Refused(String),
    /// The world does not know a call.
    Unknown(String),
}

/// Plays the workflow; gives where it stands then.
///
/// # Errors
/// If it cannot be played.
pub fn play(world: &mut World<'_>) -> Result<State, Unplayable> {
    let refused = |finding: Box<Finding>| {
        let text = &finding.kubevela_text;
        Unplayable::Refused(format!("convert step: convert [apply-component]: {text}"))
    };
    let spec = spec(world).map_err(refused)?;
    let state = State::new(spec).map_err(|faults| Unplayable::Refused(format!("{faults:?}")))?;
    let evaluator = world.evaluator;
    let mut player = Player {
        world,
        state,
        evaluator,
        unknown: None,
    };
    player.run();
    match player.unknown {
        Some(call) => Err(Unplayable::Unknown(call)),
        None => Ok(player.state),
    }
}

fn spec(world: &World<'_>) -> Result<RunSpec, Box<Finding>> {
    let workflow = &world.appfile.workflow;
    let components = &world.app.spec.components;
    let mut steps: Vec<WorkflowStep> = workflow.steps.clone();
    for step in &mut steps {
        if step.type_ == "apply-component" {
            *step = apply_component_step(step, components)?;
        }
        for sub_step in &mut step.sub_steps {
            if sub_step.type_ == "apply-component" {
                let alone = WorkflowStep {
                    name: sub_step.name.clone(),
                    properties: sub_step.properties.clone(),
                    ..WorkflowStep::default()
                };
                sub_step.properties = apply_component_step(&alone, components)?.properties;
            }
        }
    }
    let app_revision = format!("{}-v1", world.appfile.name);
    let annotation = |key: &str| {
        let annotations = world.app.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get(key)).cloned()
    };
    let name = &world.appfile.name;
    let context = json!({
        "name": name, "appName": name, "namespace": world.appfile.namespace,
        "appRevision": app_revision, "appRevisionNum": 1,
        "appLabels": world.app.metadata.labels.clone().unwrap_or_default(),
        "appAnnotations": world.app.metadata.annotations.clone().unwrap_or_default(),
        "workflowName": annotation("app.oam.dev/workflowName").unwrap_or_else(|| name.clone()),
        "publishVersion": annotation("app.oam.dev/publishVersion").unwrap_or_default(),
    });
    Ok(RunSpec {
        app_revision,
        mode: WorkflowMode {
            steps: Some(workflow.mode),
            sub_steps: Some(workflow.sub_mode),
        },
        steps,
        context: context.as_object().cloned().unwrap_or_default(),
        seed: 1,
        limits: Limits::default(),
    })
}

struct Player<'a, 'w> {
    world: &'a mut World<'w>,
    state: State,
    evaluator: Evaluator,
    /// The first call that the world did not know.
    unknown: Option<String>,
}

impl Player<'_, '_> {
    fn run(&mut self) {
        let mut effects = self.send(Event::Begin);
        while !effects.is_empty() && self.unknown.is_none() {
            let events: Vec<Event> = std::mem::take(&mut effects)
                .into_iter()
                .filter_map(|effect| self.carry_out(&effect))
                .collect();
            for event in events {
                effects.extend(self.send(event));
            }
        }
    }

    fn send(&mut self, event: Event) -> Vec<Effect> {
        self.state
            .advance(Timestamp::UNIX_EPOCH, event)
            .unwrap_or_default()
    }

    fn carry_out(&mut self, effect: &Effect) -> Option<Event> {
        match *effect {
            Effect::Condition { step, attempt } => {
                let result = self.condition(step);
                Some(Event::Condition {
                    step,
                    attempt,
                    result,
                })
            }
            Effect::Run { step, attempt } => {
                let outcome = self.step(step);
                Some(Event::Ended {
                    step,
                    attempt,
                    outcome,
                })
            }
            Effect::Cancel { .. } | Effect::Finish { .. } => None,
        }
    }

    fn eval(&self, operation: Operation) -> Reply {
        eval(&Request {
            id: 1,
            evaluator: self.evaluator,
            operation,
        })
        .outcome
    }

    fn condition(&self, step: StepRef) -> Result<bool, String> {
        let Some((expression, scope)) = self.state.condition_of(step) else {
            return Ok(true);
        };
        match self.eval(Operation::Expression(ExpressionRequest {
            expression,
            scope,
            ..ExpressionRequest::default()
        })) {
            Reply::Ok(Value::Bool(value)) => Ok(value),
            Reply::Error(error) => Err(error.kubevela_text),
            other => Err(format!("{other:?}")),
        }
    }

    fn step(&mut self, step: StepRef) -> Outcome {
        let shape = self.state.dag().step(step).clone();
        let parameters = match self.state.parameters(step) {
            Ok(parameters) => parameters,
            Err(message) => return failed(Reason::Input, message),
        };
        let outputs = shape.outputs.iter().map(|output| StepOutput {
            name: output.name.clone(),
            value_from: output.value_from.clone(),
        });
        let mut request = StepRequest {
            template: Template {
                name: shape.type_.clone(),
                parameters,
                ..Template::default()
            },
            context: self.state.context(step),
            outputs: outputs.collect(),
            ..StepRequest::default()
        };
        if shape.type_ == "apply-component" {
            return self.component(request);
        }
        let namespace = &self.world.appfile.namespace;
        let kind = DefinitionKind::WorkflowStep;
        match resolve(self.world.source, kind, &shape.type_, namespace, false) {
            Some(found) => {
                request
                    .template
                    .source
                    .clone_from(&found.definition.template);
            }
            None => return execute(format!("there is no step of type {}", shape.type_)),
        }
        self.template(step, request)
    }

    /// Row WF-023: it has no template of its own.
    fn component(&mut self, mut request: StepRequest) -> Outcome {
        let call = Call {
            provider: "oam".to_owned(),
            action: "component-apply".to_owned(),
            params: request.template.parameters.take(),
            key: String::new(),
            path: String::new(),
            endpoint: None,
        };
        match self.world.call(&call) {
            Called::Answer(answer) => {
                let live = format!(
                    "output: {}\noutputs: {}\n",
                    answer["output"], answer["outputs"]
                );
                request.template.source = live;
                request.template.parameters = json!({});
                self.evaluated(&request, String::new())
                    .unwrap_or_else(|_| execute("it calls"))
            }
            Called::Wait(message) => Outcome::Waiting { message },
            Called::Failed(message) => execute(message),
            Called::Unknown => execute("the world does not know the call"),
        }
    }

    fn template(&mut self, step: StepRef, mut request: StepRequest) -> Outcome {
        let mut message = String::new();
        loop {
            let calls = match self.evaluated(&request, message.clone()) {
                Ok(outcome) => return outcome,
                Err(calls) => calls,
            };
            for call in calls {
                match self.call(step, &call, &mut message) {
                    Ok(answer) => request.replay.insert(call.key, answer),
                    Err(outcome) => return outcome,
                };
            }
        }
    }

    /// Evaluates once; the calls that it asks for are the error.
    fn evaluated(&self, request: &StepRequest, message: String) -> Result<Outcome, Vec<Call>> {
        match self.eval(Operation::Step(request.clone())) {
            Reply::Ok(value) => {
                let result: StepResult = serde_json::from_value(value).unwrap_or_default();
                let missing: Vec<&str> = result.missing.values().map(String::as_str).collect();
                let message = if missing.is_empty() {
                    message
                } else {
                    missing.join("\n")
                };
                Ok(Outcome::Succeeded {
                    message,
                    outputs: result.outputs,
                })
            }
            Reply::Need(calls) => Err(calls),
            Reply::Error(error) => Ok(execute(error.kubevela_text)),
            other => Ok(execute(format!("{other:?}"))),
        }
    }

    fn call(&mut self, step: StepRef, call: &Call, message: &mut String) -> Result<Value, Outcome> {
        let params = &call.params;
        let said = params["message"].as_str().map(str::to_owned);
        match (package(call), call.action.as_str()) {
            ("builtin", "message") => {
                *message = said.unwrap_or_default();
                return Ok(Value::Null);
            }
            ("builtin", "wait") if params["continue"] == true => return Ok(Value::Null),
            ("builtin", "wait") => {
                let message = said.unwrap_or_else(|| message.clone());
                return Err(Outcome::Waiting { message });
            }
            ("builtin", "fail") => return Err(failed(Reason::Action, said.unwrap_or_default())),
            ("builtin", "break") => {
                let (message, outputs) = (said.unwrap_or_default(), BTreeMap::new());
                return Err(Outcome::Broken { message, outputs });
            }
            ("builtin", "suspend") => {
                if self.state.suspension(step, &call.path) == Suspension::Lifted {
                    return Ok(Value::Null);
                }
                let duration = params["duration"].as_str();
                return Err(Outcome::Suspended {
                    field: call.path.clone(),
                    message: said.unwrap_or_else(|| format!("Suspended by field {}", call.path)),
                    duration: duration.and_then(|text| parse_duration(text).ok()),
                });
            }
            _ => {}
        }
        match self.world.call(call) {
            Called::Answer(answer) => Ok(answer),
            Called::Wait(message) => Err(Outcome::Waiting { message }),
            Called::Failed(why) => Err(execute(format!(
                "function call error for {}: {why}",
                call.path
            ))),
            Called::Unknown => {
                let name = format!("{}.{}", call.provider, call.action);
                self.unknown.get_or_insert(name);
                Err(execute("the world does not know the call"))
            }
        }
    }
}

fn execute(message: impl Into<String>) -> Outcome {
    failed(Reason::Execute, message)
}

fn failed(reason: Reason, message: impl Into<String>) -> Outcome {
    Outcome::Failed {
        reason,
        message: message.into(),
    }
}

/// What a played workflow shows: the phase of the run, and of each step its phase, reason and message.
pub fn standing(state: &State) -> Value {
    let status = serde_json::to_value(state.status()).unwrap_or_default();
    json!({ "phase": status["status"], "steps": rows(&status["steps"]) })
}

/// Rows of steps without what differs from run to run.
pub fn rows(steps: &Value) -> Value {
    let steps = steps.as_array().into_iter().flatten().map(|step| {
        let mut row = Map::new();
        for key in ["name", "type", "phase", "reason", "message"] {
            if let Some(text) = step[key].as_str().filter(|text| !text.is_empty()) {
                row.insert(key.to_owned(), text.into());
            }
        }
        if step["subSteps"].is_array() {
            row.insert("subSteps".to_owned(), rows(&step["subSteps"]));
        }
        Value::Object(row)
    });
    steps.collect()
}
