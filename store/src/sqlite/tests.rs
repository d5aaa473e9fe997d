use std::sync::Arc;

use caravel_workflow::{Event, Outcome, Record, RunSpec, State, StepRef};
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use sqlx::Connection as _;

use super::*;
use crate::{Cursor, Memory};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn app(name: &str) -> AppKey {
    AppKey {
        namespace: "prod".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
    }
}

fn head(id: &str, name: &str, seconds: i64) -> RunHead {
    let revision = format!("{name}-v1");
    RunHead {
        id: RunId(id.into()),
        app: app(name),
        revision,
        opened: at(seconds),
    }
}

/// The journal of a run of one step whose output is a secret.
fn journal() -> Vec<Entry> {
    let spec: RunSpec = serde_json::from_value(json!({
        "appRevision": "web-v1", "seed": 1, "steps": [
            {"name": "a", "type": "t", "properties": {"token": "s3cr3t"},
             "outputs": [{"name": "x", "valueFrom": "v"}]}]}))
    .unwrap();
    let events = [
        Event::Begin,
        Event::Answer {
            step: StepRef(0),
            attempt: 1,
            call: "req".into(),
            digest: "d".into(),
            value: json!({"body": "s3cr3t"}),
            keep: true,
        },
        Event::Ended {
            step: StepRef(0),
            attempt: 1,
            outcome: Outcome::Succeeded {
                message: "done".into(),
                outputs: [("x".into(), json!("s3cr3t"))].into(),
            },
        },
    ];
    let mut entries = vec![Entry {
        seq: 0,
        at: at(0),
        record: Record::Opened(Box::new(spec)),
    }];
    for (seq, event) in (1..).zip(events) {
        entries.push(Entry {
            seq,
            at: at(1),
            record: Record::Event(event),
        });
    }
    entries
}

async fn store(folder: &TempDir) -> Sqlite {
    Sqlite::open(
        folder.path(),
        Retention {
            journals: 2,
            deliveries: 3,
        },
    )
    .await
    .unwrap()
}

fn delivery(id: &str, name: &str, seconds: i64, result: &str) -> Delivery {
    let entries = journal();
    let state: State = caravel_workflow::rebuild(entries).unwrap().state;
    let mut delivery = Delivery::of(&head(id, name, seconds), &state);
    delivery.started = at(seconds);
    delivery.ended = Some(at(seconds + 5));
    delivery.result = result.into();
    delivery
}

/// The rules that both stores keep.
async fn keeps_the_rules(store: &dyn crate::Store) {
    let entries = journal();
    let run = RunId("r1".into());
    store
        .open(&head("r1", "web", 0), entries[..2].to_vec())
        .await
        .unwrap();
    let twice = store
        .open(&head("r1", "web", 0), Vec::new())
        .await
        .unwrap_err();
    assert!(matches!(twice, StoreError::RunExists(_)));
    let stale = store
        .append(&run, 1, entries[2..].to_vec())
        .await
        .unwrap_err();
    assert!(
        matches!(
            stale,
            StoreError::Conflict {
                expected: 1,
                found: 2,
                ..
            }
        ),
        "{stale}"
    );
    store.append(&run, 2, entries[2..].to_vec()).await.unwrap();
    assert_eq!(store.load(&run).await.unwrap(), entries);
    let rebuilt = store.rebuild(&run).await.unwrap();
    assert_eq!(rebuilt.next, 4);
    assert!(rebuilt.state.phase().is_over());
    let unknown = RunId("zz".into());
    assert!(matches!(
        store.load(&unknown).await,
        Err(StoreError::NoRun(_))
    ));
    assert!(matches!(
        store.append(&unknown, 0, Vec::new()).await,
        Err(StoreError::NoRun(_))
    ));

    let projection = Projection {
        resource_version: "12".into(),
        status: json!({"suspend": true}),
    };
    store.project(&run, &projection).await.unwrap();
    store
        .open(&head("r2", "web", 10), entries[..1].to_vec())
        .await
        .unwrap();
    let runs = store.runs(&app("web")).await.unwrap();
    assert_eq!(
        runs.iter()
            .map(|run| run.head.id.0.as_str())
            .collect::<Vec<_>>(),
        ["r2", "r1"]
    );
    assert_eq!(runs[1].projection.as_ref(), Some(&projection));
    assert_eq!(runs[1].entries, 4);
    assert_eq!(
        store.latest(&app("web")).await.unwrap().unwrap().head,
        head("r2", "web", 10)
    );
    let reborn = AppKey {
        uid: "other".into(),
        ..app("web")
    };
    assert_eq!(store.latest(&reborn).await.unwrap(), None);
}

