//! `caravel dry-run` as people run it: the real program, files in, text out.

#![expect(clippy::expect_used, reason = "a failing helper fails the test")]

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caravel"))
        .arg("dry-run")
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dry-run"))
        .env_clear()
        .env("NO_COLOR", "1")
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Standard output of a run that succeeds.
fn shown(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

/// Standard error of a run that fails: exit code 1, nothing on standard output.
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    text(&output.stderr)
}

#[test]
fn objects_come_as_a_stream_of_documents() {
    let version = ["--cluster-version", "v1.29.0"];
    let arguments = [
        "-f",
        "shop.yaml",
        "-d",
        "definitions",
        version[0],
        version[1],
    ];
    insta::assert_snapshot!(shown(&arguments));
}

#[test]
fn objects_come_as_one_json_array() {
    let arguments = [
        "-f",
        "shop.yaml",
        "-d",
        "definitions/greeting.cue",
        "-o",
        "json",
    ];
    let objects: Vec<serde_json::Value> = serde_json::from_str(&shown(&arguments)).expect("JSON");
    let names: Vec<_> = objects
        .iter()
        .map(|object| object["kind"].as_str())
        .collect();
    assert_eq!(
        names,
        [Some("Deployment"), Some("Service"), Some("ConfigMap")]
    );
    assert_eq!(objects[0]["spec"]["replicas"], 5);
    assert_eq!(objects[2]["data"]["text"], "Hello you on 1.0");
}

#[test]
fn both_evaluators_show_the_same() {
    let with = |evaluator| {
        shown(&[
            "-f",
            "shop.yaml",
            "-d",
            "definitions",
            "--cue-evaluator",
            evaluator,
        ])
    };
    assert_eq!(with("v2"), with("v3"));
}

#[test]
fn a_wrong_parameter_is_shown_where_it_stands() {
    let error = refused(&["-f", "wrong.yaml"]);
    for part in [
        "spec.components[0].properties.ports",
        "wrong.yaml:",
        "port: \"80\"",
        "webservice",
    ] {
        assert!(error.contains(part), "{part} is not in:\n{error}");
    }
}

#[test]
fn programs_get_each_part_of_an_error_as_a_field() {
    let said = refused(&["-f", "wrong.yaml", "-o", "json"]);
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let error = &told["errors"][0];
    assert_eq!(error["path"], "spec.components[0].properties.ports[0].port");
    assert_eq!(error["expected"], "int");
    assert_eq!(error["found"], "\"80\"");
    assert_eq!(error["hint"], "write 80 without quotes");
    assert_eq!(error["definition"], "webservice");
    assert!(error["positions"][0]["line"].is_number(), "{error}");
}

#[test]
fn what_the_evaluator_says_is_shown_on_request() {
    let short = refused(&["-f", "wrong.yaml"]);
    let long = refused(&["-f", "wrong.yaml", "--verbose"]);
    assert!(!short.contains("mismatched types"), "{short}");
    assert!(
        long.starts_with(&short) && long.contains("mismatched types"),
        "{long}"
    );
}

#[test]
fn unknown_types_and_dependencies_are_shown_together() {
    insta::assert_snapshot!(refused(&["-f", "unknown.yaml"]));
}

#[test]
fn calls_are_shown_and_not_carried_out() {
    insta::assert_snapshot!(refused(&["-f", "lookup-app.yaml", "-d", "definitions"]));
}

