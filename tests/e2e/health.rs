//! How components stand, long after they were delivered: from what was recorded and what is live.

use caravel_tests::wait::eventually;
use serde_json::Value;

use crate::place::{Place, application};

const DEFINITIONS: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: spread}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  status:
    healthPolicy: |
      isHealth: context.output.data.ok == "yes" && context.outputs.far.data.ok == "yes"
    customStatus: |
      message: "far says \(context.outputs.far.data.ok) \(context.outputs.far.metadata.annotations.said)"
  schematic:
    cue:
      template: |
        output: {apiVersion: "v1", kind: "ConfigMap", metadata: namespace: parameter.namespace, data: ok: "yes"}
        outputs: far: {apiVersion: "v1", kind: "ConfigMap", metadata: {name: context.name + "-far", namespace: parameter.namespace}, data: ok: "yes"}
        parameter: namespace: string
---
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: pinned}
spec:
  version: 1.2.3
  controlPlaneOnly: true
  status:
    healthPolicy: |
      isHealth: context.outputs.pin.data.ok == "yes"
    customStatus: |
      message: "pin says \(context.outputs.pin.metadata.annotations.said)"
  schematic:
    cue:
      template: |
        outputs: pin: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-pin", data: ok: "yes"}
        parameter: {}
"#;

/// What an annotation says is told by a status text only if the object is found again: nothing is delivered for it.
fn wait_for_message(place: &Place, pointer: &str, message: &str) {
    let app = eventually("the status tells what the object says", || {
        let app = place.object("app", "web");
        (app.pointer(pointer)?.as_str()? == message).then_some(app)
    });
    assert_eq!(app["status"]["status"], "running", "{:#}", app["status"]);
}

#[test]
fn objects_in_other_namespaces_count() {
    let place = Place::shared("health-apart");
    place.run("create namespace health-far").ok();
    place.apply(DEFINITIONS).ok();
    place
        .apply(&application("web", "spread", "{namespace: health-far}"))
        .ok();
    place.wait_until_running("web");
    let line = [
        "-n",
        "health-far",
        "annotate",
        "cm",
        "web-far",
        "said=hello",
    ];
    place.kubectl.run_args(&line).ok();
    wait_for_message(&place, "/status/services/0/message", "far says yes hello");
    let far = place.kubectl.get("cm", "health-far", "web-far");
    assert_ne!(far, None::<Value>);
}

#[test]
fn objects_of_a_pinned_trait_that_stay_on_the_hub_count() {
    let place = Place::shared("health-pinned");
    place.run("create namespace health-placed").ok();
    place.apply(DEFINITIONS).ok();
    let manifest = application("web", "spread", "{namespace: anywhere}")
        + "    traits: [{type: pinned@v1.2.3}]\n\
           \x20 policies:\n\
           \x20 - {name: there, type: topology, properties: {clusters: [local], namespace: health-placed}}\n";
    place.apply(&manifest).ok();
    place.wait_until_running("web");
    place.run("annotate cm web-pin said=hello").ok();
    wait_for_message(
        &place,
        "/status/services/0/traits/0/message",
        "pin says hello",
    );
}

const TEXTS: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: hasty}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  status:
    healthPolicy: |
      isHealth: context.output.data.phase == "ready"
    customStatus: |
      if context.output.data.told != _|_ {message: context.output.data.told}
  schematic:
    cue:
      template: |
        output: {apiVersion: "v1", kind: "ConfigMap", data: parameter.data}
        parameter: data: [string]: string
"#;

/// The author of the definition is told where it reads what is not there yet; a message that is not set is none.
#[test]
fn a_status_text_that_fails_is_named() {
    let place = Place::shared("health-texts");
    place.apply(TEXTS).ok();
    place
        .apply(&application("web", "hasty", r#"{data: {a: "1"}}"#))
        .ok();
    let why = "the health policy of `hasty` fails at line 1, column 31: undefined field: phase";
    eventually("the row names the text", || {
        let app = place.object("app", "web");
        (app.pointer("/status/services/0/message")?.as_str()? == why).then_some(())
    });
    place
        .apply(&application("web", "hasty", "{data: {phase: ready}}"))
        .ok();
    let app = place.wait_until_running("web");
    assert_eq!(app.pointer("/status/services/0/message"), None, "{app:#}");
}
