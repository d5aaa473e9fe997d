//! Kinds that `CustomResourceDefinitions` describe.

use caravel_schema::resources::api_version;
use caravel_schema::structural::{CustomVersion, versions};
use serde_json::Value;

use crate::catalog::Kind;

/// What a definition says of one version, beyond discovery.
#[derive(Debug)]
pub(crate) struct CustomKind {
    /// `apiVersion` in which objects are stored.
    pub(crate) storage: String,
    /// Does the schema set defaults?
    pub(crate) has_defaults: bool,
    /// The version of the write that made the definition what it is; older objects may lack its defaults.
    pub(crate) defined_at: u64,
    /// Is the definition being deleted?
    pub(crate) terminating: bool,
    /// The version, compiled.
    pub(crate) version: CustomVersion,
}

/// The served kinds of a definition, one for each served version.
pub(crate) fn kinds(definition: &Value, defined_at: u64) -> Vec<Kind> {
    let versions = match versions(definition) {
        Ok(versions) => versions,
        Err(errors) => {
            // Validation has let it pass once, so an older program wrote it.
            let name = definition["metadata"]["name"].as_str().unwrap_or_default();
            let why = caravel_schema::field::aggregate(&errors);
            tracing::error!(
                definition = name,
                why,
                "a custom resource definition cannot be served"
            );
            return Vec::new();
        }
    };
    let storage = versions
        .iter()
        .find(|version| version.storage)
        .map(|version| api_version(&version.resource.group, &version.resource.version))
        .unwrap_or_default();
    let terminating = definition["metadata"]["deletionTimestamp"].is_string();
    versions
        .into_iter()
        .filter(|version| version.served)
        .map(|version| {
            Kind::custom(CustomKind {
                has_defaults: has_defaults(&version.open_api),
                defined_at,
                terminating,
                storage: storage.clone(),
                version,
            })
        })
        .collect()
}

fn has_defaults(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name == "default" || has_defaults(value)),
        Value::Array(items) => items.iter().any(has_defaults),
        _ => false,
    }
}
