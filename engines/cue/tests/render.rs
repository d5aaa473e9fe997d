//! Renders through the bridge.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

fn call(op: &str, body: Value) -> Value {
    let request = json!({"id": 7, "evaluator": "v2", "op": op, "body": body});
    let reply = caravel_cue::call(request.to_string().as_bytes());
    serde_json::from_slice(&reply).unwrap()
}

#[test]
fn a_component_renders_its_output() {
    let reply = call(
        "render",
        json!({
            "component": {
                "name": "demo",
                "source": "output: {kind: \"Pod\", metadata: name: context.name, spec: n: parameter.n}\nparameter: n: *1 | int",
                "parameters": {"n": 80},
            },
            "context": {"name": "web"},
        }),
    );
    assert_eq!(
        reply,
        json!({"id": 7, "status": "ok", "body": {
            "output": {"kind": "Pod", "metadata": {"name": "web"}, "spec": {"n": 80}},
            "outputs": [],
        }})
    );
}
