//! Services, ingresses, network policies, endpoints.

use super::rules::{
    label_selector, labels, maybe_one_of, name, one_of, port, port_or_name, required,
};
use super::{default_protocols, fill, fill_text, is_set, items, items_mut, object_at, text};
use crate::field::{Error, Errors};
use crate::names;
use serde_json::{Value, json};

pub(super) fn default(kind: &str, object: &mut Value) {
    match kind {
        "Endpoints" => {
            items_mut(object, "subsets").for_each(|subset| default_protocols(subset, "ports"));
        }
        "EndpointSlice" => {
            items_mut(object, "ports").for_each(|port| fill(port, "name", ""));
            default_protocols(object, "ports");
        }
        _ => {}
    }
    let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) else {
        return;
    };
    match kind {
        "Service" => service(spec),
        "NetworkPolicy" => network_policy(spec),
        "IngressClass" => {
            if let Some(parameters) = spec.get_mut("parameters").filter(|p| p.is_object()) {
                fill_text(parameters, "scope", "Cluster");
            }
        }
        _ => {}
    }
}

fn service(spec: &mut Value) {
    fill_text(spec, "sessionAffinity", "None");
    fill_text(spec, "type", "ClusterIP");
    default_protocols(spec, "ports");
    for port in items_mut(spec, "ports") {
        let number = port["port"].clone();
        if port["targetPort"] == 0 || port["targetPort"] == "" {
            port["targetPort"] = Value::Null;
        }
        fill(port, "targetPort", number);
    }
    match text(spec, "sessionAffinity") {
        "ClientIP" => {
            if let Some(client) =
                object_at(spec, "sessionAffinityConfig").and_then(|c| object_at(c, "clientIP"))
            {
                fill(client, "timeoutSeconds", 10_800);
            }
        }
        _ => spec["sessionAffinityConfig"] = Value::Null,
    }
    if spec["sessionAffinityConfig"].is_null()
        && let Some(map) = spec.as_object_mut()
    {
        map.remove("sessionAffinityConfig");
    }
    let kind = text(spec, "type").to_owned();
    if kind == "ExternalName" {
        return;
    }
    fill_text(spec, "internalTrafficPolicy", "Cluster");
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        fill_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
    }
    let address = text(spec, "clusterIP").to_owned();
    if !address.is_empty() {
        fill(spec, "clusterIPs", json!([address]));
    }
    let family = if address.contains(':') {
        "IPv6"
    } else {
        "IPv4"
    };
    fill(spec, "ipFamilies", json!([family]));
    fill_text(spec, "ipFamilyPolicy", "SingleStack");
}

fn network_policy(spec: &mut Value) {
    for direction in ["ingress", "egress"] {
        items_mut(spec, direction).for_each(|rule| default_protocols(rule, "ports"));
    }
    let egress = items(spec, "egress").next().is_some();
    fill(
        spec,
        "policyTypes",
        if egress {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        },
    );
}

pub(super) fn validate(kind: &str, object: &Value, old: Option<&Value>, e: &mut Errors) {
    let spec = &object["spec"];
    match kind {
        "Service" => validate_service(spec, old.map(|o| &o["spec"]), e),
        "Ingress" => ingress(spec, e),
        "NetworkPolicy" => validate_policy(spec, e),
        "IngressClass" => {
            if required(spec, "controller", "spec", e) {
                controller(text(spec, "controller"), e);
            }
            if old.is_some_and(|o| o["spec"]["controller"] != spec["controller"]) {
                e.push(Error::invalid(
                    "spec.controller",
                    spec["controller"].clone(),
                    "field is immutable",
                ));
            }
        }
        _ => {}
    }
}

fn controller(value: &str, e: &mut Errors) {
    let well_formed = value
        .split_once('/')
        .is_some_and(|(domain, path)| names::subdomain(domain).is_empty() && !path.is_empty());
    if !well_formed {
        e.push(Error::invalid(
            "spec.controller",
            value,
            "must be a domain-prefixed path (such as \"acme.io/foo\")",
        ));
    }
}

