//! What templates ask for while they render, stages of traits, copies and data of components.

use caravel_tests::sink::Sink;
use caravel_tests::wait::eventually;
use serde_json::json;

use crate::place::{Place, application};

const ASKER: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: source, labels: {group: z}}
data: {color: blue}
---
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: asker}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  schematic:
    cue:
      template: |
        import ("vela/kube", "vela/http", "encoding/json")
        get: kube.#Get & {$params: resource: {apiVersion: "v1", kind: "ConfigMap", metadata: name: parameter.from}}
        list: kube.#List & {$params: {
          resource: {apiVersion: "v1", kind: "ConfigMap"}
          filter: {namespace: context.namespace, matchingLabels: group: "z"}
        }}
        made: kube.#Apply & {$params: resource: {
          apiVersion: "v1", kind: "ConfigMap", metadata: name: "side", data: made: get.$returns.data.color
        }}
        edited: kube.#Patch & {$params: {
          resource: {apiVersion: "v1", kind: "ConfigMap", metadata: name: "side"}
          patch: {type: "merge", data: data: patched: made.$returns.data.made}
        }}
        asking: http.#Get & {$params: url: parameter.url + "/ask"}
        telling: http.#Post & {$params: {url: parameter.url + "/tell", request: {body: "x", header: "x-a": ["b"]}}}
        output: {
          apiVersion: "v1"
          kind: "ConfigMap"
          data: {
            color: get.$returns.data.color
            count: "\(len(list.$returns.items))"
            patched: edited.$returns.data.patched
            asked: json.Unmarshal(asking.$returns.body).value
            told: "\(telling.$returns.statusCode)"
          }
        }
        parameter: {from: string, url: string}
---
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: token}
spec:
  schematic:
    cue:
      template: |
        processing: {
          output: value?: string
          http: {method: "GET", url: parameter.url + "/token", request: header: accept: "application/json"}
        }
        patch: data: token: processing.output.value
        parameter: url: string
"#;

#[test]
fn a_template_reads_and_asks_while_it_renders() {
    let place = Place::shared("delivery-calls");
    let sink = Sink::start();
    place.apply(ASKER).ok();
    let url = sink.url("");
    let traits = format!("    traits:\n    - {{type: token, properties: {{url: \"{url}\"}}}}\n");
    let properties = format!("{{from: source, url: \"{url}\"}}");
    place
        .apply(&(application("asks", "asker", &properties) + &traits))
        .ok();
    place.wait_until_running("asks");
    let data = place.object("cm", "asks")["data"].clone();
    assert_eq!(data["color"], "blue");
    assert_eq!(data["count"], "1");
    assert_eq!(data["patched"], "blue");
    assert_eq!(data["asked"], "from-sink");
    assert_eq!(data["told"], "200");
    assert_eq!(data["token"], "from-sink");
    assert_eq!(
        sink.count("/tell"),
        1,
        "what changes something is sent once"
    );
}

#[test]
fn what_a_template_cannot_read_is_told_with_its_place_and_tried_again() {
    let place = Place::shared("delivery-missing");
    let sink = Sink::start();
    place.apply(ASKER).ok();
    let properties = format!("{{from: late, url: \"{}\"}}", sink.url(""));
    place
        .apply(&application("waits", "asker", &properties))
        .ok();
    let message = eventually("the condition tells what is missing", || {
        let app = place.object("app", "waits");
        let conditions = app["status"]["conditions"].as_array()?.clone();
        let ready = conditions.into_iter().find(|one| one["type"] == "Ready")?;
        ready["message"].as_str().map(str::to_owned)
    });
    assert!(
        message.contains("spec.components[0]: kube.get: configmaps \"late\" not found"),
        "{message}"
    );
    assert_eq!(sink.count("/tell"), 0);
    place
        .run("create configmap late --from-literal=color=green")
        .ok();
    place.wait_until_running("waits");
    assert_eq!(place.object("cm", "waits")["data"]["color"], "green");
}

