//! Policies that work on Applications which run already: what comes, changes and goes reaches those whom it concerns.

use std::time::Duration;

use caravel_tests::sink::Sink;
use caravel_tests::wait::eventually;
use serde_json::Value;

use crate::place::{Place, application};

/// A policy that adds a label and changes all images.
fn tiered(name: &str, is_global: bool, tier: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: PolicyDefinition\nmetadata: {{name: {name}}}\nspec:\n  scope: Application\n\
         \x20 global: {is_global}\n  schematic:\n    cue:\n      template: |\n        parameter: {{}}\n\
         \x20       output: {{\n          labels: {name}: \"{tier}\"\n          components: [for c in context.appComponents \
         {{name: c.name, type: c.type, properties: image: \"nginx:{tier}\"}}]\n        }}\n"
    )
}

fn image(place: &Place, name: &str) -> Value {
    place.object("deploy", name)["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

fn label(place: &Place, name: &str, key: &str) -> Value {
    place.object("app", name)["metadata"]["labels"][key].clone()
}

fn applied(place: &Place, name: &str) -> Vec<Value> {
    let app = place.object("app", name);
    let applied = app["status"]["appliedApplicationPolicies"].as_array();
    applied.cloned().unwrap_or_default()
}

fn wait_for_label(place: &Place, name: &str, key: &str, value: &str) {
    eventually(&format!("{name} has {key}={value}"), || {
        (label(place, name, key) == value).then_some(())
    });
}

fn wait_for_image(place: &Place, name: &str, wanted: &str) {
    eventually(&format!("{name} has the image {wanted}"), || {
        (image(place, name) == wanted).then_some(())
    });
    place.wait_until_running(name);
}

#[test]
fn labels_of_a_changed_policy_are_merged_and_its_components_roll_nothing() {
    let place = Place::shared("live-labels");
    place.apply(&tiered("named", false, "one")).ok();
    place
        .apply(&application("plain", "webservice", "{image: nginx}"))
        .ok();
    let skips = application("skips", "webservice", "{image: nginx}").replace(
        "metadata: {name: skips}",
        "metadata: {name: skips, annotations: {policy.oam.dev/skip-global: \"true\"}}",
    );
    place.apply(&skips).ok();
    place.wait_until_running("plain");
    place.wait_until_running("skips");
    // At rest little of them is in memory.
    std::thread::sleep(Duration::from_secs(3));

    place.apply(&tiered("everywhere", true, "one")).ok();
    wait_for_label(&place, "plain", "everywhere", "one");
    let told = eventually("the status tells of the policy", || {
        applied(&place, "plain").pop()
    });
    assert_eq!(told["definitionRevisionName"], "everywhere-v1");
    place.apply(&tiered("everywhere", true, "two")).ok();
    wait_for_label(&place, "plain", "everywhere", "two");
    eventually("the status tells of its new revision", || {
        let told = applied(&place, "plain").pop()?;
        (told["definitionRevisionName"] == "everywhere-v2").then_some(())
    });
    // Of no concern to this one.
    assert_eq!(label(&place, "skips", "everywhere"), Value::Null);
    place.run("delete policydefinition everywhere").ok();
    eventually("the status no longer tells of it", || {
        applied(&place, "plain").is_empty().then_some(())
    });
    for name in ["plain", "skips"] {
        place.wait_until_running(name);
        let deployment = place.object("deploy", name);
        assert_eq!(deployment["metadata"]["generation"], 1, "{name}");
        assert_eq!(image(&place, name), "nginx", "{name}");
    }
    assert_eq!(place.names("apprev"), ["plain-v1", "skips-v1"]);

    // The same for one that is named.
    let policies = "  policies: [{name: s, type: named, properties: {}}]\n";
    let named = application("named", "webservice", "{image: nginx}") + policies;
    place.apply(&named).ok();
    place.wait_until_running("named");
    place.apply(&tiered("named", false, "two")).ok();
    wait_for_label(&place, "named", "named", "two");
    place.wait_until_running("named");
    assert_eq!(image(&place, "named"), "nginx:one");
    assert_eq!(label(&place, "plain", "named"), Value::Null);
}

#[test]
fn an_application_that_wants_revisions_of_changed_policies_gets_them_at_once() {
    let place = Place::shared("live-revisions");
    place
        .apply(&application("web", "webservice", "{image: nginx}"))
        .ok();
    place.wait_until_running("web");
    place.apply(&tiered("everywhere", true, "one")).ok();
    wait_for_label(&place, "web", "everywhere", "one");
    assert_eq!(image(&place, "web"), "nginx");
    place
        .run("annotate app web policy.oam.dev/auto-revision=true")
        .ok();
    wait_for_image(&place, "web", "nginx:one");
    place.apply(&tiered("everywhere", true, "two")).ok();
    wait_for_image(&place, "web", "nginx:two");
    assert_eq!(place.names("apprev"), ["web-v1", "web-v2", "web-v3"]);
    // What its author wrote is what is left.
    place.run("delete policydefinition everywhere").ok();
    wait_for_image(&place, "web", "nginx");
}

#[test]
fn a_policy_that_was_made_a_moment_ago_is_used_with_its_revision() {
    let place = Place::shared("live-young");
    for round in 0..4 {
        let (policy, app) = (format!("young{round}"), format!("web{round}"));
        let both = tiered(&policy, true, "one") + "---\n";
        let both = both + &application(&app, "webservice", "{image: nginx}");
        place.apply(&both).ok();
        place.wait_until_running(&app);
        let told = applied(&place, &app);
        let mut names = told.iter().map(|one| &one["definitionRevisionName"]);
        let wanted = format!("{policy}-v1");
        if told.iter().any(|one| one["name"] == policy) {
            assert!(names.any(|name| *name == wanted), "{told:#?}");
        }
        let revision = place.object("apprev", &format!("{app}-v1"));
        let versions = revision["spec"]["policyVersions"].as_object().cloned();
        for (name, version) in versions.into_iter().flatten() {
            let is_named = version["definitionRevisionName"].is_string();
            assert!(is_named, "{name}: {version:#}");
        }
    }
}

#[test]
fn the_answer_to_a_policys_request_is_good_for_a_minute() {
    let place = Place::shared("live-requests");
    let sink = Sink::start();
    let asking = |path: &str| {
        format!(
            "apiVersion: core.oam.dev/v1beta1\nkind: PolicyDefinition\nmetadata: {{name: asking}}\nspec:\n  scope: Application\n\
             \x20 schematic:\n    cue:\n      template: |\n        import \"vela/http\"\n        parameter: {{}}\n\
             \x20       asked: http.#Post & {{$params: {{url: \"{}\", request: body: \"x\"}}}}\n\
             \x20       output: annotations: answer: \"\\(asked.$returns.statusCode)\"\n",
            sink.url(path)
        )
    };
    place.apply(&asking("/first")).ok();
    // What the component refers to is not there: every few seconds it is looked for again.
    let waiting = application(
        "web",
        "ref-objects",
        "{objects: [{resource: configmap, name: nowhere}]}",
    ) + "  policies: [{name: a, type: asking, properties: {}}]\n";
    eventually("the policy is known", || {
        (place.apply(&waiting).exit == 0).then_some(())
    });
    eventually("the request was sent", || {
        (sink.count("/first") > 0).then_some(())
    });
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(sink.count("/first"), 1);
    // Another definition is another question.
    place.apply(&asking("/second")).ok();
    eventually("the other request is sent", || {
        (sink.count("/second") > 0).then_some(())
    });
    place.run("create configmap nowhere").ok();
    eventually("the policy takes effect", || {
        let app = place.object("app", "web");
        (app["metadata"]["annotations"]["answer"] == "200").then_some(())
    });
    assert_eq!(sink.count("/first"), 1);
}

fn overriding(image: &str) -> String {
    format!(
        "apiVersion: core.oam.dev/v1alpha1\nkind: Policy\nmetadata: {{name: over}}\ntype: override\n\
         properties: {{components: [{{name: web, properties: {{image: {image}}}}}]}}\n"
    )
}

/// Row APP-026.
#[test]
fn a_policy_object_that_changes_makes_a_revision_of_those_who_refer_to_it() {
    let place = Place::shared("live-referred");
    place.apply(&overriding("\"nginx:1\"")).ok();
    let steps = "  workflow: {steps: [{name: d, type: deploy, properties: {policies: [over]}}]}\n";
    let web = application("web", "webservice", "{image: nginx}") + steps;
    place.apply(&web).ok();
    place
        .apply(&application("other", "webservice", "{image: nginx}"))
        .ok();
    place.wait_until_running("other");
    wait_for_image(&place, "web", "nginx:1");
    place.apply(&overriding("\"nginx:2\"")).ok();
    wait_for_image(&place, "web", "nginx:2");
    assert_eq!(place.names("apprev"), ["other-v1", "web-v1", "web-v2"]);

    let flow = |step: &str| {
        format!(
            "apiVersion: core.oam.dev/v1alpha1\nkind: Workflow\nmetadata: {{name: flow}}\nsteps:\n\
             - {{name: {step}, type: apply-component, properties: {{component: web}}}}\n"
        )
    };
    let wait_for_step = |step: &str| {
        eventually(&format!("the step {step} is done"), || {
            let status = place.object("app", "web")["status"].clone();
            let is_done = status["workflow"]["steps"][0]["name"] == step;
            (is_done && status["status"] == "running").then_some(())
        });
    };
    place.apply(&flow("one")).ok();
    let web = application("web", "webservice", "{image: nginx}") + "  workflow: {ref: flow}\n";
    place.apply(&web).ok();
    wait_for_step("one");
    place.apply(&flow("two")).ok();
    wait_for_step("two");
    // Named by the Workflow alone.
    let overridden = flow("three").replace(
        "type: apply-component, properties: {component: web}",
        "type: deploy, properties: {policies: [over]}",
    );
    place.apply(&overridden).ok();
    wait_for_image(&place, "web", "nginx:2");
    place.apply(&overriding("\"nginx:3\"")).ok();
    wait_for_image(&place, "web", "nginx:3");
}
