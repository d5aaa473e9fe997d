//! Writing a user's wish into `status.workflow`: the inverse of [`commands`](crate::commands).
//!
//! The command line and the REST API steer a run exactly as `vela` does (WF-028), so that there is one way and
//! the controller need not know who asked.

use caravel_core::api::WorkflowStatus;

use crate::event::Command;

/// Why a wish cannot be written. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A terminated run cannot be suspended.
    #[error("can not suspend a terminated workflow")]
    SuspendTerminated,
    /// A terminated run cannot be resumed.
    #[error("can not resume a terminated workflow")]
    ResumeTerminated,
    /// The run is over: there is nothing to hold or to end.
    #[error("the workflow is over: {0}")]
    Over(String),
    /// Nothing waits to be resumed.
    #[error("the workflow is not suspended")]
    NotSuspended,
    /// There is no such step, or it has not begun.
    #[error("can not find step {0}")]
    NoStep(String),
    /// The step is in another phase than the wish needs.
    #[error("step {step} is not {wanted}: it is {phase}")]
    Phase {
        /// Name of the step.
        step: String,
        /// The phase that it would have to be in.
        wanted: &'static str,
        /// The phase that it is in.
        phase: String,
    },
    /// A step that has not failed cannot be restarted.
    #[error("can not restart from a non-failed step: {0}")]
    RestartNotFailed(String),
}

/// The status with the wish in it; `None` asks for a new run.
///
/// # Errors
/// If the run, or the step, is not in a state that allows it.
pub fn request(
    found: &WorkflowStatus,
    command: &Command,
) -> Result<Option<WorkflowStatus>, Refused> {
    let mut status = found.clone();
    match command {
        Command::Restart => return Ok(None),
        Command::Suspend { step } => {
            if found.terminated {
                return Err(Refused::SuspendTerminated);
            }
            refuse_if_over(found)?;
            move_steps(&mut status, step.as_deref(), "running", "suspending")?;
            status.suspend = true;
        }
        Command::Resume { step } => {
            if found.terminated {
                return Err(Refused::ResumeTerminated);
            }
            if !found.suspend {
                return Err(Refused::NotSuspended);
            }
            move_steps(&mut status, step.as_deref(), "suspending", "running")?;
            status.suspend = step.is_some() && holds_a_step(&status);
        }
        Command::Terminate => {
            refuse_if_over(found)?;
            each_step(&mut status, |_, phase, reason| {
                if matches!(phase.as_deref(), Some("running" | "suspending")) {
                    *phase = Some("failed".to_owned());
                    *reason = Some("Terminate".to_owned());
                }
            });
            status.terminated = true;
            status.suspend = false;
        }
        Command::RestartStep { step } => {
            match phase_of(found, step) {
                None => return Err(Refused::NoStep(step.clone())),
                Some("failed") => {}
                Some(_) => return Err(Refused::RestartNotFailed(step.clone())),
            }
            for group in &mut status.steps {
                group.sub_steps.retain(|sub| sub.name != *step);
            }
            status.steps.retain(|kept| kept.name != *step);
            status.terminated = false;
            status.finished = false;
            status.suspend = false;
        }
    }
    Ok(Some(status))
}

fn refuse_if_over(status: &WorkflowStatus) -> Result<(), Refused> {
    if status.finished || status.terminated {
        let phase = status
            .status
            .clone()
            .unwrap_or_else(|| "finished".to_owned());
        return Err(Refused::Over(phase));
    }
    Ok(())
}

/// Moves all steps, or the one that is named, from a phase to another.
fn move_steps(
    status: &mut WorkflowStatus,
    only: Option<&str>,
    from: &'static str,
    to: &str,
) -> Result<(), Refused> {
    if let Some(step) = only {
        let phase = phase_of(status, step).ok_or_else(|| Refused::NoStep(step.to_owned()))?;
        if phase != from {
            let (step, phase) = (step.to_owned(), phase.to_owned());
            return Err(Refused::Phase {
                step,
                wanted: from,
                phase,
            });
        }
    }
    each_step(status, |name, phase, _| {
        if only.is_none_or(|only| only == name) && phase.as_deref() == Some(from) {
            *phase = Some(to.to_owned());
        }
    });
    Ok(())
}

fn holds_a_step(status: &WorkflowStatus) -> bool {
    let suspending = |phase: &Option<String>| phase.as_deref() == Some("suspending");
    status.steps.iter().any(|step| {
        // A group is suspending because one of its members is.
        if step.sub_steps.is_empty() {
            suspending(&step.phase)
        } else {
            step.sub_steps.iter().any(|sub| suspending(&sub.phase))
        }
    })
}

fn phase_of<'a>(status: &'a WorkflowStatus, name: &str) -> Option<&'a str> {
    let mut found = None;
    for step in &status.steps {
        if step.name == name {
            found = Some(step.phase.as_deref().unwrap_or_default());
        }
        for sub in step.sub_steps.iter().filter(|sub| sub.name == name) {
            found = Some(sub.phase.as_deref().unwrap_or_default());
        }
    }
    found
}

fn each_step(
    status: &mut WorkflowStatus,
    mut change: impl FnMut(&str, &mut Option<String>, &mut Option<String>),
) {
    for step in &mut status.steps {
        change(&step.name, &mut step.phase, &mut step.reason);
        for sub in &mut step.sub_steps {
            change(&sub.name, &mut sub.phase, &mut sub.reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands;

    fn status(value: serde_json::Value) -> WorkflowStatus {
        serde_json::from_value(value).expect("a workflow status")
    }

    fn running() -> WorkflowStatus {
        status(json!({
            "mode": "DAG-DAG", "status": "executing",
            "suspend": false, "terminated": false, "finished": false,
            "steps": [
                {"id": "1", "name": "a", "phase": "running"},
                {"id": "2", "name": "b", "phase": "running"},
                {"id": "3", "name": "c", "phase": "failed"},
            ],
        }))
    }

    fn suspended() -> WorkflowStatus {
        status(json!({
            "mode": "DAG-DAG", "status": "suspending",
            "suspend": true, "terminated": false, "finished": false,
            "steps": [
                {"id": "1", "name": "a", "phase": "suspending"},
                {"id": "2", "name": "b", "phase": "suspending"},
            ],
        }))
    }

    /// What is written is read as the same wish.
    #[test]
    fn the_controller_understands_every_wish() {
        let step = |name: &str| Some(name.to_owned());
        for (before, command) in [
            (running(), Command::Suspend { step: None }),
            (running(), Command::Suspend { step: step("a") }),
            (suspended(), Command::Resume { step: None }),
            (suspended(), Command::Resume { step: step("b") }),
            (running(), Command::Terminate),
            (running(), Command::Restart),
            (
                running(),
                Command::RestartStep {
                    step: "c".to_owned(),
                },
            ),
        ] {
            let after = request(&before, &command).expect("allowed");
            assert_eq!(commands(&before, after.as_ref()), [command]);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        let mut over = running();
        over.finished = true;
        over.status = Some("succeeded".to_owned());
        for (before, command, words) in [
            (over, Command::Terminate, "the workflow is over: succeeded"),
            (
                running(),
                Command::Resume { step: None },
                "the workflow is not suspended",
            ),
            (
                suspended(),
                Command::Resume {
                    step: Some("z".to_owned()),
                },
                "can not find step z",
            ),
            (
                running(),
                Command::RestartStep {
                    step: "a".to_owned(),
                },
                "can not restart from a non-failed step: a",
            ),
        ] {
            let refused = request(&before, &command).expect_err("refused");
            assert_eq!(refused.to_string(), words);
        }
    }
}
