use serde_json::json;

use super::*;
use crate::testing::{Hub, config_map, deployment, owner, policy, wanted};

fn none() -> ResourcePolicies {
    ResourcePolicies::default()
}

async fn run(hub: &Hub, app: &str, generation: i64, objects: Vec<Value>) -> Vec<Change> {
    run_with(hub, app, generation, objects, &none())
        .await
        .unwrap()
}

async fn run_with(
    hub: &Hub,
    app: &str,
    generation: i64,
    objects: Vec<Value>,
    policies: &ResourcePolicies,
) -> Result<Vec<Change>, DispatchError> {
    let ledger = hub.ledger(&owner(app, generation)).await;
    let objects = objects.into_iter().map(wanted).collect();
    let applied = hub.dispatcher.dispatch(&ledger, objects, policies).await?;
    ledger.commit(&hub.store).await?;
    Ok(applied.into_iter().map(|applied| applied.change).collect())
}

const EQUAL: Change = Change::Unchanged(Reason::Equal);

#[tokio::test]
async fn creates_updates_and_leaves_alone_what_is_equal() {
    let hub = Hub::open().await;
    let objects = |image| {
        vec![
            deployment("web", image),
            config_map("c", json!({"a": "1", "b": "2"})),
        ]
    };
    assert_eq!(
        run(&hub, "app", 1, objects("nginx:1")).await,
        [Change::Created, Change::Created]
    );
    let first = hub.get("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(
        run(&hub, "app", 1, objects("nginx:1")).await,
        [EQUAL, EQUAL]
    );
    let second = hub.get("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(
        first["metadata"]["resourceVersion"],
        second["metadata"]["resourceVersion"]
    );
    assert_eq!(
        run(&hub, "app", 2, objects("nginx:2")).await,
        [Change::Updated, EQUAL]
    );
    let third = hub.get("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(
        third["spec"]["template"]["spec"]["containers"][0]["image"],
        "nginx:2"
    );
    assert_eq!(
        run(&hub, "app", 2, objects("nginx:2")).await,
        [EQUAL, EQUAL]
    );
}

#[tokio::test]
async fn a_new_revision_alone_begins_no_generation() {
    let hub = Hub::open().await;
    let of = |revision: &str, more: Value| {
        let mut web = deployment("web", "nginx:1");
        web["metadata"]["labels"] = json!({
            "app.oam.dev/appRevision": revision,
            "app.oam.dev/app-revision-hash": format!("hash-of-{revision}"),
        });
        web["metadata"]["annotations"] = more;
        vec![web]
    };
    let web = async || hub.get("apps/v1", "Deployment", "web").await.unwrap();
    let both = json!({"a": "1", "b": "2"});
    run(&hub, "app", 1, of("app-v1", both.clone())).await;
    let first = web().await;
    assert_eq!(
        run(&hub, "app", 2, of("app-v2", both.clone())).await,
        [Change::Updated]
    );
    let second = web().await;
    let metadata = &second["metadata"];
    assert_eq!(metadata["labels"]["app.oam.dev/appRevision"], "app-v2");
    assert_eq!(metadata["generation"], first["metadata"]["generation"]);
    assert_eq!(metadata["annotations"], first["metadata"]["annotations"]);
    assert_eq!(run(&hub, "app", 3, of("app-v2", both)).await, [EQUAL]);
    // What is dropped goes.
    let changed = run(&hub, "app", 4, of("app-v3", json!({"a": "1"}))).await;
    assert_eq!(changed, [Change::Updated]);
    assert_eq!(web().await["metadata"]["annotations"].get("b"), None);
    let again = run(&hub, "app", 5, of("app-v3", json!({"a": "1"}))).await;
    assert_eq!(again, [EQUAL]);
}

