//! Calls (`#do`) that templates of components, traits and policies make while they are rendered (rows REN-006, REN-045,
//! REN-046, PRV-044).
//!
//! The evaluator says what it needs, it is done here, and the evaluator is asked again with the result. What is only read
//! is read again with every render. A request that changes something elsewhere is sent once for each run of the workflow
//! that this process carries on: a step that waits for its component renders it many times. Should the process end in
//! between, the request is sent again with the same `Idempotency-Key`.

mod config;
mod helm;
pub(crate) mod http;
mod kube;
mod limiter;
mod mail;
pub(crate) mod tls;

pub(crate) use self::kube::list;
pub(crate) use self::limiter::Limiter;
pub(crate) use self::mail::Mail;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use caravel_clusters::connect::Clusters;
use caravel_core::engine::{Call, Endpoint};
use caravel_engines::Charts;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

/// What calls are carried out with.
#[derive(Clone)]
pub(crate) struct World {
    /// Have the objects that are read and written.
    pub(crate) clusters: Clusters,
    /// Sends requests.
    pub(crate) http: reqwest::Client,
    /// Renders charts.
    pub(crate) charts: Charts,
}

/// What is rendered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// Its name, with the place that it is for.
    pub(crate) name: &'a str,
    /// The cluster that it is for; empty for the hub's own.
    pub(crate) cluster: &'a str,
}

impl<'a> From<&'a str> for Subject<'a> {
    /// On the hub's own cluster.
    fn from(name: &'a str) -> Self {
        Self { name, cluster: "" }
    }
}

/// Carries calls out for one Application.
pub(crate) struct Calls {
    world: World,
    /// The Application's namespace: that of objects that name none.
    namespace: String,
    /// Tells this delivery from all others.
    origin: String,
    /// Answers of requests that are not sent twice, by subject, call and parameters.
    sent: Mutex<HashMap<String, Value>>,
    were_made: AtomicBool,
    has_secrets: AtomicBool,
}

impl Calls {
    /// For an Application in a namespace. `origin` is the same for the same delivery, in every process.
    pub(crate) fn new(world: World, namespace: String, origin: String) -> Self {
        Self {
            world,
            namespace,
            origin,
            sent: Mutex::default(),
            were_made: AtomicBool::new(false),
            has_secrets: AtomicBool::new(false),
        }
    }

    /// Whether there was anything to carry out.
    pub(crate) fn were_made(&self) -> bool {
        self.were_made.load(Ordering::Acquire)
    }

    /// Carries a call out.
    ///
    /// # Errors
    /// Why it could not be done, in words.
    pub(crate) async fn carry_out(
        &self,
        subject: impl Into<Subject<'_>>,
        call: &Call,
    ) -> Result<Value, String> {
        self.were_made.store(true, Ordering::Release);
        let subject = subject.into();
        let params = &call.params;
        let World {
            clusters, charts, ..
        } = &self.world;
        if let Some(endpoint) = &call.endpoint {
            return self.external(subject.name, call, endpoint).await;
        }
        match (call.provider.as_str(), call.action.as_str()) {
            ("http", "do") => self.request(subject.name, call).await,
            ("processing", "http") => {
                let answer = self.request(subject.name, call).await?;
                processed(&answer)
            }
            ("kube", "get") => {
                let found = kube::get(clusters, &self.namespace, params).await?;
                self.has_secrets
                    .fetch_or(is_secret(&found), Ordering::AcqRel);
                Ok(found)
            }
            ("kube", "list") => list(clusters, params).await,
            ("kube", "apply") => kube::apply(clusters, &self.namespace, params).await,
            ("kube", "patch") => kube::patch(clusters, &self.namespace, params).await,
            ("config", "image-registry") => config::image_registry(params).await,
            ("config", "helm-repository") => config::helm_repository(params).await,
            ("helm", "render") => {
                helm::render(charts, clusters, subject.cluster, &self.namespace, params).await
            }
            (provider, action) => Err(format!(
                "{provider}.{action} is not supported while a component is rendered; supported are base64, http.do, \
                 kube.{{get,list,apply,patch}}, config.{{image-registry,helm-repository}}, helm.render and cue.strategyUnify"
            )),
        }
    }

