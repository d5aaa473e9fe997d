//! `lookup` of a chart's templates reads the cluster that the chart goes to.

use std::path::Path;

use caravel_core::yaml;
use caravel_tests::wait::eventually;
use serde_json::Value;

use super::{component, dry_run, packed, program, write_files};
use crate::identity::{ANN, Office, RULES};
use crate::place::Place;

/// A chart that makes a password once, as many do, and one that wants a Secret of another namespace.
const SAFE: [(&str, &str); 3] = [
    ("Chart.yaml", "apiVersion: v2\nname: safe\nversion: 1.0.0\n"),
    ("values.yaml", "greeting: hello\npeek: ''\n"),
    (
        "templates/secret.yaml",
        "{{- $old := lookup \"v1\" \"Secret\" .Release.Namespace \"login\" }}\n\
         apiVersion: v1\nkind: Secret\nmetadata: {name: login}\ndata:\n\
         \x20 password: {{ if $old }}{{ $old.data.password }}{{ else }}{{ randAlphaNum 16 | b64enc }}{{ end }}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: said}\ndata:\n  greeting: {{ .Values.greeting }}\n\
         \x20 none: '{{ lookup \"nowhere.example.com/v1\" \"Nothing\" \"\" \"\" }}'\n\
         {{- with .Values.peek }}\n\
         \x20 found: {{ (lookup \"v1\" \"Secret\" . \"safe\").data.key }}\n{{- end }}\n\
         {{- if $old }}{{ if eq .Values.greeting \"fail\" }}{{ fail (b64dec $old.data.password) }}{{ end }}{{ end }}\n",
    ),
];

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_files(&folder.path().join("safe"), &SAFE);
    folder
}

fn password(place: &Place) -> String {
    let secret = place.object("secret", "login");
    let text = secret["data"]["password"].as_str();
    text.expect("a password").to_owned()
}

#[test]
fn a_password_that_a_chart_made_stays() {
    let (repository, _folder) = packed("safe", &SAFE);
    let place = Place::with("safe", &[], &[("CARAVEL_CHARTS", &program())]);
    let chart = format!("{{source: 'http://{}/safe-1.0.0.tgz'}}", repository.address);
    let says =
        |greeting: &str| component(&chart, &format!("      values: {{greeting: {greeting}}}\n"));
    place.apply(&says("hello")).ok();
    place.wait_until_running("shop");
    let made = password(&place);
    place.apply(&says("again")).ok();
    eventually("the chart is rendered anew", || {
        let said = place.object("cm", "said");
        (said["data"]["greeting"] == "again" && said["data"]["none"] == "map[]").then_some(())
    });
    place.wait_until_running("shop");
    assert_eq!(password(&place), made);

    // What stands in a Secret stands in no error.
    place.apply(&says("fail")).ok();
    let told = eventually("the chart fails", || {
        let status = place.object("app", "shop")["status"].to_string();
        status.contains("fail").then_some(status)
    });
    assert!(told.contains("***"), "{told}");
}

#[test]
fn a_chart_looks_up_what_its_author_may_read() {
    let (repository, _folder) = packed("safe", &SAFE);
    let options = ["--authenticate-application"];
    let place = Place::with("dev", &options, &[("CARAVEL_CHARTS", &program())]);
    place.apply(RULES).ok();
    place.kubectl.run("create namespace vault").ok();
    let secret = "-n vault create secret generic safe --from-literal=key=value";
    place.kubectl.run(secret).ok();
    let chart = format!("{{source: 'http://{}/safe-1.0.0.tgz'}}", repository.address);
    let says = |greeting: &str| format!("      values: {{peek: vault, greeting: {greeting}}}\n");
    let office = Office(place);
    office
        .apply_as(ANN, &component(&chart, &says("hello")))
        .ok();
    office.says("shop", "cannot get resource");
    assert_eq!(office.0.get("cm", "said"), None);
    // An administrator may.
    office.0.apply(&component(&chart, &says("again"))).ok();
    office.0.wait_until_running("shop");
    assert_eq!(office.0.object("cm", "said")["data"]["found"], "dmFsdWU=");
}

#[test]
fn lookups_that_never_end_are_an_error_that_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let [chart, ..] = SAFE;
    let template = "a: {{ lookup \"v1\" \"Secret\" \"prod\" (randAlphaNum 9) }}\n";
    write_files(
        &folder.path().join("safe"),
        &[chart, ("templates/a.yaml", template)],
    );
    std::fs::write(folder.path().join("app.yaml"), application(folder.path())).expect("a file");
    let told = super::one_line(&dry_run(folder.path(), &["-f", "app.yaml"]).fails());
    assert!(told.contains("must not be random"), "{told}");
}

/// The Secret of a stream of documents.
fn shown(text: &str) -> Value {
    let objects = yaml::parse(text).expect("documents");
    let mut secrets = objects.into_iter();
    let secret = secrets.find(|object| object["kind"] == "Secret");
    secret.expect("a Secret")["data"]["password"].clone()
}

fn application(folder: &Path) -> String {
    let source = folder.join("safe").display().to_string();
    component(&format!("{{source: {source}}}"), "")
}

#[test]
fn a_dry_run_looks_up_in_files_or_in_a_hub_and_says_where_it_finds_nothing() {
    let folder = folder();
    let files = folder.path();
    let application = application(files);
    std::fs::write(files.join("app.yaml"), &application).expect("a file");
    let alone = dry_run(files, &["-f", "app.yaml", "-n", "safe"]);
    let told = super::one_line(&alone.stderr);
    assert!(
        told.contains("Secret \"login\" in namespace safe"),
        "{told}"
    );
    assert!(told.contains("--hub"), "{told}");
    alone.ok();

    let given =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {password: given}\n";
    std::fs::write(files.join("login.yaml"), given).expect("a file");
    let both = ["-f", "app.yaml", "-f", "login.yaml", "-n", "safe"];
    assert_eq!(shown(&dry_run(files, &both).ok()), "Z2l2ZW4=");

    let nobody = "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n\
                  users: [{name: a, user: {}}]\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}]\n";
    std::fs::write(files.join("nobody"), nobody).expect("a file");
    let silent = ["-f", "app.yaml", "--hub", "--kubeconfig", "nobody"];
    let told = super::one_line(&dry_run(files, &silent).fails());
    assert!(
        told.contains("the hub http://127.0.0.1:9 does not answer"),
        "{told}"
    );

    let place = Place::shared("lookups");
    place
        .run("create secret generic login --from-literal=password=served")
        .ok();
    let kubeconfig = place.daemon.kubeconfig().display().to_string();
    let with_hub = ["-f", "app.yaml", "--hub", "-n", "lookups", "--kubeconfig"];
    let with_hub = [&with_hub[..], &[kubeconfig.as_str()]].concat();
    assert_eq!(shown(&dry_run(files, &with_hub).ok()), "c2VydmVk");
}
