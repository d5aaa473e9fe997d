use serde_json::json;

use super::*;

fn schema() -> Schema {
    let components = json!({
        "D": {"type": "object", "properties": {
            "spec": {"$ref": "#/components/schemas/Spec"},
            "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }},
        "Spec": {"type": "object", "properties": {
            "replicas": {"type": "integer"},
            "args": {"type": "array", "items": {"type": "string"}},
            "strategy": {"type": "object", "properties": {"type": {"type": "string"}, "rolling": {"type": "object"}},
                "x-kubernetes-patch-strategy": "retainKeys"},
            "containers": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/Container"}]},
                "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name"},
        }},
        "Container": {"type": "object", "properties": {
            "name": {"type": "string"}, "image": {"type": "string"},
            "args": {"type": "array", "items": {"type": "string"}},
            "env": {"type": "array", "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name",
                "items": {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "string"}}}},
        }},
    });
    Schema::from_openapi(components.as_object().unwrap(), "D").unwrap()
}

fn merged(object: Value, patch: Value) -> Value {
    strategic(&object, &patch, &schema()).unwrap()
}

#[test]
fn lists_are_merged_by_key_in_the_order_asked_for() {
    let object = json!({"spec": {"containers": [
        {"name": "a", "image": "nginx:1", "env": [{"name": "X", "value": "0"}, {"name": "Y", "value": "0"}]},
        {"name": "s"},
        {"name": "b", "image": "busybox:1"},
    ]}});
    let patch = json!({"spec": {
        "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}, {"name": "c"}],
        "containers": [{"name": "a", "image": "nginx:2", "$setElementOrder/env": [{"name": "X"}],
            "env": [{"name": "X", "value": "1"}, {"$patch": "delete", "name": "Y"}]}, {"name": "c", "image": "new"}],
    }});
    assert_eq!(
        merged(object, patch),
        json!({"spec": {"containers": [
            {"name": "s"},
            {"name": "b", "image": "busybox:1"},
            {"name": "a", "image": "nginx:2", "env": [{"name": "X", "value": "1"}]},
            {"name": "c", "image": "new"},
        ]}})
    );
}

