use super::*;

fn owner(kind: &str, replicas: u64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": "web", "namespace": "default", "uid": "o", "annotations": {SIMULATE: "stall"}},
        "spec": {
            "replicas": replicas,
            "template": {
                "metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "nginx"}]},
            },
        },
    })
}

fn made(steps: &[Step]) -> Vec<Value> {
    let numbered = steps.iter().enumerate();
    numbered
        .filter_map(|(number, step)| match step {
            Step::Create(pod) => {
                let mut pod = pod.clone();
                if pod["metadata"]["name"].is_null() {
                    pod["metadata"]["name"] = format!("web-{number}").into();
                }
                Some(pod)
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_replica_set_has_as_many_pods_as_it_says_and_they_say_that_they_are_simulated() {
    let set = owner("ReplicaSet", 2);
    let pods = made(&steps(Kind::ReplicaSet, &set, &[]));
    assert_eq!(pods.len(), 2);
    let metadata = &pods[0]["metadata"];
    assert_eq!(metadata["generateName"], "web-");
    assert_eq!(
        metadata["annotations"],
        json!({"a": "b", SIMULATED: "true", SIMULATE: "stall"})
    );
    assert_eq!(metadata["ownerReferences"][0]["uid"], "o");
    assert_eq!(steps(Kind::ReplicaSet, &set, &pods), []);
    assert_eq!(
        steps(Kind::ReplicaSet, &owner("ReplicaSet", 1), &pods),
        [Step::Delete("web-1".to_owned())]
    );
    let many = made(&steps(Kind::ReplicaSet, &owner("ReplicaSet", 10_000), &[]));
    assert_eq!(many.len(), MOST);
}

#[test]
fn a_stateful_set_numbers_its_pods_and_exchanges_them_for_a_new_template() {
    let set = owner("StatefulSet", 2);
    let pods = made(&steps(Kind::StatefulSet, &set, &[]));
    let names: Vec<_> = pods.iter().map(|pod| &pod["metadata"]["name"]).collect();
    assert_eq!(names, ["web-0", "web-1"]);
    assert_eq!(
        pods[1]["metadata"]["labels"]["apps.kubernetes.io/pod-index"],
        "1"
    );
    assert_eq!(steps(Kind::StatefulSet, &set, &pods), []);
    assert_eq!(
        steps(Kind::StatefulSet, &owner("StatefulSet", 1), &pods),
        [Step::Delete("web-1".to_owned())]
    );
    let mut next = set;
    next["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2".into();
    let exchange = steps(Kind::StatefulSet, &next, &pods);
    assert_eq!(
        exchange,
        ["web-0", "web-1"].map(|name| Step::Delete(name.to_owned()))
    );
}

#[test]
fn a_daemon_set_has_one_pod_on_the_one_node() {
    let pods = made(&steps(Kind::DaemonSet, &owner("DaemonSet", 7), &[]));
    assert_eq!(pods.len(), 1);
    assert_eq!(steps(Kind::DaemonSet, &owner("DaemonSet", 7), &pods), []);
}

#[test]
fn a_job_has_a_pod_for_each_completion_and_none_while_it_is_suspended() {
    let mut job = owner("Job", 0);
    job["spec"]["completions"] = 3.into();
    job["spec"]["parallelism"] = 1.into();
    let pods = made(&steps(Kind::Job, &job, &[]));
    assert_eq!(pods.len(), 3);
    assert_eq!(pods[0]["metadata"]["labels"], json!({"app": "web"}));
    assert_eq!(steps(Kind::Job, &job, &pods), []);
    job["spec"]["suspend"] = true.into();
    assert_eq!(steps(Kind::Job, &job, &[]), []);
}
