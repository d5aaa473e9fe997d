//! ApplicationRevision (CRD-002, CRD-021).

#![expect(
    clippy::duplicated_attributes,
    reason = "each column of a kind has its own `type_`; the lint takes them for one"
)]

use std::collections::BTreeMap;

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::application::{Application, Policy};
use super::common::Compression;
use super::compress::{self, CompressionError};
use super::de::{filled, is_zero, or_default};
use super::definition::{
    ComponentDefinition, PolicyDefinition, TraitDefinition, WorkflowStepDefinition,
    WorkloadDefinition,
};
use super::schema;
use super::workflow::{Workflow, WorkflowStatus};

/// An application as it was delivered, with everything that the delivery needed.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1beta1",
    kind = "ApplicationRevision",
    plural = "applicationrevisions",
    namespaced,
    status = "ApplicationRevisionStatus",
    shortname = "apprev",
    category = "oam",
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "PUBLISH_VERSION",
        type_ = "string",
        json_path = r".metadata.annotations['app\.oam\.dev\/publishVersion']"
    ),
    printcolumn(name = "SUCCEEDED", type_ = "string", json_path = ".status.succeeded"),
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationRevisionSpec {
    /// What was delivered.
    #[serde(flatten)]
    #[schemars(flatten)]
    pub plain: RevisionContent,
    /// The content, when it is stored compressed.
    #[serde(
        default,
        skip_serializing_if = "Compression::is_empty",
        deserialize_with = "or_default"
    )]
    pub compression: Compression,
}

/// What was delivered: the part of a revision that can be compressed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionContent {
    /// The application.
    #[serde(default, deserialize_with = "or_default")]
    #[schemars(schema_with = "schema::open_object")]
    pub application: Application,
    /// The `ComponentDefinitions` that were used, by name.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    #[schemars(schema_with = "schema::open_object_map")]
    pub component_definitions: BTreeMap<String, ComponentDefinition>,
    /// The `TraitDefinitions` that were used, by name.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    #[schemars(schema_with = "schema::open_object_map")]
    pub trait_definitions: BTreeMap<String, TraitDefinition>,
    /// The `PolicyDefinitions` that were used, by name.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    #[schemars(schema_with = "schema::open_object_map")]
    pub policy_definitions: BTreeMap<String, PolicyDefinition>,
    /// The `WorkflowStepDefinitions` that were used, by name.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    #[schemars(schema_with = "schema::open_object_map")]
    pub workflow_step_definitions: BTreeMap<String, WorkflowStepDefinition>,
    /// The `WorkloadDefinitions` that were used, by name.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    #[schemars(schema_with = "schema::open_object_map")]
    pub workload_definitions: BTreeMap<String, WorkloadDefinition>,
    /// The revisions of the `PolicyDefinitions` that were used, by policy.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub policy_versions: BTreeMap<String, PolicyVersion>,
    /// The Policy objects that were used, by name.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    #[schemars(schema_with = "schema::open_object_map")]
    pub policies: BTreeMap<String, Policy>,
    /// The Workflow object that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub workflow: Option<Workflow>,
    /// The objects that components of type `ref-objects` referred to.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    #[schemars(schema_with = "schema::embedded_objects")]
    pub referred_objects: Vec<Value>,
}

/// Which revision of a PolicyDefinition was used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyVersion {
    /// Name of the DefinitionRevision.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub definition_revision_name: Option<String>,
    /// Its number.
    #[serde(
        default,
        skip_serializing_if = "is_zero",
        deserialize_with = "or_default"
    )]
    pub revision: i64,
    /// Its hash.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub revision_hash: Option<String>,
}

/// How the delivery of a revision went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationRevisionStatus {
    /// Whether its workflow came to its end.
    #[serde(default, deserialize_with = "or_default")]
    pub succeeded: bool,
    /// How its workflow went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowStatus>,
    /// The values of its workflow.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub workflow_context: BTreeMap<String, String>,
}

impl ApplicationRevisionSpec {
    /// What was delivered, whether stored plain or compressed (CRD-033).
    ///
    /// # Errors
    /// If the compressed content is damaged, or is not what a revision holds.
    pub fn content(&self) -> Result<std::borrow::Cow<'_, RevisionContent>, CompressionError> {
        match compress::unpack(&self.compression)? {
            None => Ok(std::borrow::Cow::Borrowed(&self.plain)),
            Some(content) => Ok(std::borrow::Cow::Owned(content)),
        }
    }

    /// A spec that holds `content`, compressed if `algorithm` says so.
    ///
    /// # Errors
    /// If the content cannot be compressed.
    pub fn pack(
        content: RevisionContent,
        algorithm: Option<compress::Algorithm>,
    ) -> Result<Self, CompressionError> {
        Ok(match algorithm {
            None => Self {
                plain: content,
                compression: Compression::default(),
            },
            Some(algorithm) => Self {
                compression: compress::pack(&content, algorithm)?,
                plain: RevisionContent::default(),
            },
        })
    }
}
