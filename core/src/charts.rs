//! What is asked of the program that renders Helm charts (operation `chart` of `docs/protocol.md`), and what a
//! `helm.#Render` of a template means by its parameters (rows REN-037, PRV-041).

mod hook;
mod input;
mod lookup;

pub use hook::ChartHook;
pub use input::{ValuesFrom, as_stored};
pub use lookup::{Found, Lookup, without_secrets};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A chart that is to be rendered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChartRequest {
    /// Where it comes from.
    pub chart: ChartSource,
    /// `.Release` of its templates.
    pub release: Release,
    /// All values that are not the chart's own.
    pub values: Map<String, Value>,
    /// Version of the cluster that it is for; Helm's own default where empty.
    pub kube_version: String,
    /// What that cluster serves: `group/version` and `group/version/Kind`; Helm's own default where empty.
    pub api_versions: Vec<String>,
    /// Whether the `crds` folder is given.
    pub include_crds: bool,
    /// What its templates looked up so far.
    pub lookups: Vec<Found>,
    /// How long the archive is kept.
    pub cache: ChartCache,
}

/// Where a chart comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChartSource {
    /// `oci://…`, the address of an archive, or a name in the repository.
    pub source: String,
    /// Address of the repository.
    pub repo_url: String,
    /// Version, range of versions, or tag; empty or `latest` for the newest.
    pub version: String,
    /// Whether `source` may be a path of this machine.
    pub local: bool,
    /// How to sign in.
    pub auth: ChartLogin,
}

/// How to sign in where a chart is not public. Empty fields are not used.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChartLogin {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
    /// Bearer token, instead of both.
    pub token: String,
    /// The authority to trust, as PEM.
    pub ca: String,
    /// Client certificate and its key, as PEM.
    pub cert: String,
    /// The key.
    pub key: String,
    /// Whether any certificate is believed.
    pub insecure_skip_tls: bool,
    /// Whether a registry speaks plain HTTP.
    pub insecure_plain_http: bool,
}

/// Secrets are not shown.
impl std::fmt::Debug for ChartLogin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ChartLogin { .. }")
    }
}

/// Name and place of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// How long a fetched chart is kept; durations as Go writes them, the usual ones where empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChartCache {
    /// Charts with the same key share what is kept.
    pub key: String,
    /// For how long, whatever the version.
    pub ttl: String,
    /// For how long, where the version is a fixed one.
    #[serde(rename = "immutableTTL")]
    pub immutable_ttl: String,
    /// For how long, where it is a range or the newest.
    #[serde(rename = "mutableTTL")]
    pub mutable_ttl: String,
}

/// What a chart comes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RenderedChart {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its objects, in the order in which Helm installs them.
    pub resources: Vec<Value>,
    /// Its hooks, those with a lower weight first.
    pub hooks: Vec<ChartHook>,
    /// Its `crds` folder.
    pub crds: Vec<Value>,
    /// What it says after installing.
    pub notes: String,
}

/// What a `helm.#Render` asks for: the chart, and what has to be read first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChartCall {
    /// The chart, with the values that are given with it.
    pub request: ChartRequest,
    /// The Secret to sign in with: name, and namespace if it is named.
    pub login: Option<(String, Option<String>)>,
    /// Where more values are, in their order.
    pub values_from: Vec<ValuesFrom>,
    /// Whether the namespace of the release is made where it is missing.
    pub create_namespace: bool,
    /// Whether its hooks are left out.
    pub skip_hooks: bool,
    /// The Application's namespace.
    pub namespace: String,
}

