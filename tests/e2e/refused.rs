//! Bad input: refused where the user waits for the answer, with the place; nothing is applied, and what ran
//! before keeps running.

use crate::place::{Place, application, generations};

/// A case: what is wrong, the Application, and what the answer must name.
struct Case {
    what: &'static str,
    manifest: String,
    names: &'static [&'static str],
}

fn case(what: &'static str, manifest: impl Into<String>, names: &'static [&'static str]) -> Case {
    Case {
        what,
        manifest: manifest.into(),
        names,
    }
}

fn cases() -> Vec<Case> {
    vec![
        case(
            "a missing parameter",
            application("web", "webservice", "{cpu: \"1\"}"),
            &["spec.components[0].properties.image", "Required value"],
        ),
        case(
            "a parameter of another type",
            application(
                "web",
                "webservice",
                "{image: nginx:2, ports: [{port: eighty}]}",
            ),
            &["spec.components[0].properties.ports"],
        ),
        case(
            "a wrong parameter of a trait",
            application("web", "webservice", "{image: nginx:2}")
                + "    traits: [{type: scaler, properties: {replicas: many}}]\n",
            &["spec.components[0].traits[0].properties.replicas"],
        ),
        case(
            "an unknown field",
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: web}\nspec:\n  componentz: []\n  components: []\n",
            &["componentz"],
        ),
        case(
            "a wrong shape",
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: web}\nspec: {components: {name: web}}\n",
            &["components"],
        ),
        case(
            "one name for two components",
            application("web", "webservice", "{image: nginx:2}")
                + "  - {name: web, type: worker, properties: {image: busybox:1}}\n",
            &["spec.components[1].name", "web"],
        ),
        case(
            "a circle of dependencies",
            "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: web}\nspec:\n  components:\n\
             \x20 - {name: a, type: worker, properties: {image: busybox:1}, dependsOn: [b]}\n\
             \x20 - {name: b, type: worker, properties: {image: busybox:1}, dependsOn: [a]}\n",
            &["dependsOn", "a", "b"],
        ),
        case(
            "one name for two steps",
            application("web", "webservice", "{image: nginx:2}")
                + "  workflow: {steps: [{name: s, type: suspend}, {name: s, type: suspend}]}\n",
            &["spec.workflow.steps[1]", "s"],
        ),
    ]
}

#[test]
fn bad_input_is_refused_at_apply_with_its_place() {
    let place = Place::shared("refused");
    let mut wrong = Vec::new();
    for Case {
        what,
        manifest,
        names,
    } in cases()
    {
        let answer = place.apply(&manifest);
        let said = format!("{}{}", answer.stdout, answer.stderr);
        if answer.exit == 0 || !names.iter().all(|name| said.contains(name)) {
            wrong.push(format!(
                "{what}: exit {}, expected {names:?}: {said}",
                answer.exit
            ));
        }
        if place.get("app", "web").is_some() {
            wrong.push(format!("{what}: it is there all the same"));
            place.run("delete app web").ok();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(place.names("deploy").is_empty());
}

#[test]
fn what_ran_before_keeps_running() {
    let place = Place::shared("refused-later");
    place
        .apply(&application("web", "webservice", "{image: nginx:1}"))
        .ok();
    let before = place.wait_until_running("web");
    let generation = generations(&place, "deploy");
    for Case { what, manifest, .. } in cases() {
        let answer = place.apply(&manifest);
        assert_ne!(answer.exit, 0, "{what}");
        let now = place.object("app", "web");
        assert_eq!(now["spec"], before["spec"], "{what}");
        assert_eq!(now["status"]["status"], "running", "{what}");
    }
    assert_eq!(generations(&place, "deploy"), generation);
}

#[test]
fn what_can_only_be_seen_later_is_told_in_the_status_and_changes_nothing() {
    let place = Place::shared("refused-template");
    // It compiles; what it makes of this parameter does not.
    let definition = r#"
apiVersion: core.oam.dev/v1beta1
kind: ComponentDefinition
metadata: {name: picky}
spec:
  workload: {definition: {apiVersion: v1, kind: ConfigMap}}
  schematic:
    cue:
      template: |
        output: {
          apiVersion: "v1"
          kind: "ConfigMap"
          data: value: table[parameter.key]
        }
        table: known: "yes"
        parameter: key: string
"#;
    place.apply(definition).ok();
    place
        .apply(&application("pick", "picky", "{key: known}"))
        .ok();
    place.wait_until_running("pick");
    let answer = place.apply(&application("pick", "picky", "{key: nobody}"));
    let told = if answer.exit == 0 {
        caravel_tests::wait::eventually("a condition tells", || {
            let status = place.object("app", "pick")["status"].to_string();
            status.contains("nobody").then_some(status)
        })
    } else {
        answer.stderr
    };
    assert!(told.contains("picky"), "the definition is named: {told}");
    let config = place.object("cm", "pick");
    assert_eq!(
        config["data"]["value"], "yes",
        "what was delivered before stays"
    );
}
