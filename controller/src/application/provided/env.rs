//! Environments of `env-binding` policies (PRV-042, PRV-043), and how a component of Terraform stands (PRV-040).

use caravel_core::api::LOCAL_CLUSTER;
use caravel_core::appfile::Override;
use caravel_core::plan::overrides;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::super::delivery::Delivery;
use super::required;
use crate::calls::text;
use crate::engine::PortError;

impl Delivery {
    /// `op.#MakePlacementDecisions`: the one place of an environment.
    pub(super) fn placement_decisions(&self, params: &Value) -> Result<Value, PortError> {
        let inputs = &params["inputs"];
        let env = required(inputs, "envName")?;
        required(inputs, "policyName")?;
        let place = |selector: &str| {
            let selector_of = &inputs["placement"][selector];
            let labels = selector_of["labels"].as_object();
            if labels.is_some_and(|labels| !labels.is_empty()) {
                return Err(PortError::new(format!(
                    "invalid env {env}: {selector} does not support labels, name the place instead"
                )));
            }
            Ok(text(selector_of, "name").unwrap_or_default())
        };
        let (cluster, namespace) = (place("clusterSelector")?, place("namespaceSelector")?);
        let cluster = if cluster.is_empty() {
            LOCAL_CLUSTER
        } else {
            cluster
        };
        self.clusters.get(cluster).map_err(|error| {
            PortError::new(format!(
                "failed to get cluster {cluster} for env {env}: {error}"
            ))
        })?;
        Ok(json!({"outputs": {"decisions": [{"cluster": cluster, "namespace": namespace}]}}))
    }

    /// `op.#PatchApplication`: the Application as an environment wants it.
    pub(super) fn patched_application(&self, params: &Value) -> Result<Value, PortError> {
        let inputs = &params["inputs"];
        let wanted = json!({
            "components": inputs["patch"]["components"],
            "selector": inputs["selector"]["components"],
        });
        let wanted = Override::deserialize(&wanted).map_err(|error| {
            let env = text(inputs, "envName").unwrap_or_default();
            PortError::new(format!("the patch of env {env}: {error}"))
        })?;
        let mut application = (*self.application).clone();
        application.spec.components = overrides::apply(&application.spec.components, &wanted);
        application.status = None;
        Ok(json!({"outputs": application}))
    }

    /// `terraform.#GetConnectionStatus`: whether a component stands well everywhere, so that its connection data is there.
    pub(super) async fn connection_status(&self, params: &Value) -> Result<Value, PortError> {
        let name = required(&params["inputs"], "componentName")?;
        let services = self.services.lock().await;
        let mut rows = services.iter().filter(|row| row.name == name).peekable();
        let healthy = rows.peek().is_some() && rows.all(|row| row.healthy);
        Ok(json!({"outputs": {"healthy": healthy}}))
    }
}
