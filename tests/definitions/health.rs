//! How the definitions judge live objects: a few states of each.

use std::collections::BTreeMap;

use caravel_core::engine::{Evaluator, Operation, Outcome, Request, StatusRequest, StatusResult};
use caravel_tests::render::{eval, parse_file};
use serde_json::{Map, Value, json};

/// The states that objects of a workload go through, by definition.
fn states(name: &str) -> States {
    let workload = |spec: Value, status: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "prod", "generation": 2 },
            "spec": spec, "status": status,
        })
    };
    let replicas = |ready: u32, seen: u32| json!({ "replicas": 2, "readyReplicas": ready, "updatedReplicas": ready, "observedGeneration": seen });
    let ingress = |status: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": { "name": "web", "namespace": "prod" },
            "spec": { "rules": [{ "host": "example.com" }] }, "status": status,
        })
    };
    let service = |status: Value, type_: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "web", "namespace": "prod" },
            "spec": { "type": type_, "clusterIP": "10.0.0.7", "ports": [{ "port": 80, "nodePort": 30080 }] },
            "status": status,
        })
    };
    let with = |key: &str, object: Value| json!({ key: object });
    let assigned = json!({ "loadBalancer": { "ingress": [{ "ip": "10.1.2.3" }] } });
    match name {
        "webservice" | "worker" | "statefulset" | "ref-objects" => {
            let spec = json!({ "replicas": 2 });
            vec![
                ("new", workload(spec.clone(), json!({})), json!({})),
                ("half", workload(spec.clone(), replicas(1, 2)), json!({})),
                (
                    "not seen yet",
                    workload(spec.clone(), replicas(2, 1)),
                    json!({}),
                ),
                ("ready", workload(spec.clone(), replicas(2, 2)), json!({})),
                (
                    "told to be healthy",
                    excused(workload(spec, json!({}))),
                    json!({}),
                ),
            ]
        }
        "daemon" => daemon_states(&workload),
        "task" => task_states(&workload),
        "helmchart" => {
            let chart = |status: &str| {
                let conditions =
                    json!({ "conditions": [{ "type": "Available", "status": status }] });
                with("helm-resource-0", workload(json!({}), conditions))
            };
            let spec = json!({ "replicas": 2 });
            let of_chart = |status| with("helm-resource-0", workload(spec.clone(), status));
            vec![
                ("not available", json!({}), chart("False")),
                ("available", json!({}), chart("True")),
                ("nothing there", json!({}), json!({})),
                ("waits, new", json!({}), of_chart(json!({}))),
                ("waits, half", json!({}), of_chart(replicas(1, 2))),
                ("waits, not seen yet", json!({}), of_chart(replicas(2, 1))),
                ("waits, ready", json!({}), of_chart(replicas(2, 2))),
                ("waits, nothing there", json!({}), json!({})),
            ]
        }
        "gateway" | "ingress" | "ingress-1-20" | "pure-ingress" => {
            let both = |status: Value| {
                let service = service(json!({}), "ClusterIP");
                json!({ "ingress": ingress(status), "service": service })
            };
            vec![
                ("no address yet", json!({}), both(json!({}))),
                ("has an address", json!({}), both(assigned)),
            ]
        }
        "expose" => vec![
            (
                "inside",
                json!({}),
                with("service", service(json!({}), "ClusterIP")),
            ),
            (
                "on every node",
                json!({}),
                with("service", service(json!({}), "NodePort")),
            ),
            (
                "no address yet",
                json!({}),
                with("service", service(json!({}), "LoadBalancer")),
            ),
            (
                "has an address",
                json!({}),
                with("service", service(assigned, "LoadBalancer")),
            ),
        ],
        other => panic!("{other} judges objects: give it some states here"),
    }
}

/// A workload whose health does not matter: any value says so.
fn excused(mut workload: Value) -> Value {
    workload["metadata"]["annotations"] = json!({ "app.oam.dev/disable-health-check": "yes" });
    workload
}

