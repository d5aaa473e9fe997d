//! Rendering one definition alone, with parameters and a context of one's own.

use caravel_core::appfile::{
    Definition, DefinitionSet, Layered, Rejection, parse, read_application,
};
use caravel_core::check::PolicyTrial;
use caravel_core::engine::{
    Call, Diagnostic, DiagnosticKind, Evaluator, Operation, Replay, Request, StepRequest,
    StepResult, Template,
};
use caravel_core::plan::scoped::APPLICATION_SCOPE;
use caravel_core::render::{
    ClusterVersion, ComponentRender, Input, PolicyRender, Progress, Render as _, RenderError,
    RenderStage, RenderedObject, Role, Target,
};
use serde_json::{Map, Value, json};

use super::ask::{Refusal, ask};
use crate::engine;

/// A definition and what it is tried with.
#[derive(Clone, Debug)]
pub(crate) struct Trial<'a> {
    /// The definition.
    pub(crate) definition: &'a Definition,
    /// Its parameters.
    pub(crate) parameters: Value,
    /// Name of the component, policy or step.
    pub(crate) name: String,
    /// Namespace of the Application.
    pub(crate) namespace: String,
    /// What a trait is laid over; one that fits is made where there is none.
    pub(crate) workload: Option<Value>,
    /// What is different in `context`.
    pub(crate) context: Map<String, Value>,
    /// Results of calls, by the path of the call.
    pub(crate) returns: Map<String, Value>,
    /// Which evaluator.
    pub(crate) evaluator: Evaluator,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Objects, the workload first. Of a trait: the patched workload and its own objects.
    Objects(Vec<Shown>),
    /// A step: the calls that it makes next, and what is known of its value.
    Step { calls: Vec<Call>, value: Value },
    /// The objects depend on these calls.
    Calls(Vec<Call>),
    /// What a policy makes of the Application.
    Application(Value),
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    /// `output`, or the key under `outputs`.
    pub(crate) name: String,
    /// The object.
    pub(crate) object: Value,
}

impl<'a> Trial<'a> {
    /// With parameters, and everything else as it usually is.
    pub(crate) fn new(definition: &'a Definition, parameters: Value) -> Self {
        Self {
            name: definition.name.clone(),
            namespace: "default".to_owned(),
            definition,
            parameters,
            workload: None,
            context: Map::new(),
            returns: Map::new(),
            evaluator: Evaluator::default(),
        }
    }

    /// Renders.
    ///
    /// # Errors
    /// What the engine says; paths begin with `parameter` where a parameter is wrong.
    pub(crate) fn render(&self) -> Result<Outcome, Vec<Diagnostic>> {
        use caravel_core::engine::DefinitionKind::{
            Component, Policy, Trait, WorkflowStep, Workload,
        };
        match self.definition.kind {
            WorkflowStep => self.step(),
            Policy if self.definition.scope == APPLICATION_SCOPE => self.application_policy(),
            Component | Workload | Trait | Policy => self.within(),
        }
    }

    /// The smallest Application that uses the definition.
    pub(crate) fn application(&self) -> Value {
        use caravel_core::engine::DefinitionKind::{Policy, Trait};
        let used = json!({
            "name": self.name,
            "type": self.definition.name,
            "properties": self.parameters,
        });
        let spec = match self.definition.kind {
            Trait => {
                let mut carrier = self.carrier();
                carrier["traits"] =
                    json!([{"type": self.definition.name, "properties": self.parameters}]);
                json!({"components": [carrier]})
            }
            // One that holds by itself cannot be named.
            Policy if self.definition.global.is_some() => json!({"components": [self.carrier()]}),
            Policy => json!({"components": [self.carrier()], "policies": [used]}),
            _ => json!({"components": [used]}),
        };
        let app_name = self.context.get("appName").and_then(Value::as_str);
        json!({
            "apiVersion": "core.oam.dev/v1beta1",
            "kind": "Application",
            "metadata": {"name": app_name.unwrap_or(&self.name), "namespace": self.namespace},
            "spec": spec,
        })
    }

