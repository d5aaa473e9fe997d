//! Objects: names, labels, namespaces, patches of other objects, stages (REN-005, REN-008 to REN-011, REN-018 to
//! REN-024).

use serde_json::{Value, json};

use super::thing;

const PLAIN: &str =
    r#"output: {apiVersion: "apps/v1", kind: "Deployment", spec: {}}, parameter: {}"#;

fn of_trait<'a>(objects: &'a [Value], resource: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|object| object["metadata"]["labels"]["trait.oam.dev/resource"] == resource);
    found.unwrap_or_else(|| panic!("no {resource} in {objects:?}"))
}

#[test]
fn a_trait_may_have_several_outputs_and_unnamed_ones_get_a_name() {
    let template = r#"
outputs: {
	one: {apiVersion: "v1", kind: "ConfigMap", data: n: "1"}
	two: {apiVersion: "v1", kind: "Secret", metadata: name: "mine"}
	for k, v in parameter.more {
		"more-\(k)": {apiVersion: "v1", kind: "ConfigMap", metadata: name: "\(context.name)-\(k)", data: {"\(k)": v}}
	}
}
parameter: more: [string]: string
"#;
    let objects = thing(PLAIN)
        .with(template, json!({"more": {"x": "1", "y": "2"}}))
        .objects();
    assert_eq!(objects.len(), 5);
    let name = |resource: &str| of_trait(&objects, resource)["metadata"]["name"].clone();
    assert!(
        name("one").as_str().unwrap().starts_with("web-trait-0-"),
        "{}",
        name("one")
    );
    assert_eq!(name("two"), "mine");
    assert_eq!(name("more-x"), "web-x");
    assert_eq!(of_trait(&objects, "more-y")["data"], json!({"y": "2"}));
    assert_eq!(
        of_trait(&objects, "one")["metadata"]["labels"]["trait.oam.dev/type"],
        "trait-0"
    );
}

#[test]
fn outputs_of_a_component_are_auxiliary() {
    let objects = thing(
        r#"
output: {apiVersion: "apps/v1", kind: "Deployment"}
outputs: "svc": {apiVersion: "v1", kind: "Service", metadata: {namespace: "elsewhere", labels: own: "yes"}}
parameter: {}
"#,
    )
    .objects();
    let service = of_trait(&objects, "svc");
    assert_eq!(
        service["metadata"]["labels"]["trait.oam.dev/type"],
        "AuxiliaryWorkload"
    );
    assert_eq!(service["metadata"]["labels"]["own"], "yes");
    assert_eq!(service["metadata"]["namespace"], "elsewhere");
    assert_eq!(objects[0]["metadata"]["name"], "web");
    assert_eq!(objects[0]["metadata"]["namespace"], "prod");
}

#[test]
fn a_namespace_is_in_no_namespace() {
    let objects = thing(
        r#"output: {apiVersion: "v1", kind: "Namespace", metadata: name: "new"}, parameter: {}"#,
    )
    .objects();
    assert_eq!(objects[0]["metadata"].get("namespace"), None);
    assert_eq!(objects[0]["metadata"]["name"], "new");
}

#[test]
fn other_objects_are_patched_by_name() {
    let objects = thing(
        r#"
output: {apiVersion: "apps/v1", kind: "Deployment"}
outputs: svc: {apiVersion: "v1", kind: "Service", spec: ports: [{name: "http", port: 80}]}
parameter: {}
"#,
    )
    .with(
        r#"
patchOutputs: svc: spec: {
	type: "LoadBalancer"
	// +patchKey=name
	ports: [{name: "http", nodePort: 30080}, {name: "https", port: 443}]
}
"#,
        json!({}),
    )
    .objects();
    assert_eq!(
        of_trait(&objects, "svc")["spec"],
        json!({
            "type": "LoadBalancer",
            "ports": [{"name": "http", "port": 80, "nodePort": 30080}, {"name": "https", "port": 443}],
        })
    );
}

