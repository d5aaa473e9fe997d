//! What steps leave for people to read: where their logs are (WF-027), and what their templates came to where a policy
//! `debug` asks for it (POL-010, WF-026).

use caravel_core::appfile::PolicyRule;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::delivery::Delivery;
use super::revision::owner_reference;
use super::run::context_name;
use crate::engine::PortError;

/// Owns the notes, beside what the workflow itself writes into the same `ConfigMap`.
const FIELD_MANAGER: &str = "caravel-steps";
const LOG_CONFIG: &str = "logConfig";

impl Delivery {
    /// `util.#Log`: what a step says goes to the daemon's log, and where its own logs are to its workflow's context.
    pub(super) async fn note_log(&self, step: &str, params: &Value) -> Result<(), PortError> {
        let given = |key: &str| params.get(key).filter(|value| !value.is_null());
        if let Some(data) = given("data") {
            let (application, namespace) = (&self.appfile.name, &self.appfile.namespace);
            tracing::info!(%application, %namespace, step, %data, "a step says");
        }
        let name = context_name(&self.application);
        let _turn = self.notes.lock().await;
        let known = self.notes_of_hub()?.get_opt(&name).await;
        let known = known.map_err(PortError::new)?.and_then(|map| map.data);
        let known = known.and_then(|mut data| data.remove(LOG_CONFIG));
        let known = known.and_then(|text| serde_json::from_str(&text).ok());
        let mut all: Map<String, Value> = known.unwrap_or_default();
        let mut mine = all.get(step).cloned().unwrap_or_else(|| json!({}));
        if given("data").is_some() {
            mine["data"] = true.into();
        }
        for (key, value) in given("source")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            mine["source"][key] = value.clone();
        }
        all.insert(step.to_owned(), mine);
        self.write_note(&name, LOG_CONFIG, Value::Object(all).to_string())
            .await
    }

    /// What the template of a step came to, as CUE; JSON is CUE.
    pub(super) async fn note_debug(&self, id: &str, value: &Value) -> Result<(), PortError> {
        let mut policies = self.appfile.policies.iter();
        if !policies.any(|policy| matches!(policy.rule, PolicyRule::Debug)) {
            return Ok(());
        }
        let uid = self.application.uid().unwrap_or_default();
        let short = &uid[uid.len().saturating_sub(5)..];
        let name = format!("{}-{id}-debug-{short}", self.appfile.name);
        self.write_note(&name, "debug", format!("{value:#}")).await
    }

    async fn write_note(&self, name: &str, key: &str, text: String) -> Result<(), PortError> {
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "ownerReferences": [owner_reference(&self.application)]},
            "data": {key: text},
        });
        let apply = PatchParams::apply(FIELD_MANAGER).force();
        let written = self.notes_of_hub()?;
        let written = written.patch(name, &apply, &Patch::Apply(object)).await;
        written.map(drop).map_err(PortError::new)
    }

    fn notes_of_hub(&self) -> Result<Api<ConfigMap>, PortError> {
        let hub = self.clusters.hub().map_err(PortError::new)?;
        Ok(Api::namespaced(
            hub.client().clone(),
            &self.appfile.namespace,
        ))
    }
}
