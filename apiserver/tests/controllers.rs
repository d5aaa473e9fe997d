//! The built-in controllers on the server, in process.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at what it does not expect"
)]

use std::sync::Arc;
use std::time::Duration;

use caravel_apiserver::controllers::{self, Options};
use caravel_apiserver::simulator::ManualClock;
use caravel_apiserver::{ApiServer, Config, Identity};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::conditions::{is_crd_established, is_deleted};
use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

struct World {
    client: Client,
    clock: ManualClock,
    server: ApiServer,
    _stop: DropGuard,
}

async fn world() -> World {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    let client = server.client(Identity::admin("test"));
    let stop = CancellationToken::new();
    let clock = ManualClock::new(Timestamp::now());
    let options = Options {
        authority: Some("the certificate".to_owned()),
        ..Options::default()
    };
    tokio::spawn(controllers::run(
        client.clone(),
        Arc::new(clock.clone()),
        options,
        stop.clone(),
    ));
    World {
        client,
        clock,
        server,
        _stop: stop.drop_guard(),
    }
}

fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

async fn until<K>(api: &Api<K>, name: &str, condition: impl Condition<K>)
where
    K: kube::Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let reached = await_condition(api.clone(), name, condition);
    tokio::time::timeout(Duration::from_secs(20), reached)
        .await
        .unwrap_or_else(|_| panic!("{name} never gets there"))
        .unwrap();
}

fn exists<K>() -> impl Condition<K> {
    |object: Option<&K>| object.is_some()
}

fn uid(object: &impl ResourceExt) -> String {
    object.uid().unwrap()
}

impl World {
    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// A ConfigMap with owners that are ConfigMaps, too.
    async fn map(&self, name: &str, owners: &[&ConfigMap]) -> ConfigMap {
        let owners: Vec<_> = owners
            .iter()
            .map(|owner| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": uid(*owner),
                "blockOwnerDeletion": true}))
            .collect();
        let map = from(json!({"metadata": {"name": name, "ownerReferences": owners}}));
        self.maps()
            .create(&PostParams::default(), &map)
            .await
            .unwrap()
    }

    async fn delete(&self, name: &str, policy: PropagationPolicy) {
        let parameters = DeleteParams {
            propagation_policy: Some(policy),
            ..DeleteParams::default()
        };
        self.maps().delete(name, &parameters).await.unwrap();
    }
}

#[tokio::test]
async fn dependents_go_with_their_last_owner() {
    let world = world().await;
    let (a, b) = (world.map("a", &[]).await, world.map("b", &[]).await);
    let only_a = world.map("only-a", &[&a]).await;
    let both = world.map("both", &[&a, &b]).await;
    let below = world.map("below", &[&only_a]).await;
    world.delete("a", PropagationPolicy::Background).await;
    let maps = world.maps();
    until(&maps, "only-a", is_deleted(&uid(&only_a))).await;
    until(&maps, "below", is_deleted(&uid(&below))).await;
    let disowned =
        |map: Option<&ConfigMap>| map.is_some_and(|map| map.owner_references().len() == 1);
    until(&maps, "both", disowned).await;
    world.delete("b", PropagationPolicy::Background).await;
    until(&maps, "both", is_deleted(&uid(&both))).await;
}

#[tokio::test]
async fn an_owner_deleted_in_the_foreground_goes_last() {
    let world = world().await;
    let owner = world.map("owner", &[]).await;
    let mut child = world.map("child", &[&owner]).await;
    child.finalizers_mut().push("example.com/hold".to_owned());
    let maps = world.maps();
    maps.replace("child", &PostParams::default(), &child)
        .await
        .unwrap();
    world.delete("owner", PropagationPolicy::Foreground).await;
    let going =
        |map: Option<&ConfigMap>| map.is_some_and(|map| map.metadata.deletion_timestamp.is_some());
    until(&maps, "child", going).await;
    assert!(maps.get("owner").await.is_ok(), "it waits for the child");
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("child", &PatchParams::default(), &release)
        .await
        .unwrap();
    until(&maps, "owner", is_deleted(&uid(&owner))).await;
}

