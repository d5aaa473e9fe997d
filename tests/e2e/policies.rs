//! Policies that work on the Application itself, and policies that render objects.

use std::sync::Arc;

use caravel_tests::wait::eventually;
use serde_json::Value;

use crate::place::{Place, application};

const SCOPED: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: PolicyDefinition
metadata: {name: mutate}
spec:
  scope: Application
  schematic:
    cue:
      template: |
        parameter: tag: string
        output: {
          components: [for c in context.appComponents {
            name: c.name, type: c.type, properties: image: "nginx:\(parameter.tag)"
          }, {name: "extra", type: "worker", properties: image: "busybox"}]
          ctx: color: "blue"
          labels: app: context.appName
        }
---
apiVersion: core.oam.dev/v1beta1
kind: PolicyDefinition
metadata: {name: everywhere}
spec:
  scope: Application
  global: true
  schematic:
    cue:
      template: |
        parameter: {}
        output: labels: compliance: "yes"
---
apiVersion: core.oam.dev/v1beta1
kind: TraitDefinition
metadata: {name: painted}
spec:
  schematic:
    cue:
      template: |
        patch: metadata: annotations: color: context.custom.color
        parameter: {}
"#;

/// A policy that changes components, or not.
fn switched(name: &str, is_global: bool, is_on: bool) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: PolicyDefinition\nmetadata: {{name: {name}}}\nspec:\n  scope: Application\n\
         \x20 global: {is_global}\n  schematic:\n    cue:\n      template: |\n        parameter: {{}}\n\
         \x20       config: enabled: {is_on}\n        output: components: [for c in context.appComponents {{name: c.name, \
         type: c.type, properties: image: \"nginx:{name}\"}}]\n"
    )
}

#[test]
fn a_policy_that_stops_changing_anything_or_is_gone_rolls_nothing() {
    let mut place = Place::own("policies-kept");
    place.apply(&switched("named", false, true)).ok();
    place.apply(&switched("everywhere", true, true)).ok();
    let policies = "  policies: [{name: s, type: named, properties: {}}]\n";
    let named = application("first", "webservice", "{image: nginx}") + policies;
    place.apply(&named).ok();
    place
        .apply(&application("second", "webservice", "{image: nginx}"))
        .ok();
    for (name, policy) in [("first", "named"), ("second", "everywhere")] {
        place.wait_until_running(name);
        assert_eq!(image(&place, name), format!("nginx:{policy}"));
    }
    place.apply(&switched("named", false, false)).ok();
    place.run("delete policydefinition everywhere").ok();
    let daemon = Arc::get_mut(&mut place.daemon).expect("its own");
    daemon.kill();
    daemon.restart();
    place
        .apply(&application("marker", "webservice", "{image: nginx}"))
        .ok();
    place.wait_until_running("marker");
    assert_eq!(image(&place, "marker"), "nginx", "no policy holds any more");
    for name in ["first", "second"] {
        place.wait_until_running(name);
        let deployment = place.object("deploy", name);
        assert_eq!(deployment["metadata"]["generation"], 1, "{name}");
    }
    let revisions = place.names("apprev");
    assert_eq!(revisions, ["first-v1", "marker-v1", "second-v1"]);
}

#[test]
fn a_label_that_no_api_takes_is_told() {
    let place = Place::shared("policies-label");
    place
        .apply(
            "apiVersion: core.oam.dev/v1beta1\nkind: PolicyDefinition\nmetadata: {name: late}\nspec:\n  scope: Application\n\
             \x20 schematic:\n    cue:\n      template: |\n        parameter: {}\n        output: labels: order: \"late-\"\n",
        )
        .ok();
    let policies = "  policies: [{name: l, type: late, properties: {}}]\n";
    place
        .apply(&(application("web", "webservice", "{image: nginx}") + policies))
        .ok();
    let message = eventually("it is told", || {
        let app = place.object("app", "web");
        let conditions = app["status"]["conditions"].as_array()?.clone();
        let synced = conditions.iter().find(|one| one["status"] == "False")?;
        Some(synced["message"].as_str()?.to_owned())
    });
    assert!(
        message.contains("output.labels.order: \"late-\" cannot be the value of a label"),
        "{message}"
    );
}

/// A policy is tried on a sample Application when it is registered: what it can read is no mistake, what it cannot give is.
#[test]
fn a_policy_is_tried_when_it_is_registered() {
    let place = Place::shared("policies-tried");
    let registered = |output: &str| {
        let answer = place.apply(&format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: PolicyDefinition\nmetadata: {{name: tried}}\nspec:\n  scope: Application\n\
             \x20 schematic:\n    cue:\n      template: |\n        parameter: {{}}\n        output: {output}\n"
        ));
        assert_eq!(answer.exit, 0, "{}", answer.stderr);
        answer.stderr
    };
    let said = registered("components: [for c in context.appComponents {c}]");
    assert!(!said.contains("Warning"), "{said}");
    let said = registered("components: [for c in context.appComponents {c & {trait: []}}]");
    assert!(
        said.contains("Warning")
            && said.contains("no Application has `output.components[0].trait`")
            && said.contains("did you mean `traits`?"),
        "{said}"
    );
    let said = registered("components: context.appComponent");
    assert!(
        said.contains("Warning: spec.schematic.cue.template: it fails on a sample Application")
            && said.contains("undefined field: appComponent"),
        "{said}"
    );
}

