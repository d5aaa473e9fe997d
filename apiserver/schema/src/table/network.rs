//! Services, ingresses and their like.

use super::columns::{
    AGE, Doc::Field, Doc::Text, NAME, NAME_AND_AGE, NONE, Printer, age, count, items, name,
    or_none, selector, text, wide,
};
use super::core::selector_cell;
use serde_json::Value;

pub(super) fn printer(kind: &str) -> Option<&'static Printer> {
    Some(match kind {
        "Service" => &SERVICE,
        "Endpoints" => &ENDPOINTS,
        "EndpointSlice" => &ENDPOINT_SLICE,
        "Ingress" => &INGRESS,
        "IngressClass" => &INGRESS_CLASS,
        "IPAddress" => &NAME_AND_AGE,
        "ServiceCIDR" => &RANGE,
        "NetworkPolicy" => &NETWORK_POLICY,
        _ => return None,
    })
}

const SERVICE: Printer = Printer {
    columns: &[
        NAME,
        text("Type", Field("core.v1.ServiceSpec", "type")),
        text("Cluster-IP", Field("core.v1.ServiceSpec", "clusterIP")),
        text("External-IP", Field("core.v1.ServiceSpec", "externalIPs")),
        text("Port(s)", Field("core.v1.ServiceSpec", "ports")),
        AGE,
        wide("Selector", Field("core.v1.ServiceSpec", "selector")),
    ],
    cells: |o, now| {
        let spec = &o["spec"];
        let address = items(&spec["clusterIPs"])
            .next()
            .unwrap_or(&spec["clusterIP"]);
        vec![
            name(o),
            spec["type"].as_str().unwrap_or_default().into(),
            or_none(address).into(),
            external_address(o).into(),
            ports(&spec["ports"]).into(),
            age(o, now),
            selector_cell(&spec["selector"]),
        ]
    },
};

fn external_address(o: &Value) -> String {
    let spec = &o["spec"];
    let external: Vec<&str> = items(&spec["externalIPs"])
        .filter_map(Value::as_str)
        .collect();
    let or = |list: Vec<&str>, otherwise: &str| {
        if list.is_empty() {
            otherwise.to_owned()
        } else {
            list.join(",")
        }
    };
    match spec["type"].as_str().unwrap_or_default() {
        "LoadBalancer" => {
            let mut all = load_balancer(o);
            all.extend(external);
            or(all, "<pending>")
        }
        "ExternalName" => spec["externalName"].as_str().unwrap_or_default().to_owned(),
        "ClusterIP" | "NodePort" => or(external, NONE),
        _ => "<unknown>".into(),
    }
}

fn load_balancer(o: &Value) -> Vec<&str> {
    items(&o["status"]["loadBalancer"]["ingress"])
        .filter_map(|i| {
            i["ip"]
                .as_str()
                .filter(|t| !t.is_empty())
                .or_else(|| i["hostname"].as_str())
        })
        .collect()
}

fn ports(list: &Value) -> String {
    let texts: Vec<String> = items(list)
        .map(|p| {
            let (port, node) = (count(&p["port"]), count(&p["nodePort"]));
            let protocol = p["protocol"].as_str().unwrap_or("TCP");
            if node > 0 {
                format!("{port}:{node}/{protocol}")
            } else {
                format!("{port}/{protocol}")
            }
        })
        .collect();
    if texts.is_empty() {
        NONE.into()
    } else {
        texts.join(",")
    }
}

/// At most three, and how many more.
fn some(all: Vec<String>) -> String {
    match all.len() {
        0 => NONE.into(),
        n if n > 3 => format!(
            "{} + {} more...",
            all.get(..3).unwrap_or_default().join(","),
            n - 3
        ),
        _ => all.join(","),
    }
}

const ENDPOINTS: Printer = Printer {
    columns: &[
        NAME,
        text("Endpoints", Field("core.v1.Endpoints", "subsets")),
        AGE,
    ],
    cells: |o, now| {
        let mut all = Vec::new();
        for subset in items(&o["subsets"]) {
            let addresses = || items(&subset["addresses"]).filter_map(|a| a["ip"].as_str());
            if items(&subset["ports"]).next().is_none() {
                all.extend(addresses().map(str::to_owned));
            }
            for port in items(&subset["ports"]) {
                all.extend(addresses().map(|ip| format!("{ip}:{}", count(&port["port"]))));
            }
        }
        vec![name(o), some(all).into(), age(o, now)]
    },
};

