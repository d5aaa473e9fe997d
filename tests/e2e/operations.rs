//! Operations of steps: queries, environments, mails.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use caravel_tests::wait::eventually;
use serde_json::{Value, json};

use crate::place::Place;

const QUERIES: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: WorkflowStepDefinition
metadata: {name: look-around}
spec:
  schematic:
    cue:
      template: |
        import ("vela/query", "vela/kube", "vela/builtin", "vela/ql")
        mine: {name: context.name, namespace: context.namespace}
        pods: query.#CollectPods & {$params: app: mine}
        wait: builtin.#ConditionalWait & {$params: continue: len(pods.$returns.list) > 1}
        tree: query.#GetApplicationTree & {$params: app: {mine, filter: kind: "Deployment"}}
        objects: query.#ListResourcesInApp & {$params: app: {mine, withStatus: true, filter: components: ["web"]}}
        applied: ql.#ListAppliedResources & {app: mine}
        events: query.#SearchEvents & {$params: {value: objects.$returns.list[0].object, cluster: ""}}
        logs: query.#CollectLogsInPod & {$params: {
          cluster: "", namespace: context.namespace, pod: "nobody", options: container: ""
        }}
        nosuch: {name: "nosuch", namespace: context.namespace}
        none: [
          query.#ListResourcesInApp & {$params: app: nosuch},
          query.#GetApplicationTree & {$params: app: nosuch},
          query.#CollectPods & {$params: app: nosuch},
        ]
        save: kube.#Apply & {$params: value: {
          apiVersion: "v1", kind: "ConfigMap", metadata: {name: "seen", namespace: context.namespace}
          data: {
            pod: pods.$returns.list[0].object.kind
            workload: pods.$returns.list[0].workload.name
            component: pods.$returns.list[0].component
            leaf: tree.$returns.list[0].resourceTree.leafNodes[0].kind
            leafOfLeaf: tree.$returns.list[0].resourceTree.leafNodes[0].leafNodes[0].kind
            latest: "\(tree.$returns.list[0].latest)"
            revision: objects.$returns.list[0].revision
            replicas: "\(objects.$returns.list[0].object.status.replicas)"
            rows: "\(len(applied.list))"
            told: "\(len(events.$returns.list))"
            log: logs.$returns.outputs.err
            for index, one in none {"none\(index)": "\(len(one.$returns.list)) \(one.$returns.err)"}
          }
        }}
        parameter: {}
"#;

#[test]
fn a_step_sees_what_the_application_consists_of() {
    let place = Place::shared("operations-queries");
    place.apply(QUERIES).ok();
    place
        .apply(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shown}\nspec:\n  components:\n\
             \x20 - {name: web, type: webservice, properties: {image: nginx}, traits: [{type: scaler, properties: {replicas: 2}}]}\n\
             \x20 workflow:\n    steps:\n    - {name: apply, type: apply-component, properties: {component: web}}\n\
             \x20   - {name: look, type: look-around}\n",
        )
        .ok();
    place.wait_until_running("shown");
    let data = place.object("cm", "seen")["data"].clone();
    for (key, expected) in [
        ("pod", "Pod"),
        ("workload", "web"),
        ("component", "web"),
        ("leaf", "ReplicaSet"),
        ("leafOfLeaf", "Pod"),
        ("latest", "true"),
        ("revision", "shown-v1"),
        ("replicas", "2"),
        ("rows", "1"),
    ] {
        assert_eq!(data[key], expected, "{key}: {data:#}");
    }
    assert_eq!(data["log"], "pods \"nobody\" not found");
    for index in 0..3 {
        let none = &data[format!("none{index}")];
        assert_eq!(*none, "0 applications.core.oam.dev \"nosuch\" not found");
    }
}

