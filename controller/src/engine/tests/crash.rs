//! The daemon dies at every named place; the run goes on as if it had not.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use caravel_store::{
    AppKey, Delivery, DeliveryQuery, History, Journal, Memory, Page, Projection, Retention, Run,
    RunHead, RunId, Sqlite, StoreError,
};
use caravel_workflow::{Command, Entry, RunPhase};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::engine::{AbortAt, FAULTS, RunHandle, Snapshot};

use super::world::{Bench, StopAt, World, shown};

async fn counting_server() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&server)
        .await;
    server
}

fn steps(server: &MockServer, method: &str) -> Value {
    json!([
        {"name": "first", "type": "message", "properties": {"message": "one"}},
        {"name": "send", "type": "request", "properties": {"method": method, "url": server.uri()},
         "outputs": [{"name": "body", "valueFrom": "response.body"}]},
        {"name": "last", "type": "message", "inputs": [{"from": "body", "parameterKey": "message"}]},
    ])
}

/// Dies at a place of a run with one request, goes on, and tells how often the request arrived.
async fn requests_after_a_crash(
    bench: &Bench,
    place: &'static str,
    method: &str,
) -> (usize, Vec<String>) {
    let server = counting_server().await;
    let stop = Arc::new(StopAt {
        place: Some(place),
        ..StopAt::default()
    });
    let run = bench
        .begin_with(steps(&server, method), Arc::clone(&stop) as _)
        .await;
    stop.reached.notified().await;
    drop(run);
    let run = bench.resume().await;
    let end = bench.over(&run).await;
    (server.received_requests().await.unwrap().len(), shown(&end))
}

const DONE: [&str; 3] = ["first=succeeded one", "send=succeeded", "last=succeeded ok"];

#[tokio::test]
async fn a_recorded_request_is_never_sent_again() {
    // `request.sent` is the one place where nobody can know: the answer is lost with the process.
    for (place, method, times) in [
        ("step.evaluate", "POST", 1),
        ("request.intent", "POST", 1),
        ("request.sent", "POST", 2),
        ("request.result", "POST", 1),
        ("request.result", "GET", 1),
        ("step.report", "POST", 1),
        ("turn.durable", "POST", 1),
        ("run.finished", "POST", 1),
    ] {
        let found = requests_after_a_crash(&Bench::new(), place, method).await;
        assert_eq!(
            (found.0, found.1),
            (times, DONE.map(str::to_owned).to_vec()),
            "{place} {method}"
        );
    }
}

#[tokio::test]
async fn without_the_journal_it_would_be_sent_again() {
    // The same as above on a store that forgets: this is what makes the test above worth something.
    let forgetful = Arc::new(Forgetful(Memory::new()));
    let bench = Bench::with(forgetful, World::default());
    let (times, _) = requests_after_a_crash(&bench, "request.result", "POST").await;
    assert_eq!(times, 2);
}

#[tokio::test]
async fn at_most_once_where_a_definition_says_so() {
    let once = || {
        Bench::with(
            Arc::new(Memory::new()),
            World {
                at_most_once: true,
                ..World::default()
            },
        )
    };
    for place in ["request.intent", "request.sent"] {
        let (times, shown) = requests_after_a_crash(&once(), place, "POST").await;
        assert!(times <= 1, "{place}: sent {times} times");
        assert!(
            shown[1].starts_with("send=failed/Action function call error for req: "),
            "{shown:?}"
        );
        assert!(
            shown[1].contains("restart the step or terminate"),
            "{shown:?}"
        );
    }
    // What may be repeated is repeated.
    let (times, shown) = requests_after_a_crash(&once(), "request.sent", "GET").await;
    assert_eq!((times, shown[1].as_str()), (2, "send=succeeded"));
}

#[tokio::test]
async fn a_repeated_request_has_the_same_key() {
    let server = counting_server().await;
    let bench = Bench::new();
    let stop = Arc::new(StopAt {
        place: Some("request.sent"),
        ..StopAt::default()
    });
    let run = bench
        .begin_with(steps(&server, "POST"), Arc::clone(&stop) as _)
        .await;
    stop.reached.notified().await;
    drop(run);
    bench.over(&bench.resume().await).await;
    let requests = server.received_requests().await.unwrap();
    let keys: Vec<_> = requests
        .iter()
        .map(|one| one.headers.get("idempotency-key").cloned())
        .collect();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].is_some() && keys[0] == keys[1]);
}

