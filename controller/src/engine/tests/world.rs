//! A world for runs: scripted templates, objects in memory, places to stop at.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use caravel_apiserver::simulator::ManualClock;
use caravel_core::engine::{Call, Evaluator, Operation, StepRequest};
use caravel_engines::{Answer, Engine, EngineError, Job};
use caravel_store::{AppKey, Memory, RunHead, RunId, Store};
use caravel_workflow::RunSpec;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::engine::{
    Applied, ComponentRequest, DeployRequest, Faults, PortError, Ports, RunHandle, Runner,
    Snapshot, StepTemplate, UnknownOutcome,
};
use crate::evaluation::Evaluation;

/// Templates as functions of what is asked: the source of a step's template is the name of its script.
pub(super) struct Script(Arc<World>);

fn call(key: &str, provider: &str, action: &str, params: Value) -> Answer {
    Answer::Need(vec![Call {
        key: key.into(),
        path: key.into(),
        provider: provider.into(),
        action: action.into(),
        params,
        endpoint: None,
    }])
}

fn done(step: &StepRequest, value: &Value) -> Answer {
    let read = |path: &str| {
        value
            .pointer(&format!("/{}", path.replace('.', "/")))
            .cloned()
    };
    let mut outputs = BTreeMap::new();
    let mut missing = BTreeMap::new();
    for output in &step.outputs {
        if let Some(found) = read(&output.value_from) {
            outputs.insert(output.name.clone(), found);
        } else {
            let from = &output.value_from;
            missing.insert(
                output.name.clone(),
                format!("failed to get output from {from}: not there"),
            );
        }
    }
    Answer::Done(json!({"outputs": outputs, "missing": missing, "value": {}}))
}

/// Makes calls one after the other, then is done.
fn sequence(step: &StepRequest, calls: &[(&str, &str, &str, Value)]) -> Answer {
    for (key, provider, action, params) in calls {
        if !step.replay.contains_key(*key) {
            return call(key, provider, action, params.clone());
        }
    }
    done(
        step,
        &json!({"replay": step.replay, "parameter": step.template.parameters}),
    )
}

fn script(step: &StepRequest) -> Answer {
    let parameter = &step.template.parameters;
    match step.template.source.as_str() {
        "request" => match step.replay.get("req") {
            None => call(
                "req",
                "http",
                "do",
                json!({"method": parameter["method"], "url": parameter["url"],
                "request": {"body": "{}", "header": {"X-Test": "1"}}}),
            ),
            Some(answer) if answer["statusCode"].as_u64() >= Some(400) => call(
                "fail",
                "builtin",
                "fail",
                json!({"message": format!("is fail: {}", answer["statusCode"])}),
            ),
            Some(answer) => done(step, &json!({"response": answer})),
        },
        "request-then-wait" => sequence(
            step,
            &[
                (
                    "req",
                    "http",
                    "do",
                    json!({"method": parameter["method"], "url": parameter["url"]}),
                ),
                (
                    "cm",
                    "kube",
                    "read",
                    json!({"value": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gate"}}}),
                ),
                (
                    "wait",
                    "builtin",
                    "wait",
                    json!({"continue": step.replay.get("cm").is_some_and(|cm| cm.get("err").is_none()), "message": "for the gate"}),
                ),
            ],
        ),
        "suspend" => sequence(
            step,
            &[("suspend", "builtin", "suspend", parameter.clone())],
        ),
        "message" => sequence(
            step,
            &[(
                "msg",
                "builtin",
                "message",
                json!({"message": parameter["message"]}),
            )],
        ),
        "put" => sequence(
            step,
            &[(
                "put",
                "builtin",
                "var",
                json!({"method": "Put", "path": "a.b", "value": 7}),
            )],
        ),
        "get" => sequence(
            step,
            &[(
                "get",
                "builtin",
                "var",
                json!({"method": "Get", "path": parameter["path"]}),
            )],
        ),
        "apply" => sequence(
            step,
            &[(
                "apply",
                "kube",
                "apply",
                json!({"value": parameter["value"]}),
            )],
        ),
        "read" => sequence(
            step,
            &[("read", "kube", "read", json!({"value": parameter["value"]}))],
        ),
        "deploy" => sequence(
            step,
            &[("deploy", "multicluster", "deploy", parameter.clone())],
        ),
        "break" => sequence(
            step,
            &[("stop", "builtin", "break", json!({"message": "enough"}))],
        ),
        "strange" => sequence(step, &[("mail", "pigeon", "send", json!({}))]),
        "check" => check(step),
        "loop" => call("x", "builtin", "steps", json!({})),
        live => objects(step, live),
    }
}

/// Reads a Secret, and sends something to where that may say.
fn notify(step: &StepRequest) -> Answer {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}});
    let url = &step.template.parameters["url"];
    sequence(
        step,
        &[
            ("secret", "kube", "read", json!({ "value": secret })),
            ("send", "http", "do", json!({"method": "POST", "url": url})),
        ],
    )
}

