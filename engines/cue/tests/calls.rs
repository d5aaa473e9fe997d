//! Calls (`#do`): what a template needs, in which order, and what becomes of the answers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::call;

/// Plays a request through: answers each call with what `answer` says, until none is left. Gives the
/// calls in their order and the last reply.
fn play(op: &str, mut body: Value, answer: impl Fn(&Value) -> Value) -> (Vec<Value>, Value) {
    let mut calls = Vec::new();
    body["replay"] = json!({});
    loop {
        let reply = call("v2", op, &body);
        if reply["status"] != "need" {
            return (calls, reply);
        }
        for needed in reply["body"].as_array().unwrap() {
            let key = needed["key"].as_str().unwrap();
            assert!(
                body["replay"].get(key).is_none(),
                "{key} was answered already"
            );
            body["replay"][key] = answer(needed);
            calls.push(needed.clone());
        }
        assert!(calls.len() < 50, "it never ends");
    }
}

fn step(source: &str, parameters: &Value, outputs: &Value) -> Value {
    json!({
        "template": {"name": "demo", "source": source, "parameters": parameters},
        "context": {"name": "app", "namespace": "prod"},
        "outputs": outputs,
    })
}

fn paths(calls: &[Value]) -> Vec<&str> {
    calls
        .iter()
        .map(|call| call["path"].as_str().unwrap())
        .collect()
}

#[test]
fn a_step_needs_its_calls_one_after_the_other_and_reads_outputs_at_the_end() {
    let source = r#"
import (
	"vela/kube"
	"vela/builtin"
)
read: kube.#Read & {$params: value: {apiVersion: "v1", kind: "ConfigMap", metadata: name: parameter.name}}
wait: builtin.#ConditionalWait & {$params: continue: read.$returns.value.data.ready == "yes"}
parameter: name: string
"#;
    let outputs = json!([
        {"name": "data", "valueFrom": "read.$returns.value.data"},
        {"name": "short", "valueFrom": "read"},
        {"name": "text", "valueFrom": "import \"strings\"\nstrings.ToUpper(read.$returns.value.data.ready)"},
        {"name": "gone", "valueFrom": "nothing.here"},
    ]);
    let (calls, reply) = play(
        "step",
        step(source, &json!({"name": "x"}), &outputs),
        |call| {
            if call["do"] == "read" {
                json!({"value": {"data": {"ready": "yes"}}})
            } else {
                Value::Null
            }
        },
    );
    assert_eq!(paths(&calls), ["read", "wait"]);
    assert_eq!(calls[0]["provider"], "kube");
    assert_eq!(calls[0]["params"]["value"]["metadata"]["name"], "x");
    assert_eq!(calls[1]["params"]["continue"], true);
    let body = &reply["body"];
    assert_eq!(reply["status"], "ok", "{reply}");
    assert_eq!(body["outputs"]["data"], json!({"ready": "yes"}));
    assert_eq!(body["outputs"]["text"], "YES");
    assert_eq!(
        body["missing"]["gone"],
        "failed to get output from nothing.here: failed to lookup value: var(path=nothing.here) not exist"
    );
    assert_eq!(body["value"]["parameter"]["name"], "x");
}

#[test]
fn steps_are_ordered_by_their_attribute_then_by_declaration_children_first() {
    let source = r#"
last: #Call & {$params: n: 1}
b: {
	inner: #Call & {$params: n: 2}
} @step(2)
a: #Call & {$params: n: 3} @step(1)
list: [#Call & {$params: n: 4}, #Call & {$params: n: 5}]
#Call: {
	#do: "x"
	#provider: "p"
	$params: n: int
	$returns?: {...}
}
"#;
    let (calls, reply) = play("step", step(source, &json!({}), &json!([])), |_| json!({}));
    assert_eq!(reply["status"], "ok", "{reply}");
    assert_eq!(
        paths(&calls),
        ["a", "b.inner", "last", "list[0]", "list[1]"]
    );
}

#[test]
fn a_call_that_an_answer_reveals_is_found() {
    let source = r#"
first: #Call
if first.$returns.more {
	second: #Call
}
#Call: {
	#do: "x"
	#provider: "p"
	$returns?: {more: bool}
}
"#;
    let (calls, _) = play(
        "step",
        step(source, &json!({}), &json!([])),
        |_| json!({"more": true}),
    );
    assert_eq!(paths(&calls), ["first", "second"]);
    let (calls, _) = play(
        "step",
        step(source, &json!({}), &json!([])),
        |_| json!({"more": false}),
    );
    assert_eq!(paths(&calls), ["first"]);
}

