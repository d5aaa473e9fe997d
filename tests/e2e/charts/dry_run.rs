//! `caravel dry-run` shows of a chart what its delivery would be.

use std::fs;

use caravel_core::yaml;
use serde_json::Value;

use super::{component, dry_run, one_line, write_chart};

const VALUES: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata:\n  values.yaml: |\n    greeting: from afar\n    \
                      replicas: 9\n";

/// A folder with a chart and an Application of it.
fn prepared(rest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_chart(folder.path());
    let source = folder.path().join("shop").display().to_string();
    let application = component(&format!("{{source: {source}}}"), rest);
    fs::write(folder.path().join("app.yaml"), application).expect("a file");
    fs::write(folder.path().join("values.yaml"), VALUES).expect("a file");
    folder
}

#[test]
fn hooks_are_shown_in_their_order_with_what_becomes_of_them() {
    let folder = prepared("");
    let shown = dry_run(folder.path(), &["-f", "app.yaml", "-n", "prod"]);
    let told = one_line(&shown.stderr);
    let expected = "shop: chart shop 1.2.3 has hooks: Job sweep (pre-delete; weight -2): left out, because a delivery has no such \
                    moment";
    // Names of Jobs end with what they are for.
    let told = without_endings(&told);
    assert!(told.contains(expected), "{told}");
    let delivered =
        "Job migrate (pre-install, pre-upgrade; weight 0): delivered with the other objects";
    assert!(told.contains(delivered), "{told}");
    let test = "Pod probe (test; weight 0): left out, because tests of charts are not run";
    assert!(told.contains(test), "{told}");
    let objects = yaml::parse(&shown.ok()).expect("documents");
    let hooks: Vec<&Value> = objects
        .iter()
        .filter(|object| object["metadata"]["annotations"]["helm.sh/hook"] != Value::Null)
        .map(|object| &object["kind"])
        .collect();
    assert_eq!(hooks, ["Job"]);

    let folder = prepared("      options: {skipHooks: true}\n");
    let shown = dry_run(
        folder.path(),
        &["-f", "app.yaml", "-n", "prod", "-o", "json"],
    );
    let told: Value = serde_json::from_str(&shown.stderr).expect("JSON");
    let hooks = told["charts"][0]["hooks"].as_array().expect("hooks");
    let mut why = hooks.iter().map(|hook| &hook["leftOut"]);
    assert!(why.any(|why| why == "options.skipHooks is set"), "{told}");
    assert!(!shown.ok().contains("helm.sh/hook\""));
}

/// Takes the endings off the names of Jobs and Pods.
fn without_endings(text: &str) -> String {
    let is_ending = |word: &str| word.len() == 8 && word.chars().all(|one| one.is_ascii_hexdigit());
    let words = text.split(' ').map(|word| match word.rsplit_once('-') {
        Some((name, ending)) if is_ending(ending) => name,
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn values_come_from_objects_that_are_given_and_what_is_missing_is_told() {
    let more = "      valuesFrom:\n      - {kind: ConfigMap, name: more}\n      - {kind: Secret, name: secrets, optional: true}\n\
                \x20     values: {replicas: 2}\n";
    let folder = prepared(more);
    let data = |text: String| {
        let objects = yaml::parse(&text).expect("documents");
        let find = |name: &str| {
            let mut all = objects.iter();
            let found = all.find(|object| object["metadata"]["name"] == name);
            found.cloned().unwrap_or_default()
        };
        let greeting = find("shop-said")["data"]["greeting"].clone();
        (greeting, find("shop-web")["spec"]["replicas"].clone())
    };
    let given = dry_run(
        folder.path(),
        &["-f", "app.yaml", "-f", "values.yaml", "-n", "prod"],
    );
    let told = one_line(&given.stderr);
    assert!(
        told.contains("Secret \"secrets\" in namespace prod"),
        "{told}"
    );
    assert!(told.contains("which are optional"), "{told}");
    assert!(!told.contains("\"more\""), "{told}");
    assert_eq!(data(given.ok()), ("from afar".into(), 2.into()));

    let alone = dry_run(folder.path(), &["-f", "app.yaml", "-n", "prod"]);
    let told = one_line(&alone.stderr);
    let expected = "valuesFrom[0]: there is no ConfigMap \"more\" in namespace prod with a key \"values.yaml\"";
    assert!(told.contains(expected), "{told}");
    assert!(
        told.contains("a delivery fails until they are there"),
        "{told}"
    );
    assert_eq!(data(alone.ok()), ("hello".into(), 2.into()));
}

#[test]
fn several_charts_are_shown_one_after_the_other() {
    let folder = prepared("");
    let file = folder.path().join("app.yaml");
    let text = fs::read_to_string(&file).expect("the Application");
    let (head, first) = text.split_once("  components:\n").expect("components");
    let second = first.replace("name: shop", "name: inn");
    fs::write(&file, format!("{head}  components:\n{first}{second}")).expect("a file");
    let shown = dry_run(folder.path(), &["-f", "app.yaml"]).ok();
    assert!(
        shown.contains("name: shop-web") && shown.contains("name: inn-web"),
        "{shown}"
    );
}
