//! Status is also a command channel: `vela` and people steer a run by writing `status.workflow` (WF-028, TRAP-009).

use std::collections::BTreeMap;

use caravel_core::api::WorkflowStatus;

use crate::event::Command;

/// What users asked for, where the status that was found differs from the one that we last wrote. What does not
/// tell of a wish (times, messages, the context's name) is ignored: the next projection puts it right.
pub fn commands(last: &WorkflowStatus, found: Option<&WorkflowStatus>) -> Vec<Command> {
    let Some(found) = found else {
        return vec![Command::Restart];
    };
    let (before, after) = (Steps::of(last), Steps::of(found));
    // A status without mode, phase and steps has been emptied: the same as none.
    if found.steps.is_empty() && found.mode.is_empty() && !last.steps.is_empty() {
        return vec![Command::Restart];
    }
    if found.terminated && !last.terminated {
        return vec![Command::Terminate];
    }
    let removed = before.missing_in(&after);
    if !removed.is_empty() && !found.terminated && !found.finished {
        return removed
            .into_iter()
            .map(|step| Command::RestartStep { step })
            .collect();
    }
    if found.suspend && !last.suspend {
        let changed = before.changed(&after, "running", "suspending");
        let all = before.count("running");
        return vec![Command::Suspend {
            step: single(&changed, all),
        }];
    }
    let resumed = before.changed(&after, "suspending", "running");
    if last.suspend && !found.suspend {
        if resumed.is_empty() || resumed.len() == before.count("suspending") {
            return vec![Command::Resume { step: None }];
        }
        return resumed
            .into_iter()
            .map(|step| Command::Resume { step: Some(step) })
            .collect();
    }
    if last.suspend {
        return resumed
            .into_iter()
            .map(|step| Command::Resume { step: Some(step) })
            .collect();
    }
    Vec::new()
}

/// The one step that was changed, where others could have been too.
fn single(changed: &[String], all: usize) -> Option<String> {
    match changed {
        [one] if all > 1 => Some(one.clone()),
        _ => None,
    }
}

