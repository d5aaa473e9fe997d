//! The server through `kube::Client`, without sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeSet;

use caravel_apiserver::{ApiServer, Config, Identity};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    WatchEvent, WatchParams,
};
use kube::runtime::watcher;
use serde_json::{Value, json};

async fn client() -> kube::Client {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    server.client(Identity::admin("test"))
}

fn config_map(name: &str, data: &Value) -> ConfigMap {
    serde_json::from_value(
        json!({"metadata": {"name": name, "labels": {"app": name}}, "data": data}),
    )
    .unwrap()
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: kube::Result<T>) -> (u16, String) {
    match result.unwrap_err() {
        kube::Error::Api(status) => (status.code, status.message),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_object_lives_and_dies() {
    let api: Api<ConfigMap> = Api::default_namespaced(client().await);
    let made = api
        .create(&PostParams::default(), &config_map("a", &json!({"k": "1"})))
        .await
        .unwrap();
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    assert_eq!(
        code(
            api.create(&PostParams::default(), &config_map("a", &json!({})))
                .await
        ),
        (409, r#"configmaps "a" already exists"#.to_owned())
    );

    let mut next = made.clone();
    next.data = Some([("k".to_owned(), "2".to_owned())].into());
    let changed = api
        .replace("a", &PostParams::default(), &next)
        .await
        .unwrap();
    assert_ne!(
        changed.metadata.resource_version,
        made.metadata.resource_version
    );
    let (status, message) = code(api.replace("a", &PostParams::default(), &next).await);
    assert_eq!(status, 409);
    assert_eq!(
        message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes \
         to the latest version and try again"
    );

    let same = api
        .replace("a", &PostParams::default(), &changed)
        .await
        .unwrap();
    assert_eq!(
        same.metadata.resource_version, changed.metadata.resource_version,
        "nothing changed, nothing written"
    );

    let patch = Patch::Merge(json!({"data": {"more": "x"}}));
    let patched = api
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(patched.data.unwrap().len(), 2);

    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(
        code(api.get("a").await),
        (404, r#"configmaps "a" not found"#.to_owned())
    );
}

#[tokio::test]
async fn names_and_namespaces_are_checked() {
    let client = client().await;
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let (status, message) = code(
        api.create(&PostParams::default(), &config_map("Bad_Name", &json!({})))
            .await,
    );
    assert_eq!(status, 422);
    assert!(message.starts_with(r#"ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain"#), "{message}");

    let nowhere: Api<ConfigMap> = Api::namespaced(client.clone(), "nowhere");
    assert_eq!(
        code(
            nowhere
                .create(&PostParams::default(), &config_map("x", &json!({})))
                .await
        ),
        (404, r#"namespaces "nowhere" not found"#.to_owned())
    );

    let generated: ConfigMap =
        serde_json::from_value(json!({"metadata": {"generateName": "web-"}})).unwrap();
    let made = api
        .create(&PostParams::default(), &generated)
        .await
        .unwrap();
    assert!(made.metadata.name.unwrap().starts_with("web-"));
}

#[tokio::test]
async fn a_namespace_that_goes_takes_nothing_new() {
    let client = client().await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let space: Namespace = serde_json::from_value(json!({"metadata": {"name": "demo"}})).unwrap();
    namespaces
        .create(&PostParams::default(), &space)
        .await
        .unwrap();
    let gone = namespaces
        .delete("demo", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(gone.status.unwrap().phase.as_deref(), Some("Terminating"));

    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "demo");
    let (status, message) = code(
        api.create(&PostParams::default(), &config_map("x", &json!({})))
            .await,
    );
    assert_eq!(status, 403);
    assert_eq!(
        message,
        "configmaps \"x\" is forbidden: unable to create new content in namespace demo because it is being terminated"
    );

    let empty = json!({"metadata": {"name": "demo"}, "spec": {"finalizers": []}});
    let request = http::Request::put("/api/v1/namespaces/demo/finalize")
        .header("content-type", "application/json")
        .body(empty.to_string().into_bytes())
        .unwrap();
    client.request::<Value>(request).await.unwrap();
    assert_eq!(code(namespaces.get("demo").await).0, 404);
    assert_eq!(
        code(namespaces.delete("default", &DeleteParams::default()).await),
        (
            403,
            "namespaces \"default\" is forbidden: this namespace may not be deleted".to_owned()
        )
    );
}

#[tokio::test]
async fn finalizers_hold_an_object_back() {
    let api: Api<ConfigMap> = Api::default_namespaced(client().await);
    let mut object = config_map("held", &json!({}));
    object.metadata.finalizers = Some(vec!["example.com/hold".into()]);
    api.create(&PostParams::default(), &object).await.unwrap();
    let marked = api
        .delete("held", &DeleteParams::default())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());

    let more =
        Patch::Merge(json!({"metadata": {"finalizers": ["example.com/hold", "example.com/new"]}}));
    let (status, message) = code(api.patch("held", &PatchParams::default(), &more).await);
    assert_eq!(status, 422);
    assert!(
        message.contains("no new finalizers can be added if the object is being deleted"),
        "{message}"
    );

    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("held", &PatchParams::default(), &none)
        .await
        .unwrap();
    assert_eq!(code(api.get("held").await).0, 404);
}

#[tokio::test]
async fn a_deletion_can_have_preconditions_and_be_rehearsed() {
    let api: Api<ConfigMap> = Api::default_namespaced(client().await);
    api.create(&PostParams::default(), &config_map("a", &json!({})))
        .await
        .unwrap();
    let wrong = DeleteParams {
        preconditions: Some(kube::api::Preconditions {
            uid: Some("other".into()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let (status, message) = code(api.delete("a", &wrong).await);
    assert_eq!(status, 409);
    assert!(
        message.contains("Precondition failed: UID in precondition: other"),
        "{message}"
    );
    let rehearsal = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    api.delete("a", &rehearsal).await.unwrap();
    api.get("a").await.unwrap();
    let held = api
        .delete("a", &DeleteParams::foreground())
        .await
        .unwrap()
        .left()
        .unwrap();
    assert_eq!(held.metadata.finalizers.unwrap(), ["foregroundDeletion"]);
}

#[tokio::test]
async fn lists_come_in_pages_of_one_snapshot() {
    let api: Api<ConfigMap> = Api::default_namespaced(client().await);
    for index in 0..5 {
        api.create(
            &PostParams::default(),
            &config_map(&format!("c{index}"), &json!({})),
        )
        .await
        .unwrap();
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    api.delete("c3", &DeleteParams::default()).await.unwrap();
    api.create(&PostParams::default(), &config_map("c9", &json!({})))
        .await
        .unwrap();

    let mut names: Vec<String> = Vec::new();
    let mut token = first.metadata.continue_.clone();
    while let Some(next) = token.filter(|token| !token.is_empty()) {
        let page = api
            .list(&ListParams::default().limit(2).continue_token(&next))
            .await
            .unwrap();
        assert_eq!(
            page.metadata.resource_version,
            first.metadata.resource_version
        );
        names.extend(
            page.items
                .into_iter()
                .map(|item| item.metadata.name.unwrap()),
        );
        token = page.metadata.continue_;
    }
    assert_eq!(
        names,
        ["c2", "c3", "c4"],
        "the snapshot of the first page, without what came later"
    );
    assert_eq!(
        code(
            api.list(&ListParams::default().continue_token("nonsense"))
                .await
        )
        .0,
        400
    );

    let chosen = api
        .list(&ListParams::default().labels("app in (c0,c9)"))
        .await
        .unwrap();
    assert_eq!(chosen.items.len(), 2);
    let one = api
        .list(&ListParams::default().fields("metadata.name=c1"))
        .await
        .unwrap();
    assert_eq!(one.items.len(), 1);
    assert_eq!(
        code(api.list(&ListParams::default().fields("metadata.nosuch=c1")).await),
        (400, r#""metadata.nosuch" is not a known field selector: only "metadata.name", "metadata.namespace""#.to_owned())
    );
}

#[tokio::test]
async fn an_old_version_is_gone_and_a_future_one_is_not_there_yet() {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client(Identity::admin("test")));
    for index in 0..3 {
        api.create(
            &PostParams::default(),
            &config_map(&format!("c{index}"), &json!({})),
        )
        .await
        .unwrap();
    }
    let page = api.list(&ListParams::default().limit(1)).await.unwrap();
    api.delete("c2", &DeleteParams::default()).await.unwrap();
    server
        .store()
        .compact(server.store().version())
        .await
        .unwrap();
    let token = page.metadata.continue_.unwrap();
    let (status, message) = code(
        api.list(&ListParams::default().continue_token(&token))
            .await,
    );
    assert_eq!(status, 410);
    assert!(
        message.starts_with("The provided continue parameter is too old"),
        "{message}"
    );

    let gone = match api.watch(&WatchParams::default(), "1").await {
        Err(kube::Error::Api(status)) => status.code,
        Ok(stream) => match stream.boxed().next().await.unwrap() {
            Ok(WatchEvent::Error(status)) => status.code,
            other => panic!("{other:?}"),
        },
        Err(other) => panic!("{other}"),
    };
    assert_eq!(gone, 410);
    let future = api.list(&ListParams::default().at("999999")).await;
    assert_eq!(code(future).0, 504);
}

#[tokio::test]
async fn a_watch_with_a_selector_sees_objects_come_and_go() {
    let api: Api<ConfigMap> = Api::default_namespaced(client().await);
    let made = api
        .create(&PostParams::default(), &config_map("a", &json!({})))
        .await
        .unwrap();
    let from = made.metadata.resource_version.unwrap();
    let mut events = api
        .watch(&WatchParams::default().labels("stage=live"), &from)
        .await
        .unwrap()
        .boxed();
    for stage in ["new", "live", "live", "old"] {
        let data = json!({"metadata": {"labels": {"stage": stage}}, "data": {"stage": stage}});
        api.patch("a", &PatchParams::default(), &Patch::Merge(data))
            .await
            .unwrap();
        let touch = json!({"data": {"n": format!("{stage}-again")}});
        api.patch("a", &PatchParams::default(), &Patch::Merge(touch))
            .await
            .unwrap();
    }
    let mut seen = Vec::new();
    while !seen.contains(&"DELETED") {
        seen.push(match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(_) => "ADDED",
            WatchEvent::Modified(_) => "MODIFIED",
            WatchEvent::Deleted(_) => "DELETED",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(
        seen,
        ["ADDED", "MODIFIED", "DELETED"],
        "writes that change nothing make no event"
    );
}

#[tokio::test]
async fn watchers_sync_in_both_ways() {
    let api: Api<ConfigMap> = Api::default_namespaced(client().await);
    api.create(&PostParams::default(), &config_map("before", &json!({})))
        .await
        .unwrap();
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let mut events = watcher(api.clone(), config).boxed();
        let mut initial = Vec::new();
        loop {
            match events.try_next().await.unwrap().unwrap() {
                watcher::Event::InitApply(object) => initial.push(object.metadata.name.unwrap()),
                watcher::Event::InitDone => break,
                _ => {}
            }
        }
        assert_eq!(initial, ["before"]);
        api.create(&PostParams::default(), &config_map("after", &json!({})))
            .await
            .unwrap();
        let watcher::Event::Apply(object) = events.try_next().await.unwrap().unwrap() else {
            panic!("no Apply")
        };
        assert_eq!(object.metadata.name.as_deref(), Some("after"));
        api.delete("after", &DeleteParams::default()).await.unwrap();
        let watcher::Event::Delete(_) = events.try_next().await.unwrap().unwrap() else {
            panic!("no Delete")
        };
    }
}

fn gadgets() -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "metadata": {"name": "gadgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    }))
    .unwrap()
}

#[tokio::test]
async fn a_custom_kind_is_served_as_soon_as_it_is_defined() {
    let client = client().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let made = definitions
        .create(&PostParams::default(), &gadgets())
        .await
        .unwrap();
    assert_eq!(made.spec.names.singular.as_deref(), Some("gadget"));

    let resource = ApiResource {
        group: "example.com".into(),
        version: "v1".into(),
        api_version: "example.com/v1".into(),
        kind: "Gadget".into(),
        plural: "gadgets".into(),
    };
    let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
    let gadget = DynamicObject::new("g", &resource)
        .data(json!({"spec": {"replicas": 1}, "status": {"replicas": 9}}));
    let made = api.create(&PostParams::default(), &gadget).await.unwrap();
    assert_eq!(
        made.data.get("status"),
        None,
        "status is written through its subresource only"
    );
    assert_eq!(made.metadata.generation, Some(1));

    let status = Patch::Merge(json!({"status": {"replicas": 1}, "spec": {"replicas": 7}}));
    let with_status = api
        .patch_status("g", &PatchParams::default(), &status)
        .await
        .unwrap();
    assert_eq!(
        with_status.data,
        json!({"spec": {"replicas": 1}, "status": {"replicas": 1}})
    );
    assert_eq!(with_status.metadata.generation, Some(1));

    let scale = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let scaled = api
        .patch_scale("g", &PatchParams::default(), &scale)
        .await
        .unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(3));
    let live = api.get("g").await.unwrap();
    assert_eq!(
        (
            live.data["spec"]["replicas"].as_i64(),
            live.metadata.generation
        ),
        (Some(3), Some(2))
    );

    let mut unconditional = live.clone();
    unconditional.metadata.resource_version = None;
    let (status, message) = code(
        api.replace("g", &PostParams::default(), &unconditional)
            .await,
    );
    assert_eq!(status, 422);
    assert!(
        message.contains(
            "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
        ),
        "{message}"
    );

    definitions
        .delete("gadgets.example.com", &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_default_that_comes_later_shows_in_what_was_written_before() {
    let client = client().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let schema = |color: Value| {
        json!([{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {"color": color}}},
        }}}])
    };
    let mut definition = gadgets();
    definition.spec.versions = serde_json::from_value(schema(json!({"type": "string"}))).unwrap();
    definitions
        .create(&PostParams::default(), &definition)
        .await
        .unwrap();
    let path = "/apis/example.com/v1/namespaces/default/gadgets";
    let gadget = json!({"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {}});
    let create = http::Request::post(path)
        .header("content-type", "application/json")
        .body(gadget.to_string().into_bytes())
        .unwrap();
    client.request::<Value>(create).await.unwrap();
    let versions = schema(json!({"type": "string", "default": "red"}));
    let patch = Patch::Merge(json!({"spec": {"versions": versions}}));
    definitions
        .patch("gadgets.example.com", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let list = http::Request::get(path).body(Vec::new()).unwrap();
    let listed: Value = client.request(list).await.unwrap();
    assert_eq!(listed["items"][0]["spec"]["color"], "red");
}

#[tokio::test]
async fn who_may_not_is_refused() {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    let api: Api<ConfigMap> =
        Api::default_namespaced(server.client(Identity::new("eve", ["nobodies"])));
    assert_eq!(
        code(api.list(&ListParams::default()).await),
        (403, r#"configmaps is forbidden: User "eve" cannot list resource "configmaps" in API group "" in the namespace "default""#.to_owned())
    );
}

#[tokio::test]
async fn events_of_both_groups_are_the_same_objects() {
    let client = client().await;
    let event = json!({
        "metadata": {"name": "e"}, "eventTime": "2026-01-02T03:04:05.000000Z", "action": "Deploy", "reason": "Deployed",
        "type": "Normal", "note": "it runs", "reportingController": "test", "reportingInstance": "test-1",
        "regarding": {"kind": "ConfigMap", "name": "a", "namespace": "default"},
    });
    let new: Api<k8s_openapi::api::events::v1::Event> = Api::default_namespaced(client.clone());
    let made = new
        .create(
            &PostParams::default(),
            &serde_json::from_value(event).unwrap(),
        )
        .await
        .unwrap();
    assert_eq!(made.note.as_deref(), Some("it runs"));
    let old: Api<k8s_openapi::api::core::v1::Event> = Api::default_namespaced(client);
    let found = old
        .list(&ListParams::default().fields("involvedObject.name=a,reason=Deployed"))
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].message.as_deref(), Some("it runs"));
    assert_eq!(
        found.items[0].involved_object.kind.as_deref(),
        Some("ConfigMap")
    );
    assert_eq!(
        new.list(&ListParams::default()).await.unwrap().items[0]
            .regarding
            .as_ref()
            .unwrap()
            .name
            .as_deref(),
        Some("a")
    );
}

#[tokio::test]
async fn a_server_on_a_folder_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = ApiServer::open(Config::folder(folder.path()))
        .await
        .unwrap();
    let refused = ApiServer::open(Config::folder(folder.path()))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("is in use by another daemon"),
        "{refused}"
    );
    let authority = server.authority().to_owned();
    let client = server.client(Identity::admin("test"));
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions
        .create(&PostParams::default(), &gadgets())
        .await
        .unwrap();
    let configs: Api<ConfigMap> = Api::default_namespaced(client);
    let first = configs
        .create(&PostParams::default(), &config_map("first", &json!({})))
        .await
        .unwrap();
    configs
        .create(&PostParams::default(), &config_map("second", &json!({})))
        .await
        .unwrap();
    server.close().await;
    let closed = configs
        .create(&PostParams::default(), &config_map("late", &json!({})))
        .await;
    assert_eq!(code(closed).0, 503);
    drop((server, configs, definitions));

    let server = loop {
        // The lock goes with the writer task, which ends after `close` has been answered.
        match ApiServer::open(Config::folder(folder.path())).await {
            Ok(server) => break server,
            Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(server.authority(), authority);
    let client = server.client(Identity::admin("test"));
    let configs: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let from = first.metadata.resource_version.unwrap();
    let mut events = configs
        .watch(&WatchParams::default(), &from)
        .await
        .unwrap()
        .boxed();
    let WatchEvent::Added(missed) = events.try_next().await.unwrap().unwrap() else {
        panic!("not the event that was missed")
    };
    assert_eq!(missed.metadata.name.as_deref(), Some("second"));
    let request = http::Request::get("/apis/example.com/v1/gadgets")
        .body(Vec::new())
        .unwrap();
    assert_eq!(
        client.request::<Value>(request).await.unwrap()["kind"],
        "GadgetList"
    );
}

/// Lets all others go on while it decides.
struct Pondering;

#[async_trait::async_trait]
impl caravel_apiserver::admission::Admission for Pondering {
    async fn admit(
        &self,
        _: caravel_apiserver::admission::AdmissionAttributes<'_>,
    ) -> Result<Vec<caravel_apiserver::admission::Warning>, caravel_apiserver::admission::Denial>
    {
        tokio::task::yield_now().await;
        Ok(Vec::new())
    }
}

/// An apply that names no version is decided anew when another write was faster, as with a real server.
#[tokio::test]
async fn applies_at_the_same_time_all_succeed() {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    server.add_admission(std::sync::Arc::new(Pondering));
    let api: Api<ConfigMap> = Api::default_namespaced(server.client(Identity::admin("test")));
    api.create(&PostParams::default(), &config_map("a", &json!({})))
        .await
        .unwrap();
    let applies = (0..8).map(|index| {
        let api = api.clone();
        async move {
            let wanted = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
                "data": {format!("k{index}"): "v"}});
            let parameters = PatchParams::apply(&format!("manager-{index}"));
            api.patch("a", &parameters, &Patch::Apply(wanted)).await
        }
    });
    for applied in futures::future::join_all(applies).await {
        applied.unwrap();
    }
    let data = api.get("a").await.unwrap().data.unwrap();
    assert_eq!(data.len(), 8, "{data:?}");
    // One that names a version is a precondition.
    let old = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "1"}});
    let refused = api
        .patch("a", &PatchParams::apply("late"), &Patch::Apply(old))
        .await;
    assert_eq!(code(refused).0, 409);
}

fn service(name: &str, spec: &Value) -> Service {
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
}

fn address(service: &Service) -> String {
    service.spec.as_ref().unwrap().cluster_ip.clone().unwrap()
}

fn node_port(service: &Service) -> Option<i32> {
    service.spec.as_ref().unwrap().ports.as_ref().unwrap()[0].node_port
}

#[tokio::test]
async fn every_service_has_an_address_of_its_own() {
    let api: Api<Service> = Api::default_namespaced(client().await);
    let options = PostParams::default();
    let ports = json!([{"port": 80}]);
    let made = api
        .create(&options, &service("a", &json!({"ports": ports})))
        .await
        .unwrap();
    assert!(address(&made).starts_with("10."), "{}", address(&made));
    assert_eq!(
        made.spec.as_ref().unwrap().cluster_ips,
        Some(vec![address(&made)])
    );

    let same = json!({"ports": ports, "clusterIP": address(&made)});
    let (status, message) = code(api.create(&options, &service("b", &same)).await);
    assert_eq!(status, 422);
    let expected = format!(
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"{0}\"]: failed to allocate IP {0}: provided IP \
         is already allocated",
        address(&made)
    );
    assert_eq!(message, expected);
    let outside = json!({"ports": ports, "clusterIP": "192.168.1.1"});
    let (_, message) = code(api.create(&options, &service("b", &outside)).await);
    assert!(
        message.contains("is not in the valid range. The range of valid IPs is 10.96.0.0/12"),
        "{message}"
    );

    // A client that replaces what it made once does not know the address.
    let replaced = api
        .replace(
            "a",
            &options,
            &service("a", &json!({"ports": [{"port": 81}]})),
        )
        .await
        .unwrap();
    assert_eq!(address(&replaced), address(&made));
    let other = Patch::Merge(json!({"spec": {"clusterIP": "10.96.0.77"}}));
    let (status, message) = code(api.patch("a", &PatchParams::default(), &other).await);
    assert_eq!(status, 422);
    assert!(
        message.ends_with(
            "spec.clusterIPs[0]: Invalid value: [\"10.96.0.77\"]: may not change once set"
        ),
        "{message}"
    );

    // It is free again when the Service is gone, or has become one without.
    api.delete("a", &DeleteParams::default()).await.unwrap();
    api.create(&options, &service("b", &same)).await.unwrap();
    let external =
        Patch::Merge(json!({"spec": {"type": "ExternalName", "externalName": "x.example"}}));
    let external = api
        .patch("b", &PatchParams::default(), &external)
        .await
        .unwrap();
    assert_eq!(external.spec.unwrap().cluster_ip, None);
    api.create(&options, &service("c", &same)).await.unwrap();

    let headless = json!({"ports": ports, "clusterIP": "None"});
    let headless = api
        .create(&options, &service("d", &headless))
        .await
        .unwrap();
    assert_eq!(address(&headless), "None");
}

#[tokio::test]
async fn node_ports_are_given_once_and_go_with_the_type() {
    let api: Api<Service> = Api::default_namespaced(client().await);
    let options = PostParams::default();
    let ports = json!([
        {"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 53}, {"name": "c", "port": 80},
    ]);
    let spec = json!({"type": "NodePort", "ports": ports});
    let made = api.create(&options, &service("a", &spec)).await.unwrap();
    let given: Vec<i32> = made
        .spec
        .as_ref()
        .unwrap()
        .ports
        .as_ref()
        .unwrap()
        .iter()
        .filter_map(|port| port.node_port)
        .collect();
    assert!(
        given.iter().all(|port| (30_000..32_768).contains(port)),
        "{given:?}"
    );
    assert_eq!(given[0], given[1], "the same port over two protocols");
    assert_ne!(given[1], given[2]);

    let asked = |port: i64| json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    let (_, message) = code(
        api.create(&options, &service("b", &asked(given[2].into())))
            .await,
    );
    let expected = format!(
        "spec.ports[0].nodePort: Invalid value: {}: provided port is already allocated",
        given[2]
    );
    assert!(message.ends_with(&expected), "{message}");
    let (_, message) = code(api.create(&options, &service("b", &asked(80))).await);
    assert!(
        message.ends_with(
            "provided port is not in the valid range. The range of valid ports is 30000-32767"
        ),
        "{message}"
    );

    let rehearsed = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let only = api.create(&rehearsed, &service("b", &spec)).await.unwrap();
    assert!(node_port(&only).is_some());

    let again = api
        .replace("a", &options, &service("a", &spec))
        .await
        .unwrap();
    assert_eq!(node_port(&again), Some(given[0]), "kept");
    let internal = Patch::Merge(json!({"spec": {"type": "ClusterIP"}}));
    let internal = api
        .patch("a", &PatchParams::default(), &internal)
        .await
        .unwrap();
    assert_eq!(node_port(&internal), None);
    api.create(&options, &service("b", &asked(given[2].into())))
        .await
        .unwrap();
}

#[tokio::test]
async fn services_that_are_made_at_once_get_different_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let server = ApiServer::open(Config::folder(folder.path()))
        .await
        .unwrap();
    let mut made = tokio::task::JoinSet::new();
    for number in 0..100 {
        let api: Api<Service> = Api::default_namespaced(server.client(Identity::admin("test")));
        made.spawn(async move {
            let spec = json!({"type": "NodePort", "ports": [{"port": 80}]});
            api.create(
                &PostParams::default(),
                &service(&format!("s{number}"), &spec),
            )
            .await
            .unwrap()
        });
    }
    let made = made.join_all().await;
    let addresses: BTreeSet<String> = made.iter().map(address).collect();
    let ports: BTreeSet<Option<i32>> = made.iter().map(node_port).collect();
    assert_eq!((addresses.len(), ports.len()), (100, 100));
}
