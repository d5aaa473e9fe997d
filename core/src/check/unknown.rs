//! Fields that the API does not have: a server drops them without a word unless it is asked to be strict.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

use crate::api::crds;
use crate::appfile::{Finding, FindingKind, did_you_mean};
use crate::path::below;

/// The fields of `metadata` in all kinds.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// How many names a hint lists.
const LISTED: usize = 12;

/// The fields of an object of our kinds that its API does not have. Objects of other kinds are not looked at.
pub fn unknown_fields(object: &Value) -> Vec<Finding> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let Some(schema) = schemas().get(&(text("apiVersion").to_owned(), text("kind").to_owned()))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    walk(object, schema, "", &mut found);
    for name in object["metadata"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
    {
        if !METADATA.contains(&name.as_str()) {
            found.push(unknown("metadata", name, METADATA.into_iter()));
        }
    }
    found
}

/// The schemas of all kinds, by their version and name.
fn schemas() -> &'static BTreeMap<(String, String), Value> {
    static SCHEMAS: OnceLock<BTreeMap<(String, String), Value>> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        let mut schemas = BTreeMap::new();
        for mut crd in crds() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (group, kind) = (
                text(&crd["spec"]["group"]),
                text(&crd["spec"]["names"]["kind"]),
            );
            for version in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
                let of = format!("{group}/{}", text(&version["name"]));
                schemas.insert(
                    (of, kind.clone()),
                    version["schema"]["openAPIV3Schema"].take(),
                );
            }
        }
        schemas
    })
}

fn walk(value: &Value, schema: &Value, path: &str, found: &mut Vec<Finding>) {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &schema["items"], &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(fields) => {
            for (name, inner) in fields {
                let below = below(path, name);
                let (known, values) = (&schema["properties"], &schema["additionalProperties"]);
                if let Some(schema) = known.get(name) {
                    walk(inner, schema, &below, found);
                } else if values.is_object() {
                    walk(inner, values, &below, found);
                } else if let Some(known) = known.as_object() {
                    found.push(unknown(path, name, known.keys().map(String::as_str)));
                }
            }
        }
        _ => {}
    }
}

fn unknown<'a>(parent: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Finding {
    let path = below(parent, name);
    let hint = did_you_mean(name, known.clone()).unwrap_or_else(|| {
        let names: Vec<&str> = known.clone().take(LISTED + 1).collect();
        if names.len() > LISTED {
            return String::new();
        }
        format!("known fields: {}", names.join(", "))
    });
    Finding::new(
        FindingKind::UnknownField,
        &*path,
        format!("unknown field \"{path}\""),
    )
    .hint(hint)
    .kubevela(format!("strict decoding error: unknown field \"{path}\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(object: &Value) -> Vec<(String, String)> {
        let findings = unknown_fields(object).into_iter();
        findings.map(|one| (one.path, one.hint)).collect()
    }

    #[test]
    fn fields_that_an_application_does_not_have_are_found() {
        let object = json!({
            "apiVersion": "core.oam.dev/v1beta1", "kind": "Application", "spce": {},
            "metadata": {"name": "p1", "lables": {}, "annotations": {"any": "thing"}},
            "spec": {
                "components": [{"name": "web", "type": "webservice", "properties": {"any": {"thing": 1}},
                    "trait": [], "replicas": 3}],
                "polices": [],
                "workflow": {"steps": [{"name": "a", "type": "b", "subSteps": [{"name": "c", "type": "d", "iff": ""}]}]},
            },
            "status": {"whatever": 1},
        });
        assert_eq!(
            told(&object),
            [
                ("spce".to_owned(), "did you mean `spec`?".to_owned()),
                (
                    "spec.components[0].replicas".to_owned(),
                    "known fields: dependsOn, externalRevision, inputs, name, outputs, properties, \
                     scopes, traits, type"
                        .to_owned()
                ),
                ("spec.components[0].trait".to_owned(), "did you mean `traits`?".to_owned()),
                ("spec.polices".to_owned(), "did you mean `policies`?".to_owned()),
                ("spec.workflow.steps[0].subSteps[0].iff".to_owned(), "did you mean `if`?".to_owned()),
                ("metadata.lables".to_owned(), "did you mean `labels`?".to_owned()),
            ]
        );
    }

    #[test]
    fn fields_that_a_definition_does_not_have_are_found() {
        let object = json!({
            "apiVersion": "core.oam.dev/v1beta1", "kind": "TraitDefinition", "metadata": {"name": "t"},
            "spec": {"appliesToWorkload": ["deployments.apps"], "podDisruptve": true,
                "schematic": {"cue": {"template": ""}}, "status": {"healthPolicy": ""}},
        });
        assert_eq!(
            told(&object),
            [
                (
                    "spec.appliesToWorkload".to_owned(),
                    "did you mean `appliesToWorkloads`?".to_owned()
                ),
                (
                    "spec.podDisruptve".to_owned(),
                    "did you mean `podDisruptive`?".to_owned()
                ),
            ]
        );
        assert_eq!(
            told(&json!({"apiVersion": "v1", "kind": "ConfigMap", "dato": {}})),
            []
        );
    }
}
