//! `def test` where the tests themselves are wrong: a test that is not run must not look like one that passes.

use std::fs;
use std::path::Path;

use super::{folder, json, run_in, text};

/// A folder with the definition `greeting` and nothing else.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    let definition = folder().join("defs/greeting.cue");
    fs::copy(definition, place.path().join("greeting.cue")).expect("a file");
    place
}

fn cases(place: &Path, text: &str) {
    fs::write(place.join("greeting_test.cue"), text).expect("a file");
}

/// Standard output of a run that fails.
fn failed(place: &Path) -> String {
    let output = run_in(place, &["test", "."]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_pattern_that_does_not_fit_is_shown_where_it_stands() {
    let place = place();
    cases(
        place.path(),
        "// cases\n\"bad\": {\n\tparameter: who: \"x\"\n\texpect: output: data: text: \"nope\"\n}\n",
    );
    let told = failed(place.path());
    assert!(told.contains("greeting_test.cue:4:30]"), "{told}");
    assert!(told.contains("1 test, 1 failed"), "{told}");
    let one_line = "bad: {parameter: who: \"x\", expect: output: data: text: \"nope\"}\n";
    cases(place.path(), one_line);
    let told = failed(place.path());
    let column = one_line.find("\"nope\"").expect("a pattern") + 1;
    assert!(
        told.contains(&format!("greeting_test.cue:1:{column}]")),
        "{told}"
    );
}

#[test]
fn a_field_that_no_case_has_is_told() {
    let place = place();
    cases(
        place.path(),
        "\"a\": {parameters: who: \"x\", expect: output: data: text: \"Hello x\"}\n\"b\": 5\n",
    );
    let told = failed(place.path());
    assert!(
        told.contains("a case has no field `parameters`; did you mean `parameter`?"),
        "{told}"
    );
    assert!(told.contains("FAIL greeting: b"), "{told}");
    cases(place.path(), "oops");
    assert!(failed(place.path()).contains("FAIL greeting: greeting_test.cue"));
}

#[test]
fn files_of_a_case_that_cannot_be_read_fail_that_case_alone() {
    let place = place();
    let case = |name: &str, file: &str, text: &str| {
        let folder = place.path().join("tests/greeting").join(name);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(file), text).expect("a file");
    };
    case("broken", "parameter.yaml", "who: [");
    case("misspelt", "parameters.yaml", "who: you");
    case("misspelt", "expected.yaml", "");
    case("good", "parameter.yaml", "who: 5");
    case("good", "error.txt", "conflicting values");
    let output = run_in(place.path(), &["test", ".", "-o", "json"]);
    let told = json(&text(&output.stdout));
    let reasons: Vec<_> = told["tests"]
        .as_array()
        .expect("tests")
        .iter()
        .map(|one| (one["case"].as_str(), one["reason"].as_str().unwrap_or("ok")))
        .collect();
    assert_eq!(reasons[0].0, Some("broken"));
    assert!(
        reasons[0].1.contains("parameter.yaml: line 1"),
        "{reasons:?}"
    );
    assert_eq!(reasons[1], (Some("good"), "ok"));
    assert_eq!(
        reasons[2],
        (
            Some("misspelt"),
            "parameters.yaml is not read; did you mean `parameter.yaml`?"
        )
    );
}

#[test]
fn tests_of_definitions_that_are_not_there_fail() {
    let place = place();
    cases(
        place.path(),
        "\"a\": {parameter: who: \"x\", expect: output: data: text: \"Hello x\"}\n",
    );
    fs::write(place.path().join("renamed_test.cue"), "").expect("a file");
    let other = place.path().join("tests/gone/case");
    fs::create_dir_all(&other).expect("a folder");
    fs::write(other.join("expected.yaml"), "").expect("a file");
    // Something else may be called tests, too.
    fs::create_dir_all(place.path().join("tests/helpers")).expect("a folder");
    let told = failed(place.path());
    assert!(
        told.contains("there is no definition gone beside it"),
        "{told}"
    );
    assert!(
        told.contains("there is no definition renamed beside it"),
        "{told}"
    );
    assert!(told.contains("3 tests, 2 failed"), "{told}");
    let alone = run_in(place.path(), &["test", "greeting.cue"]);
    assert!(alone.status.success(), "{}", text(&alone.stdout));
}

#[test]
fn what_a_pattern_names_must_be_there() {
    let place = place();
    for (pattern, path) in [
        ("data: zz: \"abc\"", "output.data.zz"),
        ("spec: replicas: 3", "output.spec"),
    ] {
        let case = format!("a: {{parameter: who: \"x\", expect: output: {pattern}}}\n");
        cases(place.path(), &case);
        let told = failed(place.path());
        let wanted = format!("{path}: this is expected, and not rendered");
        assert!(told.contains(&wanted), "{told}");
    }
    for section in [
        "outptu: data: text: \"Hello x\"",
        "outputs: nothere: {apiVersion: \"v1\", kind: \"Secret\"}",
        "calls: x: {a: 1}",
        "output: data: extra: *\"a\" | string",
    ] {
        let case = format!("a: {{parameter: who: \"x\", expect: {section}}}\n");
        cases(place.path(), &case);
        let told = failed(place.path());
        assert!(
            told.contains("this is expected, and not rendered"),
            "{told}"
        );
        assert!(told.contains("greeting_test.cue:1:"), "{told}");
    }
    let fits = "outputs?: _|_, output: {kind: string, data: {text: string, others?: _|_, ...}}";
    cases(
        place.path(),
        &format!("a: {{parameter: who: \"x\", expect: {{{fits}}}}}\n"),
    );
    let told = run_in(place.path(), &["test", "."]);
    assert!(told.status.success(), "{}", text(&told.stdout));
}

#[test]
fn cases_import_packages() {
    let place = place();
    let case = "package greeting\n\nimport \"strings\"\n\n_who: \"x\"\n\
                #text: strings.MinRunes(3)\n\
                \"a\": {parameter: who: _who, expect: output: data: text: #text}\n\
                \"b\": {parameter: who: _who, expect: output: data: text: strings.MinRunes(99)}\n";
    // What some editors write before the text is not part of it.
    for before in ["", "\u{feff}"] {
        cases(place.path(), &format!("{before}{case}"));
        let told = failed(place.path());
        assert!(told.contains("ok   greeting: a"), "{told}");
        assert!(told.contains("greeting_test.cue:8:"), "{told}");
        assert!(told.contains("2 tests, 1 failed"), "{told}");
    }
}
