//! The daemon as a process: its files, its end, and what keeps it from starting.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use caravel_tests::conformance::workspace_root;
use caravel_tests::daemon::{Daemon, program};
use caravel_tests::kubectl::{Output, finish};

use crate::place::{Place, application};

fn serve(folder: &Path, kubernetes: &str, http: &str) -> Output {
    finish(
        Command::new(program())
            .args([
                "serve",
                "--kube-listen",
                kubernetes,
                "--http-listen",
                http,
                "--data-dir",
            ])
            .arg(folder),
    )
}

/// One clear sentence: no stack of causes, no panic.
fn is_one_sentence(said: &str, names: &str) {
    assert!(said.contains(names), "{said}");
    assert!(
        !said.contains("panicked") && !said.contains("RUST_BACKTRACE"),
        "{said}"
    );
    assert!(said.trim().lines().count() <= 2, "{said}");
}

#[test]
fn files_with_secrets_are_readable_by_nobody_else() {
    let daemon = Daemon::start(&[]);
    for name in [
        "kubeconfig",
        "http-token",
        "endpoints.json",
        "hub.db",
        "caravel.db",
    ] {
        let path = daemon.data().join(name);
        let mode = std::fs::metadata(&path)
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
    for name in ["kubeconfig", "http-token", "endpoints.json"] {
        let mode = std::fs::metadata(daemon.data().join(name))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name} has mode {mode:o}");
    }
}

#[test]
fn it_ends_when_asked_and_finds_everything_again() {
    let mut daemon = Daemon::start(&[]);
    let kubectl = caravel_tests::kubectl::Kubectl::new(&daemon);
    kubectl
        .apply(&application("web", "worker", "{image: busybox:1}"))
        .ok();
    kubectl
        .run("wait --for=jsonpath={.status.status}=running app/web --timeout=60s")
        .ok();
    // An open watch must not hold it up.
    let mut watch = kubectl
        .command(&["get", "app", "-w"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("kubectl can be started");
    let (status, took) = daemon.terminate();
    let _ = watch.kill();
    let _ = watch.wait();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(took < Duration::from_secs(10), "it took {took:?}");

    daemon.restart();
    let kubectl = caravel_tests::kubectl::Kubectl::new(&daemon);
    let application = kubectl
        .get("app", "default", "web")
        .expect("yesterday's Application");
    assert_eq!(application["status"]["status"], "running");
    assert_eq!(
        kubectl
            .run("get applicationrevision -o name")
            .ok()
            .lines()
            .count(),
        1
    );
}

#[test]
fn what_keeps_it_from_starting_is_said_in_one_sentence() {
    let daemon = Daemon::start(&[]);
    let second = serve(daemon.data(), "127.0.0.1:0", "127.0.0.1:0");
    assert_ne!(second.exit, 0);
    is_one_sentence(&second.stderr, &daemon.data().display().to_string());

    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (kubernetes, http, flag) in [
        (address.as_str(), "127.0.0.1:0", "--kube-listen"),
        ("127.0.0.1:0", address.as_str(), "--http-listen"),
    ] {
        let refused = serve(folder.path(), kubernetes, http);
        assert_ne!(refused.exit, 0);
        is_one_sentence(&refused.stderr, &address);
        is_one_sentence(&refused.stderr, flag);
    }

    // A file where the folder should be: also root cannot write into that.
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let refused = serve(&file.join("data"), "127.0.0.1:0", "127.0.0.1:0");
    assert_ne!(refused.exit, 0);
    is_one_sentence(&refused.stderr, "data folder");
}

#[test]
fn plain_http_is_for_loopback_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(program())
        .args([
            "serve",
            "--kube-listen",
            "127.0.0.1:0",
            "--http-listen",
            "0.0.0.0:0",
            "--data-dir",
        ])
        .arg(folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the daemon can be started");
    let ready = folder.path().join("endpoints.json");
    let text = std::panic::catch_unwind(|| {
        caravel_tests::wait::eventually("it is ready", || std::fs::read_to_string(&ready).ok())
    });
    let _ = child.kill();
    let _ = child.wait();
    let endpoints: serde_json::Value =
        serde_json::from_str(&text.expect("endpoints.json")).expect("JSON");
    assert!(
        endpoints["http"]
            .as_str()
            .is_some_and(|http| http.starts_with("https://")),
        "{endpoints}"
    );
}

#[test]
fn the_command_line_shows_what_there_is() {
    let place = Place::own("default");
    let website = workspace_root().join("examples/website.yaml");
    let told = place.caravel(&format!("up -f {}", website.display())).ok();
    assert!(told.contains("Application website applied"), "{told}");
    assert!(told.trim_end().ends_with("website: running"), "{told}");
    assert!(
        !told.contains('\u{1b}'),
        "no colour where nobody looks: {told:?}"
    );

    let listed = place.caravel("ls").ok();
    assert!(
        listed.contains("website") && listed.contains("running") && listed.contains("2/2"),
        "{listed}"
    );
    let status = place.caravel("status website").ok();
    assert!(
        status.contains("frontend") && status.contains("backend") && status.contains("healthy"),
        "{status}"
    );
    place.caravel("delete website").ok();
    assert!(place.get("app", "website").is_none());
    assert!(place.get("deploy", "frontend").is_none());
    let nobody = place.caravel("status website").fails();
    assert!(
        nobody.contains("website") && nobody.contains("not found"),
        "{nobody}"
    );

    place
        .kubectl
        .file("bad.yaml", &application("bad", "webservice", "{}"));
    let refused = place.caravel("up -f bad.yaml").fails();
    assert!(
        refused.contains("spec.components[0].properties.image"),
        "{refused}"
    );
}

#[test]
fn a_dry_run_needs_no_daemon() {
    let website = workspace_root().join("examples/website.yaml");
    let output = finish(
        Command::new(program())
            .args(["dry-run", "-o", "json", "-f"])
            .arg(&website)
            .env_remove("KUBECONFIG"),
    );
    let objects: serde_json::Value = serde_json::from_str(&output.ok()).expect("JSON");
    let kinds: Vec<&str> = objects
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|object| object["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["Deployment", "Service", "Ingress", "Deployment"]);

    let folder = tempfile::tempdir().expect("a folder");
    let bad = folder.path().join("bad.yaml");
    std::fs::write(&bad, application("bad", "webservice", "{image: [1]}")).expect("a file");
    let output = finish(Command::new(program()).args(["dry-run", "-f"]).arg(&bad));
    assert_eq!(output.exit, 1);
    assert!(output.stdout.is_empty(), "{}", output.stdout);
    assert!(output.stderr.contains("bad.yaml"), "{}", output.stderr);
}

#[test]
fn what_make_run_does_can_be_done_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let run = || {
        finish(
            Command::new(workspace_root().join("deploy/run.sh"))
                .arg(program())
                .arg(workspace_root().join("examples/website.yaml"))
                .env("DATA_DIR", &data)
                .env("KUBE_LISTEN", "127.0.0.1:0")
                .env("HTTP_LISTEN", "127.0.0.1:0")
                .env("ONCE", "1"),
        )
    };
    let told = run().ok();
    for line in [
        "website: running",
        "export KUBECONFIG=",
        "kubectl get applications",
        "http-token",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    // It finds yesterday's data: there is nothing to deliver.
    let again = run().ok();
    assert!(again.contains("website: running"), "{again}");
    let waiting = again
        .lines()
        .filter(|line| line.contains("waiting"))
        .count();
    assert_eq!(waiting, 0, "nothing is delivered anew: {again}");
}