const WRITERS: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: adds}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  schematic:
    cue:
      template: |
        import "vela/kube"
        made: kube.#Apply & {$params: {
          resource: {apiVersion: "v1", kind: "ConfigMap", metadata: name: "base", data: parameter.data}
          options: threeWayMergePatch: {annotationPrefix: parameter.prefix, enabled: parameter.merge}
        }}
        output: {apiVersion: "v1", kind: "ConfigMap", data: seen: made.$returns.data.keep}
        parameter: {data: [string]: string, prefix: string, merge: *true | bool}
---
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: patches}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  schematic:
    cue:
      template: |
        import "vela/kube"
        made: kube.#Patch & {$params: {
          resource: {apiVersion: "v1", kind: "ConfigMap", metadata: name: "base"}
          patch: data: data: parameter.data
        }}
        output: {apiVersion: "v1", kind: "ConfigMap", data: seen: made.$returns.data.keep}
        parameter: data: [string]: string
"#;

#[test]
fn what_templates_write_into_an_object_of_an_application_stays_beside_its_own_fields() {
    let place = Place::shared("delivery-writers");
    place.apply(WRITERS).ok();
    let base = |data: &str| {
        let object = format!(
            "{{objects: [{{apiVersion: v1, kind: ConfigMap, metadata: {{name: base}}, data: {data}}}]}}"
        );
        application("owner", "k8s-objects", &object)
    };
    let adds = |name: &str, data: &str| {
        let properties = format!("{{prefix: {name}, data: {data}}}");
        application(name, "adds", &properties)
    };
    place.apply(&base("{keep: me, old: x}")).ok();
    place.wait_until_running("owner");
    for (name, manifest) in [
        ("one", adds("one", "{one: a, gone: b}")),
        ("two", adds("two", "{two: c}")),
        (
            "three",
            application("three", "patches", "{data: {three: d}}"),
        ),
    ] {
        place.apply(&manifest).ok();
        place.wait_until_running(name);
    }
    let holds = |expected: serde_json::Value| {
        let what = format!("base has {expected}");
        eventually(&what, || {
            (place.object("cm", "base")["data"] == expected).then_some(())
        });
    };
    holds(json!({"keep": "me", "old": "x", "one": "a", "gone": "b", "two": "c", "three": "d"}));
    // Each takes away only what it wrote itself, and nothing where it does not merge three.
    let adds = |name, data| adds(name, data).replace("prefix: two", "prefix: two, merge: false");
    place.apply(&adds("two", "{four: e}")).ok();
    place.apply(&base("{keep: me}")).ok();
    place.apply(&adds("one", "{one: a}")).ok();
    holds(json!({"keep": "me", "one": "a", "two": "c", "three": "d", "four": "e"}));
}

const STAGES: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: early}
spec:
  stage: PreDispatch
  status:
    healthPolicy: |
      isHealth: context.outputs.early.data.ready == "yes"
  schematic:
    cue:
      template: |
        outputs: early: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-early", data: ready: parameter.ready}
        parameter: ready: string
---
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: late}
spec:
  stage: PostDispatch
  schematic:
    cue:
      template: |
        outputs: late: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-late", data: replicas: "\(context.output.status.readyReplicas)"}
        parameter: {}
"#;

#[test]
fn traits_of_an_early_stage_come_before_the_workload_and_those_of_a_late_one_see_it() {
    let place = Place::shared("delivery-stages");
    place.apply(STAGES).ok();
    let manifest = |ready: &str| {
        application("web", "webservice", "{image: nginx}")
            + &format!(
                "    traits:\n    - {{type: late, properties: {{}}}}\n    - {{type: early, properties: {{ready: \"{ready}\"}}}}\n"
            )
    };
    place.apply(&manifest("no")).ok();
    let row = eventually("the workload waits for the early trait", || {
        let app = place.object("app", "web");
        let row = app["status"]["services"][0].clone();
        (row["message"] == "waiting for previous stage healthy").then_some(row)
    });
    assert_eq!(row["traits"][1]["pending"], true, "{row}");
    assert!(place.get("cm", "web-early").is_some());
    assert!(place.get("deploy", "web").is_none());
    assert!(place.get("cm", "web-late").is_none());

    place.apply(&manifest("yes")).ok();
    let app = place.wait_until_running("web");
    assert_eq!(place.object("cm", "web-late")["data"]["replicas"], "1");
    let row = &app["status"]["services"][0];
    assert_eq!(row["traits"][0]["type"], "early", "{row}");
    assert_eq!(row["traits"][1]["type"], "late", "{row}");
    assert_eq!(row["traits"][1]["healthy"], true, "{row}");

    // A further change must not take away what a late trait made.
    place
        .apply(&manifest("yes").replace("image: nginx", "image: httpd"))
        .ok();
    eventually("the new image runs", || {
        let app = place.object("app", "web");
        let revision = &app["status"]["latestRevision"]["name"];
        (revision == "web-v3" && app["status"]["status"] == "running").then_some(())
    });
    assert!(place.get("cm", "web-late").is_some());
}

