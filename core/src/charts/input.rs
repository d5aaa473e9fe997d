//! What a chart is given besides its parameters: the Secret to sign in with, and objects that hold values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ChartCall, ChartLogin, ChartSource, Lookup, overlay};
use crate::yaml;

/// An object with values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ValuesFrom {
    /// `Secret` or `ConfigMap`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace; that of the release unless named.
    pub namespace: Option<String>,
    /// The key whose text is YAML; `values.yaml` unless named.
    pub key: Option<String>,
    /// Whether it may be absent.
    #[serde(default)]
    pub optional: bool,
}

impl ChartCall {
    /// The Secret that the chart is fetched with, if it needs one.
    ///
    /// # Errors
    /// If it is where a chart may read none.
    pub fn login_at(&self) -> Result<Option<Lookup>, String> {
        let Some((name, named)) = &self.login else {
            return Ok(None);
        };
        self.place("Secret", name, named.as_deref()).map(Some)
    }

    /// Signs in with a Secret.
    ///
    /// # Errors
    /// If it does not hold what is needed.
    pub fn sign_in(&mut self, secret: &Value) -> Result<(), String> {
        self.request.chart.auth = login_of(secret, &self.request.chart)?;
        Ok(())
    }

    /// Where the object with values is.
    ///
    /// # Errors
    /// If it is of another kind, or where a chart may read none.
    pub fn values_at(&self, from: &ValuesFrom) -> Result<Lookup, String> {
        match from.kind.as_str() {
            "Secret" | "ConfigMap" => self.place(&from.kind, &from.name, from.namespace.as_deref()),
            other => Err(format!(
                "valuesFrom: kind is {other:?}, expected Secret or ConfigMap"
            )),
        }
    }

    /// Puts values below those that the call has itself: later ones win.
    pub fn lay_below(&mut self, layers: Vec<Map<String, Value>>) {
        let mut values = Map::new();
        for layer in layers {
            overlay(&mut values, layer);
        }
        overlay(&mut values, std::mem::take(&mut self.request.values));
        self.request.values = values;
    }

