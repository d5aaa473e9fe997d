//! The server that steps of some cases speak to, at the address that is written in them.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{any, get};
use axum::{Json, Router};

/// Where the recorded Applications send their requests.
pub(crate) const ADDRESS: &str = "127.0.0.1:26880";

/// Starts to listen; whether the address was free.
pub(crate) async fn start() -> bool {
    let Ok(listener) = tokio::net::TcpListener::bind(ADDRESS).await else {
        return false;
    };
    let json = || async { Json(serde_json::json!({"name": "kubevela", "count": 42})) };
    let status = |Path((_, code)): Path<(String, u16)>| async move {
        (
            StatusCode::from_u16(code).unwrap_or(StatusCode::NOT_FOUND),
            "{}",
        )
    };
    let router = Router::new()
        .route("/{case}/text", get(|| async { "plain text" }))
        .route("/{case}/status/{code}", any(status))
        .fallback(json);
    tokio::spawn(async move { axum::serve(listener, router).await });
    true
}
