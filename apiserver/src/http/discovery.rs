//! Discovery, version, health and OpenAPI.

use std::fmt::Write;
use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use caravel_schema::resources::{Discovery, DiscoveryVersion};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::answer::{Accept, JSON, json as json_answer, typed};
use super::{Frontend, Incoming, compress};
use crate::status::{Result, Status};

/// The version of Kubernetes whose API is spoken.
/// The minor number of the Kubernetes version that this server is: 1.36.
pub const MINOR: &str = "36";

/// Answers a path that names no resource.
pub(super) async fn serve(frontend: &Arc<Frontend>, incoming: &Incoming) -> Result<Response> {
    let path = incoming.target.path.trim_end_matches('/');
    if incoming.parts.method != Method::GET && incoming.parts.method != Method::HEAD {
        return Err(if path.is_empty() {
            Status::method_not_allowed()
        } else {
            Status::no_such_path()
        });
    }
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        ["version"] => Ok(json_answer(StatusCode::OK, &version())),
        ["healthz" | "livez" | "readyz"] => Ok(health(frontend, incoming)),
        ["metrics"] => Ok(metrics(frontend)),
        ["openapi", "v2"] => Ok(openapi_v2(frontend, incoming).await),
        ["openapi", "v3"] => Ok(openapi_index(frontend)),
        ["openapi", "v3", rest @ ..] => openapi(frontend, incoming, &rest.join("/")),
        ["api" | "apis", ..] => discovery(frontend, incoming, &parts),
        [] => Ok(json_answer(
            StatusCode::OK,
            &json!({"paths": paths(frontend)}),
        )),
        _ => Err(Status::no_such_path()),
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": MINOR, "emulationMajor": "1", "emulationMinor": MINOR,
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": format!("v1.{MINOR}.3+caravel"), "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "none", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other }),
    })
}

