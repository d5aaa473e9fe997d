//! ResourceTracker: the inventory of an application (CRD-009, CRD-029, APP-041 … APP-045).

#![expect(
    clippy::duplicated_attributes,
    reason = "each column of a kind has its own `type_`; the lint takes them for one"
)]

use std::borrow::Cow;

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::Compression;
use super::compress::{self, CompressionError};
use super::de::{filled, is_false, or_default};
use super::schema;

/// What an inventory lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrackerType {
    /// Objects that live as long as the application.
    Root,
    /// Objects of one generation of the application.
    #[default]
    Versioned,
    /// Revisions of components.
    ComponentRevision,
}

/// A list of the objects that an application owns.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "core.oam.dev",
    version = "v1beta1",
    kind = "ResourceTracker",
    plural = "resourcetrackers",
    status = "ResourceTrackerStatus",
    shortname = "rt",
    category = "oam",
    printcolumn(name = "TYPE", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "APP",
        type_ = "string",
        json_path = r".metadata.labels['app\.oam\.dev\/name']"
    ),
    printcolumn(
        name = "APP-NS",
        type_ = "string",
        json_path = r".metadata.labels['app\.oam\.dev\/namespace']"
    ),
    printcolumn(
        name = "APP-GEN",
        type_ = "number",
        json_path = ".spec.applicationGeneration"
    ),
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTrackerSpec {
    /// What the list is for: `root`, `versioned` or `component-revision`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub type_: Option<TrackerType>,
    /// The generation of the application that the list belongs to.
    #[serde(default, deserialize_with = "or_default")]
    pub application_generation: i64,
    /// The objects that the application owns.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub managed_resources: Vec<ManagedResource>,
    /// The objects, when they are stored compressed.
    #[serde(
        default,
        skip_serializing_if = "Compression::is_empty",
        deserialize_with = "or_default"
    )]
    pub compression: Compression,
}

/// An inventory has no state of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceTrackerStatus {}

/// An object that an application owns, and what was applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ManagedResource {
    /// The cluster of the object; none means the hub's own.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub cluster: Option<String>,
    /// What made the object: `workflow` or `policy`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub creator: Option<String>,
    /// API group and version of the object.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub api_version: String,
    /// Kind of the object.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub kind: String,
    /// Name of the object.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub name: String,
    /// Namespace of the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub namespace: Option<String>,
    /// The unique id of the object. None until it was applied.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub uid: Option<String>,
    /// Path of a part of the object. Not used.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub field_path: Option<String>,
    /// The version of the object. Not used.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub resource_version: Option<String>,
    /// The component that the object belongs to.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub component: Option<String>,
    /// The trait that made the object.
    #[serde(
        rename = "trait",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub trait_: Option<String>,
    /// Whether a step of the workflow deleted the object.
    #[serde(
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub deleted: bool,
    /// Whether the object stays when the application goes.
    #[serde(
        rename = "skipGC",
        default,
        skip_serializing_if = "is_false",
        deserialize_with = "or_default"
    )]
    pub skip_gc: bool,
    /// The manifest that was applied. None when only the reference is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub raw: Option<Value>,
}

impl ResourceTrackerSpec {
    /// The objects, whether stored plain or compressed (CRD-033).
    ///
    /// # Errors
    /// If the compressed content is damaged, or is not a list of objects.
    pub fn resources(&self) -> Result<Cow<'_, [ManagedResource]>, CompressionError> {
        match compress::unpack::<Option<Vec<ManagedResource>>>(&self.compression)? {
            None => Ok(Cow::Borrowed(&self.managed_resources)),
            Some(resources) => Ok(Cow::Owned(resources.unwrap_or_default())),
        }
    }

    /// Replaces the objects; stores them compressed if `algorithm` says so.
    ///
    /// # Errors
    /// If the objects cannot be compressed.
    pub fn set_resources(
        &mut self,
        resources: Vec<ManagedResource>,
        algorithm: Option<compress::Algorithm>,
    ) -> Result<(), CompressionError> {
        match algorithm {
            None => {
                self.managed_resources = resources;
                self.compression = Compression::default();
            }
            Some(algorithm) => {
                self.compression = compress::pack(&resources, algorithm)?;
                self.managed_resources = Vec::new();
            }
        }
        Ok(())
    }
}
