//! Watches: a stream of events from a resourceVersion on.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use caravel_schema::field::Error;
use futures::stream;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::answer::{Form, JSON};
use super::{Frontend, Incoming, resources};
use crate::catalog::Kind;
use crate::core::Core;
use crate::kinds::{self, Include};
use crate::listen::Closing;
use crate::registry::{ListOptions, VersionMatch, invalid_list, list};
use crate::request::Query;
use crate::status::{Result, Status};
use crate::store::{Change, ChangeKind, Object, Watch};

/// How often an idle watch that asked for bookmarks gets one.
const BOOKMARK: Duration = Duration::from_mins(1);
/// How long a watch lasts if the client does not say.
const DEFAULT_TIMEOUT: u64 = 1800;
/// The longest watch, whatever the client says.
const LONGEST: u64 = 86_400;

/// Starts a watch.
pub(super) fn serve(frontend: &Arc<Frontend>, incoming: Incoming) -> Result<Response> {
    let kind = resources::find(frontend, &incoming)?;
    let form = incoming.accept.form()?;
    let query = &incoming.query;
    let options = ListOptions::parse(query, &kind, &incoming.target.name)?;
    let streaming = query
        .text("sendInitialEvents")
        .map(|text| text == "true" || text == "1");
    validate(&options, streaming)?;
    let bookmarks = query.flag("allowWatchBookmarks");
    let ends = Instant::now() + lifetime(query);

    let core = Arc::clone(&frontend.core);
    let view = View {
        kind,
        namespace: incoming.target.namespace.clone(),
        options,
        form,
    };
    let (initial, watch) = match start(&core, &view, streaming) {
        Ok(started) => started,
        // As the real server does: the watch begins, and its one event says that it cannot go on.
        Err(status) if status.code == StatusCode::GONE => return Ok(ended(&status)),
        Err(status) => return Err(status),
    };
    let closing = incoming.parts.extensions.get::<Closing>();
    let stopping = closing.map_or_else(|| core.stopping.clone(), |closing| closing.0.clone());
    let mut events = Events {
        _open: Open::new(frontend),
        stopping,
        ends,
        next_bookmark: Instant::now() + BOOKMARK,
        queue: VecDeque::new(),
        bookmarks,
        watch,
        include: Include::parse(query)?,
        columns_sent: false,
        finished: false,
        core,
        view,
    };
    events.begin(initial, streaming == Some(true));
    let frames = stream::unfold(events, |mut events| async move {
        let frame = events.next().await?;
        Some((Ok::<_, Infallible>(frame), events))
    });
    Ok(stream_response(Body::from_stream(frames)))
}

fn stream_response(body: Body) -> Response {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, JSON);
    response
}

/// A watch of one event, the error.
fn ended(status: &Status) -> Response {
    let mut frames = Vec::new();
    frame(
        &mut frames,
        "ERROR",
        status.to_value().to_string().as_bytes(),
    );
    stream_response(Body::from(frames))
}

/// How long a watch lasts. Those that do not say are spread, so that not all come back at once.
fn lifetime(query: &Query) -> Duration {
    let wanted = query
        .text("timeoutSeconds")
        .and_then(|text| text.parse::<u64>().ok());
    let seconds = match wanted.filter(|seconds| *seconds > 0) {
        Some(seconds) => seconds.min(LONGEST),
        None => DEFAULT_TIMEOUT + rand::random_range(0..DEFAULT_TIMEOUT),
    };
    Duration::from_secs(seconds)
}

fn validate(options: &ListOptions, streaming: Option<bool>) -> Result<()> {
    let matching = options.version_match;
    if streaming.is_none() {
        if matching != VersionMatch::Unset {
            let detail =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            return Err(invalid_list(Error::forbidden(
                "resourceVersionMatch",
                detail,
            )));
        }
        return Ok(());
    }
    if matching == VersionMatch::Unset {
        let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return Err(invalid_list(Error::forbidden(
            "resourceVersionMatch",
            detail,
        )));
    }
    if matching != VersionMatch::NotOlderThan {
        return Err(invalid_list(Error::not_supported(
            "resourceVersionMatch",
            "Exact",
            &["NotOlderThan"],
        )));
    }
    Ok(())
}