/// What KubeVela applied as we would is left as it is: its marks are as good as ours.
#[tokio::test]
async fn an_object_that_kubevela_applied_is_not_touched() {
    let hub = Hub::open().await;
    let owner = owner("app", 1);
    let mut web = label(deployment("web", "nginx:1"), &owner, None);
    web["metadata"]["namespace"] = json!("demo");
    let mut theirs = web.clone();
    theirs["metadata"]["labels"]["oam.dev/render-hash"] = json!("d14c5b31c0cd75dc");
    let text = theirs.to_string();
    theirs["metadata"]["annotations"]["app.oam.dev/last-applied-configuration"] = text.into();
    hub.create_as("kubevela", theirs).await;
    let before = hub.get("apps/v1", "Deployment", "web").await;
    assert_eq!(
        run(&hub, "app", 1, vec![deployment("web", "nginx:1")]).await,
        [EQUAL]
    );
    assert_eq!(hub.get("apps/v1", "Deployment", "web").await, before);
    let changed = run(&hub, "app", 2, vec![deployment("web", "nginx:2")]).await;
    assert_eq!(changed, [Change::Updated]);
}

#[tokio::test]
async fn objects_carry_what_kubevela_writes() {
    let hub = Hub::open().await;
    run(
        &hub,
        "app",
        1,
        vec![
            deployment("web", "nginx:1"),
            config_map("c", json!({"a": "1"})),
        ],
    )
    .await;
    let web = hub.get("apps/v1", "Deployment", "web").await.unwrap();
    let metadata = &web["metadata"];
    assert_eq!(metadata["labels"]["app.oam.dev/name"], "app");
    assert_eq!(metadata["labels"]["app.oam.dev/namespace"], "demo");
    assert_eq!(metadata["labels"]["app.oam.dev/cluster"], "");
    let hash = &metadata["labels"]["oam.dev/render-hash"];
    assert_eq!(hash.as_str().unwrap().len(), 16);
    let applied = metadata["annotations"]["app.oam.dev/last-applied-configuration"]
        .as_str()
        .unwrap();
    let applied: Value = serde_json::from_str(applied).unwrap();
    assert_eq!(applied["metadata"]["labels"]["oam.dev/render-hash"], *hash);
    assert_eq!(applied["metadata"].get("annotations"), None);
    assert_eq!(
        applied["spec"]["template"]["spec"]["containers"][0]["image"],
        "nginx:1"
    );
    let map = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(map["metadata"].get("annotations"), None);
}

/// Trap 7: KubeVela never removes keys of ConfigMaps.
#[tokio::test]
async fn a_key_that_is_dropped_goes_and_a_foreign_one_stays() {
    let hub = Hub::open().await;
    run(
        &hub,
        "app",
        1,
        vec![config_map("c", json!({"a": "1", "b": "2"}))],
    )
    .await;
    hub.edit("v1", "ConfigMap", "c", json!({"data": {"foreign": "x"}}))
        .await;
    let changed = run(&hub, "app", 2, vec![config_map("c", json!({"a": "1"}))]).await;
    assert_eq!(changed, [Change::Updated]);
    let map = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(map["data"], json!({"a": "1", "foreign": "x"}));
    assert_eq!(
        run(&hub, "app", 2, vec![config_map("c", json!({"a": "1"}))]).await,
        [EQUAL]
    );
    // The second time no entry of a plain update is left to be adopted.
    let changed = run(&hub, "app", 3, vec![config_map("c", json!({"b": "2"}))]).await;
    assert_eq!(changed, [Change::Updated]);
    let map = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(map["data"], json!({"b": "2", "foreign": "x"}));
}

#[tokio::test]
async fn entries_are_recorded_before_the_objects_and_get_their_uids() {
    let hub = Hub::open().await;
    run(&hub, "app", 1, vec![config_map("c", json!({"a": "1"}))]).await;
    let inventory = hub.inventory(&owner("app", 1)).await;
    let key = inventory.keys().into_iter().next().unwrap();
    let entry = inventory.entry(&key).unwrap();
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(entry.uid.as_deref(), live["metadata"]["uid"].as_str());
    assert_eq!(entry.raw.as_ref().unwrap()["data"], json!({"a": "1"}));
    // One that the API server refused, and that is not there, is not recorded any more.
    let bad = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "NOT_A_NAME"}});
    run_with(&hub, "bad", 1, vec![bad], &none())
        .await
        .unwrap_err();
    let inventory = hub.inventory(&owner("bad", 1)).await;
    assert_eq!(inventory.keys().len(), 0);
}

