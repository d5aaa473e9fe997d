//! Starting with many Applications stored, and holding them at rest.

use std::path::Path;
use std::time::{Duration, Instant};

use caravel_apiserver::{ApiServer, Config, Identity};
use futures::{TryStreamExt, stream};
use serde_json::{Value, json};

use crate::client::connect;
use crate::objects::{self, PATH, application, request};
use crate::process::Server;
use crate::{Error, Result};

/// What does not change for so long does not change any more.
const REST: Duration = Duration::from_secs(30);

pub(crate) async fn run(applications: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let empty = tempfile::tempdir()?;
    let base = Server::start(empty.path())?.memory()?.0;
    // In a process of its own: what it leaves in memory is not measured.
    let filled = std::process::Command::new(std::env::current_exe()?)
        .arg("fill")
        .arg(folder.path())
        .arg(applications.to_string())
        .status()?;
    if !filled.success() {
        return Err("the folder could not be filled".into());
    }
    let started = Instant::now();
    let server = Server::start(folder.path())?;
    let ready = started.elapsed();
    let memory = server.memory()?.0;
    let client = connect(&server.kubeconfig()).await?;
    let listing = Instant::now();
    let mut found = 0;
    let mut bytes = 0;
    let mut next = String::new();
    loop {
        let path = format!("/apis/core.oam.dev/v1beta1/applications?limit=500&continue={next}");
        let text = client
            .request_text(http::Request::get(path).body(Vec::new())?)
            .await?;
        bytes += text.len();
        let page: Value = serde_json::from_str(&text)?;
        found += page["items"].as_array().map_or(0, Vec::len);
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => token.clone_into(&mut next),
            _ => break,
        }
    }
    println!(
        "{found} Applications of {} bytes: store read in {:.2?}, ready after {ready:.2?}, listed in pages in {:.2?}",
        bytes / found.max(1),
        server.opened,
        listing.elapsed()
    );
    println!(
        "memory: {} MiB when empty, {} MiB with them, {:.1} KiB each, {} MiB at most",
        base >> 10,
        memory >> 10,
        memory.saturating_sub(base) as f64 / found.max(1) as f64,
        server.memory()?.1 >> 10
    );
    let used = server.processor()?;
    let rest = at_rest(&server).await?;
    println!(
        "at rest: {} MiB, {:.1} KiB each, for {:.1?} of processor",
        rest >> 10,
        rest.saturating_sub(base) as f64 / found.max(1) as f64,
        server.processor()?.saturating_sub(used),
    );
    let listing = Instant::now();
    let path = "/apis/core.oam.dev/v1beta1/applications";
    let text = client
        .request_text(http::Request::get(path).body(Vec::new())?)
        .await?;
    println!(
        "listed at rest, {} MiB at once, in {:.2?}",
        text.len() >> 20,
        listing.elapsed()
    );
    Ok(())
}

/// The memory, when it has not become less for a while.
async fn at_rest(server: &Server) -> Result<u64> {
    let mut least = u64::MAX;
    let mut since = Instant::now();
    while since.elapsed() < REST {
        tokio::time::sleep(REST / 30).await;
        let now = server.memory()?.0;
        if now < least.saturating_sub(1 << 10) {
            least = now;
            since = Instant::now();
        }
    }
    Ok(least)
}

/// Stores Applications in a folder.
pub(crate) async fn fill(folder: &Path, applications: usize) -> Result<()> {
    let server = ApiServer::open(Config::folder(folder)).await?;
    let client = server.client(Identity::admin("load"));
    objects::define(&client).await?;
    stream::iter((0..applications).map(Ok::<_, Error>))
        .try_for_each_concurrent(256, |number| {
            let client = client.clone();
            async move {
                let name = format!("shop-{number}");
                let made: Value = client
                    .request(request("POST", PATH, &application(&name))?)
                    .await?;
                let status = json!({"status": status(&made)});
                let path = format!("{PATH}/{name}/status");
                client
                    .request::<Value>(request("PATCH", &path, &status)?)
                    .await?;
                Ok(())
            }
        })
        .await?;
    server.close().await;
    Ok(())
}

/// The status of an Application that runs.
fn status(application: &Value) -> Value {
    let name = application["metadata"]["name"].as_str().unwrap_or_default();
    let components: Vec<Value> = (0..2)
        .map(|at| {
            json!({
                "name": format!("{name}-{at}"), "namespace": "default", "cluster": "", "healthy": true,
                "message": "Ready:2/2", "workloadDefinition": {"apiVersion": "apps/v1", "kind": "Deployment"},
                "traits": [{"type": "scaler", "healthy": true}, {"type": "labels", "healthy": true}],
            })
        })
        .collect();
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": "Available", "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let conditions = ["Parsed", "Revision", "Policy", "Render", "WorkflowFinished"].map(condition);
    json!({
        "status": "running", "observedGeneration": 1, "services": components,
        "conditions": conditions,
        "latestRevision": {"name": format!("{name}-v1"), "revision": 1, "revisionHash": "0123456789abcdef"},
    })
}
