//! Tests of the API types.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder of goldens, or none if the caller said to go without.
fn conformance() -> Option<PathBuf> {
    let folder = std::env::var_os("CARAVEL_CONFORMANCE_DIR")
        .map_or_else(|| workspace().join("../shared/conformance"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    assert_eq!(
        std::env::var("CONFORMANCE").as_deref(),
        Ok("skip"),
        "{} is missing; set CARAVEL_CONFORMANCE_DIR, or CONFORMANCE=skip to go without",
        folder.display()
    );
    None
}

#[test]
fn the_committed_crds_are_fresh() {
    for crd in crds() {
        let name = crd_file_name(&crd);
        let committed = std::fs::read_to_string(workspace().join("deploy/crds").join(&name));
        assert!(
            committed.is_ok_and(|text| text == crate::yaml::to_string(&crd)),
            "deploy/crds/{name} is stale: run `cargo run -p caravel-core --example generate-crds`"
        );
    }
}

/// The summary table of the reference, section 1.1.
#[test]
fn crds_have_the_names_that_clients_use() {
    let summary: Vec<String> = crds()
        .iter()
        .map(|crd| {
            let spec = &crd["spec"];
            let names = &spec["names"];
            let versions: Vec<String> = spec["versions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|version| {
                    let columns: Vec<&str> = version["additionalPrinterColumns"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(|column| column["name"].as_str().unwrap())
                        .collect();
                    format!(
                        "{}{}{} {}",
                        version["name"].as_str().unwrap(),
                        if version["storage"] == true {
                            " stored"
                        } else {
                            ""
                        },
                        if version["subresources"]["status"].is_object() {
                            " status"
                        } else {
                            ""
                        },
                        columns.join(",")
                    )
                })
                .collect();
            format!(
                "{} {} {} {} {} | {}",
                crd["metadata"]["name"].as_str().unwrap(),
                names["kind"].as_str().unwrap(),
                spec["scope"].as_str().unwrap(),
                names["shortNames"],
                names["categories"],
                versions.join(" | ")
            )
        })
        .collect();
    insta::assert_snapshot!(summary.join("\n"));
}

/// The rules of structural schemas that schemars would break.
fn check_structural(schema: &Value, path: &str) {
    let Some(map) = schema.as_object() else {
        return;
    };
    for key in map.keys() {
        assert!(
            !matches!(
                key.as_str(),
                "$ref" | "$schema" | "anyOf" | "oneOf" | "title" | "const" | "$defs"
            ),
            "{path} has {key}"
        );
    }
    assert!(map["type"].is_string(), "{path} has no type");
    if map.contains_key("nullable") {
        assert_eq!(map["format"], "date-time", "{path} is nullable");
    }
    for required in map
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        assert!(
            map["properties"][required.as_str().unwrap()].is_object(),
            "{path}: {required}"
        );
    }
    for (name, property) in map
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        check_structural(property, &format!("{path}.{name}"));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get(key) {
            check_structural(inner, &format!("{path}.{key}"));
        }
    }
}

#[test]
fn schemas_are_structural_and_described() {
    for crd in crds() {
        for version in crd["spec"]["versions"].as_array().unwrap() {
            let schema = &version["schema"]["openAPIV3Schema"];
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
            check_structural(schema, kind);
            assert!(schema["description"].is_string(), "{kind}");
        }
    }
}

