use std::collections::BTreeMap;
use std::time::Duration;

use caravel_core::api::WorkflowStatus;
use serde_json::{Map, Value, json};

use super::super::*;
use super::{Sim, spec, three};
use crate::event::{Command, Event, Illegal, Outcome};
use crate::journal::rebuild;

#[test]
fn resume_can_lift_one_suspension_of_two() {
    let mut sim = Sim::new(
        "DAG",
        json!([{"name": "s1", "type": "suspend"}, {"name": "s2", "type": "suspend"},
               {"name": "a", "type": "t", "dependsOn": ["s1", "s2"]}]),
    );
    sim.suspend("s1", None);
    sim.suspend("s2", None);
    assert_eq!(sim.state.deadline(), None);
    sim.command(Command::Resume {
        step: Some("s1".into()),
    });
    sim.ok("s1");
    assert_eq!(
        sim.shown(),
        "suspending\ns1=succeeded\ns2=suspending/Suspend Suspended by field suspend"
    );
    sim.command(Command::Resume { step: None });
    sim.ok("s2");
    sim.ok("a");
    assert_eq!(sim.state.phase(), RunPhase::Succeeded);
}

#[test]
fn a_held_run_begins_nothing_and_takes_in_what_ends() {
    let mut sim = Sim::new("StepByStep", three());
    sim.command(Command::Suspend { step: None });
    assert_eq!(sim.shown(), "suspending\na=suspending");
    assert!(sim.state.status().suspend);
    assert_eq!(sim.ok("a"), []);
    assert_eq!(sim.shown(), "suspending\na=succeeded");
    sim.later(Duration::from_hours(1));
    assert_eq!(sim.running(), Vec::<&str>::new());
    sim.command(Command::Resume { step: None });
    assert_eq!(sim.running(), ["b"]);
    let error = sim.try_send(Event::Command {
        command: Command::Suspend {
            step: Some("zz".into()),
        },
        by: "bob".into(),
    });
    assert_eq!(error, Err(Illegal::NoStep("zz".into())));
}

#[test]
fn terminate_fails_what_runs_and_still_walks_the_rest() {
    let mut sim = Sim::new("StepByStep", three());
    sim.fail("a", Reason::Execute);
    sim.command(Command::Terminate);
    sim.ok("c");
    assert_eq!(
        sim.shown(),
        "terminated\na=failed/Terminate broken\nb=skipped/Skip\nc=succeeded"
    );
    let resumed = sim.try_send(Event::Command {
        command: Command::Resume { step: None },
        by: "bob".into(),
    });
    assert_eq!(
        resumed.unwrap_err().to_string(),
        "can not resume a terminated workflow"
    );
}

#[test]
fn terminate_does_not_wait_for_values_that_never_come() {
    let mut sim = Sim::new(
        "DAG",
        json!([{"name": "a", "type": "t"}, {"name": "b", "type": "t", "inputs": [{"from": "set-by-hand"}]}]),
    );
    sim.wait("a");
    sim.command(Command::Terminate);
    assert_eq!(
        sim.shown(),
        "terminated\na=failed/Terminate not yet\nb=skipped/Skip"
    );
}

#[test]
fn break_ends_the_run_without_a_failed_step() {
    let mut sim = Sim::new("StepByStep", three());
    sim.end(
        "a",
        Outcome::Broken {
            message: "enough".into(),
            outputs: BTreeMap::new(),
        },
    );
    sim.ok("c");
    assert_eq!(
        sim.shown(),
        "failed\na=succeeded/Terminate enough\nb=skipped/Skip\nc=succeeded"
    );
}

