//! One file per resource.

pub(crate) mod application;
pub(crate) mod definition;
pub(crate) mod delivery;
pub(crate) mod stream;
pub(crate) mod topology;
pub(crate) mod workflow;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::hub::Caller;
use crate::{Context, Problem};

/// Ready, or why not.
pub(crate) async fn readyz(State(context): State<Context>) -> Response {
    let reasons = (context.unready)();
    if reasons.is_empty() {
        return "ok\n".into_response();
    }
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, reasons.join("; ")).into_response()
}

/// Metrics in the Prometheus text format. They name Applications: a token is needed.
pub(crate) async fn metrics(_: Caller, State(context): State<Context>) -> Response {
    let text = (context.metrics)();
    (
        [(
            CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
        .into_response()
}
