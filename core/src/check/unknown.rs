//! The shape of objects of our kinds: fields that the API does not have, which a server drops without a word unless it is
//! asked to be strict; those that it demands; values of another type.

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
    let mut found = misshapen(object);
    found.retain(|finding| finding.kind == FindingKind::UnknownField);
    found
}

/// What an API server says against the shape of an object of our kinds, all at once: unknown fields, missing ones, values of
/// another type. Objects of other kinds are not looked at.
pub fn misshapen(object: &Value) -> Vec<Finding> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let Some(schema) = schemas().get(&(text("apiVersion").to_owned(), text("kind").to_owned()))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    walk(object, schema, "", &mut found);
    let metadata = object["metadata"].as_object().into_iter().flatten();
    for (name, _) in metadata {
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
    if let Some(finding) = of_another_type(value, schema, path) {
        found.push(finding);
        return;
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &schema["items"], &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(fields) => {
            let demanded = schema["required"].as_array().into_iter().flatten();
            let is_there = |name: &&str| fields.get(*name).is_some_and(|value| !value.is_null());
            for name in demanded
                .filter_map(Value::as_str)
                .filter(|name| !is_there(name))
            {
                found.push(missing(path, name));
            }
            // A field that is null counts as absent.
            for (name, inner) in fields.iter().filter(|(_, inner)| !inner.is_null()) {
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

fn of_another_type(value: &Value, schema: &Value, path: &str) -> Option<Finding> {
    if schema["x-kubernetes-int-or-string"] == true || schema["nullable"] == true {
        return None;
    }
    let (fits, expected) = match schema["type"].as_str()? {
        "object" => (value.is_object(), "an object"),
        "array" => (value.is_array(), "a list"),
        "string" => (value.is_string(), "a text"),
        "boolean" => (value.is_boolean(), "true or false"),
        "integer" => (value.is_i64(), "a whole number"),
        "number" => (value.is_number(), "a number"),
        _ => return None,
    };
    let found = match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        _ => value.to_string(),
    };
    let hint = match value {
        Value::Bool(_) | Value::Number(_) if expected == "a text" => {
            format!("write \"{found}\" with quotes")
        }
        Value::Null => "fill the item in, or remove it".to_owned(),
        _ => String::new(),
    };
    let finding = Finding::new(FindingKind::Invalid, path, "this value has the wrong shape");
    (!fits).then(|| finding.expected(expected, found).hint(hint))
}

fn missing(parent: &str, name: &str) -> Finding {
    let message = format!("the field `{name}` is missing");
    let hint = format!("write `{name}:` here");
    Finding::new(FindingKind::Missing, below(parent, name), message).hint(hint)
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
    fn every_fault_of_shape_is_found() {
        let object = json!({
            "apiVersion": "core.oam.dev/v1beta1", "kind": "Application", "metadata": {"name": "p1"},
            "spec": {
                "components": [null, {"type": "webservice", "traits": {"type": "scaler"}}, {"name": 5, "type": "worker"}],
                "policies": null,
                "workflow": {"steps": [{"name": "a", "type": null, "dependsOn": "b"}]},
            },
        });
        let found = misshapen(&object).into_iter();
        let told: Vec<String> = found.map(|one| one.to_string()).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        spec.components[0]: this value has the wrong shape (expected an object, found nothing); fill the item in, or remove it
        spec.components[1].name: the field `name` is missing; write `name:` here
        spec.components[1].traits: this value has the wrong shape (expected a list, found an object)
        spec.components[2].name: this value has the wrong shape (expected a text, found 5); write "5" with quotes
        spec.workflow.steps[0].type: the field `type` is missing; write `type:` here
        spec.workflow.steps[0].dependsOn: this value has the wrong shape (expected a list, found "b")
        "#);
        let nothing =
            json!({"apiVersion": "core.oam.dev/v1beta1", "kind": "Application", "spec": {}});
        assert_eq!(misshapen(&nothing)[0].path, "spec.components");
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
