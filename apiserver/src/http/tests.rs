use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::identity::Identity;
use crate::server::{ApiServer, Config};

async fn send(server: &ApiServer, request: Request<Body>) -> http::Response<Vec<u8>> {
    let mut request = request;
    request.extensions_mut().insert(Identity::admin("test"));
    let (parts, body) = server.router().oneshot(request).await.unwrap().into_parts();
    http::Response::from_parts(parts, body.collect().await.unwrap().to_bytes().to_vec())
}

async fn server() -> ApiServer {
    ApiServer::open(Config::memory()).await.unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn post(path: &str, body: &Value) -> Request<Body> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn value(response: &http::Response<Vec<u8>>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn every_answer_has_an_audit_id_and_says_that_it_is_private() {
    let server = server().await;
    let response = send(&server, get("/api/v1/namespaces/nowhere")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(response.headers().contains_key("audit-id"));
    assert_eq!(response.headers()["cache-control"], "no-cache, private");
    assert_eq!(
        value(&response),
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "namespaces \"nowhere\" not found", "reason": "NotFound",
            "details": {"name": "nowhere", "kind": "namespaces"}, "code": 404,
        })
    );
}

#[tokio::test]
async fn what_nothing_serves_is_not_found_and_a_wrong_method_not_allowed() {
    let server = server().await;
    for path in [
        "/nothing",
        "/apis/metrics.k8s.io/v1beta1/pods",
        "/api/v1/nosuch",
        "/apis/apps/v1/namespaces/x/deployments/d/nosuch",
    ] {
        let response = send(&server, get(path)).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(
            value(&response)["message"],
            "the server could not find the requested resource",
            "{path}"
        );
    }
    let request = Request::delete("/api/v1/namespaces")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        send(&server, request).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn clients_get_the_form_that_they_accept() {
    let server = server().await;
    let with = |accept: &str| {
        Request::get("/api/v1/namespaces")
            .header("accept", accept)
            .body(Body::empty())
            .unwrap()
    };
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let response = value(&send(&server, with(table)).await);
    assert_eq!(response["kind"], "Table");
    assert_eq!(response["columnDefinitions"][0]["name"], "Name");
    let metadata =
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
    let response = value(&send(&server, with(metadata)).await);
    assert_eq!(response["kind"], "PartialObjectMetadataList");
    assert_eq!(response["items"][0].get("spec"), None);
    let both = "application/vnd.kubernetes.protobuf,application/json";
    assert_eq!(
        value(&send(&server, with(both)).await)["kind"],
        "NamespaceList"
    );
    let only = send(&server, with("application/vnd.kubernetes.protobuf")).await;
    assert_eq!(only.status(), StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn bodies_are_bounded_and_must_be_readable() {
    let server = server().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let huge = json!({"metadata": {"name": "huge"}, "data": {"x": "y".repeat(4 << 20)}});
    assert_eq!(
        send(&server, post(path, &huge)).await.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from("{"))
        .unwrap();
    assert_eq!(
        send(&server, request).await.status(),
        StatusCode::BAD_REQUEST
    );
    let request = Request::post(path)
        .header("content-type", "text/html")
        .body(Body::from("<p>"))
        .unwrap();
    let response = send(&server, request).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for wrong in [
        json!([]),
        json!({"kind": "Pod"}),
        json!({"metadata": []}),
        json!({"metadata": {"name": 7}}),
        json!(null),
    ] {
        let response = send(&server, post(path, &wrong)).await;
        assert!(
            response.status().is_client_error(),
            "{wrong}: {}",
            response.status()
        );
    }
}

#[tokio::test]
async fn unknown_and_repeated_fields_are_refused_or_warned_of() {
    let server = server().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let body = |name: &str| {
        format!(
            r#"{{"metadata": {{"name": "{name}"}}, "data": {{"a": "1", "a": "2"}}, "dato": 1}}"#
        )
    };
    let request = |name: &str, validation: &str| {
        Request::post(format!("{path}?fieldValidation={validation}"))
            .header("content-type", "application/json")
            .body(Body::from(body(name)))
            .unwrap()
    };
    let strict = send(&server, request("s", "Strict")).await;
    assert_eq!(strict.status(), StatusCode::BAD_REQUEST);
    let warned = send(&server, request("w", "Warn")).await;
    assert_eq!(warned.status(), StatusCode::CREATED);
    let warnings: Vec<_> = warned
        .headers()
        .get_all("warning")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(
        warnings,
        [
            r#"299 - "duplicate field \"data.a\"""#,
            r#"299 - "unknown field \"dato\"""#
        ]
    );
    let ignored = send(&server, request("i", "Ignore")).await;
    assert_eq!(
        (ignored.status(), ignored.headers().get("warning")),
        (StatusCode::CREATED, None)
    );
}

#[tokio::test]
async fn documents_are_found_by_their_hash_and_kept() {
    let server = server().await;
    let index = value(&send(&server, get("/openapi/v3")).await);
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    let response = send(&server, get(&url)).await;
    assert_eq!(response.headers()["cache-control"], "public, immutable");
    assert!(value(&response)["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"].is_object());
    let again = Request::get("/openapi/v3/apis/apps/v1")
        .header("if-none-match", &response.headers()["etag"])
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        send(&server, again).await.status(),
        StatusCode::NOT_MODIFIED
    );
    let stale = send(&server, get("/openapi/v3/apis/apps/v1?hash=OLD")).await;
    assert_eq!(
        (
            stale.status(),
            stale.headers()["location"].to_str().unwrap()
        ),
        (StatusCode::MOVED_PERMANENTLY, url.as_str())
    );
}

#[tokio::test]
async fn large_lists_are_compressed_for_those_who_ask() {
    let server = server().await;
    for index in 0..20 {
        let object =
            json!({"metadata": {"name": format!("c{index}")}, "data": {"x": "y".repeat(20_000)}});
        let response = send(
            &server,
            post("/api/v1/namespaces/default/configmaps", &object),
        )
        .await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }
    let path = "/api/v1/namespaces/default/configmaps";
    let request = Request::get(path)
        .header("accept-encoding", "gzip")
        .body(Body::empty())
        .unwrap();
    let packed = send(&server, request).await;
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let mut text = String::new();
    std::io::Read::read_to_string(
        &mut flate2::read::GzDecoder::new(packed.body().as_slice()),
        &mut text,
    )
    .unwrap();
    assert_eq!(text.as_bytes(), send(&server, get(path)).await.body());
}

#[tokio::test]
async fn a_streaming_list_ends_its_beginning_with_a_bookmark() {
    let server = server().await;
    let path = "/api/v1/namespaces?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1";
    let response = send(&server, get(path)).await;
    let text = String::from_utf8(response.into_body()).unwrap();
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        events
            .iter()
            .filter(|event| event["type"] == "ADDED")
            .count(),
        4
    );
    let last = events.last().unwrap();
    assert_eq!(last["type"], "BOOKMARK");
    assert_eq!(
        last["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );

    let refused = send(
        &server,
        get("/api/v1/namespaces?watch=1&sendInitialEvents=true"),
    )
    .await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        value(&refused)["message"],
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting \
         resourceVersionMatch to NotOlderThan"
    );
}

#[tokio::test]
async fn who_uses_a_version_that_is_deprecated_is_warned() {
    let server = server().await;
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "deprecated": !storage,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        })
    };
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gears.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "gears", "kind": "Gear"},
            "versions": [version("v1", true), version("v1beta1", false)],
        },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(
        send(&server, post(path, &definition)).await.status(),
        StatusCode::CREATED
    );
    for (path, warning) in [
        ("/apis/example.com/v1/gears", None),
        (
            "/apis/example.com/v1beta1/gears",
            Some(r#"299 - "example.com/v1beta1 Gear is deprecated""#),
        ),
        (
            "/api/v1/endpoints",
            Some(
                r#"299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice""#,
            ),
        ),
    ] {
        let response = send(&server, get(path)).await;
        let found = response
            .headers()
            .get("warning")
            .map(|value| value.to_str().unwrap());
        assert_eq!(found, warning, "{path}");
    }
}

