//! Strategies of patches (REN-011 to REN-019).

use serde_json::json;

use super::thing;

/// A workload with containers, as most patches have to do with.
const POD: &str = r#"
output: {
	apiVersion: "v1", kind: "Pod"
	spec: containers: [
		{name: "a", image: "a:1", env: [{name: "X", value: "1"}, {name: "Y", value: "2"}]},
		{name: "b", image: "b:1", ports: [{containerPort: 80}]},
	]
}
parameter: {}
"#;

#[test]
fn items_are_matched_by_their_key_and_new_ones_are_added_at_the_end() {
    let spec = thing(POD)
        .with(
            r#"
patch: spec: {
	// +patchKey=name
	containers: [{name: "c", image: "c:1"}, {name: "b", tty: true}]
}
"#,
            json!({}),
        )
        .spec();
    let names: Vec<_> = spec["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(spec["containers"][1]["tty"], true);
    assert_eq!(spec["containers"][1]["ports"][0]["containerPort"], 80);
}

#[test]
fn inner_lists_have_keys_of_their_own() {
    let spec = thing(POD)
        .with(
            r#"
patch: spec: {
	// +patchKey=name
	containers: [{
		name: "a"
		// +patchKey=name
		env: [{name: "Z", value: "3"}, {name: "Y", value: "2"}]
	}]
}
"#,
            json!({}),
        )
        .spec();
    assert_eq!(
        spec["containers"][0]["env"],
        json!([{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}, {"name": "Z", "value": "3"}])
    );
}

#[test]
fn a_key_may_lie_deeper() {
    let spec = thing(
        r#"
output: {
	apiVersion: "x/v1", kind: "Thing"
	spec: claims: [{metadata: name: "data", size: 1}, {metadata: name: "logs", size: 2}]
}
parameter: {}
"#,
    )
    .with(
        r#"
patch: spec: {
	// +patchKey=metadata.name
	claims: [{metadata: name: "logs", fast: true}, {metadata: name: "tmp"}]
}
"#,
        json!({}),
    )
    .spec();
    assert_eq!(
        spec["claims"],
        json!([
            {"metadata": {"name": "data"}, "size": 1},
            {"metadata": {"name": "logs"}, "size": 2, "fast": true},
            {"metadata": {"name": "tmp"}},
        ])
    );
}

#[test]
fn retained_keys_replace_a_scalar_and_a_struct() {
    let spec = thing(
        r#"
output: {
	apiVersion: "x/v1", kind: "Thing"
	spec: {replicas: 3, strategy: {type: "RollingUpdate", rollingUpdate: maxSurge: 1}}
}
parameter: {}
"#,
    )
    .with(
        r#"
patch: spec: {
	// +patchStrategy=retainKeys
	replicas: 5
	// +patchStrategy=retainKeys
	strategy: {type: "Recreate"}
}
"#,
        json!({}),
    )
    .spec();
    assert_eq!(
        spec,
        json!({"replicas": 5, "strategy": {"type": "Recreate"}})
    );
}

#[test]
fn retained_keys_with_a_key_replace_the_item() {
    let spec = thing(POD)
        .with(
            r#"
patch: spec: {
	// +patchKey=name
	// +patchStrategy=retainKeys
	containers: [{name: "a", image: "other:2"}]
}
"#,
            json!({}),
        )
        .spec();
    assert_eq!(
        spec["containers"][0],
        json!({"name": "a", "image": "other:2"})
    );
    assert_eq!(spec["containers"][1]["image"], "b:1");
}

#[test]
fn without_retained_keys_another_value_is_a_conflict() {
    thing(POD)
        .with(
            r#"
patch: spec: {
	// +patchKey=name
	containers: [{name: "a", image: "other:2"}]
}
"#,
            json!({}),
        )
        .fails("conflicting values");
}

#[test]
fn a_list_may_be_replaced_as_a_whole() {
    let spec = thing(POD)
        .with(
            r#"
patch: spec: {
	// +patchStrategy=replace
	containers: [{name: "only"}]
}
"#,
            json!({}),
        )
        .spec();
    assert_eq!(spec["containers"], json!([{"name": "only"}]));
}

#[test]
fn without_a_key_items_go_with_those_of_their_place() {
    let spec = thing(POD)
        .with(
            r#"patch: spec: containers: [{tty: true}, {stdin: true}, {name: "third"}]"#,
            json!({}),
        )
        .spec();
    assert_eq!(spec["containers"][0]["tty"], true);
    assert_eq!(spec["containers"][1]["stdin"], true);
    assert_eq!(spec["containers"][2], json!({"name": "third"}));
}

#[test]
fn a_list_that_is_shorter_needs_an_open_end() {
    thing(POD)
        .with("patch: spec: containers: [{tty: true}]", json!({}))
        .fails("incompatible list lengths");
    let spec = thing(POD)
        .with("patch: spec: containers: [{tty: true}, ...]", json!({}))
        .spec();
    assert_eq!(spec["containers"].as_array().unwrap().len(), 2);
    assert_eq!(spec["containers"][0]["tty"], true);
}

#[test]
fn every_item_of_a_list_can_be_patched() {
    let spec = thing(POD)
        .with(
            "patch: spec: containers: [...{lifecycle: preStop: sleep: 5}]",
            json!({}),
        )
        .spec();
    for container in spec["containers"].as_array().unwrap() {
        assert_eq!(container["lifecycle"]["preStop"]["sleep"], 5);
    }
}

#[test]
fn json_patches_are_operations() {
    let spec = thing(POD)
        .with(
            r#"
// +patchStrategy=jsonPatch
patch: {
	operations: [
		{op: "replace", path: "/spec/containers/0/image", value: "new:1"},
		{op: "remove", path: "/spec/containers/1"},
		{op: "add", path: "/spec/restartPolicy", value: "Never"},
	]
}
"#,
            json!({}),
        )
        .spec();
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
    assert_eq!(spec["containers"][0]["image"], "new:1");
    assert_eq!(spec["restartPolicy"], "Never");
}

#[test]
fn json_merge_patches_remove_with_null() {
    let spec = thing(
        r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: {keep: 1, drop: 2, list: [1, 2, 3], deep: {a: 1, b: 2}}}
parameter: {}
"#,
    )
    .with(
        r"
// +patchStrategy=jsonMergePatch
patch: {
	spec: {drop: null, list: [9], deep: {a: null, c: 3}}
}
",
        json!({}),
    )
    .spec();
    assert_eq!(
        spec,
        json!({"keep": 1, "list": [9], "deep": {"b": 2, "c": 3}})
    );
}

