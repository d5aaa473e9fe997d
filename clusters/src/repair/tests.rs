use serde_json::json;

use super::*;
use crate::dispatch::Change;
use crate::testing::{Hub, config_map, deployment, owner, policy};

async fn deployed(hub: &Hub, policies: &ResourcePolicies) -> Ledger {
    let ledger = hub.ledger(&owner("app", 1)).await;
    let objects = vec![
        deployment("web", "nginx:1"),
        config_map("c", json!({"a": "1"})),
    ];
    let objects = objects.into_iter().map(crate::testing::wanted).collect();
    hub.dispatcher
        .dispatch(&ledger, objects, policies)
        .await
        .unwrap();
    ledger.commit(&hub.store).await.unwrap();
    ledger
}

async fn repaired(hub: &Hub, ledger: &Ledger, policies: &ResourcePolicies) -> Vec<Change> {
    let applied = hub.dispatcher.repair(ledger, None, policies).await.unwrap();
    applied.into_iter().map(|applied| applied.change).collect()
}

fn is_update(change: &Change) -> bool {
    *change == Change::Updated
}

#[tokio::test]
async fn a_changed_field_is_restored_and_a_foreign_one_stays() {
    let hub = Hub::open().await;
    let policies = ResourcePolicies::default();
    let ledger = deployed(&hub, &policies).await;
    assert!(
        !repaired(&hub, &ledger, &policies)
            .await
            .iter()
            .any(is_update)
    );
    hub.edit(
        "v1",
        "ConfigMap",
        "c",
        json!({"data": {"a": "drift", "foreign": "x"},
        "metadata": {"labels": {"mine": "yes"}}}),
    )
    .await;
    let changes = repaired(&hub, &ledger, &policies).await;
    assert_eq!(changes.iter().filter(|change| is_update(change)).count(), 1);
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(live["data"], json!({"a": "1", "foreign": "x"}));
    assert_eq!(live["metadata"]["labels"]["mine"], "yes");
    assert!(
        !repaired(&hub, &ledger, &policies)
            .await
            .iter()
            .any(is_update)
    );
}

#[tokio::test]
async fn a_deleted_object_comes_back_with_its_new_uid_recorded() {
    let hub = Hub::open().await;
    let policies = ResourcePolicies::default();
    let ledger = deployed(&hub, &policies).await;
    let target = hub.target("v1", "ConfigMap", "c").await;
    hub.cluster
        .delete(&target, kube::core::params::Preconditions::default())
        .await
        .unwrap();
    let changes = repaired(&hub, &ledger, &policies).await;
    assert!(changes.contains(&Change::Created));
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    let stored = hub.inventory(&owner("app", 1)).await;
    let key = ObjectKey::of(None, &live);
    let uid = stored.entry(&key).unwrap().uid.clone();
    assert_eq!(uid.as_deref(), live["metadata"]["uid"].as_str());
}

#[tokio::test]
async fn one_object_that_cannot_be_repaired_stops_no_other() {
    let hub = Hub::open().await;
    let policies = ResourcePolicies::default();
    let ledger = deployed(&hub, &policies).await;
    let labels = json!({"metadata": {"labels": {"app.oam.dev/name": null}}});
    hub.edit("apps/v1", "Deployment", "web", labels).await;
    hub.edit("v1", "ConfigMap", "c", json!({"data": {"a": "drift"}}))
        .await;
    let error = hub
        .dispatcher
        .repair(&ledger, None, &policies)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("exists but not managed by any application"),
        "{error}"
    );
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(live["data"], json!({"a": "1"}));
}

#[tokio::test]
async fn what_is_written_once_is_not_repaired() {
    let hub = Hub::open().await;
    let policies = ResourcePolicies::default().for_addon();
    let ledger = deployed(&hub, &policies).await;
    // Manifests are not even kept (APP-044).
    let is_bare = |entry: &ManagedResource| entry.raw.is_none();
    assert!(
        ledger
            .read(|inventory| inventory.trackers().flat_map(Tracker::entries).all(is_bare))
            .await
    );
    hub.edit("v1", "ConfigMap", "c", json!({"data": {"a": "drift"}}))
        .await;
    assert_eq!(repaired(&hub, &ledger, &policies).await, []);
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(live["data"], json!({"a": "drift"}));
}

#[tokio::test]
async fn an_object_that_is_written_once_as_a_whole_stays_deleted() {
    let hub = Hub::open().await;
    let strategy = json!({"path": ["*"], "affect": "onStateKeep"});
    let policies = policy("apply-once", &["c"], Some(strategy));
    let ledger = deployed(&hub, &policies).await;
    let target = hub.target("v1", "ConfigMap", "c").await;
    hub.cluster
        .delete(&target, kube::core::params::Preconditions::default())
        .await
        .unwrap();
    repaired(&hub, &ledger, &policies).await;
    assert_eq!(hub.get("v1", "ConfigMap", "c").await, None);
}

#[tokio::test]
async fn drift_is_seen_only_where_something_is_known() {
    let hub = Hub::open().await;
    let policies = ResourcePolicies::default();
    let ledger = deployed(&hub, &policies).await;
    let inventory = ledger.lock().await;
    let web = hub.get("apps/v1", "Deployment", "web").await.unwrap();
    let mut map = hub.get("v1", "ConfigMap", "c").await.unwrap();
    let drift = |known: &dyn Fn(&ObjectKey) -> Known| {
        let keys = drifted(&inventory, &policies, known);
        keys.into_iter().map(|key| key.name).collect::<Vec<_>>()
    };
    assert_eq!(drift(&|_| Known::Unknown), [] as [String; 0]);
    assert_eq!(drift(&|_| Known::Gone), ["web", "c"]);
    let known = |map: Value| {
        let web = Arc::new(web.clone());
        let map = Arc::new(map);
        move |key: &ObjectKey| {
            Known::There(if key.name == "c" {
                Arc::clone(&map)
            } else {
                Arc::clone(&web)
            })
        }
    };
    assert_eq!(drift(&known(map.clone())), [] as [String; 0]);
    // What controllers write is no drift.
    map["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "4"});
    map["status"] = json!({"ready": true});
    assert_eq!(drift(&known(map.clone())), [] as [String; 0]);
    map["data"]["a"] = json!("drift");
    assert_eq!(drift(&known(map)), ["c"]);
    // Watches do not see what is only read.
    let read_only = policy("read-only", &["web", "c"], None);
    assert_eq!(drifted(&inventory, &read_only, |_| Known::Gone), []);
}

#[tokio::test]
async fn an_entry_that_a_step_deleted_is_not_restored() {
    let hub = Hub::open().await;
    let policies = ResourcePolicies::default();
    let ledger = deployed(&hub, &policies).await;
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    ledger
        .edit(|inventory| inventory.mark_deleted(&ObjectKey::of(None, &live)))
        .await;
    let target = hub.target("v1", "ConfigMap", "c").await;
    hub.cluster
        .delete(&target, kube::core::params::Preconditions::default())
        .await
        .unwrap();
    repaired(&hub, &ledger, &policies).await;
    assert_eq!(hub.get("v1", "ConfigMap", "c").await, None);
}