/// What a watch shows of a kind.
struct View {
    kind: Arc<Kind>,
    namespace: String,
    options: ListOptions,
    form: Form,
}

impl View {
    fn selects(&self, object: &Object) -> bool {
        let inside = self.namespace.is_empty()
            || !self.kind.resource.namespaced
            || *object.key.namespace == *self.namespace;
        inside && self.options.selectors.select(object)
    }

    /// The event that this watch sees of a change; `None` if it sees nothing.
    fn event(&self, change: &Change) -> Option<&'static str> {
        let now = self.selects(&change.object);
        let before = match &change.previous {
            Some(previous) => self.selects(previous),
            // Not known any more what it was: a client forgives an event about an object that it has not seen.
            None => change.kind != ChangeKind::Added,
        };
        match (change.kind, before, now) {
            (ChangeKind::Deleted, false, _) | (_, false, false) => None,
            (ChangeKind::Deleted, true, _) | (_, true, false) => Some("DELETED"),
            (_, false, true) => Some("ADDED"),
            (_, true, true) => Some("MODIFIED"),
        }
    }
}

/// The objects that the watch begins with, and the source of what follows.
fn start(core: &Core, view: &View, streaming: Option<bool>) -> Result<(Vec<Arc<Object>>, Watch)> {
    let current = core.store.version();
    let wanted = view.options.version.unwrap_or(0);
    if wanted > current {
        return Err(Status::version_too_large(wanted, current));
    }
    let initial = match streaming {
        Some(send) => send,
        None => wanted == 0,
    };
    let expired = |error: crate::store::Compacted| Status::expired(error.to_string());
    if !initial {
        let from = if wanted == 0 { current } else { wanted };
        return match core.store.watch(&view.kind.stored_as, from) {
            Ok(watch) => Ok((Vec::new(), watch)),
            Err(error) => Err(expired(error)),
        };
    }
    let select = ListOptions {
        selectors: view.options.selectors.clone(),
        ..ListOptions::default()
    };
    let page = list(core, &view.kind, &view.namespace, &select)?;
    let watch = core
        .store
        .watch(&view.kind.stored_as, page.version)
        .map_err(expired)?;
    Ok((page.objects, watch))
}

/// Counts a watch as open until it is dropped.
struct Open(Arc<Frontend>);

impl Open {
    fn new(frontend: &Arc<Frontend>) -> Self {
        frontend.metrics.watches.inc();
        Self(Arc::clone(frontend))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.watches.dec();
    }
}

/// The events of one watch.
struct Events {
    _open: Open,
    core: Arc<Core>,
    stopping: CancellationToken,
    view: View,
    watch: Watch,
    queue: VecDeque<Bytes>,
    bookmarks: bool,
    include: Include,
    columns_sent: bool,
    finished: bool,
    ends: Instant,
    next_bookmark: Instant,
}

impl Events {
    fn begin(&mut self, initial: Vec<Arc<Object>>, streaming: bool) {
        let mut frames = Vec::new();
        for object in initial {
            self.write(&mut frames, "ADDED", &object);
        }
        if streaming && let Some(version) = self.watch.caught_up() {
            let end = json!({"k8s.io/initial-events-end": "true"});
            self.bookmark(&mut frames, version, Some(end));
        } else if streaming {
            // Writes came in between: they are sent first, then the bookmark.
            self.flush_pending(&mut frames);
            let version = self
                .watch
                .caught_up()
                .unwrap_or_else(|| self.core.store.version());
            let end = json!({"k8s.io/initial-events-end": "true"});
            self.bookmark(&mut frames, version, Some(end));
        }
        if !frames.is_empty() {
            self.queue.push_back(Bytes::from(frames));
        }
    }

