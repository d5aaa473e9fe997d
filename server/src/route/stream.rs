//! Changes of Applications as they happen (server-sent events).
//!
//! The id of an event is the resourceVersion of the Application list. A client that comes back with
//! `Last-Event-ID` misses nothing; where the hub no longer knows that version, a `reset` with the full list
//! is sent instead.

use std::convert::Infallible;
use std::pin::Pin;

use axum::extract::Query;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use caravel_core::api::Application;
use futures::stream::{self, Stream, StreamExt as _};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::IntoParams;

use crate::hub::Caller;
use crate::view::ApplicationView;
use crate::{KEEP_ALIVE, Problem};

/// How many Applications one read of the full list takes.
const LIST_AT_ONCE: u32 = 500;

/// What to follow.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// Only this namespace.
    namespace: Option<String>,
}

/// A stream of changes: `reset` (the full list, first or when too much was missed), `upsert`, `delete`.
#[utoipa::path(
    get,
    path = "/api/v1/stream/applications",
    tag = "applications",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header)),
    responses(
        (status = OK, content_type = "text/event-stream", body = String),
        (status = UNAUTHORIZED, body = Problem),
        (status = FORBIDDEN, body = Problem),
    )
)]
pub(crate) async fn applications(
    Caller(client): Caller,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let api: Api<Application> = match &query.namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    let start = match last.filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())) {
        Some(id) => Follow {
            api,
            version: id.to_owned(),
            watch: None,
            pending: None,
        },
        None => Follow::from_list(api).await?,
    };
    let events = stream::unfold(start, |follow| async move {
        let (event, follow) = follow.next().await?;
        Some((Ok(event), follow))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

type Watch = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Application>>> + Send>>;

/// Where a client is in the sequence of changes.
struct Follow {
    api: Api<Application>,
    version: String,
    watch: Option<Watch>,
    /// Sent before anything else.
    pending: Option<Event>,
}

impl Follow {
    async fn from_list(api: Api<Application>) -> Result<Self, Problem> {
        let (version, event) = reset(api.clone()).await?;
        Ok(Self {
            api,
            version,
            watch: None,
            pending: Some(event),
        })
    }

    /// The next event; none when the hub goes away: the client comes back with its last id.
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            if let Some(event) = self.pending.take() {
                return Some((event, self));
            }
            let mut watch = match self.watch.take() {
                Some(watch) => watch,
                None => match open(self.api.clone(), self.version.clone()).await {
                    Ok(watch) => watch,
                    Err(error) if is_expired(&error) => {
                        self = Self::from_list(self.api).await.ok()?;
                        continue;
                    }
                    Err(_) => return None,
                },
            };
            match watch.next().await {
                Some(Ok(event)) => {
                    self.watch = Some(watch);
                    self = self.take(event).await?;
                }
                // The hub ends watches from time to time: go on from the same version.
                None => {}
                Some(Err(error)) if is_expired(&error) => {
                    self = Self::from_list(self.api).await.ok()?;
                }
                Some(Err(_)) => return None,
            }
        }
    }

    async fn take(mut self, event: WatchEvent<Application>) -> Option<Self> {
        match event {
            WatchEvent::Added(application) | WatchEvent::Modified(application) => {
                self.version = application.resource_version().unwrap_or_default();
                let view = ApplicationView::from(&application);
                self.pending = Some(sse("upsert", &self.version, &view));
            }
            WatchEvent::Deleted(application) => {
                self.version = application.resource_version().unwrap_or_default();
                let gone = json!({
                    "namespace": application.namespace(), "name": application.name_any(),
                });
                self.pending = Some(sse("delete", &self.version, &gone));
            }
            WatchEvent::Bookmark(bookmark) => self.version = bookmark.metadata.resource_version,
            WatchEvent::Error(status) if status.code == 410 => {
                return Self::from_list(self.api).await.ok();
            }
            WatchEvent::Error(_) => self.watch = None,
        }
        Some(self)
    }
}

async fn open(api: Api<Application>, version: String) -> kube::Result<Watch> {
    Ok(api.watch(&WatchParams::default(), &version).await?.boxed())
}

/// The full list as one event.
async fn reset(api: Api<Application>) -> Result<(String, Event), Problem> {
    let mut views = Vec::new();
    let mut parameters = ListParams::default().limit(LIST_AT_ONCE);
    loop {
        let list = api.list(&parameters).await?;
        views.extend(list.items.iter().map(ApplicationView::from));
        let Some(token) = list.metadata.continue_.filter(|token| !token.is_empty()) else {
            let version = list.metadata.resource_version.unwrap_or_default();
            let event = sse("reset", &version, &json!({"items": views}));
            return Ok((version, event));
        };
        parameters = parameters.continue_token(&token);
    }
}

fn sse<T: Serialize>(name: &str, id: &str, data: &T) -> Event {
    let event = Event::default().event(name).id(id);
    let text = serde_json::to_string(data).unwrap_or_default();
    event.data(text)
}

fn is_expired(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
}
