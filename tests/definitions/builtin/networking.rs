//! Services and Ingresses that traits make.

use serde_json::{Value, json};

use super::component;

fn ports(service: &Value) -> Vec<(u64, &str)> {
    let ports = service["spec"]["ports"].as_array().unwrap().iter();
    ports
        .map(|port| {
            let name = port["name"].as_str().unwrap_or_default();
            (port["port"].as_u64().unwrap(), name)
        })
        .collect()
}

/// A Service has a port once, and the ports of one that has several have names: Kubernetes refuses it otherwise.
#[test]
fn paths_that_share_a_port_make_one_port_of_the_service() {
    for (type_, alone) in [
        ("gateway", "port-80"),
        ("ingress", ""),
        ("ingress-1-20", ""),
    ] {
        let web = |http: Value| {
            component("webservice", json!({ "image": "nginx" }))
                .with(type_, json!({ "domain": "example.com", "http": http }))
        };
        let shared = web(json!({ "/": 80, "/api": 80 }));
        assert_eq!(ports(&shared.object("Service")), [(80, alone)], "{type_}");
        let paths = &shared.object("Ingress")["spec"]["rules"][0]["http"]["paths"];
        assert_eq!(paths.as_array().map(Vec::len), Some(2), "{type_}");

        let several = web(json!({ "/": 80, "/api": 8080, "/v2": 8080 }));
        assert_eq!(
            ports(&several.object("Service")),
            [(80, "port-80"), (8080, "port-8080")],
            "{type_}"
        );
    }
}
