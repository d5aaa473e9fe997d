//! HTTP requests of steps (PRV-014): intent, send, result.

use caravel_core::engine::Call;
use caravel_workflow::{Event, Outcome, Reason};
use reqwest::Request;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::attempt::{Attempt, Called, Unwanted, Work};
use super::calls::{failed, text};
use super::ports::UnknownOutcome;
use crate::calls::{digest, http};

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
        let repeatable = http::is_idempotent(request.method());
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
        let answer = http::send(&self.parts.http, request).await;
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
        let has_tls = params
            .get("tls_config")
            .is_some_and(|value| value.as_object().is_none_or(|map| !map.is_empty()));
        if has_tls {
            return Err("tls_config is not supported".to_owned());
        }
        let mut request = http::request(params)?;
        // KubeVela says so of a request without any header, and servers rely on it.
        if request.headers().is_empty() {
            http::add(request.headers_mut(), "Content-Type", "application/json")?;
        }
        let details = params.get("request").cloned().unwrap_or(Value::Null);
        self.secret_headers(&details, request.headers_mut()).await?;
        if !http::is_idempotent(request.method()) {
            let identity = format!("{}/{}/{}", self.run, work.step_id, call.key);
            http::add_idempotency_key(&mut request, &identity);
        }
        Ok(request)
    }

    async fn secret_headers(&self, details: &Value, headers: &mut HeaderMap) -> Result<(), String> {
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
            http::add(headers, header, value.trim_end())?;
        }
        Ok(())
    }
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

fn decode(encoded: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    String::from_utf8(bytes).ok()
}
