//! Answers: in the form that the client accepts.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use crate::status::{Result, Status};

/// The media type of almost all answers.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How an object is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Object,
    /// As rows of a `meta.k8s.io/v1 Table`.
    Table,
    /// Only its metadata.
    Metadata,
}

/// What a client accepts.
#[derive(Clone, Debug)]
pub(crate) struct Accept {
    text: String,
    pub(crate) form: Option<Form>,
}

impl Accept {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = headers
            .get(ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("*/*")
            .to_owned();
        let form = text.split(',').find_map(form_of);
        Self { text, form }
    }

    /// The clauses, in the order of the client's preference.
    pub(crate) fn clauses(&self) -> impl Iterator<Item = &str> {
        self.text.split(',').map(str::trim)
    }

    /// The form of objects.
    ///
    /// # Errors
    /// The client accepts nothing that can be made.
    pub(crate) fn form(&self) -> Result<Form> {
        self.form
            .ok_or_else(|| Status::not_acceptable("application/json"))
    }
}

/// The form that one clause accepts, if it can be made.
fn form_of(clause: &str) -> Option<Form> {
    let mut parts = clause.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if !matches!(
        media_type,
        "application/json" | "*/*" | "application/*" | ""
    ) {
        return None;
    }
    let parameter = |name: &str| {
        clause
            .split(';')
            .map(str::trim)
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    match (parameter("as"), parameter("g"), parameter("v")) {
        (None, _, _) => Some(Form::Object),
        (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Some(Form::Table),
        (
            Some("PartialObjectMetadata" | "PartialObjectMetadataList"),
            Some("meta.k8s.io"),
            Some("v1"),
        ) => Some(Form::Metadata),
        _ => None,
    }
}

/// A failure as an answer. Failures are always JSON, which every client reads.
pub(super) fn status_response(status: &Status) -> Response {
    let mut response = json(status.code, &status.to_value());
    let retry = status
        .details
        .as_ref()
        .and_then(|details| details.retry_after_seconds);
    if let Some(value) = retry.and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok())
    {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, value);
    }
    response
}

/// A JSON answer.
pub(super) fn json(code: StatusCode, value: &Value) -> Response {
    bytes(
        code,
        Bytes::from(serde_json::to_vec(value).unwrap_or_default()),
    )
}

/// JSON bytes as an answer.
pub(super) fn bytes(code: StatusCode, body: Bytes) -> Response {
    typed(code, body, JSON)
}

/// Bytes of a media type as an answer.
pub(super) fn typed(code: StatusCode, body: Bytes, media_type: HeaderValue) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// Adds `Warning:` headers.
pub(super) fn warn(response: &mut Response, warnings: &[String]) {
    for warning in warnings {
        let text: String = warning
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
}
