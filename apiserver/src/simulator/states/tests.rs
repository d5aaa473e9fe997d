use super::*;

const NOW: &str = "2026-01-01T00:00:00Z";

fn status(kind: Kind, object: &Value, stage: Stage) -> Value {
    kind.status(object, stage, NOW).unwrap()
}

fn settled(kind: Kind, object: &Value, stage: Stage) -> Value {
    let mut object = object.clone();
    object["status"] = status(kind, &object, stage);
    assert!(
        kind.status(&object, stage, "2026-01-01T01:00:00Z")
            .is_none_or(|next| next == object["status"]),
        "a state that is reached is left alone"
    );
    object
}

#[test]
fn a_deployment_becomes_available_in_the_words_of_kubernetes() {
    let object = json!({"metadata": {"name": "d", "generation": 2}, "spec": {"replicas": 3}});
    let object = settled(Kind::Deployment, &object, Stage::Ready);
    assert_eq!(
        object["status"],
        json!({
            "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
            "conditions": [
                {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
                    "message": "Deployment has minimum availability. (simulated)", "lastTransitionTime": NOW, "lastUpdateTime": NOW},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                    "message": "Deployment has successfully progressed. (simulated)", "lastTransitionTime": NOW, "lastUpdateTime": NOW},
            ],
        })
    );
}

#[test]
fn a_deployment_that_fails_keeps_what_ran_before() {
    let object = json!({"metadata": {"name": "d", "generation": 1}, "spec": {"replicas": 2}});
    let failed = settled(Kind::Deployment, &object, Stage::Failed);
    assert_eq!(failed["status"]["unavailableReplicas"], 2);
    assert_eq!(failed["status"]["conditions"][0]["status"], "False");
    assert_eq!(
        failed["status"]["conditions"][1]["reason"],
        "ProgressDeadlineExceeded"
    );

    let mut running = settled(Kind::Deployment, &object, Stage::Ready);
    running["metadata"]["generation"] = json!(2);
    let failed = settled(Kind::Deployment, &running, Stage::Failed);
    let expected = json!({"replicas": 3, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2, "unavailableReplicas": 1});
    for (name, count) in expected.as_object().unwrap() {
        assert_eq!(&failed["status"][name], count, "{name}");
    }
    assert_eq!(failed["status"]["conditions"][0]["status"], "True");
}

#[test]
fn the_other_workloads_become_ready() {
    let object = json!({"metadata": {"name": "w", "generation": 1}, "spec": {"replicas": 2, "template": {}}});
    let set = settled(Kind::StatefulSet, &object, Stage::Ready);
    assert_eq!(set["status"]["readyReplicas"], 2);
    assert_eq!(
        set["status"]["currentRevision"],
        set["status"]["updateRevision"]
    );
    let mut changed = set;
    changed["spec"]["template"] = json!({"x": 1});
    let stalled = settled(Kind::StatefulSet, &changed, Stage::Started);
    assert_eq!(stalled["status"]["readyReplicas"], 1);
    assert_ne!(
        stalled["status"]["currentRevision"],
        stalled["status"]["updateRevision"]
    );

    let set = settled(Kind::DaemonSet, &object, Stage::Ready);
    assert_eq!(
        set["status"]["numberReady"],
        set["status"]["desiredNumberScheduled"]
    );
    assert_eq!(
        settled(Kind::DaemonSet, &object, Stage::Failed)["status"]["numberUnavailable"],
        1
    );
    assert_eq!(
        settled(Kind::ReplicaSet, &object, Stage::Ready)["status"]["readyReplicas"],
        2
    );
}

#[test]
fn a_job_ends_once() {
    let object = json!({"metadata": {"name": "j"}, "spec": {"completions": 3, "parallelism": 2, "backoffLimit": 1}});
    let running = settled(Kind::Job, &object, Stage::Started);
    assert_eq!(running["status"]["active"], 2);
    let complete = settled(Kind::Job, &running, Stage::Ready);
    assert_eq!(complete["status"]["succeeded"], 3);
    assert_eq!(complete["status"]["conditions"][1]["type"], "Complete");
    assert_eq!(Kind::Job.status(&complete, Stage::Failed, NOW), None);
    let failed = settled(Kind::Job, &object, Stage::Failed);
    assert_eq!(failed["status"]["failed"], 2);
    assert_eq!(
        failed["status"]["conditions"][1]["reason"],
        "BackoffLimitExceeded"
    );
    let suspended = json!({"spec": {"suspend": true}});
    assert_eq!(
        status(Kind::Job, &suspended, Stage::Ready)["conditions"][0]["type"],
        "Suspended"
    );
}

#[test]
fn addresses_and_claims() {
    let service =
        json!({"metadata": {"name": "s", "namespace": "n"}, "spec": {"type": "LoadBalancer"}});
    let ready = settled(Kind::Service, &service, Stage::Ready);
    let ip = ready["status"]["loadBalancer"]["ingress"][0]["ip"]
        .as_str()
        .unwrap();
    assert!(ip.starts_with("192.0.2."), "{ip}");
    assert_eq!(Kind::Service.status(&service, Stage::Started, NOW), None);
    assert_eq!(
        Kind::Service.status(&json!({"spec": {"type": "ClusterIP"}}), Stage::Ready, NOW),
        None
    );
    let mut inner = ready.clone();
    inner["spec"]["type"] = json!("ClusterIP");
    assert_eq!(
        status(Kind::Service, &inner, Stage::Ready),
        json!({"loadBalancer": {}})
    );

    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    assert_eq!(
        settled(Kind::PersistentVolumeClaim, &claim, Stage::Ready)["status"],
        json!({"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}})
    );
}

#[test]
fn a_difference_carries_one_status_over_to_another() {
    let (from, to) = (
        json!({"a": 1, "b": {"c": 1, "d": 2}, "l": [1]}),
        json!({"b": {"d": 3}, "l": [2], "n": 0}),
    );
    let patch = difference(&from, &to);
    assert_eq!(
        patch,
        json!({"a": null, "b": {"c": null, "d": 3}, "l": [2], "n": 0})
    );
    assert_eq!(caravel_merge::patch::merge(&from, &patch).unwrap(), to);
}
