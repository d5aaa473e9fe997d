//! A hub that refuses is not asked again and again, and who waits is told; once it takes writes, all goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::house::House;

/// Refuses to make revisions of Applications, with a status code, as long as that is not zero.
#[derive(Clone, Default)]
struct Refusal {
    code: Arc<AtomicU16>,
    times: Arc<AtomicUsize>,
}

impl Refusal {
    fn before(&self, hub: Client) -> Client {
        let refusal = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (hub, refusal) = (hub.clone(), refusal.clone());
            async move {
                match refusal.of(&request) {
                    Some(code) => Ok(answer(code)),
                    None => hub.send(request).await,
                }
            }
        });
        Client::new(service, "default")
    }

    fn of(&self, request: &http::Request<Body>) -> Option<u16> {
        let code = self.code.load(Ordering::SeqCst);
        let is_meant = request.method() == http::Method::POST
            && request.uri().path().ends_with("/applicationrevisions");
        if code == 0 || !is_meant {
            return None;
        }
        self.times.fetch_add(1, Ordering::SeqCst);
        Some(code)
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::SeqCst)
    }
}

fn answer(code: u16) -> http::Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "the disk is full", "reason": "InternalError", "code": code,
    });
    let body = Body::from(status.to_string().into_bytes());
    http::Response::builder().status(code).body(body).unwrap()
}

fn application(image: &str) -> Value {
    json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"components": [{"name": "a", "type": "worker", "properties": {"image": image}}]},
    })
}

/// A condition of the Application, once its message has some words in it.
async fn told(house: &House, type_: &str, words: &str) -> Value {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let found = house.applications().get("shop").await.unwrap();
        let conditions = found.data["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let meant = conditions.find(|one| {
            let message = one["message"].as_str().unwrap_or_default();
            one["type"] == type_ && message.contains(words)
        });
        if let Some(meant) = meant {
            return meant.clone();
        }
        assert!(Instant::now() < end, "{:#}", found.data["status"]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_refuses_is_asked_less_and_less_often() {
    let refusal = Refusal::default();
    let house = House::start_behind(|hub| refusal.before(hub)).await;
    refusal.code.store(500, Ordering::SeqCst);
    house.apply(&application("busybox:1")).await;
    let ready = told(
        &house,
        "Ready",
        "the hub answers with 500: the disk is full",
    )
    .await;
    assert_eq!(ready["status"], "False");
    let before = refusal.times();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let times = refusal.times() - before;
    assert!((1..=4).contains(&times), "asked {times} times in 8 s");

    // Who changes something does not wait for it.
    let before = refusal.times();
    house.apply(&application("busybox:2")).await;
    let end = Instant::now() + Duration::from_secs(2);
    while refusal.times() == before {
        assert!(Instant::now() < end, "a change is tried at once");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    refusal.code.store(0, Ordering::SeqCst);
    house.apply(&application("busybox:3")).await;
    let found = house.delivered("shop").await;
    let conditions = found.data["status"]["conditions"].as_array().unwrap();
    assert!(
        conditions.iter().all(|one| one["type"] != "Synced"),
        "{conditions:#?}"
    );
    house.stop().await;
}
