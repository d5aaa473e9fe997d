//! HTTP requests that templates ask for: what they say, sending, what comes back.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caravel_workflow::parse_duration;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use percent_encoding::percent_decode_str;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRAILER};
use reqwest::{Body, Client, ClientBuilder, Method, Request, Url};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::bytes::Bytes;

use super::text;

/// What may be received. More belongs into an object store, not into a template.
const LARGEST: usize = 4 << 20;
/// How long a request may take that says nothing itself.
const PATIENCE: Duration = Duration::from_mins(1);

/// The request that `method`, `url` and `request` of the parameters mean.
pub(crate) fn request(params: &Value) -> Result<Request, String> {
    let method = text(params, "method").unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| format!("{method:?} is not an HTTP method"))?;
    let text_of_url = text(params, "url").ok_or("url is missing")?;
    let mut url = Url::parse(text_of_url)
        .map_err(|error| format!("{:?} is not a URL: {error}", shown(text_of_url)))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "{}: only http and https are supported",
            shown(text_of_url)
        ));
    }
    let details = params.get("request").cloned().unwrap_or(Value::Null);
    let login = taken_login(&mut url);
    let mut request = Request::new(method, url);
    let patience = text(&details, "timeout").map(parse_duration).transpose();
    let patience = patience.map_err(|invalid| invalid.to_string())?;
    *request.timeout_mut() = Some(patience.unwrap_or(PATIENCE));
    fields(&details, "header", request.headers_mut())?;
    if let Some(login) = login
        && !request.headers().contains_key(AUTHORIZATION)
    {
        add(request.headers_mut(), AUTHORIZATION.as_str(), &login)?;
    }
    let mut trailers = HeaderMap::new();
    fields(&details, "trailer", &mut trailers)?;
    let body = text(&details, "body").map(str::to_owned);
    if !trailers.is_empty() {
        // They are announced (RFC 9110, 6.6.2); some servers drop what is not.
        let names: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
        add(request.headers_mut(), TRAILER.as_str(), &names.join(", "))?;
        // Of unknown length: trailers follow only what is sent in chunks.
        let body = Bytes::from(body.unwrap_or_default());
        let frames = [Frame::data(body), Frame::trailers(trailers)];
        let frames = futures::stream::iter(frames.map(Ok::<_, Infallible>));
        *request.body_mut() = Some(Body::wrap(StreamBody::new(frames)));
    } else if let Some(body) = body {
        *request.body_mut() = Some(body.into());
    } else if matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::PATCH
    ) {
        // Those of whom content is expected say that there is none (RFC 9110, 8.6); else some servers answer with 411.
        let none = HeaderValue::from_static("0");
        request.headers_mut().entry(CONTENT_LENGTH).or_insert(none);
    }
    Ok(request)
}

/// Takes user and password out of a URL, as the header that stands for them (RFC 7617).
fn taken_login(url: &mut Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = format!(
        "{}:{}",
        plain(url.username()),
        plain(url.password().unwrap_or_default())
    );
    // That of http and https can always be set.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(format!("Basic {}", STANDARD.encode(login)))
}

/// `header` or `trailer`: names, each with a value or several.
fn fields(details: &Value, part: &str, headers: &mut HeaderMap) -> Result<(), String> {
    let given = details.get(part).and_then(Value::as_object);
    for (name, value) in given.into_iter().flatten() {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let value = value
                .as_str()
                .ok_or_else(|| format!("{part} {name}: not a text"))?;
            add(headers, name, value)?;
        }
    }
    Ok(())
}

/// Adds a header. Its value is kept out of logs.
pub(crate) fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let key = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("{name:?} is not the name of a header"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        format!("header {name}: the value has characters that a header cannot have")
    })?;
    value.set_sensitive(true);
    headers.append(key, value);
    Ok(())
}

/// Lets the receiver know one request again that is sent twice.
pub(crate) fn add_idempotency_key(request: &mut Request, identity: &str) {
    const NAME: &str = "idempotency-key";
    let key = hex::encode(&Sha256::digest(identity)[..16]);
    if let Ok(key) = HeaderValue::from_str(&key)
        && !request.headers().contains_key(NAME)
    {
        request.headers_mut().insert(NAME, key);
    }
}

/// What the receivers of requests see of us.
const USER_AGENT: &str = concat!("caravel/", env!("CARGO_PKG_VERSION"));

/// Begins a client for the requests of templates.
pub(crate) fn client_builder() -> ClientBuilder {
    Client::builder().user_agent(USER_AGENT)
}

/// Why there is no answer.
pub(crate) struct Failure {
    /// In words, without secrets.
    pub(crate) message: String,
    /// The receiver may have it nevertheless.
    pub(crate) may_have_arrived: bool,
}

