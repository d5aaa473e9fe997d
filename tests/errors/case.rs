//! The cases.

use std::fs;
use std::path::Path;

use caravel_core::appfile::DefinitionSet;
use caravel_core::yaml;
use serde_json::{Value, json};

/// One mistake.
pub(crate) struct Case {
    /// What the snapshot is called.
    pub(crate) name: String,
    /// The mistake in words, for readers of the snapshot.
    pub(crate) about: String,
    pub(crate) what: What,
    /// Definitions besides the built-in ones.
    pub(crate) definitions: DefinitionSet,
}

/// What the mistake is in.
pub(crate) enum What {
    /// An Application, and what it was before; null where it is new.
    Application(Value, Value),
    Definition(Value),
}

impl Case {
    /// All cases of all files. A document is a case: `case` names it, `spec` is that of an Application (`components`
    /// alone will do; `before` is what it was), or `definition` is what is looked at; `with` holds definitions.
    pub(crate) fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("errors/cases");
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let mut cases = Vec::new();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let documents =
                yaml::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            cases.extend(
                documents
                    .into_iter()
                    .filter(|one| !one.is_null())
                    .map(Self::read),
            );
        }
        cases
    }

    fn read(document: Value) -> Self {
        let text = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
        let name = text("case");
        assert!(!name.is_empty(), "a case has no name: {document}");
        let mut definitions = DefinitionSet::default();
        for object in document["with"].as_array().into_iter().flatten() {
            let known = definitions.add(&definition(object), "default");
            assert_eq!(known, Ok(true), "{name}");
        }
        let what = if document["definition"].is_object() {
            What::Definition(definition(&document["definition"]))
        } else {
            let before = match &document["before"] {
                Value::Null => Value::Null,
                before => application(before),
            };
            What::Application(application(&document), before)
        };
        Self {
            about: text("about"),
            name,
            what,
            definitions,
        }
    }
}

fn application(document: &Value) -> Value {
    let mut spec = match &document["spec"] {
        Value::Null => json!({}),
        spec => spec.clone(),
    };
    for section in ["components", "policies", "workflow"] {
        if !document[section].is_null() {
            spec[section] = document[section].clone();
        }
    }
    json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
        "metadata": {"name": document["name"].as_str().unwrap_or("app"), "namespace": "default", "annotations": document["annotations"]},
        "spec": spec,
    })
}

/// A definition as the API has it, from `kind`, `name`, `template` and what else the spec has.
fn definition(short: &Value) -> Value {
    if short["metadata"].is_object() {
        return short.clone();
    }
    let mut spec = match &short["spec"] {
        Value::Null => json!({}),
        spec => spec.clone(),
    };
    if let Some(template) = short["template"].as_str() {
        spec["schematic"] = json!({"cue": {"template": template}});
    }
    json!({
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": short["kind"],
        "metadata": {"name": short["name"], "annotations": short["annotations"]},
        "spec": spec,
    })
}