type States = Vec<(&'static str, Value, Value)>;

fn daemon_states(workload: &dyn Fn(Value, Value) -> Value) -> States {
    let status = |ready: u32| {
        json!({
            "desiredNumberScheduled": 3, "currentNumberScheduled": 3, "numberReady": ready,
            "updatedNumberScheduled": ready, "observedGeneration": 2,
        })
    };
    vec![
        ("new", workload(json!({}), json!({})), json!({})),
        ("two of three", workload(json!({}), status(2)), json!({})),
        ("ready", workload(json!({}), status(3)), json!({})),
    ]
}

fn task_states(workload: &dyn Fn(Value, Value) -> Value) -> States {
    let spec = json!({ "parallelism": 2, "completions": 2 });
    vec![
        ("new", workload(spec.clone(), json!({})), json!({})),
        (
            "runs",
            workload(spec.clone(), json!({ "active": 1, "succeeded": 1 })),
            json!({}),
        ),
        (
            "failed",
            workload(spec.clone(), json!({ "failed": 1 })),
            json!({}),
        ),
        ("done", workload(spec, json!({ "succeeded": 2 })), json!({})),
    ]
}

/// Parameters that the texts read.
fn parameters(name: &str, state: &str) -> Value {
    match name {
        "helmchart" if state.starts_with("waits") => {
            json!({ "chart": { "source": "x" }, "options": { "wait": true } })
        }
        "helmchart" => json!({
            "chart": { "source": "x" },
            "healthStatus": [{ "resource": { "kind": "Deployment" }, "condition": { "type": "Available" } }],
        }),
        "expose" => json!({
            "ports": [{ "port": 80 }],
            "type": if state == "inside" { "ClusterIP" } else { "LoadBalancer" },
        }),
        "gateway" => json!({ "domain": "example.com", "http": { "/": 80 }, "class": "nginx" }),
        "ingress" | "ingress-1-20" | "pure-ingress" => {
            json!({ "domain": "example.com", "http": { "/": 80 } })
        }
        _ => json!({}),
    }
}

fn judged(
    status: &caravel_core::engine::DefinitionStatusText,
    evaluator: Evaluator,
    context: Map<String, Value>,
    parameters: Value,
) -> StatusResult {
    let operation = Operation::Status(StatusRequest {
        health_policy: status.health_policy.clone(),
        custom_status: status.custom_status.clone(),
        details: status.details.clone(),
        context,
        parameters,
    });
    match eval(&Request {
        id: 1,
        evaluator,
        operation,
    })
    .outcome
    {
        Outcome::Ok(result) => serde_json::from_value(result).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn definitions_judge_live_objects() {
    let mut table = BTreeMap::new();
    for file in caravel_definitions::all() {
        let definition = parse_file(&file).unwrap();
        let texts = &definition.status;
        if texts.health_policy.is_empty() && texts.custom_status.is_empty() {
            continue;
        }
        let mut judgements = Vec::new();
        for (state, output, outputs) in states(&file.name) {
            let context = json!({
                "name": "web", "namespace": "prod", "appName": "app", "appRevision": "app-v1",
                "cluster": "local", "output": output, "outputs": outputs,
            });
            let context = context.as_object().unwrap().clone();
            let parameters = parameters(&file.name, state);
            let [v2, v3] = [Evaluator::V2, Evaluator::V3]
                .map(|one| judged(texts, one, context.clone(), parameters.clone()));
            assert_eq!(v2.healthy, v3.healthy, "{} {state}", file.file);
            assert_eq!(v2.message, v3.message, "{} {state}", file.file);
            assert!(
                v2.errors.is_empty(),
                "{} {state}: {:?}",
                file.file,
                v2.errors
            );
            let healthy = if v2.healthy { "healthy" } else { "not healthy" };
            judgements.push(format!("{state}: {healthy}, {:?}", v2.message));
        }
        table.insert(file.file, judgements);
    }
    insta::assert_yaml_snapshot!(table);
}