#[test]
fn restart_of_a_step_takes_back_what_came_after() {
    let steps = json!([
        {"name": "a", "type": "t"},
        {"name": "b", "type": "t", "dependsOn": ["a"], "outputs": [{"name": "x", "valueFrom": "v"}]},
        {"name": "c", "type": "t", "inputs": [{"from": "x"}]},
        {"name": "d", "type": "t"},
    ]);
    let mut sim = Sim::new("DAG", steps);
    sim.ok("a");
    sim.fail("b", Reason::Action);
    sim.ok("c");
    sim.ok("d");
    assert_eq!(sim.state.phase(), RunPhase::Failed);
    let id = sim.state.step_id(sim.find("b")).to_owned();
    let not_failed = Event::Command {
        command: Command::RestartStep { step: "a".into() },
        by: "x".into(),
    };
    assert_eq!(
        sim.try_send(not_failed).unwrap_err().to_string(),
        "can not restart from a non-failed step: a"
    );
    sim.open.clear();
    sim.command(Command::RestartStep { step: "b".into() });
    assert_eq!(sim.running(), ["b"]);
    assert_ne!(sim.state.step_id(sim.find("b")), id);
    assert_eq!(
        sim.shown(),
        "executing\na=succeeded\nd=succeeded\nb=running\nc=pending Pending on Input: x"
    );
    sim.ok("b");
    sim.ok("c");
    assert_eq!(sim.state.phase(), RunPhase::Succeeded);
}

#[test]
fn restart_of_a_member_reopens_its_group() {
    let mut sim = Sim::new(
        "StepByStep",
        json!([{"name": "g", "type": "step-group", "subSteps": [{"name": "m", "type": "t"}, {"name": "n", "type": "t"}]},
               {"name": "z", "type": "t"}]),
    );
    sim.ok("n");
    sim.fail("m", Reason::Action);
    assert_eq!(
        sim.shown(),
        "failed\ng=failed/Action\n  m=failed/Action broken\n  n=succeeded\nz=skipped/Skip"
    );
    sim.open.clear();
    sim.command(Command::RestartStep { step: "m".into() });
    sim.ok("m");
    sim.ok("z");
    assert_eq!(
        sim.shown(),
        "succeeded\ng=succeeded\n  n=succeeded\n  m=succeeded\nz=succeeded"
    );
}

#[test]
fn recorded_answers_outlive_a_crash_and_reads_do_not_outlive_a_wait() {
    let mut sim = Sim::new("StepByStep", json!([{"name": "a", "type": "t"}]));
    let (step, attempt) = (StepRef(0), 1);
    let (call, digest) = ("req".to_owned(), "d1".to_owned());
    sim.send(Event::Intent {
        step,
        attempt,
        call: call.clone(),
        digest: digest.clone(),
    });
    let mut crashed = rebuild(sim.entries.clone()).unwrap().state;
    assert_eq!(crashed, sim.state);
    assert_eq!(crashed.unfinished(step)[0].call, "req");
    crashed
        .advance(
            sim.now,
            Event::Answer {
                step,
                attempt,
                call: call.clone(),
                digest: digest.clone(),
                value: json!(1),
                keep: true,
            },
        )
        .unwrap();
    assert_eq!(crashed.recorded(step)["req"].value, json!(1));
    assert_eq!(crashed.unfinished(step), []);

    sim.send(Event::Answer {
        step,
        attempt,
        call: call.clone(),
        digest: digest.clone(),
        value: json!(1),
        keep: true,
    });
    sim.send(Event::Answer {
        step,
        attempt,
        call: "get".into(),
        digest,
        value: json!(2),
        keep: false,
    });
    sim.wait("a");
    sim.later(Duration::from_secs(9));
    assert_eq!(sim.state.recorded(step).keys().collect::<Vec<_>>(), ["req"]);
    let stale = Event::Answer {
        step,
        attempt,
        call,
        digest: "d".into(),
        value: json!(3),
        keep: true,
    };
    assert!(matches!(sim.try_send(stale), Err(Illegal::Stale { .. })));
}

