//! Which Applications use a definition, and what another text of it would change for them.

use std::fmt;

use anyhow::Result;
use caravel_core::appfile::{
    DefinitionSet, DefinitionSource, Finding, Layered, read_application, uses,
};
use caravel_core::engine::{DefinitionKind, Evaluator};
use caravel_core::plan::show_group;
use caravel_core::render::{ClusterVersion, RenderError};
use caravel_core::yaml;
use kube::api::ListParams;
use serde::Serialize;
use serde_json::{Value, json};
use similar::TextDiff;

use super::groups::{Ungrouped, groups};
use super::kind::{KINDS, resource};
use super::source::Source;
use super::trial::{Outcome, Trial};
use crate::dry_run::admission;
use crate::engine;
use crate::hub::{Hub, readable};

/// The namespace that all Applications see.
const SYSTEM: &str = caravel_core::api::SYSTEM_NAMESPACE;

/// What there is to render with: definitions, policies, workflows, and the Applications.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    set: DefinitionSet,
    applications: Vec<Value>,
}

/// The definitions of a hub with their revisions, and its policies and workflows.
pub(crate) async fn definitions_of(hub: &Hub) -> Result<DefinitionSet> {
    Ok(World::defined(hub).await?.set)
}

/// What becomes of one Application.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Impact {
    pub(crate) namespace: String,
    pub(crate) application: String,
    /// What would be warned of, and is not now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// What shows only when the workload is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) pending: Vec<String>,
    #[serde(flatten)]
    pub(crate) effect: Effect,
}

/// How it would render.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "effect", rename_all = "camelCase")]
pub(crate) enum Effect {
    /// As before.
    Same,
    /// Differently: a unified diff of its objects.
    Differs { diff: String },
    /// Not any more.
    Breaks { reason: String },
    /// It did not render before, and does now.
    Mends,
    /// Nobody can tell.
    Unknown { reason: String },
}

impl World {
    /// What the hub defines.
    async fn defined(hub: &Hub) -> Result<Self> {
        let mut world = Self::default();
        let everywhere = ListParams::default();
        let others = [
            ("DefinitionRevision", "definitionrevisions", "v1beta1"),
            ("Policy", "policies", "v1alpha1"),
            ("Workflow", "workflows", "v1alpha1"),
        ];
        for kind in &KINDS {
            for object in kind
                .api(hub, None)
                .list(&everywhere)
                .await
                .map_err(readable)?
            {
                world.add(&serde_json::to_value(object)?, kind.name);
            }
        }
        for (kind, plural, version) in others {
            let api = versioned(hub, kind, plural, version);
            let objects = match api.list(&everywhere).await {
                Ok(objects) => objects,
                // A hub need not have these kinds.
                Err(kube::Error::Api(status)) if status.is_not_found() => continue,
                Err(error) => return Err(readable(error)),
            };
            for object in objects {
                world.add(&serde_json::to_value(object)?, kind);
            }
        }
        Ok(world)
    }

    /// The same with the Applications.
    pub(crate) async fn load(hub: &Hub) -> Result<Self> {
        let mut world = Self::defined(hub).await?;
        let everywhere = ListParams::default();
        let api = resource(hub, "Application", "applications", None);
        for object in api.list(&everywhere).await.map_err(readable)? {
            world.applications.push(serde_json::to_value(object)?);
        }
        Ok(world)
    }

    /// Adds an object of a list, which does not say its kind. One that cannot be read is not there for
    /// Applications either.
    fn add(&mut self, object: &Value, kind: &str) {
        let mut object = object.clone();
        object["kind"] = kind.into();
        let _ = self.set.add(&object, SYSTEM);
    }

    /// The same with one definition replaced.
    pub(crate) fn replace(&mut self, object: &Value) {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        self.add(object, &kind);
    }

    /// Adds an Application that is not on the hub.
    pub(crate) fn add_application(&mut self, application: Value) {
        let same = |one: &Value| {
            one["metadata"]["name"] == application["metadata"]["name"]
                && namespace_of(one) == namespace_of(&application)
        };
        self.applications.retain(|one| !same(one));
        self.applications.push(application);
    }

    /// The definitions.
    pub(crate) fn definitions(&self) -> &DefinitionSet {
        &self.set
    }

    /// The Applications that use a definition; with `pinned` also those that use a revision of it.
    pub(crate) fn users(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
        pinned: bool,
    ) -> Vec<&Value> {
        let uses = |application: &&Value| {
            let place = namespace_of(application);
            // A definition of the Application's own namespace goes before that of the system.
            let seen = place == namespace
                || (namespace == SYSTEM && self.set.definition(kind, place, name).is_none());
            let names = |type_: &str| {
                type_ == name
                    || (pinned
                        && type_
                            .strip_prefix(name)
                            .is_some_and(|rest| rest.starts_with("@v")))
            };
            seen && self
                .types(application, kind)
                .iter()
                .any(|type_| names(type_))
        };
        self.applications.iter().filter(uses).collect()
    }