#[test]
fn the_application_schema_requires_what_kubevela_requires() {
    let crds = crds();
    let schema = &crds[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let spec = &schema["properties"]["spec"];
    assert_eq!(spec["required"], json!(["components"]));
    // An unknown field is an error of a strict client, as in KubeVela.
    assert_eq!(spec.get("x-kubernetes-preserve-unknown-fields"), None);
    let component = &spec["properties"]["components"]["items"];
    assert_eq!(component["required"], json!(["name", "type"]));
    assert_eq!(
        component["properties"]["properties"]["x-kubernetes-preserve-unknown-fields"],
        json!(true)
    );
    let status = &schema["properties"]["status"]["properties"];
    assert_eq!(
        status["workflow"]["required"],
        json!(["finished", "mode", "suspend", "terminated"])
    );
    assert_eq!(
        status["services"]["items"]["required"],
        json!(["healthy", "name"])
    );
}

#[test]
fn null_and_missing_fields_are_the_same() {
    let application: Application = serde_json::from_value(json!({
        "metadata": {"name": "a", "creationTimestamp": null},
        "spec": {
            "components": [{"name": "a", "type": "webservice", "traits": null, "properties": null,
                "dependsOn": null, "externalRevision": ""}],
            "policies": null,
            "workflow": {"steps": [{"type": "suspend", "if": "", "mode": "StepByStep"}]},
        },
        "status": {"workflow": {"startTime": null, "endTime": null, "mode": "DAG-DAG"}},
    }))
    .unwrap();
    assert_eq!(
        serde_json::to_value(&application).unwrap(),
        json!({
            "apiVersion": "core.oam.dev/v1beta1",
            "kind": "Application",
            "metadata": {"name": "a"},
            "spec": {
                "components": [{"name": "a", "type": "webservice"}],
                "workflow": {"steps": [{"type": "suspend", "mode": "StepByStep"}]},
            },
            "status": {"workflow": {
                "mode": "DAG-DAG", "suspend": false, "terminated": false, "finished": false,
            }},
        })
    );
}

/// Every field that KubeVela wrote survives our types.
#[test]
fn live_objects_survive_a_round_trip() {
    let Some(folder) = conformance() else { return };
    let bare = regex::Regex::new(r"(?m): ([yYnN]|[0-9]+e[0-9]+)$").unwrap();
    let mut seen = 0;
    for case in walk(&folder.join("live")) {
        // Their writer left out quotes that YAML 1.1 or 1.2 need: of `y`, and of hashes like `7e76`.
        let text = std::fs::read_to_string(&case).unwrap();
        let text = bare.replace_all(&text, ": '$1'");
        for document in crate::yaml::parse(&text).unwrap() {
            for object in items(document) {
                seen += usize::from(round_trip(&object, &case.display().to_string()));
            }
        }
    }
    assert!(seen > 500, "only {seen} objects");
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    const FILES: [&str; 5] = [
        "application.yaml",
        "resourcetrackers.yaml",
        "applicationrevisions.yaml",
        "resourcetracker.yaml",
        "applicationrevision.yaml",
    ];
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else if FILES.contains(&path.file_name().unwrap().to_str().unwrap()) {
            found.push(path);
        }
    }
    found
}

fn items(document: Value) -> Vec<Value> {
    match document {
        Value::Array(items) => items,
        Value::Object(ref map) if map.get("items").is_some_and(Value::is_array) => {
            map["items"].as_array().unwrap().clone()
        }
        other => vec![other],
    }
}

/// Reads and writes an object of a kind that we know; says whether it was one.
fn round_trip(object: &Value, case: &str) -> bool {
    fn through<T: serde::Serialize + serde::de::DeserializeOwned>(
        value: &Value,
        case: &str,
    ) -> Value {
        let typed: T = serde_path_to_error::deserialize(value)
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        serde_json::to_value(typed).unwrap()
    }
    let object = &without_placeholders(object.clone());
    if object["spec"].get("<keys>").is_some() {
        // A golden that only lists what was there.
        return false;
    }
    let after = match object["kind"].as_str() {
        Some("Application") => through::<Application>(object, case),
        Some("ApplicationRevision") => through::<ApplicationRevision>(object, case),
        Some("ResourceTracker") => through::<ResourceTracker>(object, case),
        _ => return false,
    };
    assert_contains(&after, object, case);
    true
}