/// Fails or waits as the answer of a check says.
fn check(step: &StepRequest) -> Answer {
    let parameter = step.template.parameters.clone();
    match step.replay.get("check") {
        None => call("check", "metrics", "promCheck", parameter),
        Some(answer) if answer["failed"] == true => {
            let message = json!({"message": answer["message"]});
            call("fail", "builtin", "fail", message)
        }
        Some(answer) => {
            let params = json!({"continue": answer["result"], "message": answer["message"]});
            sequence(step, &[("wait", "builtin", "wait", params)])
        }
    }
}

/// What `apply-component` left behind is JSON, which is CUE.
fn objects(step: &StepRequest, source: &str) -> Answer {
    let fields = source.lines().filter_map(|line| line.split_once(": "));
    let fields = fields.map(|(key, value)| (key.to_owned(), serde_json::from_str(value).unwrap()));
    done(step, &Value::Object(fields.collect()))
}

#[async_trait]
impl Engine for Script {
    async fn call(&self, job: Job) -> Result<Answer, EngineError> {
        if counts_down(&self.0.quarantined) {
            return Err(EngineError::Quarantined {
                whose: "the template".to_owned(),
                kills: 2,
                namespace: None,
                wait: Duration::from_secs(10),
                retry_after: Duration::ZERO,
            });
        }
        match job.operation {
            Operation::Step(step) if step.template.source == "notify" => Ok(notify(&step)),
            Operation::Step(step) => Ok(script(&step)),
            Operation::Expression(expression) => match expression.expression.as_str() {
                "true" => Ok(Answer::Done(json!(true))),
                "status.a.failed" => Ok(Answer::Done(
                    expression.scope["status"]["a"]["failed"].clone(),
                )),
                "number" => Ok(Answer::Done(json!(5))),
                other => Err(EngineError::Fault(format!("no answer for {other}"))),
            },
            other => Err(EngineError::Fault(format!("unexpected {other:?}"))),
        }
    }
}

/// Objects in memory.
#[derive(Default)]
pub(super) struct World {
    pub(super) objects: Mutex<BTreeMap<String, Value>>,
    pub(super) components: Mutex<Vec<ComponentRequest>>,
    pub(super) deployments: Mutex<Vec<DeployRequest>>,
    pub(super) unhealthy: AtomicUsize,
    /// How often objects of a component are still to come.
    pub(super) incomplete: AtomicUsize,
    pub(super) at_most_once: bool,
    /// How often the engine refuses to evaluate anything.
    pub(super) quarantined: AtomicUsize,
    /// Whether the condition on the metric does not hold.
    pub(super) is_slow: AtomicBool,
}

fn key(object: &Value) -> String {
    let text = |pointer| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    format!("{}/{}", text("/kind"), text("/metadata/name"))
}

/// Whether it was not zero yet.
fn counts_down(count: &AtomicUsize) -> bool {
    let left = count.load(Ordering::SeqCst);
    count.store(left.saturating_sub(1), Ordering::SeqCst);
    left > 0
}

impl World {
    pub(super) fn put(&self, object: Value) {
        self.objects.lock().unwrap().insert(key(&object), object);
    }

    fn health(&self) -> bool {
        !counts_down(&self.unhealthy)
    }
}

#[async_trait]
impl Ports for World {
    async fn template(&self, type_: &str) -> Result<Option<StepTemplate>, PortError> {
        if type_ == "unknown" {
            return Ok(None);
        }
        let unknown_outcome = if self.at_most_once {
            UnknownOutcome::Fail
        } else {
            UnknownOutcome::Repeat
        };
        Ok(Some(StepTemplate {
            name: type_.into(),
            source: type_.into(),
            evaluator: None,
            unknown_outcome,
        }))
    }

    async fn apply(&self, _: &str, object: Value) -> Result<Value, PortError> {
        self.put(object.clone());
        Ok(object)
    }

    async fn read(&self, _: &str, object: &Value) -> Result<Option<Value>, PortError> {
        Ok(self.objects.lock().unwrap().get(&key(object)).cloned())
    }

    async fn merge(&self, base: &Value, patch: &Value) -> Result<Value, PortError> {
        let mut merged = base.clone();
        merged["patched"] = patch.clone();
        Ok(merged)
    }

    async fn apply_component(&self, request: ComponentRequest) -> Result<Applied, PortError> {
        if request.component == "ghost" {
            return Err(PortError::new("component ghost not found"));
        }
        self.components.lock().unwrap().push(request);
        Ok(Applied {
            healthy: self.health(),
            message: String::new(),
            awaits: counts_down(&self.incomplete).then(|| "a late trait".to_owned()),
            output: Arc::new(json!({"spec": {"image": "x:1"}})),
            outputs: BTreeMap::new(),
        })
    }