impl ChartCall {
    /// Reads the parameters of a call. `namespace` is the Application's.
    ///
    /// # Errors
    /// What is missing or of the wrong shape.
    pub fn read(params: &Value, namespace: &str) -> Result<Self, String> {
        let chart = &params["chart"];
        let options = &params["options"];
        let source = text(chart, "source").ok_or("chart.source is missing")?;
        let context = |key: &str| text(&params["context"], key);
        let name = text(&params["release"], "name").or_else(|| context("name"));
        let place = text(&params["release"], "namespace").or_else(|| context("namespace"));
        let values = match &params["values"] {
            Value::Null => Map::new(),
            Value::Object(values) => values.clone(),
            _ => return Err("values is no object".to_owned()),
        };
        let values_from = match &params["valuesFrom"] {
            Value::Null => Vec::new(),
            list => Vec::deserialize(list).map_err(|error| format!("valuesFrom: {error}"))?,
        };
        let cache = match &options["cache"] {
            Value::Null => ChartCache::default(),
            cache => {
                ChartCache::deserialize(cache).map_err(|error| format!("options.cache: {error}"))?
            }
        };
        let flag = |key: &str, otherwise: bool| options[key].as_bool().unwrap_or(otherwise);
        let secret = &chart["auth"]["secretRef"];
        Ok(Self {
            request: ChartRequest {
                chart: ChartSource {
                    source: source.to_owned(),
                    repo_url: text(chart, "repoURL").unwrap_or_default().to_owned(),
                    version: text(chart, "version").unwrap_or_default().to_owned(),
                    ..ChartSource::default()
                },
                release: Release {
                    name: name.ok_or("release.name is missing")?.to_owned(),
                    namespace: place.unwrap_or(namespace).to_owned(),
                },
                values,
                include_crds: flag("includeCRDs", true),
                cache,
                ..ChartRequest::default()
            },
            login: text(secret, "name").map(|name| {
                (
                    name.to_owned(),
                    text(secret, "namespace").map(str::to_owned),
                )
            }),
            values_from,
            create_namespace: flag("createNamespace", true),
            skip_hooks: flag("skipHooks", false),
            namespace: namespace.to_owned(),
        })
    }
}

impl RenderedChart {
    /// What the call returns, with the hooks that are delivered.
    pub fn returns(self, skip_hooks: bool) -> Value {
        let mut returns = json!({"resources": self.resources, "notes": self.notes});
        let delivered = self.hooks.into_iter();
        let delivered = delivered.filter(|hook| hook.left_out(skip_hooks).is_none());
        let hooks: Vec<Value> = delivered.map(|hook| hook.object).collect();
        if !hooks.is_empty() {
            returns["hooks"] = hooks.into();
        }
        returns
    }
}

/// Lays values over others: maps are merged, everything else is replaced.
pub fn overlay(values: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, new) in over {
        match (values.get_mut(&key), new) {
            (Some(Value::Object(below)), Value::Object(above)) => overlay(below, above),
            (_, new) => {
                values.insert(key, new);
            }
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_with_the_defaults_of_the_definition() {
        let call = ChartCall::read(
            &json!({
                "chart": {"source": "tiny", "repoURL": "http://r", "auth": {"secretRef": {"name": "s"}}},
                "release": {"name": "rel"},
                "context": {"name": "c", "namespace": "prod"},
                "valuesFrom": [{"kind": "ConfigMap", "name": "v", "optional": true}],
                "options": {"skipHooks": true, "cache": {"mutableTTL": "1m"}},
            }),
            "ns",
        )
        .expect("a call");
        let request = &call.request;
        assert_eq!(request.release.name, "rel");
        assert_eq!(request.release.namespace, "prod");
        assert!(request.include_crds && call.skip_hooks && call.create_namespace);
        assert_eq!(request.cache.mutable_ttl, "1m");
        assert_eq!(call.login, Some(("s".to_owned(), None)));
        assert!(call.values_from[0].optional);
        assert_eq!(
            ChartCall::read(&json!({"chart": {}}), "ns"),
            Err("chart.source is missing".to_owned())
        );
    }

    #[test]
    fn later_values_win_and_lists_are_replaced() {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        let mut values = object(json!({"a": {"x": 1, "y": [1, 2]}, "b": 1}));
        overlay(
            &mut values,
            object(json!({"a": {"y": [3]}, "b": {"c": 1}, "d": null})),
        );
        assert_eq!(
            Value::Object(values),
            json!({"a": {"x": 1, "y": [3]}, "b": {"c": 1}, "d": null})
        );
    }

    #[test]
    fn a_login_is_not_shown() {
        let login = ChartLogin {
            password: "hidden".to_owned(),
            ..ChartLogin::default()
        };
        assert!(!format!("{login:?}").contains("hidden"));
    }
}
