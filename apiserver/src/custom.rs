//! Kinds that CustomResourceDefinitions describe.

use caravel_schema::resources::{CUSTOM_VERBS, Resource, Subresource, Text};
use serde_json::Value;

use crate::catalog::Kind;

/// What a definition says of one version, beyond discovery.
#[derive(Debug)]
pub(crate) struct CustomKind {
    /// `apiVersion` in which objects are stored.
    pub(crate) storage: String,
    /// The version's entry of `spec.versions`.
    pub(crate) version: Value,
    /// Is `status` apart from the rest?
    pub(crate) has_status: bool,
}

/// The served kinds of a definition, one for each served version.
pub(crate) fn kinds(definition: &Value) -> Vec<Kind> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let (Some(group), Some(plural), Some(kind)) = (
        spec["group"].as_str(),
        names["plural"].as_str(),
        names["kind"].as_str(),
    ) else {
        return Vec::new();
    };
    let versions = spec["versions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let storage = versions
        .iter()
        .find(|version| version["storage"] == true)
        .and_then(|version| version["name"].as_str())
        .unwrap_or_default();
    let storage = format!("{group}/{storage}");
    versions
        .iter()
        .filter(|version| version["served"] == true)
        .filter_map(|version| {
            let has_status = version["subresources"]["status"].is_object();
            let mut subresources = Vec::new();
            if has_status {
                subresources.push(Subresource::status());
            }
            if version["subresources"]["scale"].is_object() {
                subresources.push(Subresource::scale());
            }
            let resource = Resource {
                group: text(group),
                version: text(version["name"].as_str()?),
                kind: text(kind),
                list_kind: names["listKind"]
                    .as_str()
                    .map_or_else(|| format!("{kind}List").into(), text),
                plural: text(plural),
                singular: names["singular"]
                    .as_str()
                    .map_or_else(|| kind.to_lowercase().into(), text),
                short_names: texts(&names["shortNames"]),
                categories: texts(&names["categories"]),
                namespaced: spec["scope"] != "Cluster",
                verbs: CUSTOM_VERBS,
                subresources,
                definition: None,
            };
            let custom = CustomKind {
                storage: storage.clone(),
                version: version.clone(),
                has_status,
            };
            Some(Kind::custom(resource, custom))
        })
        .collect()
}

fn text(value: &str) -> Text {
    Text::Owned(value.to_owned())
}

fn texts(values: &Value) -> Vec<Text> {
    values.as_array().map_or_else(Vec::new, |values| {
        values.iter().filter_map(Value::as_str).map(text).collect()
    })
}