    async fn deploy(&self, request: DeployRequest) -> Result<Applied, PortError> {
        self.deployments.lock().unwrap().push(request);
        Ok(Applied {
            healthy: self.health(),
            message: "web is not healthy".into(),
            ..Applied::default()
        })
    }

    async fn other(&self, call: &Call) -> Result<Option<Value>, PortError> {
        let holds = !self.is_slow.load(Ordering::SeqCst);
        let is_check = call.action == "promCheck";
        Ok(is_check.then(|| json!({"holds": holds, "value": if holds { "1" } else { "9" }})))
    }
}

/// Stops for ever at a place, and tells that it did.
#[derive(Default)]
pub(super) struct StopAt {
    pub(super) place: Option<&'static str>,
    pub(super) reached: Notify,
}

#[async_trait]
impl Faults for StopAt {
    async fn point(&self, name: &'static str) {
        if self.place == Some(name) {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// A daemon, and what outlives it.
pub(super) struct Bench {
    pub(super) store: Arc<dyn Store>,
    pub(super) world: Arc<World>,
    pub(super) clock: ManualClock,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Arc::new(Memory::new()), World::default())
    }

    pub(super) fn with(store: Arc<dyn Store>, world: World) -> Self {
        let clock = ManualClock::new(Timestamp::from_second(1_700_000_000).unwrap());
        Self {
            store,
            world: Arc::new(world),
            clock,
        }
    }

    pub(super) fn runner(&self, faults: Arc<dyn Faults>) -> Runner {
        let evaluation = Evaluation::new(Arc::new(Script(Arc::clone(&self.world))), Evaluator::V2);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Runner::new(
            Arc::clone(&self.store),
            evaluation,
            http,
            Arc::new(self.clock.clone()),
            faults,
        )
    }

    pub(super) async fn begin(&self, steps: Value) -> RunHandle {
        self.begin_with(steps, Arc::new(StopAt::default())).await
    }

    pub(super) async fn begin_with(&self, steps: Value, faults: Arc<dyn Faults>) -> RunHandle {
        let runner = self.runner(faults);
        runner
            .begin(head(), spec(steps), Arc::clone(&self.world) as _)
            .await
            .unwrap()
    }

    pub(super) async fn resume(&self) -> RunHandle {
        let runner = self.runner(Arc::new(StopAt::default()));
        runner
            .resume(head(), Arc::clone(&self.world) as _)
            .await
            .unwrap()
    }

    /// Waits until the run stands as wanted; time passes whenever nothing else happens.
    pub(super) async fn until(
        &self,
        run: &RunHandle,
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Snapshot {
        let mut snapshots = run.snapshots();
        for _ in 0..2_000 {
            let now = snapshots.borrow_and_update().clone();
            assert_eq!(now.broken, None);
            if wanted(&now) {
                return now;
            }
            // Real time only bounds the wait; what moves the run is the clock of the test.
            let quiet = Duration::from_millis(20);
            if tokio::time::timeout(quiet, snapshots.changed())
                .await
                .is_err()
            {
                self.clock.advance(Duration::from_secs(1));
            }
        }
        panic!("the run does not get there: {:#?}", run.snapshot());
    }

    pub(super) async fn over(&self, run: &RunHandle) -> Snapshot {
        self.until(run, |snapshot| snapshot.phase.is_over()).await
    }
}

pub(super) fn head() -> RunHead {
    RunHead {
        id: RunId("run-1".into()),
        app: AppKey {
            namespace: "prod".into(),
            name: "web".into(),
            uid: "u1".into(),
        },
        revision: "web-v1".into(),
        opened: Timestamp::from_second(1_700_000_000).unwrap(),
    }
}

pub(super) fn spec(steps: Value) -> RunSpec {
    RunSpec {
        app_revision: "web-v1".into(),
        steps: serde_json::from_value(steps).unwrap(),
        context: json!({"appName": "web"}).as_object().unwrap().clone(),
        seed: 3,
        ..RunSpec::default()
    }
}

/// `name=phase/reason message` of each step.
pub(super) fn shown(snapshot: &Snapshot) -> Vec<String> {
    let rows = snapshot.status.steps.iter().map(|step| {
        let part = |text: &Option<String>, before: &str| {
            text.as_ref()
                .map(|text| format!("{before}{text}"))
                .unwrap_or_default()
        };
        let (reason, message) = (part(&step.reason, "/"), part(&step.message, " "));
        format!("{}{}{reason}{message}", step.name, part(&step.phase, "="))
    });
    rows.collect()
}
