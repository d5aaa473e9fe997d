//! Definitions of users: registered live, used at once, refused with their place.

use crate::place::{Place, application};

const YAML: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata:
  name: settings
  annotations: {definition.oam.dev/description: Settings as a ConfigMap}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  schematic:
    cue:
      template: |
        output: {
          apiVersion: "v1"
          kind:       "ConfigMap"
          data: color: parameter.color
        }
        parameter: {
          // +usage=The color
          color: *"red" | string
        }
"#;

const CUE: &str = r#"
"shout": {
	type: "component"
	annotations: {}
	labels: {}
	description: "Says something loudly"
	attributes: workload: definition: {apiVersion: "v1", kind: "ConfigMap"}
}
template: {
	output: {
		apiVersion: "v1"
		kind:       "ConfigMap"
		data: text: "\(parameter.text)!"
	}
	parameter: text: string
}
"#;

#[test]
fn a_definition_in_yaml_is_used_by_the_next_application() {
    let place = Place::shared("definition-yaml");
    place.apply(YAML).ok();
    place
        .apply(&application("mine", "settings", "{color: blue}"))
        .ok();
    place.wait_until_running("mine");
    assert_eq!(place.object("cm", "mine")["data"]["color"], "blue");
}

#[test]
fn a_definition_in_cue_is_used_by_the_next_application() {
    let place = Place::shared("definition-cue");
    place.kubectl.file("shout.cue", CUE);
    place.caravel("def apply shout.cue").ok();
    place
        .apply(&application("loud", "shout", "{text: hello}"))
        .ok();
    place.wait_until_running("loud");
    assert_eq!(place.object("cm", "loud")["data"]["text"], "hello!");

    let listed = place.caravel("def list").ok();
    assert!(
        listed.contains("shout") && listed.contains("Says something loudly"),
        "{listed}"
    );
    let shown = place.caravel("def show shout").ok();
    assert!(
        shown.contains("parameter: text: string") || shown.contains("text: string"),
        "{shown}"
    );

    // A trait with it, in another file.
    let loud_trait = r#"
"stamp": {
	type: "trait"
	annotations: {}
	labels: {}
	description: "Stamps"
	attributes: {appliesToWorkloads: ["*"], podDisruptive: false}
}
template: {
	patch: metadata: labels: stamp: parameter.text
	parameter: text: string
}
"#;
    place.kubectl.file("stamp.cue", loud_trait);
    place.caravel("def apply stamp.cue").ok();
    place
        .apply(
            &(application("stamped", "shout", "{text: hello}")
                + "    traits: [{type: stamp, properties: {text: seen}}]\n"),
        )
        .ok();
    place.wait_until_running("stamped");
    assert_eq!(
        place.object("cm", "stamped")["metadata"]["labels"]["stamp"],
        "seen"
    );
}

#[test]
fn a_definition_that_does_not_compile_is_refused_with_line_and_column() {
    let place = Place::shared("definition-broken");
    let said = place
        .apply(&YAML.replace("data: color: parameter.color", "data: color: nowhere.color"))
        .fails();
    assert!(said.contains("nowhere"), "{said}");
    assert!(said.contains("line 4"), "{said}");
    assert!(said.contains("column"), "{said}");
    assert!(place.get("componentdefinition", "settings").is_none());

    place
        .kubectl
        .file("broken.cue", &CUE.replace("data: text:", "data text:"));
    let said = place.caravel("def apply broken.cue").fails();
    assert!(said.contains("broken.cue:"), "{said}");
    assert!(place.get("componentdefinition", "shout").is_none());
}

#[test]
fn an_unknown_type_is_a_warning_and_goes_on_by_itself() {
    let place = Place::shared("definition-later");
    let answer = place.apply(&application("early", "not-there-yet", "{color: green}"));
    assert_eq!(answer.exit, 0, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("Warning") && answer.stderr.contains("not-there-yet"),
        "{}",
        answer.stderr
    );
    assert!(place.get("cm", "early").is_none());
    place
        .apply(&YAML.replace("name: settings", "name: not-there-yet"))
        .ok();
    place.wait_until_running("early");
    assert_eq!(place.object("cm", "early")["data"]["color"], "green");
}