fn paths(frontend: &Frontend) -> Vec<String> {
    let catalog = frontend.core.catalog.load();
    let mut paths: Vec<String> = catalog
        .resources()
        .map(|resource| {
            if resource.group.is_empty() {
                format!("/api/{}", resource.version)
            } else {
                format!("/apis/{}/{}", resource.group, resource.version)
            }
        })
        .chain(
            [
                "/api",
                "/apis",
                "/healthz",
                "/livez",
                "/metrics",
                "/openapi/v2",
                "/openapi/v3",
                "/readyz",
                "/version",
            ]
            .map(str::to_owned),
        )
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

fn health(frontend: &Frontend, incoming: &Incoming) -> Response {
    let path = incoming.target.path.trim_matches('/');
    let stopping = frontend.core.stopping.is_cancelled() && path == "readyz";
    let checks = [
        ("ping", true),
        ("store", frontend.core.store.is_healthy() || path == "livez"),
        ("shutdown", !stopping),
    ];
    let good = checks.iter().all(|(_, good)| *good);
    let mut text = String::new();
    if incoming.query.get("verbose").is_some() || !good {
        for (name, good) in checks {
            let (sign, words) = if good {
                ('+', "ok")
            } else {
                ('-', "failed: reason withheld")
            };
            let _ = writeln!(text, "[{sign}]{name} {words}");
        }
        let _ = writeln!(
            text,
            "{path} check {}",
            if good { "passed" } else { "failed" }
        );
    } else {
        text.push_str("ok");
    }
    let code = if good {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    typed(
        code,
        Bytes::from(text),
        HeaderValue::from_static("text/plain; charset=utf-8"),
    )
}

fn discovery(frontend: &Arc<Frontend>, incoming: &Incoming, parts: &[&str]) -> Result<Response> {
    let catalog = frontend.core.catalog.load();
    let discovery = Discovery::new(catalog.resources());
    let aggregated = aggregated(&incoming.accept);
    let document = match (parts, aggregated) {
        (["api"], Some(form)) => return Ok(aggregate(&discovery.aggregated_core(form), form)),
        (["apis"], Some(form)) => return Ok(aggregate(&discovery.aggregated_groups(form), form)),
        (["api"], None) => return Ok(api_versions(&address(incoming))),
        (["apis"], None) => Some(discovery.group_list()),
        (["apis", group], _) => discovery.group(group),
        (["api", version], _) => discovery.resource_list("", version),
        (["apis", group, version], _) => discovery.resource_list(group, version),
        _ => None,
    };
    document
        .map(|document| json_answer(StatusCode::OK, &document))
        .ok_or_else(Status::no_such_path)
}

/// `GET /api`, byte for byte as the real server writes it.
fn api_versions(address: &str) -> Response {
    let body = format!(
        r#"{{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[{{"clientCIDR":"0.0.0.0/0","serverAddress":{}}}]}}"#,
        json!(address)
    );
    typed(StatusCode::OK, Bytes::from(body + "\n"), JSON)
}

/// The address under which the client reached us.
fn address(incoming: &Incoming) -> String {
    let header = incoming
        .parts
        .headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = incoming
        .parts
        .uri
        .authority()
        .map(http::uri::Authority::as_str);
    header.or(authority).unwrap_or_default().to_owned()
}

/// The form of aggregated discovery that the client prefers to the plain one.
fn aggregated(accept: &Accept) -> Option<DiscoveryVersion> {
    for clause in accept.clauses() {
        if clause.contains("as=APIGroupDiscoveryList") && clause.contains("g=apidiscovery.k8s.io") {
            if clause.split(';').any(|part| part.trim() == "v=v2") {
                return Some(DiscoveryVersion::V2);
            }
            if clause.split(';').any(|part| part.trim() == "v=v2beta1") {
                return Some(DiscoveryVersion::V2Beta1);
            }
        } else if clause == "application/json" {
            return None;
        }
    }
    None
}

fn aggregate(document: &Value, form: DiscoveryVersion) -> Response {
    let body = Bytes::from(serde_json::to_vec(document).unwrap_or_default());
    let media_type = HeaderValue::from_str(&form.content_type())
        .unwrap_or(HeaderValue::from_static("application/json"));
    typed(StatusCode::OK, body, media_type)
}

fn openapi_index(frontend: &Frontend) -> Response {
    let index = frontend.core.catalog.load().documents().index.clone();
    typed(
        StatusCode::OK,
        index,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    )
}

/// An OpenAPI document. With the right hash in its URL it may be kept for ever; with a wrong one the client is sent
/// to the right one.
fn openapi(frontend: &Frontend, incoming: &Incoming, path: &str) -> Result<Response> {
    let catalog = frontend.core.catalog.load();
    let document = catalog
        .documents()
        .get(path)
        .ok_or_else(Status::no_such_path)?;
    let tag = format!("\"{}\"", document.hash);
    let wanted = incoming.query.text("hash");
    if wanted.is_some_and(|wanted| wanted != document.hash) {
        let mut response = typed(StatusCode::MOVED_PERMANENTLY, Bytes::new(), JSON);
        let location = format!("/openapi/v3/{path}?hash={}", document.hash);
        if let Ok(location) = HeaderValue::from_str(&location) {
            response
                .headers_mut()
                .insert(http::header::LOCATION, location);
        }
        return Ok(response);
    }
    let known = incoming.parts.headers.get(http::header::IF_NONE_MATCH);
    let mut response = if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        typed(StatusCode::NOT_MODIFIED, Bytes::new(), JSON)
    } else {
        typed(StatusCode::OK, document.body.clone(), JSON)
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(http::header::ETAG, tag);
    }
    let keep = if wanted.is_some() {
        "public, immutable"
    } else {
        "no-cache, private"
    };
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(http::header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// The `OpenAPI` v2 document, as JSON or as the protocol buffers that client-go asks for.
async fn openapi_v2(frontend: &Frontend, incoming: &Incoming) -> Response {
    let catalog = frontend.core.catalog.load_full();
    let wants = |part: &str| {
        incoming
            .accept
            .clauses()
            .any(|clause| clause.contains(part))
    };
    let (body, media_type, hash) = {
        let document = catalog.documents().second(&catalog);
        if wants("proto-openapi.spec.v2") {
            let media_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
            let media_type = HeaderValue::from_static(media_type);
            (document.protobuf.clone(), media_type, document.hash.clone())
        } else {
            (document.json.clone(), JSON, document.hash.clone())
        }
    };
    let tag = format!("\"{hash}\"");
    let headers = &incoming.parts.headers;
    let known = headers.get(http::header::IF_NONE_MATCH);
    let mut response = if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        typed(StatusCode::NOT_MODIFIED, Bytes::new(), media_type)
    } else {
        compress::body(headers, body, media_type).await
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(http::header::ETAG, tag);
    }
    response
}

fn metrics(frontend: &Frontend) -> Response {
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = frontend.metrics.encode(&frontend.core);
    typed(
        StatusCode::OK,
        Bytes::from(text),
        HeaderValue::from_static(media_type),
    )
}