#[tokio::test]
async fn metadata_and_scales_come_in_the_form_that_is_asked_for() {
    let server = server().await;
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"a": "b"}},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    });
    let path = "/apis/apps/v1/namespaces/default/deployments";
    send(&server, post(path, &deployment)).await;
    let ask = |path: &str, form: &str| {
        let accept = format!("application/json;as={form};v=v1;g=meta.k8s.io");
        Request::get(path)
            .header("accept", accept)
            .body(Body::empty())
            .unwrap()
    };
    let list = value(&send(&server, ask(path, "PartialObjectMetadataList")).await);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    let item = &list["items"][0];
    assert_eq!(item["kind"], "PartialObjectMetadata");
    assert_eq!(item["metadata"]["labels"], json!({"a": "b"}));
    assert_eq!(
        item["metadata"]["resourceVersion"],
        list["metadata"]["resourceVersion"]
    );
    assert_eq!(item.as_object().unwrap().len(), 3, "nothing but metadata");

    let table = value(&send(&server, ask(&format!("{path}/web/scale"), "Table")).await);
    let columns: Vec<_> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["name"])
        .collect();
    assert_eq!(columns, ["Name", "Desired", "Available", "Age"]);
    assert_eq!(table["rows"][0]["cells"][1], 3);
}

#[tokio::test]
async fn the_document_of_openapi_v2_names_what_is_served_in_both_encodings() {
    let server = server().await;
    let response = send(&server, get("/openapi/v2")).await;
    let document = value(&response);
    assert_eq!(document["swagger"], "2.0");
    let maps = &document["definitions"]["io.k8s.api.core.v1.ConfigMap"];
    assert_eq!(
        maps["x-kubernetes-group-version-kind"][0]["kind"],
        "ConfigMap"
    );
    let tag = response.headers()["etag"].clone();

    let again = Request::get("/openapi/v2")
        .header("if-none-match", &tag)
        .body(Body::empty());
    assert_eq!(
        send(&server, again.unwrap()).await.status(),
        StatusCode::NOT_MODIFIED
    );

    let media_type = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let protobuf = Request::get("/openapi/v2")
        .header("accept", media_type)
        .body(Body::empty());
    let response = send(&server, protobuf.unwrap()).await;
    assert!(response.body().starts_with(b"\x0a\x032.0"));
    assert_eq!(
        response.headers()["content-type"],
        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    );
}

