//! What steps do with parameters that their examples do not have.

use caravel_core::appfile::{DefinitionSet, Layered, parse, read_application};
use caravel_core::engine::{DefinitionKind, Evaluator, Operation, Outcome, Request, SchemaRequest};
use caravel_tests::play::play;
use caravel_tests::render::{builtin, eval, parse_file};
use caravel_tests::world::World;
use serde_json::{Value, json};

/// The objects that the steps apply, the same under both evaluators.
#[track_caller]
fn applied(steps: Value, endpoints: &Value) -> Vec<Value> {
    let app = json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
        "metadata": { "name": "app", "namespace": "prod" },
        "spec": { "components": [], "workflow": { "steps": steps } },
    });
    let app = read_application(&app).unwrap();
    let source = Layered::new(DefinitionSet::default(), builtin);
    let [v2, v3] = [Evaluator::V2, Evaluator::V3].map(|evaluator| {
        let appfile = parse(&app, &source).unwrap();
        let http = |_: &str, _: &str, _: &Value| (200, String::new());
        let mut world = World::new(app.clone(), appfile, &source, evaluator, http);
        world.endpoints = endpoints.clone();
        play(&mut world).unwrap();
        world.actions
    });
    assert_eq!(v2, v3, "the evaluators differ");
    let mut done = v2.into_iter();
    done.by_ref()
        .map(|mut action| action["object"].take())
        .collect()
}

fn secret(properties: &Value) -> Value {
    let mut properties = properties.clone();
    properties["secretName"] = "login".into();
    let step = json!({ "name": "s", "type": "export2secret", "properties": properties });
    applied(json!([step]), &Value::Null).swap_remove(0)
}

/// The login of a registry is given as it is, or made of its parts; what else is given is kept.
#[test]
fn the_login_of_a_registry_keeps_its_data() {
    let ready = json!({ ".dockerconfigjson": r#"{"auths":{"ghcr.io":{}}}"# });
    let given = secret(&json!({ "kind": "docker-registry", "data": ready }));
    assert_eq!(given["type"], "kubernetes.io/dockerconfigjson");
    assert_eq!(given["stringData"], ready);

    let login = json!({ "username": "u", "password": "p", "server": "ghcr.io" });
    let made = secret(&json!({
        "kind": "docker-registry", "data": { "note": "x" }, "dockerRegistry": login,
    }));
    assert_eq!(made["stringData"]["note"], "x");
    let config = made["stringData"][".dockerconfigjson"].as_str().unwrap();
    let config: Value = serde_json::from_str(config).unwrap();
    assert_eq!(config["auths"]["ghcr.io"]["auth"], "dTpw");

    let both = secret(&json!({
        "kind": "docker-registry", "data": ready, "dockerRegistry": login,
    }));
    assert_eq!(both["stringData"], {
        let mut only = made["stringData"].clone();
        only.as_object_mut().unwrap().remove("note");
        only
    });
}

/// `outer: true` leaves out what is reached only inside; `false` leaves out nothing.
#[test]
fn endpoints_are_filtered_only_where_outer_ones_are_asked_for() {
    let endpoint = |host: &str, inner: bool| json!({ "endpoint": { "host": host, "port": 80, "inner": inner } });
    let url = |order: [&str; 2], outer: Value| {
        let endpoints = order.map(|host| endpoint(host, host == "inside"));
        let mut properties = json!({});
        if outer.is_boolean() {
            properties["outer"] = outer;
        }
        let steps = json!([
            {
                "name": "ask", "type": "collect-service-endpoints", "properties": properties,
                "outputs": [{ "name": "url", "valueFrom": "value.url" }],
            },
            {
                "name": "keep", "type": "export2config",
                "inputs": [{ "from": "url", "parameterKey": "data.url" }],
                "properties": { "configName": "url" },
            },
        ]);
        let kept = applied(steps, &json!(endpoints)).swap_remove(0);
        kept["data"]["url"].as_str().unwrap().to_owned()
    };
    let (inside, outside) = ("http://inside:80", "http://outside:80");
    for outer in [json!(false), Value::Null] {
        assert_eq!(url(["inside", "outside"], outer.clone()), inside);
        assert_eq!(url(["outside", "inside"], outer), outside);
    }
    assert_eq!(url(["inside", "outside"], json!(true)), outside);
}

/// A definition whose parameters have no schema is never `Synced`, and no form can be shown for it.
#[test]
fn every_definition_has_a_schema_of_its_parameters() {
    let mut without = Vec::new();
    for file in caravel_definitions::all().chain(caravel_definitions::samples()) {
        let definition = parse_file(&file).unwrap();
        if definition.template.is_empty() {
            continue;
        }
        let operation = Operation::Schema(SchemaRequest {
            name: file.name.clone(),
            source: definition.template,
            ..SchemaRequest::default()
        });
        for evaluator in [Evaluator::V2, Evaluator::V3] {
            let request = Request {
                id: 1,
                evaluator,
                operation: operation.clone(),
            };
            match eval(&request).outcome {
                Outcome::Ok(schema) => assert!(schema.is_object(), "{}", file.file),
                other => without.push(format!("{} ({evaluator:?}): {other:?}", file.file)),
            }
        }
    }
    assert!(without.is_empty(), "{}", without.join("\n"));
}

/// Who picks a cloud sees what it asks for.
#[test]
fn the_schema_of_a_terraform_provider_names_the_keys() {
    let file =
        caravel_definitions::get(DefinitionKind::WorkflowStep, "apply-terraform-provider").unwrap();
    let operation = Operation::Schema(SchemaRequest {
        name: file.name.clone(),
        source: parse_file(&file).unwrap().template,
        ..SchemaRequest::default()
    });
    let request = Request {
        id: 1,
        evaluator: Evaluator::V2,
        operation,
    };
    let Outcome::Ok(schema) = eval(&request).outcome else {
        panic!("no schema");
    };
    let text = schema.to_string();
    for key in ["accessKey", "secretKey", "region", "subscriptionID"] {
        assert!(text.contains(key), "{key}: {text}");
    }
}
