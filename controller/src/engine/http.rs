//! What steps send into the world, requests (PRV-014) and mails (PRV-016): intent, send, result.

use caravel_core::engine::Call;
use caravel_workflow::{Event, Outcome, Reason};
use reqwest::header::HeaderMap;
use reqwest::{Client, Request};
use serde_json::{Map, Value, json};

use super::attempt::{Attempt, Called, Unwanted, Work};
use super::calls::{failed, text};
use super::ports::UnknownOutcome;
use crate::calls::http::Failure;
use crate::calls::{Mail, digest, http, tls};

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
        // Where a Secret was read, its URL may be what is in there.
        let told = |why: String| match text(&call.params, "url") {
            Some(url) if work.has_secrets => http::without_path(&why, url),
            _ => why,
        };
        let request = match self.request(work, call).await {
            Ok(request) => request,
            Err(why) => return Ok(failed(call, told(why))),
        };
        let client = match self.client(call).await {
            Ok(client) => client,
            Err(why) => return Ok(failed(call, why)),
        };
        let now = self.parts.clock.now();
        if let Err(why) = self.parts.limiter.count(&call.params, &request, now) {
            return Ok(failed(call, why));
        }
        let deed = Deed {
            is_repeatable: http::is_idempotent(request.method()),
            is_kept: !request.method().is_safe(),
        };
        // The legacy package has the answer under its own name.
        let is_legacy = call.provider == "op";
        let sending = async {
            let sent = http::send(&client, request).await;
            let value = sent.map_err(|failure| Failure {
                message: told(failure.message),
                ..failure
            })?;
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
        let mut request = http::request(&call.params)?;
        // KubeVela says so of a request without any header, and servers rely on it.
        if request.headers().is_empty() {
            http::add(request.headers_mut(), "Content-Type", "application/json")?;
        }
        let details = call.params.get("request").cloned().unwrap_or(Value::Null);
        self.secret_headers(&details, request.headers_mut()).await?;
        if !http::is_idempotent(request.method()) {
            let identity = format!("{}/{}/{}", self.run, work.step_id, call.key);
            http::add_idempotency_key(&mut request, &identity);
        }
        Ok(request)
    }

    /// The client that the Secret of `tls_config` makes, or the common one.
    async fn client(&self, call: &Call) -> Result<Client, String> {
        let declared = call.params.get("tls_config");
        let Some(declared) = declared.filter(|declared| **declared != json!({})) else {
            return Ok(self.parts.http.clone());
        };
        let name = text(declared, "secret").ok_or("tls_config.secret is missing")?;
        // `namespace/name` is one way to say it (`getTransport` of KubeVela's workflow package).
        let (namespace, name) = match name.split_once('/') {
            Some((namespace, name)) => (namespace, name),
            None => (text(declared, "namespace").unwrap_or(&self.namespace), name),
        };
        let secret = self.secret("tls_config", namespace, name).await?;
        let mut files = Map::new();
        for (key, file) in TLS_FILES {
            if secret.has(key) {
                let pem = secret.text(key)?;
                files.insert(file.to_owned(), Value::String(unwrapped(pem)));
            }
        }
        if files.is_empty() {
            let keys = TLS_FILES.map(|(key, _)| key).join(", ");
            return Err(format!(
                "tls_config: Secret {namespace}/{name} has none of the keys {keys}"
            ));
        }
        let client = tls::client_for(&json!({ "tls_config": files }))?;
        Ok(client.unwrap_or_else(|| self.parts.http.clone()))
    }

    async fn secret_headers(&self, details: &Value, headers: &mut HeaderMap) -> Result<(), String> {
        const WHAT: &str = "headersFromSecret";
        let given = details.get(WHAT).and_then(Value::as_array);
        for one in given.into_iter().flatten() {
            let part =
                |key: &str| text(one, key).ok_or_else(|| format!("{WHAT}: {key} is missing"));
            let (header, name, key) = (part("header")?, part("secret")?, part("key")?);
            let secret = self.secret(WHAT, &self.namespace, name).await?;
            http::add(headers, header, secret.text(key)?.trim_end())?;
        }
        Ok(())
    }

    async fn secret<'a>(
        &self,
        what: &'a str,
        namespace: &str,
        name: &'a str,
    ) -> Result<Secret<'a>, String> {
        let object = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace}});
        let found = self.ports.read("", &object).await;
        let found = found.map_err(|error| error.to_string())?;
        let found = found.ok_or_else(|| {
            format!("{what}: there is no Secret {name:?} in namespace {namespace:?}")
        })?;
        let data = found.get("data").cloned().unwrap_or_default();
        Ok(Secret { what, name, data })
    }
}

/// Keys of a Secret that `tls_config` names, and what the same is called where it is written in the request itself.
const TLS_FILES: [(&str, &str); 3] = [
    ("ca.crt", "ca"),
    ("client.crt", "client_crt"),
    ("client.key", "client_key"),
];

/// A Secret that a part of a request names.
struct Secret<'a> {
    what: &'a str,
    name: &'a str,
    data: Value,
}

impl Secret<'_> {
    fn has(&self, key: &str) -> bool {
        text(&self.data, key).is_some()
    }

    fn text(&self, key: &str) -> Result<String, String> {
        let Self { what, name, data } = self;
        let encoded =
            text(data, key).ok_or_else(|| format!("{what}: Secret {name:?} has no key {key:?}"))?;
        decode(encoded).ok_or_else(|| format!("{what}: {key:?} of Secret {name:?} is not text"))
    }
}

/// KubeVela wants certificates encoded once more than the Secret itself does; what is PEM already is taken too.
fn unwrapped(pem: String) -> String {
    if pem.contains("-----BEGIN") {
        return pem;
    }
    decode(pem.trim()).unwrap_or(pem)
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
