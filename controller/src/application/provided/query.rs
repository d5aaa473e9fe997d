//! What an Application consists of and how it stands (`query.*`, PRV-033 to PRV-037).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caravel_clusters::connect::Cluster;
use caravel_clusters::inventory::{Inventory, Tracker};
use caravel_clusters::{Owner, cluster_name};
use caravel_core::api::labels::annotations::{DEPLOY_VERSION, PUBLISH_VERSION};
use caravel_core::api::{Application, ManagedResource, labels};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use serde_json::{Value, json};

use super::super::delivery::Delivery;
use super::{reason, required};
use crate::calls::text;
use crate::engine::PortError;

/// What brings what about, without further description (CLI-036): kinds of parents, and of their children.
const CHILDREN: [(&str, &str, &str); 7] = [
    ("Deployment", "apps/v1", "ReplicaSet"),
    ("ReplicaSet", "v1", "Pod"),
    ("StatefulSet", "v1", "Pod"),
    ("DaemonSet", "v1", "Pod"),
    ("Job", "v1", "Pod"),
    ("CronJob", "batch/v1", "Job"),
    ("Service", "discovery.k8s.io/v1", "EndpointSlice"),
];
/// How deep a tree is looked into.
const DEPTH: usize = 5;
/// How much of a log is given unless the step says how much.
const LOG_BYTES: i64 = 1 << 20;

/// An object that an Application has made.
pub(super) struct Owned {
    pub(super) entry: ManagedResource,
    /// Whether the latest delivery has it.
    latest: bool,
}

/// An object with what it brought about.
struct Tree {
    object: Value,
    children: Vec<Tree>,
}

impl Delivery {
    /// `query.#ListAppliedResources`, `#GetApplicationTree`: from the inventory, with what the objects brought about where
    /// it is asked for.
    pub(super) async fn applied_resources(&self, params: &Value) -> Result<Value, PortError> {
        let app = &params["app"];
        let with_tree = app["withTree"].as_bool().unwrap_or_default();
        let mut list = Vec::new();
        for owned in self.owned(app).await? {
            let (cluster, live) = self.live(&owned.entry).await?;
            let mut row = row(&owned, live.as_ref());
            if let (true, Some(live)) = (with_tree, live) {
                let tree = grown(&cluster, live, DEPTH).await?;
                row["resourceTree"] = node(&tree, cluster.name());
            }
            list.push(row);
        }
        Ok(json!({"list": list}))
    }

    /// `query.#ListResourcesInApp`: the live objects.
    pub(super) async fn resources(&self, params: &Value) -> Result<Value, PortError> {
        let app = &params["app"];
        let with_status = app["withStatus"].as_bool().unwrap_or_default();
        let mut list = Vec::new();
        for Owned { entry, .. } in self.owned(app).await? {
            let (cluster, Some(mut object)) = self.live(&entry).await? else {
                continue;
            };
            if let (false, Some(fields)) = (with_status, object.as_object_mut()) {
                fields.remove("status");
            }
            let revision = &object["metadata"]["labels"][labels::APP_REVISION];
            list.push(json!({
                "cluster": cluster.name(),
                "component": entry.component,
                "revision": revision.as_str().unwrap_or_default(),
                "object": object,
            }));
        }
        Ok(json!({"list": list}))
    }