/// The goldens hold `<time>` where a time was.
fn without_placeholders(value: Value) -> Value {
    match value {
        Value::String(text) if text == "<time>" => json!("2026-11-21T10:00:00Z"),
        Value::Array(items) => items.into_iter().map(without_placeholders).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, without_placeholders(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

/// Whether `after` holds all of `before`, but for what means nothing in Go.
fn assert_contains(after: &Value, before: &Value, path: &str) {
    match (after, before) {
        (Value::Object(after), Value::Object(before)) => {
            for (key, value) in before {
                let path = format!("{path}.{key}");
                match after.get(key) {
                    Some(after) => assert_contains(after, value, &path),
                    None => assert!(is_nothing(value), "{path} is lost: {value}"),
                }
            }
        }
        (Value::Array(after), Value::Array(before)) => {
            assert_eq!(after.len(), before.len(), "{path}");
            for (index, (after, before)) in after.iter().zip(before).enumerate() {
                assert_contains(after, before, &format!("{path}[{index}]"));
            }
        }
        _ => assert_eq!(after, before, "{path}"),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Bool(true) => false,
    }
}

#[test]
fn compressed_content_of_kubevela_is_read() {
    let Some(folder) = conformance() else { return };
    let read = |name: &str| {
        crate::yaml::parse_one(
            &std::fs::read_to_string(folder.join("live/zstd-sample").join(name)).unwrap(),
        )
        .unwrap()
    };
    let tracker: ResourceTracker = serde_json::from_value(read("resourcetracker.yaml")).unwrap();
    let resources = tracker.spec.resources().unwrap();
    assert_eq!(resources.len(), 2);
    assert_eq!(resources[0].kind, "Deployment");
    assert!(resources[0].raw.is_some());
    let revision: ApplicationRevision =
        serde_json::from_value(read("applicationrevision.yaml")).unwrap();
    let content = revision.spec.content().unwrap();
    assert_eq!(content.application.spec.components[0].type_, "webservice");
    assert!(content.component_definitions.contains_key("webservice"));
    assert!(content.trait_definitions.contains_key("scaler"));
}

#[test]
fn compression_goes_both_ways() {
    let resources = vec![ManagedResource {
        name: "a".to_owned(),
        ..Default::default()
    }];
    for algorithm in [None, Some(Algorithm::Gzip), Some(Algorithm::Zstd)] {
        let mut spec = ResourceTrackerSpec::default();
        spec.set_resources(resources.clone(), algorithm).unwrap();
        let json = serde_json::to_value(&spec).unwrap();
        assert_eq!(json.get("managedResources").is_some(), algorithm.is_none());
        let read: ResourceTrackerSpec = serde_json::from_value(json).unwrap();
        assert_eq!(read.resources().unwrap(), resources.as_slice());
    }
    let empty = ResourceTrackerSpec::default();
    assert_eq!(
        serde_json::to_value(&empty).unwrap(),
        json!({"applicationGeneration": 0})
    );
}

#[test]
fn damaged_compressed_content_is_an_error() {
    for (type_, data) in [
        ("zstd", "!"),
        ("zstd", "AAAA"),
        ("gzip", "AAAA"),
        ("zstd", "KLUv/SAEIQAAbnVsbA=="),
    ] {
        let spec: ResourceTrackerSpec =
            serde_json::from_value(json!({"compression": {"type": type_, "data": data}})).unwrap();
        if let Ok(resources) = spec.resources() {
            // `null` is what Go writes for an empty list.
            assert!(resources.is_empty(), "{type_} {data}");
        }
    }
    assert!(
        serde_json::from_value::<ResourceTrackerSpec>(json!({"compression": {"type": "lz4"}}))
            .unwrap_err()
            .to_string()
            .contains("lz4")
    );
}

#[test]
fn an_application_without_a_spec_can_be_read() {
    for spec in ["", r#", "spec": null"#] {
        let text = format!(r#"{{"metadata": {{"name": "x"}}{spec}}}"#);
        let read: Application = serde_json::from_str(&text).unwrap();
        assert_eq!(read.spec, ApplicationSpec::default());
    }
}
