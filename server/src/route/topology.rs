//! The tree of an Application: components, their objects, and how each stands.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use caravel_core::api::{Application, ManagedResource, ResourceTracker};
use futures::stream::{self, StreamExt as _};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, ResourceExt as _};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::Problem;

/// How many objects are read at the same time.
const READ_AT_ONCE: usize = 16;

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(no_recursion)]
pub(crate) struct Node {
    /// `Application`, `Component`, or the kind of the object.
    pub(crate) kind: String,
    /// API version of the object; absent for components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_version: Option<String>,
    /// Name.
    pub(crate) name: String,
    /// Namespace; absent for what has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// Cluster of the object; absent for Application and components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    /// The trait that made the object.
    #[serde(rename = "trait", skip_serializing_if = "Option::is_none")]
    pub(crate) trait_: Option<String>,
    /// `healthy`, `unhealthy`, `missing` or `unknown`.
    pub(crate) health: Health,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// True for an object whose state is simulated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) simulated: bool,
    /// What it consists of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) children: Vec<Node>,
}

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    Healthy,
    Unhealthy,
    Missing,
    Unknown,
}

/// Reads all objects of the Application as the caller: one that the caller may not read is `unknown`.
pub(crate) async fn tree(client: &Client, application: &Application) -> Result<Node, Problem> {
    let resources = inventory(client, application).await?;
    let mut nodes: Vec<(usize, ManagedResource, Node)> =
        stream::iter(resources.into_iter().enumerate())
            .map(|(index, resource)| async move {
                let node = object_node(client, &resource).await;
                (index, resource, node)
            })
            .buffer_unordered(READ_AT_ONCE)
            .collect()
            .await;
    nodes.sort_by_key(|(index, ..)| *index);

    let mut by_component: BTreeMap<String, Vec<Node>> = BTreeMap::new();
    for (_, resource, node) in nodes {
        by_component
            .entry(resource.component.unwrap_or_default())
            .or_default()
            .push(node);
    }
    let status = application.status.clone().unwrap_or_default();
    let mut children = Vec::new();
    for component in &application.spec.components {
        let objects = by_component.remove(&component.name).unwrap_or_default();
        let rows: Vec<_> = status
            .services
            .iter()
            .filter(|row| row.name == component.name)
            .collect();
        children.push(Node {
            health: component_health(&rows),
            message: rows.iter().find_map(|row| row.message.clone()),
            children: objects,
            ..Node::named("Component", &component.name)
        });
    }
    // Objects of policies and steps, and of components that are no longer in the specification.
    children.extend(by_component.into_values().flatten());
    let healthy = status.status.as_deref() == Some("running");
    Ok(Node {
        api_version: Some("core.oam.dev/v1beta1".to_owned()),
        namespace: application.namespace(),
        health: if healthy {
            Health::Healthy
        } else {
            Health::Unhealthy
        },
        message: status.status,
        children,
        ..Node::named("Application", &application.name_any())
    })
}

impl Node {
    fn named(kind: &str, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            api_version: None,
            name: name.to_owned(),
            namespace: None,
            cluster: None,
            trait_: None,
            health: Health::Unknown,
            message: None,
            simulated: false,
            children: Vec::new(),
        }
    }
}

fn component_health(rows: &[&caravel_core::api::ComponentStatus]) -> Health {
    if rows.is_empty() {
        return Health::Unknown;
    }
    let healthy = rows
        .iter()
        .all(|row| row.healthy && row.traits.iter().all(|t| t.healthy || t.pending));
    if healthy {
        Health::Healthy
    } else {
        Health::Unhealthy
    }
}

/// Everything that the Application's trackers list, each object once.
async fn inventory(
    client: &Client,
    application: &Application,
) -> Result<Vec<ManagedResource>, Problem> {
    let api: Api<ResourceTracker> = Api::all(client.clone());
    let selector = format!(
        "app.oam.dev/name={},app.oam.dev/namespace={}",
        application.name_any(),
        application.namespace().unwrap_or_default()
    );
    let mut seen = BTreeMap::new();
    for tracker in api.list(&ListParams::default().labels(&selector)).await? {
        let resources = tracker.spec.resources().map_err(|error| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("inventory {}: {error}", tracker.name_any()),
            )
        })?;
        for resource in resources.iter().filter(|resource| !resource.deleted) {
            let key = (
                resource.cluster.clone(),
                resource.api_version.clone(),
                resource.kind.clone(),
                resource.namespace.clone(),
                resource.name.clone(),
            );
            seen.entry(key).or_insert_with(|| resource.clone());
        }
    }
    Ok(seen.into_values().collect())
}