/// Phases by name. A group is left out where its members tell the same in more detail.
struct Steps<'a> {
    phases: BTreeMap<&'a str, &'a str>,
    order: Vec<&'a str>,
    groups: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Steps<'a> {
    fn of(status: &'a WorkflowStatus) -> Self {
        let mut steps = Self {
            phases: BTreeMap::new(),
            order: Vec::new(),
            groups: Vec::new(),
        };
        for step in &status.steps {
            steps.add(&step.name, step.phase.as_deref());
            let members: Vec<&str> = step.sub_steps.iter().map(|sub| sub.name.as_str()).collect();
            for sub in &step.sub_steps {
                steps.add(&sub.name, sub.phase.as_deref());
            }
            if !members.is_empty() {
                steps.groups.push((&step.name, members));
            }
        }
        steps
    }

    fn add(&mut self, name: &'a str, phase: Option<&'a str>) {
        self.phases.insert(name, phase.unwrap_or_default());
        self.order.push(name);
    }

    fn is_group(&self, name: &str) -> bool {
        self.groups.iter().any(|(group, _)| *group == name)
    }

    fn count(&self, phase: &str) -> usize {
        let at_it = |name: &&&str| self.phases[**name] == phase && !self.is_group(name);
        self.order.iter().filter(at_it).count()
    }

    fn changed(&self, after: &Self, from: &str, to: &str) -> Vec<String> {
        let went = |name: &&&str| {
            self.phases[**name] == from
                && after.phases.get(**name) == Some(&to)
                && !self.is_group(name)
        };
        self.order
            .iter()
            .filter(went)
            .map(|name| (*name).to_owned())
            .collect()
    }

    /// The failed steps that were taken out, without the members of a group that was taken out whole. A step that
    /// follows a restarted one is taken out with it, so the first failed one is what was asked for.
    fn missing_in(&self, after: &Self) -> Vec<String> {
        let gone = |name: &str| !after.phases.contains_key(name);
        let group_gone = |name: &str| {
            self.groups
                .iter()
                .any(|(group, members)| members.contains(&name) && gone(group))
        };
        let first = self
            .order
            .iter()
            .find(|name| gone(name) && self.phases[**name] == "failed" && !group_gone(name));
        first.map(|name| (*name).to_owned()).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What a tool that writes status leaves behind, and what we read out of it.
    fn read(last: &Value, write: impl FnOnce(&mut Value)) -> Vec<Command> {
        let mut found = last.clone();
        write(&mut found);
        let status =
            |value: &Value| serde_json::from_value::<WorkflowStatus>(value.clone()).unwrap();
        commands(&status(last), Some(&status(&found)))
    }

    fn running() -> Value {
        json!({"mode": "StepByStep-DAG", "status": "executing", "steps": [
            {"id": "1", "name": "a", "phase": "succeeded"},
            {"id": "2", "name": "g", "phase": "running", "subSteps": [
                {"id": "3", "name": "m", "phase": "running", "reason": "Wait"},
                {"id": "4", "name": "n", "phase": "running"}]}]})
    }

    fn suspended() -> Value {
        json!({"mode": "DAG-DAG", "status": "suspending", "suspend": true, "steps": [
            {"id": "1", "name": "s1", "phase": "suspending", "reason": "Suspend"},
            {"id": "2", "name": "s2", "phase": "suspending", "reason": "Suspend"}]})
    }

    #[test]
    fn what_we_wrote_ourselves_is_no_command() {
        assert_eq!(read(&running(), |_| {}), []);
        assert_eq!(
            read(&suspended(), |status| status["message"] = json!("edited")),
            []
        );
    }

    #[test]
    fn suspend_whole_or_one_step() {
        let whole = read(&running(), |status| {
            status["suspend"] = json!(true);
            for path in [
                "/steps/1/phase",
                "/steps/1/subSteps/0/phase",
                "/steps/1/subSteps/1/phase",
            ] {
                *status.pointer_mut(path).unwrap() = json!("suspending");
            }
        });
        assert_eq!(whole, [Command::Suspend { step: None }]);
        let one = read(&running(), |status| {
            status["suspend"] = json!(true);
            *status.pointer_mut("/steps/1/subSteps/1/phase").unwrap() = json!("suspending");
        });
        assert_eq!(
            one,
            [Command::Suspend {
                step: Some("n".into())
            }]
        );
        // A person who only flips the flag means the whole run.
        let flag = read(&running(), |status| status["suspend"] = json!(true));
        assert_eq!(flag, [Command::Suspend { step: None }]);
    }

    #[test]
    fn resume_whole_or_one_step() {
        let flag = read(&suspended(), |status| status["suspend"] = json!(false));
        assert_eq!(flag, [Command::Resume { step: None }]);
        let one = read(&suspended(), |status| {
            status["suspend"] = json!(false);
            status["steps"][0]["phase"] = json!("running");
        });
        assert_eq!(
            one,
            [Command::Resume {
                step: Some("s1".into())
            }]
        );
        let all = read(&suspended(), |status| {
            status["suspend"] = json!(false);
            status["steps"][0]["phase"] = json!("running");
            status["steps"][1]["phase"] = json!("running");
        });
        assert_eq!(all, [Command::Resume { step: None }]);
    }

    #[test]
    fn terminate_wins_over_everything_else_in_the_same_write() {
        let terminated = read(&suspended(), |status| {
            status["terminated"] = json!(true);
            status["suspend"] = json!(false);
            for step in status["steps"].as_array_mut().unwrap() {
                step["phase"] = json!("failed");
                step["reason"] = json!("Terminate");
            }
        });
        assert_eq!(terminated, [Command::Terminate]);
    }

    #[test]
    fn an_emptied_status_is_a_restart() {
        let last: WorkflowStatus = serde_json::from_value(running()).unwrap();
        assert_eq!(commands(&last, None), [Command::Restart]);
        assert_eq!(
            commands(&last, Some(&WorkflowStatus::default())),
            [Command::Restart]
        );
    }

    #[test]
    fn a_failed_step_that_was_taken_out_is_restarted() {
        let last = json!({"mode": "StepByStep-DAG", "status": "failed", "terminated": true, "finished": true, "steps": [
            {"id": "1", "name": "a", "phase": "succeeded"},
            {"id": "2", "name": "b", "phase": "failed", "reason": "Action"},
            {"id": "3", "name": "c", "phase": "failed", "reason": "Action"}]});
        let restarted = read(&last, |status| {
            status["terminated"] = json!(false);
            status["finished"] = json!(false);
            status["steps"].as_array_mut().unwrap().truncate(1);
        });
        assert_eq!(restarted, [Command::RestartStep { step: "b".into() }]);
    }

    #[test]
    fn a_failed_member_that_was_taken_out_is_restarted() {
        let last = json!({"mode": "StepByStep-DAG", "status": "failed", "terminated": true, "finished": true, "steps": [
            {"id": "1", "name": "g", "phase": "failed", "reason": "Action", "subSteps": [
                {"id": "2", "name": "m", "phase": "succeeded"},
                {"id": "3", "name": "n", "phase": "failed", "reason": "Action"}]},
            {"id": "4", "name": "z", "phase": "skipped"}]});
        let restarted = read(&last, |status| {
            status["terminated"] = json!(false);
            status["finished"] = json!(false);
            status["steps"][0]["phase"] = json!("running");
            status["steps"][0]["subSteps"]
                .as_array_mut()
                .unwrap()
                .truncate(1);
            status["steps"].as_array_mut().unwrap().truncate(1);
        });
        assert_eq!(restarted, [Command::RestartStep { step: "n".into() }]);
    }
}
