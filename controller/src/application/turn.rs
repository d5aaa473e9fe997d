//! One turn of an Application: gather, decide, act, report.

mod settle;
mod tell;

use std::sync::Arc;

use caravel_clusters::inventory::InventoryError;
use caravel_clusters::{Owner, RawObject, ResourcePolicies};
use caravel_core::api::Application;
use caravel_core::api::labels::annotations::{AUTO_UPDATE, RESTART_WORKFLOW};
use caravel_core::api::labels::{PAUSE, finalizers};
use caravel_core::api::phase::{ApplicationPhase, ConditionType, EventReason};
use caravel_core::appfile::PolicyRule;
use caravel_workflow::Command;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use super::deletion::Left;
use super::delivery::{Delivery, DeliveryError};
use super::following::Following;
use super::intent::{Intent, Obstacle, publish_version};
use super::retry::Retry;
use super::run::Run;
use super::session::{Active, IntentKey, Key, Marks, Memory};
use super::status::Stage;
use super::{Context, TurnError, applications, deletion, intent, report, restart};
use crate::FIELD_MANAGER;

/// When something is looked for again that no watch tells of.
const AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// What came of a turn.
pub(crate) struct Turned {
    /// When the next one is due by itself.
    pub(crate) due: Option<Timestamp>,
    pub(crate) is_ok: bool,
}

/// What a turn that came to its end found.
enum Found {
    /// There was nothing to look at.
    AsItWas,
    /// It was looked at.
    Seen,
    /// The Application is gone.
    Gone,
}

/// Makes a turn. One that fails is repeated, and people are told if that does not help.
pub(crate) async fn turn(context: &Arc<Context>, key: &Key) -> Turned {
    let session = context.sessions.get(key);
    let mut memory = session.memory.lock().await;
    let marks = session.take();
    let found = look(context, key, &mut memory, marks).await;
    let is_ok = found.is_ok();
    match found {
        Ok(Found::AsItWas) => {}
        Ok(Found::Seen) => memory.retry = Retry::default(),
        Ok(Found::Gone) => {
            drop(memory);
            context.forget(key);
            return Turned { due: None, is_ok };
        }
        Err(error) => {
            session.put_back(marks);
            fail(context, key, &mut memory, &error).await;
        }
    }
    Turned {
        due: memory.due,
        is_ok,
    }
}

async fn look(
    context: &Arc<Context>,
    key: &Key,
    memory: &mut Memory,
    marks: Marks,
) -> Result<Found, TurnError> {
    let api = api(context, key);
    let Some(object) = api.get_opt(&key.name).await? else {
        if marks.is_lost {
            context.inventories.release(&gone(key)).await?;
        }
        return Ok(Found::Gone);
    };
    let now = context.now();
    let is_due = memory.due.is_some_and(|due| due <= now);
    if !marks.any() && !is_due && memory.seen == object.resource_version() {
        return Ok(Found::AsItWas);
    }
    let mut turn = Turn::of(context, api, object, memory)?;
    (turn.marks, turn.is_due) = (marks, is_due);
    if is_paused(&turn.application) {
        // Its run goes on from its journal once somebody may touch it again.
        turn.memory.active = None;
    } else if turn.application.metadata.deletion_timestamp.is_some() {
        turn.delete().await?;
    } else {
        turn.ensure_finalizer().await?;
        if let Err(error) = turn.deliver().await {
            // What is known of the inventory stays behind until it is read again; the run goes on from its journal.
            if matches!(error, TurnError::Inventory(InventoryError::Conflict { .. })) {
                turn.memory.active = None;
            }
            return Err(error);
        }
    }
    Ok(Found::Seen)
}

/// When the turn is repeated; who looks at the log or at the Application is told why, once.
async fn fail(context: &Arc<Context>, key: &Key, memory: &mut Memory, error: &TurnError) {
    let pause = memory.retry.pause(error.pause(), rand::random());
    let problem = error.in_words();
    if memory.retry.is_to_be_logged(&problem) {
        warn!(application = %key, problem, "the turn is repeated, at least once a minute");
    } else {
        debug!(application = %key, problem, ?pause, "the turn is repeated");
    }
    if !matches!(error, TurnError::Api(kube::Error::Api(_))) {
        // Whatever is heard of the Application next is a sign that it may work again.
        memory.seen = None;
    }
    if memory.retry.is_to_be_told(&problem) {
        match tell_failure(context, key, memory, &problem).await {
            Ok(()) => memory.retry.was_told(problem),
            Err(error) => debug!(application = %key, %error, "cannot be told"),
        }
    }
    memory.due = Some(context.now() + pause);
}