    fn flush_pending(&mut self, frames: &mut Vec<u8>) {
        for change in self.watch.pending().unwrap_or_default() {
            if let Some(kind) = self.view.event(&change) {
                self.write(frames, kind, &change.object);
            }
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Some(frame);
            }
            if self.finished {
                return None;
            }
            let stopping = self.stopping.clone();
            let bookmark = if self.bookmarks {
                self.next_bookmark
            } else {
                self.ends
            };
            tokio::select! {
                biased;
                () = stopping.cancelled() => return None,
                changes = self.watch.next() => self.take(changes),
                () = sleep_until(self.ends) => return None,
                () = sleep_until(bookmark) => self.remind(),
            }
        }
    }

    fn take(&mut self, changes: std::result::Result<Vec<Change>, crate::store::Compacted>) {
        let mut frames = Vec::new();
        match changes {
            Ok(changes) => {
                for change in changes {
                    if let Some(kind) = self.view.event(&change) {
                        self.write(&mut frames, kind, &change.object);
                    }
                }
            }
            Err(compacted) => {
                let status = Status::expired(compacted.to_string());
                frame(
                    &mut frames,
                    "ERROR",
                    status.to_value().to_string().as_bytes(),
                );
                self.finished = true;
            }
        }
        if !frames.is_empty() {
            self.queue.push_back(Bytes::from(frames));
        }
    }

    /// Tells an idle client how far it is.
    fn remind(&mut self) {
        self.next_bookmark = Instant::now() + BOOKMARK;
        if let Some(version) = self.watch.caught_up() {
            let mut frames = Vec::new();
            self.bookmark(&mut frames, version, None);
            self.queue.push_back(Bytes::from(frames));
        }
    }

    fn bookmark(&mut self, frames: &mut Vec<u8>, version: u64, annotations: Option<Value>) {
        let resource = &self.view.kind.resource;
        let mut object = json!({
            "kind": resource.kind, "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": version.to_string()},
        });
        if let Some(annotations) = annotations {
            object["metadata"]["annotations"] = annotations;
        }
        let shown = match self.view.form {
            Form::Object => object,
            Form::Metadata => kinds::partial(object),
            Form::Table => {
                let metadata = json!({"resourceVersion": version.to_string()});
                let row = json!({"cells": [], "object": kinds::partial(object)});
                json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": null, "rows": [row]})
            }
        };
        frame(frames, "BOOKMARK", shown.to_string().as_bytes());
    }

    fn write(&mut self, frames: &mut Vec<u8>, event: &str, object: &Arc<Object>) {
        if self.view.form == Form::Object
            && let Some(body) = kinds::as_stored(&self.view.kind, object)
        {
            return frame(frames, event, &body);
        }
        if self.view.form == Form::Metadata {
            return frame(frames, event, &kinds::encode_partial(object));
        }
        let value = kinds::answer(&self.view.kind, Arc::clone(object)).into_value();
        let shown = match self.view.form {
            Form::Object => value,
            Form::Metadata => kinds::partial(value),
            Form::Table => {
                let metadata = json!({"resourceVersion": value["metadata"]["resourceVersion"]});
                let now = (self.core.clock)();
                let mut table =
                    kinds::table(&self.view.kind, vec![value], metadata, self.include, now);
                // Clients read the columns of the first event only.
                if std::mem::replace(&mut self.columns_sent, true) {
                    table["columnDefinitions"] = Value::Null;
                }
                table
            }
        };
        frame(frames, event, shown.to_string().as_bytes());
    }
}

fn frame(out: &mut Vec<u8>, event: &str, object: &[u8]) {
    out.extend_from_slice(br#"{"type":""#);
    out.extend_from_slice(event.as_bytes());
    out.extend_from_slice(br#"","object":"#);
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
}