/// Invariant 3: whoever dies right after an object was written leaves an inventory that lists it.
#[tokio::test]
async fn who_dies_after_a_write_has_recorded_it_before() {
    let hub = Hub::open().await;
    let dies = hub.dispatcher.clone().probed(Arc::new(|place| {
        assert_ne!(place, "objects.written", "it dies here");
    }));
    let ledger = hub.ledger(&owner("app", 1)).await;
    let task = tokio::spawn(async move {
        let objects = vec![wanted(config_map("c", json!({"a": "1"})))];
        let applied = dies.dispatch(&ledger, objects, &none()).await;
        applied.map(drop)
    });
    assert!(task.await.unwrap_err().is_panic());
    assert!(hub.get("v1", "ConfigMap", "c").await.is_some());
    let inventory = hub.inventory(&owner("app", 1)).await;
    assert_eq!(inventory.keys().len(), 1);
}

#[tokio::test]
async fn an_object_of_nobody_is_refused_and_taken_over_when_allowed() {
    let hub = Hub::open().await;
    hub.create_foreign(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "pre", "namespace": "demo"}, "data": {"keep": "1"}}))
        .await;
    let objects = || {
        vec![
            config_map("pre", json!({"a": "1"})),
            config_map("new", json!({})),
        ]
    };
    let error = run_with(&hub, "app", 1, objects(), &none())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("ConfigMap demo/pre exists but not managed by any application now"),
        "{error}"
    );
    assert!(!error.is_transient());
    // Nothing was written: not the object, and not the other one.
    assert_eq!(hub.get("v1", "ConfigMap", "new").await, None);
    assert_eq!(hub.inventory(&owner("app", 1)).await.keys().len(), 0);
    let policies = policy("take-over", &["pre"], None);
    let changes = run_with(&hub, "app", 1, objects(), &policies)
        .await
        .unwrap();
    assert_eq!(changes, [Change::Updated, Change::Created]);
    let live = hub.get("v1", "ConfigMap", "pre").await.unwrap();
    assert_eq!(live["data"], json!({"keep": "1", "a": "1"}));
    assert_eq!(live["metadata"]["labels"]["app.oam.dev/name"], "app");
}

#[tokio::test]
async fn an_object_of_another_application_is_refused() {
    let hub = Hub::open().await;
    run(&hub, "app1", 1, vec![config_map("c", json!({}))]).await;
    let policies = policy("take-over", &["c"], None);
    let error = run_with(&hub, "app2", 1, vec![config_map("c", json!({}))], &policies).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with(
            "existing object ConfigMap demo/c is managed by other application demo/app1"
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_create_that_meets_a_foreign_object_removes_its_entry() {
    let hub = Hub::open().await;
    let owner = owner("app", 1);
    let ledger = hub.ledger(&owner).await;
    let objects = vec![wanted(config_map("c", json!({"a": "1"})))];
    let (plans, failures) = hub
        .dispatcher
        .decide(&owner, objects, &none(), Purpose::Update)
        .await;
    assert!(failures.is_empty());
    let (type_, entry) = plans[0].0.entry(&none());
    ledger
        .edit(|inventory| inventory.intend(type_, entry))
        .await;
    // Between the decision and the write, somebody else is faster.
    hub.create_foreign(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "demo"}, "data": {"theirs": "1"}}))
        .await;
    let result = hub
        .dispatcher
        .carry_out(&ledger, plans, vec![], Purpose::Update)
        .await;
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("exists but not managed by any application"),
        "{error}"
    );
    assert_eq!(hub.inventory(&owner).await.keys().len(), 0);
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(live["data"], json!({"theirs": "1"}));
}

#[tokio::test]
async fn a_read_only_object_is_not_touched_and_must_exist() {
    let hub = Hub::open().await;
    let policies = policy("read-only", &["pre"], None);
    let error = run_with(
        &hub,
        "app",
        1,
        vec![config_map("pre", json!({}))],
        &policies,
    )
    .await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("read-only but does not exist"), "{error}");
    let before = hub
        .create_foreign(json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "pre", "namespace": "demo"}}))
        .await;
    let objects = vec![config_map("pre", json!({"never": "applied"}))];
    let changes = run_with(&hub, "app", 1, objects, &policies).await.unwrap();
    assert_eq!(changes, [Change::Unchanged(Reason::ReadOnly)]);
    assert_eq!(hub.get("v1", "ConfigMap", "pre").await, Some(before));
}

