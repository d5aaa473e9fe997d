use serde_json::json;

use super::*;
use crate::testing::{Hub, config_map};

fn kind(api_version: &str, kind: &str) -> WatchedKind {
    WatchedKind {
        cluster: "local".to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    }
}

fn owned(name: &str, value: &str) -> Value {
    let mut map = config_map(name, json!({"a": value}));
    map["metadata"]["namespace"] = json!("demo");
    map["metadata"]["labels"] = json!({"app.oam.dev/name": "app", "app.oam.dev/namespace": "demo"});
    map
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::of(None, &owned(name, ""))
}

/// Waits for an event that is meant.
async fn until<T>(
    events: &mut mpsc::Receiver<Observed>,
    meant: impl Fn(Observed) -> Option<T>,
) -> T {
    loop {
        let event = events.recv().await.expect("the watch ended");
        if let Some(found) = meant(event) {
            return found;
        }
    }
}

fn changed(name: &'static str, value: &'static str) -> impl Fn(Observed) -> Option<Arc<Value>> {
    move |event| match event {
        Observed::Changed { key, object } if key.name == name && object["data"]["a"] == value => {
            Some(object)
        }
        _ => None,
    }
}

#[tokio::test]
async fn sees_what_is_there_what_changes_and_what_goes() {
    let hub = Hub::open().await;
    hub.create(owned("a", "1")).await;
    hub.create(config_map_of_nobody()).await;
    let (observer, mut events) = Observer::new(hub.clusters.clone(), 16);
    let maps = kind("v1", "ConfigMap");
    let objects = observer.objects();
    assert!(matches!(objects.get(&key("a")), Known::Unknown));
    observer.watch(&BTreeSet::from([maps.clone()]));
    let seen = until(&mut events, changed("a", "1")).await;
    assert_eq!(
        (seen["kind"].as_str(), seen["apiVersion"].as_str()),
        (Some("ConfigMap"), Some("v1"))
    );
    until(&mut events, |event| {
        matches!(event, Observed::Synced(_)).then_some(())
    })
    .await;
    assert!(objects.is_synced(&maps));
    assert!(matches!(objects.get(&key("a")), Known::There(_)));
    // Only what has an owner is seen, so nothing is said of others but that they are not ours.
    assert!(matches!(objects.get(&key("nobody")), Known::Gone));

    hub.create(owned("b", "1")).await;
    until(&mut events, changed("b", "1")).await;
    hub.edit("v1", "ConfigMap", "b", json!({"data": {"a": "2"}}))
        .await;
    until(&mut events, changed("b", "2")).await;
    let target = hub.target("v1", "ConfigMap", "b").await;
    hub.cluster
        .delete(&target, kube::core::params::Preconditions::default())
        .await
        .unwrap();
    let gone = until(&mut events, |event| match event {
        Observed::Deleted { key, .. } => Some(key),
        _ => None,
    });
    assert_eq!(gone.await, key("b"));
    assert!(matches!(objects.get(&key("b")), Known::Gone));
}

fn config_map_of_nobody() -> Value {
    let mut map = config_map("nobody", json!({}));
    map["metadata"]["namespace"] = json!("demo");
    map
}

#[tokio::test]
async fn watches_start_and_stop_with_what_is_asked_for() {
    let hub = Hub::open().await;
    hub.create(owned("a", "1")).await;
    let (observer, mut events) = Observer::new(hub.clusters.clone(), 16);
    let maps = kind("v1", "ConfigMap");
    let secrets = kind("v1", "Secret");
    observer.watch(&BTreeSet::from([maps.clone(), secrets.clone()]));
    for _ in 0..2 {
        until(&mut events, |event| {
            matches!(event, Observed::Synced(_)).then_some(())
        })
        .await;
    }
    observer.watch(&BTreeSet::from([secrets.clone()]));
    assert_eq!(observer.watched(), [secrets]);
    // What is no longer watched is no longer known.
    assert!(matches!(observer.objects().get(&key("a")), Known::Unknown));
    assert!(!observer.objects().is_synced(&maps));
}

#[tokio::test]
async fn an_object_that_is_only_read_is_seen_when_it_is_named() {
    let hub = Hub::open().await;
    hub.create(config_map_of_nobody()).await;
    hub.create(owned("a", "1")).await;
    let mut other = config_map_of_nobody();
    other["metadata"]["name"] = json!("other");
    hub.create(other).await;
    let (observer, mut events) = Observer::new(hub.clusters.clone(), 16);
    let maps = BTreeSet::from([kind("v1", "ConfigMap")]);
    observer.watch(&maps);
    until(&mut events, |event| {
        matches!(event, Observed::Synced(_)).then_some(())
    })
    .await;
    assert!(matches!(
        observer.objects().get(&key("nobody")),
        Known::Gone
    ));
    observer.include(BTreeSet::from([key("nobody")]));
    observer.watch(&maps);
    until(&mut events, |event| {
        matches!(event, Observed::Synced(_)).then_some(())
    })
    .await;
    assert!(matches!(
        observer.objects().get(&key("nobody")),
        Known::There(_)
    ));
    assert!(matches!(observer.objects().get(&key("a")), Known::There(_)));
    assert!(matches!(observer.objects().get(&key("other")), Known::Gone));
}