async fn keeps_components(store: &dyn crate::Store) {
    let secret = json!({"password": "s3cr3t"});
    store
        .keep(&app("web"), "db@/prod", &json!(1))
        .await
        .unwrap();
    store.keep(&app("web"), "db@/prod", &secret).await.unwrap();
    store
        .keep(&app("api"), "db@/prod", &json!(2))
        .await
        .unwrap();
    let kept = store.kept(&app("web")).await.unwrap();
    assert_eq!(kept, [("db@/prod".to_owned(), secret)].into());
    store.forget(&app("api")).await.unwrap();
    assert_eq!(store.kept(&app("api")).await.unwrap(), [].into());
    assert_eq!(store.kept(&app("web")).await.unwrap().len(), 1);
}

async fn keeps_the_newest(store: &dyn crate::Store) {
    let entries = journal();
    for (id, seconds) in [("r1", 0), ("r2", 10)] {
        let head = head(id, "web", seconds);
        store.open(&head, entries[..1].to_vec()).await.unwrap();
    }
    // Two journals and three deliveries are kept; a run that goes on is never removed.
    for (id, seconds) in [("r3", 20), ("r4", 30), ("r5", 40)] {
        store
            .open(&head(id, "web", seconds), entries[..1].to_vec())
            .await
            .unwrap();
        store
            .record(&delivery(id, "web", seconds, "succeeded"))
            .await
            .unwrap();
    }
    let mut running = delivery("r2", "web", 10, "executing");
    running.ended = None;
    store.record(&running).await.unwrap();
    store
        .record(&delivery("r1", "web", 0, "failed"))
        .await
        .unwrap();
    let kept = store.runs(&app("web")).await.unwrap();
    let kept: Vec<_> = kept
        .iter()
        .map(|run| (run.head.id.0.as_str(), run.closed))
        .collect();
    assert_eq!(kept, [("r5", true), ("r4", true), ("r2", false)]);
    store
        .record(&delivery("a1", "api", 35, "failed"))
        .await
        .unwrap();
    finds_deliveries(store).await;
}

async fn finds_deliveries(store: &dyn crate::Store) {
    let ids = |page: &Page<Delivery>| {
        page.items
            .iter()
            .map(|one| one.run.0.clone())
            .collect::<Vec<_>>()
    };
    let mut query = DeliveryQuery {
        limit: Some(2),
        ..DeliveryQuery::default()
    };
    let first = store.deliveries(&query).await.unwrap();
    assert_eq!(ids(&first), ["r5", "a1"]);
    assert!(first.items[0].steps.is_empty());
    query.after = first.next;
    assert_eq!(
        query.after,
        Some(Cursor {
            started: at(35).as_millisecond(),
            run: RunId("a1".into())
        })
    );
    let second = store.deliveries(&query).await.unwrap();
    assert_eq!(
        (ids(&second), second.next),
        (vec!["r4".to_owned(), "r3".to_owned()], None)
    );
    let failed = DeliveryQuery {
        result: Some("failed".into()),
        ..DeliveryQuery::default()
    };
    assert_eq!(ids(&store.deliveries(&failed).await.unwrap()), ["a1"]);
    let since = DeliveryQuery {
        name: Some("web".into()),
        since: Some(at(30)),
        until: Some(at(40)),
        ..DeliveryQuery::default()
    };
    assert_eq!(ids(&store.deliveries(&since).await.unwrap()), ["r4"]);
    let whole = store.delivery(&RunId("r5".into())).await.unwrap().unwrap();
    assert_eq!(whole, delivery("r5", "web", 40, "succeeded"));
    assert_eq!(
        (
            whole.steps[0].name.as_str(),
            whole.steps[0].message.as_str()
        ),
        ("a", "done")
    );

    store.forget(&app("web")).await.unwrap();
    assert_eq!(store.runs(&app("web")).await.unwrap(), []);
    assert!(store.delivery(&RunId("r5".into())).await.unwrap().is_some());
}