#[test]
fn null_removes_nothing_in_an_ordinary_patch() {
    thing(POD)
        .with("patch: spec: containers: null", json!({}))
        .fails("conflicting values");
}

#[test]
fn a_strategy_is_lost_on_the_short_form() {
    // TRAPS 12: the operations land in the workload.
    let objects = thing(POD)
        .with(
            "// +patchStrategy=jsonPatch\npatch: operations: [{op: \"remove\", path: \"/spec\"}]",
            json!({}),
        )
        .objects();
    assert_eq!(objects[0]["operations"][0]["op"], "remove");
    assert_eq!(objects[0]["spec"]["containers"][0]["name"], "a");
}

#[test]
fn each_trait_sees_what_the_ones_before_it_did() {
    let spec = thing(r#"output: {apiVersion: "x/v1", kind: "Thing", spec: n: 1}, parameter: {}"#)
        .with("patch: spec: first: context.output.spec.n + 1", json!({}))
        .with(
            "patch: spec: second: context.output.spec.first + 1",
            json!({}),
        )
        .with(
            "patch: {\n\tif context.output.spec.second != _|_ {\n\t\tspec: third: \"seen\"\n\t}\n}",
            json!({}),
        )
        .spec();
    assert_eq!(
        spec,
        json!({"n": 1, "first": 2, "second": 3, "third": "seen"})
    );
}

#[test]
fn what_a_patch_reads_may_not_be_there() {
    let spec = thing(r#"output: {apiVersion: "x/v1", kind: "Thing", spec: {}}, parameter: {}"#)
        .with(
            "patch: {\n\tif context.output.spec.nothing == _|_ {\n\t\tspec: made: true\n\t}\n}",
            json!({}),
        )
        .spec();
    assert_eq!(spec, json!({"made": true}));
}

#[test]
fn a_patch_may_come_from_the_parameters_by_comprehension() {
    let spec = thing(POD)
        .with(
            r"
patch: spec: {
	// +patchKey=name
	containers: [{
		name: parameter.container
		// +patchKey=name
		env: [for k, v in parameter.env {name: k, value: v}]
	}]
}
parameter: {
	container: string
	env: [string]: string
}
",
            json!({"container": "b", "env": {"B": "2", "A": "1"}}),
        )
        .spec();
    let mut env = spec["containers"][1]["env"].as_array().unwrap().clone();
    env.sort_by_key(|one| one["name"].to_string());
    assert_eq!(
        env,
        [
            json!({"name": "A", "value": "1"}),
            json!({"name": "B", "value": "2"})
        ]
    );
}

#[test]
fn a_patch_cannot_remove_what_a_comment_does_not_allow() {
    thing(r#"output: {apiVersion: "x/v1", kind: "Thing", spec: {a: 1}}, parameter: {}"#)
        .with("patch: spec: a: 2", json!({}))
        .fails("spec.a: conflicting values 2 and 1");
}
