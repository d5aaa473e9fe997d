//! Helm charts are components like all others: fetched, rendered, delivered, repaired, collected.

mod dry_run;
mod lookup;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::extract::Path as Name;
use axum::http::StatusCode;
use axum::routing::get;
use caravel_core::yaml;
use caravel_tests::conformance::{folder, workspace_root};
use caravel_tests::daemon;
use caravel_tests::kubectl::finish;
use caravel_tests::wait::eventually;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::place::Place;

/// `caravel-charts` as built by `make tools`, or as `CARAVEL_CHARTS_BIN` names it.
fn program() -> String {
    let program = std::env::var_os("CARAVEL_CHARTS_BIN").map_or_else(
        || workspace_root().join(".tools/bin/caravel-charts"),
        PathBuf::from,
    );
    assert!(
        program.is_file(),
        "{} is not built: make tools",
        program.display()
    );
    program.display().to_string()
}

/// A chart of each sort of thing that a chart has.
const CHART: [(&str, &str); 7] = [
    (
        "Chart.yaml",
        "apiVersion: v2\nname: shop\nversion: 1.2.3\nappVersion: \"9\"\nkubeVersion: '>=1.20.0-0'\n",
    ),
    (
        "values.yaml",
        "replicas: 1\nimage: shop:1\ngreeting: hello\n",
    ),
    (
        "crds/visit.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: visits.shop.example.com}\n\
         spec:\n  group: shop.example.com\n  names: {kind: Visit, plural: visits}\n  scope: Namespaced\n  versions:\n\
         \x20 - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, \
         x-kubernetes-preserve-unknown-fields: true}}}\n---\n\
         apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: offers.shop.example.com}\n\
         spec:\n  group: shop.example.com\n  names: {kind: Offer, plural: offers}\n  scope: Namespaced\n  versions:\n\
         \x20 - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, \
         x-kubernetes-preserve-unknown-fields: true}}}\n",
    ),
    (
        "templates/app.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: '{{ .Release.Name }}-web'}\nspec:\n\
         \x20 replicas: {{ .Values.replicas }}\n  selector: {matchLabels: {a: b}}\n  template:\n\
         \x20   metadata: {labels: {a: b}}\n    spec: {containers: [{name: web, image: '{{ .Values.image }}'}]}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-said'}\ndata:\n\
         \x20 greeting: '{{ .Values.greeting }}'\n  apps: '{{ .Capabilities.APIVersions.Has \"apps/v1\" }}'\n\
         \x20 deploy: '{{ .Capabilities.APIVersions.Has \"apps/v1/Deployment\" }}'\n\
         \x20 offer: '{{ .Capabilities.APIVersions.Has \"shop.example.com/v1/Offer\" }}'\n\
         \x20 old: '{{ .Capabilities.APIVersions.Has \"policy/v1beta1\" }}'\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-kept', annotations: {helm.sh/resource-policy: keep}}\n",
    ),
    (
        "templates/visit.yaml",
        "apiVersion: shop.example.com/v1\nkind: Visit\nmetadata: {name: '{{ .Release.Name }}-first'}\n",
    ),
    (
        "templates/migrate.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations: {helm.sh/hook: 'pre-install,pre-upgrade'}\n\
         spec: {template: {spec: {restartPolicy: Never, containers: [{name: m, image: 'shop:1'}]}}}\n",
    ),
    (
        "templates/tests/others.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: sweep\n  annotations: {helm.sh/hook: pre-delete, helm.sh/hook-weight: '-2'}\n\
         spec: {template: {spec: {restartPolicy: Never, containers: [{name: m, image: 'shop:1'}]}}}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {name: probe, annotations: {helm.sh/hook: test}}\n\
         spec: {restartPolicy: Never, containers: [{name: m, image: 'shop:1'}]}\n",
    ),
];

fn write_chart(folder: &Path) {
    write_files(&folder.join("shop"), &CHART);
}

fn write_files(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    }
}

/// A repository of charts: the files of a folder, on a port of its own until the runtime goes.
struct Repository {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Repository {
    fn start(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let folder = folder.to_owned();
        let files = get(move |Name(name): Name<String>| async move {
            fs::read(folder.join(name)).map_err(|_| StatusCode::NOT_FOUND)
        });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/{name}", files);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            _runtime: runtime,
        }
    }
}

/// The chart as an archive, in a repository with an index.
fn repository() -> (Repository, TempDir) {
    packed("shop", &CHART)
}

/// A chart as the archive `NAME-VERSION.tgz`, in a repository with an index.
fn packed(name: &str, files: &[(&str, &str)]) -> (Repository, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    write_files(&folder.path().join(name), files);
    let chart = yaml::parse_one(files[0].1).expect("a Chart.yaml");
    let version = chart["version"].as_str().expect("a version");
    let archive = format!("{name}-{version}.tgz");
    let tar = Command::new("tar")
        .args(["-czf", &archive, name])
        .current_dir(folder.path())
        .status();
    assert!(tar.expect("tar can be run").success());
    let index = format!(
        "apiVersion: v1\nentries:\n  {name}:\n  - {{version: {version}, urls: [{archive}]}}\n"
    );
    fs::write(folder.path().join("index.yaml"), index).expect("a file");
    (Repository::start(folder.path()), folder)
}