async fn tell_failure(
    context: &Arc<Context>,
    key: &Key,
    memory: &mut Memory,
    problem: &str,
) -> Result<(), TurnError> {
    let api = api(context, key);
    let Some(object) = api.get_opt(&key.name).await? else {
        return Ok(());
    };
    let mut turn = Turn::of(context, api, object, memory)?;
    let found = turn.application.status.clone().unwrap_or_default();
    let message = format!("{problem}; this is tried again by itself, at least once a minute");
    let now = report::time(context.now());
    let status = super::status::failing(&found, &message, &now);
    turn.write_status(&status).await
}

fn api(context: &Context, key: &Key) -> Api<RawObject> {
    Api::namespaced_with(context.client.clone(), &key.namespace, &applications())
}

/// As our field manager writes.
fn ours() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// An Application that is not there any more.
fn gone(key: &Key) -> Owner {
    Owner {
        name: key.name.clone(),
        namespace: key.namespace.clone(),
        ..Owner::default()
    }
}

/// Rows APP-002 and APP-003.
fn is_paused(application: &Application) -> bool {
    let label = application.labels().get(PAUSE);
    label.is_some_and(|value| value == "true") || restart::is_for_others(application.annotations())
}

/// A turn under way.
struct Turn<'a> {
    context: &'a Arc<Context>,
    api: Api<RawObject>,
    /// The Application as it was read, but for `managedFields`: fields that we do not know survive in here.
    object: Value,
    application: Application,
    /// What happened since the turn before.
    marks: Marks,
    /// The time has come that an earlier turn set.
    is_due: bool,
    memory: &'a mut Memory,
}

impl<'a> Turn<'a> {
    /// Of an Application as it was read.
    fn of(
        context: &'a Arc<Context>,
        api: Api<RawObject>,
        object: RawObject,
        memory: &'a mut Memory,
    ) -> Result<Self, TurnError> {
        let object = object.without_managed_fields();
        let application = Application::deserialize(&object)
            .map_err(|error| TurnError::Damaged(format!("the Application: {error}")))?;
        let uid = application.uid().unwrap_or_default();
        if memory.uid != uid {
            *memory = Memory {
                uid,
                ..Memory::default()
            };
        }
        memory.seen = application.resource_version();
        memory.due = None;
        memory.looked = Some(context.now());
        Ok(Self {
            context,
            api,
            object,
            application,
            marks: Marks::default(),
            is_due: false,
            memory,
        })
    }
}