    /// `query.#CollectResources` and what is made of it: objects of one kind, also those that others brought about.
    pub(super) async fn collected(&self, params: &Value) -> Result<Value, PortError> {
        let mut app = params["app"].clone();
        let filter = app["filter"].take();
        let (api_version, kind) = (text(&filter, "apiVersion"), text(&filter, "kind"));
        let mut of_any_kind = filter.clone();
        if let Some(fields) = of_any_kind.as_object_mut() {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        app["filter"] = of_any_kind;
        let mut list = Vec::new();
        for Owned { entry, .. } in self.owned(&app).await? {
            let (cluster, Some(live)) = self.live(&entry).await? else {
                continue;
            };
            let tree = grown(&cluster, live, DEPTH).await?;
            for object in tree.all() {
                let fits = |key: &str, wanted: Option<&str>| {
                    wanted.is_none_or(|wanted| object[key] == wanted)
                };
                if fits("kind", kind) && fits("apiVersion", api_version) {
                    list.push(item(&entry, cluster.name(), &tree.object, object));
                }
            }
        }
        Ok(json!({"list": list}))
    }

    /// `query.#SearchEvents`: what was told of an object.
    pub(super) async fn events(&self, params: &Value) -> Result<Value, PortError> {
        let object = &params["value"];
        let metadata = &object["metadata"];
        let namespace = text(metadata, "namespace").unwrap_or("default");
        let cluster = self.cluster_of(params)?;
        let api: Api<Event> = Api::namespaced(cluster.client().clone(), namespace);
        let found = api.list(&ListParams::default()).await;
        let (uid, name) = (text(metadata, "uid"), text(metadata, "name"));
        let kind = text(object, "kind");
        let about = |event: &&Event| {
            let of = &event.involved_object;
            match uid {
                Some(uid) => of.uid.as_deref() == Some(uid),
                None => of.name.as_deref() == name && of.kind.as_deref() == kind,
            }
        };
        let found = found.map_err(PortError::new)?;
        let list: Vec<&Event> = found.items.iter().filter(about).collect();
        Ok(json!({"list": list}))
    }

    /// `query.#CollectLogsInPod`. That there is no log is data.
    pub(super) async fn logs(&self, params: &Value) -> Result<Value, PortError> {
        let (namespace, pod) = (required(params, "namespace")?, required(params, "pod")?);
        let options = &params["options"];
        let number = |key: &str| options[key].as_i64();
        let flag = |key: &str| options[key].as_bool().unwrap_or_default();
        let since = text(options, "sinceTime").map(str::parse::<jiff::Timestamp>);
        let since = since
            .transpose()
            .map_err(|error| PortError::new(format!("options.sinceTime: {error}")))?;
        let asked = LogParams {
            container: text(options, "container").map(str::to_owned),
            previous: flag("previous"),
            timestamps: flag("timestamps"),
            since_seconds: number("sinceSeconds"),
            since_time: since,
            tail_lines: number("tailLines"),
            limit_bytes: Some(number("limitBytes").unwrap_or(LOG_BYTES)),
            ..LogParams::default()
        };
        let cluster = self.cluster_of(params)?;
        let api: Api<Pod> = Api::namespaced(cluster.client().clone(), namespace);
        let read = async { Ok((api.get(pod).await?, api.logs(pod, &asked).await?)) };
        let outputs = match read.await {
            Ok((found, log)) => {
                let now = self.clock.now();
                let seconds = asked.since_seconds.map(jiff::SignedDuration::from_secs);
                let from = since
                    .or_else(|| seconds.map(|seconds| now - seconds))
                    .or(found.metadata.creation_timestamp.map(|time| time.0));
                let from = from.map_or_else(String::new, |from| from.to_string());
                let info = json!({"fromDate": from, "toDate": now.to_string()});
                json!({"logs": STANDARD.encode(log), "info": info})
            }
            Err(error) => json!({"err": reason(&error)}),
        };
        Ok(json!({ "outputs": outputs }))
    }

    fn cluster_of(&self, params: &Value) -> Result<std::sync::Arc<Cluster>, PortError> {
        let name = text(params, "cluster").unwrap_or_default();
        self.clusters.get(name).map_err(PortError::new)
    }

    /// The objects of the Application that `app` names, as far as its filter selects them.
    pub(super) async fn owned(&self, app: &Value) -> Result<Vec<Owned>, PortError> {
        let namespace = text(app, "namespace").unwrap_or(&self.appfile.namespace);
        let name = text(app, "name").unwrap_or(&self.appfile.name);
        let all = if (name, namespace) == (&self.appfile.name, &self.appfile.namespace) {
            self.inventory.read(owned_of).await
        } else {
            self.application(name, namespace).await?;
            let owner = Owner {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                ..Owner::default()
            };
            owned_of(&self.inventories.load(owner).await.map_err(PortError::new)?)
        };
        let filter = &app["filter"];
        Ok(all
            .into_iter()
            .filter(|owned| selects(filter, owned))
            .collect())
    }

    /// That there is such an Application.
    async fn application(&self, name: &str, namespace: &str) -> Result<(), PortError> {
        let hub = self.clusters.hub().map_err(PortError::new)?;
        let api: Api<Application> = Api::namespaced(hub.client().clone(), namespace);
        let found = api.get_metadata(name).await;
        found
            .map(drop)
            .map_err(|error| PortError::new(reason(&error)))
    }

    /// The live object of an entry, and the cluster that has it.
    pub(super) async fn live(
        &self,
        entry: &ManagedResource,
    ) -> Result<(std::sync::Arc<Cluster>, Option<Value>), PortError> {
        let name = entry.cluster.as_deref().unwrap_or_default();
        let cluster = self.clusters.get(name).map_err(PortError::new)?;
        let object = json!({"apiVersion": entry.api_version, "kind": entry.kind,
            "metadata": {"name": entry.name, "namespace": entry.namespace}});
        let live = self.read_object(name, &object).await;
        Ok((cluster, live.map_err(PortError::new)?))
    }
}

/// A list, or an empty one and why it could not be made, which is data for the template (PRV-033 to PRV-035).
pub(super) fn listed(found: Result<Value, PortError>) -> Value {
    found.unwrap_or_else(|error| json!({"list": [], "err": error.to_string()}))
}

/// What an inventory keeps; the tracker of the highest generation is the latest.
fn owned_of(inventory: &Inventory) -> Vec<Owned> {
    let newest = inventory.kept().map(Tracker::generation).max();
    let mut all = Vec::new();
    for tracker in inventory.kept() {
        let latest = Some(tracker.generation()) == newest;
        let entries = tracker.entries().iter().filter(|entry| !entry.deleted);
        all.extend(entries.cloned().map(|entry| Owned { entry, latest }));
    }
    all
}

fn selects(filter: &Value, owned: &Owned) -> bool {
    let entry = &owned.entry;
    let is = |key: &str, value: &str| text(filter, key).is_none_or(|wanted| wanted == value);
    let of_component = filter["components"].as_array().is_none_or(|names| {
        let component = entry.component.as_deref();
        names.is_empty() || names.iter().any(|name| name.as_str() == component)
    });
    let newest = filter["queryNewest"].as_bool().unwrap_or_default();
    of_component
        && is("cluster", cluster_name(entry.cluster.as_deref()))
        && is(
            "clusterNamespace",
            entry.namespace.as_deref().unwrap_or_default(),
        )
        && is("kind", &entry.kind)
        && is("apiVersion", &entry.api_version)
        && (owned.latest || !newest)
}

fn row(Owned { entry, latest }: &Owned, live: Option<&Value>) -> Value {
    let part = |pointer: &str, key: &str| {
        let parent = live.and_then(|live| live.pointer(pointer));
        parent
            .and_then(|parent| text(parent, key))
            .unwrap_or_default()
    };
    json!({
        "name": entry.name,
        "namespace": entry.namespace.as_deref().unwrap_or_default(),
        "cluster": cluster_name(entry.cluster.as_deref()),
        "component": entry.component.as_deref().unwrap_or_default(),
        "trait": entry.trait_.as_deref().unwrap_or_default(),
        "kind": entry.kind,
        "apiVersion": entry.api_version,
        "uid": entry.uid.as_deref().unwrap_or_default(),
        "resourceVersion": part("/metadata", "resourceVersion"),
        "publishVersion": part("/metadata/annotations", PUBLISH_VERSION),
        "deployVersion": part("/metadata/annotations", DEPLOY_VERSION),
        "revision": part("/metadata/labels", labels::APP_REVISION),
        "latest": latest,
    })
}

/// An object of a component, with the object of the Application that brought it about.
fn item(entry: &ManagedResource, cluster: &str, root: &Value, object: &Value) -> Value {
    let mark = |key: &str| text(&root["metadata"]["annotations"], key).unwrap_or_default();
    json!({
        "cluster": cluster,
        "component": entry.component.as_deref().unwrap_or_default(),
        "workload": {
            "apiVersion": entry.api_version, "kind": entry.kind,
            "name": entry.name, "namespace": entry.namespace.as_deref().unwrap_or_default(),
        },
        "publishVersion": mark(PUBLISH_VERSION),
        "deployVersion": mark(DEPLOY_VERSION),
        "object": object,
    })
}

/// Looks for what an object brought about, by owner references.
async fn grown(cluster: &Cluster, object: Value, depth: usize) -> Result<Tree, PortError> {
    let mut children = Vec::new();
    let kind = text(&object, "kind").unwrap_or_default().to_owned();
    for (_, api_version, child) in CHILDREN.iter().filter(|(parent, ..)| *parent == kind) {
        if depth == 0 {
            break;
        }
        // A cluster that does not serve the kind has none of it.
        let Ok(resource) = cluster.resource(api_version, child).await else {
            continue;
        };
        let namespace = text(&object["metadata"], "namespace");
        let all = cluster.list(&resource, namespace, "").await;
        for one in all.map_err(PortError::new)? {
            if is_owned_by(&one, &object) {
                children.push(Box::pin(grown(cluster, one, depth - 1)).await?);
            }
        }
    }
    Ok(Tree { object, children })
}

fn is_owned_by(child: &Value, parent: &Value) -> bool {
    let references = child["metadata"]["ownerReferences"].as_array();
    let uid = &parent["metadata"]["uid"];
    references
        .into_iter()
        .flatten()
        .any(|reference| uid.is_string() && reference["uid"] == *uid)
}

impl Tree {
    fn all(&self) -> Vec<&Value> {
        let mut all = vec![&self.object];
        all.extend(self.children.iter().flat_map(Tree::all));
        all
    }
}

fn node(tree: &Tree, cluster: &str) -> Value {
    let object = &tree.object;
    let metadata = &object["metadata"];
    let leaves: Vec<Value> = tree
        .children
        .iter()
        .map(|child| node(child, cluster))
        .collect();
    let mut node = json!({
        "cluster": cluster,
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "name": metadata["name"],
        "namespace": text(metadata, "namespace").unwrap_or_default(),
        "uid": metadata["uid"],
        "creationTimestamp": metadata["creationTimestamp"],
        "healthStatus": health(object),
    });
    if !leaves.is_empty() {
        node["leafNodes"] = leaves.into();
    }
    node
}

/// How an object stands, as far as its kind tells; all others are well once they are there.
fn health(object: &Value) -> Value {
    let status = &object["status"];
    let well = |is_well: bool, reason: &str| {
        let code = if is_well { "Healthy" } else { "Progressing" };
        json!({"statusCode": code, "reason": reason, "message": ""})
    };
    match object["kind"].as_str() {
        Some("Pod") => {
            let phase = status["phase"].as_str().unwrap_or("Unknown");
            if phase == "Failed" {
                return json!({"statusCode": "UnHealthy", "reason": phase,
                    "message": status["message"].as_str().unwrap_or_default()});
            }
            well(matches!(phase, "Running" | "Succeeded"), phase)
        }
        Some("ReplicaSet") => {
            let (wanted, ready) = (&object["spec"]["replicas"], &status["readyReplicas"]);
            let enough = ready.as_i64().unwrap_or(0) >= wanted.as_i64().unwrap_or(0);
            well(enough, "")
        }
        Some("PersistentVolumeClaim") => {
            let phase = status["phase"].as_str().unwrap_or_default();
            well(phase == "Bound", phase)
        }
        Some("Service") if object["spec"]["type"] == "LoadBalancer" => {
            let addresses = status["loadBalancer"]["ingress"].as_array();
            well(addresses.is_some_and(|all| !all.is_empty()), "")
        }
        _ => well(true, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(kind: &str, component: &str, latest: bool) -> Owned {
        let entry = ManagedResource {
            kind: kind.to_owned(),
            component: Some(component.to_owned()),
            namespace: Some("prod".to_owned()),
            ..ManagedResource::default()
        };
        Owned { entry, latest }
    }

    #[test]
    fn a_filter_selects_by_what_it_names() {
        let web = owned("Deployment", "web", false);
        for (filter, expected) in [
            (json!(null), true),
            (json!({"components": [], "cluster": "local"}), true),
            (json!({"components": ["web"], "kind": "Deployment"}), true),
            (json!({"components": ["api"]}), false),
            (json!({"clusterNamespace": "test"}), false),
            (json!({"cluster": "berlin"}), false),
            (json!({"queryNewest": true}), false),
        ] {
            assert_eq!(selects(&filter, &web), expected, "{filter}");
        }
    }

    #[test]
    fn children_are_those_that_refer_to_their_parent() {
        let parent = json!({"metadata": {"uid": "1"}});
        let child = |uid: &str| json!({"metadata": {"ownerReferences": [{"uid": uid}]}});
        assert!(is_owned_by(&child("1"), &parent));
        assert!(!is_owned_by(&child("2"), &parent));
        assert!(!is_owned_by(&child("1"), &json!({"metadata": {}})));
    }
}
