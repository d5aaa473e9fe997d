//! Server-side apply, strategic merge and `managedFields` through the server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at what it does not expect"
)]

use caravel_apiserver::{ApiServer, Config, Identity};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

async fn client() -> kube::Client {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    server.client(Identity::admin("test"))
}

fn applied(data: &Value) -> Patch<Value> {
    Patch::Apply(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "data": data}),
    )
}

#[tokio::test]
async fn apply_owns_drops_conflicts_and_forces() {
    let api: Api<ConfigMap> = Api::default_namespaced(client().await);
    let one = PatchParams::apply("one");
    let made = api
        .patch("ssa", &one, &applied(&json!({"a": "1", "b": "2"})))
        .await
        .unwrap();
    let owners = made.metadata.managed_fields.unwrap();
    assert_eq!(owners.len(), 1);
    assert_eq!(
        serde_json::to_value(&owners[0].fields_v1).unwrap(),
        json!({"f:data": {"f:a": {}, "f:b": {}}})
    );

    let dropped = api
        .patch("ssa", &one, &applied(&json!({"a": "1"})))
        .await
        .unwrap();
    assert_eq!(dropped.data.unwrap().into_keys().collect::<Vec<_>>(), ["a"]);
    let again = api
        .patch("ssa", &one, &applied(&json!({"a": "1"})))
        .await
        .unwrap();
    assert_eq!(
        again.metadata.resource_version,
        dropped.metadata.resource_version
    );

    let two = PatchParams::apply("two");
    let error = api
        .patch("ssa", &two, &applied(&json!({"a": "other"})))
        .await
        .unwrap_err();
    let kube::Error::Api(status) = error else {
        panic!("{error}")
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        status.message,
        r#"Apply failed with 1 conflict: conflict with "one": .data.a"#
    );
    let cause = &status.details.unwrap().causes[0];
    assert_eq!(
        (cause.reason.as_str(), cause.field.as_str()),
        ("FieldManagerConflict", ".data.a")
    );

    let forced = api
        .patch("ssa", &two.force(), &applied(&json!({"a": "other"})))
        .await
        .unwrap();
    assert_eq!(
        forced.metadata.managed_fields.unwrap()[0]
            .manager
            .as_deref(),
        Some("two")
    );
}

#[tokio::test]
async fn a_plain_update_is_booked_on_its_manager() {
    let api: Api<ConfigMap> = Api::default_namespaced(client().await);
    let object =
        serde_json::from_value(json!({"metadata": {"name": "m"}, "data": {"a": "1"}})).unwrap();
    let params = PostParams {
        field_manager: Some("maker".into()),
        ..PostParams::default()
    };
    api.create(&params, &object).await.unwrap();
    let params = PatchParams {
        field_manager: Some("changer".into()),
        ..PatchParams::default()
    };
    let changed = api
        .patch("m", &params, &Patch::Merge(json!({"data": {"b": "2"}})))
        .await
        .unwrap();
    let owners: Vec<_> = changed
        .metadata
        .managed_fields
        .unwrap()
        .into_iter()
        .map(|entry| (entry.manager.unwrap(), entry.operation.unwrap()))
        .collect();
    assert_eq!(
        owners,
        [
            ("changer".into(), "Update".into()),
            ("maker".to_owned(), "Update".to_owned())
        ]
    );
}

#[tokio::test]
async fn strategic_merge_finds_list_items_by_their_keys() {
    let api: Api<Deployment> = Api::default_namespaced(client().await);
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [{"name": "a", "image": "nginx:1"}, {"name": "b", "image": "busybox:1"}]},
            },
        },
    }))
    .unwrap();
    api.create(&PostParams::default(), &deployment)
        .await
        .unwrap();
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "busybox:2"}]}}}});
    let patched = api
        .patch("d", &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .unwrap();
    let images: Vec<_> = patched
        .spec
        .unwrap()
        .template
        .spec
        .unwrap()
        .containers
        .into_iter()
        .map(|container| (container.name, container.image.unwrap()))
        .collect();
    assert_eq!(
        images,
        [
            ("a".to_owned(), "nginx:1".to_owned()),
            ("b".to_owned(), "busybox:2".to_owned())
        ]
    );
    assert_eq!(patched.metadata.generation, Some(2));
}
