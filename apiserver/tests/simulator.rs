//! The simulated runtime on the server, in process, on a clock that the tests move.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at what it does not expect"
)]

use std::sync::Arc;
use std::time::Duration;

use caravel_apiserver::simulator::{self, ManualClock, Options, SIMULATE, SIMULATED};
use caravel_apiserver::{ApiServer, Config, Identity};
use jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

struct World {
    client: Client,
    clock: ManualClock,
    _server: ApiServer,
    _stop: DropGuard,
}

async fn world(options: Options) -> World {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    let client = server.client(Identity::admin("test"));
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let stop = CancellationToken::new();
    tokio::spawn(simulator::run(
        client.clone(),
        Arc::new(clock.clone()),
        options,
        stop.clone(),
    ));
    World {
        client,
        clock,
        _server: server,
        _stop: stop.drop_guard(),
    }
}

impl World {
    fn api(&self, group: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        Api::namespaced_with(self.client.clone(), "default", &resource)
    }

    async fn create(&self, object: Value) -> DynamicObject {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let types = object.types.clone().unwrap();
        let group = types
            .api_version
            .rsplit_once('/')
            .map_or("", |(group, _)| group)
            .to_owned();
        self.api(&group, &types.kind)
            .create(&PostParams::default(), &object)
            .await
            .unwrap()
    }

    /// Lets time pass, a second at a time, until the object is as wanted.
    async fn until(
        &self,
        group: &str,
        kind: &str,
        name: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> DynamicObject {
        let reached = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| wanted(&serde_json::to_value(object).unwrap()["status"]))
        };
        let waiting = await_condition(self.api(group, kind), name, reached);
        tokio::pin!(waiting);
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        let passes = async {
            loop {
                tokio::select! {
                    found = &mut waiting => return found.unwrap().unwrap(),
                    _ = tick.tick() => self.clock.advance(Duration::from_secs(1)),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), passes)
            .await
            .unwrap_or_else(|_| panic!("{kind} {name} never gets there"))
    }

    /// Lets an object that was made just now go its way, so that everything that was due before it
    /// has been done.
    async fn fence(&self, name: &str) {
        self.create(deployment(name, &json!({}))).await;
        self.until("apps", "Deployment", name, available).await;
    }
}

fn deployment(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "nginx"}]},
            },
        },
    })
}

fn condition<'v>(status: &'v Value, kind: &str) -> &'v Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .find(|c| c["type"] == kind)
        .unwrap_or(&Value::Null)
}

fn available(status: &Value) -> bool {
    condition(status, "Available")["status"] == "True"
}

