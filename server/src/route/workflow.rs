//! Steering a workflow: suspend, resume, restart, terminate.
//!
//! The hub has no operation for it: as the `vela` command line does, the wish is written into
//! `status.workflow`, and the controller takes it from there (row WF-028).

use axum::Json;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use caravel_core::api::Application;
use caravel_workflow::Command;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use crate::Problem;
use crate::hub::Caller;
use crate::route::application;
use crate::view::WorkflowView;

/// What is tried again when the controller wrote at the same time.
const TRIES: usize = 5;

/// Which step is meant.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StepQuery {
    /// Name of a step; the whole workflow where it is absent.
    step: Option<String>,
}

/// Suspends, resumes, restarts or terminates the workflow.
#[utoipa::path(
    post,
    path = "/api/v1/namespaces/{namespace}/applications/{name}/workflow/{operation}",
    tag = "workflow",
    params(
        ("namespace" = String, Path),
        ("name" = String, Path),
        ("operation" = String, Path, description = "`suspend`, `resume`, `restart` or `terminate`"),
        StepQuery,
    ),
    responses(
        (status = ACCEPTED, body = WorkflowView),
        (status = NOT_FOUND, body = Problem),
        (status = CONFLICT, body = Problem, description = "the workflow is not in a state that allows it"),
    )
)]
pub(crate) async fn operate(
    Caller(client): Caller,
    Path((namespace, name, operation)): Path<(String, String, String)>,
    Query(StepQuery { step }): Query<StepQuery>,
) -> Result<(StatusCode, Json<WorkflowView>), Problem> {
    let command = command(&operation, step)?;
    let api: Api<Application> = Api::namespaced(client.clone(), &namespace);
    let mut last = None;
    for _ in 0..TRIES {
        let found = application::get(client.clone(), &namespace, &name).await?;
        match write(&api, &found, &command).await {
            Ok(view) => return Ok((StatusCode::ACCEPTED, Json(view))),
            Err(problem) if problem.reason.as_deref() == Some("Conflict") => last = Some(problem),
            Err(problem) => return Err(problem),
        }
    }
    Err(last
        .unwrap_or_else(|| Problem::new(StatusCode::CONFLICT, "the Application keeps changing")))
}

fn command(operation: &str, step: Option<String>) -> Result<Command, Problem> {
    match (operation, step) {
        ("suspend", step) => Ok(Command::Suspend { step }),
        ("resume", step) => Ok(Command::Resume { step }),
        ("restart", None) => Ok(Command::Restart),
        ("restart", Some(step)) => Ok(Command::RestartStep { step }),
        ("terminate", None) => Ok(Command::Terminate),
        ("terminate", Some(_)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "a workflow is terminated as a whole: `step` does not go with it",
        )),
        (other, _) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            format!("a workflow has no operation {other:?}"),
        )
        .hint("suspend, resume, restart or terminate")),
    }
}

async fn write(
    api: &Api<Application>,
    found: &Application,
    command: &Command,
) -> Result<WorkflowView, Problem> {
    let status = found.status.clone().unwrap_or_default();
    let refuse = |detail: String| Problem::new(StatusCode::CONFLICT, detail);
    let Some(workflow) = status.workflow else {
        return Err(refuse("the workflow has not begun".to_owned()));
    };
    let wanted = caravel_workflow::request(&workflow, command)
        .map_err(|illegal| refuse(illegal.to_string()))?;
    let mut patch = json!({
        "metadata": {"resourceVersion": found.resource_version()},
        "status": {"workflow": wanted},
    });
    if matches!(command, Command::Restart) {
        patch["status"]["services"] = json!(null);
    }
    api.patch_status(
        &found.name_any(),
        &PatchParams::default(),
        &Patch::Merge(patch),
    )
    .await?;
    Ok(WorkflowView::from(&wanted.unwrap_or(workflow)))
}
