//! `helm.#Render` (rows REN-037, PRV-041): what a chart needs is read from the hub, then it is rendered.
//!
//! Helm installs nothing here: the objects are delivered like all others, so they are in the inventory, are repaired and
//! are collected, on any cluster. Only what the chart's `crds` folder has is treated as Helm treats it: it is
//! made where it is missing, never changed and never deleted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caravel_clusters::connect::{Cluster, Clusters};
use caravel_core::charts::{ChartCall, ChartLogin, ChartSource, Release, ValuesFrom, overlay};
use caravel_core::yaml;
use caravel_engines::Charts;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use serde_json::{Map, Value, json};

use super::told;

/// Fetches and renders a chart for a cluster. `namespace` is the Application's.
pub(super) async fn render(
    charts: &Charts,
    clusters: &Clusters,
    cluster: &str,
    namespace: &str,
    params: &Value,
) -> Result<Value, String> {
    let ChartCall {
        mut request,
        login,
        values_from,
        create_namespace,
    } = ChartCall::read(params, namespace)?;
    let hub = clusters.hub().map_err(told)?;
    let place = Places {
        hub: &hub,
        release: &request.release,
        namespace,
    };
    if let Some((name, named)) = &login {
        let secret = place.secret(name, named.as_deref()).await?;
        let secret = secret.ok_or_else(|| place.missing("Secret", name, named.as_deref()))?;
        request.chart.auth = login_of(&secret, &request.chart)?;
    }
    let mut values = Map::new();
    for from in &values_from {
        overlay(&mut values, place.values(from).await?);
    }
    overlay(&mut values, std::mem::take(&mut request.values));
    request.values = values;
    let target = clusters.get(cluster).map_err(told)?;
    request.kube_version = version(&target).await?;
    request.api_versions = target.served().await.map_err(told)?;
    let mut rendered = charts.render(&request).await.map_err(told)?;
    let is_there = target.name() == hub.name() && request.release.namespace == namespace;
    if create_namespace && !is_there {
        make_namespace(&target, &request.release.namespace).await?;
    }
    for crd in std::mem::take(&mut rendered.crds) {
        create_if_absent(&target, &crd).await?;
    }
    Ok(rendered.returns(true))
}

/// Where a chart's Secrets and ConfigMaps are.
struct Places<'a> {
    hub: &'a Cluster,
    release: &'a Release,
    namespace: &'a str,
}

impl Places<'_> {
    fn of<'a>(&'a self, named: Option<&'a str>) -> &'a str {
        named
            .filter(|name| !name.is_empty())
            .unwrap_or(&self.release.namespace)
    }

    fn missing(&self, kind: &str, name: &str, named: Option<&str>) -> String {
        let namespace = self.of(named);
        format!("there is no {kind} {name:?} in namespace {namespace}")
    }

    /// Secrets of other namespaces are nobody's to read with a chart.
    async fn secret(&self, name: &str, named: Option<&str>) -> Result<Option<Secret>, String> {
        let namespace = self.of(named);
        if namespace != self.release.namespace && namespace != self.namespace {
            return Err(format!(
                "Secret {name:?} is in namespace {namespace}: a chart may use Secrets of the release's namespace ({}) and of the \
                 Application's ({}) only",
                self.release.namespace, self.namespace
            ));
        }
        let api: Api<Secret> = Api::namespaced(self.hub.client().clone(), namespace);
        api.get_opt(name).await.map_err(told)
    }

    /// The values of one object, or none where it may be absent.
    async fn values(&self, from: &ValuesFrom) -> Result<Map<String, Value>, String> {
        let named = from.namespace.as_deref();
        let key = from.key.as_deref().unwrap_or("values.yaml");
        let text = match from.kind.as_str() {
            "Secret" => self
                .secret(&from.name, named)
                .await?
                .and_then(|secret| text_of(&secret, key)),
            "ConfigMap" => {
                let client = self.hub.client().clone();
                let api: Api<ConfigMap> = Api::namespaced(client, self.of(named));
                let found = api.get_opt(&from.name).await.map_err(told)?;
                found.and_then(|map| map.data?.remove(key))
            }
            other => {
                return Err(format!(
                    "valuesFrom: kind is {other:?}, expected Secret or ConfigMap"
                ));
            }
        };
        let Some(text) = text else {
            if from.optional {
                return Ok(Map::new());
            }
            let missing = self.missing(&from.kind, &from.name, named);
            return Err(format!("valuesFrom: {missing} with a key {key:?}"));
        };
        match yaml::parse_one(&text) {
            Ok(Value::Object(values)) => Ok(values),
            Ok(Value::Null) => Ok(Map::new()),
            Ok(_) => Err(format!(
                "valuesFrom: {key:?} of {} {:?} is no map",
                from.kind, from.name
            )),
            Err(error) => Err(format!(
                "valuesFrom: {key:?} of {} {:?}: {error}",
                from.kind, from.name
            )),
        }
    }
}

fn text_of(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    String::from_utf8(bytes.0.clone()).ok()
}

/// How a Secret signs in: user and password, a token, a registry's docker configuration, TLS files.
fn login_of(secret: &Secret, chart: &ChartSource) -> Result<ChartLogin, String> {
    let part = |key: &str| text_of(secret, key).unwrap_or_default();
    let flag = |key: &str| part(key).trim() == "true";
    let mut login = ChartLogin {
        username: part("username"),
        password: part("password"),
        token: part("token"),
        ca: part("ca.crt"),
        cert: part("tls.crt"),
        key: part("tls.key"),
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
    Ok(login)
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

async fn version(cluster: &Cluster) -> Result<String, String> {
    let version = cluster.client().apiserver_version().await.map_err(told)?;
    Ok(version.git_version)
}

/// Makes the namespace of a release, as Helm does: it is no object of the release, and stays.
async fn make_namespace(cluster: &Cluster, name: &str) -> Result<(), String> {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let made = create_if_absent(cluster, &object).await;
    made.map_err(|error| format!("options.createNamespace: {error}"))
}

async fn create_if_absent(cluster: &Cluster, object: &Value) -> Result<(), String> {
    let target = cluster.target(object).await.map_err(told)?;
    if cluster.get(&target).await.map_err(told)?.is_some() {
        return Ok(());
    }
    match cluster.create(&target, object).await {
        Err(error) if error.code() == 409 => Ok(()),
        other => other.map(drop).map_err(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
