//! Rendering: what becomes of component, traits and patches (rows REN-003 to REN-019).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::call;

fn render(body: &Value) -> Value {
    let reply = call("v2", "render", body);
    assert_eq!(reply["status"], "ok", "{reply}");
    reply["body"].clone()
}

fn component(source: &str, parameters: &Value) -> Value {
    json!({"name": "demo", "source": source, "parameters": parameters})
}

fn part(name: &str, source: &str) -> Value {
    json!({"name": name, "source": source})
}

#[test]
fn outputs_are_the_objects_in_the_order_of_cue() {
    let source = r#"
output: kind: "Pod"
outputs: {
	zeta: {kind: "Service", n: 1}
	"al-pha": {kind: "ConfigMap", n: 2}
	if !parameter.less {
		mid: {kind: "Secret", n: 3}
	}
	if parameter.less {
		none: {kind: "Secret", n: 4}
	}
	#Shape: {kind: "Definition"}
	_hidden: {kind: "Hidden"}
	optional?: {kind: "Optional"}
}
parameter: less: bool
"#;
    let rendered = render(&json!({"component": component(source, &json!({"less": false}))}));
    let names: Vec<_> = rendered["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["mid", "zeta", "al-pha"],
        "CUE puts what is conditional first"
    );
}

#[test]
fn numbers_stay_what_they_are() {
    let source = "output: {kind: \"ConfigMap\", all: parameter, sum: parameter.i + 1}";
    let parameters =
        json!({"i": 80, "f": 1.5, "one": 1.0, "big": 9_007_199_254_740_993_i64, "neg": -1});
    let rendered = render(&json!({"component": component(source, &parameters)}));
    let all = &rendered["output"]["all"];
    assert_eq!(all["big"], json!(9_007_199_254_740_993_i64));
    assert_eq!(
        (&all["i"], &all["f"], &all["neg"]),
        (&json!(80), &json!(1.5), &json!(-1))
    );
    assert!(all["one"].is_f64() && all["i"].is_i64(), "{all}");
    assert_eq!(rendered["output"]["sum"], 81);
}

/// The evaluators report a list that is too short in different words.
#[test]
fn each_definition_is_read_by_the_evaluator_that_it_chooses() {
    let short = "v: {a: [\"x\"]} & {a: [\"y\", \"z\"]}";
    let said = |evaluators: Value| {
        let body = json!({
            "component": component("output: kind: \"Pod\"", &Value::Null),
            "traits": [part("fine", "patch: a: [\"b\"]"), part("short", short)],
            "traitEvaluators": evaluators,
        });
        let reply = call("v2", "render", &body);
        let body = &reply["body"];
        assert_eq!(body["traitIndex"], 1, "{reply}");
        body["errors"][0]["message"].as_str().unwrap().to_owned()
    };
    let v2 = said(json!([]));
    let v3 = said(json!([null, "v3"]));
    assert!(v2.contains("incompatible list lengths"), "{v2}");
    assert!(v3.contains("conflicting values"), "{v3}");
    assert_eq!(said(json!(["v3", null])), v2, "only the trait's own is v3");
}

#[test]
fn each_trait_sees_what_earlier_ones_made() {
    let source = "output: {kind: \"Deployment\", spec: replicas: *1 | int}\noutputs: svc: {kind: \"Service\", port: 80}";
    let traits = json!([
        part(
            "a",
            "patch: spec: replicas: 3\noutputs: hpa: {kind: \"HPA\", max: context.output.spec.replicas}"
        ),
        part(
            "b",
            "patch: spec: seen: context.output.spec.replicas\npatchOutputs: {\n\tsvc: port2: context.outputs.svc.port + 1\n\thpa: name: context.output.kind\n\tnone: x: 1\n}"
        ),
        part(
            "c",
            "outputs: last: {kind: \"Job\", hpa: context.outputs.hpa.name, app: context.appName}"
        ),
    ]);
    let rendered = render(&json!({
        "component": component(source, &Value::Null),
        "traits": traits,
        "context": {"appName": "app", "name": "web"},
    }));
    assert_eq!(
        rendered["output"],
        json!({"kind": "Deployment", "spec": {"replicas": 3, "seen": 3}})
    );
    assert_eq!(
        rendered["outputs"],
        json!([
            {"name": "svc", "object": {"kind": "Service", "port": 80, "port2": 81}},
            {"name": "hpa", "traitIndex": 0, "object": {"kind": "HPA", "max": 1, "name": "Deployment"}},
            {"name": "last", "traitIndex": 2, "object": {"kind": "Job", "hpa": "Deployment", "app": "app"}},
        ])
    );
}

