//! `caravel def` as people run it, without a hub: the real program, files in, text out.

#![expect(clippy::expect_used, reason = "a failing helper fails the test")]

#[path = "def/completion.rs"]
mod completion;
#[path = "def/found.rs"]
mod found;
#[path = "def/late.rs"]
mod late;
#[path = "def/odd.rs"]
mod odd;
#[path = "def/rewrite.rs"]
mod rewrite;
#[path = "def/scope.rs"]
mod scope;
#[path = "def/suites.rs"]
mod suites;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/def")
}

fn command(arguments: &[&str], folder: &Path) -> Command {
    let mut all = vec!["def"];
    all.extend(arguments);
    caravel(&all, folder)
}

fn caravel(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caravel"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("NO_COLOR", "1");
    command
}

fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    command(arguments, folder)
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Standard output of a run in a folder that succeeds.
fn shown_in(folder: &Path, arguments: &[&str]) -> String {
    let output = run_in(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Standard output of a run that succeeds.
fn shown(arguments: &[&str]) -> String {
    shown_in(&folder(), arguments)
}

/// Exit code, standard output and standard error of a run that does not succeed.
fn refused(arguments: &[&str]) -> String {
    let output = run_in(&folder(), arguments);
    assert!(!output.status.success(), "{}", text(&output.stdout));
    format!(
        "exit code {}\n{}---\n{}",
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr)
    )
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

/// A copy of the definitions that a test may change.
fn copy() -> tempfile::TempDir {
    let target = tempfile::tempdir().expect("a folder");
    copy_all(&folder(), target.path());
    target
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            fs::create_dir(&target).expect("a folder");
            copy_all(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file");
        }
    }
}

#[test]
fn good_definitions_vet_clean() {
    insta::assert_snapshot!(shown(&["vet", "defs", "--strict"]));
}

/// A definition is rendered for the version whose kinds it is held against; a patch of what nobody knows is not judged.
#[test]
fn what_depends_on_the_target_is_judged_by_one_target() {
    shown(&["vet", "--strict", "--crds", "crd.yaml", "versioned.cue"]);
}

#[test]
fn what_comes_with_the_program_vets_without_a_warning() {
    let definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/../definitions");
    let traits = fs::read_dir(Path::new(definitions).join("trait")).expect("traits");
    let traits: Vec<String> = traits
        .map(|entry| {
            entry
                .expect("a trait")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|file| Path::new(file).extension().is_some_and(|end| end == "cue"))
        .filter(|file| file != "pvc.cue")
        .map(|file| format!("trait/{file}"))
        .collect();
    let mut vet = vec!["vet", "--strict", "--offline"];
    vet.extend(["component", "policy", "workflow-step"]);
    vet.extend(traits.iter().map(String::as_str));
    shown_in(Path::new(definitions), &vet);
    // Beside a data source `pvc` writes what KubeVela does, which the API server drops; there is nothing else to say of it.
    let output = run_in(
        Path::new(definitions),
        &[
            "vet",
            "--strict",
            "--offline",
            "-o",
            "json",
            "trait/pvc.cue",
        ],
    );
    insta::assert_snapshot!(text(&output.stdout));
    // A sample may have the name of a built-in definition, whose place it takes.
    shown_in(
        Path::new(definitions),
        &["vet", "--strict", "--offline", "samples"],
    );
}

#[test]
fn each_mistake_is_shown_at_its_place_in_the_file() {
    insta::assert_snapshot!(refused(&["vet", "broken"]));
}

#[test]
fn fields_that_do_not_exist_are_refused_at_their_place() {
    insta::assert_snapshot!(refused(&["vet", "unknown", "--offline"]));
    let applied = refused(&["apply", "unknown/tier.cue", "--dry-run"]);
    assert!(
        applied.contains("did you mean `podDisruptive`?"),
        "{applied}"
    );
}

#[test]
fn one_bad_file_keeps_nobody_from_seeing_the_others() {
    let place = copy();
    fs::copy(
        place.path().join("defs/greeting.cue"),
        place.path().join("again.cue"),
    )
    .expect("a copy");
    fs::write(
        place.path().join("tabs.yaml"),
        "kind: TraitDefinition\n\tspec: {}\n",
    )
    .expect("a file");
    let files = [
        "defs/greeting.cue",
        "again.cue",
        "tabs.yaml",
        "none.cue",
        "broken/syntax.cue",
    ];
    let vet = run_in(place.path(), &[&["vet", "--offline"], &files[..]].concat());
    let (told, said) = (text(&vet.stdout), text(&vet.stderr));
    assert!(told.contains("5 definitions checked, 4 bad"), "{told}");
    for wanted in [
        "the component greeting stands in defs/greeting.cue, too",
        "[tabs.yaml:1:",
        "none.cue",
        "[broken/syntax.cue:",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    // What is applied is told of all at once, too, and by whoever needs no hub for it.
    let apply = run_in(
        place.path(),
        &[&["apply", "--dry-run"], &files[2..]].concat(),
    );
    let said = text(&apply.stderr);
    assert!(
        said.contains("tabs.yaml") && said.contains("none.cue") && said.contains("syntax.cue"),
        "{said}"
    );
    let twice = run_in(
        place.path(),
        &[&["apply", "--dry-run"], &files[..2]].concat(),
    );
    assert!(text(&twice.stderr).contains("stands in defs/greeting.cue, too"));
    shown_in(place.path(), &["dev", "--dry-run", "--once", "defs"]);
}

#[test]
fn missing_and_undeclared_parameters_of_a_render_are_told() {
    let missing = refused(&["render", "defs/greeting.cue"]);
    assert!(
        missing.contains("[defs/greeting.cue:") && missing.contains("--set who=…"),
        "{missing}"
    );
    let output = run_in(
        &folder(),
        &[
            "render",
            "defs/greeting.cue",
            "--set",
            "who=you",
            "--set",
            "lod=true",
        ],
    );
    assert!(output.status.success());
    let said = text(&output.stderr);
    assert!(
        said.contains("parameter.lod") && said.contains("did you mean `loud`?"),
        "{said}"
    );
}

#[test]
fn mistakes_are_data_for_machines() {
    let output = run_in(&folder(), &["vet", "broken", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "");
    let told = json(&text(&output.stdout));
    assert_eq!(told["ok"], false);
    let names = &told["definitions"][0];
    assert_eq!(
        (&names["name"], &names["file"]),
        (&"names".into(), &"broken/names.cue".into())
    );
    let places: Vec<_> = names["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| (error["line"].as_u64(), error["column"].as_u64()))
        .collect();
    // In the health policy, which begins with its first line in the object, and in the template.
    assert_eq!(places, [(Some(12), Some(14)), (Some(23), Some(11))]);
}

#[test]
fn what_stands_around_the_template_is_checked_too() {
    let place = copy();
    let file = place.path().join("settings.cue");
    let source = fs::read_to_string(&file).expect("a file");
    let wrong = source.replace(
        "workload: definition: {apiVersion: \"v1\", kind: \"ConfigMap\"}",
        "{version: \"v1\", workload: definition: {apiVersion: \"v1\", kind: \"Secret\"}}",
    );
    fs::write(&file, wrong).expect("a file");
    let output = run_in(place.path(), &["vet", "settings.cue"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("attributes.version") && said.contains("1.2.0"),
        "{said}"
    );

    let other = source.replace("kind: \"ConfigMap\"}", "kind: \"Secret\"}");
    fs::write(&file, other).expect("a file");
    let output = run_in(place.path(), &["vet", "settings.cue"]);
    let said = text(&output.stderr);
    assert!(said.contains("its output is a v1 ConfigMap"), "{said}");
}

#[test]
fn a_definition_that_depends_on_the_evaluator_is_reported() {
    let output = run_in(&folder(), &["vet", "settings.cue"]);
    assert!(output.status.success());
    insta::assert_snapshot!(text(&output.stderr));
    assert_eq!(
        run_in(&folder(), &["vet", "--strict", "settings.cue"])
            .status
            .code(),
        Some(1)
    );

    // The author's choice settles it.
    let place = copy();
    let file = place.path().join("settings.cue");
    let source = fs::read_to_string(&file).expect("a file");
    let annotated = source.replace(
        "annotations: {}",
        "annotations: \"caravel.dev/cue-evaluator\": \"v3\"",
    );
    fs::write(&file, annotated).expect("a file");
    shown_in(place.path(), &["vet", "--strict", "settings.cue"]);
}

#[test]
fn a_component_is_rendered_with_parameters() {
    let rendered = shown(&[
        "render",
        "defs/greeting.cue",
        "--set",
        "who=you",
        "--name",
        "hi",
        "-n",
        "shop",
    ]);
    insta::assert_snapshot!(rendered);
    let objects = json(&shown(&[
        "render",
        "defs/greeting.cue",
        "--set",
        "who=1",
        "--set",
        "loud=true",
        "-o",
        "json",
    ]));
    assert_eq!(objects[0]["data"]["text"], "Hello 1!");
}

#[test]
fn a_trait_is_rendered_over_a_workload_that_fits() {
    let rendered = json(&shown(&[
        "render",
        "defs/copies.cue",
        "--set",
        "count=4",
        "-o",
        "json",
    ]));
    let kinds: Vec<_> = rendered
        .as_array()
        .into_iter()
        .flatten()
        .map(|object| object["kind"].as_str())
        .collect();
    assert_eq!(kinds, [Some("Deployment"), Some("PodDisruptionBudget")]);
    assert_eq!(rendered[0]["spec"]["replicas"], 4);
}

#[test]
fn wrong_parameters_are_shown_where_they_stand() {
    insta::assert_snapshot!(refused(&[
        "render",
        "defs/greeting.cue",
        "-p",
        "wrong.yaml"
    ]));
    let output = run_in(
        &folder(),
        &[
            "render",
            "defs/greeting.cue",
            "-p",
            "wrong.yaml",
            "-o",
            "json",
        ],
    );
    let told = json(&text(&output.stdout));
    assert_eq!(told["errors"][0]["path"], "parameter.who");
    assert_eq!(told["errors"][0]["line"], 1);
}

#[test]
fn tests_beside_definitions_pass() {
    insta::assert_snapshot!(shown(&["test", "defs"]));
}

#[test]
fn tests_fail_with_a_diff_and_are_updated() {
    let place = copy();
    let file = place.path().join("defs/greeting.cue");
    let source = fs::read_to_string(&file).expect("a file");
    fs::write(
        &file,
        source.replace("Hello", "Hallo").replace(")!\"", ")?\""),
    )
    .expect("a file");
    let output = run_in(place.path(), &["test", "defs"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(text(&output.stdout));

    // Goldens can be written anew, patterns cannot.
    let output = run_in(place.path(), &["test", "defs", "--update", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let told = json(&text(&output.stdout));
    let failed: Vec<_> = told["tests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| one["ok"] == false)
        .map(|one| one["case"].as_str())
        .collect();
    assert_eq!(failed, [Some("it can be loud")]);
    let golden = place.path().join("defs/tests/greeting/plain/expected.yaml");
    assert!(
        fs::read_to_string(golden)
            .expect("a file")
            .contains("Hallo you")
    );
}

#[test]
fn what_comes_with_the_program_is_formatted() {
    let definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/../definitions");
    shown(&["format", "--check", definitions]);
}

#[test]
fn files_are_formatted() {
    shown(&["format", "--check", "defs"]);
    let place = copy();
    let file = place.path().join("defs/copies.cue");
    let source = fs::read_to_string(&file).expect("a file");
    fs::write(&file, source.replace("count: *1", "count:     *1")).expect("a file");
    let output = run_in(place.path(), &["format", "--check", "defs"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("-\t\tcount:     *1 | int"));
    shown_in(place.path(), &["format", "-w", "defs"]);
    assert_eq!(fs::read_to_string(&file).expect("a file"), source);
}

#[test]
fn older_cue_is_rewritten_after_a_diff() {
    insta::assert_snapshot!(shown(&["upgrade", "old.cue"]));
    let place = copy();
    shown_in(place.path(), &["upgrade", "--write", "old.cue"]);
    let output = run_in(place.path(), &["vet", "--strict", "old.cue"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    shown_in(place.path(), &["upgrade", "--check", "old.cue"]);
}

#[test]
fn all_files_of_a_folder_are_rewritten_and_one_that_cannot_be_read_is_told() {
    let place = tempfile::tempdir().expect("a folder");
    let file = |name: &str| place.path().join(name);
    let template = "output: {apiVersion: \"v1\", kind: \"ConfigMap\", data: n: \"\\(len(parameter.a + [\"x\"]))\"}\nparameter: a: [...string]\n";
    let status =
        "healthPolicy: #\"\"\"\n\t\t_b: [1] + [2]\n\t\tisHealth: len(_b) == 2\n\t\t\"\"\"#";
    let cue = format!(
        "\"one\": {{\n\ttype: \"component\"\n\tattributes: status: {status}\n}}\ntemplate: {{\n{template}}}\n"
    );
    let yaml = format!(
        "# mine\napiVersion: core.oam.dev/v1beta1\nkind: ComponentDefinition\nmetadata: {{name: two}}\nspec:\n  status:\n    healthPolicy: \"isHealth: len([1] + [2]) == 2\"\n\
         \x20 schematic:\n    cue:\n      template: |\n        {}\n",
        template.trim().replace('\n', "\n        ")
    );
    fs::write(file("bad.cue"), "x: {").expect("a file");
    fs::write(file("one.cue"), &cue).expect("a file");
    fs::write(file("two.yaml"), &yaml).expect("a file");
    let output = run_in(place.path(), &["upgrade", "--write", "."]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("bad.cue"));
    let told = text(&output.stdout);
    assert!(told.contains("two.yaml:11:71: lists are added"), "{told}");
    let in_quotes = "two.yaml:7: spec.status.healthPolicy: lists are added";
    assert!(told.contains(in_quotes), "{told}");
    assert!(told.contains("2 of 3 rewritten"), "{told}");
    let read = |name: &str| fs::read_to_string(file(name)).expect("a file");
    let (one, two) = (read("one.cue"), read("two.yaml"));
    assert!(one.contains("\t\t_b: list.Concat([[1], [2]])"), "{one}");
    assert!(one.contains("len(list.Concat([parameter.a"), "{one}");
    assert!(two.starts_with("# mine\n"), "{two}");
    assert!(two.contains("len(list.Concat([[1], [2]])) == 2"), "{two}");
    assert!(two.contains("        import \"list\"\n\n"), "{two}");
    fs::remove_file(file("bad.cue")).expect("gone");
    shown_in(place.path(), &["upgrade", "--check", "."]);
    shown_in(place.path(), &["vet", "."]);
}

#[test]
fn two_files_are_compared() {
    insta::assert_snapshot!(refused(&[
        "diff",
        "--offline",
        "defs/greeting.cue",
        "greeting2.cue"
    ]));
    let same = shown(&[
        "diff",
        "--offline",
        "defs/greeting.cue",
        "defs/greeting.cue",
    ]);
    assert!(same.contains("mean the same"), "{same}");
    // Trouble is no difference.
    let output = run_in(
        &folder(),
        &["diff", "--offline", "defs/greeting.cue", "nowhere.cue"],
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn every_line_that_made_a_field_is_found() {
    let why = |arguments: &[&str]| {
        let mut all = vec!["why", "-f", "app.yaml", "-d", "defs"];
        all.extend(arguments);
        shown(&all)
    };
    insta::assert_snapshot!("why_a_parameter", why(&["data.text"]));
    insta::assert_snapshot!("why_a_default", why(&["spec.replicas"]));
    insta::assert_snapshot!("why_a_label", why(&["metadata.labels.team"]));
    let by_caravel = why(&["metadata.name", "--component", "web"]);
    assert!(
        by_caravel.contains("No template makes this field"),
        "{by_caravel}"
    );

    let answer = json(&why(&["data.text", "-o", "json"]));
    let origin = &answer["origins"][0];
    assert_eq!(
        (&origin["at"]["file"], &origin["at"]["line"]),
        (&"defs/greeting.cue".into(), &17.into())
    );
    assert_eq!(origin["conditions"][0]["text"], "if parameter.loud");
    assert_eq!(origin["parameters"][0]["givenAt"]["line"], 9);
}

#[test]
fn a_field_of_a_definition_alone_is_explained() {
    let told = shown(&[
        "why",
        "defs/greeting.cue",
        "--set",
        "who=you",
        "data.language",
    ]);
    assert!(
        told.contains("defs/greeting.cue:") && told.contains("the default"),
        "{told}"
    );
    let wrong = refused(&["why", "-f", "app.yaml", "-d", "defs", "spec.replics"]);
    assert!(wrong.contains("did you mean `replicas`?"), "{wrong}");
    let several = refused(&["why", "-f", "app.yaml", "-d", "defs", "kind"]);
    assert!(several.contains("--object KIND/NAME"), "{several}");
}

#[test]
fn whatever_init_writes_vets_clean() {
    let place = copy();
    let made = place.path().join("made");
    fs::create_dir(&made).expect("a folder");
    let init = |name: &str, kind: &str, more: &[&str]| {
        let file = format!("made/{name}.cue");
        let mut all = vec!["init", name, "--kind", kind, "-o", &file];
        all.extend(more);
        shown_in(place.path(), &all);
    };
    for kind in ["component", "trait", "policy", "workflow-step"] {
        init(&format!("new-{kind}"), kind, &[]);
        init(
            &format!("of-objects-{kind}"),
            kind,
            &["--from", "object.yaml"],
        );
    }
    init("database", "component", &["--from-crd", "crd.yaml"]);
    init("bucket", "component", &["--from-terraform", "module"]);
    init("my-worker", "component", &["--template", "worker"]);
    let output = run_in(place.path(), &["vet", "--strict", "made"]);
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert!(text(&output.stdout).contains("11 definitions checked, 0 bad"));
    shown_in(place.path(), &["format", "--check", "made"]);

    let read = |name: &str| fs::read_to_string(made.join(name)).expect("a file");
    insta::assert_snapshot!("init_from_objects", read("of-objects-component.cue"));
    insta::assert_snapshot!("init_from_crd", read("database.cue"));
    insta::assert_snapshot!("init_from_terraform", read("bucket.cue"));
    // Nothing is overwritten.
    let again = [
        "init",
        "bucket",
        "--kind",
        "component",
        "-o",
        "made/bucket.cue",
    ];
    assert_eq!(run_in(place.path(), &again).status.code(), Some(1));
}

#[test]
fn pages_are_written() {
    insta::assert_snapshot!("page_in_markdown", shown(&["doc", "defs/greeting.cue"]));
    let html = shown(&["doc", "defs/greeting.cue", "--format", "html"]);
    assert!(html.contains("<h3 id=\"others\">others</h3>"), "{html}");

    let out = tempfile::tempdir().expect("a folder");
    let path = out.path().to_str().expect("UTF-8");
    shown(&["doc", "--builtin", "--out", path]);
    let index = fs::read_to_string(out.path().join("README.md")).expect("an index");
    let missing: Vec<String> = caravel_definitions::all()
        .filter(|one| !index.contains(&format!("[{}](", one.name)))
        .map(|one| one.name)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let page = fs::read_to_string(out.path().join("component/webservice.md")).expect("a page");
    assert!(
        page.contains("## Example") && page.contains("| `image` | `string` | yes |"),
        "{page}"
    );
}

#[test]
fn types_are_written_for_programs() {
    for language in ["json-schema", "typescript", "go"] {
        let types = shown(&["gen-api", "defs/greeting.cue", "--lang", language]);
        insta::assert_snapshot!(format!("types_in_{language}"), types);
    }
}

/// Definitions with limits that the OpenAPI schema of KubeVela cannot have are good definitions, and their parameters
/// are shown and written as types like all others.
#[test]
fn limits_of_parameters_are_understood() {
    shown(&["vet", "types/limits.cue", "--strict"]);
    let mut all = shown(&["show", "types/limits.cue"]);
    for language in ["json-schema", "typescript", "go"] {
        all += &shown(&["gen-api", "types/limits.cue", "--lang", language]);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_parameter_that_contains_itself_is_told_and_ends() {
    let output = run_in(&folder(), &["vet", "types/tree.cue"]);
    assert!(output.status.success());
    let said = text(&output.stderr);
    assert!(
        said.contains("the parameter contains itself through #Group")
            && said.contains("tree.cue:7:2"),
        "{said}"
    );
    let table = shown(&["show", "types/tree.cue"]);
    assert!(table.contains("each the same as root again"), "{table}");
    let types = shown(&["gen-api", "types/tree.cue", "--lang", "typescript"]);
    assert!(types.contains("children?: TreeRoot[];"), "{types}");
    let schema = json(&shown(&["gen-api", "types/tree.cue"]));
    let again = &schema["properties"]["root"]["properties"]["children"]["items"]["$ref"];
    assert_eq!(again, "#/properties/root");
}

/// Disjunctions whose evaluation takes for ever.
#[test]
fn a_template_that_does_not_end_is_stopped() {
    let branches: Vec<String> = (0..24)
        .map(|i| format!("{{a{i}: \"1\"}} | {{b{i}: \"1\"}}"))
        .collect();
    let branches = branches.join("\n");
    let place = copy();
    let bomb = format!(
        "bomb: {{type: \"component\", attributes: workload: definition: {{apiVersion: \"v1\", kind: \"ConfigMap\"}}}}\n\
         template: {{\noutput: {{apiVersion: \"v1\", kind: \"ConfigMap\", data: {{\n{branches}\n}}}}\nparameter: {{}}\n}}\n"
    );
    fs::write(place.path().join("bomb.cue"), bomb).expect("a file");
    let output = run_in(place.path(), &["vet", "bomb.cue", "defs"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("bomb.cue: the template was stopped after 2000 ms"),
        "{said}"
    );
    // The others are checked all the same.
    let told = text(&output.stdout);
    assert!(told.contains("3 definitions checked, 1 bad"), "{told}");
}

#[test]
fn parameters_are_shown() {
    insta::assert_snapshot!(shown(&["show", "defs/greeting.cue"]));
    let data = json(&shown(&["show", "scaler", "--builtin", "-o", "json"]));
    assert_eq!(data["parameters"][0]["default"], 1);
}

/// Built-in definitions and samples are in the program: they are listed, shown and printed without hub and source.
#[test]
fn what_comes_with_the_program_is_found_by_its_name() {
    let builtin = shown(&["list", "--builtin", "-t", "policy"]);
    assert!(
        builtin.contains("topology") && !builtin.contains("webservice"),
        "{builtin}"
    );
    let samples = json(&shown(&["list", "--sample", "-o", "json"]));
    let samples = samples.as_array().expect("a list");
    assert!(samples.iter().all(|one| {
        one["description"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    }));
    for one in samples {
        let name = one["name"].as_str().expect("a name");
        let parameters = shown(&["show", name, "--sample"]);
        assert!(parameters.contains("PARAMETER"), "{parameters}");
        let text = shown(&["get", name, "--sample"]);
        assert!(text.contains("\ntemplate: {"), "{text}");
    }
    // One name, two definitions.
    let hpa = |option: &str| shown(&["get", "hpa", option]);
    assert_ne!(hpa("--sample"), hpa("--builtin"));
    let object = shown(&["apply", "--sample", "route", "--dry-run"]);
    assert!(object.contains("kind: TraitDefinition"), "{object}");
    for command in ["show", "apply"] {
        let said = refused(&[command, "--sample", "webservice"]);
        assert!(said.contains("there is no sample webservice"), "{said}");
        assert!(said.contains("def list --sample"), "{said}");
    }
}

#[test]
fn the_object_of_a_definition_is_shown_without_a_hub() {
    let objects = shown(&["apply", "--dry-run", "defs"]);
    assert_eq!(objects.matches("kind: ComponentDefinition").count(), 1);
    assert_eq!(objects.matches("kind: TraitDefinition").count(), 1);
    // Nothing is shown while one of them is wrong.
    let wrong = refused(&["apply", "--dry-run", "defs", "broken/names.cue"]);
    assert!(!wrong.contains("kind: ComponentDefinition"), "{wrong}");
}

/// Tools that register definitions read what came of it.
#[test]
fn objects_and_errors_of_an_application_are_data() {
    let objects = json(&shown(&["apply", "--dry-run", "-o", "json", "defs"]));
    let kinds: Vec<_> = objects
        .as_array()
        .into_iter()
        .flatten()
        .map(|object| object["kind"].as_str())
        .collect();
    assert_eq!(
        kinds,
        [Some("TraitDefinition"), Some("ComponentDefinition")]
    );
    let wrong = run_in(
        &folder(),
        &["apply", "--dry-run", "-o", "json", "broken/names.cue"],
    );
    assert_eq!(text(&wrong.stderr), "");
    assert_eq!(json(&text(&wrong.stdout))["errors"][0]["line"], 23);
}

#[test]
fn a_closed_pipe_ends_a_command_silently() {
    for arguments in [
        &["version"][..],
        &["dry-run", "-f", "app.yaml", "-d", "defs"],
        &["def", "show", "webservice", "--builtin"],
        &["def", "doc", "webservice", "--builtin"],
        &[
            "def",
            "render",
            "defs/greeting.cue",
            "--set",
            "who=you",
            "-o",
            "json",
        ],
    ] {
        let mut child = caravel(arguments, &folder())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let mut said = String::new();
        let mut stderr = child.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut said).expect("UTF-8");
        let status = child.wait().expect("it ends");
        assert_eq!(
            (said.as_str(), status.code()),
            ("", Some(0)),
            "{arguments:?}"
        );
    }
}
