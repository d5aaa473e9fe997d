//! What a dry run cannot know, in `dev` and `why`: traits that read the live workload, and calls.

use std::fs;

use super::{caravel, json, run_in, shown_in, text};

const LATE: &str = r#"note: {
	type: "trait"
	attributes: {
		stage: "PostDispatch"
		appliesToWorkloads: ["*"]
	}
}
template: {
	outputs: note: {
		apiVersion: "v1"
		kind:       "ConfigMap"
		data: ready: "\(context.output.status.readyReplicas)"
	}
	parameter: {}
}
"#;

const ASKS: &str = r#"import "vela/kube"

asks: {
	type: "component"
	attributes: workload: definition: {
		apiVersion: "v1"
		kind:       "ConfigMap"
	}
}
template: {
	found: kube.#Get & {
		$params: resource: {
			apiVersion: "v1"
			kind:       "ConfigMap"
			metadata: name: "x"
		}
	}
	output: {
		apiVersion: "v1"
		kind:       "ConfigMap"
		data: found.$returns.data
	}
	parameter: {}
}
"#;

const PAINTED: &str = r#"painted: {
	type: "policy"
	attributes: scope: "Application"
}
template: {
	parameter: color: string
	output: ctx: color: parameter.color
}
"#;

const COLORED: &str = r#"colored: {
	type: "trait"
	attributes: appliesToWorkloads: ["*"]
}
template: {
	patch: metadata: annotations: color: context.custom.color
	parameter: {}
}
"#;

const APPLICATION: &str = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components:\n\
    \x20 - name: web\n    type: webservice\n    properties: {image: nginx}\n    traits: [{type: note, properties: {}}, {type: colored, properties: {}}]\n\
    \x20 - {name: other, type: asks, properties: {}}\n\
    \x20 policies: [{name: p, type: painted, properties: {color: blue}}]\n";

fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    let defs = place.path().join("defs");
    fs::create_dir(&defs).expect("a folder");
    for (name, text) in [
        ("defs/note.cue", LATE),
        ("defs/asks.cue", ASKS),
        ("defs/painted.cue", PAINTED),
        ("defs/colored.cue", COLORED),
        ("app.yaml", APPLICATION),
    ] {
        fs::write(place.path().join(name), text).expect("a file");
    }
    place
}

#[test]
fn a_trait_that_waits_for_the_workload_is_pending_in_a_plan() {
    let place = place();
    let app = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: shop}\nspec:\n  components:\n\
        \x20 - {name: web, type: webservice, properties: {image: nginx}, traits: [{type: note, properties: {}}]}\n";
    fs::write(place.path().join("app.yaml"), app).expect("a file");
    let plan = shown_in(
        place.path(),
        &[
            "dev",
            "--dry-run",
            "--once",
            "defs/note.cue",
            "-f",
            "app.yaml",
        ],
    );
    assert!(
        plan.contains("pending: note of web is rendered when the workload is healthy"),
        "{plan}"
    );
    assert!(!plan.contains("not render any more"), "{plan}");
}

/// The trait after a late one is the first to notice that something is not there, and is not to blame.
#[test]
fn a_late_trait_is_told_by_its_own_name() {
    let place = place();
    let shown = caravel(&["dry-run", "-f", "app.yaml", "-d", "defs"], place.path())
        .output()
        .expect("the program starts");
    let said = text(&shown.stderr);
    assert!(text(&shown.stdout).contains("color: blue"), "{said}");
    assert!(
        said.contains("the trait is rendered when the workload is"),
        "{said}"
    );
    assert!(
        said.contains("[app.yaml:9:14]") && said.contains("decided in note"),
        "{said}"
    );
}

/// Calls of one component, and a late trait, keep nobody from asking about what is there; policies of scope `Application`
/// give it its context.
#[test]
fn a_field_is_explained_beside_what_cannot_be_shown() {
    let place = place();
    let why = |field: &str| {
        run_in(
            place.path(),
            &["why", "-f", "app.yaml", "-d", "defs", field, "-o", "json"],
        )
    };
    let found = json(&text(&why("metadata.annotations.color").stdout));
    assert_eq!(found["value"], "blue");
    assert_eq!(found["origins"][0]["definition"], "colored");
    let replicas = why("spec.template.spec.containers[0].image");
    assert!(
        replicas.status.success(),
        "{}{}",
        text(&replicas.stdout),
        text(&replicas.stderr)
    );
    // What is nowhere may be in what cannot be shown.
    let absent = why("data.ready");
    assert!(!absent.status.success());
    let said = text(&absent.stdout);
    assert!(
        said.contains("the objects of other depend on calls"),
        "{said}"
    );
}