const COPIES: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: copied}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  schematic:
    cue:
      template: |
        output: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-" + context.replicaKey, data: value: parameter.value}
        parameter: value: *"none" | string
---
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: data}
spec:
  components:
  - name: source
    type: webservice
    properties: {image: "nginx:1"}
    outputs:
    - {name: image, valueFrom: "output.spec.template.spec.containers[0].image"}
  - name: cup
    type: copied
    dependsOn: [source]
    inputs:
    - {from: image, parameterKey: value}
  policies:
  - {name: here, type: topology, properties: {clusters: [local]}}
  - {name: twice, type: replication, properties: {keys: [left, right], selector: [cup]}}
  workflow:
    steps:
    - {name: all, type: deploy, properties: {policies: [here, twice]}}
"#;

#[test]
fn copies_of_a_component_and_values_between_components() {
    let place = Place::shared("delivery-copies");
    place.apply(COPIES).ok();
    let app = place.wait_until_running("data");
    assert_eq!(place.object("cm", "cup-left")["data"]["value"], "nginx:1");
    assert_eq!(place.object("cm", "cup-right")["data"]["value"], "nginx:1");
    let services = app["status"]["services"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    assert_eq!(services.len(), 2, "{services:?}");
}

const REPLICATED: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: plate}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  schematic:
    cue:
      template: |
        suffix: string
        if context.replicaKey != "" {suffix: "-" + context.replicaKey}
        if context.replicaKey == "" {suffix: ""}
        output: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + suffix, data: glaze: parameter.glaze}
        outputs: box: {apiVersion: "v1", kind: "ConfigMap", metadata: name: "box" + suffix + "-" + context.name, data: holds: context.name + suffix}
        parameter: glaze: string
---
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: table, namespace: NAMESPACE}
spec:
  components:
  - {name: dish, type: plate, properties: {glaze: white}, traits: [{type: labels, properties: {of: "set"}}]}
  - {name: bowl, type: plate, properties: {glaze: white}}
  policies:
  - {name: blue, type: override, properties: {components: [{name: dish, properties: {glaze: blue}}]}}
  - {name: twice, type: replication, properties: {keys: [left, right], selector: [dish]}}
  workflow:
    steps:
    - {name: all, type: deploy, properties: {policies: [blue, twice]}}
"#;

#[test]
fn a_dry_run_shows_the_copies_that_are_delivered() {
    let place = Place::shared("dry-run-copies");
    let manifest = REPLICATED.replace("NAMESPACE", &place.namespace);
    place.kubectl.file("table.yaml", &manifest);
    let shown = place.caravel("dry-run -f table.yaml -o json").ok();
    let shown: Vec<serde_json::Value> = serde_json::from_str(&shown).expect("JSON");
    place.apply(&manifest).ok();
    place.wait_until_running("table");
    let mut names = Vec::new();
    for one in &shown {
        let name = one["metadata"]["name"].as_str().expect("a name");
        let live = place.object("cm", name);
        assert_eq!(one["data"], live["data"], "{name}");
        let labels = one["metadata"]["labels"].as_object().expect("labels");
        // Which revision it is going to be is not known before.
        let known = labels
            .iter()
            .filter(|(label, _)| *label != "app.oam.dev/appRevision");
        for (label, value) in known {
            assert_eq!(&live["metadata"]["labels"][label], value, "{name}");
        }
        names.push(name.to_owned());
    }
    names.sort_unstable();
    let copies = [
        "bowl",
        "box-bowl",
        "box-left-dish",
        "box-right-dish",
        "dish-left",
        "dish-right",
    ];
    assert_eq!(names, copies);
    let delivered = place.names("cm");
    let of_table = |name: &&String| {
        place.object("cm", name)["metadata"]["labels"]["app.oam.dev/name"] == "table"
    };
    let mut delivered: Vec<&String> = delivered.iter().filter(of_table).collect();
    delivered.sort_unstable();
    assert_eq!(delivered, names.iter().collect::<Vec<_>>());
}

