use std::path::Path;

use serde_json::json;

use super::*;

fn draft(name: &str, data: i64) -> Draft {
    let labels = json!({"parity": if data % 2 == 0 { "even" } else { "odd" }});
    Draft::encode(&json!({"metadata": {"name": name, "labels": labels}, "data": data})).unwrap()
}

fn key(name: &str) -> Key {
    Key::new("things", "ns", name)
}

async fn create(store: &Store, name: &str, data: i64) -> Result<Arc<Object>, WriteError> {
    store
        .write(Write {
            key: key(name),
            expect: Expect::Absent,
            action: Action::Put(draft(name, data)),
        })
        .await
}

async fn change(
    store: &Store,
    name: &str,
    version: u64,
    data: i64,
) -> Result<Arc<Object>, WriteError> {
    let action = Action::Put(draft(name, data));
    store
        .write(Write {
            key: key(name),
            expect: Expect::Version(version),
            action,
        })
        .await
}

async fn remove(store: &Store, name: &str, version: u64) -> Result<Arc<Object>, WriteError> {
    let action = Action::Delete(draft(name, 0));
    store
        .write(Write {
            key: key(name),
            expect: Expect::Version(version),
            action,
        })
        .await
}

async fn memory() -> Store {
    Store::open(Box::new(Memory), Retention::default())
        .await
        .unwrap()
}

async fn sqlite(folder: &Path) -> Store {
    Store::open(
        Box::new(Sqlite::open(folder).await.unwrap()),
        Retention::default(),
    )
    .await
    .unwrap()
}

fn names(listed: &Listed) -> Vec<(&str, i64)> {
    listed
        .objects
        .iter()
        .map(|object| (&*object.key.name, object.value()["data"].as_i64().unwrap()))
        .collect()
}

#[tokio::test]
async fn writes_are_compared_and_swapped() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory().await, sqlite(folder.path()).await] {
        let one = create(&store, "a", 1).await.unwrap();
        assert!(matches!(
            create(&store, "a", 2).await,
            Err(WriteError::Exists)
        ));
        assert!(matches!(
            change(&store, "b", 1, 2).await,
            Err(WriteError::Missing)
        ));
        let two = change(&store, "a", one.version, 2).await.unwrap();
        assert_eq!(two.version, one.version + 1);
        assert!(
            matches!(change(&store, "a", one.version, 3).await, Err(WriteError::Changed(now)) if now == two.version)
        );
        assert!(matches!(
            remove(&store, "a", one.version).await,
            Err(WriteError::Changed(_))
        ));
        remove(&store, "a", two.version).await.unwrap();
        assert!(store.get(&key("a")).is_none());
        assert_eq!(store.version(), two.version + 1);
    }
}

