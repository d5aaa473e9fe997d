//! One golden case: what went in, and what KubeVela made of it.

use std::fs;
use std::path::{Path, PathBuf};

use caravel_core::engine::Evaluator;
use caravel_core::render::ClusterVersion;
use caravel_core::yaml;
use serde::Deserialize;
use serde_json::Value;

/// `case.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    /// `both`, or `v2` where the evaluators differ.
    evaluator: String,
    /// Where it fails: `decode`, `parse` or `render`.
    #[serde(default)]
    pub(crate) stage: Option<String>,
    #[serde(default)]
    cluster_version: Option<ClusterVersion>,
}

/// A case folder.
#[derive(Debug)]
pub(crate) struct Case {
    /// `<suite>/<case>`.
    pub(crate) id: String,
    pub(crate) facts: Facts,
    folder: PathBuf,
}

impl Case {
    /// All cases of a suite, in order of their names.
    pub(crate) fn all(root: &Path, suite: &str) -> Vec<Self> {
        let folder = root.join(suite);
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders
            .into_iter()
            .filter(|folder| folder.join("case.json").is_file())
            .map(|folder| {
                let name = folder.file_name().unwrap().to_string_lossy();
                let facts = fs::read_to_string(folder.join("case.json")).unwrap();
                let id = format!("{suite}/{name}");
                let facts = serde_json::from_str(&facts)
                    .unwrap_or_else(|error| panic!("{id}/case.json: {error}"));
                Self { id, facts, folder }
            })
            .collect()
    }

    /// A file of the case. Where the evaluators differ, `name.v3.ext` holds what the newer one says.
    fn file(&self, name: &str, evaluator: Evaluator) -> Option<String> {
        if evaluator == Evaluator::V3 && self.facts.evaluator != "both" {
            let (stem, extension) = name.rsplit_once('.').unwrap();
            let newer = self.folder.join(format!("{stem}.v3.{extension}"));
            if let Ok(text) = fs::read_to_string(newer) {
                return Some(text);
            }
        }
        fs::read_to_string(self.folder.join(name)).ok()
    }

    fn documents(&self, name: &str, evaluator: Evaluator) -> Result<Vec<Value>, String> {
        let text = self.file(name, evaluator).unwrap_or_default();
        let documents = yaml::parse(&text).map_err(|error| format!("{name}: {error}"))?;
        Ok(documents
            .into_iter()
            .filter(|document| !document.is_null())
            .collect())
    }

    /// The Application; null if there is none.
    pub(crate) fn application(&self) -> Result<Value, String> {
        let documents = self.documents("application.yaml", Evaluator::V2)?;
        Ok(documents.into_iter().next().unwrap_or_default())
    }

    pub(crate) fn definitions(&self) -> Result<Vec<Value>, String> {
        self.documents("definitions.yaml", Evaluator::V2)
    }

    pub(crate) fn cluster_version(&self) -> ClusterVersion {
        self.facts.cluster_version.clone().unwrap_or_default()
    }

    pub(crate) fn expected_objects(&self, evaluator: Evaluator) -> Result<Vec<Value>, String> {
        self.documents("expected.yaml", evaluator)
    }

    /// The objects of charts among what is expected, as Helm gave them: without what KubeVela adds.
    pub(crate) fn rendered_charts(&self, evaluator: Evaluator) -> Vec<Value> {
        let mut charts = self.expected_objects(evaluator).unwrap_or_default();
        charts.retain(|object| {
            let resource = &object["metadata"]["labels"]["trait.oam.dev/resource"];
            resource
                .as_str()
                .is_some_and(|name| name.starts_with("helm-resource-"))
        });
        for chart in &mut charts {
            if let Some(labels) = chart["metadata"]["labels"].as_object_mut() {
                labels.retain(|key, _| !key.contains("oam.dev/"));
            }
        }
        charts
    }

    pub(crate) fn expected_error(&self, evaluator: Evaluator) -> Option<String> {
        self.file("expected-error.txt", evaluator)
    }

    pub(crate) fn expected_workflow(&self, evaluator: Evaluator) -> Option<Value> {
        self.documents("expected-workflow.yaml", evaluator)
            .ok()?
            .into_iter()
            .next()
    }
}