const STEPS: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: WorkflowStepDefinition
metadata: {name: operations}
spec:
  schematic:
    cue:
      template: |
        import ("vela/kube", "vela/op", "vela/time", "vela/util", "vela/oam", "encoding/base64", "strings")
        parallel: kube.#ApplyInParallel & {$params: value: [
          {apiVersion: "v1", kind: "ConfigMap", metadata: {name: "one", namespace: context.namespace, labels: set: "s"}},
          {apiVersion: "v1", kind: "ConfigMap", metadata: {name: "two", namespace: context.namespace, labels: set: "s"}, data: a: "1"},
        ]}
        list: kube.#List & {$params: {resource: {apiVersion: "v1", kind: "ConfigMap"}, filter: {namespace: context.namespace, matchingLabels: set: "s"}}}
        edit: kube.#Patch & {$params: {value: {apiVersion: "v1", kind: "ConfigMap", metadata: {name: "two", namespace: context.namespace}}, patch: data: b: "2"}}
        string: util.#ConvertString & {$params: bt: base64.Decode(null, "aGVsbG8=")}
        load: oam.#LoadComponents & {$params: {}}
        delete: kube.#Delete & {$params: value: {apiVersion: "v1", kind: "ConfigMap", metadata: {name: "one", namespace: context.namespace}}}
        missing: kube.#Delete & {$params: value: {apiVersion: "v1", kind: "ConfigMap", metadata: {name: "nosuch", namespace: context.namespace}}}
        deleted: [if missing.$returns.err != _|_ {missing.$returns.err}, "deleted"][0]
        unread: kube.#Read & {$params: value: {apiVersion: "v1", kind: "ConfigMap", metadata: {name: "nosuch", namespace: context.namespace}}}
        older: op.#List & {resource: {apiVersion: "v1", kind: "ConfigMap"}, filter: {namespace: context.namespace, matchingLabels: set: "s"}}
        unknown: kube.#List & {$params: resource: {apiVersion: "no.such/v1", kind: "Nothing"}}
        layouts: ["3:04PM", "06/1/2 002", "2006-01-02T15:04:05.000Z07:00", "2006-01-02T15:04:05.999", "[15h04] MST"]
        shown: {for layout in layouts {(layout): time.#TimestampToDate & {$params: {timestamp: 1709200805, "layout": layout}}}}
        dates: {"2024-2-9": "2006-1-2", "29 Feb 24 12:00 UTC": "02 Jan 06 15:04 MST", "2024-060": "2006-002", "2024-02-29T12:00:00.5+01:00": ""}
        meant: {for date, layout in dates {(date): time.#DateToTimestamp & {$params: {"date": date, "layout": layout}}}}
        result: kube.#Apply & {$params: {
          value: {apiVersion: "v1", kind: "ConfigMap", metadata: {name: "result", namespace: context.namespace}, data: {
            count: "\(len(list.$returns.values.items))", text: string.$returns.str, b: edit.$returns.result.data.b, type: load.$returns.value.cm.type, again: deleted
            missing: "\(unread.$returns.value.metadata.name): \(unread.$returns.err)", listed: "\(len(older.list.items))"
            none: "\(len(unknown.$returns.values.items)) \(unknown.$returns.err)"
            written: strings.Join([for layout in layouts {shown[layout].$returns.date}], " | ")
            read: strings.Join([for date, _ in dates {"\(meant[date].$returns.timestamp)"}], " ")
          }}
          patch: data: more: "merged"
        }}
        parameter: {}
---
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: steps}
spec:
  components:
  - name: cm
    type: k8s-objects
    properties: {objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: plain}, data: {a: "1"}}]}
  workflow:
    steps:
    - {name: work, type: operations}
    - name: create
      type: create-config
      properties: {name: settings, config: {user: admin}}
    - name: read
      type: read-config
      properties: {name: settings}
      outputs: [{name: user, valueFrom: output.$returns.config.user}]
    - name: show
      type: export2config
      inputs: [{from: user, parameterKey: data.user}]
      properties: {configName: shown}
    - {name: rest, type: apply-application}
