//! What holds for every apply, whatever is applied.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeMap;

use caravel_merge::{ApplyOptions, FieldSet, Schema, apply, patch};
use proptest::prelude::*;
use serde_json::{Value, json};

static RESET: FieldSet = FieldSet::EMPTY;

fn schema() -> Schema {
    let item = json!({"type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "string"}}});
    Schema::for_custom_resource(&json!({"type": "object", "properties": {
        "data": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "items": {"type": "array", "items": item,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    }}))
    .unwrap()
}

fn by(manager: &str, force: bool) -> ApplyOptions<'_> {
    ApplyOptions {
        manager,
        force,
        api_version: "example.com/v1",
        subresource: "",
        reset_fields: &RESET,
        time: "2026-01-01T00:00:00Z",
    }
}

/// A configuration whose names all start with a prefix, so that two of them can be disjoint.
fn config(prefix: &'static str) -> impl Strategy<Value = Value> {
    let names = prop::collection::btree_map("[ab]", "[xy]", 1..3);
    (names.clone(), names.clone(), names.clone(), names).prop_map(
        move |(data, free, items, set)| {
            let named = |map: BTreeMap<String, String>| -> BTreeMap<String, String> {
                map.into_iter()
                    .map(|(k, v)| (format!("{prefix}{k}"), v))
                    .collect()
            };
            let items: Vec<_> = named(items)
                .into_iter()
                .map(|(name, v)| json!({"name": name, "v": v}))
                .collect();
            let set: Vec<_> = named(set).into_keys().collect();
            json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"},
            "data": named(data), "free": {"deep": named(free)}, "items": items, "set": set})
        },
    )
}

/// Lists by key, so that only what is in them counts.
fn unordered(object: &Value) -> Value {
    let mut object = object.clone();
    for name in ["items", "set"] {
        if let Some(Value::Array(items)) = object.get_mut(name) {
            items.sort_by_key(ToString::to_string);
        }
    }
    object
}

/// Whether the object holds all that was applied.
fn holds(object: &Value, applied: &Value) -> bool {
    let maps = ["/data", "/free/deep"].iter().all(|pointer| {
        let wanted = applied.pointer(pointer).and_then(Value::as_object);
        let there = object.pointer(pointer);
        let mut wanted = wanted.into_iter().flatten();
        wanted.all(|(key, value)| there.and_then(|map| map.get(key)) == Some(value))
    });
    let lists = ["items", "set"].iter().all(|name| {
        let there = object[*name].as_array().cloned().unwrap_or_default();
        let mut wanted = applied[*name].as_array().into_iter().flatten();
        wanted.all(|item| there.contains(item))
    });
    maps && lists
}

proptest! {
    #[test]
    fn applying_twice_changes_nothing(first in config("p"), second in config("p")) {
        let schema = schema();
        let live = apply(None, &first, &by("one", false), &schema).unwrap();
        let live = apply(Some(&live), &second, &by("two", true), &schema).unwrap();
        let again = apply(Some(&live), &second, &by("two", false), &schema).unwrap();
        prop_assert_eq!(again, live);
    }

    #[test]
    fn two_managers_never_lose_each_others_fields(a in config("p"), b in config("q"), b2 in config("q")) {
        let schema = schema();
        let live = apply(None, &a, &by("one", false), &schema).unwrap();
        let live = apply(Some(&live), &b, &by("two", false), &schema).unwrap();
        let live = apply(Some(&live), &b2, &by("two", false), &schema).unwrap();
        prop_assert!(holds(&live, &a));
        prop_assert!(holds(&live, &b2));
        let gone = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}});
        let live = apply(Some(&live), &gone, &by("two", false), &schema).unwrap();
        let alone = apply(None, &a, &by("one", false), &schema).unwrap();
        prop_assert_eq!(live, alone);
    }

    #[test]
    fn the_order_of_disjoint_appliers_does_not_matter(a in config("p"), b in config("q")) {
        let schema = schema();
        let run = |first: (&str, &Value), second: (&str, &Value)| {
            let live = apply(None, first.1, &by(first.0, false), &schema).unwrap();
            unordered(&apply(Some(&live), second.1, &by(second.0, false), &schema).unwrap())
        };
        prop_assert_eq!(run(("one", &a), ("two", &b)), run(("two", &b), ("one", &a)));
    }

    #[test]
    fn no_input_makes_a_patch_panic(object in json_value(), change in json_value()) {
        let schema = schema();
        let _ = patch::strategic(&object, &change, &schema);
        let _ = patch::merge(&object, &change);
        let _ = patch::json(&object, &change);
        let _ = apply(Some(&object), &change, &by("one", true), &Schema::deduced());
    }

    #[test]
    fn no_schema_makes_the_builder_panic(schema in json_value()) {
        let _ = Schema::for_custom_resource(&json!({"properties": {"x": schema, "y": {"items": schema}}}));
    }
}

/// Any JSON, with names that mean something here.
fn json_value() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "$patch",
        "$setElementOrder/items",
        "$deleteFromPrimitiveList/set",
        "$retainKeys",
        "items",
        "set",
        "data",
        "metadata",
        "managedFields",
        "name",
        "apiVersion",
        "kind",
        "fieldsV1",
        "f:a",
        "k:{",
        "type",
        "properties",
        "x-kubernetes-list-type",
        "$ref",
        "op",
        "path",
        "value",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "a",
            "delete",
            "replace",
            "map",
            "example.com/v1",
            "Thing",
            "/items/0",
            "add"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}
