//! HTTP requests of steps (PRV-014): intent, send, result.

use std::collections::BTreeMap;
use std::time::Duration;

use caravel_core::engine::Call;
use caravel_workflow::{Event, Outcome, Reason, parse_duration};
use futures::StreamExt as _;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Response, Url};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::attempt::{Attempt, Called, Unwanted, Work};
use super::calls::{failed, text};
use super::ports::UnknownOutcome;

/// What a step may receive. More belongs into an object store, not into a workflow's journal.
const LARGEST: usize = 4 << 20;
/// How long a request may take that says nothing itself.
const PATIENCE: Duration = Duration::from_mins(1);

impl Attempt {
    /// Sends a request, unless its answer is recorded.
    pub(super) async fn http(&self, work: &Work, call: &Call) -> Result<Called, Unwanted> {
        let digest = digest(&call.params);
        if let Some(known) = work
            .recorded
            .get(&call.key)
            .filter(|known| known.digest == digest)
        {
            return Ok(Called::Answer(known.value.clone()));
        }
        let request = match self.request(work, call).await {
            Ok(request) => request,
            Err(why) => return Ok(failed(call, why)),
        };
        let repeatable = is_idempotent(request.method());
        let once = work.unknown_outcome == UnknownOutcome::Fail && !repeatable;
        if once && work.unfinished.get(&call.key) == Some(&digest) {
            return Ok(unknown(
                call,
                "the daemon ended before its answer was recorded",
            ));
        }
        let keep = !request.method().is_safe();
        let (step, attempt) = (self.step, self.number);
        let intent = Event::Intent {
            step,
            attempt,
            call: call.key.clone(),
            digest: digest.clone(),
        };
        self.tell(intent).await?;
        self.parts.faults.point("request.intent").await;
        let answer = self.send(request).await;
        self.parts.faults.point("request.sent").await;
        let value = match answer {
            Ok(value) => value,
            Err(failure) if once && failure.may_have_arrived => {
                return Ok(unknown(call, &failure.message));
            }
            Err(failure) => return Ok(failed(call, failure.message)),
        };
        // The legacy package has the answer under its own name.
        let value = if call.provider == "op" {
            json!({ "response": value })
        } else {
            value
        };
        self.tell(Event::Answer {
            step,
            attempt,
            call: call.key.clone(),
            digest,
            value: value.clone(),
            keep,
        })
        .await?;
        self.parts.faults.point("request.result").await;
        Ok(Called::Answer(value))
    }