#[test]
fn strategies_in_comments_decide_how_lists_merge() {
    let source = r#"output: {kind: "Pod", spec: {containers: [{name: "a", image: "1"}, {name: "b", image: "2"}], args: ["x"]}}"#;
    let patch = r#"
patch: spec: {
	// +patchKey=name
	containers: [{name: "b", tty: true}, {name: "c", image: "3"}]
	// +patchStrategy=replace
	args: ["y", "z"]
}
"#;
    let merge_patch = "// +patchStrategy=jsonMergePatch\npatch: {\n\tspec: args: null\n}";
    let rendered = render(&json!({
        "component": component(source, &Value::Null),
        "traits": [part("a", patch), part("b", merge_patch)],
    }));
    assert_eq!(
        rendered["output"]["spec"],
        json!({"containers": [
            {"name": "a", "image": "1"}, {"name": "b", "image": "2", "tty": true}, {"name": "c", "image": "3"},
        ]})
    );
}

#[test]
fn patches_of_steps_come_after_the_traits_and_go_by_output_name() {
    let own = "output: {kind: \"Deployment\", spec: {}}\noutputs: svc: {kind: \"Service\"}";
    let rendered = render(&json!({
        "component": component(own, &Value::Null),
        "traits": [part("scaler", "patch: spec: replicas: *1 | int\noutputs: pdb: {kind: \"PDB\", spec: {}}")],
        "workloadPatch": "spec: replicas: 5",
        "outputPatches": {"pdb": "spec: min: 2", "svc": "port: 80", "scaler": "spec: none: 1"},
    }));
    assert_eq!(rendered["output"]["spec"]["replicas"], 5);
    let objects: Vec<&Value> = rendered["outputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["object"])
        .collect();
    assert_eq!(
        objects,
        [
            &json!({"kind": "Service", "port": 80}),
            &json!({"kind": "PDB", "spec": {"min": 2}}),
        ]
    );
}

#[test]
fn traits_of_a_later_stage_see_live_objects_and_give_only_their_own() {
    let rendered = render(&json!({
        "base": {
            // As far as it is read; what is gone has no kind.
            "output": {"status": {"readyReplicas": 2}},
            "outputs": {"svc": {"spec": {"clusterIP": "10.0.0.1"}}, "gone": null},
            "live": true,
        },
        "traits": [part("late", "outputs: note: {kind: \"ConfigMap\", ip: context.outputs.svc.spec.clusterIP, n: context.output.status.readyReplicas}")],
    }));
    assert_eq!(rendered["output"], Value::Null);
    let note = json!({"kind": "ConfigMap", "ip": "10.0.0.1", "n": 2});
    assert_eq!(
        rendered["outputs"],
        json!([{"name": "note", "traitIndex": 0, "object": note}])
    );
}

#[test]
fn older_cue_is_rewritten_with_a_warning_at_its_place() {
    let rendered = render(&json!({
        "component": component("output: {\n\tkind: \"Pod\"\n\targs: [\"a\"] + parameter.args\n}\nparameter: args: [...string]", &json!({"args": ["b"]})),
    }));
    assert_eq!(rendered["output"]["args"], json!(["a", "b"]));
    assert_eq!(
        rendered["warnings"][0]["positions"][0],
        json!({"file": "component/demo.cue", "line": 3, "column": 8})
    );
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let source = "output: kind: \"Pod\"\noutputs: {for n in [\"c\", \"a\", \"b\"] {(n): {kind: \"X\", m: {z: 1, y: 2, x: parameter.p}}}}\nparameter: p: {...}";
    let request = json!({"id": 1, "op": "render", "body": {"component": component(source, &json!({"p": {"k": [1, {"j": null}]}}))}}).to_string();
    let first = caravel_cue::call(request.as_bytes());
    assert!((0..20).all(|_| caravel_cue::call(request.as_bytes()) == first));
}

/// Requests with a few bytes changed, from a fixed seed: whatever comes in, a reply of the protocol goes out.
#[test]
fn damaged_requests_get_a_reply() {
    let source = "import \"strings\"\noutput: {kind: strings.ToTitle(\"pod\"), a: [for x in parameter.l {x * 2}]}\nparameter: l: [...int]";
    let good = json!({"id": 1, "op": "render", "body": {"component": component(source, &json!({"l": [1, 2]}))}}).to_string();
    let mut seed: u64 = 0x2545_F491_4F6C_DD1D;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for _ in 0..1_500 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b"{}[]\"\\:,#_&|()"[next(14)]),
            }
        }
        let reply: Value = serde_json::from_slice(&caravel_cue::call(&bytes)).unwrap();
        let status = reply["status"].as_str().unwrap();
        assert!(
            ["ok", "error", "badRequest", "limit", "need"].contains(&status),
            "{reply}: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
}
