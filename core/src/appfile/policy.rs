//! The policies that KubeVela implements in Go, typed (POL-001 … POL-011).

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::definition::Resolved;
use super::error::{Finding, FindingKind, Rejection};
use crate::api::ApplicationTrait;
use crate::path::{Part, below, of_decoder, parts};

/// A policy of an Application.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name; generated where the Application gives none (APP-039).
    pub name: String,
    /// Its type as written.
    pub type_: String,
    /// Its properties as written.
    pub properties: Option<Value>,
    /// True where it is a `Policy` object and not written in the Application.
    pub external: bool,
    /// Where it stands, for messages: `spec.policies[0]`, or `Policy production`.
    pub path: String,
    /// What it says.
    pub rule: PolicyRule,
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyRule {
    /// Where to deliver.
    Topology(Topology),
    /// What differs there.
    Override(Override),
    /// Copies of components.
    Replication(Replication),
    /// What is deleted when.
    GarbageCollect(GarbageCollect),
    /// Which fields are written only once.
    ApplyOnce(ApplyOnce),
    /// Which objects several Applications share.
    SharedResource(Selection),
    /// Which objects are only read.
    ReadOnly(Selection),
    /// Which foreign objects are adopted.
    TakeOver(Selection),
    /// How objects are updated.
    ResourceUpdate(ResourceUpdate),
    /// The environments of an old `env-binding`.
    EnvBinding(Value),
    /// Keep what steps evaluated.
    Debug,
    /// A definition that renders objects, or works on the Application (POL-013, POL-014).
    Custom(Resolved),
}

/// `topology` (POL-007).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Topology {
    /// Names of clusters; goes before the selectors.
    pub clusters: Option<Vec<String>>,
    /// Labels of clusters.
    pub cluster_label_selector: Option<BTreeMap<String, String>>,
    /// No cluster for the selector is not an error.
    pub allow_empty: bool,
    /// Old name of `clusterLabelSelector`.
    pub cluster_selector: Option<BTreeMap<String, String>>,
    /// The namespace there; the Application's own where empty.
    pub namespace: String,
}

/// `override` (POL-008).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Override {
    /// Patches of components.
    #[serde(deserialize_with = "or_default")]
    pub components: Vec<ComponentPatch>,
    /// The components that remain; all where absent.
    pub selector: Option<Vec<String>>,
}

/// What an override changes in components.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ComponentPatch {
    /// Pattern of names; empty for all.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Type; components of another type are replaced.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub type_: String,
    /// Revision to use.
    #[serde(deserialize_with = "or_default")]
    pub external_revision: String,
    /// Merged over the properties.
    pub properties: Option<Value>,
    /// Merged over the traits of the same type.
    #[serde(deserialize_with = "or_default")]
    pub traits: Vec<TraitPatch>,
}

/// What an override changes in a trait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraitPatch {
    /// Type of the trait.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub type_: String,
    /// Merged over the properties.
    pub properties: Option<Value>,
    /// The trait is taken away.
    #[serde(deserialize_with = "or_default")]
    pub disable: bool,
}

impl TraitPatch {
    /// The trait that is added where none of its type is there.
    pub fn to_trait(&self) -> ApplicationTrait {
        ApplicationTrait {
            type_: self.type_.clone(),
            properties: self.properties.clone(),
        }
    }
}

/// `replication` (POL-009).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Replication {
    /// A copy for each key.
    #[serde(deserialize_with = "or_default")]
    pub keys: Vec<String>,
    /// The components that are copied; all where absent.
    pub selector: Option<Vec<String>>,
}

/// Which objects a rule is about: all criteria that are given must match, one word of each
/// (reference section 2.8). An empty selector matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Names of components.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub component_names: Vec<String>,
    /// Types of components.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub component_types: Vec<String>,
    /// `WORKLOAD` or `TRAIT`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub oam_types: Vec<String>,
    /// Types of traits.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub trait_types: Vec<String>,
    /// Kinds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub resource_types: Vec<String>,
    /// Names of objects.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
}

/// `shared-resource`, `read-only`, `take-over` (POL-003 … POL-005): the objects that they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// Each names objects.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<SelectionRule>,
}

/// One rule of a [`Selection`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SelectionRule {
    /// The objects.
    #[serde(deserialize_with = "or_default")]
    pub selector: Selector,
}

/// `garbage-collect` (POL-002).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GarbageCollect {
    /// How many revisions are kept.
    pub application_revision_limit: Option<i64>,
    /// Old objects stay until the Application goes.
    #[serde(deserialize_with = "or_default")]
    pub keep_legacy_resource: bool,
    /// Collect after a failed run too.
    #[serde(deserialize_with = "or_default")]
    pub continue_on_failure: bool,
    /// In which order components go.
    #[serde(deserialize_with = "or_default")]
    pub order: GarbageOrder,
    /// What holds for certain objects.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<GarbageRule>,
}

/// In which order components are deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GarbageOrder {
    /// All at once.
    #[default]
    #[serde(rename = "")]
    None,
    /// What others depend on goes after them (APP-053).
    Dependency,
}

/// What holds for certain objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GarbageRule {
    /// The objects.
    #[serde(deserialize_with = "or_default")]
    pub selector: Selector,
    /// When they go.
    pub strategy: Option<GarbageStrategy>,
    /// How they go.
    pub propagation: Option<Propagation>,
}

/// When an object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GarbageStrategy {
    /// Never.
    Never,
    /// With the Application only.
    OnAppDelete,
    /// As soon as the Application no longer has it.
    #[default]
    OnAppUpdate,
}

/// How an object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// It stays, without our labels.
    Orphan,
    /// What it made goes too.
    #[default]
    Cascading,
}

