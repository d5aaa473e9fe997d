//! Configurations: Secrets with the properties that somebody gave (PRV-022 to PRV-025, OPS-023).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caravel_core::api::SYSTEM_NAMESPACE;
use caravel_core::engine::{self, ConfigResult};
use caravel_core::render::ConfigRender;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

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
/// Key with the objects that were made with it.
const REFERENCES: &str = "objects-reference";

impl Delivery {
    fn secrets(&self, namespace: &str) -> Result<Api<Secret>, PortError> {
        let hub = self.clusters.hub().map_err(PortError::new)?;
        Ok(Api::namespaced(hub.client().clone(), namespace))
    }

    /// `config.#CreateConfig`: creates the configuration, or replaces its properties. Nothing is written of one whose
    /// properties its template does not take.
    pub(super) async fn create_config(&self, params: &Value) -> Result<Value, PortError> {
        let (name, namespace) = (required(params, "name")?, required(params, "namespace")?);
        let properties = params.get("config").cloned().unwrap_or_else(|| json!({}));
        let template = match text(params, "template") {
            Some(reference) => Some(self.config_template(reference).await?),
            None => None,
        };
        let made = match &template {
            Some(template) => {
                self.made_with(template, name, namespace, &properties)
                    .await?
            }
            None => ConfigResult::default(),
        };
        let mut outputs = made.outputs;
        for (key, object) in &mut outputs {
            if !object["metadata"].is_object() {
                return Err(PortError::new(format!("the object {key} has no metadata")));
            }
            if text(&object["metadata"], "namespace").is_none() {
                object["metadata"]["namespace"] = namespace.into();
            }
        }
        let mut secret = match made.output {
            Value::Null => json!({}),
            output => output,
        };
        describe(&mut secret, name, namespace, template.as_ref());
        secret["data"][PROPERTIES] = STANDARD.encode(properties.to_string()).into();
        if !outputs.is_empty() {
            let references: Vec<Value> = outputs.values().map(reference).collect();
            secret["data"][REFERENCES] = STANDARD.encode(json!(references).to_string()).into();
        }
        self.stays_of_its_kind(name, namespace, &secret).await?;
        self.apply_object("", secret)
            .await
            .map_err(|error| PortError::new(format!("configuration {name}: {error}")))?;
        for (key, object) in outputs {
            self.apply_object("", object).await.map_err(|error| {
                PortError::new(format!("fail to apply the object {key}: {error}"))
            })?;
        }
        Ok(Value::Null)
    }

    /// What a template makes of properties.
    async fn made_with(
        &self,
        template: &Template,
        name: &str,
        namespace: &str,
        properties: &Value,
    ) -> Result<ConfigResult, PortError> {
        let source = engine::Template {
            name: template.name.clone(),
            source: template.source.clone(),
            parameters: properties.clone(),
        };
        let evaluator = self.evaluation.evaluator();
        let render = ConfigRender::new(name, namespace, source, evaluator);
        let subject = format!("config/{namespace}/{name}");
        let made = self.renderer.carry(subject.as_str(), render).await;
        let made = made.map_err(PortError::new)?;
        if !made.valid {
            let said = Some(made.message.as_str()).filter(|said| !said.is_empty());
            let said = said.unwrap_or("the template does not take these properties");
            return Err(PortError::new(format!("failed to validate config: {said}")));
        }
        if made.nacos {
            return Err(PortError::new(format!(
                "the template {} writes to a Nacos server (template.nacos), which is not supported: configurations are written as \
                 Secrets and objects only",
                template.name
            )));
        }
        if !made.output.is_null() && !is_secret(&made.output) {
            return Err(PortError::new("the output format must be secret"));
        }
        Ok(made)
    }

