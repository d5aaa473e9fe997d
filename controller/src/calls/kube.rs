//! `kube` of the packages for templates of components and traits: objects of any cluster.

use caravel_clusters::connect::{Cluster, Clusters, TEMPLATE_MANAGER, Target};
use kube::core::params::Patch;
use serde_json::{Value, json};

use super::{required, text, told};

/// Where a kind has no strategies for its lists.
const UNSUPPORTED_MEDIA_TYPE: u16 = 415;

/// `kube.#Get`: the object as its cluster has it.
pub(super) async fn get(
    clusters: &Clusters,
    namespace: &str,
    params: &Value,
) -> Result<Value, String> {
    let (cluster, target, _) = located(clusters, namespace, params).await?;
    let found = cluster.get(&target).await.map_err(told)?;
    found.ok_or_else(|| not_found(&target))
}

/// `kube.#List`: the objects of one type, of all namespaces unless the filter names one.
pub(crate) async fn list(clusters: &Clusters, params: &Value) -> Result<Value, String> {
    let cluster = cluster(clusters, params)?;
    let resource = required(params, "resource")?;
    let kind = text(resource, "kind").ok_or("resource.kind is missing")?;
    let api_version = text(resource, "apiVersion").ok_or("resource.apiVersion is missing")?;
    // `PodList` is as good as `Pod`.
    let kind = kind.strip_suffix("List").unwrap_or(kind);
    let served = cluster.resource(api_version, kind).await.map_err(told)?;
    let filter = params.get("filter").cloned().unwrap_or_default();
    let labels = filter.get("matchingLabels").and_then(Value::as_object);
    let selector: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let namespace = text(&filter, "namespace").filter(|_| served.namespaced);
    let items = cluster
        .list(&served, namespace, &selector.join(","))
        .await
        .map_err(told)?;
    Ok(json!({"apiVersion": api_version, "kind": format!("{kind}List"), "items": items}))
}

/// `kube.#Apply`: creates the object, or changes it to what is given. It belongs to nobody's inventory.
///
/// What was applied before under the same prefix, and is no longer given, goes; what others wrote stays. Without the merge
/// of three, nothing goes.
pub(super) async fn apply(
    clusters: &Clusters,
    namespace: &str,
    params: &Value,
) -> Result<Value, String> {
    let (cluster, target, object) = located(clusters, namespace, params).await?;
    let merge = &params["options"]["threeWayMergePatch"];
    if merge["enabled"] != false {
        let prefix = text(merge, "annotationPrefix").unwrap_or("resource");
        let manager = format!("{TEMPLATE_MANAGER}/{prefix}");
        let applied = cluster.apply_as(&manager, &target, &object).await;
        return applied.map_err(told);
    }
    let patch = Patch::Strategic(&object);
    match cluster.patch_as(TEMPLATE_MANAGER, &target, &patch).await {
        Err(error) if error.code() == 404 => {
            cluster.apply_as(TEMPLATE_MANAGER, &target, &object).await
        }
        Err(error) if error.code() == UNSUPPORTED_MEDIA_TYPE => {
            let patch = Patch::Merge(&object);
            cluster.patch_as(TEMPLATE_MANAGER, &target, &patch).await
        }
        other => other,
    }
    .map_err(told)
}

/// `kube.#Patch`: patches an object that exists.
pub(super) async fn patch(
    clusters: &Clusters,
    namespace: &str,
    params: &Value,
) -> Result<Value, String> {
    let (cluster, target, _) = located(clusters, namespace, params).await?;
    let patch = required(params, "patch")?;
    let data = patch.get("data").cloned().unwrap_or_default();
    let patch: Patch<Value> = match text(patch, "type").unwrap_or("merge") {
        "merge" => Patch::Merge(data),
        "strategic" => Patch::Strategic(data),
        "json" => {
            let operations = serde_json::from_value(data)
                .map_err(|error| format!("patch.data is no JSON patch: {error}"))?;
            Patch::Json(operations)
        }
        other => {
            return Err(format!(
                "patch.type is {other:?}: expected merge, json or strategic"
            ));
        }
    };
    match cluster.patch_as(TEMPLATE_MANAGER, &target, &patch).await {
        Err(error) if error.code() == 404 => Err(not_found(&target)),
        other => other.map_err(told),
    }
}

fn cluster(clusters: &Clusters, params: &Value) -> Result<std::sync::Arc<Cluster>, String> {
    let name = text(params, "cluster").unwrap_or_default();
    clusters.get(name).map_err(told)
}

/// The object of a call, and where it is. One of a namespaced kind that names no namespace is in the Application's.
async fn located(
    clusters: &Clusters,
    namespace: &str,
    params: &Value,
) -> Result<(std::sync::Arc<Cluster>, Target, Value), String> {
    let cluster = cluster(clusters, params)?;
    let mut object = required(params, "resource")?.clone();
    if !object.is_object() {
        return Err("resource is no object".to_owned());
    }
    if text(&object["metadata"], "namespace").is_none() {
        object["metadata"]["namespace"] = namespace.into();
    }
    let target = cluster.target(&object).await.map_err(told)?;
    if target.namespace.is_none()
        && let Some(metadata) = object["metadata"].as_object_mut()
    {
        metadata.remove("namespace");
    }
    Ok((cluster, target, object))
}

/// In the words of an API server, which templates and people know.
fn not_found(target: &Target) -> String {
    let resource = &target.resource;
    let group = match resource.api_version.split_once('/') {
        Some((group, _)) => format!("{}.{group}", resource.plural),
        None => resource.plural.clone(),
    };
    let place = match &target.namespace {
        Some(namespace) => format!(" in namespace {namespace}"),
        None => String::new(),
    };
    format!("{group} {:?} not found{place}", target.name)
}