#[tokio::test]
async fn a_waiting_step_looks_again_but_does_not_send_again() {
    for (method, most) in [("POST", 1), ("GET", usize::MAX)] {
        let server = counting_server().await;
        let bench = Bench::new();
        let run = bench
            .begin(json!([{"name": "a", "type": "request-then-wait",
                "properties": {"method": method, "url": server.uri()}}]))
            .await;
        let waits = |now: &Snapshot| shown(now) == ["a=running/Wait for the gate"];
        bench.until(&run, waits).await;
        for _ in 0..3 {
            run.nudge().await.unwrap();
            bench.until(&run, waits).await;
        }
        bench
            .world
            .put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gate"}}));
        bench.over(&run).await;
        let times = server.received_requests().await.unwrap().len();
        assert!((1..=most).contains(&times), "{method}: {times}");
        assert!(
            method == "POST" || times > 1,
            "a GET is a look, it is repeated"
        );
    }
}

#[tokio::test]
async fn a_suspended_run_is_suspended_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let open = || async {
        Sqlite::open(folder.path(), Retention::default())
            .await
            .unwrap()
    };
    let first = Arc::new(open().await);
    let steps = json!([{"name": "ask", "type": "suspend", "properties": {}}, {"name": "go", "type": "message"}]);
    let bench = Bench::with(Arc::clone(&first) as _, World::default());
    let run = bench.begin(steps).await;
    bench.until(&run, |now| now.status.suspend).await;
    drop(run);
    first.close().await;

    let bench = Bench::with(Arc::new(open().await), World::default());
    let run = bench.resume().await;
    assert_eq!(run.snapshot().phase, RunPhase::Suspending);
    run.command(
        Command::Resume {
            step: Some("ask".into()),
        },
        "alice",
    )
    .await
    .unwrap();
    assert_eq!(bench.over(&run).await.phase, RunPhase::Succeeded);
}

#[tokio::test]
async fn a_second_writer_stops_the_first() {
    let bench = Bench::new();
    let run = bench
        .begin(json!([{"name": "ask", "type": "suspend", "properties": {}}]))
        .await;
    bench.until(&run, |now| now.status.suspend).await;
    let other = bench.resume().await;
    other
        .command(Command::Resume { step: None }, "alice")
        .await
        .unwrap();
    assert_eq!(bench.over(&other).await.phase, RunPhase::Succeeded);
    assert!(run.command(Command::Terminate, "bob").await.is_err());
    let mut snapshots = run.snapshots();
    let broken = snapshots
        .wait_for(|now| now.broken.is_some())
        .await
        .unwrap();
    assert!(
        broken
            .broken
            .as_deref()
            .unwrap_or_default()
            .contains("somebody else wrote to it")
    );
}

/// Where the process of [`begins_a_run_and_dies`] finds the data folder and the server.
const FOLDER: &str = "CARAVEL_TEST_FOLDER";
const SERVER: &str = "CARAVEL_TEST_SERVER";

fn one_request(url: &str, method: &str) -> Value {
    json!([
        {"name": "send", "type": "request", "properties": {"method": method, "url": url}},
        {"name": "last", "type": "message", "properties": {"message": "end"}},
    ])
}

#[tokio::test]
#[ignore = "started by a_process_that_dies_is_continued_by_the_next, in a process of its own"]
async fn begins_a_run_and_dies() {
    let (Ok(folder), Ok(url)) = (std::env::var(FOLDER), std::env::var(SERVER)) else {
        return;
    };
    let store = Sqlite::open(folder.as_ref(), Retention::default())
        .await
        .unwrap();
    let bench = Bench::with(Arc::new(store), World::default());
    let faults = Arc::new(AbortAt::from_environment());
    let run = bench.begin_with(one_request(&url, "POST"), faults).await;
    bench.over(&run).await;
}

/// The same as above with a real process, a real file and a real end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_is_continued_by_the_next() {
    for (place, times) in [
        ("request.intent", 1),
        ("request.sent", 2),
        ("request.result", 1),
        ("run.finished", 1),
    ] {
        let server = counting_server().await;
        let folder = tempfile::tempdir().unwrap();
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            "engine::tests::crash::begins_a_run_and_dies",
            "--include-ignored",
        ]);
        child
            .env(FOLDER, folder.path())
            .env(SERVER, server.uri())
            .env(FAULTS, place);
        child
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let status = child.status().await.unwrap();
        assert!(!status.success(), "{place}: the process was to die there");

        let store = Sqlite::open(folder.path(), Retention::default())
            .await
            .unwrap();
        let bench = Bench::with(Arc::new(store), World::default());
        let end = bench.over(&bench.resume().await).await;
        assert_eq!(
            shown(&end),
            ["send=succeeded", "last=succeeded end"],
            "{place}"
        );
        assert_eq!(
            server.received_requests().await.unwrap().len(),
            times,
            "{place}"
        );
    }
}

