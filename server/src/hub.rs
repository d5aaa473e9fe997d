//! Who asks: the wall between an HTTP request and the hub.

use async_trait::async_trait;
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use kube::Client;

use crate::Context;
use crate::problem::Problem;

/// A hub that knows its users.
#[async_trait]
pub trait Hub: Send + Sync {
    /// A client that acts as the user whose bearer token this is.
    async fn client(&self, token: &str) -> Result<Client, Refused>;
}

/// The credential is not one of the hub's.
#[derive(Debug, thiserror::Error)]
#[error("the token is not valid, or has expired")]
pub struct Refused;

/// A client of the hub that acts as the caller. Extracting it answers 401 without a valid token.
pub(crate) struct Caller(pub(crate) Client);

impl FromRequestParts<Context> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let token = bearer(&parts.headers).ok_or_else(|| {
            Problem::new(StatusCode::UNAUTHORIZED, "a bearer token is required")
                .hint("send `Authorization: Bearer <token>`; the daemon writes one to http-token in its data folder")
        })?;
        context
            .hub
            .client(token)
            .await
            .map(Self)
            .map_err(|refused| {
                Problem::new(StatusCode::UNAUTHORIZED, refused.to_string())
                    .hint("make a new one with `kubectl create token <service account>`")
            })
    }
}

/// RFC 6750, section 2.1. A token in the address would end up in logs: it is not looked for.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_counts() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer ", None),
            ("abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().expect("a header value"));
            assert_eq!(bearer(&headers), expected, "{value}");
        }
    }
}
