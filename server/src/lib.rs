//! The REST API of Caravel, its event stream, and the daemon's metrics and health.
//!
//! Everything goes through the hub's API as the user who asks: a REST call can do what the same user could do
//! with `kubectl`, no more. There is no second user model.

#![allow(
    clippy::result_large_err,
    reason = "an error is a response, made once in a request"
)]
#![allow(
    unused_qualifications,
    reason = "utoipa's macros write qualified names beside each handler"
)]

pub mod hub;
mod openapi;
mod page;
mod problem;
mod route;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::get;
use caravel_store::History;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;

pub use hub::{Hub, Refused};
pub use openapi::document;
pub use problem::Problem;

/// The largest request body that is read.
const LARGEST_BODY: usize = 3 << 20;

/// How often a stream says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the routes need.
#[derive(Clone)]
pub struct Context {
    /// Who may do what, and as whom.
    pub hub: Arc<dyn Hub>,
    /// What was delivered.
    pub history: Arc<dyn History>,
    /// Renders the daemon's metrics in the Prometheus text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Why the daemon is not ready; empty when it is.
    pub unready: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// The whole HTTP service.
pub fn router(context: Context) -> Router {
    let (api, document) = openapi::router().split_for_parts();
    let document = Arc::new(document);
    api.route(
        "/api/v1/openapi.json",
        get(move || async move { axum::Json((*document).clone()) }),
    )
    .route("/healthz", get(|| async { "ok\n" }))
    .route("/readyz", get(route::readyz))
    .route("/metrics", get(route::metrics))
    .fallback(|| async {
        Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address")
            .hint("the API is described at /api/v1/openapi.json")
    })
    .layer(CatchPanicLayer::new())
    .layer(RequestBodyLimitLayer::new(LARGEST_BODY))
    .layer(DefaultBodyLimit::max(LARGEST_BODY))
    .with_state(context)
}
