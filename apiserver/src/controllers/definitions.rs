//! `CustomResourceDefinitions`: their names are accepted or refused, and their objects go with them.

use std::collections::{BTreeMap, HashSet};

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::names;
use super::watching::{Served, already, insist, objects, until_none_left, watch};

/// While it is there, objects of the kind may be left.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Looks after definitions for ever.
pub(super) async fn run(client: Client) {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let mut events = watch(api.clone(), watcher::Config::default());
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    let mut listed = false;
    let mut busy = HashSet::new();
    let mut work = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(event) = events.next() => match event {
                watcher::Event::Apply(definition) | watcher::Event::InitApply(definition) => {
                    let name = definition.name_any();
                    if definition.metadata.deletion_timestamp.is_some() {
                        if has_finalizer(&definition) && busy.insert(definition.uid()) {
                            let client = client.clone();
                            work.push(async move {
                                clean_up(&client, &definition).await;
                                definition.uid()
                            }.boxed());
                        }
                        continue;
                    }
                    known.insert(name.clone(), serde_json::to_value(&definition).unwrap_or_default());
                    if listed {
                        accept(&api, &known, &name).await;
                    }
                }
                watcher::Event::Delete(definition) => {
                    known.remove(&definition.name_any());
                    // Names that were taken may be free now.
                    for name in names::refused(&known) {
                        accept(&api, &known, &name).await;
                    }
                }
                watcher::Event::Init => {
                    known.clear();
                    listed = false;
                }
                // Whether a name is free is known when all are.
                watcher::Event::InitDone => {
                    listed = true;
                    for name in known.keys() {
                        accept(&api, &known, name).await;
                    }
                }
            },
            Some(uid) = work.next() => {
                busy.remove(&uid);
            }
            else => return,
        }
    }
}

fn has_finalizer(definition: &CustomResourceDefinition) -> bool {
    definition.finalizers().iter().any(|name| name == FINALIZER)
}

/// Writes what is missing: the finalizer, and the status that says whether the names are accepted.
async fn accept(api: &Api<CustomResourceDefinition>, known: &BTreeMap<String, Value>, name: &str) {
    let Some(definition) = known.get(name) else {
        return;
    };
    let metadata = &definition["metadata"];
    let mut finalizers: Vec<Value> = metadata["finalizers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if !finalizers.contains(&json!(FINALIZER)) {
        finalizers.push(json!(FINALIZER));
        // Conflicts bring a new event.
        let patch = Patch::Merge(json!({"metadata": {
            "finalizers": finalizers, "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
        }}));
        let add = || async { already(api.patch(name, &manager(), &patch).await, &[404, 409]) };
        insist("guarding a definition", add).await;
        return;
    }
    let now = crate::core::text(jiff::Timestamp::now());
    let status = names::status(definition, known, &now);
    if status == definition["status"] {
        return;
    }
    let patch = Patch::Merge(json!({"metadata": {"uid": metadata["uid"]}, "status": status}));
    let write = || async {
        already(
            api.patch_status(name, &manager(), &patch).await,
            &[404, 409],
        )
    };
    insist("accepting the names of a definition", write).await;
}

fn manager() -> PatchParams {
    PatchParams {
        field_manager: Some("caravel-definitions".to_owned()),
        ..PatchParams::default()
    }
}

/// Deletes all objects of a kind, waits until they are gone, and lets the definition go.
async fn clean_up(client: &Client, definition: &CustomResourceDefinition) {
    if let Some(kind) = kind(definition) {
        insist("deleting the objects of a definition", || {
            delete_all(client, &kind)
        })
        .await;
        until_none_left(client, &kind, None).await;
    }
    let name = definition.name_any();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let release = || async {
        let Some(live) = api.get_opt(&name).await? else {
            return Ok(());
        };
        let finalizers: Vec<_> = live
            .finalizers()
            .iter()
            .filter(|name| *name != FINALIZER)
            .collect();
        let patch = Patch::Merge(json!({"metadata": {
            "finalizers": finalizers, "uid": definition.uid(), "resourceVersion": live.resource_version(),
        }}));
        match api.patch(&name, &manager(), &patch).await {
            Err(kube::Error::Api(status))
                if status.code == 404 || live.uid() != definition.uid() =>
            {
                Ok(())
            }
            done => done.map(drop),
        }
    };
    insist("releasing a definition", release).await;
}

/// The kind in a version that is served.
fn kind(definition: &CustomResourceDefinition) -> Option<Served> {
    let spec = &definition.spec;
    let version = spec.versions.iter().find(|version| version.served)?;
    Some(Served {
        resource: ApiResource {
            group: spec.group.clone(),
            version: version.name.clone(),
            api_version: format!("{}/{}", spec.group, version.name),
            kind: spec.names.kind.clone(),
            plural: spec.names.plural.clone(),
        },
        namespaced: spec.scope == "Namespaced",
    })
}

async fn delete_all(client: &Client, kind: &Served) -> kube::Result<()> {
    let all: Api<PartialObjectMeta<DynamicObject>> = objects(client, kind, None);
    let Some(list) = already(all.list(&ListParams::default()).await, &[404])? else {
        return Ok(());
    };
    let namespaces: HashSet<_> = list.items.iter().map(ResourceExt::namespace).collect();
    for namespace in namespaces {
        let api: Api<DynamicObject> = objects(client, kind, namespace.as_deref());
        let deleted = api
            .delete_collection(&DeleteParams::background(), &ListParams::default())
            .await;
        already(deleted, &[404])?;
    }
    Ok(())
}
