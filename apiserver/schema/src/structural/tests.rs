use super::*;
use crate::field::{self, ErrorKind};
use serde_json::json;

/// The CRD of the recorded session (`crd.yaml`).
fn gadget_crd() -> Value {
    let mut crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
                "schema": {"openAPIV3Schema": {
                    "type": "object", "required": ["spec"],
                    "properties": {
                        "spec": {
                            "type": "object", "required": ["size"],
                            "properties": {
                                "size": {"type": "integer", "minimum": 1, "maximum": 10},
                                "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
                                "replicas": {"type": "integer"},
                                "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                                    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "v": {"type": "string"}}}},
                                "port": {"x-kubernetes-int-or-string": true},
                            },
                            "x-kubernetes-validations": [{"rule": "!has(self.replicas) || self.replicas <= self.size", "message": "replicas must not exceed size"}],
                        },
                        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
                    },
                }},
            }],
        },
    });
    default_crd(&mut crd);
    crd
}

fn gadget_schema() -> Schema {
    versions(&gadget_crd())
        .expect("structural")
        .remove(0)
        .schema
}

fn gadget(spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": spec})
}

fn messages(errors: &[field::Error]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn the_recorded_crd_is_accepted_and_described() {
    let crd = gadget_crd();
    assert_eq!(messages(&validate_crd(&crd)), Vec::<String>::new());
    assert_eq!(crd["spec"]["names"]["listKind"], "GadgetList");
    assert_eq!(crd["spec"]["conversion"], json!({"strategy": "None"}));
    let version = versions(&crd).expect("structural").remove(0);
    assert_eq!(version.resource.singular, "gadget");
    assert_eq!(
        version.scale.expect("scales").spec_replicas,
        ".spec.replicas"
    );
    assert_eq!(version.columns[0].name, "Size");
}

#[test]
fn transcript_71_three_faults() {
    let errors = gadget_schema().validate(
        &gadget(json!({"size": 30, "color": "blue", "replicas": 1})),
        None,
    );
    let mut found = messages(&errors);
    found.sort();
    assert_eq!(
        found,
        [
            "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
            "spec.color: Unsupported value: \"blue\": supported values: \"red\", \"green\"",
            "spec.size: Invalid value: 30: spec.size in body should be less than or equal to 10",
        ]
    );
}

#[test]
fn transcript_72_cel_rule() {
    let errors = gadget_schema().validate(&gadget(json!({"size": 1, "replicas": 5})), None);
    assert_eq!(
        messages(&errors),
        ["spec: Invalid value: replicas must not exceed size"]
    );
    assert_eq!(
        errors[0].body(),
        "Invalid value: replicas must not exceed size"
    );
}

#[test]
fn transcript_86_wrong_shape() {
    let schema = Schema::compile(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"components": {"type": "array", "items": {"type": "object"}}}}}}),
        "x",
    ).expect("structural");
    let errors = schema.validate(&json!({"spec": {"components": 7}}), None);
    assert_eq!(
        messages(&errors),
        [
            "spec.components: Invalid value: \"integer\": spec.components in body must be of type array: \"integer\""
        ]
    );
    assert_eq!(errors[0].kind, ErrorKind::TypeInvalid);
}

#[test]
fn unknown_fields_of_metadata_are_named_too() {
    let mut object = gadget(json!({"size": 1}));
    object["metadata"]["foo"] = 1.into();
    assert_eq!(gadget_schema().prune(&mut object), ["metadata.foo"]);
    object["metadata"]["labels"] = json!({"a": 1});
    assert_eq!(
        crate::decode::check_metadata_types(&object),
        Err("json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string".to_owned())
    );
}

#[test]
fn unknown_fields_are_pruned_and_named() {
    let mut object = gadget(json!({"size": 1, "colour": "red", "items": [{"name": "a", "w": 1}]}));
    assert_eq!(
        gadget_schema().prune(&mut object),
        ["spec.colour", "spec.items[0].w"]
    );
    assert_eq!(object, gadget(json!({"size": 1, "items": [{"name": "a"}]})));
}

#[test]
fn preserving_nodes_keep_unknown_fields_but_prune_known_children() {
    let schema = Schema::compile(
        &json!({"type": "object", "properties": {"spec": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}},
        }}}),
        "x",
    )
    .expect("structural");
    let mut object = json!({"spec": {"free": {"x": 1}, "known": {"a": "1", "b": "2"}}, "gone": 1});
    assert_eq!(schema.prune(&mut object), ["gone", "spec.known.b"]);
    assert_eq!(
        object,
        json!({"spec": {"free": {"x": 1}, "known": {"a": "1"}}})
    );
}

#[test]
fn defaults_fill_missing_fields_and_replace_null() {
    let schema = gadget_schema();
    let mut object = gadget(json!({"size": 3}));
    schema.default(&mut object);
    assert_eq!(object["spec"]["color"], "red");
    let mut object = gadget(json!({"size": 3, "color": null}));
    schema.default(&mut object);
    assert_eq!(object["spec"]["color"], "red");
}