#[tokio::test]
async fn orphans_stay() {
    let world = world().await;
    let owner = world.map("owner", &[]).await;
    world.map("child", &[&owner]).await;
    world.delete("owner", PropagationPolicy::Orphan).await;
    let maps = world.maps();
    until(&maps, "owner", is_deleted(&uid(&owner))).await;
    assert!(
        maps.get("child")
            .await
            .unwrap()
            .owner_references()
            .is_empty()
    );
}

#[tokio::test]
async fn an_owner_that_never_was_is_found_out() {
    let world = world().await;
    let mut owner = world.map("there", &[]).await;
    owner.metadata.uid = Some("00000000-0000-0000-0000-000000000000".to_owned());
    let child = world.map("child", &[&owner]).await;
    until(&world.maps(), "child", is_deleted(&uid(&child))).await;
    assert!(world.maps().get("there").await.is_ok());
}

#[tokio::test]
async fn every_namespace_has_its_defaults_and_they_come_back() {
    let world = world().await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let namespace = from(json!({"metadata": {"name": "n"}}));
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    for name in ["n", "default"] {
        let accounts: Api<ServiceAccount> = Api::namespaced(world.client.clone(), name);
        until(&accounts, "default", exists()).await;
        let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), name);
        let right = |map: Option<&ConfigMap>| {
            map.and_then(|map| map.data.as_ref())
                .is_some_and(|data| data["ca.crt"] == "the certificate")
        };
        until(&maps, "kube-root-ca.crt", right).await;
        let account = accounts.get("default").await.unwrap();
        accounts
            .delete("default", &DeleteParams::default())
            .await
            .unwrap();
        until(&accounts, "default", is_deleted(&uid(&account))).await;
        until(&accounts, "default", exists()).await;
        let wrong = Patch::Merge(json!({"data": {"ca.crt": "another"}}));
        maps.patch("kube-root-ca.crt", &PatchParams::default(), &wrong)
            .await
            .unwrap();
        until(&maps, "kube-root-ca.crt", right).await;
    }
}

#[tokio::test]
async fn a_namespace_goes_when_its_content_is_gone() {
    let world = world().await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let namespace = from(json!({"metadata": {"name": "n"}}));
    let namespace = namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(world.client.clone(), "n");
    let held = from(json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}));
    let free = from(json!({"metadata": {"name": "free"}}));
    for map in [&held, &free] {
        maps.create(&PostParams::default(), map).await.unwrap();
    }
    namespaces
        .delete("n", &DeleteParams::default())
        .await
        .unwrap();
    let told = |namespace: Option<&Namespace>| {
        let conditions =
            namespace.and_then(|namespace| namespace.status.as_ref()?.conditions.as_ref());
        conditions.into_iter().flatten().any(|condition| {
            condition.message.as_deref()
                == Some("Some resources are remaining: configmaps. has 1 resource instances")
        })
    };
    until(&namespaces, "n", told).await;
    assert_eq!(
        maps.list(&ListParams::default()).await.unwrap().items.len(),
        1
    );
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &release)
        .await
        .unwrap();
    until(&namespaces, "n", is_deleted(&uid(&namespace))).await;
}

#[tokio::test]
async fn old_events_are_deleted() {
    let world = world().await;
    let events: Api<Event> = Api::namespaced(world.client.clone(), "default");
    let event = |name: &str, time: Timestamp| -> Event {
        from(
            json!({"metadata": {"name": name}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
            "lastTimestamp": time.to_string()}),
        )
    };
    let later = Timestamp::now()
        .checked_add(jiff::SignedDuration::from_hours(5))
        .unwrap();
    let mut made = Vec::new();
    for event in [event("old", Timestamp::now()), event("young", later)] {
        made.push(events.create(&PostParams::default(), &event).await.unwrap());
    }
    world.clock.advance(Duration::from_hours(2));
    until(&events, "old", is_deleted(&uid(&made[0]))).await;
    assert!(events.get("young").await.is_ok());
    world.clock.advance(Duration::from_hours(5));
    until(&events, "young", is_deleted(&uid(&made[1]))).await;
}

