//! Policies that hold for all Applications of a namespace or of the hub (POL-015).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use caravel_clusters::RawObject;
use caravel_core::api::SYSTEM_NAMESPACE;
use caravel_core::appfile::Definition;
use caravel_core::plan::scoped;
use caravel_core::render::ScopedPolicy;
use kube::api::{Api, ListParams, Request};
use kube::{Client, Resource as _};
use serde::Deserialize;

use super::TurnError;
use super::scoped::recorded;
use crate::definition::oam_resource;

/// Which there are is asked of the hub each time and not of a cache: nobody asks for them by name, so one that a cache does
/// not know yet would be left out without a word. What they say is remembered by their version.
#[derive(Default)]
pub(crate) struct Globals(Mutex<HashMap<Place, Read>>);

/// Namespace and name of a definition.
type Place = (String, String);

/// A definition at a version.
#[derive(Clone)]
struct Read {
    version: String,
    /// Its priority and what it says; nothing for one that holds only where it is named.
    policy: Option<(i64, ScopedPolicy)>,
}

/// What is read of a list.
#[derive(Deserialize)]
struct Listed {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Named,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    name: String,
    #[serde(default)]
    resource_version: String,
}

impl Globals {
    /// The policies that hold in a namespace, by priority; of two with one name that of the namespace.
    pub(super) async fn of(
        &self,
        client: &Client,
        namespace: &str,
    ) -> Result<Vec<ScopedPolicy>, TurnError> {
        let mut by_name = BTreeMap::new();
        let own = Some(namespace).filter(|own| *own != SYSTEM_NAMESPACE);
        for place in [SYSTEM_NAMESPACE].into_iter().chain(own) {
            let listed = list(client, place).await?;
            // What is gone is forgotten.
            let names: BTreeSet<&str> = listed
                .iter()
                .map(|one| one.metadata.name.as_str())
                .collect();
            self.known()
                .retain(|known, _| known.0 != place || names.contains(known.1.as_str()));
            for item in listed {
                let name = item.metadata.name.clone();
                if let Some(policy) = self.read(client, place, item.metadata).await? {
                    by_name.insert(name, policy);
                }
            }
        }
        let mut found: Vec<(i64, ScopedPolicy)> = by_name.into_values().collect();
        found.sort_by_key(|(priority, _)| *priority);
        Ok(found.into_iter().map(|(_, policy)| policy).collect())
    }

    async fn read(
        &self,
        client: &Client,
        namespace: &str,
        named: Named,
    ) -> Result<Option<(i64, ScopedPolicy)>, TurnError> {
        let place = (namespace.to_owned(), named.name);
        let known = self.known().get(&place).cloned();
        if let Some(known) = known.filter(|known| known.version == named.resource_version) {
            return Ok(known.policy);
        }
        let resource = oam_resource("PolicyDefinition", "policydefinitions");
        let api: Api<RawObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let Some(object) = api.get_opt(&place.1).await? else {
            self.known().remove(&place);
            return Ok(None);
        };
        let read = Read {
            version: object.meta().resource_version.clone().unwrap_or_default(),
            policy: policy(namespace, &place.1, object)?,
        };
        self.known().insert(place, read.clone());
        Ok(read.policy)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Place, Read>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names and versions of the policy definitions of a namespace.
async fn list(client: &Client, namespace: &str) -> Result<Vec<Item>, TurnError> {
    let resource = oam_resource("PolicyDefinition", "policydefinitions");
    let url = RawObject::url_path(&resource, Some(namespace));
    let request = Request::new(url)
        .list_metadata(&ListParams::default())
        .map_err(kube::Error::BuildRequest)?;
    Ok(client.request::<Listed>(request).await?.items)
}

fn policy(
    namespace: &str,
    name: &str,
    object: RawObject,
) -> Result<Option<(i64, ScopedPolicy)>, TurnError> {
    if object.value["spec"]["global"] != true {
        return Ok(None);
    }
    let mut definition = Definition::from_object(&object.value)
        .map_err(|why| TurnError::Damaged(format!("global policy {namespace}/{name}: {why}")))?;
    namespace.clone_into(&mut definition.namespace);
    let Some((priority, policy)) = scoped::global(&definition) else {
        return Ok(None);
    };
    Ok(Some((priority, recorded(policy, &object.value)?)))
}