#[tokio::test]
async fn a_kind_that_appears_later_is_found() {
    let hub = Hub::open().await;
    let (observer, mut events) = Observer::new(hub.clusters.clone(), 16);
    observer.watch(&BTreeSet::from([kind("example.com/v1", "Gadget")]));
    hub.create(
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Gadget", "plural": "gadgets", "singular": "gadget",
                "listKind": "GadgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object",
                    "x-kubernetes-preserve-unknown-fields": true}}}]}}),
    )
    .await;
    until(&mut events, |event| {
        matches!(event, Observed::Synced(_)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_vanished_while_nobody_watched_is_reported() {
    let hub = Hub::open().await;
    let (mut watch, mut receiver) = fed(&hub, false);
    let object = |name: &str| raw(owned(name, "1"));
    for name in ["a", "b"] {
        watch.take(watcher::Event::Apply(object(name))).await;
    }
    // The connection broke, history is gone: the watcher lists again.
    watch.take(watcher::Event::Init).await;
    watch.take(watcher::Event::InitApply(object("b"))).await;
    watch.take(watcher::Event::InitDone).await;
    drop(watch);
    let mut said = Vec::new();
    while let Some(event) = receiver.recv().await {
        said.push(match event {
            Observed::Changed { key, .. } => format!("changed {}", key.name),
            Observed::Deleted { key, .. } => format!("deleted {}", key.name),
            Observed::Synced(_) => "synced".to_owned(),
        });
    }
    assert_eq!(said, ["changed a", "changed b", "deleted a", "synced"]);
}

/// A watch that a test feeds, and the receiver of what it tells.
fn fed(hub: &Hub, sees_all: bool) -> (Watch, mpsc::Receiver<Observed>) {
    let (events, receiver) = mpsc::channel(16);
    let watch = Watch {
        kind: kind("v1", "ConfigMap"),
        clusters: hub.clusters.clone(),
        objects: Objects::default(),
        events,
        unlabelled: sees_all.then(Arc::default),
        listed: None,
    };
    (watch, receiver)
}

fn at(name: &str, version: u64) -> Value {
    let mut object = owned(name, "1");
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object
}

fn raw(object: Value) -> RawObject {
    serde_json::from_value(object).unwrap()
}

/// Which version is known of an object; none for one that is gone.
fn known(objects: &Objects, name: &str) -> Option<String> {
    match objects.get(&key(name)) {
        Known::There(object) => Some(text(&object["metadata"]["resourceVersion"]).to_owned()),
        Known::Gone => None,
        Known::Unknown => Some("unknown".to_owned()),
    }
}

#[tokio::test]
async fn an_own_write_counts_until_the_watch_has_come_as_far() {
    let hub = Hub::open().await;
    let (mut watch, _receiver) = fed(&hub, false);
    let objects = watch.objects.clone();
    let wrote = |name: &str, version| objects.wrote(&key(name), &Arc::new(at(name, version)));
    wrote("a", 5);
    assert_eq!(known(&objects, "a").as_deref(), Some("5"), "nobody listed");
    watch.take(watcher::Event::Init).await;
    watch.take(watcher::Event::InitApply(raw(at("a", 5)))).await;
    watch.take(watcher::Event::InitDone).await;
    wrote("a", 8);
    assert_eq!(known(&objects, "a").as_deref(), Some("8"));
    watch.take(watcher::Event::Apply(raw(at("b", 7)))).await;
    assert_eq!(known(&objects, "a").as_deref(), Some("8"), "still ahead");
    // It was written, deleted by somebody, and not looked at between.
    watch.take(watcher::Event::Apply(raw(at("a", 8)))).await;
    watch.take(watcher::Event::Delete(raw(at("a", 9)))).await;
    assert_eq!(known(&objects, "a"), None);
    // The answer to the write came later than all that.
    wrote("a", 8);
    assert_eq!(known(&objects, "a"), None);
    // And one that was made anew is there, whatever is told of the old one.
    wrote("a", 12);
    watch.take(watcher::Event::Delete(raw(at("a", 11)))).await;
    assert_eq!(known(&objects, "a").as_deref(), Some("12"));
    watch.take(watcher::Event::Apply(raw(at("b", 13)))).await;
    assert_eq!(known(&objects, "a"), None, "the watch would have told");
}

#[tokio::test]
async fn what_we_wrote_and_a_later_list_does_not_show_is_gone() {
    let hub = Hub::open().await;
    let (mut watch, _receiver) = fed(&hub, false);
    let objects = watch.objects.clone();
    objects.wrote(&key("a"), &Arc::new(at("a", 5)));
    watch.take(watcher::Event::Init).await;
    // After the list was begun: it need not be in it.
    objects.wrote(&key("b"), &Arc::new(at("b", 6)));
    watch.take(watcher::Event::InitDone).await;
    assert_eq!(known(&objects, "a"), None);
    assert_eq!(known(&objects, "b").as_deref(), Some("6"));
}

#[tokio::test]
async fn a_watch_says_nothing_of_what_it_does_not_see() {
    let hub = Hub::open().await;
    let mut shared = at("a", 5);
    shared["metadata"]["labels"] = json!({});
    for (sees_all, expected) in [(false, Some("5")), (true, None)] {
        let (mut watch, _receiver) = fed(&hub, sees_all);
        let objects = watch.objects.clone();
        objects.wrote(&key("a"), &Arc::new(shared.clone()));
        watch.take(watcher::Event::Init).await;
        watch.take(watcher::Event::InitApply(raw(at("b", 9)))).await;
        watch.take(watcher::Event::InitDone).await;
        assert_eq!(known(&objects, "a").as_deref(), expected);
    }
}