fn validate_service(spec: &Value, old: Option<&Value>, e: &mut Errors) {
    let kind = text(spec, "type");
    one_of(
        spec,
        "type",
        "spec",
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        e,
    );
    one_of(spec, "sessionAffinity", "spec", &["ClientIP", "None"], e);
    labels(&spec["selector"], "spec.selector", e);
    let headless = text(spec, "clusterIP") == "None";
    if kind == "ExternalName" {
        let target = text(spec, "externalName").trim_end_matches('.');
        if target.is_empty() {
            e.push(Error::required("spec.externalName", ""));
        } else {
            name(names::subdomain, "spec.externalName", target, e);
        }
        if !text(spec, "clusterIP").is_empty() {
            e.push(Error::forbidden(
                "spec.clusterIPs",
                "may not be set for ExternalName services",
            ));
        }
    } else if items(spec, "ports").next().is_none() && !headless {
        e.push(Error::required("spec.ports", ""));
    }
    if headless && kind != "ClusterIP" {
        e.push(Error::invalid(
            "spec.clusterIPs[0]",
            "None",
            format!("may not be set to 'None' for {kind} services"),
        ));
    }
    let address = text(spec, "clusterIP");
    if !matches!(address, "" | "None") && address.parse::<std::net::IpAddr>().is_err() {
        let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        e.push(Error::invalid(
            "spec.clusterIPs[0]",
            spec["clusterIPs"].clone(),
            detail,
        ));
    }
    service_ports(spec, e);
    let Some(old) = old else { return };
    let before = text(old, "clusterIP");
    if !before.is_empty()
        && kind != "ExternalName"
        && text(old, "type") != "ExternalName"
        && before != address
    {
        let value = if is_set(spec, "clusterIPs") {
            spec["clusterIPs"].clone()
        } else {
            json!([address])
        };
        e.push(Error::invalid(
            "spec.clusterIPs[0]",
            value,
            "may not change once set",
        ));
    }
}

fn service_ports(spec: &Value, e: &mut Errors) {
    let many = items(spec, "ports").count() > 1;
    let (mut by_name, mut by_number) = (Vec::new(), Vec::new());
    for (i, one) in items(spec, "ports").enumerate() {
        let at = format!("spec.ports[{i}]");
        let called = text(one, "name");
        if called.is_empty() && many {
            e.push(Error::required(format!("{at}.name"), ""));
        } else if !called.is_empty() {
            name(names::label, &format!("{at}.name"), called, e);
            if by_name.contains(&called) {
                e.push(Error::duplicate(format!("{at}.name"), called));
            }
            by_name.push(called);
        }
        port(&one["port"], &format!("{at}.port"), e);
        one_of(one, "protocol", &at, &["SCTP", "TCP", "UDP"], e);
        if is_set(one, "targetPort") {
            port_or_name(&one["targetPort"], &format!("{at}.targetPort"), e);
        }
        if one["nodePort"].as_i64().is_some_and(|p| p != 0) && text(spec, "type") == "ClusterIP" {
            e.push(Error::forbidden(
                format!("{at}.nodePort"),
                "may not be used when `type` is 'ClusterIP'",
            ));
        }
        let key = (one["protocol"].clone(), one["port"].clone());
        if by_number.contains(&key) {
            e.push(Error::duplicate(
                at,
                json!({"protocol": key.0, "port": key.1}),
            ));
        }
        by_number.push(key);
    }
}

fn ingress(spec: &Value, e: &mut Errors) {
    if items(spec, "rules").next().is_none() && !is_set(spec, "defaultBackend") {
        let rules = if spec["rules"].is_null() {
            json!([])
        } else {
            spec["rules"].clone()
        };
        e.push(Error::invalid(
            "spec",
            rules,
            "either `defaultBackend` or `rules` must be specified",
        ));
    }
    if is_set(spec, "defaultBackend") {
        backend(&spec["defaultBackend"], "spec.defaultBackend", e);
    }
    for (i, rule) in items(spec, "rules").enumerate() {
        let at = format!("spec.rules[{i}]");
        host(text(rule, "host"), &at, e);
        if !is_set(rule, "http") {
            continue;
        }
        required(&rule["http"], "paths", &format!("{at}.http"), e);
        for (j, path) in items(&rule["http"], "paths").enumerate() {
            ingress_path(path, &format!("{at}.http.paths[{j}]"), e);
        }
    }
    for (i, tls) in items(spec, "tls").enumerate() {
        for (j, one) in items(tls, "hosts").enumerate() {
            let one = one.as_str().unwrap_or_default();
            name(
                names::subdomain,
                &format!("spec.tls[{i}].hosts[{j}]"),
                one.strip_prefix("*.").unwrap_or(one),
                e,
            );
        }
    }
    if is_set(spec, "ingressClassName") {
        name(
            names::subdomain,
            "spec.ingressClassName",
            text(spec, "ingressClassName"),
            e,
        );
    }
}

