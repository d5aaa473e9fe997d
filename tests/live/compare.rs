//! Where two values differ.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// What was different in each run of KubeVela and was replaced in the records.
static SCRUBBED: LazyLock<Regex> = LazyLock::new(|| Regex::new("<[a-zA-Z]+>").unwrap());

/// What is different in each run, or says of itself that nothing real runs: addresses, names that end in the random
/// id of a step, the remark of the simulated runtime.
static PASSING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:\d{1,3}\.){3}\d{1,3}\b| \(simulated\)|-(?<random>restart-workflow|cli)-[a-z0-9]{10}\b")
        .unwrap()
});

/// A text without what is different in each run.
pub(crate) fn lasting(text: &str) -> String {
    let replaced = PASSING.replace_all(text, |found: &Captures<'_>| {
        found
            .name("random")
            .map_or(String::new(), |name| format!("-{}-id", name.as_str()))
    });
    replaced.into_owned()
}

/// All places where what was found is not what was recorded.
pub(crate) fn differences(path: &str, recorded: &Value, found: &Value) -> Vec<String> {
    let mut all = Vec::new();
    walk(path, recorded, found, &mut all);
    all
}

fn walk(path: &str, recorded: &Value, found: &Value, all: &mut Vec<String>) {
    match (recorded, found) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let other = after.get(name).unwrap_or(&Value::Null);
                walk(&format!("{path}.{name}"), value, other, all);
            }
            for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                walk(&format!("{path}.{name}"), &Value::Null, value, all);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (value, other)) in before.iter().zip(after).enumerate() {
                let name = value["name"]
                    .as_str()
                    .map_or(index.to_string(), str::to_owned);
                walk(&format!("{path}[{name}]"), value, other, all);
            }
        }
        _ if is_same(recorded, found) => {}
        _ => all.push(format!("{path}: {} <> {}", short(recorded), short(found))),
    }
}

fn is_same(recorded: &Value, found: &Value) -> bool {
    match (recorded, found) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), _) if SCRUBBED.find(a).is_some_and(|all| all.as_str() == a) => {
            !found.is_null()
        }
        (Value::String(a), Value::String(b)) if SCRUBBED.is_match(a) => {
            let literal: Vec<String> = SCRUBBED.split(a).map(regex::escape).collect();
            Regex::new(&format!("(?s)^{}$", literal.join(".*")))
                .unwrap()
                .is_match(b)
        }
        (Value::String(a), Value::String(b)) => a == b || lasting(a) == lasting(b),
        _ => recorded == found,
    }
}

/// What of a manifest is not in a live object, as far as it was in the recorded live object.
pub(crate) fn lost(path: &str, manifest: &Value, recorded: &Value, found: &Value) -> Vec<String> {
    let in_record = missing(path, manifest, recorded);
    let in_found = missing(path, manifest, found);
    in_found
        .into_iter()
        .filter(|one| !in_record.iter().any(|other| place(other) == place(one)))
        .collect()
}

fn place(difference: &str) -> &str {
    difference.split(": ").next().unwrap_or_default()
}

fn missing(path: &str, part: &Value, whole: &Value) -> Vec<String> {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .flat_map(|(name, value)| {
                let other = whole.get(name).unwrap_or(&Value::Null);
                missing(&format!("{path}.{name}"), value, other)
            })
            .collect(),
        (Value::Array(part), Value::Array(whole)) if part.len() == whole.len() => part
            .iter()
            .zip(whole)
            .enumerate()
            .flat_map(|(index, (value, other))| missing(&format!("{path}[{index}]"), value, other))
            .collect(),
        _ if is_same(part, whole) => Vec::new(),
        _ => vec![format!("{path}: {} <> {}", short(part), short(whole))],
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(600) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