#[tokio::test]
async fn a_thousand_writers_lose_nothing_and_leave_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    for store in [memory().await, sqlite(folder.path()).await] {
        let first = create(&store, "counter", 0).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let store = store.clone();
            tasks.spawn(async move {
                loop {
                    let live = store.get(&key("counter")).unwrap();
                    let next = live.value()["data"].as_i64().unwrap() + 1;
                    match change(&store, "counter", live.version, next).await {
                        Ok(_) => return,
                        Err(WriteError::Changed(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        tasks.join_all().await;
        let live = store.get(&key("counter")).unwrap();
        assert_eq!(live.value()["data"], 200);
        assert_eq!(live.version, first.version + 200);
    }
}

#[tokio::test]
async fn the_past_can_be_listed_until_it_is_compacted() {
    let store = memory().await;
    let a = create(&store, "a", 1).await.unwrap();
    create(&store, "b", 2).await.unwrap();
    let past = store.version();
    change(&store, "a", a.version, 10).await.unwrap();
    create(&store, "c", 3).await.unwrap();
    let b = store.get(&key("b")).unwrap();
    remove(&store, "b", b.version).await.unwrap();

    let all = |_: &Object| true;
    let then = Range {
        at: Some(past),
        ..Range::default()
    };
    assert_eq!(
        names(&store.list("things", &then, all).unwrap()),
        [("a", 1), ("b", 2)]
    );
    assert_eq!(
        names(&store.list("things", &Range::default(), all).unwrap()),
        [("a", 10), ("c", 3)]
    );

    let page = Range {
        at: Some(past),
        limit: 1,
        ..Range::default()
    };
    let first = store.list("things", &page, all).unwrap();
    assert_eq!(
        (names(&first), first.rest, first.version),
        (vec![("a", 1)], 1, past)
    );
    let next = Range {
        after: Some(("ns".into(), "a".into())),
        ..page.clone()
    };
    assert_eq!(
        names(&store.list("things", &next, all).unwrap()),
        [("b", 2)]
    );

    let elsewhere = Range {
        namespace: Some("other".into()),
        ..Range::default()
    };
    assert!(
        store
            .list("things", &elsewhere, all)
            .unwrap()
            .objects
            .is_empty()
    );

    store.compact(store.version()).await.unwrap();
    let error = store.list("things", &then, all).unwrap_err();
    assert_eq!(error.wanted, past);
    assert!(store.watch("things", past).is_err());
}

#[tokio::test]
async fn a_watch_sees_every_write_in_order_and_knows_how_far_it_is() {
    let store = memory().await;
    let start = store.version();
    let mut watch = store.watch("things", start).unwrap();
    assert_eq!(watch.caught_up(), Some(start));
    let a = create(&store, "a", 1).await.unwrap();
    let b = change(&store, "a", a.version, 2).await.unwrap();
    remove(&store, "a", b.version).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(watch.next().await.unwrap());
    }
    let kinds: Vec<_> = seen
        .iter()
        .map(|change| (change.kind, change.version() - start))
        .collect();
    assert_eq!(
        kinds,
        [
            (ChangeKind::Added, 1),
            (ChangeKind::Modified, 2),
            (ChangeKind::Deleted, 3)
        ]
    );
    assert_eq!(seen[1].previous.as_ref().unwrap().version, a.version);

    store
        .write(Write {
            key: Key::new("others", "", "x"),
            expect: Expect::Absent,
            action: Action::Put(draft("x", 1)),
        })
        .await
        .unwrap();
    assert_eq!(
        watch.caught_up(),
        Some(start + 4),
        "writes to other resources move an idle watch on"
    );
}

#[tokio::test]
async fn a_slow_watch_is_told_that_it_missed_events() {
    let store = memory().await;
    let mut watch = store.watch("things", 0).unwrap();
    create(&store, "a", 1).await.unwrap();
    store.compact(store.version()).await.unwrap();
    assert!(watch.next().await.is_err());
}

#[tokio::test]
async fn everything_survives_a_restart_and_watches_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    let a = create(&store, "a", 1).await.unwrap();
    let b = create(&store, "b", 2).await.unwrap();
    change(&store, "a", a.version, 3).await.unwrap();
    remove(&store, "b", b.version).await.unwrap();
    let version = store.version();
    store.close().await;
    assert!(matches!(
        create(&store, "late", 1).await,
        Err(WriteError::Closed)
    ));
    drop(store);

    let store = sqlite(folder.path()).await;
    assert_eq!(store.version(), version);
    assert_eq!(
        names(&store.list("things", &Range::default(), |_| true).unwrap()),
        [("a", 3)]
    );
    assert_eq!(
        store.get(&key("a")).unwrap().labels.get("parity"),
        Some("odd")
    );
    let mut watch = store.watch("things", a.version).unwrap();
    let missed: Vec<_> = watch
        .next()
        .await
        .unwrap()
        .iter()
        .map(|change| change.kind)
        .collect();
    assert_eq!(
        missed,
        [ChangeKind::Added, ChangeKind::Modified, ChangeKind::Deleted]
    );
    assert_eq!(create(&store, "c", 1).await.unwrap().version, version + 1);
}

#[tokio::test]
async fn compaction_keeps_what_exists_and_never_gives_a_version_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = sqlite(folder.path()).await;
    create(&store, "keep", 1).await.unwrap();
    let gone = create(&store, "gone", 2).await.unwrap();
    remove(&store, "gone", gone.version).await.unwrap();
    let version = store.version();
    store.compact(version).await.unwrap();
    store.close().await;
    drop(store);

    let store = sqlite(folder.path()).await;
    assert_eq!(store.version(), version);
    assert_eq!(
        names(&store.list("things", &Range::default(), |_| true).unwrap()),
        [("keep", 1)]
    );
    assert!(store.watch("things", version - 1).is_err());
    assert_eq!(create(&store, "new", 1).await.unwrap().version, version + 1);
}

#[tokio::test]
async fn a_folder_serves_one_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let first = sqlite(folder.path()).await;
    let error = Sqlite::open(folder.path()).await.unwrap_err();
    assert!(
        error.to_string().contains("is in use by another daemon"),
        "{error}"
    );
    first.close().await;
    drop(first);
    // The lock goes with the writer task, which ends after it has answered `close`.
    while Sqlite::open(folder.path()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_stored_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = sqlite(&data).await;
    create(&store, "a", 1).await.unwrap();
    assert_eq!(
        std::fs::metadata(&data).unwrap().permissions().mode() & 0o077,
        0
    );
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("hub.db") {
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?}", entry.path());
        }
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    use sqlx::{ConnectOptions, Connection};
    let folder = tempfile::tempdir().unwrap();
    let mut backend = Sqlite::open(folder.path()).await.unwrap();
    backend.close().await;
    drop(backend);
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.path().join("hub.db"))
        .connect()
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (999, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let error = Sqlite::open(folder.path()).await.unwrap_err();
    assert!(
        matches!(error, BackendError::Newer { found: 999, .. }),
        "{error}"
    );
}

/// A backend whose disk is full from time to time.
struct Full(Arc<AtomicBool>);

#[async_trait::async_trait]
impl Backend for Full {
    async fn load(&mut self) -> Result<Loaded, BackendError> {
        Ok(Loaded::default())
    }

    async fn commit(&mut self, _: &[Change]) -> Result<(), BackendError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(BackendError::Database(sqlx::Error::WorkerCrashed));
        }
        Ok(())
    }

    async fn compact(&mut self, _: u64) -> Result<(), BackendError> {
        Ok(())
    }

    async fn close(&mut self) {}
}

