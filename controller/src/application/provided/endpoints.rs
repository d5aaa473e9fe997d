//! Under which addresses an Application is reached (PRV-038).

use caravel_clusters::cluster_name;
use caravel_core::api::ManagedResource;
use serde_json::{Value, json};

use super::super::delivery::Delivery;
use crate::calls::text;
use crate::engine::PortError;

/// Where an address was found.
struct Source<'a> {
    entry: &'a ManagedResource,
    object: &'a Value,
}

impl Delivery {
    /// `query.#CollectServiceEndpoints`: the addresses of Services and Ingresses that an Application has made.
    pub(super) async fn endpoints(&self, params: &Value) -> Result<Value, PortError> {
        let owned = self.owned(&params["app"]).await?;
        let entries = owned.into_iter().map(|owned| owned.entry);
        let entries: Vec<ManagedResource> = entries
            .filter(|entry| matches!(entry.kind.as_str(), "Service" | "Ingress"))
            .collect();
        let mut list = Vec::new();
        for entry in &entries {
            let object = json!({"apiVersion": entry.api_version, "kind": entry.kind,
                "metadata": {"name": entry.name, "namespace": entry.namespace}});
            let cluster = entry.cluster.as_deref().unwrap_or_default();
            let live = self.read_object(cluster, &object).await;
            if let Some(object) = live.map_err(PortError::new)? {
                let source = Source {
                    entry,
                    object: &object,
                };
                list.extend(match entry.kind.as_str() {
                    "Service" => source.of_service(),
                    _ => source.of_ingress(),
                });
            }
        }
        Ok(json!({"list": list}))
    }
}

impl Source<'_> {
    fn address(&self, endpoint: Value) -> Value {
        json!({
            "endpoint": endpoint,
            "ref": {"apiVersion": self.entry.api_version, "kind": self.entry.kind,
                    "name": self.entry.name, "namespace": self.entry.namespace},
            "cluster": cluster_name(self.entry.cluster.as_deref()),
            "component": self.entry.component.as_deref().unwrap_or_default(),
        })
    }

    /// A Service is reached under its name from inside of the cluster, and under the addresses of a load balancer.
    fn of_service(&self) -> Vec<Value> {
        let name = text(&self.object["metadata"], "name").unwrap_or_default();
        let namespace = text(&self.object["metadata"], "namespace").unwrap_or_default();
        let ports = self.object["spec"]["ports"].as_array();
        let mut hosts = Vec::new();
        if self.object["spec"]["type"] == "LoadBalancer" {
            hosts.extend(load_balancer(self.object).map(|host| (host, false)));
        } else {
            hosts.push((format!("{name}.{namespace}"), true));
        }
        let mut found = Vec::new();
        for port in ports.into_iter().flatten() {
            for (host, inner) in &hosts {
                let mut endpoint = json!({
                    "protocol": text(port, "protocol").unwrap_or("TCP"),
                    "host": host,
                    "port": port["port"],
                    "inner": inner,
                });
                for (key, field) in [("portName", "name"), ("appProtocol", "appProtocol")] {
                    if let Some(value) = text(port, field) {
                        endpoint[key] = value.into();
                    }
                }
                found.push(self.address(endpoint));
            }
        }
        found
    }

    fn of_ingress(&self) -> Vec<Value> {
        let spec = &self.object["spec"];
        let (protocol, port) = if spec["tls"].as_array().is_some_and(|tls| !tls.is_empty()) {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let mut found = Vec::new();
        for rule in spec["rules"].as_array().into_iter().flatten() {
            let hosts: Vec<String> = match text(rule, "host") {
                Some(host) => vec![host.to_owned()],
                None => load_balancer(self.object).collect(),
            };
            let paths = rule["http"]["paths"].as_array();
            for path in paths.into_iter().flatten() {
                for host in &hosts {
                    found.push(self.address(json!({
                        "protocol": "TCP",
                        "appProtocol": protocol,
                        "host": host,
                        "port": port,
                        "path": text(path, "path").unwrap_or_default(),
                        "inner": false,
                    })));
                }
            }
        }
        found
    }
}

fn load_balancer(object: &Value) -> impl Iterator<Item = String> {
    let addresses = object["status"]["loadBalancer"]["ingress"].as_array();
    addresses.into_iter().flatten().filter_map(|one| {
        let host = text(one, "hostname").or_else(|| text(one, "ip"));
        host.map(str::to_owned)
    })
}