const ENDPOINT_SLICE: Printer = Printer {
    columns: &[
        NAME,
        text(
            "AddressType",
            Field("discovery.v1.EndpointSlice", "addressType"),
        ),
        text("Ports", Field("discovery.v1.EndpointSlice", "ports")),
        text(
            "Endpoints",
            Field("discovery.v1.EndpointSlice", "endpoints"),
        ),
        AGE,
    ],
    cells: |o, now| {
        let ports: Vec<String> = items(&o["ports"])
            .map(|p| match p["port"].as_i64() {
                Some(port) => port.to_string(),
                None => p["name"]
                    .as_str()
                    .filter(|n| !n.is_empty())
                    .unwrap_or("*")
                    .to_owned(),
            })
            .collect();
        let ports = if ports.is_empty() {
            "<unset>".to_owned()
        } else {
            some(ports)
        };
        let addresses = items(&o["endpoints"])
            .flat_map(|e| items(&e["addresses"]))
            .filter_map(|a| a.as_str().map(str::to_owned));
        let addresses: Vec<String> = addresses.collect();
        let addresses = if addresses.is_empty() {
            "<unset>".to_owned()
        } else {
            some(addresses)
        };
        vec![
            name(o),
            o["addressType"].as_str().unwrap_or_default().into(),
            ports.into(),
            addresses.into(),
            age(o, now),
        ]
    },
};

const INGRESS: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Class",
            Text(
                "The name of the IngressClass resource that should be used for additional configuration",
            ),
        ),
        text(
            "Hosts",
            Text("Hosts that incoming requests are matched against before the ingress rule"),
        ),
        text(
            "Address",
            Text("Address is a list containing ingress points for the load-balancer"),
        ),
        text("Ports", Text("Ports of TLS configurations that open")),
        AGE,
    ],
    cells: |o, now| {
        let spec = &o["spec"];
        let hosts: Vec<String> = items(&spec["rules"])
            .filter_map(|r| r["host"].as_str())
            .filter(|h| !h.is_empty())
            .map(str::to_owned)
            .collect();
        let hosts = match hosts.len() {
            0 => "*".to_owned(),
            n if n > 3 => format!(
                "{} + {} more...",
                hosts.get(..3).unwrap_or_default().join(","),
                n - 3
            ),
            _ => hosts.join(","),
        };
        let ports = if items(&spec["tls"]).next().is_some() {
            "80, 443"
        } else {
            "80"
        };
        vec![
            name(o),
            or_none(&spec["ingressClassName"]).into(),
            hosts.into(),
            load_balancer(o).join(",").into(),
            ports.into(),
            age(o, now),
        ]
    },
};

const RANGE: Printer = Printer {
    columns: &[
        NAME,
        text("CIDRs", Field("networking.v1.ServiceCIDRSpec", "cidrs")),
        AGE,
    ],
    cells: |o, now| {
        let ranges: Vec<&str> = items(&o["spec"]["cidrs"])
            .filter_map(Value::as_str)
            .collect();
        vec![name(o), ranges.join(",").into(), age(o, now)]
    },
};

const INGRESS_CLASS: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Controller",
            Text("Controller that is responsible for handling this class"),
        ),
        text(
            "Parameters",
            Text("A reference to a resource with additional parameters"),
        ),
        AGE,
    ],
    cells: |o, now| {
        let p = &o["spec"]["parameters"];
        let parameters = if p.is_object() {
            let field = |f: &str| p[f].as_str().unwrap_or_default().to_owned();
            let group = field("apiGroup");
            let group = if group.is_empty() {
                group
            } else {
                format!(".{group}")
            };
            format!("{}{group}/{}", field("kind"), field("name"))
        } else {
            NONE.into()
        };
        vec![
            name(o),
            o["spec"]["controller"].as_str().unwrap_or_default().into(),
            parameters.into(),
            age(o, now),
        ]
    },
};

const NETWORK_POLICY: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Pod-Selector",
            Field("networking.v1.NetworkPolicySpec", "podSelector"),
        ),
        AGE,
    ],
    cells: |o, now| {
        vec![
            name(o),
            selector(&o["spec"]["podSelector"]).into(),
            age(o, now),
        ]
    },
};
