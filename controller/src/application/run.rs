//! The run of an Application's workflow, as the reconciler sees it: the engine's task, or what is left of one.

use std::sync::Arc;

use caravel_core::api::labels::annotations::{WORKFLOW_NAME, WORKFLOW_START_TIME};
use caravel_core::api::{
    Application, ApplicationRevision, ApplicationRevisionStatus, ObjectReference, WorkflowMode,
    WorkflowStatus,
};
use caravel_store::{AppKey, Projection, RunHead, RunId};
use caravel_workflow::{Command, Limits, RunPhase, RunSpec, commands};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, Request};
use kube::{Resource as _, ResourceExt as _};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use tracing::warn;

use super::intent::{Intent, publish_version};
use super::session::Key;
use super::{Context, TurnError};
use crate::FIELD_MANAGER;
use crate::engine::{Ports, RunHandle, Snapshot};

/// The newest run of an Application.
pub(crate) struct Run {
    head: RunHead,
    /// The engine's task; none for a run that was over before this process began.
    handle: Option<RunHandle>,
    /// How it stood when its task was last looked at, or ended.
    last: Snapshot,
    /// What was last written, or was going to be: what differs from all of these is a user's wish.
    projections: Vec<Option<WorkflowStatus>>,
    is_closed: bool,
}

impl Run {
    /// The newest run that the journal knows of, continued if it is not over.
    pub(crate) async fn latest(
        context: &Arc<Context>,
        app: &AppKey,
        ports: Arc<dyn Ports>,
    ) -> Result<Option<Self>, TurnError> {
        let Some(found) = context.store.latest(app).await? else {
            return Ok(None);
        };
        let projections = found
            .projection
            .as_ref()
            .and_then(|projection| serde_json::from_value(projection.status.clone()).ok())
            .unwrap_or_default();
        let rebuilt = context.store.rebuild(&found.head.id).await?;
        let last = Snapshot {
            status: rebuilt.state.status(),
            phase: rebuilt.state.phase(),
            values: rebuilt.state.values().as_map().clone(),
            superseded: rebuilt.state.superseded(),
            broken: None,
        };
        let handle = if last.phase.is_over() {
            None
        } else {
            let handle = context.runner.resume(found.head.clone(), ports).await?;
            follow(context, app, &handle);
            Some(handle)
        };
        // The store closes a run together with its history; what follows from its end may not have been done.
        Ok(Some(Self {
            head: found.head,
            handle,
            last,
            projections,
            is_closed: false,
        }))
    }

    /// Opens a run of what is intended. A status that tells of such a run, of which the journal knows
    /// nothing, is taken over: it was handed over by KubeVela, or the journal was lost.
    pub(crate) async fn open(
        context: &Arc<Context>,
        app: &AppKey,
        application: &Application,
        intent: &Intent,
        adopted: Option<&WorkflowStatus>,
        ports: Arc<dyn Ports>,
    ) -> Result<Self, TurnError> {
        let head = RunHead {
            id: RunId(uuid::Uuid::now_v7().to_string()),
            app: app.clone(),
            revision: intent.revision.name.clone(),
            opened: context.now(),
        };
        let version = context.cluster_version.to_json();
        let spec = spec(application, intent, version, context.limits);
        let handle = match adopted {
            Some(status) => {
                let values = read_context(context, application).await;
                context
                    .runner
                    .adopt(head.clone(), spec, status.clone(), values, ports)
                    .await?
            }
            None => context.runner.begin(head.clone(), spec, ports).await?,
        };
        follow(context, app, &handle);
        let last = handle.snapshot();
        let projections = adopted.cloned().map(Some).into_iter().collect();
        Ok(Self {
            head,
            handle: Some(handle),
            last,
            projections,
            is_closed: false,
        })
    }

    /// How it stands now.
    pub(crate) fn look(&mut self) -> &Snapshot {
        if let Some(handle) = &self.handle {
            // A wish for another run in place of this one stays, though this one is over and does not know of it.
            let superseded = self.last.superseded;
            self.last = handle.snapshot();
            self.last.superseded |= superseded;
        }
        &self.last
    }

    /// Lets go of what only a run under way needs. A task that still records the end keeps its place.
    pub(crate) fn rest(&mut self) {
        if self.handle.as_ref().is_some_and(RunHandle::is_ended) {
            self.look();
            self.handle = None;
        }
    }

    /// Its phase at the last look.
    pub(crate) fn phase(&self) -> RunPhase {
        self.last.phase
    }

    /// Whether a user asked for another run in its place.
    pub(crate) fn is_superseded(&self) -> bool {
        self.last.superseded
    }

