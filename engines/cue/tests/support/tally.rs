//! Goldens of the conformance suite: finding, reading and comparing them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// What came of a case: a value, or KubeVela's error text.
pub(crate) type Outcome = Result<Value, String>;

/// A reply of the bridge as an outcome.
pub(crate) fn outcome(reply: &Value) -> Outcome {
    match reply["status"].as_str().unwrap() {
        "ok" => Ok(reply["body"].clone()),
        "error" => Err(reply["body"]["kubevelaText"].as_str().unwrap().to_owned()),
        other => Err(format!("{other}: {}", reply["body"])),
    }
}

/// The folder of the conformance suite; `None` where the run is told to go without.
pub(crate) fn suite(name: &str) -> Option<PathBuf> {
    if std::env::var("CONFORMANCE").is_ok_and(|value| value == "skip") {
        return None;
    }
    let root = std::env::var_os("CARAVEL_CONFORMANCE_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let folder = root.join(name);
    assert!(
        folder.is_dir(),
        "{} is missing: set CARAVEL_CONFORMANCE_DIR, or CONFORMANCE=skip",
        folder.display()
    );
    Some(folder)
}

/// The cases of a suite, sorted.
pub(crate) fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// Reads a file of a case; the variant of the evaluator where there is one.
pub(crate) fn read(case: &Path, evaluator: &str, stem: &str, extension: &str) -> Option<String> {
    if evaluator == "v3"
        && let Ok(text) = fs::read_to_string(case.join(format!("{stem}.v3.{extension}")))
    {
        return Some(text);
    }
    fs::read_to_string(case.join(format!("{stem}.{extension}"))).ok()
}

/// Numbers by value: the goldens went through Go's float64, which writes 1.0 as 1.
pub(crate) fn by_value(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(by_value).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), by_value(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Counts the cases of a suite and fails with everything that differs, known differences excepted.
#[derive(Default)]
pub(crate) struct Tally {
    succeeded: usize,
    failed_as_expected: usize,
    skipped: usize,
    differences: Vec<String>,
    known: Vec<String>,
}

impl Tally {
    /// Compares one case; `known` names the cases that differ for a reason.
    pub(crate) fn compare(
        &mut self,
        name: &str,
        expected: &Outcome,
        found: &Outcome,
        known: &[(&str, &str)],
    ) {
        let equal = match (expected, found) {
            (Ok(expected), Ok(found)) => by_value(expected) == by_value(found),
            (Err(expected), Err(found)) => expected.trim() == found.trim(),
            _ => false,
        };
        let listed = known.iter().find(|(case, _)| name.starts_with(case));
        match (equal, listed) {
            (true, None) if expected.is_ok() => self.succeeded += 1,
            (true, None) => self.failed_as_expected += 1,
            (true, Some(_)) => {
                self.differences.push(format!(
                    "{name}: is on the list of known differences, but is equal"
                ));
            }
            (false, Some((_, reason))) => self.known.push(format!("{name}: {reason}")),
            (false, None) => {
                self.differences.push(format!(
                    "{name}\n  expected {expected:?}\n  found    {found:?}"
                ));
            }
        }
    }

    /// Leaves a case out.
    pub(crate) fn skip(&mut self) {
        self.skipped += 1;
    }

    /// Prints the counts.
    pub(crate) fn finish(self, suite: &str) {
        println!(
            "{suite}: {} equal, {} fail as they should, {} known differences, {} left out",
            self.succeeded,
            self.failed_as_expected,
            self.known.len(),
            self.skipped
        );
        for line in &self.known {
            println!("  {line}");
        }
        assert!(
            self.succeeded + self.failed_as_expected > 0,
            "{suite}: nothing was compared"
        );
        assert!(
            self.differences.is_empty(),
            "{suite}: {} differences\n{}",
            self.differences.len(),
            self.differences.join("\n")
        );
    }
}