"#;

#[test]
fn steps_use_objects_configurations_and_components() {
    let place = Place::shared("delivery-steps");
    place.apply(STEPS).ok();
    place.wait_until_running("steps");
    let data = place.object("cm", "result")["data"].clone();
    assert_eq!(data["count"], "2");
    assert_eq!(data["text"], "hello");
    assert_eq!(data["b"], "2");
    assert_eq!(data["type"], "k8s-objects");
    assert_eq!(data["more"], "merged");
    assert_eq!(data["again"], "deleted");
    assert_eq!(data["missing"], "nosuch: configmaps \"nosuch\" not found");
    assert_eq!(data["listed"], "1", "one is deleted by then");
    let unknown = data["none"].to_string();
    assert!(
        unknown.starts_with("\"0 ") && unknown.contains("no.such"),
        "{unknown}"
    );
    // As Go's time.Format and time.Parse have it.
    assert_eq!(
        data["written"],
        "10:00AM | 24/2/29 060 | 2024-02-29T10:00:05.000Z | 2024-02-29T10:00:05 | [10h00] UTC"
    );
    assert_eq!(data["read"], "1707436800 1709208000 1709164800 1709204400");
    assert!(place.get("cm", "one").is_none());
    assert_eq!(place.object("cm", "shown")["data"]["user"], "admin");
    assert_eq!(place.object("cm", "plain")["data"]["a"], "1");
}

const PACKAGE: &str = r#"
apiVersion: cue.oam.dev/v1alpha1
kind: Package
metadata: {name: oracle}
spec:
  path: ext/oracle
  provider: {protocol: http, endpoint: "URL"}
  templates:
    oracle.cue: |
      package oracle
      #Ask: {
        #do: "ask"
        #provider: "oracle"
        $params: {question: string}
        $returns?: {value: string, ...}
      }
---
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: wise}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  schematic:
    cue:
      template: |
        import "ext/oracle"
        asking: oracle.#Ask & {$params: question: parameter.question}
        output: {apiVersion: "v1", kind: "ConfigMap", data: answer: asking.$returns.value}
        parameter: question: string
"#;

#[test]
fn a_package_of_a_user_is_asked_over_http() {
    let place = Place::shared("delivery-package");
    let sink = Sink::start();
    let manifest = PACKAGE.replace("URL", &sink.url(""));
    let (package, definition) = manifest.split_once("---").expect("two objects");
    // What imports a package waits for it, as an Application waits for its definitions.
    let told = place.apply(definition);
    assert_eq!(told.exit, 0, "{told:?}");
    let missing = "package \"ext/oracle\" not found";
    assert!(told.stderr.contains(missing), "{told:?}");
    let told = place.apply(&application("asks", "wise", "{question: why}"));
    assert_eq!(told.exit, 0, "{told:?}");
    assert!(told.stderr.contains(missing), "{told:?}");
    eventually("the Application says what it waits for", || {
        let status = place.object("app", "asks")["status"].clone();
        let waits = status["status"] == "rendering" && status["workflow"].is_null();
        (waits && status["conditions"].to_string().contains("ext/oracle")).then_some(())
    });
    place.apply(package).ok();
    place.wait_until_running("asks");
    assert_eq!(place.object("cm", "asks")["data"]["answer"], "from-sink");
    assert_eq!(sink.count("/ask"), 1);

    // Commands that ask a hub know its packages.
    let file = "import \"ext/oracle\"\n\"wiser\": {type: \"component\", attributes: workload: definition: {apiVersion: \"v1\", kind: \"ConfigMap\"}}\n\
                template: {\n\tasking: oracle.#Ask & {$params: question: parameter.question}\n\
                \toutput: {apiVersion: \"v1\", kind: \"ConfigMap\", data: answer: asking.$returns.value}\n\tparameter: question: string\n}\n";
    place.kubectl.file("wiser.cue", file);
    for line in [
        "def vet wiser.cue",
        "def apply wiser.cue",
        "def show wise",
        "def diff wise wiser.cue",
    ] {
        let output = place.caravel(line);
        let told = format!("{line}: {output:?}");
        assert!(!told.contains("not found"), "{told}");
        assert!(output.exit == 0 || line.contains("diff"), "{told}");
    }
}