    /// Whether its task stopped for a reason of ours: it has to be taken up again.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.last.broken.as_deref()
    }

    /// What it delivers, as `status.workflow.appRevision` says it.
    pub(crate) fn app_revision(&self) -> &str {
        self.last.status.app_revision.as_deref().unwrap_or_default()
    }

    /// `status.workflow` at the last look.
    pub(crate) fn status(&self, application: &Application) -> WorkflowStatus {
        let mut status = self.last.status.clone();
        status.context_backend = Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            name: Some(context_name(application)),
            namespace: application.namespace(),
            ..ObjectReference::default()
        });
        status
    }

    /// What users asked for by writing `status.workflow` (rows WF-028, TRAP-009).
    pub(crate) fn wishes(&self, found: Option<&WorkflowStatus>) -> Vec<Command> {
        let Some(Some(last)) = self.projections.last() else {
            return Vec::new();
        };
        let is_ours = self.projections.iter().any(|ours| ours.as_ref() == found);
        if is_ours {
            Vec::new()
        } else {
            commands(last, found)
        }
    }

    /// Gives it a user's command. One that it does not allow is only logged: the next report puts the
    /// status right.
    pub(crate) async fn command(
        &mut self,
        context: &Arc<Context>,
        command: Command,
        ports: Arc<dyn Ports>,
    ) -> Result<(), TurnError> {
        if self.last.phase.is_over() && matches!(command, Command::RestartStep { .. }) {
            let head = self.head.clone();
            let handle = context.runner.steer(head, command, "status", ports).await?;
            follow(context, &self.head.app, &handle);
            self.handle = Some(handle);
            self.is_closed = false;
            self.look();
            return Ok(());
        }
        let Some(handle) = &self.handle else {
            self.last.superseded |= matches!(command, Command::Restart);
            return Ok(());
        };
        let wants_restart = matches!(command, Command::Restart);
        if let Err(refused) = handle.command(command, "status").await {
            warn!(run = %self.head.id, %refused, "a user's wish");
            // A run that is over is replaced all the same.
            self.last.superseded |= wants_restart;
        }
        self.look();
        Ok(())
    }

    /// Lets waiting steps look again.
    pub(crate) async fn nudge(&self) {
        if let Some(handle) = &self.handle {
            // A run that is over has nothing that waits.
            let _ = handle.nudge().await;
        }
    }

    /// Notes what is going to be written in place of `found`, before it is: after a crash, and after a write
    /// that somebody else's came before, either counts as ours.
    pub(crate) async fn project(
        &mut self,
        context: &Context,
        found: Option<&WorkflowStatus>,
        wanted: &WorkflowStatus,
    ) -> Result<(), TurnError> {
        if self.projections.last().and_then(Option::as_ref) == Some(wanted) {
            return Ok(());
        }
        let candidates = vec![found.cloned(), Some(wanted.clone())];
        let projection = Projection {
            resource_version: String::new(),
            status: json!(candidates),
        };
        context.store.project(&self.head.id, &projection).await?;
        self.projections = candidates;
        Ok(())
    }

    /// The write of the last projection was answered: it alone counts as ours.
    pub(crate) fn projected(&mut self) {
        if let Some(last) = self.projections.pop() {
            self.projections = vec![last];
        }
    }

    /// Records the end of the run at its revision and in its context (rows APP-029, WF-016, WF-022).
    pub(crate) async fn close(
        &mut self,
        context: &Context,
        application: &Application,
        intent: &Intent,
    ) -> Result<(), TurnError> {
        if self.is_closed {
            return Ok(());
        }
        let vars = self.write_context(context, application).await?;
        self.write_revision(context, application, intent, vars)
            .await?;
        // Not asked of the store: the run's task records it there at the same time.
        let took = length(&self.last.status);
        context.metrics.delivery(self.last.phase.as_str(), took);
        self.is_closed = true;
        Ok(())
    }

    async fn write_revision(
        &self,
        context: &Context,
        application: &Application,
        intent: &Intent,
        vars: String,
    ) -> Result<(), TurnError> {
        let namespace = application.namespace().unwrap_or_default();
        let status = ApplicationRevisionStatus {
            succeeded: self.last.phase == RunPhase::Succeeded,
            workflow: Some(self.status(application)),
            workflow_context: [("vars".to_owned(), vars)].into(),
        };
        let patch = json!({"status": status});
        let name = &intent.revision.name;
        let url = ApplicationRevision::url_path(&(), Some(&namespace));
        let request = Request::new(url)
            .patch_subresource("status", name, &ours(), &Patch::Merge(patch))
            .map_err(kube::Error::BuildRequest)?;
        // The answer would be all of the revision.
        match context.client.request::<IgnoredAny>(request).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// The `ConfigMap` that holds the values that steps gave to others; JSON is CUE.
    async fn write_context(
        &self,
        context: &Context,
        application: &Application,
    ) -> Result<String, TurnError> {
        let namespace = application.namespace().unwrap_or_default();
        let mut vars = String::new();
        for (name, value) in &self.last.values {
            vars.extend([
                json!(name).to_string(),
                ": ".to_owned(),
                value.to_string(),
                "\n".to_owned(),
            ]);
        }
        let name = context_name(application);
        let started = self
            .last
            .status
            .start_time
            .as_ref()
            .map(|time| time.0.to_string());
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "annotations": {WORKFLOW_START_TIME: started.unwrap_or_default()},
                "ownerReferences": [super::revision::owner_reference(application)],
            },
            "data": {"vars": vars},
        });
        let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
        let apply = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(&name, &apply, &Patch::Apply(object)).await?;
        Ok(vars)
    }
}