    /// The component that a trait is laid over.
    fn carrier(&self) -> Value {
        if self.workload.is_some() {
            return json!({"name": self.name, "type": WORKLOAD});
        }
        let image = "nginx:1.27";
        let (type_, properties) = match self.fitting_workload() {
            "statefulsets.apps" => ("statefulset", json!({"image": image})),
            "daemonsets.apps" => ("daemon", json!({"image": image})),
            "jobs.batch" => ("task", json!({"image": image})),
            "cronjobs.batch" => (
                "cron-task",
                json!({"image": image, "schedule": "0 * * * *"}),
            ),
            _ => (
                "webservice",
                json!({"image": image, "ports": [{"port": 80, "expose": true}]}),
            ),
        };
        json!({"name": self.name, "type": type_, "properties": properties})
    }

    /// The kind of workload that the trait is for.
    fn fitting_workload(&self) -> &str {
        let kinds = &self.definition.applies_to_workloads;
        let any = kinds
            .iter()
            .any(|kind| kind == "*" || kind == "deployments.apps");
        match kinds.first() {
            Some(first) if !any => first,
            _ => "deployments.apps",
        }
    }

    /// The definition, and that of the given workload.
    pub(crate) fn set(&self) -> DefinitionSet {
        let mut set = DefinitionSet::default();
        // Wherever it is to be registered, the Application that tries it finds it.
        let found = Definition {
            namespace: String::new(),
            ..self.definition.clone()
        };
        set.insert(found.into());
        if let Some(workload) = &self.workload {
            let definition = Definition {
                name: WORKLOAD.to_owned(),
                template: format!("output: {workload}\n"),
                ..Definition::default()
            };
            set.insert(definition.into());
        }
        set
    }

    /// Renders as a part of an Application, so that context, names and labels are as they will be.
    fn within(&self) -> Result<Outcome, Vec<Diagnostic>> {
        let object = self.application();
        let source = Layered::new(self.set(), engine::builtin).listing(engine::builtin_names);
        let app = read_application(&object).map_err(|rejection| findings(&rejection))?;
        let appfile = parse(&app, &source).map_err(|rejection| findings(&rejection))?;
        let mut components = Vec::new();
        for component in &appfile.components {
            let mut render = ComponentRender::new(
                &appfile,
                component,
                self.target(),
                RenderStage::All,
                self.evaluator,
            );
            match self.run(|input| render.next(input))? {
                Run::Done(done) => components.push(done),
                Run::Calls(calls) => return Ok(Outcome::Calls(calls)),
            }
        }
        let is_policy = !appfile.policies.is_empty();
        let mut objects: Vec<RenderedObject> = Vec::new();
        for policy in &appfile.policies {
            let render =
                PolicyRender::new(&appfile, policy, &components, self.target(), self.evaluator);
            let Some(mut render) = render else { continue };
            match self.run(|input| render.next(input))? {
                Run::Done(done) => objects.extend(done),
                Run::Calls(calls) => return Ok(Outcome::Calls(calls)),
            }
        }
        if !is_policy {
            objects.extend(
                components
                    .into_iter()
                    .flat_map(|component| component.objects),
            );
        }
        // What only belongs to the carrier is not the trait's, unless the trait changes it.
        let is_trait = self.definition.kind == caravel_core::engine::DefinitionKind::Trait
            && !self.definition.template.contains("patchOutputs");
        let shown = objects
            .into_iter()
            .filter(|object| !is_trait || object.role != Role::Auxiliary)
            .map(|object| Shown {
                name: if object.output_name.is_empty() {
                    "output".to_owned()
                } else {
                    object.output_name
                },
                object: object.object,
            });
        Ok(Outcome::Objects(shown.collect()))
    }

    fn target(&self) -> Target {
        let version = self.context.get("clusterVersion").cloned();
        let version = version.and_then(|version| serde_json::from_value(version).ok());
        Target::dry_run(version.unwrap_or_else(ClusterVersion::default))
    }

    /// Runs a render to its end, or to a call whose result is not known.
    fn run<T>(
        &self,
        mut next: impl FnMut(Input) -> Result<Progress<T>, Box<RenderError>>,
    ) -> Result<Run<T>, Vec<Diagnostic>> {
        let mut input = Input::Start;
        loop {
            match next(input).map_err(|error| error.diagnostics())? {
                Progress::Eval(mut request) => {
                    self.change_context(&mut request);
                    input = Input::Reply(engine::eval(&request));
                }
                Progress::Do(calls) => match self.results(&calls) {
                    Some(results) => input = Input::Results(results),
                    None => return Ok(Run::Calls(calls)),
                },
                Progress::Done(done) => return Ok(Run::Done(done)),
            }
        }
    }

