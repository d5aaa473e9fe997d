//! Controllers of the four kinds of definition: revisions, schemas, status (rows DEF-001 to DEF-005).
//!
//! The decisions stand in [`reconcile`], the writes in [`act`], the report in [`status`].

mod act;
mod kind;
mod reconcile;
mod status;

use std::sync::Arc;
use std::time::Duration;

use caravel_core::engine::{Operation, SchemaRequest};
use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub(crate) use self::kind::{KINDS, Kind, oam_resource};
pub(crate) use self::reconcile::{revision_conflict, spec_hash};
use crate::FIELD_MANAGER;
use crate::evaluation::Evaluation;
use caravel_engines::EngineError;

/// Revisions that are kept besides the latest one (KubeVela's flag default, row DEF-005).
const REVISION_LIMIT: usize = 20;

/// How long to wait after a turn that failed.
const RETRY: Duration = Duration::from_secs(5);

/// What the controllers of definitions need.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) evaluation: Evaluation,
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
    let decision = reconcile::decide(kind, &definition, &revisions, REVISION_LIMIT);
    act::write_revisions(client, &namespace, &decision).await?;

    let (config_map, problem) = match schema(&context.evaluation, &definition).await {
        Ok(None) => (None, None),
        Ok(Some(schema)) => {
            let name = act::write_schema(client, kind, &object, &decision.latest, &schema).await?;
            (Some(name), None)
        }
        // The engine is at fault: nothing is known about the definition yet.
        Err(EngineError::Fault(_)) => return Ok(Action::requeue(RETRY)),
        Err(error) => (None, Some(error.to_string())),
    };
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let report = status::status(
        &definition,
        &decision.latest,
        config_map.as_deref(),
        problem.as_deref(),
        &now,
    );
    if let Some(status) = report {
        write_status(client, kind, &object, status).await?;
    }
    Ok(Action::await_change())
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

/// The `OpenAPI` schema of the definition's parameters; none for a definition without a template.
async fn schema(evaluation: &Evaluation, definition: &Value) -> Result<Option<Value>, EngineError> {
    let Some(source) = definition["spec"]["schematic"]["cue"]["template"].as_str() else {
        return Ok(None);
    };
    let request = SchemaRequest {
        name: definition["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        source: source.to_owned(),
        ..SchemaRequest::default()
    };
    let namespace = definition["metadata"]["namespace"]
        .as_str()
        .unwrap_or_default();
    evaluation
        .call(namespace, Operation::Schema(request))
        .await
        .map(Some)
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
