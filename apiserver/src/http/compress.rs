//! Large answers are compressed for clients that ask for it.

use std::io::Write;

use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderValue};

use super::answer::{JSON, typed};

/// Smaller answers are sent as they are, as Kubernetes does.
const THRESHOLD: usize = 128 << 10;

/// A JSON answer, compressed if it is large and the client accepts that.
pub(super) async fn json(headers: &HeaderMap, body: Bytes) -> Response {
    self::body(headers, body, JSON).await
}

/// An answer of a media type, compressed if it is large and the client accepts that.
pub(super) async fn body(headers: &HeaderMap, body: Bytes, media_type: HeaderValue) -> Response {
    if body.len() < THRESHOLD || !accepts_gzip(headers) {
        return typed(http::StatusCode::OK, body, media_type);
    }
    let source = body.clone();
    // Megabytes take milliseconds, and these belong to no thread that serves others.
    let compressed = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(source.len() / 4), Compression::fast());
        encoder.write_all(&source)?;
        encoder.finish()
    });
    let Ok(Ok(compressed)) = compressed.await else {
        return typed(http::StatusCode::OK, body, media_type);
    };
    let mut response = typed(http::StatusCode::OK, Bytes::from(compressed), media_type);
    response
        .headers_mut()
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|item| {
            let mut parts = item.split(';').map(str::trim);
            parts.next() == Some("gzip") && !parts.any(|weight| weight == "q=0")
        })
}