#[tokio::test]
async fn a_deployment_becomes_available_by_one_write_and_follows_each_change() {
    let world = world(Options::default()).await;
    let created = world.create(deployment("d", &json!({}))).await;
    let ready = world.until("apps", "Deployment", "d", available).await;
    assert_eq!(ready.annotations()[SIMULATED], "true");
    assert_eq!(ready.data["status"]["readyReplicas"], 2);
    assert_eq!(ready.metadata.generation, created.metadata.generation);
    world.fence("fence").await;
    let again = world.api("apps", "Deployment").get("d").await.unwrap();
    assert_eq!(
        again.resource_version(),
        ready.resource_version(),
        "it is written once"
    );

    let patch = Patch::Merge(json!({"spec": {"replicas": 5}}));
    let api = world.api("apps", "Deployment");
    api.patch("d", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let scaled = world
        .until("apps", "Deployment", "d", |status| {
            status["readyReplicas"] == 5
        })
        .await;
    assert_eq!(scaled.data["status"]["observedGeneration"], 2);
}

#[tokio::test]
async fn an_annotation_makes_one_fail_or_stall_until_it_is_taken_away() {
    let world = world(Options::default()).await;
    world
        .create(deployment("f", &json!({SIMULATE: "fail"})))
        .await;
    world
        .create(deployment("s", &json!({SIMULATE: "stall"})))
        .await;
    let failed =
        |status: &Value| condition(status, "Progressing")["reason"] == "ProgressDeadlineExceeded";
    let failing = world.until("apps", "Deployment", "f", failed).await;
    assert!(!available(&failing.data["status"]));
    let stalling =
        |status: &Value| condition(status, "Progressing")["reason"] == "ReplicaSetUpdated";
    world.until("apps", "Deployment", "s", stalling).await;
    world.fence("fence").await;
    let api = world.api("apps", "Deployment");
    assert!(!available(&api.get("s").await.unwrap().data["status"]));
    let patch = Patch::Merge(json!({"metadata": {"annotations": {SIMULATE: null}}}));
    for name in ["f", "s"] {
        api.patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
        world.until("apps", "Deployment", name, available).await;
    }
}

#[tokio::test]
async fn something_slow_starts_and_is_ready_when_its_time_has_come() {
    let world = world(Options::default()).await;
    world
        .create(deployment("slow", &json!({SIMULATE: "slow=24h"})))
        .await;
    let started = |status: &Value| status["observedGeneration"] == 1;
    let slow = world.until("apps", "Deployment", "slow", started).await;
    assert!(!available(&slow.data["status"]));
    world.clock.advance(Duration::from_hours(12));
    world.fence("fence").await;
    let api = world.api("apps", "Deployment");
    assert!(!available(&api.get("slow").await.unwrap().data["status"]));
    world.clock.advance(Duration::from_hours(12));
    world.until("apps", "Deployment", "slow", available).await;
}

#[tokio::test]
async fn every_kind_reaches_the_state_that_a_cluster_would_give_it() {
    let world = world(Options::INSTANT).await;
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let workload =
        json!({"selector": {"matchLabels": {"a": "b"}}, "template": template, "serviceName": "x"});
    let mut daemons = workload.clone();
    daemons.as_object_mut().unwrap().remove("serviceName");
    let mut task = template.clone();
    task["spec"]["restartPolicy"] = json!("Never");
    let ports = json!([{"port": 80, "protocol": "TCP"}]);
    let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
    for (group, version, kind, spec) in [
        ("apps", "apps/v1", "StatefulSet", workload),
        ("apps", "apps/v1", "DaemonSet", daemons),
        ("batch", "batch/v1", "Job", json!({"template": task})),
        (
            "",
            "v1",
            "Service",
            json!({"type": "LoadBalancer", "ports": ports}),
        ),
        (
            "networking.k8s.io",
            "networking.k8s.io/v1",
            "Ingress",
            json!({"defaultBackend": backend}),
        ),
        (
            "",
            "v1",
            "PersistentVolumeClaim",
            json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}),
        ),
    ] {
        world.create(json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec})).await;
        let reached = world
            .until(group, kind, "x", |status| match kind {
                "StatefulSet" => {
                    status["readyReplicas"] == 1
                        && status["currentRevision"] == status["updateRevision"]
                }
                "DaemonSet" => status["numberReady"] == 1,
                "Job" => condition(status, "Complete")["status"] == "True",
                "PersistentVolumeClaim" => status["phase"] == "Bound",
                _ => status["loadBalancer"]["ingress"][0]["ip"].is_string(),
            })
            .await;
        assert_eq!(reached.annotations()[SIMULATED], "true", "{kind}");
    }
}

#[tokio::test]
async fn a_simulator_that_starts_late_finds_what_is_there() {
    let server = ApiServer::open(Config::memory()).await.unwrap();
    let client = server.client(Identity::admin("test"));
    let stop = CancellationToken::new();
    let world = World {
        client: client.clone(),
        clock: ManualClock::new(Timestamp::UNIX_EPOCH),
        _server: server,
        _stop: stop.clone().drop_guard(),
    };
    world.create(deployment("early", &json!({}))).await;
    tokio::spawn(simulator::run(
        client,
        Arc::new(world.clock.clone()),
        Options::default(),
        stop,
    ));
    world.until("apps", "Deployment", "early", available).await;
}