#[test]
fn legacy_packages_take_and_give_at_the_root_of_the_call() {
    let source = r#"
import "vela/op"
read: op.#Read & {value: {apiVersion: "v1", kind: "ConfigMap", metadata: name: "x"}}
message: read.value.data.text
"#;
    let outputs = json!([{"name": "text", "valueFrom": "message"}]);
    let (calls, reply) = play("step", step(source, &json!({}), &outputs), |call| {
        assert_eq!(call["provider"], "op");
        assert_eq!(call["params"]["value"]["kind"], "ConfigMap");
        json!({"value": {"data": {"text": "hello"}}})
    });
    assert_eq!(paths(&calls), ["read"]);
    assert_eq!(reply["body"]["outputs"]["text"], "hello", "{reply}");
}

#[test]
fn params_that_are_not_concrete_are_an_error_of_the_template() {
    let source = r#"
get: {
	#do: "x"
	#provider: "p"
	$params: url: string
}
"#;
    let (calls, reply) = play("step", step(source, &json!({}), &json!([])), |_| {
        Value::Null
    });
    assert!(calls.is_empty());
    assert_eq!(
        reply["body"]["kubevelaText"],
        "function call error for get: cue: marshal error: get.$params.url: cannot convert incomplete value \"string\" to JSON (value: <omitted>)"
    );
}

#[test]
fn patches_of_calls_travel_as_cue_with_their_comments() {
    let source = r#"
patch: {
	#do: "patch"
	#provider: "kube"
	$params: {
		value: {apiVersion: "v1", kind: "Pod", metadata: name: "x"}
		patch: spec: {
			// +patchKey=name
			containers: [{name: "a", image: "b"}]
		}
	}
}
"#;
    let (calls, _) = play("step", step(source, &json!({}), &json!([])), |_| {
        Value::Null
    });
    let patch = calls[0]["params"]["patch"].as_str().unwrap();
    assert!(patch.contains("// +patchKey=name"), "{patch}");
    let base = r#"{"spec": {"containers": [{"name": "z"}, {"name": "a", "tty": true}]}}"#;
    let merged = call("v2", "merge", &json!({"base": base, "patch": patch}));
    assert_eq!(
        merged["body"]["spec"]["containers"],
        json!([{"name": "z"}, {"name": "a", "image": "b", "tty": true}])
    );
}

#[test]
fn merging_calls_are_carried_out_inside() {
    let source = r#"
import "vela/util"
ok: util.#PatchK8sObject & {$params: {value: {a: [{name: "x"}]}, patch: {
	// +patchKey=name
	a: [{name: "y"}]
}}}
bad: util.#PatchK8sObject & {$params: {value: {a: 1}, patch: {a: 2}}}
"#;
    let (calls, reply) = play("step", step(source, &json!({}), &json!([])), |_| {
        Value::Null
    });
    assert!(calls.is_empty(), "{calls:?}");
    let value = &reply["body"]["value"];
    assert_eq!(
        value["ok"]["$returns"]["result"],
        json!({"a": [{"name": "x"}, {"name": "y"}]})
    );
    assert!(
        value["bad"]["$returns"]["err"]
            .as_str()
            .unwrap()
            .contains("conflicting values"),
        "{reply}"
    );
}

#[test]
fn component_and_trait_templates_have_calls_too() {
    let component = r#"
import "vela/kube"
get: kube.#Get & {$params: resource: {apiVersion: "v1", kind: "ConfigMap", metadata: {name: "x", namespace: "default"}}}
output: {kind: "Pod", data: get.$returns.data}
"#;
    let one = "processing: {\n\toutput: token?: string\n\thttp: {method: \"GET\", url: parameter.url}\n}\npatch: data: token: processing.output.token\nparameter: url: string";
    let body = json!({
        "component": {"name": "demo", "source": component},
        "traits": [{"name": "token", "source": one, "parameters": {"url": "http://a"}}],
        "context": {"name": "web"},
    });
    let (calls, reply) = play("render", body, |call| {
        match call["provider"].as_str().unwrap() {
            "kube" => json!({"data": {"a": "b"}}),
            _ => json!({"token": "secret"}),
        }
    });
    assert_eq!(paths(&calls), ["get", "processing.http"]);
    assert_eq!(
        calls[1]["params"],
        json!({"method": "GET", "url": "http://a"})
    );
    assert_eq!(
        reply["body"]["output"],
        json!({"kind": "Pod", "data": {"a": "b", "token": "secret"}}),
        "{reply}"
    );
}
