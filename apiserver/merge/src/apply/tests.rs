use serde_json::json;

use super::*;
use crate::managed::keep_times_if_unchanged;
use crate::schema::Schema;

const NOTHING: &FieldSet = &FieldSet::EMPTY;
const T0: &str = "2026-01-01T00:00:00Z";
const T1: &str = "2026-01-01T00:01:00Z";

fn schema() -> Schema {
    Schema::for_custom_resource(&json!({
        "type": "object",
        "properties": {
            "data": {"type": "object", "additionalProperties": {"type": "string"}},
            "spec": {
                "type": "object",
                "properties": {
                    "replicas": {"type": "integer"},
                    "items": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name", "protocol"],
                        "items": {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string"},
                                "protocol": {"type": "string", "default": "TCP"},
                                "v": {"type": "string"},
                            },
                        },
                    },
                    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "plain": {"type": "array", "items": {"type": "string"}},
                    "whole": {"type": "object", "x-kubernetes-map-type": "atomic",
                        "additionalProperties": {"type": "string"}},
                    "port": {"x-kubernetes-int-or-string": true},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                },
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    }))
    .unwrap()
}

fn object(fields: Value) -> Value {
    let mut object = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "n"}});
    for (name, value) in fields.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

fn by<'a>(manager: &'a str, force: bool, time: &'a str) -> ApplyOptions<'a> {
    ApplyOptions {
        manager,
        force,
        api_version: "example.com/v1",
        subresource: "",
        reset_fields: NOTHING,
        time,
    }
}

fn write<'a>(manager: &'a str, time: &'a str) -> UpdateOptions<'a> {
    UpdateOptions {
        manager,
        api_version: "example.com/v1",
        subresource: "",
        reset_fields: NOTHING,
        time: Some(time),
    }
}

fn owners(object: &Value) -> Value {
    let entries = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    let mut out = json!({});
    for entry in entries.into_iter().flatten() {
        out[entry["manager"].as_str().unwrap()] = entry["fieldsV1"].clone();
    }
    out
}

fn apply_ok(live: Option<&Value>, fields: Value, options: ApplyOptions<'_>) -> Value {
    apply(live, &object(fields), &options, &schema()).unwrap()
}

#[test]
fn a_field_dropped_from_the_next_apply_disappears() {
    let live = apply_ok(
        None,
        json!({"data": {"a": "1", "b": "2"}}),
        by("one", false, T0),
    );
    assert_eq!(
        live.pointer("/metadata/managedFields").unwrap(),
        &json!([{"manager": "one", "operation": "Apply", "apiVersion": "example.com/v1", "time": T0,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}, "f:b": {}}}}])
    );
    let live = apply_ok(
        Some(&live),
        json!({"data": {"a": "1"}}),
        by("one", false, T1),
    );
    assert_eq!(live["data"], json!({"a": "1"}));
    assert_eq!(live.pointer("/metadata/managedFields/0/time").unwrap(), T1);
    let live = apply_ok(Some(&live), json!({}), by("one", false, T1));
    assert_eq!(live.get("data"), None);
    assert_eq!(live.pointer("/metadata/managedFields"), None);
}

#[test]
fn a_conflict_names_manager_and_path_as_kubernetes_does() {
    let live = apply_ok(
        None,
        json!({"data": {"a": "1", "b": "1"}}),
        by("one", false, T0),
    );
    let applied = object(json!({"data": {"a": "other"}}));
    let error = apply(Some(&live), &applied, &by("two", false, T0), &schema()).unwrap_err();
    assert_eq!(
        error.to_status(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Apply failed with 1 conflict: conflict with \"one\": .data.a",
            "reason": "Conflict",
            "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.a"}]},
            "code": 409})
    );
    let applied = object(json!({"data": {"a": "x", "b": "y"}}));
    let error = apply(Some(&live), &applied, &by("two", false, T0), &schema()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b"
    );
    let forced = apply_ok(
        Some(&live),
        json!({"data": {"a": "x"}}),
        by("two", true, T1),
    );
    assert_eq!(
        owners(&forced),
        json!({"one": {"f:data": {"f:b": {}}}, "two": {"f:data": {"f:a": {}}}})
    );
    assert_eq!(forced["data"], json!({"a": "x", "b": "1"}));
}

