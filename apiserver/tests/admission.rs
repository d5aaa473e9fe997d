//! Deciders about writes, in process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at what it does not expect"
)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use caravel_apiserver::admission::{Admission, AdmissionAttributes, Denial, Operation, Warning};
use caravel_apiserver::{ApiServer, Config, Identity};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// Notes what it sees, stamps ConfigMaps, and refuses those that say so.
#[derive(Default)]
struct Stamp(Mutex<Vec<(Operation, String, bool)>>);

#[async_trait]
impl Admission for Stamp {
    async fn admit(&self, attributes: AdmissionAttributes<'_>) -> Result<Vec<Warning>, Denial> {
        if attributes.resource != "configmaps" {
            return Ok(Vec::new());
        }
        let seen = (
            attributes.operation,
            attributes.name.to_owned(),
            attributes.dry_run,
        );
        self.0.lock().unwrap().push(seen);
        let object = if attributes.object.is_null() {
            attributes.old
        } else {
            &*attributes.object
        };
        if object["data"]["refuse"] == "yes" {
            return Err(Denial::forbidden(&attributes, "it says so itself"));
        }
        if attributes.object.is_object() {
            attributes.object["data"]["stamp"] = json!(attributes.user.user);
        }
        Ok(vec!["stamped".to_owned()])
    }
}

fn config_map(data: &Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": "a"}, "data": data})).unwrap()
}

#[tokio::test]
async fn a_decider_sees_every_write_changes_and_refuses() {
    let stamp = Arc::new(Stamp::default());
    let config = Config {
        admission: vec![Arc::clone(&stamp) as Arc<dyn Admission>],
        ..Config::memory()
    };
    let server = ApiServer::open(config).await.unwrap();
    let client = server.client(Identity::admin("ann"));
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());

    let rehearsal = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api.create(&rehearsal, &config_map(&json!({})))
        .await
        .unwrap();
    let made = api
        .create(&PostParams::default(), &config_map(&json!({})))
        .await
        .unwrap();
    assert_eq!(made.data.unwrap()["stamp"], "ann");
    let refuse = Patch::Merge(json!({"data": {"refuse": "yes"}}));
    let kube::Error::Api(status) = api
        .patch("a", &PatchParams::default(), &refuse)
        .await
        .unwrap_err()
    else {
        panic!("no status")
    };
    assert_eq!(status.code, 403);
    assert_eq!(
        status.message,
        "configmaps \"a\" is forbidden: it says so itself"
    );
    assert!(
        !api.get("a")
            .await
            .unwrap()
            .data
            .unwrap()
            .contains_key("refuse"),
        "nothing was changed"
    );
    api.delete("a", &DeleteParams::default()).await.unwrap();

    let seen = stamp.0.lock().unwrap().clone();
    let name = || "a".to_owned();
    assert_eq!(
        seen,
        [
            (Operation::Create, name(), true),
            (Operation::Create, name(), false),
            (Operation::Update, name(), false),
            (Operation::Delete, name(), false),
        ]
    );
}

#[tokio::test]
async fn warnings_reach_the_client() {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    server.add_admission(Arc::new(Stamp::default()));
    let client = server.client(Identity::admin("ann"));
    let request = http::Request::post("/api/v1/namespaces/default/configmaps")
        .header("content-type", "application/json")
        .body(kube::client::Body::from(
            json!({"metadata": {"name": "w"}}).to_string().into_bytes(),
        ))
        .unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(response.headers()["warning"], r#"299 - "stamped""#);
}
