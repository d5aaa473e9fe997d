//! `config` of the packages for templates: whether a registry or a repository can be used with what is configured.
//! That it cannot be used is an answer, not a failure.

use std::time::Duration;

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::http::{causes, client_builder, shown};
use super::text;

const PATIENCE: Duration = Duration::from_secs(15);

/// `config.#HelmRepository`: whether there is an index of charts.
pub(super) async fn helm_repository(params: &Value) -> Result<Value, String> {
    let url = text(params, "url").ok_or("url is missing")?;
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Ok(answer(Err(format!(
            "{}: only repositories over http and https can be checked",
            shown(url)
        ))));
    }
    let client = client(
        flag(params, "insecureSkipTLSVerify"),
        text(params, "caFile"),
    )?;
    let index = format!("{}/index.yaml", url.trim_end_matches('/'));
    let request = with_login(client.get(&index), params);
    let index = shown(&index);
    let found = match request.send().await {
        Ok(response) if response.status().is_success() => {
            let body = response.text().await.unwrap_or_default();
            is_index(&body).ok_or_else(|| format!("{index} is no index of a Helm repository"))
        }
        Ok(response) => Err(format!("{index} answers with {}", response.status())),
        Err(error) => Err(format!("{index}: {}", causes(&error))),
    };
    Ok(answer(found))
}

fn is_index(body: &str) -> Option<()> {
    let document = caravel_core::yaml::parse(body).ok()?.into_iter().next()?;
    (document.get("apiVersion").is_some() && document.get("entries").is_some()).then_some(())
}

/// `config.#ImageRegistry`: whether the registry takes the login (the distribution specification's `/v2/`).
pub(super) async fn image_registry(params: &Value) -> Result<Value, String> {
    let registry = text(params, "registry").ok_or("registry is missing")?;
    let scheme = if flag(params, "useHTTP") {
        "http"
    } else {
        "https"
    };
    let client = client(flag(params, "insecure"), None)?;
    let address = format!("{scheme}://{registry}/v2/");
    Ok(answer(login(&client, &address, &params["auth"]).await))
}

async fn login(client: &Client, address: &str, auth: &Value) -> Result<(), String> {
    let failed = |error: &reqwest::Error| format!("{address}: {}", causes(error));
    let first = client
        .get(address)
        .send()
        .await
        .map_err(|error| failed(&error))?;
    if first.status().is_success() {
        return Ok(());
    }
    if first.status() != StatusCode::UNAUTHORIZED {
        return Err(format!("{address} answers with {}", first.status()));
    }
    let challenge = first
        .headers()
        .get(WWW_AUTHENTICATE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let request = match bearer(&challenge) {
        None => client.get(address),
        Some((realm, service)) => {
            let url = reqwest::Url::parse_with_params(&realm, [("service", service)])
                .map_err(|error| format!("{address} names no usable token service: {error}"))?;
            client.get(url)
        }
    };
    let second = with_login(request, auth)
        .send()
        .await
        .map_err(|error| failed(&error))?;
    if second.status().is_success() {
        Ok(())
    } else {
        Err(format!("{address} refuses the login: {}", second.status()))
    }
}

/// Realm and service of a challenge `Bearer realm="…",service="…"` (RFC 6750).
fn bearer(challenge: &str) -> Option<(String, String)> {
    let (scheme, rest) = challenge.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let part = |name: &str| {
        rest.split(',')
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim_matches('"').to_owned())
    };
    Some((part("realm")?, part("service").unwrap_or_default()))
}

fn with_login(request: RequestBuilder, login: &Value) -> RequestBuilder {
    match text(login, "username") {
        Some(name) => request.basic_auth(name, text(login, "password")),
        None => request,
    }
}

fn client(insecure: bool, authority: Option<&str>) -> Result<Client, String> {
    let mut builder = client_builder()
        .timeout(PATIENCE)
        .tls_danger_accept_invalid_certs(insecure);
    if let Some(pem) = authority {
        let certificate = Certificate::from_pem(pem.as_bytes())
            .map_err(|error| format!("caFile is no certificate: {error}"))?;
        builder = builder.tls_certs_merge([certificate]);
    }
    builder.build().map_err(|error| error.to_string())
}

fn flag(params: &Value, key: &str) -> bool {
    params.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn answer(found: Result<(), String>) -> Value {
    match found {
        Ok(()) => json!({"result": true, "message": ""}),
        Err(why) => json!({"result": false, "message": why}),
    }
}