#[tokio::test]
async fn a_shared_object_is_written_by_its_first_user_only() {
    let hub = Hub::open().await;
    let policies = policy("shared-resource", &["s"], None);
    let share = |app: &'static str, value: &'static str| {
        let objects = vec![config_map("s", json!({"from": value}))];
        run_with(&hub, app, 1, objects, &policies)
    };
    assert_eq!(share("app1", "one").await.unwrap(), [Change::Created]);
    assert_eq!(share("app2", "two").await.unwrap(), [Change::Shared]);
    assert_eq!(
        share("app2", "two").await.unwrap(),
        [Change::Unchanged(Reason::Shared)]
    );
    assert_eq!(share("app1", "one").await.unwrap(), [EQUAL]);
    let live = hub.get("v1", "ConfigMap", "s").await.unwrap();
    assert_eq!(live["data"], json!({"from": "one"}));
    assert_eq!(
        live["metadata"]["annotations"]["app.oam.dev/shared-by"],
        "demo/app1,demo/app2"
    );
    assert_eq!(live["metadata"]["labels"]["app.oam.dev/name"], "app1");
    // Who does not share gets the refusal.
    let changes = run(&hub, "plain", 1, vec![config_map("p", json!({}))]).await;
    assert_eq!(changes, [Change::Created]);
    let policies = policy("shared-resource", &["p"], None);
    let error = run_with(&hub, "app2", 1, vec![config_map("p", json!({}))], &policies).await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("managed by other application demo/plain")
    );
}

#[tokio::test]
async fn fields_that_are_written_once_keep_what_others_made_of_them() {
    let hub = Hub::open().await;
    let policies = policy(
        "apply-once",
        &["web"],
        Some(json!({"path": ["spec.replicas"]})),
    );
    let mut manifest = deployment("web", "nginx:1");
    manifest["spec"]["replicas"] = json!(1);
    let run = |manifest| run_with(&hub, "app", 1, vec![manifest], &policies);
    assert_eq!(run(manifest.clone()).await.unwrap(), [Change::Created]);
    hub.edit(
        "apps/v1",
        "Deployment",
        "web",
        json!({"spec": {"replicas": 5}}),
    )
    .await;
    assert_eq!(run(manifest.clone()).await.unwrap(), [EQUAL]);
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:2");
    assert_eq!(run(manifest).await.unwrap(), [Change::Updated]);
    let live = hub.get("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(live["spec"]["replicas"], 5);
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"][0]["image"],
        "nginx:2"
    );
}

#[tokio::test]
async fn an_object_is_created_again_when_a_recreate_field_changes() {
    let hub = Hub::open().await;
    let strategy = json!({"recreateFields": ["data.key"]});
    let policies = policy("resource-update", &["c"], Some(strategy));
    let run = |value: &str| {
        run_with(
            &hub,
            "app",
            1,
            vec![config_map("c", json!({"key": value}))],
            &policies,
        )
    };
    assert_eq!(run("1").await.unwrap(), [Change::Created]);
    let first = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(
        run("2").await.unwrap(),
        [Change::Recreated("data.key".to_owned())]
    );
    let second = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    let inventory = hub.inventory(&owner("app", 1)).await;
    let uid = inventory.trackers().next().unwrap().entries()[0]
        .uid
        .clone();
    assert_eq!(uid.as_deref(), second["metadata"]["uid"].as_str());
}

#[tokio::test]
async fn replace_writes_the_whole_object() {
    let hub = Hub::open().await;
    let policies = policy("resource-update", &["c"], Some(json!({"op": "replace"})));
    let run = |value: &str| {
        run_with(
            &hub,
            "app",
            1,
            vec![config_map("c", json!({"key": value}))],
            &policies,
        )
    };
    run("1").await.unwrap();
    hub.edit("v1", "ConfigMap", "c", json!({"data": {"foreign": "x"}}))
        .await;
    assert_eq!(run("2").await.unwrap(), [Change::Updated]);
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(live["data"], json!({"key": "2"}));
}

