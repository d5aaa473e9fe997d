//! What KubeVela accepts and renders is not refused, and what its webhook refuses does not pass without a word.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use caravel_core::appfile::{DefinitionSet, Finding};
use caravel_core::yaml;
use caravel_tests::conformance;
use serde_json::Value;

use crate::{application, definition};

/// A case folder.
struct Golden {
    id: String,
    folder: PathBuf,
}

impl Golden {
    fn all(root: &Path, suite: &str) -> Vec<Self> {
        let mut folders: Vec<PathBuf> = fs::read_dir(root.join(suite))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|folder| folder.join("case.json").is_file())
            .collect();
        folders.sort();
        let id = |folder: &Path| format!("{suite}/{}", folder.file_name().unwrap().display());
        folders
            .into_iter()
            .map(|folder| Self {
                id: id(&folder),
                folder,
            })
            .collect()
    }

    fn documents(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let documents = yaml::parse(&text).unwrap_or_default();
        documents.into_iter().filter(|one| !one.is_null()).collect()
    }

    /// What is said about the Application; nothing where there is none.
    fn findings(&self) -> Option<Vec<Finding>> {
        let object = self.documents("application.yaml").into_iter().next()?;
        let mut set = DefinitionSet::default();
        for object in self.documents("definitions.yaml") {
            set.add(&object, "default").ok()?;
        }
        Some(application(&object, &Value::Null, &set))
    }

    /// What KubeVela's webhook says, with its flags as they are by default.
    fn webhook(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("expected-admission.json"));
        let said: Value = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
        let list = said["default"].as_array().into_iter().flatten();
        list.filter_map(|one| one.as_str().map(str::to_owned))
            .collect()
    }
}

/// What we refuse though KubeVela renders it, with the reason.
const REFUSED: [(&str, &str); 15] = [
    (
        "docs/kv-app10-failed-app-ad4221",
        "Trap 6 (FIX): a step that applies what is not there",
    ),
    (
        "docs/kv-app8-first-application-c83d44",
        "KubeVela's webhook refuses it too: duplicate names",
    ),
    (
        "docs/kv-heavy-app-id-e77eaf",
        "a form with capital letters in its names: no API server takes it",
    ),
    (
        "docs/kv-light-app-id-737a05",
        "a form with capital letters in its names: no API server takes it",
    ),
    (
        "docs/kv-multicluster-app-id-dde0fa",
        "a form with capital letters in its names: no API server takes it",
    ),
    (
        "docs/kv-readme-if-timeout-4ae4ec",
        "Trap 4 (FIX): a condition about a name that does not exist",
    ),
    (
        "docs/kv-region-app-id-2129e1",
        "a form with capital letters in its names: no API server takes it",
    ),
    (
        "docs/site-built-in-workflow-defs-first-vela-workflow-abecae",
        "Trap 1 (FIX): a text where a step's parameter is a number; the step would fail",
    ),
    (
        "own/def-patchkey-retainkeys-list",
        "a name that ends in `-`: no API server takes it",
    ),
    (
        "own/def-output-no-apiversion",
        "what it renders cannot be applied anywhere",
    ),
    (
        "own/meta-autoupdate-and-publish",
        "KubeVela's webhook refuses it too",
    ),
    (
        "own/policy-apply-once-all",
        "Traps 1 and 17 (FIX): a word that means nothing",
    ),
    ("own/wfgen-bad-timeout", "KubeVela's webhook refuses it too"),
    (
        "own/wfgen-dependson-missing",
        "Trap 6 (FIX): it would wait for ever",
    ),
    (
        "own/wfgen-dup-step-name",
        "KubeVela's webhook refuses it too",
    ),
];

#[test]
fn what_kubevela_renders_is_accepted() {
    let Some(root) = conformance::folder() else {
        return;
    };
    let mut wrong = Vec::new();
    let mut refused = BTreeSet::new();
    for suite in ["docs", "own"] {
        let cases = Golden::all(&root, suite);
        assert!(cases.len() > 100, "the suite {suite} is incomplete");
        for case in &cases {
            let mut tell = |what: String| {
                refused.insert(case.id.clone());
                if !REFUSED.iter().any(|(id, _)| *id == case.id) {
                    wrong.push(format!("{}: {what}", case.id));
                }
            };
            for finding in case.findings().unwrap_or_default() {
                if !finding.kind.is_warning() {
                    tell(finding.to_string());
                }
            }
            for object in case.documents("definitions.yaml") {
                let is_definition = object["kind"]
                    .as_str()
                    .is_some_and(|kind| kind.ends_with("Definition"));
                for finding in definition(&object).iter().filter(|_| is_definition) {
                    if !finding.kind.is_warning() {
                        tell(format!("{}: {finding}", object["metadata"]["name"]));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are refused:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(
        refused.len(),
        REFUSED.len(),
        "the list has what is accepted by now"
    );
}

/// What KubeVela's webhook refuses and we say nothing about, with the reason.
const SILENT: [(&str, &str); 8] = [
    (
        "errors/comp-ref-objects-missing",
        "an object that is referred to is looked up when it is delivered",
    ),
    (
        "errors/kv-deploy-ref-objects-multiple-resources-02a4fa",
        "an object that is referred to is looked up when it is delivered",
    ),
    (
        "errors/def-kube-provider-missing",
        "a call that asks a cluster is not made at admission",
    ),
    (
        "errors/helm-repo-missing-chart",
        "a chart is not fetched at admission",
    ),
    (
        "errors/helm-repo-missing-version",
        "a chart is not fetched at admission",
    ),
    (
        "errors/helm-values-schema-error",
        "a chart is not fetched at admission",
    ),
    (
        "errors/trait-x-init-container-env",
        "Trap 19 (FIX): KubeVela's own trait fails beside other volumes; ours renders",
    ),
    (
        "errors/trait-x-startup-probe-multi",
        "Trap 21 (FIX): KubeVela's own trait fails on parameters that its schema accepts; ours renders",
    ),
];

#[test]
fn what_kubevelas_webhook_refuses_is_told_of() {
    let Some(root) = conformance::folder() else {
        return;
    };
    let mut silent = Vec::new();
    let mut compared = 0;
    for case in Golden::all(&root, "errors") {
        let refused = case.webhook();
        if refused.is_empty() {
            continue;
        }
        compared += 1;
        let is_silent = case.findings().is_some_and(|findings| findings.is_empty());
        if is_silent && !SILENT.iter().any(|(id, _)| *id == case.id) {
            silent.push(format!("{}: {}", case.id, refused.join("; ")));
        }
    }
    assert!(
        compared > 50,
        "only {compared} refusals of KubeVela were found"
    );
    assert!(
        silent.is_empty(),
        "nothing is said about {}:\n{}",
        silent.len(),
        silent.join("\n")
    );
}
