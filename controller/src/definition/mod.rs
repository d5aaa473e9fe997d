//! Controllers of the four kinds of definition: revisions, schemas, status (rows DEF-001 to DEF-005).
//!
//! The decisions stand in [`reconcile`], the writes in [`act`], the report in [`status`].

mod act;
mod kind;
mod reconcile;
mod status;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use caravel_core::api::labels::annotations::{CUE_EVALUATOR, SHIPPED};
use caravel_core::appfile::{newest_revision, type_label};
use caravel_core::engine::{
    Diagnostic, DiagnosticKind, Evaluator, FormatRequest, Operation, SchemaRequest, UpgradeResult,
};
use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub(crate) use self::kind::{KINDS, Kind, oam_resource};
pub(crate) use self::reconcile::{is_recorded, revision_conflict, spec_hash};
use self::status::Found;
use crate::FIELD_MANAGER;
use crate::admission::{InUse, Wanted, types_in_use};
use crate::evaluation::Evaluation;
use crate::library::Library;
use caravel_engines::EngineError;

/// How long to wait after a turn that failed.
const RETRY: Duration = Duration::from_secs(5);

/// What the controllers of definitions need.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) library: Library,
    pub(crate) evaluation: Evaluation,
    /// Revisions that are kept besides the latest one (row DEF-005).
    pub(crate) revision_limit: usize,
}

/// Runs the four controllers until `shutdown`.
pub(crate) async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let controllers = KINDS
        .iter()
        .map(|kind| run_kind(kind, context.clone(), shutdown.clone()));
    futures::future::join_all(controllers).await;
}

async fn run_kind(kind: &'static Kind, context: Arc<Context>, shutdown: CancellationToken) {
    let resource = kind.resource();
    let api: Api<DynamicObject> = Api::all_with(context.client.clone(), &resource);
    Controller::new_with(api, watcher::Config::default(), resource)
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(
            move |object, context| turn(kind, object, context),
            retry,
            context,
        )
        .for_each(|outcome| async move {
            if let Err(error) = outcome {
                debug!(kind = kind.name, %error, "a turn of a definition");
            }
        })
        .await;
}

/// Why a turn failed; it is repeated.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error("{0}")]
    Api(#[from] kube::Error),
    #[error("the object is not JSON: {0}")]
    Json(#[from] serde_json::Error),
}

async fn turn(
    kind: &'static Kind,
    object: Arc<DynamicObject>,
    context: Arc<Context>,
) -> Result<Action, TurnError> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let client = &context.client;
    let namespace = object.namespace().unwrap_or_default();
    let definition = serde_json::to_value(&*object)?;
    let revisions = revisions(client, kind, &namespace, &object.name_any()).await?;
    let limit = context.revision_limit;
    let mut decision = reconcile::decide(kind, &definition, &revisions, limit);
    if !decision.drop.is_empty() {
        let pinned = pinned(&context, kind, &object, &revisions).await?;
        decision.drop.retain(|name| !pinned.contains(name));
    }
    act::write_revisions(client, &namespace, &decision).await?;

    let mut found = Found::default();
    let mut next = Action::await_change();
    match schema(&context.evaluation, &definition).await {
        Ok(None) => {}
        Ok(Some(schema)) => {
            let name = act::write_schema(client, kind, &object, &decision.latest, &schema).await?;
            found.config_map = Some(name);
        }
        // The engine is at fault: nothing is known about the definition yet.
        Err(EngineError::Fault(_)) => return Ok(Action::requeue(RETRY)),
        Err(error) => {
            if lacks_package(&error) {
                next = Action::requeue(RETRY);
            }
            found.problem = Some(in_words(&error));
        }
    }
    found.rewritten = rewritten(&context.evaluation, &definition).await;
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    if let Some(status) = status::status(&definition, &decision.latest, &found, &now) {
        write_status(client, kind, &object, status).await?;
    }
    Ok(next)
}

/// Whether a package is missing that somebody may register yet.
fn lacks_package(error: &EngineError) -> bool {
    let EngineError::Template(error) = error else {
        return false;
    };
    let mut errors = error.errors.iter();
    errors.any(|one| one.kind == DiagnosticKind::Package)
}

