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
