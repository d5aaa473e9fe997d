//! The calls of steps that the workflow engine hands on (section 4.5 of the reference): objects, configurations, the
//! Application itself, clusters, small conversions.
//!
//! Each may be carried out again: a step begins anew until it has succeeded.

mod app;
mod config;
mod endpoints;
mod env;
mod metrics;
mod objects;
mod query;
mod time;
mod values;

use caravel_core::engine::Call;
use serde_json::{Value, json};

use self::query::listed;
use super::delivery::Delivery;
use crate::calls::text;
use crate::engine::PortError;

impl Delivery {
    /// Carries a call out; none where it is not known here.
    pub(super) async fn provide(&self, call: &Call) -> Result<Option<Value>, PortError> {
        let params = &call.params;
        let answer = match (package(call), call.action.as_str()) {
            ("kube", "patch") => self.patch(params).await,
            ("kube", "apply-in-parallel") => self.apply_all(params).await,
            ("kube", "list") => Ok(self.list(call).await),
            ("kube", "delete") => Ok(self
                .delete(params)
                .await
                .unwrap_or_else(|error| failed(params, &error))),
            ("config", "create" | "create-config") => self.create_config(params).await,
            ("config", "delete" | "delete-config") => self.delete_config(params).await,
            ("config", "read" | "read-config") => self.read_config(params).await,
            ("config", "list" | "list-config") => self.list_configs(params).await,
            ("oam", "load") => self.load_components(params).await,
            ("oam", "load-comps-in-order") => self.load_in_order(params).await,
            ("oam", "load-policies") => self.load_policies(params).await,
            ("oam", "component-render") => self.render_only(params).await,
            ("multicluster", "list-clusters") => {
                Ok(json!({"outputs": {"clusters": self.clusters.names()}}))
            }
            (
                "multicluster",
                "get-placements-from-topology-policies"
                | "get-placements-from-tmulticlusterology-policies",
            ) => self.placements(params),
            ("terraform", "load-terraform-components") => Ok(self.terraform_components()),
            ("terraform", "get-connection-status") => self.connection_status(params).await,
            ("op", "make-placement-decisions") => self.placement_decisions(params),
            ("op", "patch-application") => self.patched_application(params),
            ("query", "collectServiceEndpoints") => self.endpoints(params).await,
            ("query", "listAppliedResources") => Ok(listed(self.applied_resources(params).await)),
            ("query", "listResourcesInApp") => Ok(listed(self.resources(params).await)),
            ("query", "collectResources") => Ok(listed(self.collected(params).await)),
            ("query", "searchEvents") => Ok(listed(self.events(params).await)),
            ("query", "collectLogsInPod") => self.logs(params).await,
            ("helm", "render") => self.chart(call).await,
            ("metrics", "promCheck") => self.prometheus(call).await,
            ("util", "string") => values::string(params),
            ("time", "now") => Ok(json!({"timestamp": self.clock.now().as_second()})),
            ("time", "timestamp") => self.timestamp(params).await,
            ("time", "date") => self.date(params).await,
            _ => return Ok(None),
        };
        answer.map(Some)
    }

    /// `helm.#Render` in a step: for the hub's own cluster.
    async fn chart(&self, call: &Call) -> Result<Value, PortError> {
        let calls = &self.renderer.calls;
        calls.carry_out("step", call).await.map_err(PortError::new)
    }
}

/// The package of a call; the legacy package `op` has the operations of several.
fn package(call: &Call) -> &str {
    match call.provider.as_str() {
        "op" => {}
        "ql" => return "query",
        other => return other,
    }
    match call.action.as_str() {
        "patch" | "apply-in-parallel" | "list" | "delete" => "kube",
        "create-config" | "delete-config" | "read-config" | "list-config" => "config",
        "load" | "load-comps-in-order" | "load-policies" | "component-render" => "oam",
        "list-clusters"
        | "get-placements-from-topology-policies"
        | "get-placements-from-tmulticlusterology-policies" => "multicluster",
        "load-terraform-components" | "get-connection-status" => "terraform",
        "promCheck" => "metrics",
        "string" => "util",
        "timestamp" | "date" => "time",
        _ => "op",
    }
}

/// That it failed is data for the template, not a failure of the step (PRV-013).
fn failed(params: &Value, error: &PortError) -> Value {
    json!({"value": params["value"], "err": error.to_string()})
}

/// A parameter that a call cannot do without.
fn required<'a>(params: &'a Value, key: &str) -> Result<&'a str, PortError> {
    text(params, key).ok_or_else(|| PortError::new(format!("{key} is missing")))
}

/// What an API server says, or why it says nothing.
fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}