fn host(host: &str, at: &str, e: &mut Errors) {
    if host.is_empty() {
        return;
    }
    if host.parse::<std::net::IpAddr>().is_ok() {
        e.push(Error::invalid(
            format!("{at}.host"),
            host,
            "must be a DNS name, not an IP address",
        ));
        return;
    }
    name(
        names::subdomain,
        &format!("{at}.host"),
        host.strip_prefix("*.").unwrap_or(host),
        e,
    );
}

fn ingress_path(path: &Value, at: &str, e: &mut Errors) {
    let given = text(path, "path");
    if is_set(path, "pathType") {
        maybe_one_of(
            path,
            "pathType",
            at,
            &["Exact", "ImplementationSpecific", "Prefix"],
            e,
        );
    } else {
        e.push(Error::required(
            format!("{at}.pathType"),
            "pathType must be specified",
        ));
    }
    if matches!(text(path, "pathType"), "Exact" | "Prefix") && !given.starts_with('/') {
        e.push(Error::invalid(
            format!("{at}.path"),
            given,
            "must be an absolute path",
        ));
    }
    backend(&path["backend"], &format!("{at}.backend"), e);
}

fn backend(backend: &Value, at: &str, e: &mut Errors) {
    match (is_set(backend, "resource"), is_set(backend, "service")) {
        (true, true) => e.push(Error::invalid(
            at,
            "",
            "cannot set both resource and service backends",
        )),
        (true, false) => {}
        (false, false) => e.push(Error::required(at, "port name or number is required")),
        (false, true) => {
            let service = &backend["service"];
            let at = format!("{at}.service");
            if required(service, "name", &at, e) {
                name(
                    names::label_1035,
                    &format!("{at}.name"),
                    text(service, "name"),
                    e,
                );
            }
            let (called, number) = (
                text(&service["port"], "name"),
                service["port"]["number"].as_i64().unwrap_or_default(),
            );
            match (called.is_empty(), number) {
                (true, 0) => e.push(Error::required(at, "port name or number is required")),
                (true, _) => port(&service["port"]["number"], &format!("{at}.port.number"), e),
                (false, 0) => name(names::port_name, &format!("{at}.port.name"), called, e),
                (false, _) => e.push(Error::invalid(
                    at,
                    "",
                    "cannot set both port name & port number",
                )),
            }
        }
    }
}

fn validate_policy(spec: &Value, e: &mut Errors) {
    label_selector(&spec["podSelector"], "spec.podSelector", e);
    for (i, kind) in items(spec, "policyTypes").enumerate() {
        if kind != "Ingress" && kind != "Egress" {
            e.push(Error::not_supported(
                format!("spec.policyTypes[{i}]"),
                kind.clone(),
                &["Egress", "Ingress"],
            ));
        }
    }
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in items(spec, direction).enumerate() {
            for (j, one) in items(rule, "ports").enumerate() {
                let at = format!("spec.{direction}[{i}].ports[{j}]");
                maybe_one_of(one, "protocol", &at, &["SCTP", "TCP", "UDP"], e);
                if is_set(one, "port") {
                    port_or_name(&one["port"], &format!("{at}.port"), e);
                }
            }
            for (j, peer) in items(rule, peers).enumerate() {
                let at = format!("spec.{direction}[{i}].{peers}[{j}]");
                let given = ["podSelector", "namespaceSelector", "ipBlock"]
                    .into_iter()
                    .filter(|f| is_set(peer, f))
                    .count();
                if given == 0 {
                    e.push(Error::required(at, "must specify a peer"));
                } else if given > 1 && is_set(peer, "ipBlock") {
                    e.push(Error::forbidden(
                        at,
                        "may not specify both ipBlock and another peer",
                    ));
                }
            }
        }
    }
}