#[tokio::test]
async fn on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    keeps_components(&store).await;
    keeps_the_rules(&store).await;
    store.forget(&app("web")).await.unwrap();
    keeps_the_newest(&store).await;
}

#[tokio::test]
async fn in_memory() {
    let store = Memory::with_retention(Retention {
        journals: 2,
        deliveries: 3,
    });
    keeps_components(&store).await;
    keeps_the_rules(&store).await;
    store.forget(&app("web")).await.unwrap();
    keeps_the_newest(&store).await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_another_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(&folder).await;
    first.open(&head("r1", "web", 0), journal()).await.unwrap();
    let second = Sqlite::open(folder.path(), Retention::default())
        .await
        .unwrap_err();
    assert!(
        second.to_string().contains("in use by another caravel"),
        "{second}"
    );
    first.close().await;
    assert!(matches!(
        first.append(&RunId("r1".into()), 4, Vec::new()).await,
        Err(StoreError::Closed)
    ));
    let again = store(&folder).await;
    assert_eq!(again.load(&RunId("r1".into())).await.unwrap(), journal());
}

#[tokio::test]
async fn secrets_are_not_readable_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(&folder).await;
    first.open(&head("r1", "web", 0), journal()).await.unwrap();
    let secret = json!({"password": "s3cr3t"});
    first.keep(&app("web"), "db@/prod", &secret).await.unwrap();
    first.close().await;
    let mut files = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"s3cr3t"));
        files += usize::from(bytes.windows(5).any(|part| part == b"begin"));
    }
    assert!(files > 0, "the entries that hold no secret are plain");
}

#[tokio::test]
async fn a_lost_key_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder).await.close().await;
    std::fs::remove_file(folder.path().join(crate::KEY_FILE)).unwrap();
    for _ in 0..2 {
        let error = Sqlite::open(folder.path(), Retention::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("the key is missing"), "{error}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder).await.close().await;
    let options = SqliteConnectOptions::new().filename(folder.path().join(DATABASE_FILE));
    let mut connection = options.connect().await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET version = 999 WHERE version = 1")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let error = Sqlite::open(folder.path(), Retention::default())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("written by a newer caravel (schema 999"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_the_disk_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let shared = Arc::new(
        Sqlite::open(folder.path(), Retention::default())
            .await
            .unwrap(),
    );
    let mut tasks = Vec::new();
    for run in 0..40 {
        let store = Arc::clone(&shared);
        tasks.push(tokio::spawn(async move {
            let id = format!("r{run}");
            let entries = journal();
            store
                .open(&head(&id, &id, run), entries[..1].to_vec())
                .await
                .unwrap();
            for (place, entry) in entries.iter().enumerate().skip(1) {
                let one = vec![entry.clone()];
                store
                    .append(&RunId(id.clone()), place as u64, one)
                    .await
                    .unwrap();
            }
            // One writer's mistake does not harm the others of its batch.
            assert!(store.append(&RunId(id), 1, Vec::new()).await.is_err());
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for run in 0..40 {
        assert_eq!(
            shared.load(&RunId(format!("r{run}"))).await.unwrap(),
            journal()
        );
    }
}