#[test]
fn directives_replace_delete_and_retain() {
    let object = json!({"labels": {"a": "1"}, "finalizers": ["x", "y"], "spec": {"args": ["1"], "strategy": {"type": "R", "rolling": {"a": 1}}}});
    let patch = json!({"labels": {"$patch": "replace", "b": "2"}, "$deleteFromPrimitiveList/finalizers": ["x"],
        "spec": {"args": ["2", "3"], "strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(
        merged(object.clone(), patch),
        json!({"labels": {"b": "2"}, "finalizers": ["y"], "spec": {"args": ["2", "3"], "strategy": {"type": "Recreate"}}})
    );
    assert_eq!(
        merged(
            object.clone(),
            json!({"finalizers": ["z", "x"], "spec": {"$patch": "delete"}, "labels": null})
        ),
        json!({"finalizers": ["z", "x", "y"], "spec": {}})
    );
    let emptied = merged(
        object,
        json!({"spec": {"strategy": {"new": {"$setElementOrder/l": ["a"], "n": null, "k": {"$patch": "delete"}, "l": ["a"]}}}}),
    );
    assert_eq!(
        emptied["spec"]["strategy"]["new"],
        json!({"l": ["a"]}),
        "directives are never stored"
    );
}

#[test]
fn patches_that_do_not_fit_say_why() {
    let object = json!({"finalizers": ["x"], "spec": {"containers": [{"name": "a"}], "strategy": {"type": "R"}}});
    let refused = |patch: Value| strategic(&object, &patch, &schema()).unwrap_err();
    assert_eq!(
        refused(json!({"spec": {"containers": [{"image": "i"}]}})),
        PatchError::Unfit("map: map[image:i] does not contain declared merge key: name".to_owned())
    );
    assert_eq!(
        refused(json!({"spec": {"$patch": "explode"}})),
        PatchError::Unfit("unknown patch type: explode in map: map[$patch:explode]".to_owned())
    );
    assert_eq!(
        refused(json!({"$setElementOrder/nosuch": []})),
        PatchError::Unfit(
            "unable to find api field in struct D for the json field \"nosuch\"".to_owned()
        )
    );
    assert_eq!(
        refused(json!({"spec": {"strategy": {"$retainKeys": ["x"], "type": "a"}}})).to_status(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "invalid patch format of retainKeys", "reason": "BadRequest", "code": 400})
    );
    assert_eq!(
        refused(json!({"$setElementOrder/finalizers": ["a", "b"], "finalizers": ["b", "a"]}))
            .to_string(),
        "The order in patch list:\n[b a]\n doesn't match $setElementOrder list:\n[a b]\n"
    );
    assert!(matches!(
        strategic(&object, &json!([1]), &schema()),
        Err(PatchError::BadRequest(_))
    ));
}

#[test]
fn a_json_patch_that_fails_answers_as_kubernetes_does_and_changes_nothing() {
    let object = json!({"spec": {"replicas": 2}});
    let patch = json!([{"op": "replace", "path": "/spec/replicas", "value": 3}, {"op": "test", "path": "/spec/replicas", "value": 99}]);
    assert_eq!(
        json(&object, &patch).unwrap_err().to_status(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "the server rejected our request due to an error in our request",
            "reason": "Invalid", "details": {}, "code": 422})
    );
    assert!(matches!(
        json(&object, &json!([{"op": "remove", "path": "/spec/nosuch"}])),
        Err(PatchError::Unprocessable(_))
    ));
    assert!(matches!(
        json(&object, &json!({"op": "x"})),
        Err(PatchError::BadRequest(_))
    ));
    let many = vec![json!({"op": "test", "path": "/spec/replicas", "value": 2}); 10_001];
    assert_eq!(
        json(&object, &Value::Array(many)),
        Err(PatchError::TooLarge(10_001))
    );
    let patch = json!([{"op": "add", "path": "/spec/x", "value": [1]}, {"op": "move", "from": "/spec/x", "path": "/y"}]);
    assert_eq!(
        json(&object, &patch).unwrap(),
        json!({"spec": {"replicas": 2}, "y": [1]})
    );
}

#[test]
fn a_merge_patch_replaces_lists_and_null_removes() {
    let object = json!({"a": {"b": 1, "c": [1, 2]}});
    assert_eq!(
        merge(
            &object,
            &json!({"a": {"b": null, "c": [3], "d": {"e": null}}})
        )
        .unwrap(),
        json!({"a": {"c": [3], "d": {}}})
    );
    assert!(merge(&object, &json!("x")).is_err());
}

#[test]
fn a_patch_that_would_grow_without_end_is_refused() {
    let object = json!({"data": {"a": "x".repeat(1000)}});
    let doubling: Vec<Value> = (0..60)
        .map(|number| json!({"op": "copy", "from": "/data", "path": format!("/data/{number}")}))
        .collect();
    assert!(matches!(
        json(&object, &Value::Array(doubling)),
        Err(PatchError::Copied(_))
    ));

    let mut nested = json!("x");
    for _ in 0..60 {
        nested = json!({"a": nested});
    }
    let deep = "/a".repeat(60);
    let nesting = json!([
        {"op": "add", "path": "/a", "value": nested},
        {"op": "add", "path": deep, "value": nested},
    ]);
    assert_eq!(json(&json!({}), &nesting), Err(PatchError::Deep));
    let moved = json!([
        {"op": "add", "path": "/a", "value": nested},
        {"op": "add", "path": "/b", "value": nested},
        {"op": "move", "from": "/b", "path": deep},
    ]);
    assert_eq!(json(&json!({}), &moved), Err(PatchError::Deep));
}

#[test]
fn a_failed_operation_is_named_by_its_number() {
    let patch = json!([{"op": "add", "path": "/a", "value": 1}, {"op": "remove", "path": "/nope"}]);
    let error = json(&json!({}), &patch).unwrap_err().to_string();
    assert!(error.contains("'/1'"), "{error}");
}
