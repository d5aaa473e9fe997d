//! `known-differences.yaml`: where we differ from KubeVela on purpose, or not yet agree.

use std::collections::BTreeMap;
use std::path::Path;

use caravel_core::yaml;
use serde::Deserialize;

/// One entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    cases: Vec<String>,
    /// `v2` or `v3`; both where absent.
    #[serde(default)]
    evaluator: Option<String>,
    reason: String,
}

/// The reasons by case.
#[derive(Debug, Default)]
pub(crate) struct Known {
    reasons: BTreeMap<(String, String), String>,
}

impl Known {
    pub(crate) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/known-differences.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        let value = yaml::parse_one(&text).unwrap();
        let entries: Vec<Entry> = serde_json::from_value(value).unwrap();
        let mut reasons = BTreeMap::new();
        for entry in entries {
            assert!(
                !entry.reason.trim().is_empty(),
                "each known difference needs a reason"
            );
            for case in &entry.cases {
                for evaluator in ["v2", "v3"] {
                    if entry
                        .evaluator
                        .as_deref()
                        .is_none_or(|only| only == evaluator)
                    {
                        let key = (case.clone(), evaluator.to_owned());
                        let old = reasons.insert(key, entry.reason.clone());
                        assert!(old.is_none(), "{case} is listed twice");
                    }
                }
            }
        }
        Self { reasons }
    }

    pub(crate) fn reason(&self, case: &str, evaluator: &str) -> Option<&str> {
        let key = (case.to_owned(), evaluator.to_owned());
        self.reasons.get(&key).map(String::as_str)
    }
}