    /// Posts the parameters to the server of a package (row PRV-045).
    async fn external(
        &self,
        subject: &str,
        call: &Call,
        endpoint: &Endpoint,
    ) -> Result<Value, String> {
        let posted = posted(call, endpoint)?;
        answered(&self.request(subject, &posted).await?)
    }

    async fn request(&self, subject: &str, call: &Call) -> Result<Value, String> {
        let mut request = http::request(&call.params)?;
        if request.method().is_safe() {
            return self.send(call, request).await;
        }
        let identity = format!(
            "{}/{subject}/{}/{}",
            self.origin,
            call.key,
            digest(&call.params)
        );
        let mut sent = self.sent.lock().await;
        if let Some(answer) = sent.get(&identity) {
            return Ok(answer.clone());
        }
        if !http::is_idempotent(request.method()) {
            http::add_idempotency_key(&mut request, &identity);
        }
        let answer = self.send(call, request).await?;
        sent.insert(identity, answer.clone());
        Ok(answer)
    }

    async fn send(&self, call: &Call, request: reqwest::Request) -> Result<Value, String> {
        let own = tls::client_for(&call.params)?;
        let client = own.as_ref().unwrap_or(&self.world.http);
        let sent = http::send(client, request).await;
        sent.map_err(|failure| match text(&call.params, "url") {
            Some(url) if self.has_secrets.load(Ordering::Acquire) => {
                http::without_path(&failure.message, url)
            }
            _ => failure.message,
        })
    }
}

/// The request that a call of a package is (row PRV-045): its parameters go to the package's server as JSON.
pub(crate) fn posted(call: &Call, endpoint: &Endpoint) -> Result<Call, String> {
    let url = endpoint.url(&call.action)?;
    Ok(Call {
        params: json!({
            "method": "POST",
            "url": url,
            "request": {
                "body": call.params.to_string(),
                "header": {"Content-Type": "application/json"},
            },
            "tls_config": {"ca": endpoint.ca},
        }),
        provider: "http".to_owned(),
        action: "do".to_owned(),
        endpoint: None,
        ..call.clone()
    })
}

/// What the server of a package answers.
pub(crate) fn answered(answer: &Value) -> Result<Value, String> {
    let body = answer["body"].as_str().unwrap_or_default();
    let status = answer["statusCode"].as_u64().unwrap_or_default();
    if !(200..300).contains(&status) {
        let start: String = body.chars().take(200).collect();
        return Err(format!(
            "the package's server answers with {status}: {start}"
        ));
    }
    Endpoint::answer(body.as_bytes())
}

/// What `processing.http` answers with: the body, which has to be a JSON object (row REN-006).
fn processed(answer: &Value) -> Result<Value, String> {
    let body = answer["body"].as_str().unwrap_or_default();
    match serde_json::from_str(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(other) => Err(format!(
            "the answer (status {}) is JSON, but no object: {}",
            answer["statusCode"],
            kind_of(&other)
        )),
        Err(error) => Err(format!(
            "the answer (status {}) is not JSON: {error}",
            answer["statusCode"]
        )),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Maps are sorted, so equal parameters have one text.
pub(crate) fn digest(params: &Value) -> String {
    hex::encode(Sha256::digest(params.to_string()))
}

/// Whether what was read is a Secret.
pub(crate) fn is_secret(answer: &Value) -> bool {
    let objects = [answer.get("value"), answer.get("$returns"), Some(answer)];
    let mut objects = objects.into_iter().flatten();
    objects.any(|object| object["kind"] == "Secret")
}

/// A text of the parameters that is not empty.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value
        .get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// The parameter that a call cannot do without.
fn required<'a>(params: &'a Value, key: &str) -> Result<&'a Value, String> {
    params
        .get(key)
        .filter(|value| !value.is_null() && **value != json!({}))
        .ok_or_else(|| format!("{key} is missing"))
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
