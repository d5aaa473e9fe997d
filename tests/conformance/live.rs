//! What is applied to a cluster, against what KubeVela recorded on the objects themselves
//! (`app.oam.dev/last-applied-configuration`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use caravel_core::api::labels::{self, annotations};
use caravel_core::appfile::{DefinitionSet, Layered, parse, read_application};
use caravel_core::engine::Evaluator;
use caravel_core::render::{
    ClusterVersion, ComponentRender, Offline, RenderStage, Target, object, offline,
};
use caravel_core::yaml;
use serde_json::Value;

use crate::compare::difference;
use crate::run;

/// How a case went: how many objects were compared, and the first difference.
pub(crate) type Compared = Result<usize, String>;

/// Compares a case whose Application goes to the hub's own cluster by the default workflow; `None` for any
/// other.
pub(crate) fn compare(folder: &Path) -> Option<Compared> {
    let input = fs::read_to_string(folder.join("input.yaml")).ok()?;
    let mut documents = yaml::parse(&input).ok()?;
    let position = documents
        .iter()
        .position(|object| object["kind"] == "Application")?;
    let mut application = documents.remove(position);
    let several = documents
        .iter()
        .any(|object| object["kind"] == "Application");
    let spec = &application["spec"];
    let data = spec["components"]
        .as_array()?
        .iter()
        .any(|part| part.get("inputs").is_some());
    if several || data || spec.get("workflow").is_some() || spec.get("policies").is_some() {
        return None;
    }
    let expected = recorded(folder)?;
    // The controller marks the Application with its version before it renders.
    application["metadata"]["annotations"][annotations::KUBEVELA_VERSION] = "UNKNOWN".into();
    let app = read_application(&application).ok()?;
    let namespace = app.metadata.namespace.clone()?;
    let mut set = DefinitionSet::default();
    for object in &documents {
        set.add(object, &namespace).ok()?;
    }
    let source = Layered::new(set, run::builtin);
    let appfile = parse(&app, &source).ok()?;
    let first = expected.values().next()?;
    let label = |key| object::label(first, key).unwrap_or_default().to_owned();
    let mut compared = 0;
    for component in &appfile.components {
        let target = Target {
            cluster: label(labels::APP_CLUSTER),
            cluster_version: ClusterVersion::parse("v1.36.3").unwrap(),
            revision: label(labels::APP_REVISION),
            revision_hash: label(labels::APP_REVISION_HASH),
            dispatch: true,
            ..Target::default()
        };
        let stage = RenderStage::Dispatch;
        let mut render = ComponentRender::new(&appfile, component, target, stage, Evaluator::V3);
        let Ok(Offline::Done(done)) = offline(|input| render.next(input), &mut |request| {
            run::eval(request)
        }) else {
            return None;
        };
        for rendered in done.objects {
            let Some(expected) = expected.get(&identity(&rendered.object)) else {
                continue;
            };
            compared += 1;
            if let Some(what) = difference(expected, &rendered.object, "object") {
                return Some(Err(format!("{}: {what}", identity(expected))));
            }
        }
    }
    Some(Ok(compared))
}

fn identity(of: &Value) -> String {
    format!(
        "{} {} {}",
        object::kind(of),
        object::namespace(of),
        object::name(of)
    )
}

/// The objects as KubeVela applied them, by identity. The hash of the render is the dispatcher's.
fn recorded(folder: &Path) -> Option<BTreeMap<String, Value>> {
    let text = fs::read_to_string(folder.join("objects.yaml")).ok()?;
    let mut found = BTreeMap::new();
    for live in yaml::parse(&text).ok()? {
        let annotation = &live["metadata"]["annotations"][annotations::LAST_APPLIED_CONFIGURATION];
        let Some(text) = annotation.as_str() else {
            continue;
        };
        let mut applied: Value = serde_json::from_str(text).ok()?;
        object::remove_texts(&mut applied, "labels", [labels::RENDER_HASH]);
        found.insert(identity(&applied), applied);
    }
    Some(found)
}
