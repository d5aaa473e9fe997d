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
    let shown = place.caravel("def get shout").ok();
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

/// A component that greets, as a `ConfigMap`; a version where one is given.
fn greeting(name: &str, version: &str, text: &str) -> String {
    let version = if version.is_empty() {
        String::new()
    } else {
        format!("  version: \"{version}\"\n")
    };
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: ComponentDefinition\nmetadata: {{name: {name}}}\nspec:\n{version}  \
         workload: {{definition: {{apiVersion: v1, kind: ConfigMap}}}}\n  schematic:\n    cue:\n      template: |\n        \
         output: {{apiVersion: \"v1\", kind: \"ConfigMap\", data: text: \"{text}\"}}\n        parameter: {{}}\n"
    )
}

fn text(place: &Place, name: &str) -> String {
    let object = place.object("cm", name);
    object["data"]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_definition_in_use_is_not_deleted_unless_forced() {
    let place = Place::shared("definition-in-use");
    place.apply(&greeting("salute", "", "hello")).ok();
    place.apply(&application("mine", "salute", "{}")).ok();
    place.wait_until_running("mine");
    let said = place.run("delete componentdefinition salute").fails();
    assert!(
        said.contains("1 Application uses it: definition-in-use/mine"),
        "{said}"
    );
    assert!(said.contains("caravel.dev/force-delete=true"), "{said}");
    assert!(place.get("componentdefinition", "salute").is_some());
    // An Application of another namespace that has a definition of this name does not count.
    let other = Place::shared("definition-not-in-use");
    other.apply(&greeting("salute", "", "good day")).ok();
    other.run("delete componentdefinition salute").ok();

    place
        .run("annotate componentdefinition salute caravel.dev/force-delete=true")
        .ok();
    place.run("delete componentdefinition salute").ok();
    assert_eq!(text(&place, "mine"), "hello", "what was delivered stays");
}

#[test]
fn versions_are_kept_apart_and_followed_on_request() {
    let place = Place::shared("definition-versions");
    place.apply(&greeting("hail", "1.0.0", "one")).ok();
    let names = || place.names("definitionrevision");
    caravel_tests::wait::eventually("the first version is recorded", || {
        names().contains(&"hail-v1.0.0".to_owned()).then_some(())
    });
    let follows = "metadata: {name: follows, annotations: {app.oam.dev/autoUpdate: \"true\"}}";
    place
        .apply(
            &application("follows", "hail@v1", "{}").replace("metadata: {name: follows}", follows),
        )
        .ok();
    place.apply(&application("stays", "hail@v1.0.0", "{}")).ok();
    place.wait_until_running("follows");
    place.wait_until_running("stays");

    let said = place.apply(&greeting("hail", "1.0.0", "changed")).fails();
    assert!(
        said.contains("spec.version") && said.contains("hail-v1.0.0"),
        "{said}"
    );
    let said = place.apply(&greeting("hail", "1.1", "two")).fails();
    assert!(said.contains("three numbers"), "{said}");

    place.apply(&greeting("hail", "1.1.0", "two")).ok();
    caravel_tests::wait::eventually("the new version is taken up", || {
        (text(&place, "follows") == "two").then_some(())
    });
    assert_eq!(text(&place, "stays"), "one");
    assert!(names().contains(&"hail-v1.1.0".to_owned()), "{:?}", names());
}

#[test]
fn a_definition_of_the_namespace_goes_before_the_systems() {
    let place = Place::shared("definition-own");
    // `webservice` is a built-in one; here it is something else.
    place.apply(&greeting("webservice", "", "ours")).ok();
    place.apply(&application("mine", "webservice", "{}")).ok();
    place.wait_until_running("mine");
    assert_eq!(text(&place, "mine"), "ours");
    assert!(place.get("deploy", "mine").is_none());
}

#[test]
fn schemas_are_kept_for_the_definition_and_each_revision() {
    let place = Place::shared("definition-schemas");
    let with = |parameter: &str| YAML.replace("color: *\"red\" | string", parameter);
    place
        .apply(&YAML.replace("name: settings", "name: shades"))
        .ok();
    let schema = |name: &str| {
        caravel_tests::wait::eventually(&format!("the schema {name}"), || place.get("cm", name))
    };
    let first = schema("component-schema-shades-v1");
    assert_eq!(first["metadata"]["labels"]["definition.oam.dev"], "schema");
    assert_eq!(
        first["metadata"]["labels"]["definition.oam.dev/name"],
        "shades-v1"
    );
    assert_eq!(
        first["metadata"]["ownerReferences"][0]["kind"],
        "DefinitionRevision"
    );
    let current = schema("component-schema-shades");
    assert_eq!(
        current["metadata"]["labels"]["definition.oam.dev/name"],
        "shades"
    );
    assert_eq!(
        current["metadata"]["ownerReferences"][0]["kind"],
        "ComponentDefinition"
    );
    assert_eq!(current["data"], first["data"]);

    // What depends on the context has a schema all the same.
    let depends =
        "if context.clusterVersion.minor > 20 {extra: string}\n          color: *\"red\" | string";
    place
        .apply(&with(depends).replace("name: settings", "name: shades"))
        .ok();
    let second = schema("component-schema-shades-v2");
    let text = second["data"]["openapi-v3-json-schema"]
        .as_str()
        .expect("a schema");
    assert!(
        text.contains("\"color\"") && !text.contains("\"extra\""),
        "{text}"
    );
    let listed = caravel_tests::wait::eventually("the reference to the schema", || {
        let status = place.object("componentdefinition", "shades")["status"].clone();
        (status["latestRevision"]["name"] == "shades-v2").then_some(status)
    });
    assert_eq!(listed["configMapRef"], "component-schema-shades");
}

#[test]
fn old_cue_is_read_with_a_warning_that_names_its_place() {
    let place = Place::shared("definition-old");
    let old = YAML
        .replace("name: settings", "name: antique")
        .replace(
            "data: color: parameter.color",
            "data: color: strings.Join([\"a\"] + [parameter.color], \"-\")",
        )
        .replace(
            "        output: {\n",
            "        import \"strings\"\n        output: {\n",
        );
    let answer = place.apply(&old);
    assert_eq!(answer.exit, 0, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("Warning") && answer.stderr.contains("line 5, column 29"),
        "{}",
        answer.stderr
    );
    let condition = caravel_tests::wait::eventually("a condition tells of it", || {
        let status = place.object("componentdefinition", "antique")["status"].clone();
        let conditions = status["conditions"].as_array()?.clone();
        conditions
            .into_iter()
            .find(|one| one["type"] == "Compatible")
    });
    let message = condition["message"].as_str().expect("a message");
    assert!(message.contains("line 5, column 29"), "{message}");
    assert!(message.contains("caravel def upgrade"), "{message}");
    place
        .apply(&application("mine", "antique", "{color: blue}"))
        .ok();
    place.wait_until_running("mine");
    assert_eq!(place.object("cm", "mine")["data"]["color"], "a-blue");
}

#[test]
fn a_definition_chooses_its_evaluator() {
    let place = Place::shared("definition-evaluator");
    // The two tell of lists that do not fit in other words.
    let strange = |name: &str, evaluator: &str| {
        let annotations =
            format!("{{name: {name}, annotations: {{caravel.dev/cue-evaluator: {evaluator}}}}}");
        greeting(name, "", "x")
            .replace(&format!("{{name: {name}}}"), &annotations)
            .replace(
                "parameter: {}",
                "if parameter.both {output: args: [\"a\"], output: args: [\"b\", \"c\"]}\n        \
                 parameter: both: *false | bool",
            )
    };
    let said = place.apply(&strange("none", "v4")).fails();
    assert!(
        said.contains("caravel.dev/cue-evaluator") && said.contains("v2 or v3"),
        "{said}"
    );
    for (evaluator, words) in [
        ("v2", "incompatible list lengths"),
        ("v3", "conflicting values"),
    ] {
        let name = format!("with-{evaluator}");
        place.apply(&strange(&name, evaluator)).ok();
        place.apply(&application(&name, &name, "{}")).ok();
        place.wait_until_running(&name);
        let said = place
            .apply(&application(&name, &name, "{both: true}"))
            .fails();
        assert!(said.contains(words), "{evaluator}: {said}");
    }
}

#[test]
fn what_a_definition_makes_is_compared_with_the_schemas_of_the_hub() {
    let place = Place::shared("definition-fields");
    let deployment = |spec: &str| {
        greeting("thing", "", "x")
            .replace(
                "kind: \"ConfigMap\", data: text: \"x\"",
                &format!("kind: \"Deployment\", {spec}"),
            )
            .replace("apiVersion: \"v1\"", "apiVersion: \"apps/v1\"")
    };
    let answer = place.apply(&deployment("spec: {replica: 1}"));
    assert_eq!(answer.exit, 0, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("has no field `spec.replica`")
            && answer.stderr.contains("line 1, column"),
        "{}",
        answer.stderr
    );
    let answer = place.apply(&deployment("spec: {replicas: \"one\"}"));
    assert!(
        answer.stderr.contains("takes another type of value in"),
        "{}",
        answer.stderr
    );
    let answer = place
        .apply(&greeting("thing", "", "x").replace("kind: \"ConfigMap\"", "kind: \"ConfigMup\""));
    assert_eq!(answer.exit, 0, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("does not know the kind ConfigMup"),
        "{}",
        answer.stderr
    );
}

/// Definitions that are refused, and what the answer names.
#[test]
fn a_definition_that_cannot_work_is_refused() {
    let place = Place::shared("definition-refused");
    let good = greeting("faulty", "", "x");
    let health = |policy: &str| {
        good.replace(
            "  schematic:\n",
            &format!("  status: {{healthPolicy: '{policy}'}}\n  schematic:\n"),
        )
    };
    let cases = [
        (
            "no output",
            good.replace("output: {", "thing: {"),
            "field not found: output",
        ),
        (
            "no kind",
            good.replace("kind: \"ConfigMap\", ", ""),
            "output.kind",
        ),
        (
            "an undeclared parameter",
            good.replace("\"x\"", "parameter.colour")
                .replace("parameter: {}", "parameter: close({color: string})"),
            "colour",
        ),
        (
            "never healthy",
            health("isHealth: false"),
            "can never be true",
        ),
        ("no health", health("ready: true"), "isHealth"),
        (
            "a broken health policy",
            health("isHealth: context."),
            "healthPolicy",
        ),
    ];
    for (what, manifest, expected) in cases {
        let said = place.apply(&manifest).fails();
        assert!(said.contains(expected), "{what}: {said}");
        assert!(said.contains("line 1, column"), "{what}: {said}");
        // The command line says the same of the same definition.
        let by_command = place.caravel("def apply manifest.yaml").fails();
        assert!(by_command.contains(expected), "{what}: {by_command}");
        assert!(
            place.get("componentdefinition", "faulty").is_none(),
            "{what}"
        );
    }
}
