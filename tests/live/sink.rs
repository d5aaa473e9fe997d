//! The server that steps of some cases speak to, at the address that is written in them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use serde_json::{Value, json};

/// Where the recorded Applications send their requests.
pub(crate) const ADDRESS: &str = "127.0.0.1:26880";

/// What was received, as it is compared with the record.
#[derive(Clone, Default)]
pub(crate) struct Sink {
    received: Arc<Mutex<BTreeSet<(String, String, String)>>>,
}

impl Sink {
    /// Starts to listen; none where the address is taken.
    pub(crate) async fn start() -> Option<Self> {
        let listener = tokio::net::TcpListener::bind(ADDRESS).await.ok()?;
        let sink = Self::default();
        let router = Router::new().fallback(answer).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Some(sink)
    }

    /// The different requests that came for a case: repeated ones say nothing but how long something took.
    pub(crate) fn requests_of(&self, case: &str) -> Value {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = received.iter().filter(|(_, path, _)| {
            let rest = path
                .strip_prefix('/')
                .and_then(|path| path.strip_prefix(case));
            rest.is_some_and(|rest| rest.starts_with('/'))
        });
        mine.map(shown).collect()
    }
}

/// The requests that were recorded of a case.
pub(crate) fn recorded(text: &str) -> Value {
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        (text("method"), text("path"), plain(&text("body")))
    });
    let different: BTreeSet<(String, String, String)> = lines.collect();
    different.iter().map(shown).collect()
}

fn shown((method, path, body): &(String, String, String)) -> Value {
    json!(format!("{method} {path} {body}"))
}

async fn answer(
    State(sink): State<Sink>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, String) {
    let body = String::from_utf8_lossy(&body);
    let request = (method.to_string(), uri.to_string(), plain(&body));
    let mut received = sink.received.lock().unwrap_or_else(PoisonError::into_inner);
    received.insert(request);
    let mut parts = uri.path().split('/').skip(2);
    match (parts.next(), parts.next()) {
        (Some("text"), _) => (StatusCode::OK, "plain text".to_owned()),
        (Some("status"), Some(code)) => {
            let code = code
                .parse()
                .ok()
                .and_then(|code| StatusCode::from_u16(code).ok());
            (code.unwrap_or(StatusCode::NOT_FOUND), "{}".to_owned())
        }
        (Some("api"), _) => (StatusCode::OK, metric(&body).to_string()),
        _ => (
            StatusCode::OK,
            json!({"name": "kubevela", "count": 42}).to_string(),
        ),
    }
}

/// As Prometheus answers a query that is a number.
fn metric(body: &str) -> Value {
    let query = body.strip_prefix("query=").unwrap_or_default();
    let value = query.split('&').next().unwrap_or_default();
    let result = json!([{"metric": {}, "value": [1_700_000_000, value]}]);
    json!({"status": "success", "data": {"resultType": "vector", "result": result}})
}

/// A body without what differs in each run: of an Application its specification, of a query not the time.
fn plain(body: &str) -> String {
    let object = serde_json::from_str::<Value>(body).map(|mut object| {
        object.sort_all_objects();
        object
    });
    match object {
        Ok(object) if object["kind"] == "Application" => object["spec"].to_string(),
        Ok(object) => object.to_string(),
        Err(_) => body.split("&time=").next().unwrap_or_default().to_owned(),
    }
}
