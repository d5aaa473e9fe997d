//! What the `vela` command writes, as `vela-cli/transcript.json` of the conformance folder recorded it: it commands a
//! workflow through `status.workflow`.

use serde_json::{Value, json};

/// A command that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vela {
    Suspend,
    /// All steps that wait, or the one of this name.
    Resume(Option<String>),
    Terminate,
    Restart,
    Delete {
        orphan: bool,
    },
    /// It only shows something.
    Look,
}

/// How a command reaches the API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    /// A merge patch of the subresource `status`.
    PatchStatus(Value),
    /// The whole object, to the subresource `status`.
    PutStatus(Value),
    /// Further finalizers, if any, then the deletion.
    Delete { finalizers: Vec<String> },
}

impl Vela {
    /// Reads the arguments of a command line; none if it does what is not played.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line
            .split_whitespace()
            .take_while(|word| *word != "|" && !word.starts_with('>') && !word.starts_with('<'))
            .collect();
        let has = |word: &str| words.contains(&word);
        let value = |flag: &str| {
            let at = words.iter().position(|word| *word == flag)?;
            words.get(at + 1).map(|word| (*word).to_owned())
        };
        let step = value("--step");
        let verb = words.iter().find(|word| {
            [
                "suspend",
                "resume",
                "terminate",
                "restart",
                "delete",
                "list",
                "logs",
            ]
            .contains(*word)
        })?;
        match *verb {
            "suspend" => Some(Self::Suspend),
            "resume" => Some(Self::Resume(step)),
            "terminate" => Some(Self::Terminate),
            "restart" if step.is_none() => Some(Self::Restart),
            "delete" => Some(Self::Delete {
                orphan: has("--orphan"),
            }),
            "list" | "logs" => Some(Self::Look),
            _ => None,
        }
    }

    /// What the command sends, having read the Application; nothing where it refuses to.
    pub(crate) fn request(&self, application: &Value) -> Option<Request> {
        let mut next = application.clone();
        let workflow = &mut next["status"]["workflow"];
        let is_terminated = workflow["terminated"] == true;
        match self {
            Self::Suspend => {
                workflow["suspend"] = json!(true);
                change(workflow, |step| {
                    if step["phase"] == "running" {
                        step["phase"] = json!("suspending");
                    }
                });
            }
            Self::Resume(_) if is_terminated => return None,
            Self::Resume(name) => {
                workflow["suspend"] = json!(false);
                change(workflow, |step| {
                    let is_meant = name.as_deref().is_none_or(|name| step["name"] == name);
                    if is_meant && step["phase"] == "suspending" {
                        step["phase"] = json!("running");
                    }
                });
            }
            Self::Terminate => {
                workflow["terminated"] = json!(true);
                workflow["suspend"] = json!(false);
                change(workflow, |step| {
                    if step["phase"] == "running" || step["phase"] == "suspending" {
                        step["phase"] = json!("failed");
                        step["reason"] = json!("Terminate");
                    }
                });
            }
            Self::Restart => {
                next["status"].as_object_mut()?.remove("workflow");
                return Some(Request::PutStatus(next));
            }
            Self::Delete { orphan } => {
                let finalizers = if *orphan {
                    vec!["app.oam.dev/orphan-resource".to_owned()]
                } else {
                    Vec::new()
                };
                return Some(Request::Delete { finalizers });
            }
            Self::Look => return None,
        }
        Some(Request::PatchStatus(next))
    }
}

fn change(workflow: &mut Value, edit: impl Fn(&mut Value)) {
    for step in workflow["steps"].as_array_mut().into_iter().flatten() {
        edit(step);
        let inner = step.get_mut("subSteps").and_then(Value::as_array_mut);
        inner.into_iter().flatten().for_each(&edit);
    }
}

#[cfg(test)]
mod tests {
    use caravel_tests::conformance;

    use super::*;

    /// What of a workflow status a command is about.
    fn command_of(status: &Value) -> Value {
        let workflow = &status["workflow"];
        if workflow.is_null() {
            return Value::Null;
        }
        let steps = workflow["steps"].as_array().into_iter().flatten();
        let steps: Vec<Value> = steps
            .map(|step| json!([step["name"], step["phase"], step["reason"]]))
            .collect();
        json!([workflow["suspend"], workflow["terminated"], steps])
    }

    #[test]
    fn the_commands_write_what_was_recorded() {
        let Some(folder) = conformance::folder() else {
            return;
        };
        let text = std::fs::read_to_string(folder.join("vela-cli/transcript.json")).unwrap();
        let transcript: Value = serde_json::from_str(&text).unwrap();
        let waits = |suspend: bool| {
            json!({"status": {"workflow": {"suspend": suspend, "terminated": false, "steps": [
                {"name": "one", "phase": "succeeded"}, {"name": "gate", "phase": "suspending", "reason": "Suspend"},
            ]}}})
        };
        let mut seen = 0;
        for command in transcript["commands"].as_array().unwrap() {
            let words: Vec<&str> = command["args"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let writes = command["requests"].as_array().into_iter().flatten();
            let write = writes
                .filter(|one| one["verb"] == "patch" || one["verb"] == "update")
                .find(|one| {
                    one["uri"]
                        .as_str()
                        .is_some_and(|uri| uri.ends_with("/status"))
                });
            let (Some("workflow"), Some(write)) = (words.first().copied(), write) else {
                continue;
            };
            let vela = Vela::parse(&words.join(" ")).unwrap();
            let (verb, sent) = match vela.request(&waits(true)).unwrap() {
                Request::PatchStatus(body) => ("patch", body),
                Request::PutStatus(body) => ("update", body),
                Request::Delete { .. } => panic!("{words:?} deletes"),
            };
            assert_eq!(write["verb"], verb, "{words:?}");
            assert_eq!(
                command_of(&sent["status"]),
                command_of(&write["body"]["status"]),
                "{words:?}"
            );
            seen += 1;
        }
        assert_eq!(seen, 6, "commands that write a status");
    }
}
