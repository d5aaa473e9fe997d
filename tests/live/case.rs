//! The cases, and what each needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use caravel_core::yaml;
use regex::Regex;
use serde_json::Value;

/// The definitions whose Applications are compared, by the place where an Application names them.
const DEFINITIONS: [(&str, &[&str]); 4] = [
    (
        "component",
        &["webservice", "worker", "task", "k8s-objects"],
    ),
    (
        "trait",
        &["scaler", "env", "labels", "annotations", "gateway"],
    ),
    (
        "policy",
        &[
            "topology",
            "override",
            "garbage-collect",
            "apply-once",
            "read-only",
            "take-over",
            "shared-resource",
            "resource-update",
        ],
    ),
    (
        "workflow step",
        &[
            "apply-component",
            "deploy",
            "apply-object",
            "read-object",
            "request",
            "suspend",
            "step-group",
            "print-message-in-status",
        ],
    ),
];

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

    /// What the case needs that is not there; none if it can be played.
    pub(crate) fn lacks(&self, has_sink: bool) -> Option<String> {
        if self.name.starts_with("retry2-") {
            return Some("another number of retries".to_owned());
        }
        if self.name == "doc-end-policies-references-9" {
            return Some("an object that another case shares with it".to_owned());
        }
        if self.name == "zstd-sample" {
            return Some("compressed trackers".to_owned());
        }
        let first = self.steps.first()?;
        if first.command.is_some() && first.documents.is_empty() {
            return Some("a command in its first step".to_owned());
        }
        if first
            .documents
            .iter()
            .all(|one| one["kind"] != "Application")
        {
            return Some("an Application in its first step".to_owned());
        }
        let documents = || self.steps.iter().flat_map(|step| &step.documents);
        for (place, name) in documents().flat_map(used) {
            let (_, known) = DEFINITIONS.iter().find(|(known, _)| *known == place)?;
            if !known.contains(&name.as_str()) {
                return Some(format!("{place} {name}"));
            }
        }
        let kind = documents()
            .map(|one| one["kind"].as_str().unwrap_or_default())
            .find(|kind| ["Workflow", "PolicyDefinition"].contains(kind));
        if let Some(kind) = kind {
            return Some(format!("kind {kind}"));
        }
        let needs_sink = documents().any(|one| one.to_string().contains(crate::sink::ADDRESS));
        (needs_sink && !has_sink).then(|| format!("a free {}", crate::sink::ADDRESS))
    }
}

/// The definitions that an Application uses.
fn used(document: &Value) -> BTreeSet<(&'static str, String)> {
    let mut used = BTreeSet::new();
    if document["kind"] != "Application" {
        return used;
    }
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut note = |place: &'static str, part: &Value| {
        used.insert((
            place,
            part["type"].as_str().unwrap_or("without a type").to_owned(),
        ));
    };
    for component in list(&document["spec"]["components"]) {
        note("component", &component);
        for part in list(&component["traits"]) {
            note("trait", &part);
        }
    }
    for policy in list(&document["spec"]["policies"]) {
        note("policy", &policy);
    }
    for step in list(&document["spec"]["workflow"]["steps"]) {
        note("workflow step", &step);
        for inner in list(&step["subSteps"]) {
            note("workflow step", &inner);
        }
    }
    used
}
