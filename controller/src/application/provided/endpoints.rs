//! Under which addresses an Application is reached (PRV-038).

use std::collections::BTreeMap;

use caravel_clusters::cluster_name;
use caravel_clusters::connect::Cluster;
use caravel_core::api::ManagedResource;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use super::super::delivery::Delivery;
use crate::calls::text;
use crate::engine::PortError;

/// What an Ingress says of its controller: where that is reached.
const CONTROLLER_HOST: &str = "ingress.controller/host";

/// Where an address was found.
struct Source<'a> {
    entry: &'a ManagedResource,
    object: &'a Value,
    /// The address of a node of the cluster, where one is needed; empty where it has none.
    node: &'a str,
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
        let mut nodes = BTreeMap::new();
        for entry in &entries {
            let (cluster, Some(object)) = self.live(entry).await? else {
                continue;
            };
            if is_on_nodes(&object) && !nodes.contains_key(cluster.name()) {
                nodes.insert(cluster.name().to_owned(), node_address(&cluster).await);
            }
            let source = Source {
                entry,
                object: &object,
                node: nodes.get(cluster.name()).map_or("", String::as_str),
            };
            list.extend(match entry.kind.as_str() {
                "Service" => source.of_service(),
                _ => source.of_ingress(),
            });
        }
        Ok(json!({"list": list}))
    }
}

fn is_on_nodes(service: &Value) -> bool {
    service["spec"]["type"] == "NodePort"
}

/// The address under which a cluster's ports are reached; empty where nobody may list its nodes.
async fn node_address(cluster: &Cluster) -> String {
    let api: Api<Node> = Api::all(cluster.client().clone());
    let nodes = api.list(&ListParams::default()).await;
    nodes.map_or_else(|_| String::new(), |nodes| address_of(&nodes.items))
}

/// A node that is marked as the gateway, or else the workers, or else all: an external address of theirs, or else an
/// internal one.
fn address_of(nodes: &[Node]) -> String {
    let with_role = |role: &str| -> Vec<&Node> {
        let label = format!("node-role.kubernetes.io/{role}");
        let has = |node: &&Node| {
            let labels = node.metadata.labels.as_ref();
            labels.is_some_and(|labels| labels.contains_key(&label))
        };
        nodes.iter().filter(has).collect()
    };
    let mut candidates = with_role("gateway");
    candidates.truncate(1);
    if candidates.is_empty() {
        candidates = with_role("worker");
    }
    if candidates.is_empty() {
        candidates = nodes.iter().collect();
    }
    let address = |type_: &str| {
        let status = candidates.iter().filter_map(|node| node.status.as_ref());
        let mut addresses = status.flat_map(|status| status.addresses.iter().flatten());
        addresses
            .find(|one| one.type_ == type_)
            .map(|one| one.address.clone())
    };
    let found = address("ExternalIP").or_else(|| address("InternalIP"));
    found.unwrap_or_default()
}

/// What is usually spoken at a port; empty for one without a custom.
fn usual_protocol(port: &Value) -> &'static str {
    match port.as_u64() {
        Some(80 | 8080) => "http",
        Some(443) => "https",
        Some(3306) => "mysql",
        Some(6379) => "redis",
        _ => "",
    }
}

