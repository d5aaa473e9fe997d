//! Bodies of requests.

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use crate::kinds;
use crate::registry::MAX_OBJECT;
use crate::status::{Result, Status};

const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// Reads a body of at most 3 MiB.
pub(super) async fn read(body: Body) -> Result<Bytes> {
    match Limited::new(body, MAX_OBJECT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Status::too_large(MAX_OBJECT))
        }
        Err(error) => Err(Status::bad_request(format!(
            "the request body could not be read: {error}"
        ))),
    }
}

/// The media type, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let text = headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    text.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// Decodes an object, and names the fields that it repeats.
pub(super) fn object(headers: &HeaderMap, body: &[u8]) -> Result<(Value, Vec<String>)> {
    match media_type(headers).as_str() {
        "" | "application/json" | "*/*" => kinds::decode_json(body),
        "application/yaml" | "text/yaml" => kinds::decode_yaml(body),
        "application/vnd.kubernetes.protobuf" => Ok((kinds::decode_protobuf(body)?, Vec::new())),
        _ => Err(Status::unsupported_media_type(ACCEPTED)),
    }
}
