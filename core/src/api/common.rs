//! Types that several kinds share.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::compress::Algorithm;
use super::de::{filled, is_false, or_default};
use super::schema;

/// A reference to an object of the same cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ObjectReference {
    /// API group and version of the object, for example `apps/v1`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub api_version: Option<String>,
    /// Path of a part of the object, when not the whole object is meant.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub field_path: Option<String>,
    /// Kind of the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub kind: Option<String>,
    /// Name of the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub name: Option<String>,
    /// Namespace of the object; none for a cluster-scoped one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub namespace: Option<String>,
    /// The version of the object that is meant, if a certain one is.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub resource_version: Option<String>,
    /// The unique id of the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub uid: Option<String>,
}

/// One aspect of the state of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect this is, for example `Ready`. Each appears once.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When the status last changed.
    #[schemars(schema_with = "schema::time")]
    pub last_transition_time: Time,
    /// Why it is so, as one word for programs.
    #[serde(default, deserialize_with = "or_default")]
    pub reason: String,
    /// Why it is so, for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub message: Option<String>,
}

/// A kind of Kubernetes objects.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadGvk {
    /// API group and version, for example `apps/v1`.
    #[serde(default, deserialize_with = "or_default")]
    pub api_version: String,
    /// Kind, for example `Deployment`.
    #[serde(default, deserialize_with = "or_default")]
    pub kind: String,
}

/// A revision that was made, by name, number and hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatestRevision {
    /// Name of the revision object.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Its number, counted from 1.
    #[serde(default, deserialize_with = "or_default")]
    pub revision: i64,
    /// Hash of its content.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub revision_hash: Option<String>,
}

/// The name of a custom resource definition that a definition stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionReference {
    /// Name of the custom resource definition, for example `deployments.apps`.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Which of its versions to use; without it the preferred one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub version: Option<String>,
}

/// A kind of objects that a workload creates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChildResourceKind {
    /// API group and version of the children.
    #[serde(default, deserialize_with = "or_default")]
    pub api_version: String,
    /// Kind of the children.
    #[serde(default, deserialize_with = "or_default")]
    pub kind: String,
    /// Labels that the children carry.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub selector: BTreeMap<String, String>,
}

/// How the health of a workload or trait is judged, as CUE templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusTemplates {
    /// CUE that makes the message for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub custom_status: Option<String>,
    /// CUE that decides whether the object is healthy.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub health_policy: Option<String>,
    /// CUE whose fields become the details of the status.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub details: Option<String>,
}

/// What turns parameters into objects: a CUE template or a Terraform module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schematic {
    /// A CUE template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cue: Option<Cue>,
    /// A Terraform module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform: Option<Terraform>,
}

/// A CUE template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cue {
    /// Its text.
    #[serde(default, deserialize_with = "or_default")]
    pub template: String,
}

/// How the text of a Terraform module is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TerraformLanguage {
    /// `HashiCorp`'s configuration language.
    #[default]
    Hcl,
    /// Terraform's JSON syntax.
    Json,
    /// Not text: the address of a git repository.
    Remote,
}

/// A Terraform module, and how it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Terraform {
    /// The module: its text, or the address of its repository when `type` is `remote`.
    #[serde(default, deserialize_with = "or_default")]
    pub configuration: String,
    /// How the module is written.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Option<String>",
        extend("enum" = ["hcl", "json", "remote"], "x-default" = "hcl")
    )]
    pub type_: Option<TerraformLanguage>,
    /// Folder of the module in its repository.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub path: Option<String>,
    /// Secret that receives the outputs of the module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_connection_secret_to_ref: Option<SecretReference>,
    /// Credentials of the cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<ProviderReference>,
    /// Whether the cloud's resources are deleted with the object. True when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = true))]
    pub delete_resource: Option<bool>,
    /// Region, when another one than the provider's.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub custom_region: Option<String>,
    /// Secret with the credentials of the git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_credentials_secret_reference: Option<SecretReference>,
}

/// A Secret, by name and namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretReference {
    /// Name of the Secret.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub name: Option<String>,
    /// Namespace of the Secret; without it the namespace of the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub namespace: Option<String>,
}

/// A Terraform provider, by name and namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderReference {
    /// Name of the provider.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// Namespace of the provider; `default` when not said.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    #[schemars(extend("x-default" = "default"))]
    pub namespace: Option<String>,
}

/// A value taken from the workflow's context and put into the properties.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepInput {
    /// Name of the output, or a path into the workflow's context.
    #[serde(default, deserialize_with = "or_default")]
    pub from: String,
    /// Where in the properties the value goes.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub parameter_key: Option<String>,
}

/// A value that is given to the workflow's context.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepOutput {
    /// The name under which inputs find it.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// CUE expression that makes the value.
    #[serde(default, deserialize_with = "or_default")]
    pub value_from: String,
}

/// How the compressible part of an object is stored (CRD-033).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Compression {
    /// How `data` is compressed: `gzip`, `zstd`, or nothing.
    #[serde(
        rename = "type",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "algorithm"
    )]
    #[schemars(with = "Option<String>")]
    pub type_: Option<Algorithm>,
    /// The compressed JSON, in base64.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub data: Option<String>,
}

/// Reads the name of an algorithm; empty means that nothing is compressed.
fn algorithm<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Algorithm>, D::Error> {
    filled(deserializer)?
        .map(|name| Algorithm::deserialize(name.into_deserializer()))
        .transpose()
}

impl Compression {
    /// Whether there is nothing compressed. For `skip_serializing_if`.
    pub fn is_empty(&self) -> bool {
        self.type_.is_none() && self.data.is_none()
    }
}

/// A health state and the text for people, as services and traits report it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TraitStatus {
    /// Type of the trait.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub type_: String,
    /// Whether the trait is healthy.
    #[serde(default, deserialize_with = "or_default")]
    pub healthy: bool,
    /// True while the trait waits for its workload to become healthy.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub pending: bool,
    /// Details that the definition reports.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub details: BTreeMap<String, String>,
    /// The state, for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub message: Option<String>,
}