#[test]
fn an_update_of_a_subresource_is_named_in_the_conflict() {
    let live = apply_ok(None, json!({"spec": {"replicas": 1}}), by("one", false, T0));
    let mut new = live.clone();
    new["spec"]["replicas"] = json!(2);
    let scale = UpdateOptions {
        subresource: "scale",
        time: None,
        ..write("kubectl", T1)
    };
    let live = update(Some(&live), &new, &scale, &schema()).unwrap();
    assert_eq!(
        live.pointer("/metadata/managedFields").unwrap(),
        &json!([{"manager": "kubectl", "operation": "Update", "apiVersion": "example.com/v1", "subresource": "scale",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}}])
    );
    let applied = object(json!({"spec": {"replicas": 1}}));
    let error = apply(Some(&live), &applied, &by("one", false, T1), &schema()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl\" with subresource \"scale\" using example.com/v1: .spec.replicas"
    );
}

#[test]
fn lists_merge_by_their_keys_and_the_default_of_a_key_counts() {
    let live = apply_ok(
        None,
        json!({"spec": {"items": [{"name": "a", "v": "1"}, {"name": "b", "v": "1"}]}}),
        by("one", false, T0),
    );
    let live = apply_ok(
        Some(&live),
        json!({"spec": {"items": [{"name": "c", "protocol": "UDP"}, {"name": "b", "protocol": "TCP"}]}}),
        by("two", false, T1),
    );
    let names: Vec<_> = live["spec"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["name"].clone())
        .collect();
    assert_eq!(names, ["a", "c", "b"]);
    let live = apply_ok(
        Some(&live),
        json!({"spec": {"items": []}}),
        by("one", false, T1),
    );
    let names: Vec<_> = live["spec"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["name"].clone())
        .collect();
    assert_eq!(names, ["c", "b"]);
    assert_eq!(
        live["spec"]["items"][1],
        json!({"name": "b", "protocol": "TCP"})
    );
}

