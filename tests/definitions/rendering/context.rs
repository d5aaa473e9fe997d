//! What templates know of their surroundings (REN-101 to REN-104).

use serde_json::json;

use super::{component, thing};

#[test]
fn a_component_knows_where_it_is() {
    let spec = thing(
        r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: {
	name:      context.name
	namespace: context.namespace
	app:       context.appName
	labels:    context.appLabels
	notes:     context.appAnnotations.why
	others: [for one in context.components {one.name + ":" + one.type}]
	minor:     context.clusterVersion.minor + 1
	version:   context.clusterVersion.gitVersion
	workflow:  context.workflowName
	publish:   context.publishVersion
}}
parameter: {}
"#,
    )
    .of(json!({
        "labels": {"team": "core"},
        "annotations": {
            "why": "test",
            "app.oam.dev/workflowName": "wf",
            "app.oam.dev/publishVersion": "v7",
        },
    }))
    .spec();
    assert_eq!(
        spec,
        json!({
            "name": "web", "namespace": "prod", "app": "app", "labels": {"team": "core"}, "notes": "test",
            "others": ["web:thing"], "minor": 32, "version": "v1.31.2", "workflow": "wf", "publish": "v7",
        })
    );
}

#[test]
fn a_trait_knows_its_component() {
    let spec =
        thing(r#"output: {apiVersion: "apps/v1", kind: "Deployment", spec: {}}, parameter: {}"#)
            .with(
                r"
patch: spec: {
	type: context.componentType
	kind: context.output.kind
	name: context.name
	app:  context.appName
	own:  parameter.x
}
parameter: x: int
",
                json!({"x": 3}),
            )
            .spec();
    assert_eq!(
        spec,
        json!({"type": "thing", "kind": "Deployment", "name": "web", "app": "app", "own": 3})
    );
}

#[test]
fn a_default_may_come_from_the_context() {
    let template = r#"
output: {apiVersion: "x/v1", kind: "Thing", spec: {host: parameter.host, port: parameter.port}}
parameter: {
	host: *"\(context.name).\(context.namespace).svc" | string
	port: *(80 + len(context.name)) | int
}
"#;
    assert_eq!(
        thing(template).spec(),
        json!({"host": "web.prod.svc", "port": 83})
    );
    let given = component(template, json!({"host": "own", "port": 1}));
    assert_eq!(given.spec(), json!({"host": "own", "port": 1}));
}