#[tokio::test]
async fn an_object_that_is_nested_too_deep_is_refused() {
    let server = server().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gears.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "gears", "kind": "Gear"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    });
    send(
        &server,
        post(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            &definition,
        ),
    )
    .await;
    let path = "/apis/example.com/v1/namespaces/default/gears";
    for (levels, code) in [(100, 201), (107, 400), (124, 400), (5_000, 400)] {
        let body = format!(
            r#"{{"apiVersion":"example.com/v1","kind":"Gear","metadata":{{"name":"g{levels}"}},"a":{}1{}}}"#,
            r#"{"a":"#.repeat(levels),
            "}".repeat(levels)
        );
        let json = Request::post(path)
            .header("content-type", "application/json")
            .body(Body::from(body.clone()));
        assert_eq!(
            send(&server, json.unwrap()).await.status(),
            code,
            "{levels} levels"
        );
        let yaml = Request::patch(format!("{path}/y{levels}?fieldManager=test"))
            .header("content-type", "application/apply-patch+yaml")
            .body(Body::from(body.replace("\"name\":\"g", "\"name\":\"y")));
        assert_eq!(
            send(&server, yaml.unwrap()).await.status(),
            code,
            "{levels} levels, applied"
        );
    }
    let list = send(&server, get(path)).await;
    assert_eq!(
        value(&list)["items"].as_array().unwrap().len(),
        2,
        "a list can be read"
    );
}

#[tokio::test]
async fn more_requests_than_the_server_takes_at_once_are_told_to_come_back() {
    let server = server().await;
    let router = super::bounded(server.core(), 1, std::time::Duration::from_millis(20));
    let request = |body: Body| {
        let mut request = Request::post("/api/v1/namespaces/default/configmaps")
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let closing = crate::listen::Closing(tokio_util::sync::CancellationToken::new());
        request.extensions_mut().insert(closing);
        request.extensions_mut().insert(Identity::admin("test"));
        request
    };
    // Its body does not come, so it keeps its place.
    let (sender, body) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(1);
    let slow = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(body));
    let slow = tokio::spawn(router.clone().oneshot(request(slow)));
    sender
        .send(Ok(bytes::Bytes::from_static(b"{")))
        .await
        .unwrap();
    sender.reserve().await.unwrap();
    let refused = router
        .clone()
        .oneshot(request(Body::from("{}")))
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    drop(sender);
    assert_eq!(
        slow.await.unwrap().unwrap().status(),
        StatusCode::BAD_REQUEST
    );
    let after = router.oneshot(request(Body::from("[]"))).await.unwrap();
    assert_eq!(
        after.status(),
        StatusCode::BAD_REQUEST,
        "the place is free again"
    );
}
