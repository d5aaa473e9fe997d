//! What is found in definitions, and where it is shown.

use std::fs;
use std::path::Path;

use super::{run_in, shown_in, text};

/// A folder with one file.
fn place(name: &str, content: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    fs::write(place.path().join(name), content).expect("a file");
    place
}

/// What `vet` says, whether it finds something or not.
fn vetted(place: &Path, name: &str) -> String {
    let output = run_in(place, &["vet", "--offline", name]);
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn findings_stand_in_the_object_that_has_them() {
    let definition = "\"c\": {type: \"component\", attributes: workload: definition: {apiVersion: \"v1\", kind: \"ConfigMap\"}}\ntemplate: {\n\
        \toutput: {apiVersion: \"v1\", kind: \"ConfigMap\"}\n\toutputs: good: {\n\t\tapiVersion: \"v1\"\n\t\tkind: \"Service\"\n\
        \t\tspec: ports: [{port: 80}]\n\t}\n\toutputs: bad: {\n\t\tapiVersion: \"apps/v1\"\n\t\tkind: \"Deployment\"\n\t\tspec: {\n\
        \t\t\tports: [80]\n\t\t}\n\t}\n\tparameter: {}\n}\n";
    let place = place("c.cue", definition);
    let told = vetted(place.path(), "c.cue");
    assert!(
        told.contains("outputs.bad: Deployment has no field `spec.ports`"),
        "{told}"
    );
    assert!(told.contains("c.cue:13:4"), "{told}");
}

#[test]
fn a_step_may_have_outputs_of_any_name() {
    let step = |field: &str| {
        format!(
            "\"s\": {{type: \"workflow-step\"}}\ntemplate: {{\n\t{field}: \"x\"\n\tparameter: {{}}\n}}\n"
        )
    };
    let good = place("s.cue", &step("configMap"));
    assert!(!vetted(good.path(), "s.cue").contains("configMap"));
    let misspelt = place("s.cue", &step("paramter"));
    let told = vetted(misspelt.path(), "s.cue");
    assert!(told.contains("did you mean `parameter`?"), "{told}");
}

#[test]
fn formatting_leaves_no_empty_import() {
    let definition = "import \"strconv\"\n\nx: {type: \"trait\", attributes: {}}\ntemplate: {patch: {}, parameter: {}}\n";
    let place = place("x.cue", definition);
    let formatted = shown_in(place.path(), &["format", "x.cue"]);
    assert!(formatted.starts_with("x: {"), "{formatted}");
}

#[test]
fn a_parameter_may_have_the_name_of_a_word_of_schemas() {
    let definition = "\"v\": {type: \"component\", attributes: {}}\ntemplate: {\n\toutput: {apiVersion: \"v1\", kind: \"ConfigMap\"}\n\
        \t#T: {k: string, kids?: [...#T]}\n\tparameter: {name: string, items?: [...#T]}\n}\n";
    let place = place("v.cue", definition);
    let types = shown_in(place.path(), &["gen-api", "v.cue", "--lang", "typescript"]);
    assert_eq!(types.matches("export interface V {").count(), 1, "{types}");
    assert!(types.contains("items?: VItems[];"), "{types}");
    assert!(types.contains("kids?: VItems[];"), "{types}");
}

#[test]
fn names_that_cannot_be_registered_are_found() {
    let definition = |name: &str| {
        format!("\"{name}\": {{type: \"trait\"}}\ntemplate: {{patch: {{}}, parameter: {{}}}}\n")
    };
    let spaced = place("t.cue", &definition("x y"));
    let told = vetted(spaced.path(), "t.cue");
    assert!(
        told.contains("this cannot be the name of an object"),
        "{told}"
    );
    let long = place("t.cue", &definition(&"n".repeat(80)));
    let told = vetted(long.path(), "t.cue");
    assert!(told.contains("the name is too long"), "{told}");
    let old = "apiVersion: core.oam.dev/v1alpha2\nkind: TraitDefinition\nmetadata: {name: t}\nspec: {schematic: {cue: {template: 'patch: {}'}}}\n";
    let old = place("t.yaml", old);
    let told = vetted(old.path(), "t.yaml");
    assert!(
        told.contains("write apiVersion: core.oam.dev/v1beta1"),
        "{told}"
    );
}

#[test]
fn a_field_of_the_head_that_means_nothing_is_a_warning() {
    let head = "pp: {type: \"trait\", namespace: \"vela-system\", attributes: {appliesToWorkloads: [\"*\"]}}\n";
    let definition =
        format!("{head}template: {{patch: metadata: labels: a: \"b\", parameter: {{}}}}\n");
    let place = place("pp.cue", &definition);
    let told = vetted(place.path(), "pp.cue");
    assert!(told.contains("1 definition checked, 0 bad"), "{told}");
    assert!(told.contains("unknown field \"namespace\""), "{told}");
    shown_in(place.path(), &["render", "pp.cue"]);
}

#[test]
fn a_terraform_module_is_rendered_with_its_text() {
    let manifest = "apiVersion: core.oam.dev/v1beta1\nkind: ComponentDefinition\nmetadata: {name: tfd}\nspec:\n  \
        workload: {definition: {apiVersion: terraform.core.oam.dev/v1beta2, kind: Configuration}}\n  \
        schematic: {terraform: {configuration: 'variable \"bucket\" {}'}}\n";
    let place = place("tf.yaml", manifest);
    let rendered = shown_in(place.path(), &["render", "tf.yaml", "--set", "bucket=x"]);
    assert!(
        rendered.contains("hcl: variable \"bucket\" {}"),
        "{rendered}"
    );
}

#[test]
fn one_definition_is_asked_for_where_a_folder_is_named() {
    let place = place("x.cue", "");
    let folder = place.path().display().to_string();
    for command in ["show", "gen-api", "render"] {
        let output = run_in(place.path(), &[command, &folder]);
        let told = text(&output.stderr);
        assert!(told.contains("is a folder"), "{command}: {told}");
    }
}
