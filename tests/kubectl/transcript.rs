//! The recorded commands, and which of them are not compared.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// `kubectl/transcript.json`.
#[derive(Deserialize)]
pub(crate) struct Transcript {
    /// Inputs by file name.
    pub(crate) files: BTreeMap<String, String>,
    /// What was run, in order.
    pub(crate) commands: Vec<Command>,
}

/// One command and what it printed.
#[derive(Deserialize)]
pub(crate) struct Command {
    pub(crate) args: Vec<String>,
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Transcript {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the transcript can be read");
        serde_json::from_str(&text).expect("the transcript is JSON")
    }
}

/// Commands that are run, because later ones build on them, but not compared: number, tab, reason.
pub(crate) struct LeftOut(BTreeMap<usize, &'static str>);

impl LeftOut {
    pub(crate) fn read() -> Self {
        let rows = include_str!("left-out.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'));
        Self(
            rows.map(|row| {
                let (number, reason) = row.split_once('\t').expect("number, tab, reason");
                (number.parse().expect("a number"), reason)
            })
            .collect(),
        )
    }

    pub(crate) fn reason(&self, number: usize) -> Option<&str> {
        self.0.get(&number).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