#[test]
fn objects_of_earlier_traits_are_patched_too_and_unknown_ones_ignored() {
    let objects = thing(PLAIN)
        .with(
            r#"outputs: cm: {apiVersion: "v1", kind: "ConfigMap", data: a: "1"}"#,
            json!({}),
        )
        .with(
            r#"patchOutputs: {cm: data: b: "2", nosuch: data: c: "3"}"#,
            json!({}),
        )
        .objects();
    assert_eq!(objects.len(), 2);
    assert_eq!(
        of_trait(&objects, "cm")["data"],
        json!({"a": "1", "b": "2"})
    );
}

#[test]
fn a_trait_reads_objects_of_component_and_earlier_traits() {
    let objects = thing(
        r#"
output: {apiVersion: "apps/v1", kind: "Deployment", spec: replicas: 3}
outputs: svc: {apiVersion: "v1", kind: "Service", spec: port: 80}
parameter: {}
"#,
    )
    .with(
        r#"outputs: first: {apiVersion: "v1", kind: "ConfigMap", data: port: "\(context.outputs.svc.spec.port)"}"#,
        json!({}),
    )
    .with(
        r#"outputs: second: {apiVersion: "v1", kind: "ConfigMap", data: port: context.outputs.first.data.port + "80"}"#,
        json!({}),
    )
    .objects();
    assert_eq!(of_trait(&objects, "second")["data"]["port"], "8080");
}

#[test]
fn stages_do_not_change_the_order_in_which_a_dry_run_renders() {
    // TRAPS 22: they decide when objects are applied.
    let late = "patch: spec: late: *context.output.spec.early | \"nothing\"";
    let early = "patch: spec: early: \"was here\"";
    for stage in ["PreDispatch", "DefaultDispatch"] {
        let spec = thing(PLAIN)
            .with(late, json!({}))
            .with_attributes(early, json!({}), json!({"stage": stage}))
            .spec();
        assert_eq!(spec, json!({"late": "nothing", "early": "was here"}));
    }
}

#[test]
fn a_trait_may_refer_to_the_workload_at_a_path() {
    let template = r#"outputs: scaler: {apiVersion: "x/v1", kind: "Scaler", spec: max: 3}"#;
    let attributes = json!({"workloadRefPath": "spec.workloadRef"});
    let objects = thing(PLAIN)
        .with_attributes(template, json!({}), attributes)
        .objects();
    assert_eq!(
        of_trait(&objects, "scaler")["spec"]["workloadRef"],
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})
    );
}

#[test]
fn a_trait_may_take_the_workloads_place() {
    let template =
        r#"outputs: run: {apiVersion: "x/v1", kind: "Rollout", spec: of: context.output.kind}"#;
    let attributes = json!({"manageWorkload": true});
    let objects = thing(PLAIN)
        .with_attributes(template, json!({}), attributes)
        .objects();
    assert_eq!(of_trait(&objects, "run")["spec"]["of"], "Deployment");
    // A dry run shows both; only what is for a cluster leaves the workload out.
    assert_eq!(objects.len(), 2);
}

#[test]
fn labels_and_annotations_of_the_application_go_to_every_object() {
    let metadata = json!({
        "labels": {"team": "core", "left-out": "x"},
        "annotations": {"why": "test", "filter.oam.dev/label-keys": "left-out"},
    });
    let objects = thing(PLAIN)
        .with(
            r#"outputs: cm: {apiVersion: "v1", kind: "ConfigMap", metadata: labels: team: "own"}"#,
            json!({}),
        )
        .of(metadata)
        .objects();
    for object in &objects {
        assert_eq!(object["metadata"]["annotations"]["why"], "test");
        assert_eq!(object["metadata"]["labels"].get("left-out"), None);
        // TRAPS 4: the Application's go before the template's.
        assert_eq!(object["metadata"]["labels"]["team"], "core");
    }
}

#[test]
fn without_a_workload_there_is_nothing_to_render() {
    thing("parameter: {}").fails("output");
    thing(r#"output: {apiVersion: "v1"}, parameter: {}"#).fails("Object 'Kind' is missing");
}

#[test]
fn a_trait_that_does_nothing_is_no_error() {
    assert_eq!(
        thing(PLAIN)
            .with("parameter: {}", json!({"x": 1}))
            .objects()
            .len(),
        1
    );
}
