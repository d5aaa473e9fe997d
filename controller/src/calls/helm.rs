//! `helm.#Render` (rows REN-037, PRV-041): what a chart needs is read from the hub, then it is rendered.
//!
//! Helm installs nothing here: the objects are delivered like all others, so they are in the inventory, are repaired and
//! are collected, on any cluster. Only what the chart's `crds` folder has is treated as Helm treats it: it is
//! made where it is missing, never changed and never deleted.

use caravel_clusters::connect::{Cluster, Clusters};
use caravel_core::charts::{ChartCall, Lookup};
use caravel_engines::Charts;
use serde_json::{Value, json};

use super::told;

/// Fetches and renders a chart for a cluster. `namespace` is the Application's.
pub(super) async fn render(
    charts: &Charts,
    clusters: &Clusters,
    cluster: &str,
    namespace: &str,
    params: &Value,
) -> Result<Value, String> {
    let mut call = ChartCall::read(params, namespace)?;
    let hub = clusters.hub().map_err(told)?;
    fill(&mut call, &hub).await?;
    let ChartCall {
        mut request,
        create_namespace,
        skip_hooks,
        ..
    } = call;
    let target = clusters.get(cluster).map_err(told)?;
    request.kube_version = target.version().await.map_err(told)?;
    request.api_versions = target.served().await.map_err(told)?;
    let release = request.release.clone();
    let look_up = |wanted: Lookup| {
        let target = &target;
        async move { target.look_up(&wanted).await.map_err(told) }
    };
    let rendered = charts.render(request, look_up).await;
    let mut rendered = rendered.map_err(told)?;
    let is_there = target.name() == hub.name() && release.namespace == namespace;
    if create_namespace && !is_there {
        make_namespace(&target, &release.namespace).await?;
    }
    for crd in std::mem::take(&mut rendered.crds) {
        create_if_absent(&target, &crd).await?;
    }
    Ok(rendered.returns(skip_hooks))
}

/// Reads what the chart is fetched and rendered with.
async fn fill(call: &mut ChartCall, hub: &Cluster) -> Result<(), String> {
    if let Some(place) = call.login_at()? {
        let secret = hub.look_up(&place).await.map_err(told)?;
        let secret = secret.ok_or_else(|| format!("there is no {place}"))?;
        call.sign_in(&secret)?;
    }
    let mut layers = Vec::new();
    for from in &call.values_from {
        let place = call.values_at(from)?;
        let object = hub.look_up(&place).await.map_err(told)?;
        match from.values(&object.unwrap_or_default())? {
            Some(values) => layers.push(values),
            None if from.optional => {}
            None => return Err(format!("valuesFrom: {}", from.missing(&place))),
        }
    }
    call.lay_below(layers);
    Ok(())
}

/// Makes the namespace of a release, as Helm does: it is no object of the release, and stays.
async fn make_namespace(cluster: &Cluster, name: &str) -> Result<(), String> {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let made = create_if_absent(cluster, &object).await;
    made.map_err(|error| format!("options.createNamespace: {error}"))
}

async fn create_if_absent(cluster: &Cluster, object: &Value) -> Result<(), String> {
    let target = cluster.target(object).await.map_err(told)?;
    if cluster.get(&target).await.map_err(told)?.is_some() {
        return Ok(());
    }
    match cluster.create(&target, object).await {
        Err(error) if error.code() == 409 => Ok(()),
        other => other.map(drop).map_err(told),
    }
}
