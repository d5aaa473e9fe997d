//! A controller whose watches are two seconds late decides nothing twice, and nothing wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

use crate::house::House;

const LAG: Duration = Duration::from_secs(2);

/// An Application with these workers and images.
fn application(workers: &[(&str, &str)]) -> Value {
    let components: Vec<Value> = workers
        .iter()
        .map(
            |(name, image)| json!({"name": name, "type": "worker", "properties": {"image": image}}),
        )
        .collect();
    json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"components": components},
    })
}

/// How often each object was created and deleted, as a watch tells that is not late.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, (usize, usize)>>>);

impl Seen {
    /// Follows a kind from now on.
    async fn follow(api: Api<DynamicObject>) -> Self {
        let seen = Self::default();
        let version = api.list(&ListParams::default()).await.unwrap();
        let version = version.metadata.resource_version.unwrap();
        let all = seen.0.clone();
        tokio::spawn(async move {
            let events = api.watch(&WatchParams::default(), &version).await.unwrap();
            let mut events = events.boxed();
            while let Some(Ok(event)) = events.next().await {
                let mut all = all.lock().unwrap();
                match event {
                    WatchEvent::Added(object) => all.entry(object.name_any()).or_default().0 += 1,
                    WatchEvent::Deleted(object) => all.entry(object.name_any()).or_default().1 += 1,
                    _ => {}
                }
            }
        });
        seen
    }

    fn counts(&self) -> BTreeMap<String, (usize, usize)> {
        self.0.lock().unwrap().clone()
    }
}

fn counts(of: &[(&str, (usize, usize))]) -> BTreeMap<String, (usize, usize)> {
    of.iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_come_faster_than_they_are_seen_make_no_second_revision_and_prune_nothing_wrong()
 {
    let house = House::start(LAG).await;
    let deployments = Seen::follow(house.api("apps", "v1", "Deployment")).await;
    let revisions = Seen::follow(house.api("core.oam.dev", "v1beta1", "ApplicationRevision")).await;
    house
        .apply(&application(&[("a", "busybox:1"), ("b", "busybox:1")]))
        .await;
    house.delivered("shop").await;
    // Both come before the first of them is seen. `b` goes and comes back; `c` comes.
    house.apply(&application(&[("a", "busybox:2")])).await;
    house
        .apply(&application(&[
            ("a", "busybox:2"),
            ("b", "busybox:1"),
            ("c", "busybox:1"),
        ]))
        .await;
    house.delivered("shop").await;
    // And one that is seen by itself: `b` goes for good.
    tokio::time::sleep(LAG).await;
    house
        .apply(&application(&[("a", "busybox:2"), ("c", "busybox:1")]))
        .await;
    let found = house.delivered("shop").await;
    // Whatever is still on its way is seen, and changes nothing.
    tokio::time::sleep(LAG * 2).await;
    let later = house.applications().get("shop").await.unwrap();
    assert_eq!(
        later.resource_version(),
        found.resource_version(),
        "it is at rest"
    );
    assert_eq!(house.names("apps", "v1", "Deployment").await, ["a", "c"]);
    let deployed = deployments.counts();
    assert_eq!(deployed["a"], (1, 0), "{deployed:?}");
    assert_eq!(deployed["c"], (1, 0), "{deployed:?}");
    let (made, gone) = deployed["b"];
    assert_eq!(made, gone, "{deployed:?}");
    assert!(made <= 2, "{deployed:?}");
    let made = revisions.counts();
    assert!((3..=4).contains(&made.len()), "{made:?}");
    assert!(made.values().all(|count| *count == (1, 0)), "{made:?}");
    let latest = &found.data["status"]["latestRevision"]["revision"];
    assert_eq!(*latest, json!(made.len()), "{made:?}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_deletes_comes_back_once() {
    let house = House::start(LAG).await;
    let deployments = Seen::follow(house.api("apps", "v1", "Deployment")).await;
    house
        .apply(&application(&[("a", "busybox:1"), ("b", "busybox:1")]))
        .await;
    house.delivered("shop").await;
    let api = house.api("apps", "v1", "Deployment");
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let wanted = counts(&[("a", (2, 1)), ("b", (1, 0))]);
    let end = tokio::time::Instant::now() + Duration::from_mins(1);
    while deployments.counts() != wanted {
        assert!(
            tokio::time::Instant::now() < end,
            "{:?}",
            deployments.counts()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The deletion is seen when the object is back already.
    tokio::time::sleep(LAG * 2).await;
    assert_eq!(deployments.counts(), wanted);
    house.stop().await;
}