    /// The types that an Application, and what it refers to, names of definitions of a kind.
    fn types(&self, application: &Value, kind: DefinitionKind) -> Vec<String> {
        let kind = match kind {
            // A component may still be defined by a WorkloadDefinition (TRAP-028).
            DefinitionKind::Workload => DefinitionKind::Component,
            kind => kind,
        };
        let Ok(application) = read_application(application) else {
            return Vec::new();
        };
        let mine = uses(&application, &self.set).into_iter();
        mine.filter(|one| one.kind == kind)
            .map(|one| one.type_)
            .collect()
    }

    /// What the Applications that use a definition would become. `namespace` is that of a definition that says none.
    pub(crate) fn impacts(&self, old: &Source, new: &Source, namespace: &str) -> Vec<Impact> {
        let definition = &new.definition;
        let namespace = match new.object["metadata"]["namespace"].as_str() {
            Some(namespace) if !namespace.is_empty() => namespace,
            _ => namespace,
        };
        let (mut before, mut after) = (self.clone(), self.clone());
        for (world, source) in [(&mut before, old), (&mut after, new)] {
            let mut object = source.object.clone();
            object["metadata"]["namespace"] = namespace.into();
            world.replace(&object);
        }
        let is_global = [old, new].iter().any(|one| one.definition.global.is_some());
        let users = if is_global {
            let everywhere = namespace == SYSTEM;
            let held = |one: &&Value| everywhere || namespace_of(one) == namespace;
            self.applications.iter().filter(held).collect()
        } else {
            self.users(definition.kind, namespace, &definition.name, false)
        };
        users
            .into_iter()
            .map(|application| {
                let before = before.objects(application, old);
                let after = after.objects(application, new);
                Impact {
                    namespace: namespace_of(application).to_owned(),
                    application: name_of(application).to_owned(),
                    warnings: new_warnings(&before, &after),
                    pending: pending(new, &after),
                    effect: effect(before, after),
                }
            })
            .collect()
    }

    /// The objects of an Application, and the calls of its steps of this definition.
    fn objects(&self, application: &Value, source: &Source) -> Result<Rendered, Unrendered> {
        let behind = Layered::new(self.set.clone(), engine::builtin).listing(engine::builtin_names);
        let evaluator = Evaluator::default();
        let app = read_application(application)
            .map_err(|rejection| Unrendered::Wrong(texts(&rejection.findings)))?;
        let (warnings, errors): (Vec<_>, Vec<_>) = admission(&app, &behind, evaluator)
            .into_iter()
            .partition(|finding| finding.kind.is_warning());
        if !errors.is_empty() {
            return Err(Unrendered::Wrong(texts(&errors)));
        }
        let mut rendered = Rendered {
            warnings: warnings.iter().map(ToString::to_string).collect(),
            ..Rendered::default()
        };
        let version = ClusterVersion::default();
        for group in &groups(&app, &behind, evaluator)? {
            let shown = show_group(group, &version, evaluator, &mut engine::eval)
                .map_err(|error| Unrendered::Wrong(error.to_string()))?;
            let objects = shown.objects().map(|one| one.object.clone());
            rendered.objects.extend(objects);
            let open = shown.open.into_iter();
            rendered.open.extend(open.map(|open| open.subject));
            let late = shown.late.iter();
            rendered.late.extend(late.map(|error| Late::of(error)));
        }
        if source.definition.kind == DefinitionKind::WorkflowStep {
            rendered
                .objects
                .extend(steps(application, &self.set, source));
        }
        Ok(rendered)
    }
}

/// What an Application is delivered as.
#[derive(Default)]
struct Rendered {
    objects: Vec<Value>,
    /// What admission lets pass with a word about it.
    warnings: Vec<String>,
    /// Whose objects depend on calls.
    open: Vec<String>,
    /// Traits that wait for the live workload.
    late: Vec<Late>,
}

/// A trait that reads what only a live workload has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Late {
    type_: String,
    component: String,
}

impl Late {
    fn of(error: &RenderError) -> Self {
        Self {
            type_: error.trait_type.clone().unwrap_or_default(),
            component: error.component.clone(),
        }
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { type_, component } = self;
        write!(
            f,
            "{type_} of {component} is rendered when the workload is healthy"
        )
    }
}

/// Why an Application has no objects to compare.
enum Unrendered {
    Wrong(String),
    /// They depend on calls of somebody.
    Calls(String),
}

