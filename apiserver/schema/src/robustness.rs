//! No object, however odd, makes anything here panic.

use crate::resources::builtins;
use crate::{builtin, decode, openapi, structural, table};
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Names of fields that mean something somewhere.
fn field_names() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let definitions = openapi::definitions().values();
        let names = definitions
            .filter_map(|d| d["properties"].as_object())
            .flat_map(Map::keys);
        let mut all: BTreeSet<String> = names.cloned().collect();
        // The fields near the root, again and again, so that they are hit.
        let often = [
            "metadata",
            "spec",
            "status",
            "template",
            "containers",
            "ports",
            "selector",
            "strategy",
            "versions",
            "schema",
            "openAPIV3Schema",
            "properties",
            "type",
            "items",
        ];
        let mut list: Vec<String> = std::mem::take(&mut all).into_iter().collect();
        for _ in 0..20 {
            list.extend(often.map(str::to_owned));
        }
        list
    })
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![
            Just("object".to_owned()),
            Just("array".to_owned()),
            Just("RollingUpdate".to_owned()),
            Just("25%".to_owned()),
            Just("1Gi".to_owned()),
            Just("map".to_owned()),
            Just("2026-11-21T10:14:57Z".to_owned()),
            "\\PC{0,6}",
        ]
        .prop_map(Value::from),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 60, 5, |inner| {
        let key = prop::sample::select(field_names());
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::vec((key, inner), 0..6).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn builtin_kinds_take_anything(spec in anything(), rest in anything(), old in anything()) {
        let mut object = rest;
        if let Some(map) = object.as_object_mut() {
            map.insert("spec".into(), spec);
        }
        let now = jiff::Timestamp::UNIX_EPOCH;
        for resource in builtins() {
            let name = resource.definition.expect("named");
            let _ = decode::check_types(&object, name);
            let mut tidy = object.clone();
            decode::normalise(&mut tidy, name);
            decode::prune_unknown(&mut tidy, name);
            let table = table::builtin(resource, std::slice::from_ref(&tidy), now);
            prop_assert_eq!(table.rows[0].len(), table.columns.len());
            builtin::default(resource, &mut tidy);
            let _ = builtin::validate(resource, &tidy, None);
            let _ = builtin::validate(resource, &tidy, Some(&old));
        }
    }

    #[test]
    fn schemas_may_be_anything(schema in anything(), object in anything()) {
        if let Ok(compiled) = structural::Schema::compile(&schema, "schema") {
            let mut object = object;
            compiled.prune(&mut object);
            compiled.default(&mut object);
            let _ = compiled.validate(&object, None);
        }
    }

    #[test]
    fn what_is_pruned_stays_pruned_and_defaults_are_stable(object in anything()) {
        let schema = serde_json::json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"type": {"type": "string", "default": "a"}, "ports": {"type": "array", "items": {"type": "object",
                "properties": {"name": {"type": "string", "default": "n"}}}}, "template": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
        }});
        let compiled = structural::Schema::compile(&schema, "schema").expect("structural");
        let mut object = object;
        compiled.prune(&mut object);
        compiled.default(&mut object);
        let once = object.clone();
        prop_assert!(compiled.prune(&mut object).is_empty());
        compiled.default(&mut object);
        prop_assert_eq!(object, once);
    }
}