fn definition(plural: &str, kind: &str) -> CustomResourceDefinition {
    from(json!({
        "metadata": {"name": format!("{plural}.example.com")},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    }))
}

#[tokio::test]
async fn a_definition_is_established_and_takes_its_objects_with_it() {
    let world = world().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let made = definitions
        .create(&PostParams::default(), &definition("gadgets", "Gadget"))
        .await
        .unwrap();
    until(&definitions, "gadgets.example.com", is_crd_established()).await;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Gadget"));
    let gadgets: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), "default", &resource);
    let gadget: DynamicObject = from(json!({"apiVersion": "example.com/v1", "kind": "Gadget",
        "metadata": {"name": "g", "finalizers": ["example.com/hold"]}}));
    let gadget = gadgets
        .create(&PostParams::default(), &gadget)
        .await
        .unwrap();

    // An object of a kind that came late owns, too.
    let owner =
        json!({"apiVersion": "example.com/v1", "kind": "Gadget", "name": "g", "uid": uid(&gadget)});
    let owned = from(json!({"metadata": {"name": "owned", "ownerReferences": [owner]}}));
    let owned = world
        .maps()
        .create(&PostParams::default(), &owned)
        .await
        .unwrap();

    definitions
        .delete("gadgets.example.com", &DeleteParams::default())
        .await
        .unwrap();
    let going = |gadget: Option<&DynamicObject>| {
        gadget.is_some_and(|g| g.metadata.deletion_timestamp.is_some())
    };
    until(&gadgets, "g", going).await;
    assert!(
        definitions.get("gadgets.example.com").await.is_ok(),
        "it waits for its object"
    );
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    gadgets
        .patch("g", &PatchParams::default(), &release)
        .await
        .unwrap();
    until(&definitions, "gadgets.example.com", is_deleted(&uid(&made))).await;
    until(&world.maps(), "owned", is_deleted(&uid(&owned))).await;
}

#[tokio::test]
async fn a_definition_with_names_that_are_taken_waits_until_they_are_free() {
    let world = world().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let create = async |definition: CustomResourceDefinition| {
        let parameters = PostParams::default();
        definitions.create(&parameters, &definition).await.unwrap()
    };
    let first = create(definition("gadgets", "Gadget")).await;
    until(&definitions, "gadgets.example.com", is_crd_established()).await;
    let mut second = definition("gizmos", "Gizmo");
    second.spec.names.short_names = Some(vec!["gadget".to_owned()]);
    create(second).await;
    let refused = |definition: Option<&CustomResourceDefinition>| {
        let conditions = definition.and_then(|d| d.status.as_ref()?.conditions.as_ref());
        let reasons: Vec<_> = conditions
            .into_iter()
            .flatten()
            .map(|c| c.reason.as_deref())
            .collect();
        reasons == [Some("ShortNamesConflict"), Some("NotAccepted")]
    };
    until(&definitions, "gizmos.example.com", refused).await;
    let parameters = DeleteParams::default();
    definitions
        .delete("gadgets.example.com", &parameters)
        .await
        .unwrap();
    until(
        &definitions,
        "gadgets.example.com",
        is_deleted(&uid(&first)),
    )
    .await;
    until(&definitions, "gizmos.example.com", is_crd_established()).await;
}

#[tokio::test]
async fn they_stop_when_told_even_if_the_server_is_gone() {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    let client = server.client(Identity::admin("test"));
    let stop = CancellationToken::new();
    let clock = Arc::new(ManualClock::new(Timestamp::now()));
    let running = tokio::spawn(controllers::run(
        client.clone(),
        clock,
        Options::default(),
        stop.clone(),
    ));
    let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
    until(&accounts, "default", exists()).await;
    server.close().await;
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), running).await;
    ended.unwrap().unwrap();
}