    async fn request(&self, work: &Work, call: &Call) -> Result<Request, String> {
        let params = &call.params;
        let method = text(params, "method").unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("{method:?} is not an HTTP method"))?;
        let url = text(params, "url").ok_or("url is missing")?;
        let url = Url::parse(url).map_err(|error| format!("{url:?} is not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{url}: only http and https are supported"));
        }
        let details = params.get("request").cloned().unwrap_or(Value::Null);
        for (part, inside) in [
            ("trailer", &details),
            ("ratelimiter", &details),
            ("tls_config", params),
        ] {
            let given = inside
                .get(part)
                .is_some_and(|value| value.as_object().is_none_or(|map| !map.is_empty()));
            if given {
                return Err(format!("{part} is not supported"));
            }
        }
        let mut request = Request::new(method, url);
        let patience = text(&details, "timeout").map(parse_duration).transpose();
        let patience = patience.map_err(|invalid| invalid.to_string())?;
        *request.timeout_mut() = Some(patience.unwrap_or(PATIENCE));
        self.headers(&details, request.headers_mut()).await?;
        if !is_idempotent(request.method()) && !request.headers().contains_key("idempotency-key") {
            let key = format!("{}/{}/{}", self.run, work.step_id, call.key);
            let key = hex::encode(&Sha256::digest(key)[..16]);
            if let Ok(key) = HeaderValue::from_str(&key) {
                request.headers_mut().insert("idempotency-key", key);
            }
        }
        if let Some(body) = text(&details, "body") {
            *request.body_mut() = Some(body.to_owned().into());
        }
        Ok(request)
    }

    async fn headers(&self, details: &Value, headers: &mut HeaderMap) -> Result<(), String> {
        let given = details
            .get("header")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        for (name, value) in given {
            let value = value
                .as_str()
                .ok_or_else(|| format!("header {name}: not a text"))?;
            add(headers, &name, value)?;
        }
        let secrets = details
            .get("headersFromSecret")
            .and_then(Value::as_array)
            .cloned();
        for one in secrets.unwrap_or_default() {
            let part = |key: &str| {
                text(&one, key).ok_or_else(|| format!("headersFromSecret: {key} is missing"))
            };
            let (header, secret, key) = (part("header")?, part("secret")?, part("key")?);
            let object = json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": secret, "namespace": self.namespace}});
            let found = self
                .ports
                .read("", &object)
                .await
                .map_err(|error| error.to_string())?;
            let found =
                found.ok_or_else(|| format!("headersFromSecret: there is no Secret {secret:?}"))?;
            let encoded = found.pointer("/data").and_then(|data| text(data, key));
            let encoded = encoded.ok_or_else(|| {
                format!("headersFromSecret: Secret {secret:?} has no key {key:?}")
            })?;
            let value = decode(encoded).ok_or_else(|| {
                format!("headersFromSecret: {key:?} of Secret {secret:?} is not text")
            })?;
            add(headers, header, value.trim_end())?;
        }
        Ok(())
    }

    async fn send(&self, request: Request) -> Result<Value, Failure> {
        let what = format!("{} {}", request.method(), without_query(request.url()));
        let fail = |error: &reqwest::Error| Failure {
            message: format!("{what}: {}", causes(error)),
            may_have_arrived: !(error.is_connect() || error.is_builder()),
        };
        let response = self
            .parts
            .http
            .execute(request)
            .await
            .map_err(|error| fail(&error))?;
        let status = response.status().as_u16();
        let header = header_of(&response);
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(part) = stream.next().await {
            body.extend_from_slice(&part.map_err(|error| fail(&error))?);
            if body.len() > LARGEST {
                let message = format!("{what}: the answer is larger than {} MiB", LARGEST >> 20);
                return Err(Failure {
                    message,
                    may_have_arrived: true,
                });
            }
        }
        let body = String::from_utf8_lossy(&body);
        Ok(json!({ "body": body, "header": header, "trailer": {}, "statusCode": status }))
    }
}

struct Failure {
    message: String,
    may_have_arrived: bool,
}

/// At most once was declared, and nobody knows.
fn unknown(call: &Call, why: &str) -> Called {
    let message = format!(
        "function call error for {}: {why}; it may have been sent, and the step's definition says not to send it twice: \
         find out, then restart the step or terminate the workflow",
        call.path
    );
    Called::End(Outcome::Failed {
        reason: Reason::Action,
        message,
    })
}

/// Whether sending it twice is the same as sending it once (RFC 9110, 9.2.2).
fn is_idempotent(method: &Method) -> bool {
    method.is_safe() || method == Method::PUT || method == Method::DELETE
}

fn digest(params: &Value) -> String {
    // Maps are sorted, so equal parameters have one text.
    hex::encode(Sha256::digest(params.to_string()))
}

fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let key = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("{name:?} is not the name of a header"))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        format!("header {name}: the value has characters that a header cannot have")
    })?;
    value.set_sensitive(true);
    headers.append(key, value);
    Ok(())
}

/// Headers by name as Go writes it (`Content-Type`), because templates were written for that.
fn header_of(response: &Response) -> Value {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in response.headers() {
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

/// A URL without what may be secret in it.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    let _ = url.set_password(None);
    url.to_string()
}

/// An error with its causes, without its URL, which may hold a secret.
fn causes(error: &reqwest::Error) -> String {
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

fn decode(encoded: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    String::from_utf8(bytes).ok()
}
