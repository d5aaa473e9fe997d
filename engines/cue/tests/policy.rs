//! Policies that work on the Application (rows POL-014 to POL-018), and packages of users (row PRV-045).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::call;

fn policy(source: &str, parameters: &Value, context: &Value) -> Value {
    let template = json!({"name": "demo", "source": source, "parameters": parameters});
    call(
        "v2",
        "policy",
        &json!({"template": template, "context": context}),
    )
}

fn refused(source: &str) -> (String, Value) {
    let reply = policy(source, &Value::Null, &json!({"appName": "shop"}));
    assert_eq!(reply["status"], "error", "{reply}");
    let body = &reply["body"];
    let text = body["kubevelaText"].as_str().unwrap().to_owned();
    (text, body["errors"][0].clone())
}

#[test]
fn a_policy_says_what_becomes_of_the_application() {
    let source = r#"
import "strings"
parameter: {
	team: string
	tier: *"silver" | string
}
config: {
	enabled: strings.HasPrefix(context.namespace, "tenant-")
	refresh: spec: mode: "periodic"
}
output: {
	labels: {"acme.io/team": parameter.team, tier: parameter.tier}
	components: [for c in context.appComponents {c & {type: string}}]
	workflow: mode: steps: "DAG"
	ctx: {tenant: strings.TrimPrefix(context.namespace, "tenant-"), limits: {cpu: 2}}
	annotations: null
}
"#;
    let context = |namespace: &str| json!({"namespace": namespace, "appComponents": [{"name": "web", "type": "webservice"}]});
    let reply = policy(source, &json!({"team": "red"}), &context("tenant-a"));
    assert_eq!(
        reply["body"],
        json!({
            "enabled": true,
            "output": {
                "labels": {"acme.io/team": "red", "tier": "silver"},
                "components": [{"name": "web", "type": "webservice"}],
                "workflow": {"mode": {"steps": "DAG"}},
                "ctx": {"tenant": "a", "limits": {"cpu": 2}},
            },
            "config": {"enabled": true, "refresh": {"spec": {"mode": "periodic"}}},
        }),
        "{reply}"
    );
    let off = policy(source, &json!({"team": "red"}), &context("prod"));
    assert_eq!(
        (&off["body"]["enabled"], &off["body"]["output"]),
        (&json!(false), &json!({})),
        "{off}"
    );
}

#[test]
fn enabled_at_the_root_counts_only_without_config() {
    let enabled = |source: &str| {
        policy(source, &Value::Null, &json!({}))["body"]["enabled"]
            .as_bool()
            .unwrap()
    };
    assert!(!enabled("enabled: false\noutput: {}"));
    assert!(enabled("enabled: false\nconfig: {}\noutput: {}"));
    assert!(enabled("output: {}"));
}

#[test]
fn what_a_policy_may_not_do_is_said_with_its_place() {
    let (text, error) = refused("output: {\n\tlabel: a: \"b\"\n}");
    assert_eq!(
        text,
        "failed to extract output: output.label is not allowed; permitted fields: components, workflow, policies, \
         labels, annotations, ctx"
    );
    assert_eq!(error["hint"], "did you mean `labels`?");
    assert_eq!(
        error["positions"][0],
        json!({"file": "policy/demo.cue", "line": 2, "column": 2})
    );

    let (_, error) = refused("output: labels: replicas: 3");
    assert_eq!(
        (&error["path"], &error["expected"], &error["found"]),
        (
            &json!("output.labels.replicas"),
            &json!("string"),
            &json!("int")
        )
    );
    let (_, error) = refused("output: components: {}");
    assert_eq!(error["expected"], "list");

    let (text, _) = refused("parameter: {}");
    assert_eq!(text, "policy must specify 'output' field");
    let (text, _) = refused("config: enabled: \"yes\"\noutput: {}");
    assert!(
        text.starts_with("failed to extract enabled: failed to decode config.enabled"),
        "{text}"
    );
    let (text, error) = refused("output: labels: a: parameter.team\nparameter: team: string");
    assert!(
        text.starts_with("failed to extract output: failed to decode output: "),
        "{text}"
    );
    assert_eq!(error["kind"], "missing");
}

