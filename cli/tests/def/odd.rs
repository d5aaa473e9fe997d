//! What people give that is not what a command expects.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use super::{command, copy, folder, refused, run_in, shown, shown_in, text};

/// A run with something on standard input.
fn piped(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(arguments, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("written");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// Standard error of a run that does not succeed.
fn said(output: &Output) -> String {
    assert!(!output.status.success(), "{}", text(&output.stdout));
    text(&output.stderr)
}

const IMPORTING: &str = "import \"acme.io/weather\"\n\nc: {\n\ttype: \"component\"\n\tattributes: workload: definition: {\n\t\tapiVersion: \"v1\"\n\
    \t\tkind: \"ConfigMap\"\n\t}\n}\ntemplate: {\n\toutput: {\n\t\tapiVersion: \"v1\"\n\t\tkind: \"ConfigMap\"\n\t\tdata: parameter\n\t}\n\
    \tparameter: weather.#City\n}\n";

const PACKAGE: &str = "apiVersion: cue.oam.dev/v1alpha1\nkind: Package\nmetadata: {name: weather}\nspec:\n  path: acme.io/weather\n  templates:\n\
    \x20   weather.cue: |\n      package weather\n      #City: {name: string}\n";

#[test]
fn a_package_that_is_given_is_imported_without_a_hub() {
    let place = tempfile::tempdir().expect("a folder");
    fs::write(place.path().join("c.cue"), IMPORTING).expect("a file");
    fs::write(place.path().join("weather.yaml"), PACKAGE).expect("a file");
    let alone = run_in(place.path(), &["apply", "--dry-run", "c.cue"]);
    assert!(said(&alone).contains("--packages"));
    let with = ["apply", "--dry-run", "c.cue", "--packages", "weather.yaml"];
    assert!(shown_in(place.path(), &with).contains("kind: ComponentDefinition"));
    // It does not matter which of the files comes first.
    for command in ["vet", "apply"] {
        let option = if command == "vet" {
            "--offline"
        } else {
            "--dry-run"
        };
        shown_in(place.path(), &[command, option, "c.cue", "weather.yaml"]);
    }
}

#[test]
fn a_definition_and_parameters_come_from_standard_input() {
    let place = folder();
    let definition = fs::read_to_string(place.join("defs/greeting.cue")).expect("a file");
    let of_definition = piped(&place, &["render", "-", "--set", "who=you"], &definition);
    assert!(text(&of_definition.stdout).contains("Hello you"));
    let of_parameters = piped(
        &place,
        &["render", "defs/greeting.cue", "-p", "-"],
        "who: you\n",
    );
    assert!(text(&of_parameters.stdout).contains("Hello you"));
    let of_both = piped(&place, &["render", "-", "-p", "-"], &definition);
    assert!(said(&of_both).contains("standard input cannot be read twice"));
}

#[test]
fn what_cannot_be_read_in_a_folder_is_told() {
    let place = copy();
    let broken = place.path().join("broken");
    fs::remove_dir_all(&broken).expect("gone");
    fs::create_dir(&broken).expect("a folder");
    fs::write(broken.join("empty.cue"), "").expect("a file");
    fs::write(broken.join("bytes.cue"), b"\xff\xfe").expect("a file");
    fs::write(broken.join("bytes.yaml"), b"kind: TraitDefinition # \xff\n").expect("a file");
    // No definition, and nobody's business.
    fs::write(broken.join("other.yaml"), b"kind: ConfigMap # \xff\n").expect("a file");
    let vet = run_in(place.path(), &["vet", "--offline", "broken"]);
    let told = said(&vet);
    for file in ["empty.cue", "bytes.cue", "bytes.yaml"] {
        assert_eq!(told.matches(&format!("broken/{file}")).count(), 1, "{told}");
    }
    assert!(text(&vet.stdout).contains("3 definitions checked, 3 bad"));
    for command in ["format", "upgrade"] {
        let told = said(&run_in(place.path(), &[command, "broken", "defs"]));
        assert!(told.contains("broken/bytes.cue"), "{command}: {told}");
    }
}

#[test]
fn a_workload_that_is_none_and_a_name_that_is_none_are_told() {
    let place = folder();
    let workload = piped(
        &place,
        &["render", "defs/copies.cue", "--workload", "-"],
        "kind: Deployment\n",
    );
    assert!(said(&workload).contains("it has no apiVersion"));
    let nameless = run_in(&place, &["render", "defs/greeting.cue", "--set", "=you"]);
    assert!(said(&nameless).contains("expected KEY=VALUE"));
}

#[test]
fn what_is_no_definition_is_told_and_not_passed_over() {
    let place = copy();
    fs::create_dir(place.path().join("empty")).expect("a folder");
    for (arguments, wanted) in [
        (
            &["dev", "nowhere", "--once", "--dry-run"][..],
            "nowhere cannot be read",
        ),
        (
            &["dev", "empty", "--once", "--dry-run"],
            "there is no definition in empty",
        ),
        (
            &["vet", "--offline", "empty"],
            "there is no definition in empty",
        ),
        (&["format", "app.yaml"], "app.yaml: only CUE is formatted"),
        (&["test", "empty"], "there is no definition in empty"),
    ] {
        let output = run_in(place.path(), arguments);
        let told = said(&output);
        assert!(told.contains(wanted), "{arguments:?}: {told}");
    }
    // Beside definitions a folder may hold anything.
    shown_in(place.path(), &["format", "--check", "defs"]);
}

#[test]
fn a_field_under_a_condition_of_the_whole_template_is_explained_by_its_line() {
    let why = ["why", "defs/copies.cue", "spec.minAvailable", "-o", "json"];
    let answer = super::json(&shown_in(&folder(), &why));
    let origin = &answer["origins"][0];
    assert_eq!(origin["at"]["line"], 17);
    assert_eq!(origin["conditions"][0]["text"], "if parameter.protect");
}

/// What is missing and nothing reads is a warning, as in admission; a step would go on with a value that nobody gave.
#[test]
fn a_missing_parameter_is_told_where_it_renders_all_the_same() {
    let place = tempfile::tempdir().expect("a folder");
    let definition = |name: &str, kind: &str, template: &str| {
        let whole = format!(
            "{name}: {{\n\ttype: \"{kind}\"\n\tattributes: {{}}\n}}\ntemplate: {{\n{template}\n}}\n"
        );
        let whole = match kind {
            "workflow-step" => format!("import \"vela/op\"\n\n{whole}"),
            _ => whole,
        };
        fs::write(place.path().join(format!("{name}.cue")), whole).expect("a file");
    };
    definition(
        "waits",
        "workflow-step",
        "\twait: op.#ConditionalWait & {continue: parameter.ok}\n\tparameter: ok: bool",
    );
    definition(
        "spare",
        "component",
        "\toutput: {\n\t\tapiVersion: \"v1\"\n\t\tkind: \"ConfigMap\"\n\t}\n\tparameter: unread: string",
    );
    let step = run_in(place.path(), &["render", "waits.cue"]);
    assert!(said(&step).contains("give it with `--set ok=…`"));
    let component = run_in(place.path(), &["render", "spare.cue"]);
    assert!(component.status.success());
    assert!(text(&component.stdout).contains("kind: ConfigMap"));
    assert!(text(&component.stderr).contains("--set unread=…"));
}

/// A template in quotes has no lines of its own in the file, and its mistakes are none of another document.
#[test]
fn a_mistake_in_a_quoted_template_is_shown_at_the_template() {
    let told = said(&run_in(&folder(), &["vet", "manifests/quoted.yaml"]));
    assert!(told.contains("manifests/quoted.yaml:11:17"), "{told}");
    assert!(!told.contains("innocent"), "{told}");
}

/// What `kubectl get componentdefinitions one two -o yaml` writes, behind another document.
const LIST: &str = "kind: Other\napiVersion: v1\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: core.oam.dev/v1beta1\n  kind: ComponentDefinition\n  \
    metadata: {name: one}\n  spec:\n    workload: {definition: {apiVersion: v1, kind: ConfigMap}}\n    schematic:\n      cue:\n        template: |\n          \
    output: {apiVersion: \"v1\", kind: \"ConfigMap\", data: n: strings.Join([\"a\"] + [\"b\"], \"\")}\n          parameter: {}\n\
    - apiVersion: core.oam.dev/v1beta1\n  kind: TraitDefinition\n  metadata: {name: two}\n  spec:\n    replicas: 3\n    schematic: {cue: {template: \"patch: {}\"}}\n";

#[test]
fn what_a_list_holds_is_read() {
    let place = tempfile::tempdir().expect("a folder");
    let list = LIST.replace(
        "          output:",
        "          import \"strings\"\n          output:",
    );
    fs::write(place.path().join("list.yaml"), &list).expect("a file");
    let vetted = run_in(place.path(), &["vet", "--offline", "list.yaml"]);
    let told = text(&vetted.stderr) + &text(&vetted.stdout);
    assert!(told.contains("two"), "{told}");
    let line = list
        .lines()
        .position(|line| line.contains("replicas"))
        .expect("a line")
        + 1;
    assert!(told.contains(&format!("list.yaml:{line}:")), "{told}");
    let checked = run_in(place.path(), &["upgrade", "--check", "list.yaml"]);
    assert_eq!(checked.status.code(), Some(1), "{}", text(&checked.stderr));
    shown_in(place.path(), &["upgrade", "--write", "list.yaml"]);
    let written = fs::read_to_string(place.path().join("list.yaml")).expect("a file");
    assert!(written.contains("list.Concat"), "{written}");
    assert!(written.contains("replicas: 3"), "{written}");
    // One definition in it is the one that is meant.
    let cut = list
        .find("- apiVersion: core.oam.dev/v1beta1\n  kind: Trait")
        .expect("the second");
    fs::write(place.path().join("one.yaml"), &list[..cut]).expect("a file");
    let rendered = shown_in(place.path(), &["render", "one.yaml"]);
    assert!(rendered.contains("\"n\": ab"), "{rendered}");
}

#[test]
fn definitions_at_an_address_are_read() {
    use std::io::{Read as _, Write as _};
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("an address");
    let definition = fs::read_to_string(folder().join("defs/greeting.cue")).expect("a file");
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.expect("a connection");
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).expect("a request");
            let is_there = asked[..length].starts_with(b"GET /there.cue");
            let (status, body) = if is_there {
                ("200 OK", definition.as_str())
            } else {
                ("404 Not Found", "")
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).expect("an answer");
        }
    });
    let url = |path: &str| format!("http://{address}/{path}");
    let there = url("there.cue?ref=main");
    let rendered = shown(&["render", &there, "--set", "who=you"]);
    assert!(rendered.contains("Hello you"), "{rendered}");
    let told = refused(&["vet", "--offline", &url("gone.cue")]);
    assert!(told.contains("the server answers 404"), "{told}");
    let told = refused(&["vet", "--offline", "ftp://host/x.cue"]);
    assert!(told.contains("cannot be read"), "{told}");
}

#[test]
fn a_definition_of_another_namespace_is_tried_too() {
    let place = tempfile::tempdir().expect("a folder");
    let manifest = "apiVersion: core.oam.dev/v1beta1\nkind: ComponentDefinition\nmetadata: {name: nsc, namespace: team}\nspec:\n  \
        workload: {definition: {apiVersion: v1, kind: ConfigMap}}\n  schematic: {cue: {template: 'output: {apiVersion: \"v1\", kind: \
        \"ConfigMap\", data: a: \"b\"}'}}\n";
    fs::write(place.path().join("nsc.yaml"), manifest).expect("a file");
    assert!(shown_in(place.path(), &["render", "nsc.yaml"]).contains("a: b"));
    let why = shown_in(place.path(), &["why", "nsc.yaml", "data.a"]);
    assert!(why.contains("nsc.yaml:6"), "{why}");
    shown_in(place.path(), &["vet", "--offline", "--strict", "nsc.yaml"]);
}
