//! What a hub needs before its controllers start: the kinds, the system namespace, the built-in definitions.

use std::time::Duration;

use caravel_core::api::labels::annotations::SHIPPED;
use caravel_core::api::{SYSTEM_NAMESPACE, crds};
use caravel_core::engine::{Operation, ParseDefinitionRequest, ParsedDefinition};
use caravel_engines::EngineError;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::FIELD_MANAGER;
use crate::definition::{Kind, spec_hash};
use crate::evaluation::Evaluation;

/// How long a hub may take until it serves a new kind.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);

/// Why a hub could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The hub's API refused something.
    #[error("{what}: {source}")]
    Api {
        /// What was to be written.
        what: String,
        /// What the hub said.
        source: kube::Error,
    },
    /// A kind was registered and is not served.
    #[error("{0} is registered, but the hub does not serve it")]
    NotEstablished(String),
    /// The hub's own cluster cannot be used.
    #[error(transparent)]
    Cluster(#[from] caravel_clusters::ClusterError),
    /// A built-in definition cannot be read: a fault of this build.
    #[error("the built-in definition {name} cannot be read: {source}")]
    Definition {
        /// Which one.
        name: String,
        /// What the engine said.
        source: EngineError,
    },
}

/// Registers all kinds and waits until the hub serves them.
pub async fn install_kinds(client: &Client) -> Result<(), BootstrapError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in crds() {
        let name = crd["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(&name, &parameters, &Patch::Apply(&crd))
            .await
            .map_err(api_error(&name))?;
    }
    for crd in crds() {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default();
        let established = await_condition(api.clone(), name, conditions::is_crd_established());
        match tokio::time::timeout(ESTABLISHED_WITHIN, established).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Err(BootstrapError::NotEstablished(name.to_owned())),
        }
    }
    Ok(())
}

/// Makes sure that the system namespace exists.
pub async fn install_namespace(client: &Client) -> Result<(), BootstrapError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE},
    });
    api.patch(
        SYSTEM_NAMESPACE,
        &PatchParams::apply(FIELD_MANAGER).force(),
        &Patch::Apply(object),
    )
    .await
    .map_err(api_error("namespace vela-system"))?;
    Ok(())
}

/// Installs the built-in definitions and refreshes those that nobody edited (DESIGN section 8).
pub async fn install_definitions(
    client: &Client,
    evaluation: &Evaluation,
) -> Result<(), BootstrapError> {
    for builtin in caravel_definitions::all() {
        let request = ParseDefinitionRequest {
            file: format!("{}.cue", builtin.name),
            source: builtin.source.to_string(),
        };
        let parsed: ParsedDefinition = evaluation
            .call(SYSTEM_NAMESPACE, Operation::ParseDefinition(request))
            .await
            .map_err(|source| BootstrapError::Definition {
                name: builtin.name.clone(),
                source,
            })?;
        install_definition(client, parsed.object).await?;
    }
    Ok(())
}

async fn install_definition(client: &Client, mut shipped: Value) -> Result<(), BootstrapError> {
    let name = shipped["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let Some(kind) = shipped["kind"].as_str().and_then(Kind::of) else {
        warn!(
            definition = name,
            "a built-in definition is of a kind without controller: left out"
        );
        return Ok(());
    };
    let hash = spec_hash(&shipped);
    shipped["metadata"]["namespace"] = json!(SYSTEM_NAMESPACE);
    shipped["metadata"]["annotations"][SHIPPED] = json!(hash);
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), SYSTEM_NAMESPACE, &kind.resource());
    let found = api.get_opt(&name).await.map_err(api_error(&name))?;
    match found.as_ref().map(|object| freshness(object, &hash)) {
        Some(Freshness::Current) => return Ok(()),
        Some(Freshness::Edited) => {
            info!(
                definition = name,
                "was edited: the built-in one is not installed over it"
            );
            return Ok(());
        }
        Some(Freshness::Outdated) | None => {}
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &parameters, &Patch::Apply(shipped))
        .await
        .map_err(api_error(&name))?;
    Ok(())
}

/// How an installed definition compares with what this build ships.
#[derive(Debug, PartialEq, Eq)]
enum Freshness {
    Current,
    Outdated,
    Edited,
}

fn freshness(found: &DynamicObject, shipped: &str) -> Freshness {
    let now = spec_hash(&found.data);
    match found.annotations().get(SHIPPED) {
        Some(then) if *then == now && now == shipped => Freshness::Current,
        Some(then) if *then == now => Freshness::Outdated,
        Some(_) | None => Freshness::Edited,
    }
}

fn api_error(what: &str) -> impl FnOnce(kube::Error) -> BootstrapError {
    let what = what.to_owned();
    move |source| BootstrapError::Api { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(spec: Value, shipped: Option<&str>) -> DynamicObject {
        let mut annotations = serde_json::Map::new();
        if let Some(hash) = shipped {
            annotations.insert(SHIPPED.to_owned(), json!(hash));
        }
        serde_json::from_value(json!({
            "apiVersion": "core.oam.dev/v1beta1",
            "kind": "TraitDefinition",
            "metadata": {"name": "scaler", "annotations": annotations},
            "spec": spec,
        }))
        .expect("an object")
    }

    #[test]
    fn what_somebody_edited_or_made_is_left_alone() {
        let old = spec_hash(&json!({"spec": {"a": 1}}));
        let new = spec_hash(&json!({"spec": {"a": 2}}));
        let spec = json!({"a": 1});
        assert_eq!(
            freshness(&definition(spec.clone(), Some(&old)), &old),
            Freshness::Current
        );
        assert_eq!(
            freshness(&definition(spec.clone(), Some(&old)), &new),
            Freshness::Outdated
        );
        assert_eq!(
            freshness(&definition(json!({"a": 9}), Some(&old)), &new),
            Freshness::Edited
        );
        assert_eq!(freshness(&definition(spec, None), &new), Freshness::Edited);
    }
}
