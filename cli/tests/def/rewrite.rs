//! `upgrade` in manifests of any form: only the texts change.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use super::{command, run_in, shown_in, text};

/// A definition whose health policy adds two lists; in front of `BODY` stands what is the same everywhere.
const HEAD: &str =
    "apiVersion: core.oam.dev/v1beta1\nkind: TraitDefinition\nmetadata: {name: NAME}\n";
const OLD: &str = "isHealth: len([1] + [2]) == 2";
const FLOW: &str = "spec: {schematic: {cue: {template: \"patch: {}\"}}, status: {healthPolicy: 'isHealth: len([1] + [2]) == 2'}} # why\n";

fn definition(name: &str, body: &str) -> String {
    HEAD.replace("NAME", name) + body
}

fn place(file: &str, text: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    fs::write(place.path().join(file), text).expect("a file");
    place
}

#[test]
fn texts_in_braces_and_further_documents_are_rewritten_where_they_stand() {
    let block = format!(
        "spec:\n  schematic: {{cue: {{template: \"patch: {{}}\"}}}}\n  status:\n    healthPolicy: |4-\n        {OLD}\n# end\n"
    );
    let whole = format!(
        "---\n# nothing\n---\n{}---\n{}",
        definition("one", FLOW),
        definition("two", &block)
    );
    let whole = whole.replace('\n', "\r\n");
    let place = place("all.yaml", &whole);
    let checked = run_in(place.path(), &["upgrade", "--check", "all.yaml"]);
    assert_eq!(checked.status.code(), Some(1));
    let told = text(&checked.stdout);
    assert!(
        told.contains("all.yaml:7: spec.status.healthPolicy: lists are added")
            && told.contains("all.yaml:16:"),
        "{told}"
    );
    shown_in(place.path(), &["upgrade", "--write", "all.yaml"]);
    let written = fs::read_to_string(place.path().join("all.yaml")).expect("a file");
    let new = "isHealth: len(list.Concat([[1], [2]])) == 2";
    assert!(
        written.contains("{healthPolicy: \"import \\\"list\\\"\\n\\nisHealth: ")
            && written.contains("}} # why\r\n"),
        "{written}"
    );
    assert!(
        written.contains(&format!("        {new}\r\n# end\r\n")),
        "{written}"
    );
    assert!(!written.replace("\r\n", "").contains('\n'), "{written}");
    shown_in(place.path(), &["upgrade", "--check", "all.yaml"]);
    shown_in(place.path(), &["vet", "--offline", "all.yaml"]);
}

#[test]
fn manifests_in_json_are_rewritten() {
    let json = format!(
        "{{\"apiVersion\": \"core.oam.dev/v1beta1\", \"kind\": \"TraitDefinition\", \"metadata\": {{\"name\": \"j\"}},\n\
         \"spec\": {{\"schematic\": {{\"cue\": {{\"template\": \"patch: {{}}\"}}}}, \"status\": {{\"healthPolicy\": \"{OLD}\"}}}}}}\n"
    );
    let place = place("j.json", &json);
    let told = shown_in(place.path(), &["upgrade", "--write", "."]);
    assert!(told.contains("1 of 1 rewritten"), "{told}");
    let written = fs::read_to_string(place.path().join("j.json")).expect("a file");
    serde_json::from_str::<serde_json::Value>(&written).expect("still JSON");
    assert!(written.contains("list.Concat"), "{written}");
}

#[test]
fn a_text_that_cannot_be_written_alone_is_told_with_its_line() {
    let shared = format!(
        "spec:\n  schematic: {{cue: {{template: \"patch: {{}}\"}}}}\n  status: {{healthPolicy: &both '{OLD}', customStatus: *both}}\n"
    );
    let place = place("shared.yaml", &definition("shared", &shared));
    let output = run_in(place.path(), &["upgrade", "--check", "shared.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("spec.status.healthPolicy is left as it is")
            && said.contains("shared.yaml:6:"),
        "{said}"
    );
}

#[test]
fn standard_input_is_rewritten_to_standard_output() {
    let place = tempfile::tempdir().expect("a folder");
    let mut child = command(&["upgrade", "--write", "-"], place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(definition("one", FLOW).as_bytes())
        .expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let written = text(&output.stdout);
    assert!(
        written.starts_with("apiVersion:") && written.contains("list.Concat"),
        "{written}"
    );
    let files = fs::read_dir(place.path()).expect("a folder").count();
    assert_eq!(files, 0, "no file is called -");
}