    /// What is in other namespaces is nobody's to read with a chart.
    fn place(&self, kind: &str, name: &str, named: Option<&str>) -> Result<Lookup, String> {
        let release = &self.request.release.namespace;
        let namespace = named.filter(|name| !name.is_empty()).unwrap_or(release);
        if namespace != release && namespace != self.namespace {
            return Err(format!(
                "{kind} {name:?} is in namespace {namespace}: a chart may use {kind}s of the release's namespace ({release}) and of the \
                 Application's ({}) only",
                self.namespace
            ));
        }
        Ok(Lookup {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl ValuesFrom {
    /// The key whose text is YAML.
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or("values.yaml")
    }

    /// The values in its object; none if it has no such key.
    ///
    /// # Errors
    /// If the text is no map.
    pub fn values(&self, object: &Value) -> Result<Option<Map<String, Value>>, String> {
        let Some(text) = text_of(object, self.key()) else {
            return Ok(None);
        };
        let wrong = |why: String| {
            let (kind, name) = (&self.kind, &self.name);
            format!("valuesFrom: {:?} of {kind} {name:?}{why}", self.key())
        };
        match yaml::parse_one(&text) {
            Ok(Value::Object(values)) => Ok(Some(values)),
            Ok(Value::Null) => Ok(Some(Map::new())),
            Ok(_) => Err(wrong(" is no map".to_owned())),
            // The parser's words may have a piece of the text in them.
            Err(_) if self.kind == "Secret" => Err(wrong(" is no YAML".to_owned())),
            Err(error) => Err(wrong(format!(": {error}"))),
        }
    }

    /// What is said where it is missing.
    pub fn missing(&self, place: &Lookup) -> String {
        format!("there is no {place} with a key {:?}", self.key())
    }
}

/// A manifest as an API server gives it back: a Secret has no `stringData`.
#[must_use]
pub fn as_stored(mut object: Value) -> Value {
    let is_secret = object["kind"] == "Secret";
    if let Some(fields) = object.as_object_mut().filter(|_| is_secret)
        && let Some(Value::Object(plain)) = fields.remove("stringData")
    {
        for (key, text) in plain {
            let text = STANDARD.encode(text.as_str().unwrap_or_default());
            object["data"][key] = text.into();
        }
    }
    object
}

/// A text of a ConfigMap or Secret.
fn text_of(object: &Value, key: &str) -> Option<String> {
    let text = object["data"][key].as_str()?;
    if object["kind"] != "Secret" {
        return Some(text.to_owned());
    }
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

/// How a Secret signs in: user and password, a token, a registry's docker configuration, TLS files.
fn login_of(secret: &Value, chart: &ChartSource) -> Result<ChartLogin, String> {
    let part = |keys: &[&str]| {
        let mut texts = keys.iter().filter_map(|key| text_of(secret, key));
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    };
    let flag = |key: &str| part(&[key]).trim() == "true";
    let mut login = ChartLogin {
        username: part(&["username"]),
        password: part(&["password"]),
        // A line break at its end is no part of it, and breaks requests.
        token: part(&["token"]).trim_end().to_owned(),
        ca: part(&["caFile", "ca.crt"]),
        cert: part(&["certFile", "tls.crt"]),
        key: part(&["keyFile", "tls.key"]),
        insecure_skip_tls: flag("insecureSkipTLS"),
        insecure_plain_http: flag("insecurePlainHTTP"),
    };
    if let Some(config) = text_of(secret, ".dockerconfigjson") {
        let address = if chart.repo_url.is_empty() {
            &chart.source
        } else {
            &chart.repo_url
        };
        (login.username, login.password) = docker_login(&config, address)?;
    }
    match unfit(&login, chart) {
        Some(why) => Err(format!("the Secret of chart.auth {why}")),
        None => Ok(login),
    }
}

/// Why a login cannot be meant, or must not be used.
fn unfit(login: &ChartLogin, chart: &ChartSource) -> Option<&'static str> {
    let has_user = !login.username.is_empty() || !login.password.is_empty();
    let has_token = !login.token.is_empty();
    let address = [&chart.source, &chart.repo_url];
    let is_plain = address.iter().any(|text| text.starts_with("http://"));
    if *login == ChartLogin::default() {
        return Some(
            "says nothing: expected username and password, token, .dockerconfigjson, tls.crt and tls.key, ca.crt, insecureSkipTLS or \
             insecurePlainHTTP",
        );
    }
    if has_user && has_token {
        return Some("has a token beside username and password: leave one of them out");
    }
    if has_token && (is_plain || login.insecure_plain_http) {
        return Some("has a token, which anybody on the way could read without TLS: use https://");
    }
    if has_token && login.insecure_skip_tls {
        return Some(
            "has a token beside insecureSkipTLS, so that anybody could ask for it: give ca.crt instead",
        );
    }
    None
}

/// User and password of a docker configuration for the host of an address.
fn docker_login(config: &str, address: &str) -> Result<(String, String), String> {
    let config: Value = serde_json::from_str(config)
        .map_err(|_| "the Secret's .dockerconfigjson is no JSON".to_owned())?;
    let host_of = |text: &str| {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_owned()
    };
    let host = host_of(address);
    let entries = config["auths"].as_object();
    let entry = entries
        .into_iter()
        .flatten()
        .find(|(name, _)| host_of(name) == host);
    let (_, entry) =
        entry.ok_or_else(|| format!("the Secret's .dockerconfigjson has no login for {host}"))?;
    let part = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let both = STANDARD
        .decode(part("auth"))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match both.as_deref().and_then(|both| both.split_once(':')) {
        Some((user, password)) => Ok((user.to_owned(), password.to_owned())),
        None => Ok((part("username"), part("password"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signed_in(source: &str, data: &[(&str, &str)]) -> Result<ChartLogin, String> {
        let data = data
            .iter()
            .map(|(key, text)| ((*key).to_owned(), STANDARD.encode(text).into()));
        let secret = json!({"kind": "Secret", "data": data.collect::<Map<_, _>>()});
        let mut call = ChartCall::default();
        call.request.chart.source = source.to_owned();
        call.sign_in(&secret)?;
        Ok(call.request.chart.auth)
    }

    #[test]
    fn a_secret_signs_in_with_any_of_the_usual_keys() {
        let source = "https://r.example/x.tgz";
        let tls = [("tls.crt", "c"), ("tls.key", "k"), ("ca.crt", "a")];
        let files = [("certFile", "c"), ("keyFile", "k"), ("caFile", "a")];
        let expected = ChartLogin {
            cert: "c".to_owned(),
            key: "k".to_owned(),
            ca: "a".to_owned(),
            ..ChartLogin::default()
        };
        assert_eq!(signed_in(source, &tls), Ok(expected.clone()));
        assert_eq!(signed_in(source, &files), Ok(expected));
        let token = signed_in(source, &[("token", "abc\n")]).expect("a token");
        assert_eq!(token.token, "abc");
        let flags = [("insecureSkipTLS", "true"), ("insecurePlainHTTP", "no")];
        let open = signed_in(source, &flags).expect("flags");
        assert!(open.insecure_skip_tls && !open.insecure_plain_http);
    }

    #[test]
    fn a_login_that_cannot_be_meant_is_refused_with_the_way_out() {
        let https = "https://r.example/x.tgz";
        for (source, data, words) in [
            (https, vec![("user", "u")], "says nothing"),
            (
                https,
                vec![("token", "t"), ("username", "u")],
                "beside username",
            ),
            (
                "http://r.example/x.tgz",
                vec![("token", "t")],
                "use https://",
            ),
            (
                https,
                vec![("token", "t"), ("insecureSkipTLS", "true")],
                "give ca.crt",
            ),
        ] {
            let why = signed_in(source, &data).expect_err(words);
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn objects_of_other_namespaces_are_not_read() {
        let mut call = ChartCall {
            namespace: "app".to_owned(),
            ..ChartCall::default()
        };
        call.request.release.namespace = "rel".to_owned();
        let at = |kind: &str, namespace: Option<&str>| {
            let from = ValuesFrom {
                kind: kind.to_owned(),
                name: "v".to_owned(),
                namespace: namespace.map(str::to_owned),
                ..ValuesFrom::default()
            };
            call.values_at(&from).map(|place| place.namespace)
        };
        assert_eq!(at("Secret", None), Ok("rel".to_owned()));
        assert_eq!(at("ConfigMap", Some("app")), Ok("app".to_owned()));
        for kind in ["Secret", "ConfigMap"] {
            let refused = at(kind, Some("kube-system")).expect_err("another namespace");
            assert!(
                refused.contains("of the release's namespace (rel)"),
                "{refused}"
            );
        }
        assert!(at("Pod", None).is_err());
    }

    #[test]
    fn later_values_win_over_earlier_ones_and_those_of_the_call_over_all() {
        let layer = |value: Value| value.as_object().cloned().unwrap_or_default();
        let mut call = ChartCall::default();
        call.request.values = layer(json!({"c": 3, "list": [9]}));
        call.lay_below(vec![
            layer(json!({"a": 1, "b": 1, "c": 1, "list": [1, 2]})),
            layer(json!({"b": 2, "c": 2})),
        ]);
        let expected = json!({"a": 1, "b": 2, "c": 3, "list": [9]});
        assert_eq!(Value::Object(call.request.values), expected);
    }

    #[test]
    fn values_are_the_text_under_a_key() {
        let from = ValuesFrom {
            kind: "Secret".to_owned(),
            name: "v".to_owned(),
            key: Some("more".to_owned()),
            ..ValuesFrom::default()
        };
        let plain = |text: &str| as_stored(json!({"kind": "Secret", "stringData": {"more": text}}));
        let read = from.values(&plain("a: [1]")).expect("values");
        assert_eq!(read.map(Value::Object), Some(json!({"a": [1]})));
        assert_eq!(from.values(&json!({"kind": "Secret"})), Ok(None));
        // Nothing of a Secret is told.
        let refused = from.values(&plain("sesame")).expect_err("no map");
        assert_eq!(refused, "valuesFrom: \"more\" of Secret \"v\" is no map");
        let refused = from.values(&plain("a: sesame: b")).expect_err("no YAML");
        assert_eq!(refused, "valuesFrom: \"more\" of Secret \"v\" is no YAML");
    }

    #[test]
    fn a_docker_configuration_signs_in_at_its_own_hosts() {
        let auth = STANDARD.encode("u:p:q");
        let config = json!({"auths": {"https://r.example:5000/v1/": {"auth": auth}}}).to_string();
        assert_eq!(
            docker_login(&config, "oci://r.example:5000/charts/web"),
            Ok(("u".to_owned(), "p:q".to_owned()))
        );
        let refused = docker_login(&config, "oci://other/charts/web").expect_err("another host");
        assert!(
            refused.contains("other") && !refused.contains("p:q"),
            "{refused}"
        );
    }
}
