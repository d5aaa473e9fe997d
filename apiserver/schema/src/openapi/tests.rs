use super::*;
use crate::resources;

#[test]
fn every_builtin_kind_has_its_definition() {
    for r in builtins() {
        let name = r.definition.expect("named");
        let schema = definition(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(schema["type"], "object", "{name}");
    }
}

#[test]
fn references_resolve_and_have_no_siblings() {
    fn walk(at: &str, schema: &Value) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    assert_eq!(map.len(), 1, "{at}: siblings of $ref");
                    let name = target
                        .strip_prefix(REF_PREFIX)
                        .unwrap_or_else(|| panic!("{at}: {target}"));
                    assert!(definition(name).is_some(), "{at}: {name} is missing");
                }
                map.iter().for_each(|(k, v)| walk(&format!("{at}.{k}"), v));
            }
            Value::Array(items) => items.iter().for_each(|v| walk(at, v)),
            _ => {}
        }
    }
    for (name, schema) in definitions() {
        walk(name, schema);
    }
}

#[test]
fn associative_lists_carry_their_keys() {
    let container = &definition("io.k8s.api.core.v1.Container").expect("there")["properties"];
    assert_eq!(
        container["ports"]["x-kubernetes-list-map-keys"],
        json!(["containerPort", "protocol"])
    );
    assert_eq!(
        container["ports"]["x-kubernetes-patch-merge-key"],
        "containerPort"
    );
    assert_eq!(container["env"]["x-kubernetes-patch-strategy"], "merge");
    let pod = &definition("io.k8s.api.core.v1.PodSpec").expect("there")["properties"];
    assert_eq!(
        pod["volumes"]["x-kubernetes-patch-strategy"],
        "merge,retainKeys"
    );
    assert_eq!(pod["tolerations"]["x-kubernetes-list-type"], "atomic");
    let selector = definition("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector").expect("there");
    assert_eq!(selector["x-kubernetes-map-type"], "atomic");
}

#[test]
fn documents_hold_what_they_refer_to_and_the_parameter_that_kubectl_looks_for() {
    for r in builtins() {
        let doc = builtin_document(&r.group, &r.version).expect("served");
        let text = doc.to_string();
        for part in text.split("\"$ref\":\"").skip(1) {
            let name = part
                .split('"')
                .next()
                .and_then(|t| t.strip_prefix(REF_PREFIX))
                .expect("a reference");
            assert!(
                doc["components"]["schemas"].get(name).is_some(),
                "{name} is not in {}",
                r.api_version()
            );
        }
    }
    let apps = builtin_document("apps", "v1").expect("served");
    let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "apps", "kind": "Deployment", "version": "v1"})
    );
    let parameters = patch["parameters"].as_array().expect("a list");
    assert!(
        parameters
            .iter()
            .any(|p| p["name"] == "fieldValidation" && p["in"] == "query")
    );
    assert!(builtin_document("apps", "v9").is_none());
}

#[test]
fn custom_documents_refer_to_object_meta() {
    let resource = resources::Resource {
        group: "example.com".into(),
        version: "v1".into(),
        kind: "Gadget".into(),
        list_kind: "GadgetList".into(),
        plural: "gadgets".into(),
        singular: "gadget".into(),
        short_names: vec![],
        categories: vec![],
        namespaced: true,
        verbs: resources::CUSTOM_VERBS,
        subresources: vec![resources::Subresource::scale()],
        definition: None,
    };
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}});
    let doc = custom_document(
        "example.com",
        "v1",
        &[CustomKind {
            resource: &resource,
            schema: Some(&schema),
        }],
    );
    let gadget = &doc["components"]["schemas"]["com.example.v1.Gadget"];
    assert_eq!(
        gadget["properties"]["spec"]["properties"]["size"]["type"],
        "integer"
    );
    assert_eq!(
        reference(&gadget["properties"]["metadata"]),
        Some(OBJECT_META)
    );
    assert!(doc["components"]["schemas"].get(OBJECT_META).is_some());
    assert!(
        doc["paths"]
            .get("/apis/example.com/v1/namespaces/{namespace}/gadgets/{name}")
            .is_some()
    );
    assert!(
        doc["paths"]
            .get("/apis/example.com/v1/namespaces/{namespace}/gadgets/{name}/scale")
            .is_some()
    );
}