/// The legacy way to say what differs where.
#[test]
fn an_environment_gets_its_components_patched_and_selected() {
    let place = Place::shared("operations-env");
    let other = Place::shared("operations-env-two");
    let application = |cluster: &str| {
        format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: envs}}\nspec:\n  components:\n\
             \x20 - {{name: web, type: webservice, properties: {{image: nginx, cpu: '1'}}}}\n\
             \x20 - {{name: job, type: worker, properties: {{image: busybox}}}}\n  policies:\n  - name: envs\n\
             \x20   type: env-binding\n    properties:\n      envs:\n      - name: one\n        patch:\n\
             \x20         components: [{{name: web, type: webservice, properties: {{image: 'nginx:two'}}, \
             traits: [{{type: scaler, properties: {{replicas: 3}}}}]}}]\n      - name: two\n\
             \x20       selector: {{components: [web]}}\n        placement: {{clusterSelector: {{name: {cluster}}}, \
             namespaceSelector: {{name: operations-env-two}}}}\n"
        )
    };
    place.apply(&application("local")).ok();
    let app = place.wait_until_running("envs");
    let steps = app["status"]["workflow"]["steps"]
        .as_array()
        .expect("steps");
    let types: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["type"].as_str())
        .collect();
    assert_eq!(types, ["deploy2env", "deploy2env"]);
    let web = place.object("deploy", "web");
    assert_eq!(web["spec"]["replicas"], 3);
    let container = &web["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "nginx:two");
    assert_eq!(container["resources"]["limits"]["cpu"], "1");
    place.object("deploy", "job");
    let web = other.object("deploy", "web");
    assert_eq!(
        web["spec"]["template"]["spec"]["containers"][0]["image"],
        "nginx"
    );
    assert_eq!(other.get("deploy", "job"), None);

    let misspelt = application("local")
        + "  workflow: {steps: [{name: one, type: deploy2env, properties: {policy: envs, env: onee}}]}\n";
    place.apply(&misspelt).ok();
    eventually("the step says that there is no such environment", || {
        let status = place.object("app", "envs")["status"].to_string();
        let says = status.contains("the policy `envs` has no environment `onee`");
        says.then_some(())
    });

    place.apply(&application("berlin")).ok();
    eventually("the step says which cluster is missing", || {
        let status = place.object("app", "envs")["status"].to_string();
        status
            .contains("failed to get cluster berlin for env two")
            .then_some(())
    });
}

/// Rows WF-027 and POL-010.
#[test]
fn a_step_leaves_where_its_logs_are_and_what_its_template_came_to() {
    let place = Place::shared("operations-notes");
    place
        .apply(
            "apiVersion: core.oam.dev/v1beta1\nkind: WorkflowStepDefinition\nmetadata: {name: telling}\nspec:\n  schematic:\n    cue:\n\
             \x20     template: |\n        import (\"vela/util\", \"vela/op\")\n        sum: parameter.a + 1\n\
             \x20       told: util.#Log & {$params: {data: \"hello\", source: url: \"https://logs.example.com/\\(context.stepName)\"}}\n\
             \x20       older: op.#Log & {source: resources: [{labelSelector: step: context.stepName}]}\n\
             \x20       parameter: {a: int}\n",
        )
        .ok();
    place
        .apply(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: noted}\nspec:\n  components: []\n\
             \x20 policies: [{name: look, type: debug}]\n  workflow:\n    mode: {steps: DAG}\n    steps:\n\
             \x20   - {name: one, type: telling, properties: {a: 1}}\n    - {name: two, type: telling, properties: {a: 2}}\n",
        )
        .ok();
    let app = place.wait_until_running("noted");
    let context = place.object("cm", "workflow-noted-context")["data"].clone();
    let config: Value =
        serde_json::from_str(context["logConfig"].as_str().expect("a text")).expect("JSON");
    for step in ["one", "two"] {
        let source = json!({
            "url": format!("https://logs.example.com/{step}"),
            "resources": [{"labelSelector": {"step": step}}],
        });
        assert_eq!(config[step], json!({"data": true, "source": source}));
    }
    assert_eq!(context["vars"], "");
    let uid = app["metadata"]["uid"].as_str().expect("a uid");
    for (index, sum) in [2, 3].into_iter().enumerate() {
        let id = app["status"]["workflow"]["steps"][index]["id"]
            .as_str()
            .expect("an id");
        let name = format!("noted-{id}-debug-{}", &uid[uid.len() - 5..]);
        let text = place.object("cm", &name)["data"]["debug"].clone();
        let value: Value = serde_json::from_str(text.as_str().expect("a text")).expect("JSON");
        assert_eq!(value["sum"], sum);
    }
}

const OUTER: &str = "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: open}
spec:
  components:
  - name: web
    type: webservice
    properties: {image: nginx, exposeType: NodePort, ports: [{port: 8080, expose: true}]}
  workflow:
    steps:
    - {name: deploy, type: deploy}
    - name: ask
      type: collect-service-endpoints
      properties: {outer: true}
      outputs: [{name: url, valueFrom: value.url}]
    - name: keep
      type: export2config
      inputs: [{from: url, parameterKey: data.url}]
      properties: {configName: url}
";

/// Ports of nodes are reached from outside.
#[test]
fn a_port_of_the_nodes_is_an_outer_endpoint() {
    let place = Place::shared("operations-outer");
    place.apply(OUTER).ok();
    place.wait_until_running("open");
    let service = place.object("svc", "web");
    let port = service["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    let kept = place.object("cm", "url");
    let url = kept["data"]["url"].as_str().unwrap();
    assert!(url.ends_with(&format!(":{port}")), "{url}");
}

/// A mail server that takes every mail; what it was told.
fn post_office() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = take(&stream, &heard);
        }
    });
    (port, told)
}

