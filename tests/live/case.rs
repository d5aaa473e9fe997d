//! The cases, and what each needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use caravel_core::yaml;
use regex::Regex;
use serde_json::Value;

use crate::vela::Vela;

/// `y` or `n` as a whole value or key.
static LONE_LETTER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)(?<before>: |- |^\s+)(?<letter>[yn])(?<after>:|$)").unwrap());

/// A sequence of steps.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// One step: something is applied, or a command is run, and then KubeVela was looked at.
pub(crate) struct Step {
    /// Empty where the case is one step.
    pub(crate) label: String,
    pub(crate) folder: PathBuf,
    pub(crate) documents: Vec<Value>,
    pub(crate) command: Option<String>,
}

/// One thing that a step of a case does.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Shell(String),
    Vela(Vela),
}

impl Step {
    fn read(folder: PathBuf, label: String) -> Self {
        let text = fs::read_to_string(folder.join("input.yaml")).unwrap_or_default();
        // The records were made by a program to which `y` and `n` are texts.
        let text = LONE_LETTER.replace_all(&text, "$before'$letter'$after");
        let documents = yaml::parse(&text).unwrap_or_default();
        let documents = documents.into_iter().filter(|one| !one.is_null()).collect();
        let command = fs::read_to_string(folder.join("command.sh")).ok();
        Self {
            label,
            folder,
            documents,
            command,
        }
    }

    /// A recorded file of objects; none where it is absent.
    pub(crate) fn recorded(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        let text = LONE_LETTER.replace_all(&text, "$before'$letter'$after");
        let objects = yaml::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let flat = objects.into_iter().flat_map(|object| match object {
            Value::Array(objects) => objects,
            object => vec![object],
        });
        flat.filter(|one| one["kind"].is_string()).collect()
    }

    /// The requests that the server of the test received, where they were recorded.
    pub(crate) fn requests(&self) -> Option<String> {
        fs::read_to_string(self.folder.join("http.jsonl")).ok()
    }

    /// The parts of its command line; or the part that cannot be played.
    pub(crate) fn commands(&self) -> Result<Vec<Command>, String> {
        let Some(text) = &self.command else {
            return Ok(Vec::new());
        };
        if !text.contains("vela ") {
            return Ok(vec![Command::Shell(text.clone())]);
        }
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let parts = lines.flat_map(|line| line.split(';').map(str::trim));
        parts
            .filter(|part| !part.is_empty())
            .map(|part| match part.strip_prefix("vela ") {
                None => Ok(Command::Shell(part.to_owned())),
                Some(words) => Vela::parse(words)
                    .map(Command::Vela)
                    .ok_or_else(|| part.to_owned()),
            })
            .collect()
    }

    /// Whether the API took the documents, in their order.
    pub(crate) fn answers(&self) -> Vec<bool> {
        let text = fs::read_to_string(self.folder.join("apply.txt")).unwrap_or_default();
        let is_answer = |line: &&str| {
            let word = line.split_whitespace().nth(1).unwrap_or_default();
            ["created", "configured", "unchanged", "ERROR"].contains(&word)
        };
        text.lines()
            .filter(is_answer)
            .map(|line| !line.contains(" ERROR "))
            .collect()
    }
}

/// All cases in the order of their names.
pub(crate) fn all(folder: &Path) -> Vec<Case> {
    let mut cases: Vec<Case> = folders(folder)
        .into_iter()
        .map(|(name, folder)| {
            let steps = folders(&folder);
            let steps = if steps.is_empty() {
                vec![Step::read(folder, String::new())]
            } else {
                steps
                    .into_iter()
                    .map(|(label, folder)| Step::read(folder, label))
                    .collect()
            };
            Case { name, steps }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn folders(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<(String, PathBuf)> = entries
        .filter(|path| path.is_dir())
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                path,
            )
        })
        .collect();
    folders.sort();
    folders
}

impl Case {
    /// Whether it goes on by itself after some seconds: a suspension that ends, in a case that looks at it before.
    pub(crate) fn has_passing_states(&self) -> bool {
        let ends = |step: &Value| !step["properties"]["duration"].is_null();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        self.steps
            .iter()
            .flat_map(|step| &step.documents)
            .flat_map(|document| list(&document["spec"]["workflow"]["steps"]))
            .any(|step| ends(&step) || list(&step["subSteps"]).iter().any(ends))
    }

    /// Whether the record was made with another number of retries.
    pub(crate) fn gives_up_soon(&self) -> bool {
        self.name.starts_with("retry2-")
    }

    /// What the case needs that is not there; none if it can be played.
    pub(crate) fn lacks(&self, has_sink: bool) -> Option<String> {
        if self.name == "doc-end-policies-references-9" {
            return Some("an object that another case shares with it".to_owned());
        }
        let is_nothing = |step: &Step| step.documents.is_empty() && step.command.is_none();
        if self.steps.iter().all(is_nothing) {
            return Some("something to apply".to_owned());
        }
        let mut documents = self.steps.iter().flat_map(|step| &step.documents);
        let needs_sink = documents.any(|one| one.to_string().contains(crate::sink::ADDRESS));
        (needs_sink && !has_sink).then(|| format!("a free {}", crate::sink::ADDRESS))
    }
}