/// Sends a request; the answer as templates see it, whatever its status.
pub(crate) async fn send(client: &Client, request: Request) -> Result<Value, Failure> {
    let what = format!("{} {}", request.method(), shown(request.url().as_str()));
    let fail = |error: &reqwest::Error| Failure {
        message: format!("{what}: {}", causes(error)),
        may_have_arrived: !(error.is_connect() || error.is_builder()),
    };
    let response = client
        .execute(request)
        .await
        .map_err(|error| fail(&error))?;
    let status = response.status().as_u16();
    let header = fields_of(response.headers());
    let mut body = Vec::new();
    let mut trailer = json!({});
    let mut received = http::Response::<Body>::from(response).into_body();
    while let Some(frame) = received.frame().await {
        match frame.map_err(|error| fail(&error))?.into_data() {
            Ok(part) => body.extend_from_slice(&part),
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    trailer = fields_of(&trailers);
                }
            }
        }
        if body.len() > LARGEST {
            let message = format!("{what}: the answer is larger than {} MiB", LARGEST >> 20);
            return Err(Failure {
                message,
                may_have_arrived: true,
            });
        }
    }
    let body = String::from_utf8_lossy(&body);
    Ok(json!({ "body": body, "header": header, "trailer": trailer, "statusCode": status }))
}

/// Whether sending it twice is the same as sending it once (RFC 9110, 9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    method.is_safe() || method == Method::PUT || method == Method::DELETE
}

/// Headers or trailers by name as Go writes it (`Content-Type`), because templates were written for that.
fn fields_of(headers: &HeaderMap) -> Value {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(canonical(name.as_str())).or_default().push(value);
    }
    let map: Map<String, Value> = all
        .into_iter()
        .map(|(name, list)| (name, json!(list)))
        .collect();
    Value::Object(map)
}

fn canonical(name: &str) -> String {
    let word = |part: &str| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_uppercase() + rest
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// Hosts that take whatever is sent to a path that only its owner knows.
const WEBHOOKS: [&str; 5] = [
    "hooks.slack.com",
    "oapi.dingtalk.com",
    "open.feishu.cn",
    "open.larksuite.com",
    "discord.com",
];

/// A URL without what may be secret in it: who signs in, what is asked, and the path of a webhook. It need not be a good one.
pub(super) fn shown(url: &str) -> String {
    let (host, path) = parts(url);
    let name = host
        .rsplit_once("://")
        .map_or(host.as_str(), |(_, name)| name);
    if WEBHOOKS.contains(&name.to_lowercase().as_str()) {
        return host;
    }
    host + path
}

/// What went wrong with a request, without the path of its URL: that may have come out of a Secret.
pub(crate) fn without_path(message: &str, url: &str) -> String {
    let (host, path) = parts(url);
    if path.len() < 2 {
        return message.to_owned();
    }
    message
        .replace(&format!("{host}{path}"), &host)
        .replace(path, "/…")
}

/// Scheme, host and port of a URL, and its path.
fn parts(url: &str) -> (String, &str) {
    let public = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match public.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), public),
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    (format!("{scheme}{host}"), path)
}

/// An error with its causes, without its URL, which may hold a secret.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        String::new()
    };
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    if text.is_empty() {
        "the request could not be sent".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_in_the_url_is_sent_as_a_header() {
        let login = |params: &Value| {
            let request = request(params).expect("a request");
            assert_eq!(request.url().as_str(), "https://host/a");
            let header = request.headers().get(AUTHORIZATION).expect("a header");
            header.to_str().expect("a text").to_owned()
        };
        let url = "https://user:p%40ss@host/a";
        assert_eq!(login(&json!({"url": url})), "Basic dXNlcjpwQHNz");
        let given = json!({"url": url, "request": {"header": {"Authorization": "Bearer t"}}});
        assert_eq!(login(&given), "Bearer t");
    }

    #[test]
    fn a_post_without_content_says_so() {
        let length = |params: Value| {
            let request = request(&params).expect("a request");
            request.headers().get(CONTENT_LENGTH).cloned()
        };
        let url = "https://host/a";
        assert_eq!(
            length(json!({"url": url, "method": "POST"})),
            Some(HeaderValue::from_static("0"))
        );
        assert_eq!(
            length(json!({"url": url, "method": "POST", "request": {"body": "a"}})),
            None
        );
        assert_eq!(length(json!({"url": url})), None);
    }

    #[test]
    fn secrets_of_a_url_are_not_told() {
        for (url, expected) in [
            ("https://u:p@host/a?token=t#f", "https://host/a"),
            ("ftp://u:p@host", "ftp://host"),
            ("https://u:p@ss@ho st/a@b", "https://ho st/a@b"),
            ("u:p@host/a?token=t", "host/a"),
            (
                "https://hooks.slack.com/services/token",
                "https://hooks.slack.com",
            ),
        ] {
            assert_eq!(shown(url), expected);
            let refused = request(&json!({"url": url})).map(drop);
            let told = refused.err().unwrap_or_default();
            assert!(!told.contains("u:p") && !told.contains("token"), "{told}");
        }
    }

    #[test]
    fn the_path_of_a_url_out_of_a_secret_is_not_told() {
        let told = |url| without_path(&format!("POST {}: no answer", shown(url)), url);
        assert_eq!(told("http://h:1/s/T?q=1"), "POST http://h:1: no answer");
        assert_eq!(told("http://h:1/"), "POST http://h:1/: no answer");
        assert_eq!(told("http://h:1"), "POST http://h:1: no answer");
    }
}