#[tokio::test]
async fn a_role_that_aggregates_has_the_rules_of_those_that_it_selects() {
    let world = world().await;
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    let role = |name: &str, labels: Value, more: Value| {
        let mut role = json!({"metadata": {"name": name, "labels": labels}});
        role.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        from::<ClusterRole>(role)
    };
    let rules = json!({"rules": [{"apiGroups": ["example.com"], "resources": ["gears"], "verbs": ["get"]}]});
    let selector = json!({"matchLabels": {"part": "yes"}, "matchExpressions": [{"key": "not", "operator": "DoesNotExist"}]});
    let all = json!({"aggregationRule": {"clusterRoleSelectors": [selector]}});
    roles
        .create(&PostParams::default(), &role("all", json!({}), all))
        .await
        .unwrap();
    for (name, labels) in [
        ("part", json!({"part": "yes"})),
        ("other", json!({"part": "yes", "not": "this"})),
    ] {
        roles
            .create(&PostParams::default(), &role(name, labels, rules.clone()))
            .await
            .unwrap();
    }
    let resources = |role: Option<&ClusterRole>| -> Vec<String> {
        let rules = role.and_then(|role| role.rules.clone()).unwrap_or_default();
        rules
            .into_iter()
            .flat_map(|rule| rule.resources.unwrap_or_default())
            .collect()
    };
    let has = |wanted: &'static [&'static str]| {
        let resources = &resources;
        move |role: Option<&ClusterRole>| resources(role) == wanted
    };
    await_condition(roles.clone(), "all", has(&["gears"]))
        .await
        .unwrap();
    // What is built in has its own rules, and takes more.
    let labels = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    roles
        .create(&PostParams::default(), &role("mine", labels, rules))
        .await
        .unwrap();
    let both = |role: Option<&ClusterRole>| {
        let found = resources(role);
        found.contains(&"gears".to_owned()) && found.contains(&"configmaps".to_owned())
    };
    await_condition(roles.clone(), "view", both).await.unwrap();
    roles
        .delete("part", &DeleteParams::default())
        .await
        .unwrap();
    await_condition(roles, "all", has(&[])).await.unwrap();
}

#[tokio::test]
async fn a_token_that_lasts_is_a_secret_and_ends_with_it() {
    let world = world().await;
    let accounts: Api<ServiceAccount> = Api::default_namespaced(world.client.clone());
    let secrets: Api<Secret> = Api::default_namespaced(world.client.clone());
    let account = from(json!({"metadata": {"name": "robot"}}));
    accounts
        .create(&PostParams::default(), &account)
        .await
        .unwrap();
    let secret = |name: &str| {
        from(json!({
            "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": "robot"}},
            "type": "kubernetes.io/service-account-token",
        }))
    };
    let filled = |secret: Option<&Secret>| {
        secret
            .and_then(|secret| secret.data.as_ref())
            .is_some_and(|data| data.contains_key("token"))
    };
    let mut tokens = Vec::new();
    for name in ["one", "two"] {
        secrets
            .create(&PostParams::default(), &secret(name))
            .await
            .unwrap();
        let made = await_condition(secrets.clone(), name, filled)
            .await
            .unwrap()
            .unwrap();
        let data = made.data.unwrap();
        assert_eq!(data["ca.crt"].0, b"the certificate");
        assert_eq!(data["namespace"].0, b"default");
        tokens.push(String::from_utf8(data["token"].0.clone()).unwrap());
    }
    let who = |token: &str| {
        world
            .server
            .authenticate_token(token)
            .map(|identity| identity.user)
    };
    let robot = Some("system:serviceaccount:default:robot".to_owned());
    assert_eq!(
        tokens.iter().map(|token| who(token)).collect::<Vec<_>>(),
        [robot.clone(), robot.clone()]
    );

    secrets
        .delete("one", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(
        tokens.iter().map(|token| who(token)).collect::<Vec<_>>(),
        [None, robot]
    );

    let uid = secrets.get("two").await.unwrap().uid().unwrap();
    accounts
        .delete("robot", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(who(&tokens[1]), None);
    await_condition(secrets, "two", is_deleted(&uid))
        .await
        .unwrap();
}
