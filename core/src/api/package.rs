//! Package: operations that templates call on a server of their own (CRD-012, CRD-031).

#![expect(
    clippy::duplicated_attributes,
    reason = "each column of a kind has its own `type_`; the lint takes them for one"
)]

use std::collections::BTreeMap;

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::de::or_default;

/// CUE templates that can be imported, and the server that carries out their operations.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "cue.oam.dev",
    version = "v1alpha1",
    kind = "Package",
    plural = "packages",
    namespaced,
    shortname = "pkg",
    shortname = "cpkg",
    shortname = "cuepkg",
    shortname = "cuepackage",
    printcolumn(name = "PATH", type_ = "string", json_path = ".spec.path"),
    printcolumn(
        name = "PROTO",
        type_ = "string",
        json_path = ".spec.provider.protocol"
    ),
    printcolumn(
        name = "ENDPOINT",
        type_ = "string",
        json_path = ".spec.provider.endpoint"
    ),
    schema = "disabled",
    derive = "Default",
    derive = "PartialEq",
    crates(kube_core = "::kube_core")
)]
pub struct PackageSpec {
    /// The path that templates import.
    #[serde(default, deserialize_with = "or_default")]
    pub path: String,
    /// The server that carries out the operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<PackageProvider>,
    /// The files of the package: name to CUE text.
    #[serde(default, deserialize_with = "or_default")]
    pub templates: BTreeMap<String, String>,
}

/// A server that carries out the operations of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PackageProvider {
    /// How to speak to it: `http`, `https` or `grpc`.
    #[serde(default, deserialize_with = "or_default")]
    pub protocol: String,
    /// Its address.
    #[serde(default, deserialize_with = "or_default")]
    pub endpoint: String,
}