fn ours() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Wants a turn whenever the run stands otherwise.
fn follow(context: &Arc<Context>, app: &AppKey, handle: &RunHandle) {
    let key = Key {
        namespace: app.namespace.clone(),
        name: app.name.clone(),
    };
    let mut snapshots = handle.snapshots();
    let context = Arc::downgrade(context);
    tokio::spawn(async move {
        // Ends with the run's task, which holds the other end.
        loop {
            if let Some(context) = context.upgrade() {
                context.trigger(&key);
            }
            if snapshots.changed().await.is_err() {
                break;
            }
        }
        if let Some(context) = context.upgrade() {
            context.trigger(&key);
        }
    });
}

/// What the run is made of (rows APP-037 to APP-040, REN-107).
fn spec(application: &Application, intent: &Intent, version: Value, limits: Limits) -> RunSpec {
    let appfile = &intent.appfile;
    let workflow = &appfile.workflow;
    RunSpec {
        app_revision: intent.desired.clone(),
        mode: WorkflowMode {
            steps: Some(workflow.mode),
            sub_steps: Some(workflow.sub_mode),
        },
        steps: intent.steps.clone(),
        context: step_context(application, intent, version),
        seed: rand::random(),
        limits,
    }
}

/// `context` of steps, without what belongs to one step.
fn step_context(application: &Application, intent: &Intent, version: Value) -> Map<String, Value> {
    let mut context = Map::new();
    let mut put = |key: &str, value: Value| context.insert(key.to_owned(), value);
    let name = application.name_any();
    put("name", json!(name));
    put("appName", json!(name));
    put("namespace", json!(application.namespace()));
    put("appRevision", json!(intent.revision.name));
    put("appRevisionNum", json!(intent.revision.revision));
    put("appLabels", json!(application.labels()));
    put("appAnnotations", json!(application.annotations()));
    let workflow_name = application.annotations().get(WORKFLOW_NAME);
    put(
        "workflowName",
        json!(workflow_name.cloned().unwrap_or_default()),
    );
    // What belongs to one component or place is there, and empty.
    put("cluster", json!(""));
    put("clusterVersion", version);
    put("components", Value::Null);
    put("replicaKey", json!(""));
    put("revision", json!(""));
    put("spanID", json!(""));
    put(
        "publishVersion",
        json!(publish_version(application).unwrap_or_default()),
    );
    context
}

/// Row WF-016.
pub(super) fn context_name(application: &Application) -> String {
    format!("workflow-{}-context", application.name_any())
}

/// The values of a run that KubeVela began; what cannot be read is left out, and the steps that need it wait.
async fn read_context(context: &Context, application: &Application) -> Map<String, Value> {
    let namespace = application.namespace().unwrap_or_default();
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let found = api.get_opt(&context_name(application)).await.ok().flatten();
    let vars = found
        .and_then(|map| map.data)
        .and_then(|mut data| data.remove("vars"));
    let Some(vars) = vars.filter(|vars| !vars.trim().is_empty()) else {
        return Map::new();
    };
    let request = caravel_core::engine::ExpressionRequest {
        expression: format!("{{\n{vars}\n}}"),
        ..caravel_core::engine::ExpressionRequest::default()
    };
    let operation = caravel_core::engine::Operation::Expression(request);
    context
        .evaluation
        .call(&namespace, operation)
        .await
        .unwrap_or_default()
}

/// How long a run took; nothing for one that did not begin.
fn length(status: &WorkflowStatus) -> SignedDuration {
    match (&status.start_time, &status.end_time) {
        (Some(start), Some(end)) => end.0.duration_since(start.0),
        _ => SignedDuration::ZERO,
    }
}