async fn object_node(client: &Client, resource: &ManagedResource) -> Node {
    let cluster = resource
        .cluster
        .clone()
        .unwrap_or_else(|| "local".to_owned());
    let (health, message, simulated) = if cluster == "local" {
        match read(client, resource).await {
            Ok(Some(object)) => {
                let (health, message) = object_health(&object.data);
                let simulated = object
                    .annotations()
                    .get("caravel.dev/simulated")
                    .is_some_and(|value| value == "true");
                (health, message, simulated)
            }
            Ok(None) => (
                Health::Missing,
                Some("the object is gone".to_owned()),
                false,
            ),
            Err(error) => (Health::Unknown, Some(Problem::from(error).detail), false),
        }
    } else {
        (
            Health::Unknown,
            Some(format!("cluster {cluster} is not reached from here")),
            false,
        )
    };
    Node {
        api_version: Some(resource.api_version.clone()),
        namespace: resource.namespace.clone(),
        cluster: Some(cluster),
        trait_: resource.trait_.clone(),
        health,
        message,
        simulated,
        ..Node::named(&resource.kind, &resource.name)
    }
}

async fn read(client: &Client, resource: &ManagedResource) -> kube::Result<Option<DynamicObject>> {
    let (group, version) = resource
        .api_version
        .split_once('/')
        .unwrap_or(("", &resource.api_version));
    let gvk = GroupVersionKind::gvk(group, version, &resource.kind);
    let (api_resource, capabilities): (ApiResource, _) = pinned_kind(client, &gvk).await?;
    let api: Api<DynamicObject> = match (&resource.namespace, capabilities.scope) {
        (Some(namespace), Scope::Namespaced) => {
            Api::namespaced_with(client.clone(), namespace, &api_resource)
        }
        _ => Api::all_with(client.clone(), &api_resource),
    };
    api.get_opt(&resource.name).await
}

/// What an object says of itself: its generation must be observed, its replicas ready, no condition of
/// failure true. Kinds that report nothing are healthy once they exist.
fn object_health(object: &Value) -> (Health, Option<String>) {
    let status = &object["status"];
    let failed = status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| {
            let (type_, value) = (condition["type"].as_str(), condition["status"].as_str());
            matches!(
                (type_, value),
                (Some("Failed" | "ReplicaFailure"), Some("True"))
            ) || matches!(
                (type_, value),
                (Some("Available" | "Ready" | "Progressing"), Some("False"))
            )
        });
    if let Some(condition) = failed {
        let text = condition["message"]
            .as_str()
            .or_else(|| condition["reason"].as_str());
        return (Health::Unhealthy, text.map(str::to_owned));
    }
    let Some(wanted) = object["spec"]["replicas"].as_i64() else {
        return (Health::Healthy, None);
    };
    let ready = status["readyReplicas"].as_i64().unwrap_or(0);
    let message = format!("Ready:{ready}/{wanted}");
    (
        if ready >= wanted {
            Health::Healthy
        } else {
            Health::Unhealthy
        },
        Some(message),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replicas_and_failures_decide() {
        let ready = json!({"spec": {"replicas": 2}, "status": {"readyReplicas": 2}});
        assert_eq!(
            object_health(&ready),
            (Health::Healthy, Some("Ready:2/2".to_owned()))
        );
        let waiting = json!({"spec": {"replicas": 2}, "status": {"readyReplicas": 1}});
        assert_eq!(object_health(&waiting).0, Health::Unhealthy);
        let failed = json!({"status": {"conditions": [
            {"type": "Failed", "status": "True", "message": "deadline exceeded"},
        ]}});
        assert_eq!(
            object_health(&failed),
            (Health::Unhealthy, Some("deadline exceeded".to_owned()))
        );
        assert_eq!(object_health(&json!({"data": {}})).0, Health::Healthy);
    }
}