const WEATHER: &str = r#"
package weather

#Today: {
	#do: "today"
	#provider: "forecast"
	$params: city: string
	$returns?: sky: string
}
"#;

fn packages(name: &str, text: &str) -> Value {
    json!([{
        "name": name, "path": "acme.io/weather", "files": {"weather.cue": text},
        "endpoint": {"protocol": "https", "address": "https://forecast.example/api/"},
    }])
}

#[test]
fn a_call_of_a_users_package_says_where_it_goes() {
    let source = r#"
import "acme.io/weather"
today: weather.#Today & {$params: city: parameter.city}
output: {kind: "ConfigMap", data: sky: today.$returns.sky}
parameter: city: string
"#;
    let component = json!({"name": "demo", "source": source, "parameters": {"city": "Reykjavík"}});
    let mut request = json!({"component": component, "packages": packages("forecast", WEATHER)});
    let reply = call("v2", "render", &request);
    assert_eq!(reply["status"], "need", "{reply}");
    let needed = reply["body"][0].clone();
    assert_eq!(
        (&needed["provider"], &needed["do"], &needed["params"]),
        (
            &json!("forecast"),
            &json!("today"),
            &json!({"city": "Reykjavík"})
        )
    );
    let endpoint: caravel_core::engine::Endpoint =
        serde_json::from_value(needed["endpoint"].clone()).unwrap();
    assert_eq!(
        endpoint.url("today").unwrap(),
        "https://forecast.example/api/today"
    );
    request["replay"][needed["key"].as_str().unwrap()] = json!({"sky": "clear"});
    let reply = call("v2", "render", &request);
    assert_eq!(reply["body"]["output"]["data"]["sky"], "clear", "{reply}");
}

#[test]
fn every_operation_that_reads_templates_knows_the_packages() {
    let source = "import \"acme.io/weather\"\nparameter: weather.#City\noutput: {apiVersion: \"v1\", kind: \"ConfigMap\", data: parameter}";
    let text = "package weather\n#City: {name: string}";
    let template = json!({"name": "demo", "source": source, "parameters": null});
    let validate = json!({"kind": "component", "template": template});
    let with = |mut body: Value| {
        body["packages"] = packages("x", text);
        body
    };
    let reply = call("v2", "validate", &validate);
    assert_eq!(
        reply["body"]["errors"][0]["kind"], "package",
        "without the package: {reply}"
    );
    let reply = call("v2", "validate", &with(validate));
    assert_eq!(reply["body"]["errors"], json!([]), "{reply}");
    let schema = json!({"name": "demo", "source": source});
    let reply = call("v2", "schema", &with(schema));
    assert_eq!(reply["body"]["required"], json!(["name"]), "{reply}");
    let step = json!({"template": {"name": "demo", "source": source, "parameters": {"name": "x"}}});
    let reply = call("v2", "step", &with(step));
    assert_eq!(reply["body"]["value"]["parameter"]["name"], "x", "{reply}");
}

#[test]
fn a_mistake_in_a_package_is_at_its_place_in_the_package() {
    let component =
        json!({"name": "demo", "source": "import \"acme.io/weather\"\noutput: weather.#A"});
    let request =
        json!({"component": component, "packages": packages("x", "package weather\n\n#A: {")});
    let reply = call("v2", "render", &request);
    assert_eq!(
        reply["body"]["errors"][0]["positions"][0]["file"], "acme.io/weather/weather.cue",
        "{reply}"
    );
}

#[test]
fn a_package_cannot_take_the_calls_of_a_provider_of_ours() {
    let source = "import \"vela/kube\"\nget: kube.#Get & {$params: resource: {apiVersion: \"v1\", kind: \"ConfigMap\", metadata: name: \"x\"}}\noutput: kind: \"X\"";
    let request = json!({
        "component": {"name": "demo", "source": source},
        "packages": packages("kube", WEATHER),
    });
    let reply = call("v2", "render", &request);
    assert_eq!(reply["status"], "need", "{reply}");
    assert!(reply["body"][0].get("endpoint").is_none(), "{reply}");
}
