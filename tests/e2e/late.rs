//! Traits that come last: they see live objects, and follow them.

use caravel_tests::sink::Sink;
use caravel_tests::wait::eventually;
use serde_json::Value;

use crate::place::{Place, application};

const DEFINITIONS: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: sized}
spec:
  workload: {definition: {apiVersion: apps/v1, kind: Deployment}}
  status:
    healthPolicy: |
      isHealth: *(context.output.status.readyReplicas > 0) | false
  schematic:
    cue:
      template: |
        output: {
          apiVersion: "apps/v1"
          kind: "Deployment"
          metadata: annotations: note: parameter.note
          spec: {
            if parameter.replicas != _|_ {replicas: parameter.replicas}
            selector: matchLabels: app: context.name
            template: {
              metadata: labels: app: context.name
              spec: containers: [{name: context.name, image: "nginx"}]
            }
          }
        }
        parameter: {replicas?: int, note: *"" | string}
---
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: count}
spec:
  stage: PostDispatch
  status:
    healthPolicy: |
      isHealth: context.outputs.count.data.replicas != "0"
    customStatus: |
      message: "counted \(context.outputs.count.data.replicas)"
  schematic:
    cue:
      template: |
        outputs: count: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-count", data: {
          replicas: "\(context.output.status.replicas)"
          note: *context.parameter.note | "none"
        }}
        parameter: {}
---
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: twin}
spec:
  stage: PostDispatch
  schematic:
    cue:
      template: |
        outputs: twin: {
          apiVersion: "apps/v1"
          kind: "Deployment"
          metadata: name: context.name + "-twin"
          spec: {
            replicas: context.output.status.replicas
            selector: matchLabels: app: context.name + "-twin"
            template: {
              metadata: labels: app: context.name + "-twin"
              spec: containers: [{name: "twin", image: "nginx"}]
            }
          }
        }
        parameter: {}
---
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: elsewhere}
spec:
  stage: PostDispatch
  schematic:
    cue:
      template: |
        outputs: there: {apiVersion: "v1", kind: "ConfigMap", metadata: {name: context.name + "-there", namespace: parameter.namespace}}
        parameter: namespace: string
---
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: never}
spec:
  status: {healthPolicy: "isHealth: context.outputs.never.data.open == \"yes\"", customStatus: "message: \"never healthy\""}
  schematic:
    cue:
      template: |
        outputs: never: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-never", data: open: "no"}
        parameter: {}
---
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: manager}
spec:
  manageWorkload: true
  schematic:
    cue:
      template: |
        outputs: managed: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-managed"}
        parameter: {}
---
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: kind}
spec:
  stage: PostDispatch
  schematic:
    cue:
      template: |
        outputs: kind: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-kind", data: kind: context.output.kind}
        parameter: {}
"#;

fn with_traits(properties: &str, traits: &[&str]) -> String {
    let lines = traits.iter().map(|one| format!("    - {one}\n"));
    application("web", "sized", properties) + "    traits:\n" + &lines.collect::<String>()
}

fn counted(place: &Place) -> Value {
    let object = place.get("cm", "web-count");
    object.map_or(Value::Null, |object| object["data"]["replicas"].clone())
}

fn wait_until_counted(place: &Place, replicas: &str) {
    eventually("what a late trait saw is up to date", || {
        (counted(place) == replicas).then_some(())
    });
}

/// The row of a trait of the only component.
fn row(place: &Place, type_: &str) -> Option<Value> {
    let app = place.object("app", "web");
    let rows = app["status"]["services"][0]["traits"].as_array()?.clone();
    rows.into_iter().find(|row| row["type"] == type_)
}