#[test]
fn applying_an_unowned_object_records_who_was_there_before() {
    let live = object(json!({"data": {"a": "1", "b": "2"}}));
    let error = apply(
        Some(&live),
        &object(json!({"data": {"a": "2"}})),
        &by("one", false, T0),
        &schema(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using example.com/v1: .data.a"
    );
    let live = apply_ok(
        Some(&live),
        json!({"data": {"a": "1", "c": "3"}}),
        by("one", false, T1),
    );
    assert_eq!(
        owners(&live),
        json!({"before-first-apply": {"f:data": {".": {}, "f:a": {}, "f:b": {}}}, "one": {"f:data": {"f:a": {}, "f:c": {}}}})
    );
}

#[test]
fn updates_of_one_manager_join_and_times_change_only_with_the_set() {
    let created = update(
        None,
        &object(json!({"data": {"a": "1"}})),
        &write("w", T0),
        &schema(),
    )
    .unwrap();
    assert_eq!(
        owners(&created),
        json!({"w": {"f:data": {".": {}, "f:a": {}}}})
    );
    let same = update(Some(&created), &created, &write("w", T1), &schema()).unwrap();
    assert_eq!(same, created);
    let mut new = created.clone();
    new["data"]["b"] = json!("2");
    let live = update(Some(&created), &new, &write("w", T1), &schema()).unwrap();
    assert_eq!(
        owners(&live),
        json!({"w": {"f:data": {".": {}, "f:a": {}, "f:b": {}}}})
    );
    assert_eq!(live.pointer("/metadata/managedFields/0/time").unwrap(), T1);
}

#[test]
fn an_update_takes_what_it_changes_and_releases_what_it_removes() {
    let live = apply_ok(
        None,
        json!({"data": {"a": "1", "b": "1", "c": "1"}}),
        by("one", false, T0),
    );
    let mut new = live.clone();
    new["data"] = json!({"a": "2", "c": "1"});
    new["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("managedFields");
    let live = update(Some(&live), &new, &write("w", T1), &schema()).unwrap();
    assert_eq!(
        owners(&live),
        json!({"one": {"f:data": {"f:c": {}}}, "w": {"f:data": {"f:a": {}}}})
    );
}

#[test]
fn a_reset_forgets_every_owner_and_an_untracked_object_stays_so() {
    let live = apply_ok(None, json!({"data": {"a": "1"}}), by("one", false, T0));
    for reset in [json!([]), json!([{}])] {
        let mut new = live.clone();
        new["metadata"]["managedFields"] = reset;
        new["data"]["a"] = json!("2");
        let live = update(Some(&live), &new, &write("w", T1), &schema()).unwrap();
        assert_eq!(live.pointer("/metadata/managedFields"), None);
        let mut again = live.clone();
        again["data"]["a"] = json!("3");
        let live = update(Some(&live), &again, &write("w", T1), &schema()).unwrap();
        assert_eq!(live.pointer("/metadata/managedFields"), None);
    }
    let mut new = live.clone();
    new["metadata"]["managedFields"] = json!([]);
    let status = UpdateOptions {
        subresource: "status",
        ..write("w", T1)
    };
    let live = update(Some(&live), &new, &status, &schema()).unwrap();
    assert_eq!(
        owners(&live),
        json!({"one": {"f:data": {"f:a": {}}}}),
        "a subresource cannot reset"
    );
}

#[test]
fn the_oldest_update_entries_are_folded() {
    let mut live = update(
        None,
        &object(json!({"data": {"k": "0"}})),
        &write("w0", T0),
        &schema(),
    )
    .unwrap();
    for n in 1..13 {
        let mut new = live.clone();
        new["data"][format!("k{n}")] = json!("x");
        let (manager, time) = (format!("w{n}"), format!("2026-01-01T00:01:{n:02}Z"));
        live = update(Some(&live), &new, &write(&manager, &time), &schema()).unwrap();
    }
    let entries = live
        .pointer("/metadata/managedFields")
        .unwrap()
        .as_array()
        .unwrap();
    assert_eq!(entries.len(), 10);
    assert_eq!(entries[0]["manager"], "ancient-changes");
    assert_eq!(
        entries[0]["fieldsV1"],
        json!({"f:data": {".": {}, "f:k": {}, "f:k1": {}, "f:k2": {}, "f:k3": {}}})
    );
    assert_eq!(entries[0]["time"], "2026-01-01T00:01:03Z");
}

#[test]
fn fields_that_the_endpoint_resets_are_not_owned() {
    let reset = FieldSet::of_fields(&[&["status"]]);
    let options = ApplyOptions {
        reset_fields: &reset,
        ..by("one", false, T0)
    };
    let live = apply(
        None,
        &object(json!({"data": {"a": "1"}, "status": {"x": 1}})),
        &options,
        &schema(),
    )
    .unwrap();
    assert_eq!(owners(&live), json!({"one": {"f:data": {"f:a": {}}}}));
}

#[test]
fn what_does_not_fit_is_said_as_kubernetes_says_it() {
    let refused = |fields| {
        apply(None, &object(fields), &by("one", false, T0), &schema())
            .unwrap_err()
            .to_string()
    };
    let head = "failed to create typed patch object (n/t; example.com/v1, Kind=Thing): ";
    assert_eq!(
        refused(json!({"nosuch": 1})),
        format!("{head}.nosuch: field not declared in schema")
    );
    assert_eq!(
        refused(json!({"data": {"a": 1}})),
        format!("{head}.data.a: expected string, got &value.valueUnstructured{{Value:1}}")
    );
    assert_eq!(
        refused(json!({"spec": {"items": {"a": "b"}}})),
        format!("{head}.spec.items: expected list, got &{{map[a:b]}}")
    );
    assert_eq!(
        refused(json!({"spec": {"items": [{"name": "a"}, {"name": "a", "protocol": "TCP"}]}})),
        format!("{head}.spec.items: duplicate entries for key [name=\"a\",protocol=\"TCP\"]")
    );
    assert_eq!(
        refused(json!({"spec": {"replicas": "x", "set": "y"}})),
        format!(
            "{head}errors:\n  .spec.replicas: expected numeric (int or float), got string\n  .spec.set: expected list, got &{{y}}"
        )
    );
}

#[test]
fn kubectl_takes_over_what_it_applied_on_the_client_side() {
    const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let config = object(json!({"data": {"a": "1", "b": "1"}}));
    let mut created = config.clone();
    created["metadata"]["annotations"] = json!({ANNOTATION: config.to_string()});
    let live = update(
        None,
        &created,
        &write("kubectl-client-side-apply", T0),
        &schema(),
    )
    .unwrap();
    let next = object(json!({"data": {"a": "2", "b": "1"}}));
    assert!(apply(Some(&live), &next, &by("other", false, T1), &schema()).is_err());
    let taken = apply(Some(&live), &next, &by("kubectl", false, T1), &schema()).unwrap();
    assert_eq!(taken["data"]["a"], "2");
    let annotation = taken["metadata"]["annotations"][ANNOTATION]
        .as_str()
        .unwrap();
    assert_eq!(annotation, next.to_string() + "\n");
    // A value that somebody else changed since is a conflict still.
    let mut edited = live.clone();
    edited["data"]["a"] = json!("9");
    let live = update(Some(&live), &edited, &write("editor", T1), &schema()).unwrap();
    assert_eq!(
        apply(Some(&live), &next, &by("kubectl", false, T1), &schema())
            .unwrap_err()
            .to_string(),
        "Apply failed with 1 conflict: conflict with \"editor\" using example.com/v1: .data.a"
    );
}

#[test]
fn a_list_that_became_atomic_is_owned_as_a_whole() {
    let list = |kind: &str| {
        Schema::for_custom_resource(
            &json!({"properties": {"l": {"type": "array", "x-kubernetes-list-type": kind,
            "items": {"type": "string"}}}}),
        )
        .unwrap()
    };
    let live = apply(
        None,
        &object(json!({"l": ["a", "b"]})),
        &by("one", false, T0),
        &list("set"),
    )
    .unwrap();
    assert_eq!(
        owners(&live),
        json!({"one": {"f:l": {"v:\"a\"": {}, "v:\"b\"": {}}}})
    );
    let mut new = live.clone();
    new["metadata"]["labels"] = json!({"x": "y"});
    let live = update(Some(&live), &new, &write("w", T1), &list("atomic")).unwrap();
    assert_eq!(
        owners(&live),
        json!({"one": {"f:l": {}}, "w": {"f:metadata": {"f:labels": {".": {}, "f:x": {}}}}})
    );
}

#[test]
fn times_stay_when_nothing_else_changed() {
    let live = apply_ok(None, json!({"data": {"a": "1"}}), by("one", false, T0));
    let mut new = live.clone();
    new["metadata"]["managedFields"][0]["time"] = T1.into();
    keep_times_if_unchanged(&live, &mut new);
    assert_eq!(new, live);
    new["metadata"]["managedFields"][0]["time"] = T1.into();
    new["data"]["a"] = json!("2");
    keep_times_if_unchanged(&live, &mut new);
    assert_eq!(new.pointer("/metadata/managedFields/0/time").unwrap(), T1);
}

#[test]
fn requests_that_cannot_be_an_apply_are_refused() {
    let mut applied = object(json!({}));
    applied["metadata"]["managedFields"] = json!([]);
    assert_eq!(
        apply(None, &applied, &by("one", false, T0), &schema()).unwrap_err(),
        ApplyError::BadRequest("metadata.managedFields must be nil".to_owned())
    );
    let mut applied = object(json!({}));
    applied["apiVersion"] = json!("example.com/v2");
    assert_eq!(
        apply(None, &applied, &by("one", false, T0), &schema())
            .unwrap_err()
            .to_string(),
        "Incorrect version specified in apply patch. Specified patch version: example.com/v2, expected: example.com/v1"
    );
}

#[test]
fn creating_a_built_in_object_does_not_own_the_parts_that_are_always_there() {
    let new = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "b"}},
        "spec": {"replicas": 1, "strategy": {"type": "Recreate"},
            "template": {"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {}}]}}}, "status": {}});
    let options = UpdateOptions {
        api_version: "apps/v1",
        ..write("w", T0)
    };
    let created = update(None, &new, &options, &Schema::deduced()).unwrap();
    assert_eq!(
        owners(&created)["w"],
        json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {"f:replicas": {}, "f:strategy": {"f:type": {}}, "f:template": {"f:spec": {"f:containers": {}}}}})
    );
}

