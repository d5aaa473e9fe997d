//! Any run, cut anywhere, goes on as if it had not been cut.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Sim, spec};
use crate::dag::StepRef;
use crate::event::{Command, Effect, Event, Outcome};
use crate::journal::rebuild;
use crate::phase::Reason;
use crate::state::Stage;

/// One thing that the world does to a run; numbers pick among what is possible.
#[derive(Clone, Debug)]
enum Act {
    Answer { pick: usize, how: u8 },
    Call { pick: usize, keep: bool },
    Wake { seconds: u64 },
    Nudge,
    Command { which: u8, step: usize },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (any::<usize>(), 0..12_u8).prop_map(|(pick, how)| Act::Answer { pick, how }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(pick, keep)| Act::Call { pick, keep }),
        2 => (0..400_u64).prop_map(|seconds| Act::Wake { seconds }),
        1 => Just(Act::Nudge),
        1 => (0..8_u8, any::<usize>()).prop_map(|(which, step)| Act::Command { which, step }),
    ];
    prop::collection::vec(act, 0..60)
}

/// Workflows of up to eight steps, some in groups, that depend on earlier ones.
fn workflows() -> impl Strategy<Value = (String, Value)> {
    let step = (
        any::<u16>(),
        0..4_u8,
        any::<bool>(),
        any::<bool>(),
        0..3_usize,
    );
    (any::<bool>(), prop::collection::vec(step, 1..8)).prop_map(|(dag, steps)| {
        let mut made = Vec::new();
        for (index, (bits, when, timeout, passes, members)) in steps.into_iter().enumerate() {
            let mut step = json!({"name": format!("s{index}"), "type": "t"});
            if members > 0 && bits % 3 == 0 {
                step["type"] = json!("step-group");
                step["subSteps"] = (0..members)
                    .map(|member| json!({"name": format!("s{index}m{member}"), "type": "t"}))
                    .collect();
            }
            if index > 0 && bits % 5 == 0 {
                step["dependsOn"] = json!([format!("s{}", usize::from(bits) % index)]);
            }
            if index > 0 && passes && bits % 2 == 0 {
                step["inputs"] = json!([{"from": format!("v{}", usize::from(bits) % index)}]);
            }
            step["outputs"] = json!([{"name": format!("v{index}"), "valueFrom": "x"}]);
            match when {
                1 => step["if"] = json!("always"),
                2 => step["if"] = json!("status.s0.failed"),
                _ => {}
            }
            if timeout {
                step["timeout"] = json!("30s");
            }
            made.push(step);
        }
        (
            if dag { "DAG" } else { "StepByStep" }.to_owned(),
            Value::Array(made),
        )
    })
}

fn outcome(how: u8) -> Outcome {
    match how {
        0 => Outcome::Waiting {
            message: "w".into(),
        },
        1 => Outcome::Suspended {
            field: "f".into(),
            message: "s".into(),
            duration: Some(Duration::from_secs(20)),
        },
        2 => Outcome::Suspended {
            field: "g".into(),
            message: "s".into(),
            duration: None,
        },
        3 | 4 => Outcome::Failed {
            reason: Reason::Execute,
            message: "e".into(),
        },
        5 => Outcome::Failed {
            reason: Reason::Action,
            message: "a".into(),
        },
        6 => Outcome::Broken {
            message: "b".into(),
            outputs: BTreeMap::new(),
        },
        _ => Outcome::Succeeded {
            message: String::new(),
            outputs: BTreeMap::new(),
        },
    }
}

impl Act {
    fn event(&self, sim: &Sim) -> Option<Event> {
        let open: Vec<&Effect> = sim
            .open
            .iter()
            .filter(|one| !matches!(one, Effect::Finish { .. }))
            .collect();
        let chosen = |pick: usize| (!open.is_empty()).then(|| open[pick % open.len()].clone());
        match *self {
            Self::Answer { pick, how } => match chosen(pick)? {
                Effect::Condition { step, attempt } => {
                    let result = if how == 9 {
                        Err("wrong".into())
                    } else {
                        Ok(how % 2 == 0)
                    };
                    Some(Event::Condition {
                        step,
                        attempt,
                        result,
                    })
                }
                Effect::Run { step, attempt } => Some(Event::Ended {
                    step,
                    attempt,
                    outcome: outcome(how),
                }),
                _ => None,
            },
            Self::Call { pick, keep } => match chosen(pick)? {
                Effect::Run { step, attempt } if pick % 2 == 0 => Some(Event::Intent {
                    step,
                    attempt,
                    call: "c".into(),
                    digest: "d".into(),
                }),
                Effect::Run { step, attempt } => Some(Event::Answer {
                    step,
                    attempt,
                    call: "c".into(),
                    digest: "d".into(),
                    value: json!(pick),
                    keep,
                }),
                _ => None,
            },
            Self::Wake { .. } => Some(Event::Wake),
            Self::Nudge => Some(Event::Nudge { step: None }),
            Self::Command { which, step } => {
                let steps = sim.state.dag().steps();
                let name = steps[step % steps.len()].name.clone();
                let command = match which {
                    0 => Command::Suspend { step: None },
                    1 | 2 => Command::Resume { step: None },
                    3 => Command::Resume { step: Some(name) },
                    4 => Command::Terminate,
                    _ => Command::RestartStep { step: name },
                };
                Some(Event::Command {
                    command,
                    by: "p".into(),
                })
            }
        }
    }
}

