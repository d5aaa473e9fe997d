//! Events to many watchers: each event carries when it was written, and each watcher looks at its clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::AsyncBufReadExt;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::Result;
use crate::client::{connect, say};
use crate::objects::request;
use crate::process::Server;

const PATH: &str = "/api/v1/namespaces/default/configmaps";
/// What stands before the time in an object.
const MARK: &str = "\"sent\":\"";

pub(crate) async fn run(watchers: usize, rate: usize, length: Duration) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path())?;
    let writer = connect(&server.kubeconfig()).await?;
    let began = Instant::now();
    let open = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..watchers {
        let client = connect(&server.kubeconfig()).await?;
        let stop = length + Duration::from_hours(1);
        tasks.push(tokio::spawn(watch(client, began, Arc::clone(&open), stop)));
    }
    while open.load(Ordering::Relaxed) < watchers {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let used = server.processor()?;
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate)?);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let events = rate * usize::try_from(length.as_secs())?;
    // More than one write is under way, or the rate would be that of one client.
    let mut writes = tokio::task::JoinSet::<Result<()>>::new();
    for number in 0..events {
        tick.tick().await;
        while writes.len() >= 32 {
            writes.join_next().await.ok_or("no write")???;
        }
        let writer = writer.clone();
        writes.spawn(async move {
            let sent = began.elapsed().as_micros();
            let padding = "x".repeat(1000);
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("event-{number}")},
                "data": {"sent": sent.to_string(), "padding": padding},
            });
            writer.request::<Value>(request("POST", PATH, &object)?).await?;
            Ok(())
        });
    }
    while let Some(written) = writes.join_next().await {
        written??;
    }
    let wrote = started.elapsed();
    // The last object of all ends the watches.
    let end = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "the-end"}});
    writer
        .request::<Value>(request("POST", PATH, &end)?)
        .await?;
    let mut lags = Vec::new();
    for task in tasks {
        lags.extend(task.await??);
    }
    let used = server.processor()?.saturating_sub(used);
    println!(
        "{watchers} watchers over TLS, {events} events in {wrote:.2?} ({:.0}/s wanted {rate}/s)",
        events as f64 / wrote.as_secs_f64()
    );
    if lags.len() != events * watchers {
        println!(
            "LOST: {} of {}",
            events * watchers - lags.len(),
            events * watchers
        );
    }
    println!("{}", say("lag", lags, wrote));
    println!(
        "server: {:.0}% of one processor, {} MiB of memory",
        used.as_secs_f64() * 100.0 / wrote.as_secs_f64(),
        server.memory()?.0 >> 10
    );
    Ok(())
}

/// Watches until the last object, and returns how late each event was.
async fn watch(
    client: Client,
    began: Instant,
    open: Arc<AtomicUsize>,
    longest: Duration,
) -> Result<Vec<Duration>> {
    let path = format!(
        "{PATH}?watch=true&resourceVersion=1&timeoutSeconds={}",
        longest.as_secs()
    );
    let stream = client
        .request_stream(http::Request::get(path).body(Vec::new())?)
        .await?;
    open.fetch_add(1, Ordering::Relaxed);
    let mut lines = Box::pin(stream);
    let mut line = String::new();
    let mut lags = Vec::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).await? == 0 {
            return Err("a watch ended early".into());
        }
        let now = began.elapsed();
        if line.contains("\"name\":\"the-end\"") {
            return Ok(lags);
        }
        let sent = line
            .split_once(MARK)
            .and_then(|(_, rest)| rest.split_once('"'))
            .and_then(|(number, _)| number.parse::<u64>().ok());
        if let Some(sent) = sent {
            lags.push(now.saturating_sub(Duration::from_micros(sent)));
        }
    }
}
