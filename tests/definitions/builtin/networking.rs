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

/// A name tells two protocols of one number apart; alone it is KubeVela's, so that no running `DaemonSet` gets another.
#[test]
fn ports_of_a_daemon_without_a_name_are_named_by_their_number() {
    let ports = json!([
        { "port": 53, "protocol": "UDP", "expose": true },
        { "port": 53, "expose": true },
        { "port": 514, "protocol": "UDP", "expose": true },
    ]);
    let daemon = component("daemon", json!({ "image": "coredns", "ports": ports }));
    let service = daemon.object("Service");
    assert_eq!(
        service["spec"]["ports"],
        json!([
            { "name": "port-53", "port": 53, "targetPort": 53, "protocol": "UDP" },
            { "name": "port-53-tcp", "port": 53, "targetPort": 53 },
            { "name": "port-514", "port": 514, "targetPort": 514, "protocol": "UDP" },
        ])
    );
    let named = &daemon.pod()["containers"][0]["ports"];
    assert_eq!(
        named[2],
        json!({ "name": "port-514", "containerPort": 514, "protocol": "UDP" })
    );
}
