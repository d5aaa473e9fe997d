//! Objects as they are in the field.

use caravel_schema::decode;
use kube::Client;
use serde_json::{Value, json};

use crate::Result;

/// The definition of Applications, as it is deployed.
const APPLICATIONS: &[u8] = include_bytes!("../../../deploy/crds/core.oam.dev_applications.yaml");

/// Where Applications are.
pub(crate) const PATH: &str = "/apis/core.oam.dev/v1beta1/namespaces/default/applications";

/// Makes the kind `Application` known, and waits until it is served.
pub(crate) async fn define(client: &Client) -> Result<()> {
    let definition = decode::yaml(APPLICATIONS)
        .map_err(|error| error.to_string())?
        .value;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let request = request("POST", path, &definition)?;
    match client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A request with a JSON body.
pub(crate) fn request(method: &str, path: &str, body: &Value) -> Result<http::Request<Vec<u8>>> {
    let media_type = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    Ok(http::Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, media_type)
        .body(serde_json::to_vec(body)?)?)
}

/// An Application of about 2 KiB: two components with traits, a policy, a workflow.
pub(crate) fn application(name: &str) -> Value {
    let component = |at: usize| {
        json!({
            "name": format!("{name}-{at}"), "type": "webservice",
            "properties": {
                "image": "registry.example/team/shop:v1.2.3", "cpu": "250m", "memory": "128Mi",
                "ports": [{"port": 8080, "expose": true}],
                "env": [{"name": "MODE", "value": "production"}, {"name": "REGION", "value": "north"}],
            },
            "traits": [
                {"type": "scaler", "properties": {"replicas": 2}},
                {"type": "labels", "properties": {"team": "checkout", "tier": "front"}},
            ],
        })
    };
    json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
        "metadata": {
            "name": name, "namespace": "default", "labels": {"app": "shop", "team": "checkout"},
            "annotations": {"example.com/owner": "checkout@example.com"},
        },
        "spec": {
            "components": [component(0), component(1)],
            "policies": [{"name": "here", "type": "topology", "properties": {"clusters": ["local"]}}],
            "workflow": {"steps": [{"name": "deploy", "type": "deploy", "properties": {"policies": ["here"]}}]},
        },
    })
}