impl From<Ungrouped> for Unrendered {
    fn from(why: Ungrouped) -> Self {
        match why {
            Ungrouped::Wrong(findings) => Self::Wrong(texts(&findings)),
            Ungrouped::Policy(error) => Self::Wrong(error.to_string()),
            Ungrouped::Calls => Self::Calls("its policies".to_owned()),
        }
    }
}

fn new_warnings(
    before: &Result<Rendered, Unrendered>,
    after: &Result<Rendered, Unrendered>,
) -> Vec<String> {
    let known = before.as_ref().map_or(&[][..], |before| &before.warnings);
    let after = after.as_ref().map_or(&[][..], |after| &after.warnings);
    let new = after.iter().filter(|warning| !known.contains(warning));
    new.cloned().collect()
}

fn effect(before: Result<Rendered, Unrendered>, after: Result<Rendered, Unrendered>) -> Effect {
    match (before, after) {
        (Ok(before), Ok(after)) if before.objects == after.objects => {
            let mut open = before.open.into_iter().chain(after.open);
            open.next().map_or(Effect::Same, |name| on_calls(&name))
        }
        (Ok(before), Ok(after)) => Effect::Differs {
            diff: unified(
                &yaml::stream(&before.objects),
                &yaml::stream(&after.objects),
                "before",
                "after",
            ),
        },
        (Ok(_), Err(Unrendered::Wrong(reason))) => Effect::Breaks { reason },
        (Err(Unrendered::Wrong(_)), Ok(_)) => Effect::Mends,
        (_, Err(Unrendered::Calls(name))) | (Err(Unrendered::Calls(name)), _) => on_calls(&name),
        (Err(Unrendered::Wrong(_)), Err(Unrendered::Wrong(reason))) => Effect::Unknown {
            reason: format!("it renders with neither: {reason}"),
        },
    }
}

fn on_calls(name: &str) -> Effect {
    Effect::Unknown {
        reason: format!("the objects of {name} depend on calls, which are not carried out here"),
    }
}

/// The late traits of a changed definition: what becomes of them shows when the workload is there.
fn pending(new: &Source, after: &Result<Rendered, Unrendered>) -> Vec<String> {
    let late = after.iter().flat_map(|after| &after.late);
    let is_changed = |late: &&Late| {
        new.definition.kind == DefinitionKind::Trait && late.type_ == new.definition.name
    };
    late.filter(is_changed).map(ToString::to_string).collect()
}

/// A unified diff with names for the two sides.
pub(crate) fn unified(before: &str, after: &str, left: &str, right: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(left, right)
        .to_string()
}

fn texts(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// What the steps of a type do first.
fn steps(application: &Value, set: &DefinitionSet, source: &Source) -> Vec<Value> {
    let mut found = Vec::new();
    for step in all_steps(application, set) {
        if step["type"] != source.definition.name.as_str() {
            continue;
        }
        let trial = Trial::new(&source.definition, step["properties"].clone());
        let made = match trial.render() {
            Ok(Outcome::Step { calls, value }) => {
                let calls: Vec<Value> = calls.iter().map(super::render::call).collect();
                json!({ "calls": calls, "value": value })
            }
            Ok(_) => Value::Null,
            Err(errors) => json!({ "error": errors.first().map(|error| &error.message) }),
        };
        found.push(json!({ "step": step["name"], "makes": made }));
    }
    found
}

/// The steps of an Application, or of the Workflow that it refers to.
fn all_steps(application: &Value, set: &DefinitionSet) -> Vec<Value> {
    let flow = &application["spec"]["workflow"];
    let referred = flow["ref"].as_str();
    let referred = referred.and_then(|name| set.workflow(namespace_of(application), name));
    let steps = referred.map_or_else(|| flow["steps"].clone(), |one| json!(one.spec.steps));
    let steps = steps.as_array().into_iter().flatten();
    let each = |step: &Value| {
        let inner = step["subSteps"].as_array().into_iter().flatten();
        std::iter::once(step)
            .chain(inner)
            .cloned()
            .collect::<Vec<_>>()
    };
    steps.flat_map(each).collect()
}

/// Name of an object.
pub(crate) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Namespace of an object; `default` where it gives none.
pub(crate) fn namespace_of(object: &Value) -> &str {
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) if !namespace.is_empty() => namespace,
        _ => "default",
    }
}

fn versioned(
    hub: &Hub,
    kind: &str,
    plural: &str,
    version: &str,
) -> kube::api::Api<kube::api::DynamicObject> {
    let gvk = kube::core::GroupVersionKind::gvk("core.oam.dev", version, kind);
    let resource = kube::api::ApiResource::from_gvk_with_plural(&gvk, plural);
    kube::api::Api::all_with(hub.client.clone(), &resource)
}