/// `apply-once` (POL-001).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplyOnce {
    /// The policy is on.
    #[serde(deserialize_with = "or_default")]
    pub enable: bool,
    /// What holds for certain objects; without rules drift is never repaired.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<ApplyOnceRule>,
}

/// What is written once in certain objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplyOnceRule {
    /// The objects.
    #[serde(deserialize_with = "or_default")]
    pub selector: Selector,
    /// The fields.
    pub strategy: Option<ApplyOnceStrategy>,
}

/// Which fields are left as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplyOnceStrategy {
    /// Field paths; `*` for the whole object.
    #[serde(deserialize_with = "or_default")]
    pub path: Vec<String>,
    /// When they are left.
    #[serde(deserialize_with = "or_default")]
    pub affect: Affect,
}

/// When `apply-once` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Affect {
    /// At every write.
    #[default]
    #[serde(alias = "")]
    Always,
    /// When the Application changes.
    OnUpdate,
    /// When drift would be repaired.
    OnStateKeep,
}

/// `resource-update` (POL-006).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceUpdate {
    /// What holds for certain objects.
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<ResourceUpdateRule>,
}

/// How certain objects are updated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceUpdateRule {
    /// The objects.
    #[serde(deserialize_with = "or_default")]
    pub selector: Selector,
    /// How.
    #[serde(deserialize_with = "or_default")]
    pub strategy: UpdateStrategy,
}

/// How an object is updated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateStrategy {
    /// Patched or replaced.
    #[serde(deserialize_with = "or_default")]
    pub op: UpdateOp,
    /// A change in one of these fields deletes and creates the object.
    #[serde(deserialize_with = "or_default")]
    pub recreate_fields: Vec<String>,
}

/// How an object is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpdateOp {
    /// Only what we own changes.
    #[default]
    #[serde(alias = "")]
    Patch,
    /// The whole object is written.
    Replace,
}

/// Properties of a `deploy` step (WF-031).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DeployStep {
    /// Without approval; true where absent.
    pub auto: Option<bool>,
    /// Names of policies.
    #[serde(deserialize_with = "or_default")]
    pub policies: Vec<String>,
    /// How many components at a time; 5 where absent.
    pub parallelism: Option<i64>,
    /// Leave Terraform components out; true where absent.
    pub ignore_terraform_component: Option<bool>,
}

/// Reads properties as Go does: `null` is the zero value.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads properties; mistakes are findings at their fields.
///
/// # Errors
/// All fields that are unknown (where the type is strict, TRAP-006) or have the wrong form.
pub fn read_properties<T: DeserializeOwned>(
    properties: &Value,
    path: &str,
    kubevela_prefix: &str,
) -> Result<T, Rejection> {
    if !properties.is_object() && !properties.is_null() {
        let found = json_type(properties);
        let text = "properties are fields with values";
        return Err(Finding::new(FindingKind::Invalid, path, text)
            .expected("an object", found)
            .kubevela(format!(
                "{kubevela_prefix}json: cannot unmarshal {found} into Go value"
            ))
            .into());
    }
    let mut rejection = Rejection::default();
    let mut rest = properties.clone();
    // A decoder stops at the first mistake: what is wrong goes, until the rest is right.
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(&rest) {
            Ok(read) if rejection.findings.is_empty() => return Ok(read),
            Ok(_) => return Err(rejection),
            Err(error) => error,
        };
        let finding = misread(path, &error, kubevela_prefix);
        let inner = parts(&finding.path).split_off(parts(path).len());
        rejection.findings.push(finding);
        if !take_out(&mut rest, &inner) {
            return Err(rejection);
        }
    }
}

fn misread(
    path: &str,
    error: &serde_path_to_error::Error<serde_json::Error>,
    kubevela_prefix: &str,
) -> Finding {
    let field = of_decoder(path, error.path());
    let text = error.inner().to_string();
    match quoted_after(&text, "unknown field `") {
        Some(unknown) => unknown_field(&text, &field, unknown, kubevela_prefix),
        None => super::error::wrong_value(field, &text)
            .kubevela(format!("{kubevela_prefix}json: {text}")),
    }
}

/// Removes a field; of a list all, since its other elements would change their numbers.
fn take_out(value: &mut Value, path: &[Part]) -> bool {
    let depth = path.iter().rposition(|part| matches!(part, Part::Name(_)));
    let Some((last, outer)) = depth.and_then(|depth| path[..=depth].split_last()) else {
        return false;
    };
    let inner = outer.iter().try_fold(value, |inner, part| match part {
        Part::Index(index) => inner.get_mut(*index),
        Part::Name(name) => inner.get_mut(name),
    });
    let fields = inner.and_then(Value::as_object_mut);
    fields.is_some_and(|fields| fields.remove(&last.key()).is_some())
}

fn unknown_field(text: &str, field: &str, unknown: &str, kubevela_prefix: &str) -> Finding {
    let known: Vec<&str> = text.split('`').skip(3).step_by(2).collect();
    let hint = super::error::did_you_mean(unknown, known.iter().copied())
        .unwrap_or_else(|| "remove it".to_owned());
    let path = below("", unknown);
    let parent = field.strip_suffix(&format!(".{path}")).unwrap_or(field);
    Finding::new(
        FindingKind::UnknownField,
        format!("{parent}.{path}"),
        format!("there is no field `{unknown}` here"),
    )
    .expected(known.join(", "), unknown)
    .hint(hint)
    .kubevela(format!(
        "{kubevela_prefix}json: unknown field \"{unknown}\""
    ))
}

fn quoted_after<'a>(text: &'a str, marker: &str) -> Option<&'a str> {
    let rest = &text[text.find(marker)? + marker.len()..];
    rest.split('`').next()
}

/// What Go's decoder calls the type of a value.
pub(super) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
