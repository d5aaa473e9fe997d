//! Configurations: Secrets with the properties that somebody gave (PRV-022 to PRV-025, OPS-023).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caravel_core::api::SYSTEM_NAMESPACE;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ListParams};
use serde_json::{Map, Value, json};

use super::super::delivery::Delivery;
use super::required;
use crate::calls::text;
use crate::engine::PortError;

const CATALOG: &str = "config.oam.dev/catalog";
const CATALOG_VALUE: &str = "velacore-config";
const TYPE: &str = "config.oam.dev/type";
const SCOPE: &str = "config.oam.dev/scope";
const SENSITIVE: &str = "config.oam.dev/sensitive";
const TEMPLATE_NAMESPACE: &str = "config.oam.dev/template-namespace";
const ALIAS: &str = "config.oam.dev/alias";
const DESCRIPTION: &str = "config.oam.dev/description";
/// Key of the Secret with the properties as JSON.
const PROPERTIES: &str = "input-properties";

impl Delivery {
    fn secrets(&self, namespace: &str) -> Result<Api<Secret>, PortError> {
        let hub = self.clusters.hub().map_err(PortError::new)?;
        Ok(Api::namespaced(hub.client().clone(), namespace))
    }

    /// `config.#CreateConfig`: creates the configuration, or replaces its properties.
    pub(super) async fn create_config(&self, params: &Value) -> Result<Value, PortError> {
        let (name, namespace) = (required(params, "name")?, required(params, "namespace")?);
        let config = params.get("config").cloned().unwrap_or_else(|| json!({}));
        let template = match text(params, "template") {
            Some(reference) => Some(self.config_template(reference).await?),
            None => None,
        };
        let mut labels = Map::new();
        let mut annotations = Map::new();
        labels.insert(CATALOG.to_owned(), CATALOG_VALUE.into());
        labels.insert(TYPE.to_owned(), "".into());
        annotations.insert(ALIAS.to_owned(), "".into());
        annotations.insert(DESCRIPTION.to_owned(), "".into());
        if let Some(template) = &template {
            labels.insert(TYPE.to_owned(), template.name.as_str().into());
            labels.insert(SCOPE.to_owned(), template.scope.as_str().into());
            annotations.insert(
                TEMPLATE_NAMESPACE.to_owned(),
                template.namespace.clone().into(),
            );
            annotations.insert(SENSITIVE.to_owned(), template.sensitive.clone().into());
        }
        let mut data = Map::new();
        data.insert(
            PROPERTIES.to_owned(),
            STANDARD.encode(config.to_string()).into(),
        );
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels,
                "annotations": annotations,
            },
            "data": data,
        });
        if let Some(template) = &template {
            object["type"] = format!("/{}", template.name).into();
        }
        self.apply_object("", object)
            .await
            .map_err(|error| PortError::new(format!("configuration {name}: {error}")))?;
        Ok(Value::Null)
    }

    /// The template `name`, or `namespace/name`.
    async fn config_template(&self, reference: &str) -> Result<Template, PortError> {
        let (namespace, name) = reference
            .split_once('/')
            .unwrap_or((SYSTEM_NAMESPACE, reference));
        let hub = self.clusters.hub().map_err(PortError::new)?;
        let api: Api<ConfigMap> = Api::namespaced(hub.client().clone(), namespace);
        let found = api
            .get_opt(&format!("config-template-{name}"))
            .await
            .map_err(PortError::new)?;
        let found = found.ok_or_else(|| PortError::new("the template does not exist"))?;
        let source = found.data.as_ref().and_then(|data| data.get("template"));
        if source.is_some_and(|source| source.contains("output")) {
            return Err(PortError::new(format!(
                "the template {name} renders objects, which is not supported in a step: create the configuration \
                 without a template"
            )));
        }
        let mark = |marks: Option<&std::collections::BTreeMap<String, String>>, key: &str| {
            marks.and_then(|all| all.get(key)).cloned()
        };
        Ok(Template {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            scope: mark(found.metadata.labels.as_ref(), SCOPE).unwrap_or_default(),
            sensitive: mark(found.metadata.annotations.as_ref(), SENSITIVE)
                .unwrap_or_else(|| "false".to_owned()),
        })
    }

    /// `config.#DeleteConfig`: only what is a configuration.
    pub(super) async fn delete_config(&self, params: &Value) -> Result<Value, PortError> {
        let (name, namespace) = (required(params, "name")?, required(params, "namespace")?);
        self.config_secret(name, namespace).await?;
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace}});
        self.delete(&json!({"value": secret})).await?;
        Ok(Value::Null)
    }

    /// `config.#ReadConfig`: the properties, unless they are sensitive.
    pub(super) async fn read_config(&self, params: &Value) -> Result<Value, PortError> {
        let (name, namespace) = (required(params, "name")?, required(params, "namespace")?);
        let secret = self.config_secret(name, namespace).await?;
        if annotation(&secret, SENSITIVE) == Some("true") {
            return Err(PortError::new("the config is sensitive"));
        }
        Ok(json!({"config": properties(&secret)}))
    }

    /// `config.#ListConfig`: those of a template; sensitive ones without their properties.
    pub(super) async fn list_configs(&self, params: &Value) -> Result<Value, PortError> {
        let namespace = required(params, "namespace")?;
        let template = text(params, "template").unwrap_or_default();
        let template = template.rsplit('/').next().unwrap_or_default();
        let mine =
            ListParams::default().labels(&format!("{CATALOG}={CATALOG_VALUE},{TYPE}={template}"));
        let list = self
            .secrets(namespace)?
            .list(&mine)
            .await
            .map_err(PortError::new)?;
        let configs: Vec<Value> = list.items.iter().map(shown).collect();
        Ok(json!({"configs": configs}))
    }

    async fn config_secret(&self, name: &str, namespace: &str) -> Result<Secret, PortError> {
        let found = self.secrets(namespace)?.get_opt(name).await;
        let found = found.map_err(PortError::new)?;
        let is_config = |secret: &Secret| {
            let labels = secret.metadata.labels.as_ref();
            labels
                .and_then(|labels| labels.get(CATALOG))
                .is_some_and(|value| value == CATALOG_VALUE)
        };
        found
            .filter(is_config)
            .ok_or_else(|| PortError::new("the config does not exist"))
    }
}

struct Template {
    name: String,
    namespace: String,
    scope: String,
    sensitive: String,
}

fn annotation<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    let annotations = secret.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

fn properties(secret: &Secret) -> Value {
    let data = secret.data.as_ref().and_then(|data| data.get(PROPERTIES));
    data.and_then(|bytes| serde_json::from_slice(&bytes.0).ok())
        .unwrap_or_else(|| json!({}))
}

fn shown(secret: &Secret) -> Value {
    let mut shown = json!({"name": secret.metadata.name, "config": {}});
    if annotation(secret, SENSITIVE) != Some("true") {
        shown["config"] = properties(secret);
    }
    for (key, mark) in [("alias", ALIAS), ("description", DESCRIPTION)] {
        if let Some(value) = annotation(secret, mark) {
            shown[key] = value.into();
        }
    }
    shown
}