fn component(chart: &str, rest: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: shop}}\nspec:\n  components:\n\
         \x20 - name: shop\n    type: helmchart\n    properties:\n      chart: {chart}\n{rest}"
    )
}

fn dry_run(folder: &Path, arguments: &[&str]) -> caravel_tests::kubectl::Output {
    let mut command = Command::new(daemon::program());
    command
        .arg("dry-run")
        .args(arguments)
        .env("CARAVEL_CHARTS", program())
        .current_dir(folder);
    finish(&mut command)
}

#[test]
fn a_chart_of_a_folder_is_shown_without_any_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    write_chart(folder.path());
    let source = folder.path().join("shop").display().to_string();
    let application = component(
        &format!("{{source: {source}}}"),
        "      values: {replicas: 4}\n",
    );
    fs::write(folder.path().join("app.yaml"), application).expect("a file");
    let arguments = ["-f", "app.yaml", "--cluster-version", "v1.32.0"];
    let shown = dry_run(folder.path(), &arguments).ok();
    let objects = yaml::parse(&shown).expect("documents");
    let kinds: Vec<&str> = objects
        .iter()
        .filter_map(|object| object["kind"].as_str())
        .collect();
    // Helm's order of installation, then the hooks; the folder of CRDs is no part of the release.
    assert_eq!(
        kinds,
        [
            "ConfigMap",
            "ConfigMap",
            "ConfigMap",
            "Deployment",
            "Visit",
            "Job"
        ]
    );
    assert_eq!(objects[3]["spec"]["replicas"], 4);
    let told = dry_run(
        folder.path(),
        &["-f", "app.yaml", "--cluster-version", "v1.19.0"],
    )
    .fails();
    assert!(told.contains("requires kubeVersion"), "{told}");
    assert!(
        one_line(&told).contains("gives the version of the cluster"),
        "{told}"
    );
}

#[test]
fn a_chart_is_delivered_changed_and_collected() {
    let (repository, _folder) = repository();
    let place = Place::with("charts", &[], &[("CARAVEL_CHARTS", &program())]);
    let values = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata:\n  values.yaml: |\n    greeting: from afar\n    \
                  replicas: 9\n";
    place.apply(values).ok();
    let chart = format!(
        "{{source: shop, repoURL: 'http://{}', version: ^1.0.0}}",
        repository.address
    );
    let rest = |replicas: u32| {
        format!(
            "      valuesFrom: [{{kind: ConfigMap, name: more}}]\n      values: {{replicas: {replicas}}}\n      options: {{wait: true}}\n"
        )
    };
    place.apply(&component(&chart, &rest(2))).ok();
    place.wait_until_running("shop");
    let web = place.object("deploy", "shop-web");
    assert_eq!(web["spec"]["replicas"], 2);
    assert_eq!(web["status"]["readyReplicas"], 2);
    let said = place.object("cm", "shop-said");
    assert_eq!(said["data"]["greeting"], "from afar");
    let served = ["apps", "deploy", "offer", "old"].map(|key| said["data"][key].clone());
    assert_eq!(served, ["true", "true", "true", "false"]);
    let annotations = &said["metadata"]["annotations"];
    assert_eq!(annotations["meta.helm.sh/release-name"], "shop");
    // The chart's own kind was made first, and is no object of the Application.
    place.object("crd", "visits.shop.example.com");
    place.object("visits.shop.example.com", "shop-first");
    let jobs = place.names("jobs");
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert!(jobs[0].starts_with("migrate-"), "{jobs:?}");

    place.apply(&component(&chart, &rest(3))).ok();
    eventually("the Deployment has three copies", || {
        (place.object("deploy", "shop-web")["spec"]["replicas"] == 3).then_some(())
    });
    // The hook runs anew with each change, and the one before goes.
    eventually("there is another hook", || {
        let now = place.names("jobs");
        (now.len() == 1 && now != jobs).then_some(())
    });

    place.run("delete deploy shop-web --wait=false").ok();
    eventually("the Deployment is back", || place.get("deploy", "shop-web"));
    place.run("delete app shop").ok();
    assert_eq!(place.get("deploy", "shop-web"), None);
    assert_eq!(place.names("jobs"), Vec::<String>::new());
    place.object("crd", "visits.shop.example.com");
    place.object("crd", "offers.shop.example.com");
    // What the chart wants to be kept stays, as with Helm.
    place.object("cm", "shop-kept");
    assert_eq!(place.get("cm", "shop-said"), None);
}

