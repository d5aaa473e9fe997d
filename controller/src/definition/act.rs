//! Writes what was decided: revisions and schema `ConfigMap`s.

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::kind::{Kind, oam_resource};
use super::reconcile::{Decision, Revision, owner_reference};
use crate::FIELD_MANAGER;

/// Key of a schema `ConfigMap` (row DEF-004).
const SCHEMA_KEY: &str = "openapi-v3-json-schema";

/// Creates the revision, drops those beyond the limit.
pub(crate) async fn write_revisions(
    client: &Client,
    namespace: &str,
    decision: &Decision,
) -> kube::Result<()> {
    let resource = oam_resource("DefinitionRevision", "definitionrevisions");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    if let Some(object) = &decision.create {
        let object = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
        match api.create(&post(), &object).await {
            // Created by an earlier turn whose status was not written any more.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            other => drop(other?),
        }
    }
    for name in &decision.drop {
        match api.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Writes the schema of the definition under its own name and under that of its revision, each owned by what it
/// belongs to; the name of the first goes into `status.configMapRef` (rows REN-033, DEF-004).
pub(crate) async fn write_schema(
    client: &Client,
    kind: &Kind,
    definition: &DynamicObject,
    revision: &Revision,
    schema: &Value,
) -> kube::Result<String> {
    let name = definition.name_any();
    let namespace = definition.namespace().unwrap_or_default();
    let resource = oam_resource("DefinitionRevision", "definitionrevisions");
    let revisions: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &config_map());
    let as_value = serde_json::to_value(definition).map_err(kube::Error::SerdeError)?;
    let mut owners = vec![(name.clone(), owner_reference(kind.name, &as_value))];
    if let Some(recorded) = revisions.get_opt(&revision.name).await? {
        let as_value = serde_json::to_value(&recorded).map_err(kube::Error::SerdeError)?;
        let owner = owner_reference("DefinitionRevision", &as_value);
        owners.push((revision.name.clone(), owner));
    }
    for (owner_name, owner) in owners {
        let target = schema_name(kind, &owner_name);
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": target,
                "namespace": namespace,
                "labels": {"definition.oam.dev": "schema", "definition.oam.dev/name": owner_name},
                "ownerReferences": [owner],
            },
            "data": {SCHEMA_KEY: schema.to_string()},
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(&target, &parameters, &Patch::Apply(object))
            .await?;
    }
    Ok(schema_name(kind, &name))
}

/// Name of the `ConfigMap` with the schema of a definition, or of a revision of one.
fn schema_name(kind: &Kind, of: &str) -> String {
    format!("{}-schema-{of}", kind.schema_prefix)
}

fn config_map() -> kube::core::ApiResource {
    kube::core::ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&())
}

fn post() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}