#[tokio::test]
async fn a_write_that_is_not_durable_did_not_happen() {
    let full = Arc::new(AtomicBool::new(false));
    let store = Store::open(Box::new(Full(Arc::clone(&full))), Retention::default())
        .await
        .unwrap();
    let a = create(&store, "a", 1).await.unwrap();
    full.store(true, Ordering::Relaxed);
    assert!(matches!(
        change(&store, "a", a.version, 2).await,
        Err(WriteError::Backend(_))
    ));
    assert!(!store.is_healthy());
    assert_eq!(store.get(&key("a")).unwrap(), a);
    full.store(false, Ordering::Relaxed);
    let b = change(&store, "a", a.version, 3).await.unwrap();
    assert_eq!(b.version, a.version + 1, "no version is lost");
    assert!(store.is_healthy());
}

#[tokio::test]
async fn what_comes_to_rest_is_packed_and_reads_as_before() {
    let store = memory().await;
    let text = "the same words in every object, ".repeat(40);
    for number in 0..40 {
        let labels = json!({"parity": if number % 2 == 0 { "even" } else { "odd" }});
        let name = format!("n{number:02}");
        let value =
            json!({"metadata": {"name": name, "labels": labels}, "text": text, "data": number});
        let action = Action::Put(Draft::encode(&value).unwrap());
        let write = Write {
            key: key(&name),
            expect: Expect::Absent,
            action,
        };
        store.write(write).await.unwrap();
    }
    let old = store.get(&key("n07")).unwrap();
    let (body, metadata, size) = (old.body(), old.metadata(), old.size());
    assert!(!old.is_packed());

    rest::pack_all(&store.shared);
    let listed = store.list("things", &Range::default(), |_| true).unwrap();
    assert!(listed.objects.iter().all(|object| object.is_packed()));
    let same = store.get(&key("n07")).unwrap();
    assert_eq!(
        (same.body(), same.metadata(), same.size()),
        (body, metadata, size)
    );
    assert_eq!(same.value()["data"], 7);
    let odd = store.list("things", &Range::default(), |object| {
        object.labels.get("parity") == Some("odd")
    });
    assert_eq!(odd.unwrap().objects.len(), 20);
    let seen = store.watch("things", 0).unwrap().pending().unwrap();
    assert_eq!(seen[7].object.value()["data"], 7);

    let next = change(&store, "n07", same.version, 8).await.unwrap();
    assert!(!next.is_packed() && next.value()["data"] == 8);
}