#[tokio::test]
async fn a_namespace_and_a_definition_of_the_same_dispatch_come_first() {
    let hub = Hub::open().await;
    let objects = vec![
        json!({"apiVersion": "example.com/v1", "kind": "Gadget",
            "metadata": {"name": "g", "namespace": "fresh"}, "spec": {"size": 1}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "c", "namespace": "fresh"}}),
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "fresh", "namespace": "demo"}}),
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "gadgets.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced",
                "names": {"kind": "Gadget", "plural": "gadgets", "singular": "gadget",
                    "listKind": "GadgetList"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object",
                        "x-kubernetes-preserve-unknown-fields": true}}}]}}),
    ];
    let changes = run(&hub, "app", 1, objects.clone()).await;
    assert_eq!(changes, vec![Change::Created; 4]);
    let namespace = hub.get("v1", "Namespace", "fresh").await.unwrap();
    assert_eq!(namespace["metadata"].get("namespace"), None);
    assert_eq!(run(&hub, "app", 1, objects).await, vec![EQUAL; 4]);
}

#[tokio::test]
async fn an_unknown_kind_or_cluster_says_so() {
    let hub = Hub::open().await;
    let unknown = json!({"apiVersion": "nosuch.io/v1", "kind": "Thing", "metadata": {"name": "t"}});
    let error = run_with(&hub, "app", 1, vec![unknown], &none())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cluster \"local\" does not serve nosuch.io/v1 Thing"),
        "{error}"
    );
    let ledger = hub.ledger(&owner("app", 1)).await;
    let mut object = wanted(config_map("c", json!({})));
    object.cluster = Some("far".to_owned());
    let error = hub
        .dispatcher
        .dispatch(&ledger, vec![object], &none())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cluster \"far\" is not registered; registered clusters: local"
    );
}

#[tokio::test]
async fn an_object_on_its_way_out_is_waited_for() {
    let hub = Hub::open().await;
    let mut manifest = config_map("c", json!({}));
    manifest["metadata"]["finalizers"] = json!(["example.com/wait"]);
    run(&hub, "app", 1, vec![manifest.clone()]).await;
    let target = hub.target("v1", "ConfigMap", "c").await;
    hub.cluster
        .delete(&target, kube::core::params::Preconditions::default())
        .await
        .unwrap();
    let error = run_with(&hub, "app", 1, vec![manifest], &none())
        .await
        .unwrap_err();
    assert!(error.is_transient());
    assert!(
        error.to_string().contains("finalizers: example.com/wait"),
        "{error}"
    );
    // It is still ours: nothing is forgotten.
    assert_eq!(hub.inventory(&owner("app", 1)).await.keys().len(), 1);
}

#[test]
fn the_fields_of_an_immutable_change_are_named() {
    let status = kube::core::Status {
        code: 422,
        message: "Deployment.apps \"d\" is invalid: spec.selector: Invalid value: {}: field is \
                  immutable"
            .to_owned(),
        reason: "Invalid".to_owned(),
        details: Some(kube::core::response::StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            retry_after_seconds: 0,
            causes: vec![kube::core::response::StatusCause {
                reason: "FieldValueInvalid".to_owned(),
                message: "Invalid value: {}: field is immutable".to_owned(),
                field: "spec.selector".to_owned(),
            }],
        }),
        ..kube::core::Status::success()
    };
    let key = ObjectKey::of(None, &deployment("d", "nginx"));
    let error = ObjectError::of(
        &key,
        ClusterError::Api {
            cluster: "local".to_owned(),
            action: "apply".to_owned(),
            status: Box::new(status),
        },
    );
    insta::assert_snapshot!(error);
}

fn live_with(manifest: Value, manager: &str, operation: &str, fields: Value) -> Value {
    let mut live = manifest;
    live["metadata"]["resourceVersion"] = json!("7");
    live["metadata"]["managedFields"] = json!([
        {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields},
    ]);
    live
}