#[test]
fn a_run_is_taken_over_from_its_status() {
    let mut sim = Sim::new(
        "StepByStep",
        json!([
            {"name": "a", "type": "t", "outputs": [{"name": "x", "valueFrom": "v"}]},
            {"name": "g", "type": "step-group", "subSteps": [
                {"name": "m", "type": "t"}, {"name": "n", "type": "t", "inputs": [{"from": "x", "parameterKey": "k"}]}]},
            {"name": "z", "type": "t"},
        ]),
    );
    sim.end(
        "a",
        Outcome::Succeeded {
            message: "one".into(),
            outputs: [("x".into(), json!("v"))].into(),
        },
    );
    sim.ok("m");
    sim.wait("n");
    let status = sim.state.status();

    let mut heir = Sim::idle(spec(
        "StepByStep",
        serde_json::to_value(&sim.state.spec().steps).unwrap(),
    ));
    let text = serde_json::to_string(&status).unwrap();
    let status: WorkflowStatus = serde_json::from_str(&text).unwrap();
    heir.send(Event::Adopt {
        status: Box::new(status),
        values: sim.state.values().as_map().clone(),
    });
    assert_eq!(heir.shown(), sim.shown());
    assert_eq!(heir.running(), ["n"]);
    assert_eq!(
        heir.state.step_id(heir.find("n")),
        sim.state.step_id(sim.find("n"))
    );
    assert_eq!(
        heir.state.parameters(heir.find("n")).unwrap(),
        json!({"k": "v"})
    );
    heir.ok("n");
    heir.ok("z");
    assert_eq!(heir.state.phase(), RunPhase::Succeeded);
    assert_eq!(rebuild(heir.entries.clone()).unwrap().state, heir.state);
}

#[test]
fn a_foreign_status_is_not_taken_over() {
    let status = |value: Value| Event::Adopt {
        status: Box::new(serde_json::from_value(value).unwrap()),
        values: Map::new(),
    };
    let mut sim = Sim::idle(spec("DAG", three()));
    let wrong_mode = sim
        .try_send(status(json!({"mode": "StepByStep-DAG"})))
        .unwrap_err();
    assert!(
        wrong_mode.to_string().contains("restart it instead"),
        "{wrong_mode}"
    );
    let unknown = sim
        .try_send(status(
            json!({"mode": "DAG-DAG", "steps": [{"id": "1", "name": "zz", "phase": "running"}]}),
        ))
        .unwrap_err();
    assert!(unknown.to_string().contains("\"zz\""), "{unknown}");
    assert_eq!(sim.state.phase(), RunPhase::Initializing);
}

#[test]
fn the_tree_tells_how_steps_stand() {
    let mut sim = Sim::new(
        "DAG",
        json!([
            {"name": "a", "type": "suspend"},
            {"name": "g", "type": "step-group", "mode": "StepByStep", "dependsOn": ["a"], "subSteps": [
                {"name": "m", "type": "t", "if": "always"}, {"name": "n", "type": "t", "inputs": [{"from": "x"}]}]},
        ]),
    );
    sim.suspend("a", None);
    insta::assert_snapshot!(crate::tree(sim.state.dag(), Some(&sim.state)), @r"
    workflow (DAG-DAG)
    ├─ a (suspend): suspending [Suspend] Suspended by field suspend
    └─ g (step-group) after a step by step
       ├─ m (t) if always
       └─ n (t) needs x
    ");
    insta::assert_snapshot!(crate::dot(sim.state.dag()), @r#"
    digraph workflow {
      rankdir=LR;
      node [shape=box];
      n0 [label="a\nsuspend"];
      n1 [label="g\nstep-group"];
      n2 [label="m\nt"];
      n3 [label="n\nt"];
      n0 -> n1;
      n1 -> n2 [arrowhead=none];
      n1 -> n3 [arrowhead=none];
      n2 -> n3 [style=dotted];
    }
    "#);
}

#[test]
fn a_restart_does_not_forget_a_step_that_was_about_to_begin() {
    let mut sim = Sim::new(
        "DAG",
        json!([{"name": "a", "type": "t"}, {"name": "b", "type": "t", "if": "1 == 1"}]),
    );
    sim.fail("a", Reason::Action);
    sim.command(Command::Suspend { step: None });
    sim.condition("b", Ok(true));
    sim.command(Command::RestartStep { step: "a".into() });
    assert_eq!(sim.running(), ["a", "b"]);
}
