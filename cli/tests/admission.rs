//! `caravel dry-run` says what admission says: the real program, a text in, findings and exit code out.

#![expect(clippy::expect_used, reason = "a failing helper fails the test")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a dry run of a text said.
struct Said {
    is_success: bool,
    objects: String,
    errors: Vec<Value>,
    warnings: Vec<Value>,
}

impl Said {
    fn of(text: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_caravel"))
            .args(["dry-run", "-f", "-", "-o", "json"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut input = child.stdin.take().expect("standard input");
        input.write_all(text.as_bytes()).expect("it is read");
        drop(input);
        let output = child.wait_with_output().expect("the program ends");
        let told = String::from_utf8(output.stderr).expect("UTF-8");
        let told: Value = serde_json::from_str(&told).unwrap_or_default();
        let list = |kind: &str| told[kind].as_array().cloned().unwrap_or_default();
        Self {
            is_success: output.status.success(),
            objects: String::from_utf8(output.stdout).expect("UTF-8"),
            errors: list("errors"),
            warnings: list("warnings"),
        }
    }

    fn of_spec(spec: &str) -> Self {
        Self::of(&format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: shop}}\nspec:\n{spec}"
        ))
    }

    fn paths(&self) -> Vec<&str> {
        let paths = self.errors.iter().filter_map(|one| one["path"].as_str());
        paths.collect()
    }
}

#[test]
fn what_admission_refuses_fails_a_dry_run_that_shows_objects_too() {
    let said = Said::of_spec(
        "  components: [{name: web, type: webservice, properties: {image: nginx}}]\n  workflow:\n    steps:\n    \
         - {name: a, type: suspend, if: alwais}\n    - {name: b, type: apply-component, properties: {component: web}}\n",
    );
    assert!(!said.is_success);
    assert_eq!(said.paths(), ["spec.workflow.steps[0].if"]);
    assert!(said.objects.contains("Deployment"), "{}", said.objects);
}

#[test]
fn names_that_no_api_server_takes_are_refused_offline() {
    let said = Said::of_spec(
        "  components:\n  - {name: Web_App, type: webservice, properties: {image: nginx}}\n  \
         - {name: a.b, type: worker, properties: {image: nginx}}\n",
    );
    assert!(!said.is_success);
    assert_eq!(
        said.paths(),
        ["spec.components[0].name", "spec.components[1].name"]
    );
    let message = "`a.b` cannot be the name of a container";
    assert_eq!(said.errors[1]["message"], message);
}

#[test]
fn every_fault_of_shape_is_told_at_once() {
    let said = Said::of_spec(
        "  components:\n  -\n  - {type: worker, traits: {type: scaler}}\n  policies: [{name: p}]\n",
    );
    assert!(!said.is_success);
    assert_eq!(
        said.paths(),
        [
            "spec.components[0]",
            "spec.components[1].name",
            "spec.components[1].traits",
            "spec.policies[0].type",
        ]
    );
    assert_eq!(said.errors[0]["line"], 6);
    assert_eq!(said.errors[0]["expected"], "an object");
}

#[test]
fn components_are_demanded_but_a_spec_is_not() {
    let head = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\n";
    let said = Said::of(&format!("{head}spec: {{}}\n"));
    assert!(!said.is_success);
    assert_eq!(said.paths(), ["spec.components"]);
    let said = Said::of(head);
    assert!(said.is_success, "{:?}", said.errors);
    assert_eq!(said.objects.trim(), "[]");
}

#[test]
fn a_component_that_others_feed_is_no_mistake() {
    let said = Said::of_spec(
        "  components:\n  - {name: web, type: webservice, properties: {}, inputs: [{from: image, parameterKey: image}]}\n  \
         - {name: first, type: worker, properties: {image: nginx}, outputs: [{name: image, valueFrom: output.metadata.name}]}\n",
    );
    assert!(said.is_success, "{:?}", said.errors);
    assert!(said.objects.contains("first"), "{}", said.objects);
    assert_eq!(said.warnings.len(), 1, "{:?}", said.warnings);
    assert_eq!(said.warnings[0]["path"], "spec.components[0]");
}

#[test]
fn a_text_that_is_no_yaml_is_data_too() {
    let said = Said::of("kind: Application\nspec:\n  a: 1\n  \u{e4}: {b: 1, b: 2}\n");
    assert!(!said.is_success);
    let error = &said.errors[0];
    let expected = [
        ("kind", Value::from("syntax")),
        ("file", "standard input".into()),
        ("line", 4.into()),
        ("column", 13.into()),
        ("message", "the key `b` stands here twice".into()),
        ("hint", "remove one of the two".into()),
    ];
    for (field, value) in expected {
        assert_eq!(error[field], value, "{error}");
    }
}

#[test]
fn each_copy_of_a_component_is_checked() {
    let definition = "apiVersion: core.oam.dev/v1beta1\nkind: ComponentDefinition\nmetadata: {name: copied}\nspec:\n  \
        workload: {definition: {apiVersion: v1, kind: ConfigMap}}\n  schematic:\n    cue:\n      template: |\n        \
        output: {apiVersion: \"v1\", kind: \"ConfigMap\", metadata: name: \"\\(context.name)-\\(context.replicaKey)\"}\n---\n";
    let application = |keys: &str| {
        format!(
            "{definition}apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: shop}}\nspec:\n  \
             components: [{{name: web, type: copied}}]\n  policies: [{{name: p, type: replication, properties: {{keys: [{keys}]}}}}]\n  \
             workflow: {{steps: [{{name: deploy, type: deploy, properties: {{policies: [p]}}}}]}}\n"
        )
    };
    let said = Said::of(&application("a, b"));
    assert!(said.is_success, "{:?}", said.errors);
    assert!(said.objects.contains("web-a") && said.objects.contains("web-b"));
    let said = Said::of(&application("a, B_b"));
    assert!(!said.is_success);
    let message = "`web-B_b` cannot be the name of a ConfigMap";
    assert_eq!(said.errors[0]["message"], message, "{:?}", said.errors);
}