#[test]
fn an_object_of_kubevela_becomes_ours_by_one_guarded_patch() {
    let live = live_with(
        config_map("c", json!({"a": "1"})),
        "kubevela",
        "Update",
        json!({"f:data": {".": {}, "f:a": {}}}),
    );
    let patch = fields::adoption(&live, "v1").unwrap();
    let version = json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"});
    assert_eq!(patch[1], version);
    assert_eq!(patch[0]["value"][0]["manager"], "caravel");
    assert_eq!(patch[0]["value"][0]["operation"], "Apply");
    assert_eq!(
        patch[0]["value"][0]["fieldsV1"],
        json!({"f:data": {".": {}, "f:a": {}}})
    );
    let foreign = live_with(config_map("c", json!({})), "kubectl", "Update", json!({}));
    assert_eq!(fields::adoption(&foreign, "v1"), None);
}

#[tokio::test]
async fn a_change_between_decision_and_write_is_decided_again() {
    let hub = Hub::open().await;
    run(&hub, "app", 1, vec![config_map("c", json!({"a": "1"}))]).await;
    let owner = owner("app", 2);
    let ledger = hub.ledger(&owner).await;
    let objects = vec![wanted(config_map("c", json!({"a": "2"})))];
    let (plans, _) = hub
        .dispatcher
        .decide(&owner, objects, &none(), Purpose::Update)
        .await;
    assert!(matches!(
        plans[0].1,
        Step::Apply {
            adoption: Some(_),
            ..
        }
    ));
    hub.edit("v1", "ConfigMap", "c", json!({"data": {"foreign": "x"}}))
        .await;
    hub.dispatcher
        .carry_out(&ledger, plans, vec![], Purpose::Update)
        .await
        .unwrap();
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(live["data"], json!({"a": "2", "foreign": "x"}));
}

#[tokio::test]
async fn an_object_that_was_replaced_between_decision_and_write_is_not_touched() {
    let hub = Hub::open().await;
    run(&hub, "app", 1, vec![config_map("c", json!({"a": "1"}))]).await;
    let owner = owner("app", 2);
    let ledger = hub.ledger(&owner).await;
    let objects = vec![wanted(config_map("c", json!({"a": "2"})))];
    let (plans, _) = hub
        .dispatcher
        .decide(&owner, objects, &none(), Purpose::Update)
        .await;
    let target = hub.target("v1", "ConfigMap", "c").await;
    hub.cluster
        .delete(&target, kube::core::params::Preconditions::default())
        .await
        .unwrap();
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "demo"}, "data": {"theirs": "1"}});
    hub.create_foreign(theirs).await;
    let result = hub
        .dispatcher
        .carry_out(&ledger, plans, vec![], Purpose::Update)
        .await;
    assert!(
        result
            .unwrap_err()
            .to_string()
            .contains("exists but not managed")
    );
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(live["data"], json!({"theirs": "1"}));
}

