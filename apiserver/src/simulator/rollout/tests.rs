use super::*;

fn deployment(image: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": "default", "uid": "d",
            "annotations": {"kubernetes.io/change-cause": image, "kubectl.kubernetes.io/last-applied-configuration": "x"},
        },
        "spec": {
            "replicas": replicas, "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
    })
}

/// A cluster of one Deployment, in which everything is ready as soon as it is asked for.
#[derive(Default)]
struct World(Vec<Value>);

impl World {
    fn settle(&mut self, deployment: &mut Value) {
        for _ in 0..10 {
            let steps = steps(deployment, &self.0);
            if steps.is_empty() {
                return;
            }
            for step in steps {
                self.take(step, deployment);
            }
            for set in &mut self.0 {
                let replicas = set["spec"]["replicas"].clone();
                set["status"] = json!({"replicas": replicas, "availableReplicas": replicas});
            }
        }
        panic!("it never rests: {:?}", steps(deployment, &self.0));
    }

    fn take(&mut self, step: Step, deployment: &mut Value) {
        match step {
            Step::Create(set) => {
                assert!(
                    self.0
                        .iter()
                        .all(|other| other["metadata"]["name"] != set["metadata"]["name"])
                );
                self.0.push(set);
            }
            Step::Patch { name, patch } => {
                let set = self
                    .0
                    .iter_mut()
                    .find(|set| set["metadata"]["name"] == name.as_str());
                *set.unwrap() = caravel_merge::patch::merge(set.as_ref().unwrap(), &patch).unwrap();
            }
            Step::Delete(name) => self
                .0
                .retain(|set| set["metadata"]["name"] != name.as_str()),
            Step::Annotate(annotations) => {
                let patch = json!({"metadata": {"annotations": annotations}});
                *deployment = caravel_merge::patch::merge(deployment, &patch).unwrap();
            }
        }
    }

    /// Image, revision and replicas, by revision.
    fn shown(&self) -> Vec<(String, i64, i64)> {
        let mut shown: Vec<_> = self
            .0
            .iter()
            .map(|set| {
                let image = &set["spec"]["template"]["spec"]["containers"][0]["image"];
                (
                    image.as_str().unwrap().to_owned(),
                    revision(set),
                    replicas(set),
                )
            })
            .collect();
        shown.sort_by_key(|(_, revision, _)| *revision);
        shown
    }
}

fn row(image: &str, revision: i64, replicas: i64) -> (String, i64, i64) {
    (image.to_owned(), revision, replicas)
}

#[test]
fn each_template_has_a_revision_and_going_back_makes_it_the_newest() {
    let mut world = World::default();
    let mut first = deployment("a", 3);
    world.settle(&mut first);
    assert_eq!(world.shown(), [row("a", 1, 3)]);
    let set = &world.0[0];
    let hash = set["metadata"]["labels"][HASH].as_str().unwrap();
    assert_eq!(set["metadata"]["name"], format!("web-{hash}"));
    assert_eq!(
        set["spec"]["selector"]["matchLabels"],
        json!({"app": "web", HASH: hash})
    );
    assert_eq!(
        set["spec"]["template"]["metadata"]["labels"],
        json!({"app": "web", HASH: hash})
    );
    assert_eq!(
        set["metadata"]["annotations"],
        json!({"kubernetes.io/change-cause": "a", REVISION: "1", DESIRED: "3", MAXIMUM: "4"})
    );
    assert_eq!(first["metadata"]["annotations"][REVISION], "1");

    let mut second = deployment("b", 3);
    world.settle(&mut second);
    assert_eq!(world.shown(), [row("a", 1, 0), row("b", 2, 3)]);

    let mut back = deployment("a", 3);
    world.settle(&mut back);
    assert_eq!(world.shown(), [row("b", 2, 0), row("a", 3, 3)]);
    let annotations = &world.0[0]["metadata"]["annotations"];
    assert_eq!(annotations[HISTORY], "1");

    let mut scaled = deployment("a", 5);
    world.settle(&mut scaled);
    assert_eq!(world.shown(), [row("b", 2, 0), row("a", 3, 5)]);
}

#[test]
fn what_runs_stays_until_the_new_one_is_available() {
    let mut world = World::default();
    world.settle(&mut deployment("a", 3));
    let next = deployment("b", 3);
    let made = steps(&next, &world.0);
    assert!(
        matches!(&made[0], Step::Create(set) if set["spec"]["replicas"] == 1),
        "{made:?}"
    );
    for step in made {
        world.take(step, &mut next.clone());
    }
    let mut next = next;
    next["metadata"]["annotations"][REVISION] = "2".into();
    assert_eq!(
        steps(&next, &world.0),
        [],
        "it is not available, so nothing more happens"
    );
    assert_eq!(world.shown(), [row("a", 1, 3), row("b", 2, 1)]);
}

#[test]
fn the_history_has_an_end_and_a_pause_begins_nothing() {
    let mut world = World::default();
    for image in ["a", "b", "c", "d"] {
        world.settle(&mut deployment(image, 1));
    }
    assert_eq!(
        world.shown(),
        [row("b", 2, 0), row("c", 3, 0), row("d", 4, 1)]
    );
    let mut paused = deployment("e", 2);
    paused["spec"]["paused"] = true.into();
    world.settle(&mut paused);
    assert_eq!(
        world.shown(),
        [row("b", 2, 0), row("c", 3, 0), row("d", 4, 2)]
    );
}

#[test]
fn what_somebody_else_controls_is_left_alone() {
    let mut world = World::default();
    world.settle(&mut deployment("a", 1));
    let mut other = deployment("b", 1);
    other["metadata"]["uid"] = "other".into();
    let made = steps(&other, &world.0);
    assert!(
        matches!(made.as_slice(), [Step::Create(_), Step::Annotate(_)]),
        "{made:?}"
    );
}
