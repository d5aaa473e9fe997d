//! HTTP: from a request to an answer.

mod answer;
mod body;
mod compress;
mod discovery;
mod metrics;
mod resources;
mod reviews;
mod watch;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

pub use discovery::MINOR;

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, Request, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};
use tower_http::catch_panic::CatchPanicLayer;

use self::answer::{Accept, status_response, warn};
use self::metrics::{Labels, Metrics};
use crate::auth::authenticate;
use crate::core::Core;
use crate::identity::Identity;
use crate::listen::Closing;
use crate::request::{Query, Target};
use crate::status::{Result, Status};

/// Requests from the network that may be under way at once, watches apart; more wait.
const IN_FLIGHT: usize = 400;
/// How long a request waits for others before it is refused with 429.
const PATIENCE: Duration = Duration::from_secs(10);

/// What handlers share.
pub(crate) struct Frontend {
    pub(crate) core: Arc<Core>,
    in_flight: Semaphore,
    patience: Duration,
    metrics: Metrics,
}

/// The router that serves everything.
pub(crate) fn router(core: Arc<Core>) -> Router {
    bounded(core, IN_FLIGHT, PATIENCE)
}

/// The router with so many requests at once, and so much patience for those that wait.
fn bounded(core: Arc<Core>, in_flight: usize, patience: Duration) -> Router {
    let frontend = Arc::new(Frontend {
        core,
        in_flight: Semaphore::new(in_flight),
        patience,
        metrics: Metrics::new(),
    });
    Router::new()
        .fallback(handle)
        .layer(CatchPanicLayer::custom(fallen))
        .with_state(frontend)
}

/// The answer to a request whose handling panicked: a fault of ours, which costs nobody else anything.
fn fallen(fault: Box<dyn Any + Send>) -> Response {
    let words = fault
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| fault.downcast_ref::<&str>().copied())
        .unwrap_or("no words");
    tracing::error!(fault = words, "the handling of a request panicked");
    status_response(&Status::internal(
        "the request could not be handled; the server's log says why",
    ))
}

/// One request.
pub(crate) struct Incoming {
    pub(crate) target: Target,
    pub(crate) query: Query,
    pub(crate) accept: Accept,
    pub(crate) user: Identity,
    pub(crate) parts: http::request::Parts,
}

async fn handle(State(frontend): State<Arc<Frontend>>, request: Request<Body>) -> Response {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let accept = Accept::of(&parts.headers);
    let query = Query::parse(parts.uri.query());
    let target = Target::parse(&parts.method, parts.uri.path(), query.flag("watch"));
    let incoming = Incoming {
        target,
        query,
        accept,
        user: Identity::default(),
        parts,
    };
    let mut labels = labels(&frontend, &incoming.target);
    let deprecation = deprecation(&frontend, &incoming.target);
    let mut response = match Box::pin(serve(&frontend, incoming, body)).await {
        Ok(response) => response,
        Err(status) => status_response(&status),
    };
    warn(&mut response, deprecation.as_slice());
    labels.code = response.status().as_u16();
    frontend
        .metrics
        .answered(labels, started.elapsed().as_secs_f64());
    let headers = response.headers_mut();
    if let Ok(audit) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        headers.insert("audit-id", audit);
    }
    headers
        .entry(http::header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
    response
}

/// What to warn of when this version of a resource is used.
fn deprecation(frontend: &Frontend, target: &Target) -> Option<String> {
    let catalog = frontend.core.catalog.load();
    let kind = catalog.find(&target.group, &target.version, &target.resource)?;
    kind.deprecation().map(str::to_owned)
}

/// What a request is counted as.
fn labels(frontend: &Frontend, target: &Target) -> Labels {
    let catalog = frontend.core.catalog.load();
    let known = catalog.find(&target.group, &target.version, &target.resource);
    let resource = known.map_or_else(String::new, |kind| kind.stored_as.to_string());
    Labels {
        verb: target.verb,
        resource,
        code: 0,
    }
}

/// Waits until a request may begin. What comes from inside of the process is bounded where it comes from.
async fn permit<'a>(
    frontend: &'a Frontend,
    incoming: &Incoming,
) -> Result<Option<SemaphorePermit<'a>>> {
    if incoming.parts.extensions.get::<Closing>().is_none() {
        return Ok(None);
    }
    match tokio::time::timeout(frontend.patience, frontend.in_flight.acquire()).await {
        Ok(Ok(permit)) => Ok(Some(permit)),
        _ => Err(Status::too_many_requests(
            "too many requests are under way, please try again later",
        )),
    }
}

async fn serve(frontend: &Arc<Frontend>, mut incoming: Incoming, body: Body) -> Result<Response> {
    incoming.user = authenticate(&frontend.core, &incoming.parts)?;
    frontend
        .core
        .auth
        .authorize(&frontend.core, &incoming.user, &incoming.target)?;
    if incoming.target.verb == "watch" {
        return watch::serve(frontend, incoming);
    }
    let _permit = permit(frontend, &incoming).await?;
    let limit = Duration::from_mins(1);
    let work = async {
        if incoming.target.is_resource() {
            resources::serve(frontend, incoming, body).await
        } else {
            discovery::serve(frontend, &incoming).await
        }
    };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let message = "Timeout: request did not complete within the allotted timeout";
        Err(Status::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message))
    })
}
