//! `known-differences.tsv`: where we differ from KubeVela on purpose, or not yet agree.

use std::collections::BTreeMap;
use std::path::Path;

/// The reasons by case.
pub(crate) struct Known {
    reasons: BTreeMap<String, String>,
}

impl Known {
    /// Reads the list. Lines are `case<TAB>reason`; empty ones and those that begin with `#` are remarks.
    pub(crate) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("live/known-differences.tsv");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut reasons = BTreeMap::new();
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let (case, reason) = line
                .split_once('\t')
                .unwrap_or_else(|| panic!("no tab between case and reason: {line}"));
            assert!(
                !reason.trim().is_empty(),
                "{case} is listed without a reason"
            );
            let before = reasons.insert(case.to_owned(), reason.to_owned());
            assert!(before.is_none(), "{case} is listed twice");
        }
        Self { reasons }
    }

    /// Why a case differs.
    pub(crate) fn reason(&self, case: &str) -> Option<&str> {
        self.reasons.get(case).map(String::as_str)
    }

    /// The cases of the list.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &str> {
        self.reasons.keys().map(String::as_str)
    }
}