#[test]
fn a_workflow_runs_again_when_the_annotation_says_so() {
    let place = Place::shared("delivery-restart");
    place
        .apply(&application("web", "webservice", "{image: nginx}"))
        .ok();
    let first = place.wait_until_running("web")["status"]["workflow"]["steps"][0]["id"].clone();
    let again = |what: &str, before: &serde_json::Value| {
        eventually(what, || {
            let app = place.object("app", "web");
            let id = app["status"]["workflow"]["steps"][0]["id"].clone();
            (id.is_string() && id != *before && app["status"]["status"] == "running")
                .then_some((id, app))
        })
    };
    place
        .run("annotate app web app.oam.dev/restart-workflow=true")
        .ok();
    let (second, app) = again("it runs again at once", &first);
    let left = &app["metadata"]["annotations"]["app.oam.dev/restart-workflow"];
    assert!(left.is_null(), "{left}");
    assert_eq!(place.names("apprev"), ["web-v1"]);

    place
        .run("annotate app web app.oam.dev/restart-workflow=2s")
        .ok();
    let (third, app) = again("it runs again after each end", &second);
    assert_eq!(
        app["metadata"]["annotations"]["app.oam.dev/restart-workflow"],
        "2s"
    );
    again("and again", &third);
}

#[test]
fn an_inventory_that_somebody_else_changed_is_read_again() {
    let place = Place::shared("delivery-touched");
    let stopped = application("web", "webservice", "{image: nginx}")
        + "  - {name: api, type: webservice, properties: {image: nginx}}\n  workflow:\n    steps:\n\
           \x20   - {name: one, type: apply-component, properties: {component: web}}\n\
           \x20   - {name: stop, type: suspend, dependsOn: [one]}\n\
           \x20   - {name: two, type: apply-component, properties: {component: api}, dependsOn: [stop]}\n";
    place.apply(&stopped).ok();
    place.wait_for_phase("web", "workflowSuspending");
    place
        .run("annotate resourcetracker web-v1-delivery-touched touched=yes")
        .ok();
    place.caravel("workflow resume web").ok();
    place.wait_until_running("web");
    place.object("deploy", "api");
}

#[test]
fn a_step_plans_the_next_run_of_its_workflow() {
    let place = Place::shared("delivery-plan");
    let planned = |wish: &str| {
        application("web", "webservice", "{image: nginx}")
            + "  workflow:\n    steps:\n    - {name: deliver, type: apply-component, properties: {component: web}}\n"
            + &format!("    - {{name: again, type: restart-workflow, properties: {{{wish}}}}}\n")
    };
    let annotation = |app: &serde_json::Value| {
        app["metadata"]["annotations"]["app.oam.dev/restart-workflow"].clone()
    };
    // Days are none of Go's durations, which is what the annotation takes.
    place.apply(&planned("every: 2d")).ok();
    let app = place.wait_until_running("web");
    assert_eq!(annotation(&app), "48h");
    assert_eq!(place.run("-n vela-system get jobs -o name").ok(), "");

    place.apply(&planned("at: '2199-01-01T00:00:00Z'")).ok();
    eventually("the time is noted", || {
        let app = place.object("app", "web");
        let at = &app["status"]["workflowRestartScheduledAt"];
        (at == "2199-01-01T00:00:00Z" && annotation(&app).is_null()).then_some(())
    });
    let id = |app: &serde_json::Value| app["status"]["workflow"]["steps"][0]["id"].clone();
    place.apply(&planned("after: 3s")).ok();
    let first = id(&place.wait_until_running("web"));
    eventually("it runs again", || {
        let second = id(&place.object("app", "web"));
        (second.is_string() && second != first).then_some(())
    });
}