    /// A configuration keeps its template and the type of its Secret.
    async fn stays_of_its_kind(
        &self,
        name: &str,
        namespace: &str,
        secret: &Value,
    ) -> Result<(), PortError> {
        let Ok(known) = self.config_secret(name, namespace).await else {
            return Ok(());
        };
        let labels = known.metadata.labels.unwrap_or_default();
        if labels.get(TYPE).map(String::as_str)
            != text(&secret["metadata"]["labels"], TYPE).or(Some(""))
        {
            return Err(PortError::new(
                "the template of the config can not be changed",
            ));
        }
        if text(secret, "type").is_some_and(|type_| known.type_.as_deref() != Some(type_)) {
            return Err(PortError::new(
                "the secret type of the config can not be changed",
            ));
        }
        Ok(())
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
        let source = found.data.and_then(|mut data| data.remove("template"));
        let mark = |marks: Option<BTreeMap<String, String>>, key: &str| marks?.remove(key);
        Ok(Template {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            source: source
                .ok_or_else(|| PortError::new(format!("the template {name} has no text")))?,
            scope: mark(found.metadata.labels, SCOPE).unwrap_or_default(),
            sensitive: mark(found.metadata.annotations, SENSITIVE)
                .unwrap_or_else(|| "false".to_owned()),
        })
    }

    /// `config.#DeleteConfig`: only what is a configuration.
    pub(super) async fn delete_config(&self, params: &Value) -> Result<Value, PortError> {
        let (name, namespace) = (required(params, "name")?, required(params, "namespace")?);
        let known = self.config_secret(name, namespace).await?;
        for object in references(&known) {
            // What is gone already is gone.
            let (cluster, target) = self.located(&json!({"value": object})).await?;
            if let Some(found) = cluster.get(&target).await.map_err(PortError::new)? {
                self.delete_one(&cluster, &found).await?;
            }
        }
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
    source: String,
    scope: String,
    sensitive: String,
}

/// Marks a Secret as a configuration.
fn describe(secret: &mut Value, name: &str, namespace: &str, template: Option<&Template>) {
    secret["apiVersion"] = "v1".into();
    secret["kind"] = "Secret".into();
    let metadata = &mut secret["metadata"];
    if text(metadata, "name").is_none() {
        metadata["name"] = name.into();
    }
    metadata["namespace"] = namespace.into();
    metadata["labels"][CATALOG] = CATALOG_VALUE.into();
    metadata["labels"][TYPE] = template.map_or("", |template| &template.name).into();
    metadata["annotations"][ALIAS] = "".into();
    metadata["annotations"][DESCRIPTION] = "".into();
    let Some(template) = template else { return };
    metadata["labels"][SCOPE] = template.scope.as_str().into();
    metadata["annotations"][TEMPLATE_NAMESPACE] = template.namespace.as_str().into();
    metadata["annotations"][SENSITIVE] = template.sensitive.as_str().into();
    if text(secret, "type").is_none() {
        secret["type"] = format!("/{}", template.name).into();
    }
}

/// Whether an object can be read as a Secret.
fn is_secret(object: &Value) -> bool {
    let named = object.get("kind").is_none_or(|kind| kind == "Secret");
    let mut object = object.clone();
    object["apiVersion"] = "v1".into();
    object["kind"] = "Secret".into();
    named && serde_json::from_value::<Secret>(object).is_ok()
}

/// How the Secret of a configuration names an object that was made with it.
fn reference(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "name": object["metadata"]["name"],
        "namespace": object["metadata"]["namespace"],
    })
}

/// The objects that were made with a configuration.
fn references(secret: &Secret) -> Vec<Value> {
    let data = secret.data.as_ref().and_then(|data| data.get(REFERENCES));
    let list: Vec<Value> = data
        .and_then(|bytes| serde_json::from_slice(&bytes.0).ok())
        .unwrap_or_default();
    let object = |reference: Value| {
        json!({"apiVersion": reference["apiVersion"], "kind": reference["kind"],
            "metadata": {"name": reference["name"], "namespace": reference["namespace"]}})
    };
    list.into_iter().map(object).collect()
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
