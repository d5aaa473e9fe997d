//! What steps ask about Applications (PRV-027, PRV-030, PRV-031, PRV-039).

use caravel_core::api::Application;
use caravel_core::appfile::PolicyRule;
use caravel_core::plan::{KnownCluster, PlacementRules, place};
use caravel_core::render::{RenderStage, Role};
use kube::api::Api;
use serde_json::{Map, Value, json};

use super::super::component::Asked;
use super::super::delivery::Delivery;
use super::super::health::Place;
use super::super::ports::told;
use super::reason;
use crate::calls::text;
use crate::engine::{ComponentRequest, PortError};

impl Delivery {
    /// `oam.#LoadComponents`: by name.
    pub(super) async fn load_components(&self, params: &Value) -> Result<Value, PortError> {
        let application = self.other_application(params).await?;
        let components = application.spec.components.iter();
        let by_name: Map<String, Value> = components
            .map(|one| (one.name.clone(), json!(one)))
            .collect();
        Ok(json!({"value": by_name}))
    }

    /// The same as a list.
    pub(super) async fn load_in_order(&self, params: &Value) -> Result<Value, PortError> {
        let application = self.other_application(params).await?;
        Ok(json!({"value": application.spec.components}))
    }

    /// `oam.#LoadPolicies`: by name.
    pub(super) async fn load_policies(&self, params: &Value) -> Result<Value, PortError> {
        let application = self.other_application(params).await?;
        let policies = application.spec.policies.iter();
        let by_name: Map<String, Value> =
            policies.map(|one| (one.name.clone(), json!(one))).collect();
        Ok(json!({"value": by_name}))
    }

    /// The Application that `app` names, in the same namespace; the own one as it is being delivered.
    async fn other_application(&self, params: &Value) -> Result<Application, PortError> {
        match text(params, "app") {
            Some(name) if name != self.appfile.name => {
                let hub = self.clusters.hub().map_err(PortError::new)?;
                let namespace = &self.appfile.namespace;
                Api::<Application>::namespaced(hub.client().clone(), namespace)
                    .get(name)
                    .await
                    .map_err(|error| {
                        PortError::new(format!("application {name}: {}", reason(&error)))
                    })
            }
            _ => Ok((*self.application).clone()),
        }
    }

    /// `oam.#RenderComponent`: renders, and applies nothing. Each object comes under its own name (TRAP-015).
    pub(super) async fn render_only(&self, params: &Value) -> Result<Value, PortError> {
        let owned = |key: &str| text(params, key).unwrap_or_default().to_owned();
        let value = params.get("value").cloned();
        let request = ComponentRequest {
            component: value
                .as_ref()
                .and_then(|value| text(value, "name"))
                .unwrap_or_default()
                .to_owned(),
            cluster: owned("cluster"),
            namespace: owned("namespace"),
            value,
            patch: params
                .get("patch")
                .filter(|patch| !patch.is_null())
                .cloned(),
        };
        let (appfile, component) = self.component(&request)?;
        let patches = match &request.patch {
            Some(patch) => Some(self.patches(patch).await?),
            None => None,
        };
        let place = Place {
            cluster: request.cluster,
            namespace: if request.namespace.is_empty() {
                appfile.namespace.clone()
            } else {
                request.namespace
            },
            replica_key: String::new(),
        };
        let asked = Asked {
            appfile: &appfile,
            component: &component,
            place: &place,
            patches: patches.as_ref(),
        };
        let rendered = self
            .render(asked, RenderStage::Dispatch)
            .await
            .map_err(told)?;
        let mut output = Value::Null;
        let mut outputs = Map::new();
        for object in rendered.objects {
            if object.role == Role::Workload {
                output = object.object;
            } else {
                outputs.insert(object.output_name, object.object);
            }
        }
        Ok(json!({"output": output, "outputs": outputs}))
    }

    /// `multicluster.#GetPlacementsFromTopologyPolicies`.
    pub(super) fn placements(&self, params: &Value) -> Result<Value, PortError> {
        let names = params["policies"].as_array();
        let mut topologies = Vec::new();
        for name in names.into_iter().flatten().filter_map(Value::as_str) {
            let mut policies = self.appfile.policies.iter();
            let policy = policies.rfind(|policy| policy.name == name);
            let policy =
                policy.ok_or_else(|| PortError::new(format!("policy {name} not found")))?;
            if let PolicyRule::Topology(topology) = &policy.rule {
                topologies.push((name, topology));
            }
        }
        let clusters: Vec<KnownCluster> = self
            .clusters
            .names()
            .into_iter()
            .map(|name| KnownCluster {
                name,
                ..KnownCluster::default()
            })
            .collect();
        let rules = PlacementRules {
            clusters: &clusters,
            app_namespace: &self.appfile.namespace,
            cross_namespace: true,
        };
        let placements = place(&topologies, rules).map_err(PortError::new)?;
        let shown: Vec<Value> = placements
            .iter()
            .map(|one| json!({"cluster": one.cluster, "namespace": one.namespace}))
            .collect();
        Ok(json!({"placements": shown}))
    }

    /// `terraform.#LoadTerraformComponents`.
    pub(super) fn terraform_components(&self) -> Value {
        let components = self.appfile.components.iter();
        let made: Vec<_> = components
            .filter(|one| one.resolved.definition.terraform.is_some())
            .map(|one| &one.spec)
            .collect();
        json!({"outputs": {"components": made}})
    }
}