    /// Lays what is different over the context of a render.
    pub(crate) fn change_context(&self, request: &mut Request) {
        let context = match &mut request.operation {
            Operation::Render(render) => &mut render.context,
            Operation::Policy(policy) => &mut policy.context,
            _ => return,
        };
        context.extend(self.context.clone());
    }

    /// The results of calls, if all are known.
    fn results(&self, calls: &[Call]) -> Option<Replay> {
        calls
            .iter()
            .map(|call| Some((call.key.clone(), self.returns.get(&call.path)?.clone())))
            .collect()
    }

    /// The author's choice of evaluator goes first.
    fn chosen(&self) -> Evaluator {
        self.definition.evaluator.unwrap_or(self.evaluator)
    }

    fn template(&self) -> Template {
        Template {
            name: self.definition.name.clone(),
            source: self.definition.template.clone(),
            parameters: self.parameters.clone(),
        }
    }

    /// What templates of steps see (row REN-107), with what is different.
    fn step_context(&self) -> Map<String, Value> {
        let usual = json!({
            "name": self.name,
            "appName": self.name,
            "namespace": self.namespace,
            "appRevision": format!("{}-v1", self.name),
            "appRevisionNum": 1,
            "appLabels": {},
            "appAnnotations": {},
            "stepName": self.name,
            "stepSessionID": "sample",
            "spanID": "sample",
            "workflowName": self.name,
            "publishVersion": "",
            "application": {"metadata": {"name": self.name, "namespace": self.namespace}},
        });
        let mut context = match usual {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        context.extend(self.context.clone());
        context
    }

    fn step(&self) -> Result<Outcome, Vec<Diagnostic>> {
        let mut replay = Replay::new();
        loop {
            let operation = Operation::Step(StepRequest {
                template: self.template(),
                context: self.step_context(),
                replay: replay.clone(),
                ..StepRequest::default()
            });
            match ask::<StepResult>(operation, self.chosen()) {
                Ok(result) => {
                    let (calls, value) = (Vec::new(), result.value);
                    return Ok(Outcome::Step { calls, value });
                }
                Err(Refusal::Calls(calls)) => match self.results(&calls) {
                    Some(results) => replay.extend(results),
                    None => {
                        return Ok(Outcome::Step {
                            calls,
                            value: Value::Null,
                        });
                    }
                },
                Err(other) => return Err(wrong(other)),
            }
        }
    }

    fn application_policy(&self) -> Result<Outcome, Vec<Diagnostic>> {
        let app =
            read_application(&self.application()).map_err(|rejection| findings(&rejection))?;
        let trial = PolicyTrial::new(self.definition, app, self.parameters.clone());
        let mut render = trial.render(self.evaluator);
        Ok(match self.run(|input| render.next(input))? {
            Run::Done(made) => Outcome::Application(PolicyTrial::output(&made)),
            Run::Calls(calls) => Outcome::Calls(calls),
        })
    }
}

/// The type of a component whose template is a given object.
const WORKLOAD: &str = "given-workload";

enum Run<T> {
    Done(T),
    Calls(Vec<Call>),
}

fn wrong(refusal: Refusal) -> Vec<Diagnostic> {
    match refusal {
        Refusal::Wrong(errors) => errors,
        Refusal::Calls(_) => vec![plain("", "the engine asks for calls where there are none")],
        Refusal::Fault(message) => vec![plain("", &message)],
    }
}

fn plain(path: &str, message: &str) -> Diagnostic {
    Diagnostic {
        kind: DiagnosticKind::Other,
        path: path.to_owned(),
        message: message.to_owned(),
        ..Diagnostic::default()
    }
}

/// What is wrong with the Application around the definition: only its parameters are the user's.
fn findings(rejection: &Rejection) -> Vec<Diagnostic> {
    let found = rejection.findings.iter();
    found
        .map(|finding| Diagnostic {
            kind: DiagnosticKind::Conflict,
            path: match finding.path.split_once(".properties") {
                Some((_, rest)) => format!("parameter{rest}"),
                None => finding.path.clone(),
            },
            message: finding.message.clone(),
            expected: finding.expected.clone(),
            found: finding.found.clone(),
            hint: finding.hint.clone(),
            positions: Vec::new(),
        })
        .collect()
}
