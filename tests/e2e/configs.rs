//! Configurations that are made from templates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caravel_tests::wait::eventually;

use crate::place::Place;

/// `config-template-<name>` with a template.
fn template(name: &str, text: &str) -> String {
    let indented = text.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config-template-{name}\n\
         \x20 labels: {{config.oam.dev/catalog: velacore-config, config.oam.dev/scope: project}}\n\
         \x20 annotations: {{config.oam.dev/sensitive: \"false\"}}\ndata:\n  template: |\n    {indented}\n---\n"
    )
}

const DATABASE: &str = r#"
import "encoding/json"
metadata: {name: "db", scope: "project", sensitive: false}
template: {
  output: {
    apiVersion: "v1", kind: "Secret", type: "example.com/db", metadata: labels: kind: parameter.kind
    stringData: url: "\(context.namespace)/\(context.name)@\(parameter.host):\(parameter.port)"
  }
  outputs: map: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-map", data: all: json.Marshal(parameter)}
  parameter: {host: string, port: *3306 | int, kind: *"mysql" | "postgres"}
}
context: {name: string, namespace: string}
"#;

const CHECKED: &str = r#"
import "vela/config"
metadata: {name: "registry"}
template: {
  validation: config.#ImageRegistry & {$params: {registry: parameter.address, useHTTP: true}}
  parameter: address: string
}
"#;

const NACOS: &str = r#"
metadata: {name: "shared"}
template: {nacos: {format: "json", content: parameter}, parameter: {...}}
"#;

fn creating(step: &str, template: &str, config: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: {step}}}\nspec:\n  components: []\n  workflow:\n\
         \x20   steps:\n    - name: make\n      type: create-config\n      properties: {{name: one, template: {template}, config: {config}}}\n"
    )
}

#[test]
fn a_configuration_is_what_its_template_makes_of_it() {
    let place = Place::shared("configs");
    let templates = [("db", DATABASE), ("registry", CHECKED), ("shared", NACOS)];
    let templates: String = templates.map(|(name, text)| template(name, text)).concat();
    place.apply(&templates).ok();

    for (template, config, expected) in [
        (
            "configs/db",
            "{port: x}",
            "failed to compile config template: template.parameter.port: ",
        ),
        (
            "configs/db",
            "{port: 1}",
            "failed to compile config template: template.parameter.host: incomplete value string",
        ),
        (
            "configs/registry",
            "{address: '127.0.0.1:9'}",
            "failed to validate config: http://127.0.0.1:9/v2/",
        ),
        ("configs/shared", "{a: b}", "writes to a Nacos server"),
        ("configs/nosuch", "{}", "the template does not exist"),
    ] {
        place.apply(&creating("wrong", template, config)).ok();
        eventually(&format!("the step says {expected}"), || {
            let steps = place.object("app", "wrong")["status"]["workflow"]["steps"].to_string();
            steps.contains(expected).then_some(())
        });
        assert_eq!(place.get("secret", "one"), None);
    }

    place
        .apply(&creating("right", "configs/db", "{host: h}"))
        .ok();
    place.wait_until_running("right");
    let secret = place.object("secret", "one");
    assert_eq!(secret["type"], "example.com/db");
    let data = |key: &str| {
        let text = secret["data"][key].as_str().expect(key);
        String::from_utf8(STANDARD.decode(text).expect("base64")).expect("a text")
    };
    assert_eq!(data("url"), "configs/one@h:3306");
    assert_eq!(data("input-properties"), r#"{"host":"h"}"#);
    let labels = &secret["metadata"]["labels"];
    assert_eq!(labels["config.oam.dev/type"], "db");
    assert_eq!(labels["config.oam.dev/scope"], "project");
    assert_eq!(labels["kind"], "mysql");
    let map = place.object("cm", "one-map");
    assert_eq!(
        map["data"]["all"],
        r#"{"host":"h","port":3306,"kind":"mysql"}"#
    );
    assert!(data("objects-reference").contains(r#""name":"one-map""#));

    let end = "\x20   - name: end\n      type: delete-config\n      properties: {name: one}\n";
    let gone = creating("right", "configs/db", "{host: i}") + end;
    place.apply(&gone).ok();
    eventually("the configuration is gone with what it made", || {
        let one = place.get("secret", "one").is_none();
        (one && place.get("cm", "one-map").is_none()).then_some(())
    });
}
