//! Definitions as rendering needs them, and where they come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::api::labels::annotations;
use crate::api::{
    Policy, SYSTEM_NAMESPACE, Schematic, StatusTemplates, Terraform, Workflow, WorkloadGvk,
};
use crate::engine::{DefinitionKind, DefinitionStatusText, Evaluator};

/// When the objects of a trait are dispatched (REN-024).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Before the workload, which waits until they are healthy.
    PreDispatch,
    /// Together with the workload.
    #[default]
    Default,
    /// Once the workload is healthy; the trait sees the live workload.
    PostDispatch,
}

impl Stage {
    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("PreDispatch") => Self::PreDispatch,
            Some("PostDispatch") => Self::PostDispatch,
            _ => Self::Default,
        }
    }
}

/// A definition of any kind, reduced to what parsing, rendering and health need.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// What it defines.
    pub kind: DefinitionKind,
    /// Its name.
    pub name: String,
    /// Its namespace; empty where it has none, as the built-in ones.
    pub namespace: String,
    /// Its annotations; a Terraform Configuration inherits them.
    pub annotations: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The evaluator that it asks for; the hub's where it asks for none.
    pub evaluator: Option<Evaluator>,
    /// CUE text; empty where the definition has none.
    pub template: String,
    /// Terraform module in place of a template (REN-035).
    pub terraform: Option<Terraform>,
    /// Health, message, details.
    pub status: DefinitionStatusText,
    /// Component: the kind of its workload.
    pub workload: Option<WorkloadGvk>,
    /// Component: the name of its workload's kind in place of that, for instance `deployments.apps`.
    pub workload_type: String,
    /// Trait: the name of the kind that it stands for, for instance `ingresses.networking.k8s.io`.
    pub definition_ref: String,
    /// Trait: when its objects are dispatched.
    pub stage: Stage,
    /// Trait: it applies the workload in place of the component (REN-020).
    pub manage_workload: bool,
    /// Trait: its objects stay on the hub (REN-022).
    pub control_plane_only: bool,
    /// Trait: where in its objects the workload is referred to (REN-021).
    pub workload_ref_path: String,
    /// Trait: kinds of workload that it is meant for (REN-023, not enforced).
    pub applies_to_workloads: Vec<String>,
    /// Trait: traits that it does not go with (REN-023, not enforced).
    pub conflicts_with: Vec<String>,
    /// Policy: it judges the health of the Application (APP-023).
    pub manage_health_check: bool,
    /// Policy: what it acts on; empty for one that renders objects (POL-013, POL-014).
    pub scope: String,
    /// Policy: its priority, if it holds for Applications that do not name it (POL-015); they take effect from the lowest to
    /// the highest.
    pub global: Option<i64>,
}

