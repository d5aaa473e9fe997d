//! What was answered survives `kill -9`, at whatever moment.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use caravel_apiserver::store::{
    Action, Draft, Expect, Key, Range, Retention, Sqlite, Store, Write,
};
use serde_json::json;

const CHILD: &str = "CARAVEL_TEST_WRITER_FOLDER";

async fn open(folder: &Path) -> Store {
    let backend = Sqlite::open(folder).await.unwrap();
    Store::open(Box::new(backend), Retention::default())
        .await
        .unwrap()
}

/// Not a test by itself: the process that is killed. It says what was answered, after it was answered.
#[tokio::test]
async fn writer() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let store = open(Path::new(&folder)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0_u64.. {
                let name = format!("{}-{worker}-{round}", std::process::id());
                let object = json!({"metadata": {"name": name}, "round": round});
                let write = Write {
                    key: Key::new("things", "", name.as_str()),
                    expect: Expect::Absent,
                    action: Action::Put(Draft::encode(&object).unwrap()),
                };
                let written = store.write(write).await.unwrap();
                println!("wrote {} {name}", written.version);
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn answered_writes_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut answered: BTreeMap<u64, String> = BTreeMap::new();
    for lines in [1, 40, 200, 500] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let before = answered.len();
        for line in output.lines() {
            let line = line.unwrap();
            let Some((_, wrote)) = line.split_once("wrote ") else {
                continue;
            };
            let (version, name) = wrote.split_once(' ').unwrap();
            let taken = answered.insert(version.parse().unwrap(), name.to_owned());
            assert_eq!(taken, None, "a version was given out twice");
            if answered.len() - before >= lines {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let store = open(folder.path()).await;
        for (version, name) in &answered {
            let object = store.get(&Key::new("things", "", name.as_str())).unwrap();
            assert_eq!(object.version, *version);
        }
        let listed = store.list("things", &Range::default(), |_| true).unwrap();
        assert!(
            listed
                .objects
                .iter()
                .all(|object| object.version <= store.version())
        );
        let last = *answered.keys().next_back().unwrap();
        assert!(store.version() >= last);
        store.close().await;
    }
}
