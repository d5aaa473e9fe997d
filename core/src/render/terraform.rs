//! Components that a Terraform module defines (REN-035, TRAPS 9).

use serde_json::{Map, Value, json};

use crate::api::TerraformLanguage;
use crate::appfile::AppComponent;

/// Parameters that say how the module is run; they are no variables of the module.
const RESERVED: [&str; 5] = [
    "writeConnectionSecretToRef",
    "customRegion",
    "providerRef",
    "forceDelete",
    "gitCredentialsSecretReference",
];

/// Fields of a Configuration's spec that parameters of the same name set.
const SPEC_FIELDS: [&str; 12] = [
    "backend",
    "customRegion",
    "deleteResource",
    "forceDelete",
    "gitCredentialsSecretReference",
    "hcl",
    "inlineCredentials",
    "path",
    "providerRef",
    "region",
    "remote",
    "writeConnectionSecretToRef",
];

/// The `Configuration` object of a component; `None` if its definition has no module.
pub(super) fn configuration(component: &AppComponent, namespace: &str) -> Option<Value> {
    let definition = &component.resolved.definition;
    let module = definition.terraform.as_ref()?;
    let parameters = match &component.spec.properties {
        Some(Value::Object(parameters)) => parameters.clone(),
        _ => Map::new(),
    };
    let mut spec = Map::new();
    for field in SPEC_FIELDS {
        if field != "region"
            && let Some(value) = parameters.get(field)
        {
            spec.insert(field.to_owned(), value.clone());
        }
    }
    // The path is never given by parameters: a module of type `remote` says it.
    let text = Value::from(module.configuration.as_str());
    // The default of `type` is the API server's business: what comes from there has one.
    match module.type_ {
        Some(TerraformLanguage::Hcl) => {
            spec.insert("hcl".to_owned(), text);
        }
        Some(TerraformLanguage::Remote) => {
            spec.insert("remote".to_owned(), text);
            spec.insert(
                "path".to_owned(),
                module.path.clone().unwrap_or_default().into(),
            );
        }
        Some(TerraformLanguage::Json) | None => {}
    }
    if spec.get("path").and_then(Value::as_str) == Some("") {
        spec.remove("path");
    }
    defaults(&mut spec, module, namespace);
    spec.entry("gitRef").or_insert_with(|| json!({}));
    let variables: Map<String, Value> = parameters
        .into_iter()
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
        .collect();
    let given = component
        .spec
        .properties
        .as_ref()
        .is_some_and(Value::is_object);
    let variables = if given {
        Value::Object(variables)
    } else {
        Value::Null
    };
    spec.insert("variable".to_owned(), variables);
    Some(json!({
        "apiVersion": "terraform.core.oam.dev/v1beta2",
        "kind": "Configuration",
        "metadata": metadata(component, namespace),
        "spec": spec,
        "status": { "apply": {}, "destroy": {} },
    }))
}

fn defaults(spec: &mut Map<String, Value>, module: &crate::api::Terraform, namespace: &str) {
    let value = |part: Result<Value, serde_json::Error>| part.unwrap_or_default();
    if !spec.contains_key("writeConnectionSecretToRef")
        && let Some(secret) = &module.write_connection_secret_to_ref
    {
        spec.insert(
            "writeConnectionSecretToRef".to_owned(),
            value(serde_json::to_value(secret)),
        );
    }
    if let Some(secret) = spec
        .get_mut("writeConnectionSecretToRef")
        .and_then(Value::as_object_mut)
    {
        let placed = secret
            .get("namespace")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if placed.is_empty() {
            secret.insert("namespace".to_owned(), namespace.into());
        }
    }
    if !spec.contains_key("providerRef")
        && let Some(provider) = &module.provider_ref
    {
        spec.insert(
            "providerRef".to_owned(),
            value(serde_json::to_value(provider)),
        );
    }
    if !spec.contains_key("gitCredentialsSecretReference")
        && let Some(secret) = &module.git_credentials_secret_reference
    {
        let secret = value(serde_json::to_value(secret));
        spec.insert("gitCredentialsSecretReference".to_owned(), secret);
    }
}

fn metadata(component: &AppComponent, namespace: &str) -> Value {
    let mut metadata = json!({
        "name": component.spec.name,
        "namespace": namespace,
        "creationTimestamp": null,
    });
    let annotations = &component.resolved.definition.annotations;
    if !annotations.is_empty() {
        metadata["annotations"] = json!(annotations);
    }
    metadata
}