#[test]
fn late_traits_follow_the_objects_that_they_see() {
    let place = Place::shared("late-follow");
    place.apply(DEFINITIONS).ok();
    let traits = ["{type: count}", "{type: twin}"];
    place.apply(&with_traits("{replicas: 3}", &traits)).ok();
    place.wait_until_running("web");
    wait_until_counted(&place, "3");
    place.apply(&with_traits("{replicas: 2}", &traits)).ok();
    wait_until_counted(&place, "2");
    eventually("the second Deployment is of the same size", || {
        (place.object("deploy", "web-twin")["spec"]["replicas"] == 2).then_some(())
    });
    // Also when nobody touches the Application.
    place.apply(&with_traits("{}", &traits)).ok();
    eventually("the third revision runs", || {
        let status = place.object("app", "web")["status"].clone();
        let is_third = status["latestRevision"]["name"] == "web-v3";
        (is_third && status["status"] == "running").then_some(())
    });
    place.run("scale deploy web --replicas=5").ok();
    wait_until_counted(&place, "5");
    eventually("its row tells", || {
        let row = row(&place, "count")?;
        (row["message"] == "counted 5" && row["healthy"] == true).then_some(())
    });
    assert_eq!(place.names("applicationrevision").len(), 3);
    // One that is taken away takes what it made along.
    place.apply(&with_traits("{}", &traits[1..])).ok();
    eventually("what the trait made is gone", || {
        place.get("cm", "web-count").is_none().then_some(())
    });
    assert!(place.get("deploy", "web-twin").is_some());
}

#[test]
fn a_late_trait_that_cannot_be_applied_fails_no_step_and_is_tried_again() {
    let place = Place::shared("late-fails");
    place.apply(DEFINITIONS).ok();
    let elsewhere = "{type: elsewhere, properties: {namespace: late-made}}";
    place.apply(&with_traits("{}", &[elsewhere])).ok();
    let app = eventually("the row tells why", || {
        let row = row(&place, "elsewhere")?;
        let message = row["message"].as_str()?;
        let tells = message.contains("late-made") && row["pending"] == true;
        tells.then(|| place.wait_until_running("web"))
    });
    let status = &app["status"];
    assert_eq!(status["workflow"]["steps"][0]["phase"], "succeeded");
    assert_eq!(status["services"][0]["healthy"], true, "{status:#}");
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().find(|one| one["type"] == "Ready");
    let ready = ready.expect("a condition");
    assert_eq!(ready["status"], "False");
    let message = ready["message"].as_str().unwrap_or_default();
    let begins = "failed to dispatch PostDispatch traits for component web: ";
    assert!(message.starts_with(begins), "{message}");

    place.run("create namespace late-made").ok();
    eventually("it is tried again", || {
        place.kubectl.get("cm", "late-made", "web-there")
    });
    eventually("nothing is wrong any more", || {
        let app = place.object("app", "web");
        let conditions = app["status"]["conditions"].as_array()?.clone();
        let ready = conditions.into_iter().find(|one| one["type"] == "Ready")?;
        (ready["status"] == "True" && row(&place, "elsewhere")?["healthy"] == true).then_some(())
    });
}

#[test]
fn what_a_late_trait_made_stays_while_it_cannot_be_made_anew() {
    let place = Place::shared("late-stays");
    place.apply(DEFINITIONS).ok();
    place.apply(&with_traits("{}", &["{type: count}"])).ok();
    place.wait_until_running("web");
    wait_until_counted(&place, "1");
    let elsewhere = "{type: elsewhere, properties: {namespace: late-stays-not}}";
    place
        .apply(&with_traits("{note: x}", &["{type: count}", elsewhere]))
        .ok();
    eventually("the second revision cannot deliver its late traits", || {
        let app = place.object("app", "web");
        let is_second = app["status"]["latestRevision"]["name"] == "web-v2";
        (is_second && app["status"]["workflow"]["finished"] == true).then_some(())?;
        row(&place, "elsewhere")?["message"]
            .as_str()?
            .contains("late-stays-not")
            .then_some(())
    });
    assert_eq!(counted(&place), "1");
}

#[test]
fn a_trait_that_is_not_healthy_does_not_hold_late_ones_back() {
    let place = Place::shared("late-unheld");
    place.apply(DEFINITIONS).ok();
    place
        .apply(&with_traits("{}", &["{type: never}", "{type: count}"]))
        .ok();
    wait_until_counted(&place, "1");
    let row = eventually("the row has both", || {
        row(&place, "count").filter(|row| row["pending"].is_null())
    });
    assert_eq!(row["healthy"], true, "{row}");
    let app = place.object("app", "web");
    assert_eq!(app["status"]["status"], "runningWorkflow");
    assert_eq!(app["status"]["services"][0]["workloadHealthy"], true);
    assert_eq!(app["status"]["services"][0]["healthy"], false);
}