#[test]
fn the_namespace_of_a_release_is_made_unless_that_is_not_wanted() {
    let (repository, _folder) = repository();
    let place = Place::with("tower", &[], &[("CARAVEL_CHARTS", &program())]);
    let chart = format!("{{source: shop, repoURL: 'http://{}'}}", repository.address);
    let rest = |more| format!("      release: {{namespace: cellar}}\n{more}");
    let without = rest("      options: {createNamespace: false}\n");
    place.apply(&component(&chart, &without)).ok();
    eventually("the namespace is missing", || {
        let found = place.object("app", "shop");
        let text = found["status"].to_string();
        text.contains("cellar\\\" not found").then_some(())
    });
    place.apply(&component(&chart, &rest(""))).ok();
    place.wait_until_running("shop");
    place.run("delete app shop").ok();
    place.object("ns", "cellar");
}

#[test]
fn a_chart_reads_no_secret_of_another_namespace() {
    let place = Place::with("tenant", &[], &[("CARAVEL_CHARTS", &program())]);
    let rest = "      valuesFrom: [{kind: Secret, name: root, namespace: vela-system}]\n";
    place
        .apply(&component("{source: 'http://127.0.0.1:9/x.tgz'}", rest))
        .ok();
    eventually("the step says why", || {
        let found = place.object("app", "shop");
        let text = found["status"].to_string();
        text.contains("Secrets of the release's namespace (tenant)")
            .then_some(())
    });
}

#[test]
fn without_the_program_the_step_says_how_to_get_it() {
    let place = Place::with("nocharts", &["--charts-program", "/nowhere/charts"], &[]);
    place
        .apply(&component("{source: 'http://127.0.0.1:9/x.tgz'}", ""))
        .ok();
    eventually("the step says how to get it", || {
        let found = place.object("app", "shop");
        let text = found["status"].to_string();
        text.contains("make build").then_some(())
    });
}

/// The goldens: charts that KubeVela rendered itself. It shows no hooks, and knows no values of objects.
#[test]
fn kubevelas_charts_come_out_as_kubevelas() {
    let Some(root) = folder() else { return };
    let repository = Repository::start(&root.join("_charts"));
    let here = repository.address.to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let mut compared = 0;
    for suite in ["own", "errors"] {
        for entry in fs::read_dir(root.join(suite)).expect("a suite") {
            let case = entry.expect("a case").path();
            let read = |name: &str| {
                let text = fs::read_to_string(case.join(name)).ok()?;
                Some(text.replace("127.0.0.1:18432", &here))
            };
            let facts: Value =
                serde_json::from_str(&read("case.json").expect("facts")).expect("JSON");
            let needs = facts["needs"].as_array().cloned().unwrap_or_default();
            if !needs.contains(&json!("chart-server")) {
                continue;
            }
            let application = read("application.yaml").expect("an Application");
            let skips_hooks = application.contains("skipHooks: true");
            let definitions = read("definitions.yaml").unwrap_or_default();
            fs::write(folder.path().join("app.yaml"), application).expect("a file");
            fs::write(folder.path().join("more.yaml"), definitions).expect("a file");
            let version = facts["clusterVersion"]["gitVersion"]
                .as_str()
                .unwrap_or("v1.0.0");
            let arguments = [
                "-f",
                "app.yaml",
                "-f",
                "more.yaml",
                "--cluster-version",
                version,
                "--verbose",
            ];
            let shown = dry_run(folder.path(), &arguments);
            if let Some(expected) = read("expected.yaml") {
                let mut shown = yaml::parse(&shown.ok()).expect("documents");
                let hooks = take_hooks(&mut shown);
                let wanted = usize::from(!skips_hooks);
                assert_eq!(hooks.len(), wanted, "{}", case.display());
                let mut expected = yaml::parse(&expected).expect("documents");
                if case.ends_with("helm-valuesfrom-ignored-in-dryrun") {
                    expected[4]["spec"]["replicas"] = 6.into();
                }
                assert_eq!(shown, expected, "{}", case.display());
            } else {
                let expected = read("expected-error.txt").expect("an error");
                let told = one_line(&shown.fails());
                let core = the_core(&expected);
                assert!(told.contains(&core), "{}: {core}\n{told}", case.display());
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 11);
}

/// Takes the hooks out.
fn take_hooks(objects: &mut Vec<Value>) -> Vec<Value> {
    let is_hook = |object: &mut Value| {
        let annotations = &object["metadata"]["annotations"];
        annotations["helm.sh/hook"].is_string()
    };
    objects.extract_if(.., is_hook).collect()
}

/// What KubeVela says after its own frames. How a schema's violation is worded is the validator's business, which Helm
/// has changed since; that a parameter is missing we say before anything is rendered.
fn the_core(expected: &str) -> String {
    let text = expected.split(" (value: ").next().unwrap_or_default();
    let text = text.rsplit("function call error for _rendered: ").next();
    let text = one_line(text.unwrap_or_default());
    if text.contains("_rendered.$params.chart.source") {
        return "`chart.source` is missing".to_owned();
    }
    let before = text.split("- replicas: Invalid type").next();
    before.unwrap_or_default().trim().to_owned()
}

fn one_line(text: &str) -> String {
    text.replace('│', " ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
