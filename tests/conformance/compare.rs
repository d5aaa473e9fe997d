//! When two results are the same: maps in any order, lists in theirs, numbers by value.

use std::collections::BTreeSet;

use serde_json::Value;

/// The first difference between what was expected and what was made, with its path.
pub(crate) fn difference(expected: &Value, actual: &Value, path: &str) -> Option<String> {
    differences(expected, actual, path).into_iter().next()
}

/// All differences, each with its path.
pub(crate) fn differences(expected: &Value, actual: &Value, path: &str) -> Vec<String> {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            let keys: BTreeSet<&String> = expected.keys().chain(actual.keys()).collect();
            let of_key = |key: &String| {
                let path = format!("{path}.{key}");
                match (expected.get(key), actual.get(key)) {
                    (Some(expected), Some(actual)) => differences(expected, actual, &path),
                    (Some(expected), None) => vec![format!("{path}: missing {expected}")],
                    (None, Some(actual)) => vec![format!("{path}: not expected {actual}")],
                    (None, None) => Vec::new(),
                }
            };
            keys.into_iter().flat_map(of_key).collect()
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            let pairs = expected.iter().zip(actual).enumerate();
            pairs
                .flat_map(|(index, (expected, actual))| {
                    differences(expected, actual, &format!("{path}[{index}]"))
                })
                .collect()
        }
        (Value::Number(left), Value::Number(right)) if left.as_f64() == right.as_f64() => {
            Vec::new()
        }
        _ if expected == actual => Vec::new(),
        _ => vec![format!("{path}: expected {expected}, found {actual}")],
    }
}

/// What must be equal in two error texts: the head (which component or trait, what kind of failure), and
/// the places that the user can mend: those under `User Errors` and `Parameter errors`. Where there are
/// none, the public places under `Template errors` count; else these only follow from the others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ErrorPlaces {
    head: String,
    places: BTreeSet<(String, String)>,
}

impl ErrorPlaces {
    pub(crate) fn of(text: &str) -> Self {
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default().trim().to_owned();
        let mut section = String::new();
        let mut places = BTreeSet::new();
        for line in lines {
            if let Some(title) = line.strip_suffix("rrors:") {
                title.clone_into(&mut section);
            } else if let Some(entry) = line.strip_prefix("  ") {
                let place = entry.split(": ").next().unwrap_or_default();
                if section != "Template e" || is_public(place) {
                    places.insert((section.clone(), place.to_owned()));
                }
            }
        }
        let followers = places.iter().any(|(section, _)| section != "Template e");
        if followers {
            places.retain(|(section, _)| section != "Template e");
        }
        Self { head, places }
    }
}

/// The inner fields of a template are its author's: those of our built-in definitions have other names
/// than KubeVela's.
fn is_public(place: &str) -> bool {
    let first = place.split(['.', '[']).next().unwrap_or_default();
    let public = ["output", "outputs", "patch", "patchOutputs", "processing"];
    public.contains(&first) || place.contains(' ')
}

/// The text up to the dump of a value, which is the evaluator's own.
pub(crate) fn normalized(text: &str) -> String {
    let cut = text.split(" (value: ").next().unwrap_or_default();
    cut.trim_end().to_owned()
}