fn take(mut stream: &TcpStream, heard: &Mutex<Vec<String>>) -> std::io::Result<()> {
    stream.write_all(b"220 sink\r\n")?;
    let mut is_data = false;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer: &[u8] = match line.as_str() {
            "." => {
                is_data = false;
                b"250 taken\r\n"
            }
            _ if is_data => b"",
            "DATA" => {
                is_data = true;
                b"354 go on\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
        stream.write_all(answer)?;
    }
    Ok(())
}

#[test]
fn a_notification_goes_out_by_mail_once() {
    let place = Place::shared("operations-mail");
    let (port, told) = post_office();
    place
        .run("create secret generic post --from-literal=password=hidden")
        .ok();
    place
        .apply(&format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: mail}}\nspec:\n  components: []\n\
             \x20 workflow:\n    steps:\n    - name: tell\n      type: notification\n      properties:\n        email:\n\
             \x20         from: {{address: a@example.test, host: 127.0.0.1, port: {port}, password: {{secretRef: {{name: post, \
             key: password}}}}}}\n          to: [b@example.test]\n          content: {{subject: shipped, body: all is well}}\n"
        ))
        .ok();
    place.wait_until_running("mail");
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let count = |start: &str| told.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(count("Subject: shipped"), 1, "{told:#?}");
    assert_eq!(count("RCPT TO:<b@example.test>"), 1, "{told:#?}");
    assert!(
        !told.iter().any(|line| line.contains("hidden")),
        "{told:#?}"
    );
    let status = place.object("app", "mail")["status"].to_string();
    assert!(!status.contains("hidden"), "{status}");
}

const REQUESTS: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: WorkflowStepDefinition
metadata: {name: ask-hub}
spec:
  schematic:
    cue:
      template: |
        import "vela/http"
        answer: http.#HTTPGet & {$params: {
          url: parameter.url, request: timeout: "10s"
          if parameter.limit != _|_ {request: ratelimiter: {limit: parameter.limit, period: "1h"}}
          if parameter.secret != _|_ {tls_config: secret: parameter.secret}
        }}
        kind: answer.$returns.statusCode
        parameter: {url: string, secret?: string, limit?: int}
"#;

/// The hub itself is the server: it knows who asks by a certificate.
#[test]
fn a_request_has_the_certificates_of_a_secret_and_a_limit() {
    let place = Place::shared("operations-requests");
    let config = std::fs::read_to_string(place.daemon.kubeconfig()).expect("a kubeconfig");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    let part = |pointer: &str| {
        let part = config.pointer(pointer).and_then(|part| part.as_str());
        part.unwrap_or_else(|| panic!("the kubeconfig has no {pointer}"))
    };
    let (authority, certificate, key) = (
        part("/clusters/0/cluster/certificate-authority-data"),
        part("/users/0/user/client-certificate-data"),
        part("/users/0/user/client-key-data"),
    );
    place
        .apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: hub}}\ndata: {{ca.crt: {authority}, client.crt: {certificate}, \
             client.key: {key}}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: twice}}\nstringData: {{ca.crt: \
             {authority}, client.crt: {certificate}, client.key: {key}}}\n{REQUESTS}",
            REQUESTS = REQUESTS.replacen('\n', "\n---\n", 1)
        ))
        .ok();
    let ask = |name: &str, path: &str, more: &str| {
        let url = format!("{}/api/v1/namespaces/{path}", place.daemon.kubernetes());
        place
            .apply(&format!(
                "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {{name: {name}}}\nspec:\n  components: []\n\
                 \x20 workflow: {{steps: [{{name: ask, type: ask-hub, properties: {{url: '{url}'{more}}}}}]}}\n"
            ))
            .ok();
    };
    let step = |name: &str| {
        let app = place.object("app", name);
        app["status"]["workflow"]["steps"][0].clone()
    };
    ask("known", "default", ", secret: hub, limit: 1");
    place.wait_until_running("known");
    ask(
        "encoded",
        "kube-system",
        ", secret: operations-requests/twice",
    );
    place.wait_until_running("encoded");
    for (name, more, why) in [
        ("unknown", "", "certificate"),
        (
            "missing",
            ", secret: nobody",
            "there is no Secret \"nobody\"",
        ),
        (
            "often",
            ", secret: hub, limit: 1",
            "request exceeds the rate limiter",
        ),
    ] {
        ask(name, "default", more);
        let message = eventually(&format!("{name} fails"), || {
            let step = step(name);
            let message = step["message"].as_str()?.to_owned();
            (step["phase"] == "failed").then_some(message)
        });
        assert!(message.contains(why), "{name}: {message}");
    }
}