impl Turn<'_> {
    async fn delete(&mut self) -> Result<(), TurnError> {
        let has_ours = self
            .application
            .finalizers()
            .iter()
            .any(|name| name == finalizers::RESOURCE_TRACKER);
        if !has_ours {
            return Ok(());
        }
        self.memory.active = None;
        let policies = resource_policies_of_spec(&self.application);
        let owner = self.owner(None);
        let left = deletion::turn(self.context, &self.application, owner, &policies).await?;
        match left {
            Left::Waiting(message) => {
                let found = self.application.status.clone().unwrap_or_default();
                let now = report::time(self.context.now());
                let status = super::status::deleting(&found, Some(message), &now);
                self.write_status(&status).await
            }
            Left::Nothing => self.remove_finalizers().await,
        }
    }

    async fn remove_finalizers(&mut self) -> Result<(), TurnError> {
        let kept: Vec<&String> = self
            .application
            .finalizers()
            .iter()
            .filter(|name| {
                ![finalizers::RESOURCE_TRACKER, finalizers::ORPHAN_RESOURCE]
                    .contains(&name.as_str())
            })
            .collect();
        let kept = json!(kept);
        self.patch_metadata(json!({"finalizers": kept})).await
    }

    /// Row APP-007. Nothing is created before it stands.
    async fn ensure_finalizer(&mut self) -> Result<(), TurnError> {
        if self
            .application
            .finalizers()
            .iter()
            .any(|name| name == finalizers::RESOURCE_TRACKER)
        {
            return Ok(());
        }
        let mut names = self.application.finalizers().to_vec();
        names.push(finalizers::RESOURCE_TRACKER.to_owned());
        self.patch_metadata(json!({"finalizers": names})).await
    }

    async fn patch_metadata(&mut self, mut metadata: Value) -> Result<(), TurnError> {
        metadata["resourceVersion"] = json!(self.application.resource_version());
        let patch = json!({"metadata": metadata});
        let name = self.application.name_any();
        let patch = Patch::Merge(patch);
        let written = self.api.patch(&name, &ours(), &patch).await;
        self.written(written)
    }

    /// What came of a write to the Application. One that is gone is seen to be so by the next turn.
    fn written(&mut self, written: kube::Result<RawObject>) -> Result<(), TurnError> {
        match written {
            Ok(object) => self.take(object),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                Err(TurnError::Again("the Application changed"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The Application as our own write left it.
    fn take(&mut self, object: RawObject) -> Result<(), TurnError> {
        self.memory.seen = object.resource_version();
        let damaged = |error| TurnError::Damaged(format!("the Application: {error}"));
        self.object = object.without_managed_fields();
        self.application = Application::deserialize(&self.object).map_err(damaged)?;
        Ok(())
    }

    async fn deliver(&mut self) -> Result<(), TurnError> {
        let intent = match self.intent().await {
            Ok(intent) => intent,
            Err(Obstacle::Rejected(rejection)) => return self.reject(&rejection).await,
            Err(Obstacle::Policy(error)) => return self.refuse(&error).await,
            Err(Obstacle::Referred(error)) => return self.miss(&error).await,
            Err(Obstacle::Turn(TurnError::Api(kube::Error::Api(status))))
                if is_refusal(&status) =>
            {
                return self.unrecorded(&status.message).await;
            }
            Err(Obstacle::Turn(error)) => return Err(error),
        };
        self.memory.is_unresolved = false;
        self.obey().await?;
        let restart_at = self.restart().await?;
        self.begin_or_go_on(&intent).await?;
        if let Some(active) = self
            .memory
            .active
            .as_ref()
            .filter(|_| self.marks.objects_changed)
        {
            active.run.nudge().await;
        }
        if self.marks.is_lost {
            self.revive().await?;
        }
        let Some(active) = self.memory.active.as_mut() else {
            return Ok(());
        };
        let is_over = active.run.look().phase.is_over();
        if let Some(reason) = active.run.broken() {
            warn!(
                application = self.application.name_any(),
                reason, "the run is taken up again"
            );
            self.memory.active = None;
            return Err(TurnError::Again("the workflow run stopped"));
        }
        if is_over && !active.is_settled {
            self.settle(&intent).await?;
        }
        self.keep_state().await?;
        self.report(&intent, restart_at).await?;
        if let Some(active) = self.memory.active.as_mut().filter(|one| one.is_settled) {
            active.run.rest();
            active.delivery.inventory.pack().await;
        }
        if let Some(interval) = restart::interval(self.application.annotations()) {
            self.wake_at(self.context.now() + interval);
        }
        Ok(())
    }

    fn wake_at(&mut self, at: Timestamp) {
        let due = self.memory.due.filter(|due| *due <= at);
        self.memory.due = due.or(Some(at));
    }

    /// Starts the workflow again where the annotation says so (rows APP-006, APP-034); when it is to start, if that
    /// is later.
    async fn restart(&mut self) -> Result<Option<Time>, TurnError> {
        let now = self.context.now();
        let found = self.application.status.clone().unwrap_or_default();
        let scheduled = found.workflow_restart_scheduled_at.map(|time| time.0);
        let Some(active) = self.memory.active.as_mut() else {
            return Ok(scheduled.map(report::time));
        };
        let ended = active.run.look().status.end_time.clone();
        let ended = ended.map(|time| time.0);
        let wish = restart::restart(self.application.annotations(), scheduled, ended, now);
        if let Some(problem) = &wish.problem {
            warn!(
                application = self.application.name_any(),
                problem, "ignored"
            );
        }
        if wish.is_noted {
            // First it is told, then the annotation goes: a crash in between loses nothing.
            let mut told = self.application.status.clone().unwrap_or_default();
            told.workflow_restart_scheduled_at = wish.at.map(report::time);
            self.write_status(&told).await?;
            self.patch_metadata(json!({"annotations": {RESTART_WORKFLOW: null}}))
                .await?;
        }
        if !restart::is_due(wish.at, ended, now) {
            let later = wish.at.filter(|at| *at > now);
            if let Some(at) = later {
                self.wake_at(at);
            }
            return Ok(later.map(report::time));
        }
        info!(
            application = self.application.name_any(),
            "the workflow is started again"
        );
        if let Some(active) = self.memory.active.as_mut() {
            let ports = active.delivery.clone();
            active
                .run
                .command(self.context, Command::Restart, ports)
                .await?;
        }
        Ok(None)
    }

    /// What is to be delivered; decided anew only when what it follows from has changed (TRAP-002).
    async fn intent(&mut self) -> Result<Intent, Obstacle> {
        let library = &self.context.library;
        let follows = self.application.annotations().contains_key(AUTO_UPDATE);
        let publish_version = publish_version(&self.application);
        let is_free = publish_version.is_none();
        let key = IntentKey {
            generation: self.application.metadata.generation.unwrap_or(0),
            publish_version,
            library: follows.then(|| *library.changes().borrow()),
            following: is_free.then(|| Following::of(&self.application, library).into()),
        };
        if let Some((known, intent)) = &self.memory.intent
            && *known == key
        {
            return Ok(intent.clone());
        }
        self.memory.following.clone_from(&key.following);
        let intent = Box::pin(intent::intent(self.context, &self.application)).await?;
        if intent.is_new {
            self.tell_policies(&intent);
            self.event(EventReason::Revisioned, "Revisioned successfully");
        }
        let added = intent.told.as_ref().and_then(|told| told.metadata.clone());
        if let Some(added) = added {
            self.patch_metadata((*added).clone()).await?;
        }
        self.memory.intent = Some((key, intent.clone()));
        Ok(intent)
    }

    /// Status is also a command channel (rows WF-028, TRAP-009).
    async fn obey(&mut self) -> Result<(), TurnError> {
        if self.memory.active.is_none() {
            self.memory.active = self.load().await?;
        }
        let Some(active) = self.memory.active.as_mut() else {
            return Ok(());
        };
        let found = self
            .application
            .status
            .as_ref()
            .and_then(|status| status.workflow.as_ref());
        active.run.look();
        for command in active.run.wishes(found) {
            info!(
                application = self.application.name_any(),
                ?command,
                "a user's wish"
            );
            if matches!(command, Command::RestartStep { .. }) {
                active.is_settled = false;
            }
            active
                .run
                .command(self.context, command, active.delivery.clone())
                .await?;
        }
        Ok(())
    }

    /// The newest run of the Application, as its journal has it.
    async fn load(&self) -> Result<Option<Active>, TurnError> {
        let Some((_, intent)) = &self.memory.intent else {
            return Ok(None);
        };
        let app = deletion::app_key(&self.application);
        let delivery = Arc::new(self.delivery(intent).await?);
        let found = Run::latest(self.context, &app, delivery.clone()).await?;
        Ok(found.map(|run| Active {
            run,
            delivery,
            is_complete: false,
            is_settled: false,
            is_swept: false,
        }))
    }

    /// Takes up the run of what is to be delivered, or opens one (rows APP-034, APP-035).
    async fn begin_or_go_on(&mut self, intent: &Intent) -> Result<(), TurnError> {
        let goes_on = self.memory.active.as_ref().is_some_and(|active| {
            !active.run.is_superseded() && active.run.app_revision() == intent.desired
        });
        if goes_on {
            return Ok(());
        }
        // Dropping a run stops its task; what it did is in its journal and in the inventory.
        let is_first = self.memory.active.take().is_none();
        let app = deletion::app_key(&self.application);
        let delivery = Arc::new(self.delivery(intent).await?);
        let status = self.application.status.as_ref();
        let handed_over = status
            .and_then(|status| status.workflow.clone())
            .filter(|found| is_first && found.app_revision.as_deref() == Some(&intent.desired))
            .filter(|found| !found.steps.is_empty());
        let adopted = handed_over;
        if adopted.is_none() {
            // Rows of the run before say nothing about this one (row APP-035).
            delivery.services.lock().await.clear();
            if let Err(error) = delivery.apply_policies().await {
                return self.hold(error, &delivery).await;
            }
        }
        let ports = delivery.clone();
        let run = Run::open(
            self.context,
            &app,
            &self.application,
            intent,
            adopted.as_ref(),
            ports,
        )
        .await?;
        for (reason, message) in [
            (EventReason::Parsed, "Parsed successfully"),
            (
                EventReason::PolicyGenerated,
                "Policy generated successfully",
            ),
            (EventReason::Rendered, "Rendered successfully"),
        ] {
            self.event(reason, message);
        }
        let is_complete = adopted.is_none();
        self.memory.active = Some(Active {
            run,
            delivery,
            is_complete,
            is_settled: false,
            is_swept: false,
        });
        Ok(())
    }

    /// The objects of policies cannot be made: nothing begins before they are (row APP-011).
    async fn hold(&mut self, error: DeliveryError, delivery: &Delivery) -> Result<(), TurnError> {
        let mut problems = vec![error.to_string()];
        problems.extend(delivery.problems());
        let mut stages: Vec<Stage> = [ConditionType::Parsed, ConditionType::Revision]
            .map(Stage::done)
            .into();
        stages.push(Stage::failed(ConditionType::Policy, problems.join("\n")));
        self.try_again();
        self.stop(
            ApplicationPhase::GeneratingPolicy,
            stages,
            EventReason::FailedApply,
        )
        .await
    }

    /// What a component refers to is not there: nothing begins before it is. What ran before keeps running.
    async fn miss(&mut self, error: &DeliveryError) -> Result<(), TurnError> {
        self.try_again();
        let stage = Stage::failed(ConditionType::Parsed, error.to_string());
        self.stop(
            ApplicationPhase::Rendering,
            vec![stage],
            EventReason::FailedParse,
        )
        .await
    }

    /// The hub does not take the revision: it says why, and repeating that soon changes nothing.
    async fn unrecorded(&mut self, why: &str) -> Result<(), TurnError> {
        self.try_again();
        let stage = Stage::failed(ConditionType::Revision, why.to_owned());
        self.stop(
            ApplicationPhase::Rendering,
            vec![stage],
            EventReason::FailedRevision,
        )
        .await
    }

    /// What is to be delivered is decided anew, now and then or when a definition changes.
    fn try_again(&mut self) {
        self.memory.intent = None;
        self.memory.is_unresolved = true;
        self.memory.due = Some(self.context.now() + AGAIN);
    }

    async fn delivery(&self, intent: &Intent) -> Result<Delivery, TurnError> {
        let owner = self.owner(Some(intent));
        let inventory = self.context.inventories.load(owner).await?;
        let rules = intent.appfile.policies.iter().map(|policy| &policy.rule);
        let policies = ResourcePolicies::of(rules);
        self.context.watch(&self.application, &inventory, &policies);
        let services = self.application.status.as_ref().map(|s| s.services.clone());
        // Who wrote it last decides what it may, whatever revision is delivered.
        let actor = self.context.actor(&self.application);
        Ok(Delivery::new(
            self.context,
            actor,
            intent,
            inventory,
            services.unwrap_or_default(),
        ))
    }

    fn owner(&self, intent: Option<&Intent>) -> Owner {
        Owner {
            name: self.application.name_any(),
            namespace: self.application.namespace().unwrap_or_default(),
            uid: self.application.uid().unwrap_or_default(),
            generation: self.application.metadata.generation.unwrap_or(0),
            publish_version: publish_version(&self.application),
            revision: intent.map(|intent| intent.revision.name.clone()),
        }
    }
}

/// The policies that a deletion needs, read from the specification alone: definitions may be gone.
fn resource_policies_of_spec(application: &Application) -> ResourcePolicies {
    let rules: Vec<PolicyRule> = application
        .spec
        .policies
        .iter()
        .filter(|policy| policy.type_ == "garbage-collect" || policy.type_ == "shared-resource")
        .filter_map(|policy| {
            let properties = policy.properties.clone()?;
            if policy.type_ == "garbage-collect" {
                serde_json::from_value(properties)
                    .ok()
                    .map(PolicyRule::GarbageCollect)
            } else {
                serde_json::from_value(properties)
                    .ok()
                    .map(PolicyRule::SharedResource)
            }
        })
        .collect();
    ResourcePolicies::of(&rules)
}

/// Whether the hub refused what was sent, as it is; not that somebody else was faster, or that there was too much.
fn is_refusal(status: &kube::core::Status) -> bool {
    matches!(status.code, 400 | 403 | 413 | 422)
}