#[test]
fn what_cannot_be_read_is_named() {
    assert!(refused(&["-f", "nowhere.yaml"]).contains("nowhere.yaml"));
    assert!(refused(&["-f", "definitions/lookup.yaml"]).contains("there is no Application in"));
    let output = run(&["-f", "shop.yaml", "--cluster-version", "latest"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("expected one like v1.29.0"));
}

#[test]
fn policies_change_the_application_before_it_is_shown() {
    insta::assert_snapshot!(shown(&["-f", "policies.yaml"]));
}

#[test]
fn what_can_be_shown_is_shown_and_the_rest_is_told() {
    let output = run(&["-f", "partly.yaml"]);
    assert_eq!(output.status.code(), Some(1), "it is not all");
    insta::assert_snapshot!(format!(
        "{}---- standard error\n{}",
        text(&output.stdout),
        text(&output.stderr)
    ));
}

#[test]
fn results_of_calls_can_be_given() {
    let output = run(&["-f", "partly.yaml", "--returns", "returns.yaml"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).matches("told: known").count(), 2);
}

#[test]
fn fields_that_do_not_exist_are_refused_at_their_place() {
    insta::assert_snapshot!(refused(&["-f", "misspelt.yaml"]));
    let told = refused(&["-f", "misspelt.yaml", "-o", "json"]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let places: Vec<_> = told["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| {
            (
                &error["path"],
                &error["file"],
                &error["line"],
                &error["column"],
            )
        })
        .collect();
    assert_eq!(
        serde_json::json!(places),
        serde_json::json!([
            ["spec.components[0].trait", "misspelt.yaml", 9, 5],
            ["spec.polices", "misspelt.yaml", 12, 3],
        ])
    );
}

/// Nothing is unified with the parameters of a trait that is given none.
#[test]
fn a_trait_may_take_nothing_at_all() {
    let objects = shown(&["-f", "closed.yaml", "-d", "definitions/closed.cue"]);
    assert!(objects.contains("closed: \"yes\""), "{objects}");
}

/// Whatever name an input has, a step may put a variable of that name.
#[test]
fn an_input_may_come_from_a_variable() {
    let output = run(&["-f", "variable.yaml", "-d", "definitions/put.cue"]);
    let said = text(&output.stderr);
    assert!(!said.contains("waits for ever"), "{said}");
    let alone = run(&["-f", "variable.yaml"]);
    assert!(text(&alone.stderr).contains("waits for ever"));
}

#[test]
fn a_folder_and_standard_input_are_read() {
    let objects = shown(&[
        "-f",
        "definitions",
        "-f",
        "shop.yaml",
        "--cluster-version",
        "v1.29.0",
    ]);
    assert!(objects.contains("kind: Deployment"), "{objects}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dry-run");
    let input = std::fs::File::open(folder.join("misspelt.yaml")).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_caravel"))
        .args(["dry-run", "-f", "-"])
        .env_clear()
        .env("NO_COLOR", "1")
        .stdin(input)
        .output()
        .expect("the program starts");
    let said = text(&output.stderr);
    assert!(said.contains("[standard input:9:5]"), "{said}");
}

/// `worker` gives the copies one name.
#[test]
fn copies_that_are_one_object_are_told_of() {
    let output = run(&["-f", "copies.yaml"]);
    let told = text(&output.stderr).replace(['\n', '│'], " ");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("the copies of the component `web` are all Deployment/web"),
        "{told}"
    );
    assert!(told.contains("context.replicaKey"), "{told}");
    assert_eq!(text(&output.stdout).matches("kind: Deployment").count(), 2);
}

#[test]
fn mistakes_of_all_applications_stand_where_they_were_made() {
    insta::assert_snapshot!(refused(&["-f", "several.yaml"]));
    let json: serde_json::Value =
        serde_json::from_str(&refused(&["-f", "several.yaml", "-o", "json"])).expect("JSON");
    let places: Vec<_> = json["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|error| (error["line"].as_u64(), error["column"].as_u64()))
        .collect();
    assert_eq!(
        places,
        [(8, 63), (11, 62), (25, 31), (26, 60)].map(|(line, column)| (Some(line), Some(column)))
    );
}

#[test]
fn mistakes_stand_in_the_objects_and_files_that_they_were_made_in() {
    insta::assert_snapshot!(refused(&[
        "-f",
        "referring.yaml",
        "-d",
        "definitions/greeting.cue"
    ]));
}

#[test]
fn versions_of_definitions_that_are_given_or_built_in_are_known() {
    let place = tempfile::tempdir().expect("a folder");
    let definition = |version: &str| {
        format!(
            "\"ver\": {{type: \"component\", attributes: {{workload: definition: {{apiVersion: \"v1\", kind: \"ConfigMap\"}}, version: \"{version}\"}}}}\n\
             template: {{output: {{apiVersion: \"v1\", kind: \"ConfigMap\", data: v: \"{version}\"}}, parameter: {{}}}}\n"
        )
    };
    for version in ["1.2.3", "1.10.0"] {
        let file = place.path().join(format!("r{version}.cue"));
        std::fs::write(file, definition(version)).expect("a file");
    }
    let app = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: a, annotations: {app.oam.dev/autoUpdate: \"true\"}}\n\
        spec:\n  components:\n  - {name: exact, type: ver@v1.2.3}\n  - {name: newest, type: ver@v1}\n  \
        - {name: web, type: webservice@v1, properties: {image: nginx}}\n";
    let file = place.path().join("app.yaml");
    std::fs::write(&file, app).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_caravel"))
        .args(["dry-run", "-f"])
        .arg(&file)
        .arg("-d")
        .arg(place.path().join("r1.2.3.cue"))
        .arg("-d")
        .arg(place.path().join("r1.10.0.cue"))
        .output()
        .expect("the program starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let objects = String::from_utf8_lossy(&output.stdout).into_owned();
    for wanted in ["v: 1.2.3", "v: 1.10.0", "kind: Deployment"] {
        assert!(objects.contains(wanted), "{objects}");
    }
}