#[test]
fn an_application_of_another_version_is_left_alone() {
    let place = Place::shared("delivery-version");
    let other = application("web", "webservice", "{image: nginx}").replace(
        "metadata: {name: web}",
        "metadata: {name: web, annotations: {app.oam.dev/controller-version-require: v9.9.9}}",
    );
    place.apply(&other).ok();
    // One that was applied later has been delivered: the first one had its turn.
    place
        .apply(&application("next", "webservice", "{image: nginx}"))
        .ok();
    place.wait_until_running("next");
    let app = place.object("app", "web");
    assert!(app["status"].is_null(), "{:#}", app["status"]);
    assert!(app["metadata"]["finalizers"].is_null());
    place
        .run("annotate app web app.oam.dev/controller-version-require-")
        .ok();
    place.wait_until_running("web");
}

const PATCHED: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: WorkflowStepDefinition
metadata: {name: apply-patched}
spec:
  schematic:
    cue:
      template: |
        import "vela/oam"
        load: oam.#LoadComponents & {$params: {}}
        apply: oam.#ApplyComponent & {$params: {
          value: load.$returns.value.web
          patch: {
            workload: spec: template: spec: {
              // +patchKey=name
              containers: [{name: "web", env: [{name: "ADDED", value: parameter.added}]}]
            }
            traits: ingress: metadata: annotations: patched: "yes"
          }
        }}
        parameter: added: string
---
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: web}
spec:
  components:
  - name: web
    type: webservice
    properties: {image: nginx, ports: [{port: 80}]}
    traits:
    - {type: gateway, properties: {domain: a.example.com, http: {"/": 80}}}
  workflow:
    steps:
    - {name: apply, type: apply-patched, properties: {added: "now"}}
"#;

#[test]
fn a_step_patches_workload_and_traits_of_a_component() {
    let place = Place::shared("delivery-patched");
    place.apply(PATCHED).ok();
    place.wait_until_running("web");
    let deploy = place.object("deploy", "web");
    let container = &deploy["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "nginx", "{container}");
    assert_eq!(container["env"][0]["name"], "ADDED", "{container}");
    assert_eq!(container["env"][0]["value"], "now", "{container}");
    let ingress = place.object("ingress", "web");
    assert_eq!(ingress["metadata"]["annotations"]["patched"], "yes");
}

/// A step is known by what it applies, too (WF-004): to other steps, and to what components depend on.
#[test]
fn steps_wait_for_components_whatever_the_steps_are_called() {
    let place = Place::shared("delivery-called");
    let components = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: called}\nspec:\n  components:\n\
         \x20 - {name: db, type: webservice, properties: {image: nginx}}\n\
         \x20 - {name: web, type: webservice, properties: {image: nginx}, dependsOn: [db]}\n\
         \x20 - {name: api, type: webservice, properties: {image: nginx}}\n  workflow:\n    mode: {steps: DAG}\n    steps:\n\
         \x20   - {name: three, type: apply-component, dependsOn: [web], if: status.web.succeeded, properties: {component: api}}\n\
         \x20   - {name: two, type: apply-component, properties: {component: web}}\n\
         \x20   - {name: one, type: apply-component, properties: {component: db}}\n";
    place.apply(components).ok();
    let app = place.wait_until_running("called");
    let steps = app["status"]["workflow"]["steps"].clone();
    let steps = steps.as_array().expect("steps").iter();
    let phases: Vec<_> = steps.map(|step| step["phase"].clone()).collect();
    assert_eq!(phases, ["succeeded"; 3]);
}