/// Version `v1` and `v2` of one kind: `v2` renames nothing and makes the list of `v1` a set.
struct Two {
    v1: Schema,
    v2: Schema,
}

impl Versions for Two {
    fn schema(&self, api_version: &str) -> Option<&Schema> {
        match api_version {
            "example.com/v1" => Some(&self.v1),
            "example.com/v2" => Some(&self.v2),
            _ => None,
        }
    }
}

fn two_versions() -> Two {
    let schema = |list: &str| {
        Schema::for_custom_resource(&json!({"properties": {
            "l": {"type": "array", "x-kubernetes-list-type": list, "items": {"type": "string"}},
            "data": {"type": "object", "additionalProperties": {"type": "string"}},
        }}))
        .unwrap()
    };
    Two {
        v1: schema("atomic"),
        v2: schema("set"),
    }
}

#[test]
fn managers_of_several_versions_are_compared_each_in_its_own() {
    let versions = two_versions();
    let v2 = |manager| ApplyOptions {
        api_version: "example.com/v2",
        ..by(manager, false, T1)
    };
    let mut second = object(json!({"l": ["b"], "data": {"y": "1"}}));
    second["apiVersion"] = json!("example.com/v2");
    let first = object(json!({"l": ["a"], "data": {"x": "1"}}));
    let live = apply(None, &first, &by("one", false, T0), &versions).unwrap();
    let error = apply(Some(&live), &second, &v2("two"), &versions).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"one\": .l",
        "in its own version the first owns the whole list"
    );
    second.as_object_mut().unwrap().remove("l");
    let live = apply(Some(&live), &second, &v2("two"), &versions).unwrap();
    assert_eq!(live["data"], json!({"x": "1", "y": "1"}));
    assert_eq!(
        owners(&live),
        json!({"one": {"f:data": {"f:x": {}}, "f:l": {}}, "two": {"f:data": {"f:y": {}}}})
    );
    // The first goes on in the other version: what it does not apply any more is pruned.
    let mut third = object(json!({"l": ["c"]}));
    third["apiVersion"] = json!("example.com/v2");
    let live = apply(Some(&live), &third, &v2("one"), &versions).unwrap();
    assert_eq!(live["data"], json!({"y": "1"}));
    assert_eq!(owners(&live)["one"], json!({"f:l": {"v:\"c\"": {}}}));
    assert_eq!(live["apiVersion"], "example.com/v2");
}

#[test]
fn owners_in_a_version_that_is_not_served_any_more_are_dropped() {
    let mut live = apply_ok(None, json!({"data": {"a": "1"}}), by("one", false, T0));
    live["metadata"]["managedFields"][0]["apiVersion"] = json!("example.com/v0");
    let mut new = live.clone();
    new["data"]["b"] = json!("1");
    let live = update(Some(&live), &new, &write("w", T1), &two_versions()).unwrap();
    assert_eq!(owners(&live), json!({"w": {"f:data": {"f:b": {}}}}));
}