#[tokio::test]
async fn an_application_of_kubevela_goes_on_as_ours() {
    let hub = Hub::open().await;
    let owner = owner("app", 1);
    let mut theirs = label(config_map("c", json!({"a": "1", "b": "2"})), &owner, None);
    theirs["metadata"]["namespace"] = json!("demo");
    theirs["metadata"]["labels"]["oam.dev/render-hash"] = json!("number-of-kubevela");
    hub.create_as("kubevela", theirs).await;
    let changes = run(&hub, "app", 1, vec![config_map("c", json!({"a": "1"}))]).await;
    assert_eq!(changes, [Change::Updated]);
    let live = hub.get("v1", "ConfigMap", "c").await.unwrap();
    assert_eq!(live["data"], json!({"a": "1"}));
    let managers: Vec<&str> = live["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers, ["caravel"]);
    assert_eq!(
        live["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"].get("f:uid"),
        None
    );
    assert_eq!(
        run(&hub, "app", 1, vec![config_map("c", json!({"a": "1"}))]).await,
        [EQUAL]
    );
}

#[tokio::test]
async fn a_preview_shows_what_would_be_and_writes_nothing() {
    let hub = Hub::open().await;
    let owner = owner("app", 1);
    run(&hub, "app", 1, vec![config_map("c", json!({"a": "1"}))]).await;
    let objects = vec![
        config_map("c", json!({"a": "2"})),
        deployment("web", "nginx:1"),
    ];
    let objects: Vec<Wanted> = objects.into_iter().map(wanted).collect();
    let previews = hub
        .dispatcher
        .preview(&owner, objects, &none())
        .await
        .unwrap();
    assert!(matches!(previews[0].step, Step::Apply { .. }));
    assert_eq!(previews[0].before.as_ref().unwrap()["data"]["a"], "1");
    assert_eq!(
        previews[0].after.as_ref().unwrap()["data"],
        json!({"a": "2"})
    );
    assert!(matches!(previews[1].step, Step::Create(_)));
    assert_eq!(previews[1].after.as_ref().unwrap()["kind"], "Deployment");
    assert_eq!(hub.get("apps/v1", "Deployment", "web").await, None);
    assert_eq!(
        hub.get("v1", "ConfigMap", "c").await.unwrap()["data"]["a"],
        "1"
    );
    assert_eq!(hub.inventory(&owner).await.keys().len(), 1);
}

#[test]
fn what_an_autoscaler_decides_is_left_alone() {
    let mut desired = deployment("web", "nginx");
    desired["spec"]["replicas"] = json!(1);
    let owner = owner("app", 1);
    let desired = stamp(&label(desired, &owner, None));
    let mut live = desired.clone();
    live["spec"]["replicas"] = json!(9);
    live["metadata"]["managedFields"] = json!([{"manager": "kube-controller-manager",
        "operation": "Update", "subresource": "scale", "apiVersion": "apps/v1",
        "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
    let rules = Rules::default();
    let step = decide(&desired, Some(&live), &owner, &rules, Purpose::Update);
    assert_eq!(step, Ok(Step::Nothing(Reason::Equal)));
    // A person who scales is drift.
    live["metadata"]["managedFields"][0]["manager"] = json!("kubectl");
    let step = decide(&desired, Some(&live), &owner, &rules, Purpose::StateKeep);
    assert!(matches!(step, Ok(Step::Apply { .. })));
}

#[test]
fn lists_are_compared_by_their_keys() {
    let fields = json!({"f:spec": {"f:ports": {
        "k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:port": {}, "f:protocol": {}},
        "k:{\"port\":443,\"protocol\":\"TCP\"}": {"f:port": {}}}}});
    let ports = |ports: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"ports": ports}});
    let live = live_with(
        ports(json!([{"port": 443, "protocol": "TCP"}, {"port": 80, "protocol": "TCP"}])),
        "kubectl",
        "Update",
        fields,
    );
    assert_eq!(
        fields::difference(&ports(json!([{"port": 80}])), &live),
        None
    );
    assert_eq!(
        fields::difference(&ports(json!([{"port": 81}])), &live),
        Some("spec.ports[0]".to_owned())
    );
    // What we own and no longer want is a difference too.
    let mut ours = live;
    ours["metadata"]["managedFields"][0]["manager"] = json!("caravel");
    ours["metadata"]["managedFields"][0]["operation"] = json!("Apply");
    assert!(fields::difference(&ports(json!([{"port": 80}])), &ours).is_some());
}

#[test]
fn a_secret_in_plain_text_equals_its_encoded_form() {
    let desired = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {},
        "stringData": {"a": "secret"}});
    let live = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {},
        "data": {"a": "c2VjcmV0"}, "type": "Opaque"});
    assert_eq!(fields::difference(&desired, &live), None);
}

#[test]
fn items_that_share_a_key_are_all_compared() {
    let fields =
        json!({"f:data": {"k:{\"name\":\"A\"}": {"f:name": {}, "f:value": {}, "f:other": {}}}});
    let variables =
        |list: Value| json!({"apiVersion": "v1", "kind": "Thing", "metadata": {}, "data": list});
    let both = json!([{"name": "A", "value": "1"}, {"name": "A", "other": "2"}]);
    let live = live_with(variables(both.clone()), "caravel", "Update", fields);
    assert_eq!(fields::difference(&variables(both), &live), None);
    let changed = json!([{"name": "A", "value": "1"}, {"name": "A", "other": "3"}]);
    assert_eq!(
        fields::difference(&variables(changed), &live),
        Some("data[1].other".to_owned())
    );
}