#[test]
fn late_traits_see_a_workload_that_a_trait_manages_as_it_was_made() {
    let place = Place::shared("late-managed");
    place.apply(DEFINITIONS).ok();
    place
        .apply(&with_traits("{}", &["{type: manager}", "{type: kind}"]))
        .ok();
    place.wait_until_running("web");
    assert_eq!(place.object("cm", "web-kind")["data"]["kind"], "Deployment");
    assert!(place.get("deploy", "web").is_none());
}

/// The other component waits for what a late trait makes.
const PASSED: &str = r"
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: passes}
spec:
  components:
  - name: source
    type: sized
    properties: {}
    traits: [{type: expose, properties: {port: [80]}}]
    outputs: [{name: ip, valueFrom: outputs.service.spec.clusterIP}]
  - name: sink
    type: sized
    properties: {}
    inputs: [{from: ip, parameterKey: note}]
    traits: [{type: count}]
POLICIES
";

#[test]
fn objects_of_late_traits_are_outputs_of_their_component() {
    let topology = "  policies: [{name: here, type: topology, properties: {clusters: [local]}}]";
    for (namespace, policies) in [("late-steps", ""), ("late-deploy", topology)] {
        let place = Place::shared(namespace);
        place.apply(DEFINITIONS).ok();
        place.apply(&PASSED.replace("POLICIES", policies)).ok();
        place.wait_until_running("passes");
        let ip = place.object("svc", "source")["spec"]["clusterIP"].clone();
        let seen = place.object("cm", "sink-count")["data"]["note"].clone();
        assert_eq!(seen, ip, "{namespace}");
    }
}

/// Rendered once, and after a restart only if what they see is something else.
#[test]
fn a_restart_alone_renders_no_late_trait() {
    let sink = Sink::start();
    let asking = format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: TraitDefinition\nmetadata: {{name: asking}}\nspec:\n  stage: PostDispatch\n\
         \x20 schematic:\n    cue:\n      template: |\n        import \"vela/http\"\n        parameter: {{}}\n\
         \x20       asked: http.#Post & {{$params: {{url: \"{}\", request: body: \"\\(context.output.status.replicas)\"}}}}\n\
         \x20       outputs: answer: {{apiVersion: \"v1\", kind: \"ConfigMap\", metadata: name: context.name + \"-answer\", data: \
         {{code: \"\\(asked.$returns.statusCode)\", replicas: \"\\(context.output.status.replicas)\"}}}}\n",
        sink.url("/late")
    );
    let mut place = Place::own("default");
    place.apply(DEFINITIONS).ok();
    place.apply(&asking).ok();
    place.apply(&with_traits("{}", &["{type: asking}"])).ok();
    place.wait_until_running("web");
    let answered = |place: &Place, replicas: &str| {
        eventually("the late trait has its answer", || {
            let data = place.get("cm", "web-answer")?["data"].clone();
            (data["replicas"] == replicas && data["code"] == "200").then_some(())
        });
    };
    answered(&place, "1");
    let before = sink.count("/late");
    let daemon = std::sync::Arc::get_mut(&mut place.daemon).expect("nobody else has it");
    daemon.kill();
    daemon.restart();
    // Its row is looked at again.
    place.run("annotate deploy web poke=1").ok();
    place
        .apply(&application("marker", "webservice", "{image: nginx}"))
        .ok();
    place.wait_until_running("marker");
    place.wait_until_running("web");
    assert_eq!(sink.count("/late"), before);
    place.run("scale deploy web --replicas=3").ok();
    answered(&place, "3");
    assert!(sink.count("/late") > before);
}

/// What inputs gave is known to another process too.
#[test]
fn after_a_crash_late_traits_follow_with_what_their_component_was_given() {
    let mut place = Place::own("default");
    place.apply(DEFINITIONS).ok();
    place.apply(&PASSED.replace("POLICIES", "")).ok();
    place.wait_until_running("passes");
    let ip = place.object("svc", "source")["spec"]["clusterIP"].clone();
    let daemon = std::sync::Arc::get_mut(&mut place.daemon).expect("nobody else has it");
    daemon.kill();
    daemon.restart();
    place.run("scale deploy sink --replicas=4").ok();
    let data = eventually("it follows after the crash", || {
        let data = place.object("cm", "sink-count")["data"].clone();
        (data["replicas"] == "4").then_some(data)
    });
    assert_eq!(data["note"], ip);
}