/// Names of the revisions that Applications name, or a part of whose version they follow: they stay, whatever their number.
async fn pinned(
    context: &Context,
    kind: &Kind,
    object: &DynamicObject,
    revisions: &[Value],
) -> Result<BTreeSet<String>, TurnError> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let wanted = Wanted {
        kind: kind.definition,
        namespace: &namespace,
        name: &name,
    };
    let types = types_in_use(&context.client, &context.library, &wanted).await?;
    let names = revisions
        .iter()
        .filter_map(|one| one["metadata"]["name"].as_str());
    let names: Vec<String> = names.map(str::to_owned).collect();
    let meant = |used: &InUse| {
        let newest = used.follows.then(|| newest_revision(&used.type_, &names));
        newest.flatten().unwrap_or_else(|| type_label(&used.type_))
    };
    Ok(types.iter().map(meant).collect())
}

/// Why there is no schema, with its place where that is known.
fn in_words(error: &EngineError) -> String {
    let EngineError::Template(error) = error else {
        return error.to_string();
    };
    let Some(first) = error.errors.first() else {
        return error.kubevela_text.clone();
    };
    match first.positions.first() {
        Some(at) => format!("{}, line {}, column {}", first.message, at.line, at.column),
        None => first.message.clone(),
    }
}

/// What has to be rewritten for today's CUE at each render, with its place (row REN-044). What we ship is in
/// order.
async fn rewritten(evaluation: &Evaluation, definition: &Value) -> Vec<String> {
    let is_shipped = definition["metadata"]["annotations"].get(SHIPPED).is_some();
    let source = definition["spec"]["schematic"]["cue"]["template"].as_str();
    let (false, Some(source)) = (is_shipped, source) else {
        return Vec::new();
    };
    let request = FormatRequest {
        source: source.to_owned(),
        ..FormatRequest::default()
    };
    let namespace = text(definition, "namespace");
    let upgraded: Result<UpgradeResult, _> = evaluation
        .call(namespace, Operation::Upgrade(request))
        .await;
    let changes = upgraded.map(|result| result.changes).unwrap_or_default();
    let place = |change: &Diagnostic| match change.positions.first() {
        Some(at) => format!("line {}, column {}: {}", at.line, at.column, change.message),
        None => change.message.clone(),
    };
    changes.iter().map(place).collect()
}

fn text<'a>(definition: &'a Value, field: &str) -> &'a str {
    definition["metadata"][field].as_str().unwrap_or_default()
}

/// Tries again: what failed is an answer of the hub, and those pass.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the library's"
)]
fn retry(object: Arc<DynamicObject>, error: &TurnError, _: Arc<Context>) -> Action {
    warn!(definition = object.name_any(), %error, "will be tried again");
    Action::requeue(RETRY)
}

async fn revisions(
    client: &Client,
    kind: &Kind,
    namespace: &str,
    name: &str,
) -> Result<Vec<Value>, TurnError> {
    let resource = oam_resource("DefinitionRevision", "definitionrevisions");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let mine = ListParams::default().labels(&format!("{}={name}", kind.name_label));
    let list = api.list(&mine).await?;
    Ok(list
        .items
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()?)
}

/// The `OpenAPI` schema of the definition's parameters; none for a definition without a template. It is the one that
/// KubeVela makes; where that says nothing at all because of a constraint, it is our own.
async fn schema(evaluation: &Evaluation, definition: &Value) -> Result<Option<Value>, EngineError> {
    let Some(source) = definition["spec"]["schematic"]["cue"]["template"].as_str() else {
        return Ok(None);
    };
    let evaluator = match definition["metadata"]["annotations"][CUE_EVALUATOR].as_str() {
        Some("v2") => Evaluator::V2,
        Some("v3") => Evaluator::V3,
        _ => evaluation.evaluator(),
    };
    let ask = |detailed| {
        let request = SchemaRequest {
            name: text(definition, "name").to_owned(),
            source: source.to_owned(),
            detailed,
            ..SchemaRequest::default()
        };
        let namespace = text(definition, "namespace");
        evaluation.ask_with(namespace, Operation::Schema(request), evaluator)
    };
    let answer = match ask(false).await {
        Err(EngineError::Template(_)) => ask(true).await,
        other => other,
    };
    answer?.done().map(Some)
}

async fn write_status(
    client: &Client,
    kind: &Kind,
    object: &DynamicObject,
    status: Value,
) -> kube::Result<()> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &namespace, &kind.resource());
    let patch = json!({
        "metadata": {"resourceVersion": object.resource_version()},
        "status": status,
    });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch_status(&object.name_any(), &parameters, &Patch::Merge(patch))
        .await
    {
        // It changed or went meanwhile: the change itself makes the next turn.
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}