/// The fields of all kinds of definition together: no name means two things.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnySpec {
    workload: Option<WorkloadField>,
    definition_ref: Option<ReferenceField>,
    schematic: Option<Schematic>,
    status: Option<StatusTemplates>,
    extension: Option<Value>,
    stage: Option<String>,
    manage_workload: Option<bool>,
    control_plane_only: Option<bool>,
    workload_ref_path: Option<String>,
    applies_to_workloads: Option<Vec<String>>,
    conflicts_with: Option<Vec<String>>,
    manage_health_check: Option<bool>,
    scope: Option<String>,
    global: Option<bool>,
    priority: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkloadField {
    definition: Option<WorkloadGvk>,
    #[serde(rename = "type")]
    type_: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReferenceField {
    name: Option<String>,
}

impl Definition {
    /// Reads a definition object (`ComponentDefinition`, `TraitDefinition`, ...; REN-002).
    ///
    /// # Errors
    /// If the object is no definition or a field has the wrong shape; the text names the field.
    pub fn from_object(object: &Value) -> Result<Self, String> {
        let kind = object
            .get("kind")
            .and_then(Value::as_str)
            .and_then(kind_of)
            .ok_or_else(|| "the object is not a definition".to_owned())?;
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err("metadata.name is missing".to_owned());
        }
        let spec: AnySpec = match object.get("spec") {
            None | Some(Value::Null) => AnySpec::default(),
            Some(spec) => serde_path_to_error::deserialize(spec)
                .map_err(|error| format!("spec.{}: {}", error.path(), error.inner()))?,
        };
        let status = spec.status.unwrap_or_default();
        let workload = spec.workload.unwrap_or_default();
        let reference = spec.definition_ref.unwrap_or_default();
        let schematic = spec.schematic.unwrap_or_default();
        let template = match (schematic.cue, &spec.extension) {
            (Some(cue), _) => cue.template,
            (None, Some(legacy)) => legacy["template"].as_str().unwrap_or_default().to_owned(),
            (None, None) => String::new(),
        };
        let annotations = string_map(&metadata["annotations"]);
        let evaluator = match annotations.get(annotations::CUE_EVALUATOR) {
            Some(text) => Some(evaluator(text)?),
            None => None,
        };
        Ok(Self {
            kind,
            evaluator,
            name,
            namespace: metadata["namespace"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            annotations,
            template,
            terraform: schematic.terraform,
            status: DefinitionStatusText {
                health_policy: status.health_policy.unwrap_or_default(),
                custom_status: status.custom_status.unwrap_or_default(),
                details: status.details.unwrap_or_default(),
            },
            labels: string_map(&metadata["labels"]),
            workload_type: workload.type_.unwrap_or_default(),
            workload: workload.definition,
            definition_ref: reference.name.unwrap_or_default(),
            stage: Stage::parse(spec.stage.as_deref()),
            manage_workload: spec.manage_workload.unwrap_or_default(),
            control_plane_only: spec.control_plane_only.unwrap_or_default(),
            workload_ref_path: spec.workload_ref_path.unwrap_or_default(),
            applies_to_workloads: spec.applies_to_workloads.unwrap_or_default(),
            conflicts_with: spec.conflicts_with.unwrap_or_default(),
            manage_health_check: spec.manage_health_check.unwrap_or_default(),
            scope: spec.scope.unwrap_or_default(),
            global: spec
                .global
                .unwrap_or_default()
                .then(|| spec.priority.unwrap_or_default()),
        })
    }
}

fn evaluator(text: &str) -> Result<Evaluator, String> {
    match text {
        "v2" => Ok(Evaluator::V2),
        "v3" => Ok(Evaluator::V3),
        other => Err(format!(
            "metadata.annotations[{}]: unknown variant `{other}`, expected `v2` or `v3`",
            annotations::CUE_EVALUATOR
        )),
    }
}

/// The kind of definition that a Kubernetes kind is, if it is one.
pub fn kind_of(kubernetes_kind: &str) -> Option<DefinitionKind> {
    Some(match kubernetes_kind {
        "ComponentDefinition" => DefinitionKind::Component,
        "TraitDefinition" => DefinitionKind::Trait,
        "PolicyDefinition" => DefinitionKind::Policy,
        "WorkflowStepDefinition" => DefinitionKind::WorkflowStep,
        "WorkloadDefinition" => DefinitionKind::Workload,
        _ => return None,
    })
}

fn string_map(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .filter_map(|(key, text)| Some((key.clone(), text.as_str()?.to_owned())))
        .collect()
}

/// Where definitions and the objects that an Application refers to come from: a cache, a revision's
/// snapshot, or files. Answers must not depend on time.
pub trait DefinitionSource {
    /// A definition by its name in a namespace.
    fn definition(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Definition>>;

    /// A recorded version of a definition, by the name of its `DefinitionRevision` (DEF-002).
    fn revision(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Definition>>;

    /// Names of all `DefinitionRevision`s of a definition in a namespace, in any order.
    fn revision_names(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        definition: &str,
    ) -> Vec<String>;

    /// Names of the definitions of a kind that an Application in a namespace can use, for hints; need not be
    /// complete.
    fn names(&self, _kind: DefinitionKind, _namespace: &str) -> Vec<String> {
        Vec::new()
    }

    /// Which version a definition is, for messages: `v3`; empty where nobody counts them.
    fn version_of(&self, _definition: &Definition) -> String {
        String::new()
    }

    /// A `Policy` object.
    fn policy(&self, namespace: &str, name: &str) -> Option<Policy>;

    /// A `Workflow` object.
    fn workflow(&self, namespace: &str, name: &str) -> Option<Workflow>;
}

/// A definition as an Application refers to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// What was found.
    pub definition: Arc<Definition>,
    /// The type as labels and errors show it: `x@v1` is `x-v1`.
    pub type_name: String,
}

/// Finds the definition of a `type` (DEF-003): `name`, or `name@v1.2` for a recorded version. With
/// `auto_update` a part of a version stands for the newest one that begins with it. The Application's
/// namespace goes before [`SYSTEM_NAMESPACE`].
pub fn resolve(
    source: &dyn DefinitionSource,
    kind: DefinitionKind,
    type_: &str,
    app_namespace: &str,
    auto_update: bool,
) -> Option<Resolved> {
    let namespaces = [app_namespace, SYSTEM_NAMESPACE];
    let found = match versioned(type_) {
        None => namespaces
            .iter()
            .find_map(|namespace| source.definition(kind, namespace, type_)),
        Some((name, revision)) => namespaces.iter().find_map(|namespace| {
            let newest = auto_update
                .then(|| newest_revision(type_, &source.revision_names(kind, namespace, name)))
                .flatten();
            source.revision(kind, namespace, &newest.unwrap_or_else(|| revision.clone()))
        }),
    };
    // A component may still be defined by a WorkloadDefinition (TRAP-028).
    if found.is_none() && kind == DefinitionKind::Component {
        return resolve(
            source,
            DefinitionKind::Workload,
            type_,
            app_namespace,
            auto_update,
        );
    }
    Some(Resolved {
        definition: found?,
        type_name: type_label(type_),
    })
}

/// `x@v1` as labels show it: `x-v1`. What is no such reference stays as it is.
pub fn type_label(type_: &str) -> String {
    versioned(type_).map_or_else(|| type_.to_owned(), |(_, revision)| revision)
}

/// Name of the revision of a definition object that names it itself, by annotation or by version: then the revision does not
/// change any more.
pub fn own_revision(definition: &Value) -> Option<String> {
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let annotations = &definition["metadata"]["annotations"];
    let version = annotations[annotations::DEFINITION_REVISION_NAME]
        .as_str()
        .or_else(|| definition["spec"]["version"].as_str())
        .filter(|version| !version.is_empty())?;
    let version = version.strip_prefix('v').unwrap_or(version);
    Some(format!("{name}-v{version}"))
}

/// The name of the definition in `name@v1.2`.
pub fn base_name(type_: &str) -> &str {
    versioned(type_).map_or(type_, |(name, _)| name)
}

/// Name of the definition and of its revision in `name@v1.2`.
fn versioned(type_: &str) -> Option<(&str, String)> {
    let (name, version) = type_
        .split_once("@v")
        .filter(|(name, _)| !name.is_empty())?;
    Some((name, format!("{name}-v{version}")))
}

/// Of the revisions of a definition that one which a type with a part of a version stands for: that of just this name, or
/// the newest one that begins with it.
pub fn newest_revision(type_: &str, names: &[String]) -> Option<String> {
    let (definition, revision) = versioned(type_)?;
    if names.contains(&revision) {
        return Some(revision);
    }
    let prefix = format!("{revision}.");
    names
        .iter()
        .filter(|name| name.starts_with(&prefix))
        .max_by_key(|name| version_key(&name[definition.len() + 2..]))
        .cloned()
}

/// Order of versions: numbers part by part; a pre-release goes before its release.
fn version_key(version: &str) -> (Vec<u64>, bool, String) {
    let (numbers, rest) = version.split_once(['-', '+']).unwrap_or((version, ""));
    let parts = numbers
        .split('.')
        .map(|part| part.parse().unwrap_or_default());
    (parts.collect(), rest.is_empty(), rest.to_owned())
}
