//! Bodies, paths and queries of any shape are answered, and never with a fault of ours.

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::identity::Identity;
use crate::server::{ApiServer, Config};

fn anything() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "metadata",
        "spec",
        "status",
        "name",
        "namespace",
        "data",
        "labels",
        "annotations",
        "finalizers",
        "managedFields",
        "kind",
        "apiVersion",
        "rules",
        "versions",
        "names",
        "ConfigMap",
        "v1",
        "a",
        "",
        "items",
        "generateName",
        "resourceVersion",
        "replicas",
        "template",
        "containers",
        "$patch",
        "delete",
        "ownerReferences",
        "op",
        "path",
        "/metadata/name",
        "/spec",
        "value",
        "replace",
        "remove",
        "resourceAttributes",
        "group",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(words.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

const PATHS: &[&str] = &[
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/configmaps/a",
    "/api/v1/namespaces",
    "/api/v1/namespaces/default",
    "/api/v1/namespaces/default/finalize",
    "/api/v1/namespaces/default/status",
    "/apis/apps/v1/namespaces/default/deployments",
    "/apis/apps/v1/namespaces/default/deployments/d",
    "/apis/apps/v1/namespaces/default/deployments/d/status",
    "/apis/apps/v1/namespaces/default/deployments/d/scale",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com",
    "/apis/example.com/v1/things",
    "/apis/example.com/v1/things/t",
    "/apis/example.com/v1/things/t/status",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    "/apis/authentication.k8s.io/v1/tokenreviews",
    "/api/v1/namespaces/default/serviceaccounts/default/token",
    "/apis/events.k8s.io/v1/namespaces/default/events",
];
const METHODS: &[&str] = &["POST", "PUT", "PATCH", "DELETE"];
const TYPES: &[&str] = &[
    "application/json",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/vnd.kubernetes.protobuf",
];

async fn server() -> ApiServer {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    let definition = json!({
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}}}]},
    });
    let pod = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pod}});
    for (path, object) in [
        (
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            definition,
        ),
        (
            "/apis/example.com/v1/things",
            json!({"metadata": {"name": "t"}, "spec": {"a": 1}}),
        ),
        ("/apis/apps/v1/namespaces/default/deployments", deployment),
        (
            "/api/v1/namespaces/default/configmaps",
            json!({"metadata": {"name": "a"}}),
        ),
    ] {
        let status = send(
            &server,
            "POST",
            path,
            "application/json",
            object.to_string().into_bytes(),
        )
        .await;
        assert_eq!(status, 201, "{path}");
    }
    server
}

async fn send(
    server: &ApiServer,
    method: &str,
    path: &str,
    media_type: &str,
    body: Vec<u8>,
) -> u16 {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{path}?fieldManager=fuzz&force=true&dryRun=All"))
        .header("content-type", media_type)
        .body(Body::from(body))
        .unwrap();
    if method == "POST" && path.ends_with("things") || media_type == "application/json" {
        let plain = request.uri().path().to_owned();
        *request.uri_mut() = plain.parse().unwrap();
    }
    request.extensions_mut().insert(Identity::admin("fuzz"));
    let (parts, body) = server.router().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_ne!(
        answer["reason"], "InternalError",
        "{method} {path} {media_type}"
    );
    parts.status.as_u16()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_body_breaks_the_server(
        bodies in prop::collection::vec((anything(), 0..PATHS.len(), 0..METHODS.len(), 0..TYPES.len()), 40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = server().await;
            for (body, path, method, media_type) in bodies {
                let (path, method, media_type) = (PATHS[path], METHODS[method], TYPES[media_type]);
                send(&server, method, path, media_type, body.to_string().into_bytes()).await;
            }
        });
    }
}
