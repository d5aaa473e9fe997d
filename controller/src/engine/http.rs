//! What steps send into the world, requests (PRV-014) and mails (PRV-016): intent, send, result.

use caravel_core::engine::Call;
use caravel_workflow::{Event, Outcome, Reason};
use reqwest::Request;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::attempt::{Attempt, Called, Unwanted, Work};
use super::calls::{failed, text};
use super::ports::UnknownOutcome;
use crate::calls::http::Failure;
use crate::calls::{Mail, digest, http};

/// How something may be done.
struct Deed {
    /// Twice is the same as once.
    is_repeatable: bool,
    /// The result is kept until the run ends.
    is_kept: bool,
}

impl Attempt {
    /// Sends a request, unless its answer is recorded.
    pub(super) async fn http(&self, work: &Work, call: &Call) -> Result<Called, Unwanted> {
        if let Some(answer) = known(work, call) {
            return Ok(answer);
        }
        let request = match self.request(work, call).await {
            Ok(request) => request,
            Err(why) => return Ok(failed(call, why)),
        };
        let deed = Deed {
            is_repeatable: http::is_idempotent(request.method()),
            is_kept: !request.method().is_safe(),
        };
        // The legacy package has the answer under its own name.
        let is_legacy = call.provider == "op";
        let sending = async {
            let value = http::send(&self.parts.http, request).await?;
            Ok(if is_legacy {
                json!({ "response": value })
            } else {
                value
            })
        };
        self.once(work, call, deed, sending).await
    }

    /// Sends a mail, unless that it was sent is recorded (PRV-016).
    pub(super) async fn mail(&self, work: &Work, call: &Call) -> Result<Called, Unwanted> {
        if let Some(answer) = known(work, call) {
            return Ok(answer);
        }
        let identity = format!("{}/{}/{}", self.run, work.step_id, call.key);
        let mail = match Mail::read(&call.params, &identity) {
            Ok(mail) => mail,
            Err(why) => return Ok(failed(call, format!("failed to send email: {why}"))),
        };
        let deed = Deed {
            is_repeatable: false,
            is_kept: true,
        };
        self.once(work, call, deed, Box::pin(mail.send())).await
    }

    /// Does something in the world: intent, deed, result.
    async fn once(
        &self,
        work: &Work,
        call: &Call,
        deed: Deed,
        doing: impl Future<Output = Result<Value, Failure>>,
    ) -> Result<Called, Unwanted> {
        let digest = digest(&call.params);
        let once = work.unknown_outcome == UnknownOutcome::Fail && !deed.is_repeatable;
        if once && work.unfinished.get(&call.key) == Some(&digest) {
            return Ok(unknown(
                call,
                "the daemon ended before its answer was recorded",
            ));
        }
        let (step, attempt) = (self.step, self.number);
        let intent = Event::Intent {
            step,
            attempt,
            call: call.key.clone(),
            digest: digest.clone(),
        };
        self.tell(intent).await?;
        self.parts.faults.point("request.intent").await;
        let answer = doing.await;
        self.parts.faults.point("request.sent").await;
        let value = match answer {
            Ok(value) => value,
            Err(failure) if once && failure.may_have_arrived => {
                return Ok(unknown(call, &failure.message));
            }
            Err(failure) => return Ok(failed(call, failure.message)),
        };
        self.tell(Event::Answer {
            step,
            attempt,
            call: call.key.clone(),
            digest,
            value: value.clone(),
            keep: deed.is_kept,
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

/// The answer of a call that was made.
fn known(work: &Work, call: &Call) -> Option<Called> {
    let recorded = work.recorded.get(&call.key)?;
    let is_same = recorded.digest == digest(&call.params);
    is_same.then(|| Called::Answer(recorded.value.clone()))
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
