//! Deliveries: what was rolled out when, how long it took, and what came of it.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use caravel_store::{Cursor, Delivery, DeliveryQuery, DeliveryStep, RunId, StoreError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::hub::Caller;
use crate::page::Page;
use crate::route::application::get;
use crate::{Context, Problem};

/// Which deliveries are asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveriesQuery {
    /// The most entries to return: 100 unless said otherwise, 500 at most.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `continue` of the page before.
    #[serde(rename = "continue")]
    continue_: Option<String>,
    /// Only those with this result, for example `succeeded` or `failed`.
    result: Option<String>,
}

/// One run of an Application's workflow.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    /// The id of the run.
    run: String,
    /// The revision that was delivered.
    revision: String,
    /// When it began, RFC 3339.
    started: String,
    /// When it ended, RFC 3339; absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    /// How long it took, in seconds; absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// `executing`, `suspending`, `succeeded`, `failed`, `terminated` …
    result: String,
    /// Why it failed, where it did.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    /// Its steps in the order in which they began; only where one delivery is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<DeliveryStepView>,
}

/// A step of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryStepView {
    /// Its name.
    name: String,
    /// Its type.
    #[serde(rename = "type")]
    type_: String,
    /// The group that it is in.
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    /// How it stands.
    phase: String,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// In words.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    /// When it began, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    /// How long it took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

fn seconds(started: Option<Timestamp>, ended: Option<Timestamp>) -> Option<f64> {
    Some(ended?.duration_since(started?).as_secs_f64())
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            run: delivery.run.0,
            revision: delivery.revision,
            started: delivery.started.to_string(),
            ended: delivery.ended.map(|time| time.to_string()),
            seconds: seconds(Some(delivery.started), delivery.ended),
            result: delivery.result,
            message: delivery.message,
            steps: delivery.steps.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<DeliveryStep> for DeliveryStepView {
    fn from(step: DeliveryStep) -> Self {
        Self {
            seconds: seconds(step.started, step.ended),
            started: step.started.map(|time| time.to_string()),
            name: step.name,
            type_: step.type_,
            group: step.group,
            phase: step.phase,
            reason: step.reason,
            message: step.message,
        }
    }
}

/// Deliveries of the Application, newest first, without their steps.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces/{namespace}/applications/{name}/deliveries",
    tag = "applications",
    params(("namespace" = String, Path), ("name" = String, Path), DeliveriesQuery),
    responses(
        (status = OK, body = Page<DeliveryView>),
        (status = BAD_REQUEST, body = Problem),
        (status = NOT_FOUND, body = Problem),
    )
)]
pub(crate) async fn list(
    Caller(client): Caller,
    State(context): State<Context>,
    Path((namespace, name)): Path<(String, String)>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    get(client, &namespace, &name).await?;
    let after = match &query.continue_ {
        None => None,
        Some(token) => Some(cursor(token).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "`continue` is not one that a page of deliveries ended with",
            )
            .hint("begin again without it")
        })?),
    };
    let wanted = DeliveryQuery {
        namespace: Some(namespace),
        name: Some(name),
        result: query.result,
        limit: query.limit,
        after,
        ..DeliveryQuery::default()
    };
    let page = context.history.deliveries(&wanted).await.map_err(broken)?;
    Ok(Json(Page {
        items: page.items.into_iter().map(Into::into).collect(),
        continue_: page
            .next
            .map(|next| format!("{}.{}", next.started, next.run.0)),
        remaining: None,
        resource_version: None,
    }))
}

/// One delivery with its steps.
#[utoipa::path(
    get,
    path = "/api/v1/namespaces/{namespace}/applications/{name}/deliveries/{run}",
    tag = "applications",
    params(("namespace" = String, Path), ("name" = String, Path), ("run" = String, Path)),
    responses((status = OK, body = DeliveryView), (status = NOT_FOUND, body = Problem))
)]
pub(crate) async fn read(
    Caller(client): Caller,
    State(context): State<Context>,
    Path((namespace, name, run)): Path<(String, String, String)>,
) -> Result<Json<DeliveryView>, Problem> {
    get(client, &namespace, &name).await?;
    let found = context.history.delivery(&RunId(run.clone())).await;
    found
        .map_err(broken)?
        // A run of another Application is not for who may see this one.
        .filter(|found| found.app.namespace == namespace && found.app.name == name)
        .map(|found| Json(found.into()))
        .ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                format!("application {name} has no delivery {run}"),
            )
            .hint("deliveries that are kept are listed one level above")
        })
}

fn cursor(token: &str) -> Option<Cursor> {
    let (started, run) = token.split_once('.')?;
    Some(Cursor {
        started: started.parse().ok()?,
        run: RunId(run.to_owned()),
    })
}

fn broken(error: StoreError) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!("the history of deliveries cannot be read: {error}"),
    )
}