fn under_way(effects: &[Effect]) -> BTreeSet<(StepRef, u32, bool)> {
    let both = effects.iter().filter_map(|effect| match effect {
        Effect::Run { step, attempt } => Some((*step, *attempt, true)),
        Effect::Condition { step, attempt } => Some((*step, *attempt, false)),
        _ => None,
    });
    both.collect()
}

fn apply(sim: &mut Sim, act: &Act) {
    if let Act::Wake { seconds } = act {
        sim.now = sim
            .now
            .saturating_add(Duration::from_secs(*seconds))
            .unwrap();
    }
    let Some(event) = act.event(sim) else { return };
    let before = sim.state.clone();
    let done: Vec<bool> = before
        .steps
        .iter()
        .map(|step| step.stage == Stage::Done)
        .collect();
    let restart = matches!(
        &event,
        Event::Command {
            command: Command::RestartStep { .. },
            ..
        }
    );
    match sim.try_send(event.clone()) {
        Err(_) => assert_eq!(sim.state, before, "a refused event changed the state"),
        Ok(effects) => {
            if let Event::Ended { step, attempt, .. } | Event::Condition { step, attempt, .. } =
                event
            {
                sim.open.retain(|one| {
                    !under_way(std::slice::from_ref(one))
                        .iter()
                        .any(|(s, a, _)| *s == step && *a == attempt)
                });
            }
            for (step, _, _) in under_way(&effects) {
                assert!(
                    restart || !done[step.index()],
                    "a step that is over ran again"
                );
            }
        }
    }
}

/// Answers everything with success, until nothing is left to answer.
fn finish(sim: &mut Sim) {
    for _ in 0..2_000 {
        if sim.state.phase().is_over() {
            return;
        }
        let act = if sim.open.is_empty() {
            match sim.state.deadline() {
                Some(due) if due > sim.now => Act::Wake { seconds: 400 },
                Some(_) => Act::Wake { seconds: 0 },
                None => Act::Command { which: 1, step: 0 },
            }
        } else {
            Act::Answer { pick: 0, how: 10 }
        };
        apply(sim, &act);
    }
    panic!(
        "the run does not end:\n{}",
        crate::tree(sim.state.dag(), Some(&sim.state))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_rebuilt_state_equals_the_one_that_wrote_the_journal((mode, steps) in workflows(), acts in acts()) {
        // A generated workflow may wait for itself; that is refused, and tested elsewhere.
        let made = spec(&mode, steps);
        prop_assume!(crate::State::new(made.clone()).is_ok());
        let mut sim = Sim::idle(made);
        sim.try_send(Event::Begin).unwrap();
        for act in &acts {
            apply(&mut sim, act);
            let rebuilt = rebuild(sim.entries.clone()).unwrap();
            prop_assert_eq!(&rebuilt.state, &sim.state);
            prop_assert_eq!(rebuilt.next, sim.entries.len() as u64);
            prop_assert_eq!(under_way(&rebuilt.state.outstanding()), under_way(&sim.open));
            // The journal is text; nothing may be lost on the way.
            let text = serde_json::to_string(&sim.entries).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Vec<crate::Entry>>(&text).unwrap(), &sim.entries);
            sim.state = rebuilt.state;
        }
        finish(&mut sim);
        let status = sim.state.status();
        prop_assert!(status.finished);
        for row in &status.steps {
            prop_assert!(
                matches!(row.phase.as_deref(), Some("succeeded" | "failed" | "skipped")),
                "{} is {:?}", row.name, row.phase
            );
        }
        prop_assert_eq!(status.steps.len(), sim.state.dag().top().len());
    }
}