/// A journal that is switched off: it says yes and keeps only how a run was opened.
struct Forgetful(Memory);

#[async_trait]
impl Journal for Forgetful {
    async fn open(&self, head: &RunHead, entries: Vec<Entry>) -> Result<(), StoreError> {
        self.0.open(head, entries).await
    }
    async fn append(&self, _: &RunId, _: u64, _: Vec<Entry>) -> Result<(), StoreError> {
        Ok(())
    }
    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, StoreError> {
        self.0.load(run).await
    }
    async fn latest(&self, app: &AppKey) -> Result<Option<Run>, StoreError> {
        self.0.latest(app).await
    }
    async fn runs(&self, app: &AppKey) -> Result<Vec<Run>, StoreError> {
        self.0.runs(app).await
    }
    async fn project(&self, run: &RunId, projection: &Projection) -> Result<(), StoreError> {
        self.0.project(run, projection).await
    }
    async fn keep(&self, app: &AppKey, key: &str, value: &Value) -> Result<(), StoreError> {
        self.0.keep(app, key, value).await
    }
    async fn kept(&self, app: &AppKey) -> Result<BTreeMap<String, Value>, StoreError> {
        self.0.kept(app).await
    }
    async fn forget(&self, app: &AppKey) -> Result<(), StoreError> {
        self.0.forget(app).await
    }
}

#[async_trait]
impl History for Forgetful {
    async fn record(&self, delivery: &Delivery) -> Result<(), StoreError> {
        self.0.record(delivery).await
    }
    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>, StoreError> {
        self.0.deliveries(query).await
    }
    async fn delivery(&self, run: &RunId) -> Result<Option<Delivery>, StoreError> {
        self.0.delivery(run).await
    }
}

/// A check of a metric that came out the same since the begin; time passes, and after a while the daemon dies.
async fn check_after_a_crash(bench: &Bench, before: u64, after: u64) -> (RunHandle, Vec<String>) {
    let properties =
        json!({"query": "q", "condition": "<5", "duration": "60s", "failDuration": "60s"});
    let run = bench
        .begin(json!([{"name": "a", "type": "check", "properties": properties}]))
        .await;
    let waits = |now: &Snapshot| shown(now)[0].starts_with("a=running/Wait The ");
    bench.until(&run, waits).await;
    bench.clock.advance(Duration::from_secs(before));
    drop(run);
    let run = bench.resume().await;
    bench.clock.advance(Duration::from_secs(after));
    // The attempt that was under way, or the next one.
    let _ = run.nudge().await;
    let looked = |now: &Snapshot| now.phase.is_over() || shown(now)[0].contains("for 5");
    let end = bench.until(&run, looked).await;
    (run, shown(&end))
}

#[tokio::test]
async fn a_condition_on_a_metric_holds_on_after_a_restart() {
    let bench = Bench::new();
    let (_, shown) = check_after_a_crash(&bench, 40, 22).await;
    assert_eq!(shown, ["a=succeeded"]);

    let bench = Bench::new();
    bench.world.is_slow.store(true, Ordering::SeqCst);
    let (_, shown) = check_after_a_crash(&bench, 40, 22).await;
    assert!(
        shown[0].starts_with("a=failed/Action The healthy condition could not be met for 6"),
        "{shown:?}"
    );
}

#[tokio::test]
async fn a_condition_that_fails_once_begins_anew() {
    let bench = Bench::new();
    let (run, told) = check_after_a_crash(&bench, 40, 12).await;
    assert!(told[0].contains("has been maintained for 5"), "{told:?}");
    bench.world.is_slow.store(true, Ordering::SeqCst);
    run.nudge().await.unwrap();
    let fails = |now: &Snapshot| shown(now)[0].contains("does not meet");
    bench.until(&run, fails).await;
    bench.world.is_slow.store(false, Ordering::SeqCst);
    run.nudge().await.unwrap();
    let again = |now: &Snapshot| shown(now)[0].contains("maintained for ");
    let now = bench.until(&run, again).await;
    assert!(!shown(&now)[0].contains("maintained for 5"), "{now:?}");
}
