//! Policies of scope `Application`: they are tried on an Application that has everything which they can read.

use std::fs;

use super::{json, run_in, shown_in, text};

/// A policy of that scope with a template.
fn policy(template: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    let whole = format!(
        "tenant: {{\n\ttype: \"policy\"\n\tattributes: scope: \"Application\"\n\tdescription: \"x\"\n}}\ntemplate: {{\n{template}\n}}\n"
    );
    fs::write(place.path().join("tenant.cue"), whole).expect("a file");
    place
}

const READS_ALL: &str = r#"
	parameter: tag: *"1" | string
	output: {
		components: [for c in context.appComponents {
			name: c.name
			type: c.type
			properties: image: "nginx:\(parameter.tag)"
		}]
		workflow: steps: [for step in context.appWorkflow.steps {step & {timeout: "1h"}}]
		labels: {
			app:    context.appName
			policy: "\(context.policyName)-\(context.policyType)-\(context.policyRevision)"
			count:  "\(len(context.appPolicies))-\(len(context.appLabels))-\(len(context.appAnnotations))"
		}
		annotations: from: "\(context.namespace) \(context.appRevision) \(context.policyRevisionName) \(context.policyRevisionHash)"
		ctx: any: thing: 1
	}
"#;

#[test]
fn a_policy_that_reads_its_whole_context_vets_clean_and_renders() {
    let place = policy(READS_ALL);
    shown_in(
        place.path(),
        &["vet", "tenant.cue", "--strict", "--offline"],
    );
    let output = json(&shown_in(
        place.path(),
        &["render", "tenant.cue", "--name", "mine", "-o", "json"],
    ));
    assert_eq!(output[0]["labels"]["policy"], "mine-tenant-1");
    assert_eq!(output[0]["components"][0]["type"], "webservice");
    let why = run_in(place.path(), &["why", "tenant.cue", "labels.app"]);
    assert!(!why.status.success());
    let said = text(&why.stderr);
    assert!(said.contains("makes no object"), "{said}");
}

#[test]
fn what_no_policy_can_read_or_give_is_told_at_its_place() {
    let told = |template: &str| {
        let place = policy(template);
        let output = run_in(
            place.path(),
            &["vet", "tenant.cue", "--strict", "--offline"],
        );
        assert!(!output.status.success(), "{}", text(&output.stdout));
        text(&output.stderr)
    };
    let said = told("\tparameter: {}\n\toutput: components: context.appComponent");
    assert!(
        said.contains("undefined field: appComponent") && said.contains("tenant.cue:8:"),
        "{said}"
    );
    // Contexts of components are not those of such policies.
    let said = told("\tparameter: {}\n\toutput: labels: app: context.name");
    assert!(said.contains("undefined field: name"), "{said}");
    let said = told("\tparameter: {}\n\toutput: label: a: \"b\"");
    assert!(
        said.contains("may not change label") && said.contains("did you mean `labels`?"),
        "{said}"
    );
    let said =
        told("\tparameter: {}\n\toutput: components: [{name: \"a\", type: \"b\",\n\t\ttrait: []}]");
    assert!(
        said.contains("no Application has `output.components[0].trait`")
            && said.contains("did you mean `traits`?")
            && said.contains("tenant.cue:9:3"),
        "{said}"
    );
    let said = told("\tparameter: {}\n\toutput: components: [{name: 5}]");
    assert!(said.contains("output.components[0].name"), "{said}");
}