impl Source<'_> {
    fn address(&self, endpoint: Value) -> Value {
        let metadata = &self.object["metadata"];
        json!({
            "endpoint": endpoint,
            "ref": {"apiVersion": self.entry.api_version, "kind": self.entry.kind,
                    "name": self.entry.name, "namespace": self.entry.namespace,
                    "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
            "cluster": cluster_name(self.entry.cluster.as_deref()),
            "component": self.entry.component.as_deref().unwrap_or_default(),
        })
    }

    /// A Service is reached under its name from inside of the cluster, or under the addresses of a load balancer, or at
    /// ports of the nodes.
    fn of_service(&self) -> Vec<Value> {
        let name = text(&self.object["metadata"], "name").unwrap_or_default();
        let namespace = text(&self.object["metadata"], "namespace").unwrap_or_default();
        let type_ = text(&self.object["spec"], "type").unwrap_or_default();
        let (hosts, number, inner) = match type_ {
            "LoadBalancer" => (load_balancer(self.object), "port", false),
            "NodePort" => (vec![self.node.to_owned()], "nodePort", false),
            _ => (vec![format!("{name}.{namespace}")], "port", true),
        };
        let ports = self.object["spec"]["ports"].as_array();
        let mut found = Vec::new();
        for port in ports.into_iter().flatten() {
            let usual = usual_protocol(&port["port"]);
            for host in &hosts {
                let mut endpoint = json!({
                    "protocol": text(port, "protocol").unwrap_or("TCP"),
                    "appProtocol": text(port, "appProtocol").unwrap_or(usual),
                    "host": host,
                    "port": port[number],
                    "inner": inner,
                });
                if let Some(name) = text(port, "name") {
                    endpoint["portName"] = name.into();
                }
                found.push(self.address(endpoint));
            }
        }
        found
    }

    fn of_ingress(&self) -> Vec<Value> {
        let mut found = Vec::new();
        for rule in self.object["spec"]["rules"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let host = text(rule, "host").unwrap_or_default();
            let (protocol, port) = self.spoken(host);
            let paths = rule["http"]["paths"].as_array();
            for path in paths.into_iter().flatten() {
                for host in self.hosts(host) {
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

    /// Where a rule's host is reached: one without a host where the controller is.
    fn hosts(&self, host: &str) -> Vec<String> {
        if !host.is_empty() {
            return vec![host.to_owned()];
        }
        if let Some(host) = self.annotation(CONTROLLER_HOST) {
            return vec![host.to_owned()];
        }
        let mut hosts = load_balancer(self.object);
        if hosts.is_empty() {
            hosts.push(String::new());
        }
        hosts
    }

    /// What is spoken with a host, and at which port of the controller.
    fn spoken(&self, host: &str) -> (&'static str, u64) {
        let certificates = self.object["spec"]["tls"].as_array();
        let is_secure = certificates.into_iter().flatten().any(|one| {
            let hosts = one["hosts"].as_array().filter(|hosts| !hosts.is_empty());
            hosts.is_none_or(|hosts| hosts.iter().any(|one| one == host))
        });
        let (protocol, usual) = if is_secure {
            ("https", 443)
        } else {
            ("http", 80)
        };
        let told = self.annotation(&format!("ingress.controller/{protocol}-port"));
        let told = told.and_then(|port| port.parse().ok());
        (protocol, told.filter(|port| *port > 0).unwrap_or(usual))
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        text(&self.object["metadata"]["annotations"], name)
    }
}

/// The addresses of a load balancer; one may have a name and a number.
fn load_balancer(object: &Value) -> Vec<String> {
    let addresses = object["status"]["loadBalancer"]["ingress"].as_array();
    let both = |one: &Value| ["hostname", "ip"].map(|key| text(one, key).map(str::to_owned));
    let all = addresses.into_iter().flatten().flat_map(both);
    all.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses as `protocol host:port/path`, those inside in brackets.
    fn addresses(kind: &str, object: &Value) -> Vec<String> {
        let entry = ManagedResource {
            kind: kind.to_owned(),
            ..ManagedResource::default()
        };
        let source = Source {
            entry: &entry,
            object,
            node: "10.0.0.5",
        };
        let found = match kind {
            "Service" => source.of_service(),
            _ => source.of_ingress(),
        };
        let shown = |one: &Value| {
            assert_eq!(one["ref"]["uid"], object["metadata"]["uid"]);
            let at = &one["endpoint"];
            let line = format!(
                "{} {}:{}{}",
                at["appProtocol"].as_str().unwrap(),
                at["host"].as_str().unwrap(),
                at["port"],
                at["path"].as_str().unwrap_or_default()
            );
            match at["inner"].as_bool() {
                Some(true) => format!("({line})"),
                _ => line,
            }
        };
        found.iter().map(shown).collect()
    }

    fn service(type_: &str) -> Value {
        json!({
            "metadata": {"name": "web", "namespace": "prod", "uid": "u"},
            "spec": {"type": type_, "ports": [{"port": 8080, "nodePort": 30123}, {"port": 9999, "nodePort": 30124}]},
            "status": {"loadBalancer": {"ingress": [{"hostname": "lb.io", "ip": "1.2.3.4"}]}},
        })
    }

    #[test]
    fn a_service_is_reached_as_its_type_says() {
        assert_eq!(
            addresses("Service", &service("NodePort")),
            ["http 10.0.0.5:30123", " 10.0.0.5:30124"]
        );
        assert_eq!(
            addresses("Service", &service("ClusterIP")),
            ["(http web.prod:8080)", "( web.prod:9999)"]
        );
        assert_eq!(
            addresses("Service", &service("LoadBalancer")),
            [
                "http lb.io:8080",
                "http 1.2.3.4:8080",
                " lb.io:9999",
                " 1.2.3.4:9999"
            ]
        );
    }

    #[test]
    fn an_ingress_is_secure_for_the_hosts_of_its_certificates() {
        let paths = json!({"paths": [{"path": "/x"}]});
        let ingress = |annotations: Value, tls: Value| {
            let hosts = ["sec.io", "plain.io"].map(|host| json!({"host": host, "http": paths}));
            json!({"metadata": {"annotations": annotations}, "spec": {"tls": tls, "rules": hosts}})
        };
        let of_one = json!([{"hosts": ["sec.io"], "secretName": "t"}]);
        assert_eq!(
            addresses(
                "Ingress",
                &ingress(json!({"ingress.controller/http-port": "8000"}), of_one)
            ),
            ["https sec.io:443/x", "http plain.io:8000/x"]
        );
        assert_eq!(
            addresses("Ingress", &ingress(json!({}), json!([{"secretName": "t"}]))),
            ["https sec.io:443/x", "https plain.io:443/x"]
        );
        let hostless = |annotations: Value| {
            let mut made = ingress(annotations, json!([]));
            made["spec"]["rules"] = json!([{"http": paths}]);
            addresses("Ingress", &made)
        };
        let told = json!({"ingress.controller/host": "gw.io", "ingress.controller/http-port": "x"});
        assert_eq!(hostless(told), ["http gw.io:80/x"]);
        assert_eq!(hostless(json!({})), ["http :80/x"]);
    }

    #[test]
    fn a_cluster_is_reached_at_its_gateway_or_a_worker() {
        let node = |role: &str, addresses: Value| -> Node {
            serde_json::from_value(json!({
                "metadata": {"labels": {format!("node-role.kubernetes.io/{role}"): ""}},
                "status": {"addresses": addresses},
            }))
            .unwrap()
        };
        let inside = |ip: &str| json!([{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": ip}]);
        let control = node(
            "control-plane",
            json!([{"type": "ExternalIP", "address": "9.9.9.9"}]),
        );
        let worker = node("worker", inside("10.0.0.1"));
        let gateway = node("gateway", inside("10.0.0.2"));
        assert_eq!(address_of(&[]), "");
        assert_eq!(address_of(&[worker.clone(), control.clone()]), "10.0.0.1");
        assert_eq!(address_of(&[worker, control.clone(), gateway]), "10.0.0.2");
        assert_eq!(address_of(&[control]), "9.9.9.9");
    }
}