/// Lets time pass until `look` finds what it wants.
async fn eventually<T>(world: &World, look: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..3_000 {
        if let Some(found) = look().await {
            return found;
        }
        world.clock.advance(Duration::from_millis(100));
        // Looking costs more than what is looked for.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never comes");
}

/// The replica sets of a deployment by revision: revision and replicas wanted and ready.
async fn history(world: &World) -> Vec<(String, Value, Value)> {
    let sets = world.api("apps", "ReplicaSet");
    let mut found: Vec<_> = sets
        .list(&ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .map(|set| {
            (
                set.annotations()["deployment.kubernetes.io/revision"].clone(),
                set.data["spec"]["replicas"].clone(),
                set.data["status"]["readyReplicas"].clone(),
            )
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[tokio::test]
async fn a_deployment_has_a_history_and_pods_that_run_and_go_with_it() {
    let world = world(Options::default()).await;
    let controller = CancellationToken::new();
    tokio::spawn(caravel_apiserver::controllers::run(
        world.client.clone(),
        Arc::new(world.clock.clone()),
        caravel_apiserver::controllers::Options::default(),
        controller.clone(),
    ));
    let _stop = controller.drop_guard();
    world.create(deployment("web", &json!({}))).await;
    let pods = world.api("", "Pod");
    let running = eventually(&world, async || {
        let listed = pods.list(&ListParams::default()).await.unwrap();
        let running = listed.items.iter().filter(|pod| {
            pod.data["status"]["phase"] == "Running" && pod.annotations()[SIMULATED] == "true"
        });
        (running.count() == 2 && listed.items.len() == 2).then_some(listed.items)
    })
    .await;
    // They rest: what is written once is as the server keeps it.
    world.clock.advance(Duration::from_mins(1));
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "fence"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
    }});
    world.create(claim).await;
    let bound = |status: &Value| status["phase"] == "Bound";
    world
        .until("", "PersistentVolumeClaim", "fence", bound)
        .await;
    for pod in &running {
        let now = pods.get(&pod.name_any()).await.unwrap();
        assert_eq!(now.resource_version(), pod.resource_version());
    }

    // One that is deleted is replaced.
    pods.delete(&running[0].name_any(), &kube::api::DeleteParams::default())
        .await
        .unwrap();
    eventually(&world, async || {
        let listed = pods
            .list(&ListParams::default().labels("app=web"))
            .await
            .unwrap();
        (listed.items.len() == 2
            && listed
                .items
                .iter()
                .all(|pod| pod.name_any() != running[0].name_any()))
        .then_some(())
    })
    .await;

    let deployments = world.api("apps", "Deployment");
    let change = |image: &str| {
        let container = json!([{"name": "c", "image": image}]);
        Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": container}}}}))
    };
    deployments
        .patch("web", &PatchParams::default(), &change("nginx:2"))
        .await
        .unwrap();
    eventually(&world, async || {
        let wanted = vec![
            ("1".to_owned(), json!(0), Value::Null),
            ("2".to_owned(), json!(2), json!(2)),
        ];
        (history(&world).await == wanted).then_some(())
    })
    .await;
    let now = deployments.get("web").await.unwrap();
    assert_eq!(now.annotations()["deployment.kubernetes.io/revision"], "2");

    deployments
        .delete("web", &kube::api::DeleteParams::background())
        .await
        .unwrap();
    eventually(&world, async || {
        let left = pods.list(&ListParams::default()).await.unwrap();
        (left.items.is_empty() && history(&world).await.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn at_once_means_without_replica_sets() {
    let world = world(Options::INSTANT).await;
    world.create(deployment("web", &json!({}))).await;
    world.until("apps", "Deployment", "web", available).await;
    world.fence("fence").await;
    assert!(history(&world).await.is_empty());
}

#[tokio::test]
async fn what_is_as_it_should_be_is_left_alone() {
    let world = world(Options::default()).await;
    world.create(deployment("web", &json!({}))).await;
    let pods = world.api("", "Pod");
    eventually(&world, async || {
        let found = pods.list(&ListParams::default()).await.unwrap().items;
        let ready =
            |pod: &DynamicObject| condition(&pod.data["status"], "Ready")["status"] == "True";
        (found.len() == 2 && found.iter().all(ready)).then_some(())
    })
    .await;
    let writes = async || {
        let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
        let text = world.client.request_text(request).await.unwrap();
        let patches = |line: &&str| line.contains("verb=\"patch\",resource=\"pods\"");
        text.lines()
            .filter(patches)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    // The last of them may just be answered.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = writes().await;
    assert!(!before.is_empty());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(writes().await, before);
}

#[tokio::test]
async fn the_pods_of_a_job_end_as_it_does() {
    let world = world(Options::default()).await;
    let job = |name: &str, wish: &str| {
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "annotations": {SIMULATE: wish}},
            "spec": {"completions": 2, "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]},
            }},
        })
    };
    for (name, wish, condition_of_job, phase) in [
        ("good", "slow=3s", "Complete", "Succeeded"),
        ("bad", "fail", "Failed", "Failed"),
    ] {
        world.create(job(name, wish)).await;
        let ended = |status: &Value| condition(status, condition_of_job)["status"] == "True";
        world.until("batch", "Job", name, ended).await;
        let selected = ListParams::default().labels(&format!("job-name={name}"));
        let pods = loop {
            let pods = world.api("", "Pod").list(&selected).await.unwrap().items;
            if pods.len() == 2 {
                break pods;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        for pod in pods {
            let pod = pod.name_any();
            world
                .until("", "Pod", &pod, |status| status["phase"] == phase)
                .await;
        }
    }
}
