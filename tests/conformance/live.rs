//! What is applied to a cluster, against what KubeVela recorded on the objects themselves
//! (`app.oam.dev/last-applied-configuration`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use caravel_core::api::Application;
use caravel_core::api::labels::{self, annotations};
use caravel_core::appfile::{
    Appfile, DefinitionSet, DefinitionSource, DeployStep, Layered, assemble_overridden, parse,
    read_application,
};
use caravel_core::engine::Evaluator;
use caravel_core::plan::{Chosen, PlacementRules, deliveries, place, replicate};
use caravel_core::render::{
    ClusterVersion, ComponentRender, Offline, RenderStage, Target, object, offline,
};
use caravel_core::yaml;
use serde_json::Value;

use crate::compare::difference;
use crate::run;

/// How a case went: how many objects were compared, and the first difference.
pub(crate) type Compared = Result<usize, String>;

/// Compares a case whose workflow only delivers components to the hub's own cluster; `None` for any other.
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
    let parts = application["spec"]["components"].as_array()?;
    if several || parts.iter().any(|part| part.get("inputs").is_some()) {
        return None;
    }
    let expected = recorded(folder)?;
    // The controller marks the Application with its version before it renders.
    application["metadata"]["annotations"][annotations::KUBEVELA_VERSION] = "UNKNOWN".into();
    let app = read_application(&application).ok()?;
    let namespace = app.metadata.namespace.clone()?;
    let app_name = app.metadata.name.clone()?;
    let mut set = DefinitionSet::default();
    for object in &documents {
        set.add(object, &namespace).ok()?;
    }
    let source = Layered::new(set, run::builtin);
    let made = run::changed_by_policies(&app, &source, Evaluator::V3).ok()?;
    let app = made.application;
    let first = expected.values().next()?;
    let label = |key| object::label(first, key).unwrap_or_default().to_owned();
    let mut compared = 0;
    for delivery in deliveries_of(&app, &source)? {
        let target = Target {
            cluster_version: ClusterVersion::parse("v1.36.3").unwrap(),
            revision: label(labels::APP_REVISION),
            revision_hash: label(labels::APP_REVISION_HASH),
            dispatch: true,
            custom: (!made.custom.is_empty()).then(|| Value::Object(made.custom.clone())),
            ..delivery.target
        };
        let component = &delivery.appfile.components[delivery.component];
        let (stage, evaluator) = (RenderStage::Dispatch, Evaluator::V3);
        let mut render =
            ComponentRender::new(&delivery.appfile, component, target, stage, evaluator);
        let Ok(Offline::Done(done)) = offline(&mut render, &mut run::eval) else {
            return None;
        };
        for rendered in done.objects {
            // A shared object may be another Application's.
            let own = |recorded: &&Value| {
                object::label(recorded, labels::APP_NAME) == Some(app_name.as_str())
            };
            let Some(expected) = expected.get(&identity(&rendered.object)).filter(own) else {
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

/// A component of an Appfile for a place.
struct Delivered {
    appfile: Appfile,
    component: usize,
    target: Target,
}

/// What the steps deliver; `None` if one of them does something else.
fn deliveries_of(app: &Application, source: &dyn DefinitionSource) -> Option<Vec<Delivered>> {
    let appfile = parse(app, source).ok()?;
    let mut all = Vec::new();
    for step in &appfile.workflow.steps {
        let properties = step.properties.clone().unwrap_or_default();
        match step.type_.as_str() {
            "apply-component" => {
                let name = properties["component"].as_str()?;
                let component = appfile
                    .components
                    .iter()
                    .position(|part| part.spec.name == name)?;
                let text = |key: &str| properties[key].as_str().unwrap_or_default().to_owned();
                let target = Target {
                    cluster: text("cluster"),
                    namespace: text("namespace"),
                    ..Target::default()
                };
                all.push(Delivered {
                    appfile: appfile.clone(),
                    component,
                    target,
                });
            }
            "deploy" => {
                let deploy: DeployStep = serde_json::from_value(properties).ok()?;
                all.extend(deployed(app, &appfile, &deploy, source)?);
            }
            _ => return None,
        }
    }
    Some(all)
}

fn deployed(
    app: &Application,
    appfile: &Appfile,
    deploy: &DeployStep,
    source: &dyn DefinitionSource,
) -> Option<Vec<Delivered>> {
    let chosen = Chosen::of(appfile, &deploy.policies).ok()?;
    let components = chosen.overridden(&app.spec.components);
    let appfile = assemble_overridden(app, components, source).ok()?;
    let components: Vec<_> = appfile
        .components
        .iter()
        .map(|one| one.spec.clone())
        .collect();
    let rules = PlacementRules {
        clusters: &[],
        app_namespace: &appfile.namespace,
        cross_namespace: true,
    };
    let placements = place(&chosen.topologies, rules).ok()?;
    let copies = replicate(&components, &chosen.replications);
    deliveries(&copies, &placements)
        .into_iter()
        .map(|delivery| {
            let name = &delivery.copy.component.name;
            let component = appfile
                .components
                .iter()
                .position(|part| part.spec.name == *name)?;
            let target = Target {
                cluster: delivery.placement.cluster,
                namespace: delivery.placement.namespace,
                replica_key: delivery.copy.replica_key,
                ..Target::default()
            };
            Some(Delivered {
                appfile: appfile.clone(),
                component,
                target,
            })
        })
        .collect()
}

fn identity(of: &Value) -> String {
    format!(
        "{} {} {}",
        object::kind(of),
        object::namespace(of),
        object::name(of)
    )
}

/// The objects as KubeVela applied them, by identity, without what the dispatcher adds.
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
        object::remove_texts(&mut applied, "annotations", [annotations::SHARED_BY]);
        found.insert(identity(&applied), applied);
    }
    Some(found)
}
