//! A secret that a workflow handles is in no log, no database file, and no answer of the REST API.

use std::path::Path;

use caravel_tests::sink::Sink;
use caravel_tests::wait::eventually;

use crate::place::Place;
use crate::rest::Rest;

const PLAIN: &str = "open-sesame-4711";
/// The same as a Secret keeps it.
const ENCODED: &str = "b3Blbi1zZXNhbWUtNDcxMQ==";

/// Reads a Secret in one step and sends it as a header in the next.
fn manifest(sink: &Sink) -> String {
    format!(
        "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: vault, namespace: default}}
spec:
  components:
  - {{name: web, type: worker, properties: {{image: busybox:1}}}}
  workflow:
    steps:
    - name: read
      type: read-object
      properties: {{apiVersion: v1, kind: Secret, name: cred, namespace: default}}
      outputs: [{{name: password, valueFrom: output.value.data.password}}]
    - name: tell
      type: request
      inputs: [{{from: password, parameterKey: header.X-Password}}]
      properties: {{url: \"{}\"}}
    - {{name: web, type: apply-component, properties: {{component: web}}}}
",
        sink.url("/told")
    )
}

fn hides(what: &str, text: &[u8]) {
    for secret in [PLAIN, ENCODED] {
        let found = text
            .windows(secret.len())
            .position(|window| window == secret.as_bytes());
        assert_eq!(found, None, "{what} holds the secret");
    }
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder").flatten() {
        if entry.path().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

#[test]
fn what_a_workflow_reads_of_a_secret_is_nowhere_else() {
    let sink = Sink::start();
    let place = Place::own("default");
    place
        .run(&format!(
            "create secret generic cred --from-literal=password={PLAIN}"
        ))
        .ok();
    place.apply(&manifest(&sink)).ok();
    place.wait_until_running("vault");
    eventually("the header was sent", || {
        (sink.count("/told") == 1).then_some(())
    });

    let rest = Rest::new(&place.daemon);
    for path in ["", "/status", "/revisions", "/topology", "/events"] {
        let answer = rest.get(&format!(
            "/api/v1/namespaces/default/applications/vault{path}"
        ));
        assert_eq!(answer.status, 200, "{path}");
        hides(path, answer.body.as_bytes());
    }
    hides("the log", place.daemon.log().as_bytes());
    // The hub keeps the Secret itself, and the workflow's context as KubeVela does: in `hub.db`. The journal is sealed.
    let data = place.daemon.data().to_owned();
    let mut all = Vec::new();
    files(&data, &mut all);
    let journal: Vec<_> = all
        .into_iter()
        .filter(|path| {
            !path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("hub.db"))
        })
        .collect();
    assert!(journal.iter().any(|path| path.ends_with("caravel.db")));
    for path in journal {
        hides(
            &path.display().to_string(),
            &std::fs::read(&path).expect("a file"),
        );
    }
}