#[test]
fn a_null_that_is_not_allowed_counts_as_absent() {
    let schema = gadget_schema();
    let mut object = gadget(json!({"size": 3, "items": null}));
    schema.default(&mut object);
    assert_eq!(object["spec"].get("items"), None);
    assert_eq!(
        messages(&schema.validate(&object, None)),
        Vec::<String>::new()
    );
}

#[test]
fn items_of_maps_are_unique_and_int_or_string_takes_both() {
    let schema = gadget_schema();
    let errors = schema.validate(
        &gadget(json!({"size": 3, "items": [{"name": "a"}, {"name": "a"}], "port": true})),
        None,
    );
    let mut found = messages(&errors);
    found.sort();
    assert_eq!(
        found[1..],
        [
            "spec.items[1]: Duplicate value: {\"name\":\"a\"}",
            "spec.port: Invalid value: \"boolean\": spec.port in body must be of type integer,string: \"boolean\"",
        ]
    );
    for port in [json!(80), json!("http")] {
        assert!(
            schema
                .validate(&gadget(json!({"size": 3, "port": port})), None)
                .is_empty()
        );
    }
}

#[test]
fn what_did_not_change_is_not_judged_again() {
    let schema = gadget_schema();
    let old = gadget(json!({"size": 30, "replicas": 1}));
    let new = gadget(json!({"size": 30, "replicas": 2}));
    assert_eq!(
        messages(&schema.validate(&new, Some(&old))),
        Vec::<String>::new()
    );
    let changed = gadget(json!({"size": 31, "replicas": 2}));
    assert_eq!(schema.validate(&changed, Some(&old)).len(), 1);
}

#[test]
fn transition_rules_see_the_old_value() {
    let schema = Schema::compile(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "name": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "is immutable", "reason": "FieldValueForbidden"}]},
    }}}}), "x").expect("structural");
    let object = |name: &str| json!({"spec": {"name": name}});
    assert!(schema.validate(&object("a"), None).is_empty());
    assert!(schema.validate(&object("a"), Some(&object("a"))).is_empty());
    assert_eq!(
        messages(&schema.validate(&object("b"), Some(&object("a")))),
        ["spec.name: Forbidden: is immutable"]
    );
}

#[test]
fn composites_name_the_place_in_the_text() {
    let schema = Schema::compile(
        &json!({"type": "object", "properties": {"spec": {
            "type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        }}}),
        "x",
    )
    .expect("structural");
    assert!(
        schema
            .validate(&json!({"spec": {"a": ""}}), None)
            .is_empty()
    );
    let both = schema.validate(&json!({"spec": {"a": "", "b": ""}}), None);
    assert_eq!(
        messages(&both),
        [
            "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid alternatives"
        ]
    );
    let none = schema.validate(&json!({"spec": {}}), None);
    assert_eq!(
        messages(&none)[0],
        "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found none valid"
    );
}

#[test]
fn faulty_crds_are_refused_in_kubernetes_words() {
    let mut crd = gadget_crd();
    crd["metadata"]["name"] = "wrong".into();
    crd["spec"]["versions"][0]["storage"] = false.into();
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"]["properties"]["untyped"] = json!({"description": "no type"});
    schema["properties"]["spec"]["properties"]["size"]["pattern"] = "(".into();
    schema["properties"]["spec"]["x-kubernetes-validations"] = json!([{"rule": "self.size >"}]);
    let mut found = messages(&validate_crd(&crd));
    for message in &mut found {
        message.truncate(150);
    }
    insta::assert_json_snapshot!(found);
}

#[test]
fn defaults_must_fit_the_schema() {
    let mut crd = gadget_crd();
    let spec = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"]["color"]["default"] = "blue".into();
    spec["properties"]["items"]["default"] = json!([{"name": "a", "w": 1}]);
    let at = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties";
    let expected = [
        format!(
            "{at}[color].default: Unsupported value: \"blue\": supported values: \"red\", \"green\""
        ),
        format!(
            "{at}[items].default: Invalid value: [{{\"name\":\"a\",\"w\":1}}]: must not have fields that the schema does not specify: [0].w"
        ),
    ];
    assert_eq!(messages(&validate_crd(&crd)), expected);
}

#[test]
fn immutable_parts_of_an_established_crd() {
    let mut old = gadget_crd();
    old["status"] = accepted_conditions(&old, jiff::Timestamp::UNIX_EPOCH);
    let mut new = old.clone();
    new["spec"]["scope"] = "Cluster".into();
    new["spec"]["versions"][0]["name"] = "v2".into();
    assert_eq!(
        messages(&validate_crd_update(&new, &old)),
        [
            "spec.scope: Invalid value: \"Cluster\": field is immutable",
            "status.storedVersions[0]: Invalid value: \"v1\": must appear in spec.versions",
        ]
    );
}

#[test]
fn compiled_schemas_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Schema>();
    shared::<CustomVersion>();
}