fn image(place: &Place, name: &str) -> Value {
    place.object("deploy", name)["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

#[test]
fn policies_change_the_application_and_a_changed_policy_rolls_nothing() {
    let place = Place::shared("policies-scoped");
    place.apply(SCOPED).ok();
    let manifest = |tag: &str| {
        application("web", "webservice", "{image: nginx}")
            + &format!(
                "  policies:\n  - {{name: m, type: mutate, properties: {{tag: \"{tag}\"}}}}\n"
            )
    };
    // Definitions reach the cache of the daemon a moment after they were taken.
    let app = eventually("the policy took effect", || {
        place.apply(&manifest("one")).ok();
        let app = place.object("app", "web");
        let applied = app["status"]["appliedApplicationPolicies"]
            .as_array()?
            .len();
        (applied == 2 && app["status"]["status"] == "running").then_some(app)
    });
    assert_eq!(image(&place, "web"), "nginx:one");
    assert_eq!(image(&place, "extra"), "busybox");
    // What the author wrote stays as it is.
    assert_eq!(app["spec"]["components"][0]["properties"]["image"], "nginx");
    assert_eq!(app["metadata"]["labels"]["app"], "web");
    assert_eq!(app["metadata"]["labels"]["compliance"], "yes");
    let told = app["status"]["applicationPoliciesConfigMap"]
        .as_str()
        .unwrap_or_default();
    let told = place.object("cm", told);
    assert!(told["data"]["001-everywhere"].is_string(), "{told:#}");
    assert!(
        told["data"]["002-m"]
            .as_str()
            .is_some_and(|text| text.contains("nginx:one")),
        "{told:#}"
    );

    // A changed policy alone makes no revision; a change of the author does.
    place.apply(&SCOPED.replace("nginx:", "httpd:")).ok();
    place.run("annotate app web poke=1").ok();
    place.run("rollout status deploy web").ok();
    assert_eq!(image(&place, "web"), "nginx:one");
    let app = eventually("the author's change takes the new policy", || {
        place.apply(&manifest("two")).ok();
        let app = place.object("app", "web");
        let is_second = app["status"]["latestRevision"]["name"] == "web-v2";
        (is_second && app["status"]["status"] == "running").then_some(app)
    });
    assert_eq!(image(&place, "web"), "httpd:two", "{:#}", app["status"]);
}

#[test]
fn a_policy_that_cannot_be_evaluated_is_told_and_nothing_is_applied() {
    let place = Place::shared("policies-bad");
    let bad = SCOPED.replace("\"nginx:\\(parameter.tag)\"", "parameter.tag & \"other\"");
    assert_ne!(bad, SCOPED);
    place.apply(&bad).ok();
    let manifest = application("web", "webservice", "{image: nginx}")
        + "  policies:\n  - {name: m, type: mutate, properties: {tag: one}}\n";
    place.apply(&manifest).ok();
    let message = eventually("the condition tells of the policy", || {
        let app = place.object("app", "web");
        let conditions = app["status"]["conditions"].as_array()?.clone();
        let synced = conditions.into_iter().find(|one| one["type"] == "Synced")?;
        synced["message"].as_str().map(str::to_owned)
    });
    assert!(
        message
            .starts_with("failed to render explicit policy \"m\": failed to render CUE template"),
        "{message}"
    );
    assert!(message.contains("spec.policies[m]"), "{message}");
    assert!(place.get("deploy", "web").is_none());
    // A definition that is put right is enough.
    place.apply(SCOPED).ok();
    place.wait_until_running("web");
}

const OBJECTS: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: PolicyDefinition
metadata: {name: settings}
spec:
  schematic:
    cue:
      template: |
        output: {apiVersion: "v1", kind: "ConfigMap", metadata: name: context.name + "-settings", data: {
          value: parameter.value
          image: context.artifacts.web.workload.spec.template.spec.containers[0].image
        }}
        parameter: value: string
"#;

#[test]
fn a_policy_renders_objects_that_go_with_it() {
    let place = Place::shared("policies-objects");
    place.apply(OBJECTS).ok();
    let plain = application("web", "webservice", "{image: nginx}");
    let with =
        plain.clone() + "  policies:\n  - {name: mk, type: settings, properties: {value: hello}}\n";
    place.apply(&with).ok();
    let app = place.wait_until_running("web");
    let settings = place.object("cm", "mk-settings");
    assert_eq!(settings["data"]["value"], "hello");
    assert_eq!(settings["data"]["image"], "nginx");
    assert_eq!(
        settings["metadata"]["labels"]["app.oam.dev/component"],
        "mk"
    );
    let resources = app["status"]["appliedResources"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let of_policy = resources.iter().find(|one| one["name"] == "mk-settings");
    assert_eq!(of_policy.map(|one| &one["creator"]), Some(&"policy".into()));

    // It is kept as it was recorded, and goes with its policy.
    place.run("delete cm mk-settings").ok();
    eventually("the object of the policy is back", || {
        place.get("cm", "mk-settings")
    });
    place.apply(&plain).ok();
    eventually("the object went with its policy", || {
        place.get("cm", "mk-settings").is_none().then_some(())
    });
}
