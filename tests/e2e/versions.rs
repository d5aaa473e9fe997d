//! Versions of definitions: who follows them, and which stay.

use caravel_tests::wait::eventually;

use crate::place::{Place, application};

/// A definition whose objects, patches or messages show its version.
fn definition(kind: &str, name: &str, version: &str) -> String {
    let (field, template) = match kind {
        "TraitDefinition" => (
            "appliesToWorkloads: [\"*\"]",
            format!("patch: metadata: annotations: seen: \"{version}\""),
        ),
        "PolicyDefinition" => (
            "definitionRef: {name: \"\"}",
            format!(
                "output: {{apiVersion: \"v1\", kind: \"ConfigMap\", metadata: name: \"of-policy\", data: seen: \"{version}\"}}"
            ),
        ),
        _ => (
            "definitionRef: {name: \"\"}",
            format!("import \"vela/op\"\n        m: op.#Message & {{message: \"step {version}\"}}"),
        ),
    };
    format!(
        "apiVersion: core.oam.dev/v1beta1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  version: {version}\n  {field}\n  \
         schematic:\n    cue:\n      template: |\n        {template}\n        parameter: {{}}\n"
    )
}

/// An Application that follows versions.
fn following(text: &str, name: &str) -> String {
    let follows =
        format!("metadata: {{name: {name}, annotations: {{app.oam.dev/autoUpdate: \"true\"}}}}");
    text.replace(&format!("metadata: {{name: {name}}}"), &follows)
}

fn seen(place: &Place) -> String {
    let object = place.object("deploy", "mine");
    let seen = object["metadata"]["annotations"]["seen"].as_str();
    seen.unwrap_or_default().to_owned()
}

#[test]
fn the_version_that_somebody_follows_is_not_cleaned_up() {
    let place = Place::with("versions-kept", &["--definition-revision-limit", "1"], &[]);
    let register = |version: &str| {
        place
            .apply(&definition("TraitDefinition", "mark", version))
            .ok();
        let name = format!("mark-v{version}");
        eventually("the version is recorded", || {
            place.get("definitionrevision", &name)
        });
    };
    for version in ["1.0.0", "1.2.0", "1.10.0"] {
        register(version);
    }
    let text =
        application("mine", "webservice", "{image: nginx}") + "    traits: [{type: mark@v1}]\n";
    place.apply(&following(&text, "mine")).ok();
    place.wait_until_running("mine");
    assert_eq!(seen(&place), "1.10.0");
    for version in ["2.0.0", "2.0.1", "2.0.2", "2.0.3"] {
        register(version);
    }
    let names = eventually("what nobody needs is gone", || {
        let names = place.names("definitionrevision");
        (!names.contains(&"mark-v2.0.0".to_owned())).then_some(names)
    });
    assert!(names.contains(&"mark-v1.10.0".to_owned()), "{names:?}");
    assert!(!names.contains(&"mark-v1.2.0".to_owned()), "{names:?}");
    place
        .apply(&following(&text.replace("nginx", "nginx:2"), "mine"))
        .ok();
    eventually("the Application is delivered anew", || {
        let image =
            place.object("deploy", "mine")["spec"]["template"]["spec"]["containers"][0]["image"]
                .clone();
        (image == "nginx:2").then_some(())
    });
    assert_eq!(seen(&place), "1.10.0");
}

#[test]
fn steps_and_policies_are_followed_too() {
    let place = Place::shared("versions-followed");
    for version in ["1.0.0", "1.1.0"] {
        place
            .apply(&definition("WorkflowStepDefinition", "say", version))
            .ok();
        place
            .apply(&definition("PolicyDefinition", "note", version))
            .ok();
        if version == "1.1.0" {
            break;
        }
        let text = application("mine", "webservice", "{image: nginx}")
            + "  policies: [{name: tell, type: note@v1, properties: {}}]\n  workflow: {steps: [{name: s, type: say@v1}]}\n";
        place.apply(&following(&text, "mine")).ok();
        place.wait_until_running("mine");
    }
    eventually("the new policy renders", || {
        (place.object("cm", "of-policy")["data"]["seen"] == "1.1.0").then_some(())
    });
    eventually("the new step runs", || {
        let status = place.object("app", "mine")["status"].clone();
        (status["workflow"]["steps"][0]["message"] == "step 1.1.0").then_some(())
    });
}

#[test]
fn who_uses_a_definition_through_another_object_uses_it() {
    let place = Place::shared("versions-far");
    place
        .apply(&definition("TraitDefinition", "mark", "1.0.0"))
        .ok();
    place
        .apply(&definition("WorkflowStepDefinition", "say", "1.0.0"))
        .ok();
    place
        .apply(
            "apiVersion: core.oam.dev/v1alpha1\nkind: Policy\nmetadata: {name: far}\ntype: override\nproperties: {components: \
             [{name: mine, traits: [{type: mark}]}]}\n---\napiVersion: core.oam.dev/v1alpha1\nkind: Workflow\nmetadata: {name: flow}\n\
             steps: [{name: d, type: deploy, properties: {policies: [far]}}, {name: s, type: say}]\n",
        )
        .ok();
    let text = application("mine", "webservice", "{image: nginx}") + "  workflow: {ref: flow}\n";
    place.apply(&text).ok();
    place.wait_until_running("mine");
    assert_eq!(seen(&place), "1.0.0");
    for (kind, name) in [
        ("traitdefinition", "mark"),
        ("workflowstepdefinition", "say"),
    ] {
        let said = place.run(&format!("delete {kind} {name}")).fails();
        assert!(
            said.contains("1 Application uses it: versions-far/mine"),
            "{said}"
        );
        let said = place.caravel(&format!("def del {name}")).fails();
        assert!(said.contains("is used by versions-far/mine"), "{said}");
        assert!(said.contains("--force"), "{said}");
    }
    place.kubectl.file(
        "mark.yaml",
        &definition("TraitDefinition", "mark", "1.1.0").replace("seen:", "noted:"),
    );
    let output = place.caravel("def diff mark.yaml");
    let said = output.stdout + &output.stderr;
    assert!(said.contains("mine"), "{said}");
}
