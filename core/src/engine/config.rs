//! Configurations and their templates.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Package, Replay, Template};

/// Evaluates the template of a configuration (rows PRV-022, OPS-021, REN-109).
///
/// The text has a `template` with `parameter`, and with what is made of it: `output`, `outputs`, `validation`. It may call
/// (`#do`) as templates of components do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigRequest {
    /// The template; its parameters are the properties of the configuration.
    pub template: Template,
    /// `context`: name and namespace of the configuration.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// Packages that the template may import.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Results of earlier calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replay: Replay,
}

/// The result of [`Operation::Config`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigResult {
    /// What `template.validation.$returns` says; true where there is none.
    pub valid: bool,
    /// Its message.
    #[serde(default)]
    pub message: String,
    /// `template.output`: the Secret; `null` where there is none.
    #[serde(default)]
    pub output: Value,
    /// `template.outputs`: further objects.
    #[serde(default)]
    pub outputs: BTreeMap<String, Value>,
    /// Whether the template wants to write to a Nacos server (`template.nacos`).
    #[serde(default)]
    pub nacos: bool,
}
