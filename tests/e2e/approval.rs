//! Workflows that wait for somebody: suspend, resume, restart, terminate, by `caravel` and as `vela` does it.

use caravel_tests::wait::eventually;
use serde_json::{Value, json};

use crate::place::Place;

const GATED: &str = "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: gated}
spec:
  components:
  - {name: first, type: worker, properties: {image: busybox:1}}
  - {name: second, type: worker, properties: {image: busybox:1}}
  workflow:
    steps:
    - {name: one, type: apply-component, properties: {component: first}}
    - {name: gate, type: suspend, properties: {message: look at it first}}
    - {name: two, type: apply-component, properties: {component: second}}
";

fn step<'a>(application: &'a Value, name: &str) -> &'a Value {
    let steps = application["status"]["workflow"]["steps"].as_array();
    steps
        .into_iter()
        .flatten()
        .find(|step| step["name"] == name)
        .unwrap_or(&Value::Null)
}

/// Applies the Application and waits at its gate.
fn at_the_gate(place: &Place) -> Value {
    place.apply(GATED).ok();
    let application = place.wait_for_phase("gated", "workflowSuspending");
    assert_eq!(application["status"]["workflow"]["suspend"], true);
    assert_eq!(step(&application, "one")["phase"], "succeeded");
    assert_eq!(step(&application, "gate")["phase"], "suspending");
    assert!(place.get("deploy", "first").is_some());
    assert!(
        place.get("deploy", "second").is_none(),
        "nothing behind the gate is applied"
    );
    application
}

/// Edits the status as the `vela` command line does: the whole `status.workflow`, as a merge patch.
fn edit_status(place: &Place, name: &str, edit: impl FnOnce(&mut Value)) {
    let application = place.object("app", name);
    let mut workflow = application["status"]["workflow"].clone();
    edit(&mut workflow);
    let patch = json!({
        "metadata": {"resourceVersion": application["metadata"]["resourceVersion"]},
        "status": {"workflow": workflow},
    });
    let patch = patch.to_string();
    place
        .kubectl
        .run_args(&[
            "-n",
            &place.namespace,
            "patch",
            "app",
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ])
        .ok();
}

fn for_each_step(workflow: &mut Value, edit: impl Fn(&mut Value)) {
    for step in workflow["steps"].as_array_mut().into_iter().flatten() {
        edit(step);
    }
}

#[test]
fn caravel_resumes() {
    let place = Place::shared("approval-caravel");
    at_the_gate(&place);
    let told = place.caravel("status gated").ok();
    assert!(told.contains("caravel workflow resume gated"), "{told}");
    assert!(told.contains("look at it first"), "{told}");
    place.caravel("workflow resume gated").ok();
    let application = place.wait_until_running("gated");
    assert_eq!(step(&application, "gate")["phase"], "succeeded");
    assert!(place.get("deploy", "second").is_some());

    let refused = place.caravel("workflow resume gated");
    assert_ne!(
        refused.exit, 0,
        "there is nothing to resume: {}",
        refused.stdout
    );
}

#[test]
fn vela_resumes_by_an_edit_of_the_status() {
    let place = Place::shared("approval-vela");
    at_the_gate(&place);
    edit_status(&place, "gated", |workflow| {
        workflow["suspend"] = json!(false);
        for_each_step(workflow, |step| {
            if step["phase"] == "suspending" {
                step["phase"] = json!("running");
            }
        });
    });
    place.wait_until_running("gated");
    assert!(place.get("deploy", "second").is_some());
}

#[test]
fn a_suspended_workflow_writes_no_status() {
    let place = Place::shared("approval-quiet");
    let before = at_the_gate(&place);
    // Another Application comes and goes through the whole controller meanwhile.
    place
        .apply(&crate::place::application(
            "other",
            "worker",
            "{image: busybox:1}",
        ))
        .ok();
    place.wait_until_running("other");
    let after = place.object("app", "gated");
    assert_eq!(
        before["metadata"]["resourceVersion"],
        after["metadata"]["resourceVersion"]
    );
}

#[test]
fn terminate_ends_it_and_restart_begins_again() {
    let place = Place::shared("approval-restart");
    at_the_gate(&place);
    place.caravel("workflow terminate gated").ok();
    let application = place.wait_for_phase("gated", "workflowTerminated");
    assert_eq!(application["status"]["workflow"]["terminated"], true);
    assert!(place.get("deploy", "second").is_none());
    assert!(
        place.get("deploy", "first").is_some(),
        "what was applied keeps running"
    );

    place.caravel("workflow restart gated").ok();
    place.wait_for_phase("gated", "workflowSuspending");
    place.caravel("workflow resume gated").ok();
    place.wait_until_running("gated");
    assert!(place.get("deploy", "second").is_some());
}

#[test]
fn vela_terminates_and_restarts_by_an_edit_of_the_status() {
    let place = Place::shared("approval-vela-restart");
    at_the_gate(&place);
    edit_status(&place, "gated", |workflow| {
        workflow["terminated"] = json!(true);
        workflow["suspend"] = json!(false);
        for_each_step(workflow, |step| {
            if step["phase"] == "suspending" || step["phase"] == "running" {
                step["phase"] = json!("failed");
                step["reason"] = json!("Terminate");
            }
        });
    });
    place.wait_for_phase("gated", "workflowTerminated");
    assert!(place.get("deploy", "second").is_none());

    // `vela workflow restart` clears the workflow.
    edit_status(&place, "gated", |workflow| *workflow = Value::Null);
    let application = place.wait_for_phase("gated", "workflowSuspending");
    assert_eq!(step(&application, "gate")["phase"], "suspending");
}

#[test]
fn a_running_workflow_is_suspended_and_goes_on() {
    let place = Place::shared("approval-suspend");
    let slow = "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: slow}
spec:
  components:
  - name: first
    type: worker
    properties: {image: busybox:1}
    traits: [{type: annotations, properties: {caravel.dev/simulate: stall}}]
  - {name: second, type: worker, properties: {image: busybox:1}}
  workflow:
    steps:
    - {name: one, type: apply-component, properties: {component: first}}
    - {name: two, type: apply-component, properties: {component: second}}
";
    place.apply(slow).ok();
    eventually("the first step runs", || {
        (step(&place.object("app", "slow"), "one")["phase"] == "running").then_some(())
    });
    place.caravel("workflow suspend slow").ok();
    place.wait_for_phase("slow", "workflowSuspending");
    // It would be healthy now, but nobody asks.
    let heal = json!({"metadata": {"annotations": {"caravel.dev/simulate": null}}});
    let heal_template = json!({"spec": {"template": heal.clone()}});
    for patch in [heal, heal_template] {
        place
            .kubectl
            .run_args(&[
                "-n",
                &place.namespace,
                "patch",
                "deploy",
                "first",
                "--type=merge",
                "-p",
                &patch.to_string(),
            ])
            .ok();
    }
    assert!(place.get("deploy", "second").is_none());
    place
        .apply(&slow.replace(
            "    traits: [{type: annotations, properties: {caravel.dev/simulate: stall}}]\n",
            "",
        ))
        .ok();
    place.caravel("workflow resume slow");
    place.wait_until_running("slow");
    assert!(place.get("deploy", "second").is_some());
}
