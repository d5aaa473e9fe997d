//! The daemon, as it is: Applications one by one, and many at once.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use caravel_tests::daemon::Daemon;
use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::memory;
use crate::record::{Recorder, Write};
use crate::table::{Table, percentile, time};

/// How long the daemon may take for anything.
const LIMIT: Duration = Duration::from_mins(5);
/// Applications that are applied at the same time.
const CLIENTS: usize = 32;

/// What was written while many Applications were delivered, and how long that took.
pub(crate) struct Recorded {
    pub(crate) writes: Vec<Write>,
    pub(crate) took: Duration,
}

pub(crate) async fn measure(
    table: &mut Table,
    one_by_one: usize,
    at_once: usize,
) -> Result<Recorded> {
    let daemon = Daemon::start(&["--local-runtime", "instant"]);
    let client = client(&daemon.kubeconfig()).await?;
    let empty = memory::of(daemon.pid())?;
    table.row(
        "memory of the empty daemon with its workers",
        format!("{} MiB", empty / 1024),
    );

    let recorder = Recorder::start(&client).await?;
    let mut samples = Vec::new();
    for index in 0..one_by_one {
        let name = format!("single-{index}");
        let begin = Instant::now();
        apply(&client, &name).await?;
        let end = wait(|| recorder.running(&name))
            .await
            .with_context(|| name.clone())?;
        samples.push(end - begin);
    }
    let (half, most) = (
        percentile(&mut samples, 0.5),
        percentile(&mut samples, 0.99),
    );
    table.row(
        format!("apply → running, {one_by_one} Applications of 4 objects one by one"),
        format!("p50 {}, p99 {}", time(half), time(most)),
    );
    let writes = recorder.own_writes();
    table.row(
        "hub writes per Application besides its objects and events",
        format!("{:.1}", ratio(writes, one_by_one)),
    );
    drop(recorder);

    let recorder = Recorder::start(&client).await?;
    let begin = Instant::now();
    apply_at_once(&client, &recorder, "burst", at_once).await?;
    let took = begin.elapsed();
    let writes = recorder.take();
    table.row(
        format!("{at_once} Applications applied at once, all running after"),
        format!(
            "{:.1} s, {:.0} writes/s",
            took.as_secs_f64(),
            ratio(writes.len(), 1) / took.as_secs_f64()
        ),
    );
    let full = memory::of(daemon.pid())?;
    let each = full.saturating_sub(empty) / u64::try_from(one_by_one + at_once)?;
    table.row(
        format!(
            "memory of the daemon with its workers, {} Applications just applied",
            one_by_one + at_once
        ),
        format!("{} MiB, {each} KiB each", full / 1024),
    );
    Ok(Recorded { writes, took })
}

/// Applies many, and waits until all of them run.
pub(crate) async fn apply_at_once(
    client: &Client,
    recorder: &Recorder,
    prefix: &str,
    count: usize,
) -> Result<()> {
    let names: Vec<String> = (0..count)
        .map(|index| format!("{prefix}-{index}"))
        .collect();
    let mut applied = futures::stream::iter(names)
        .map(|name| {
            let client = client.clone();
            async move { apply(&client, &name).await }
        })
        .buffer_unordered(CLIENTS);
    while let Some(applied) = applied.next().await {
        applied?;
    }
    wait(|| (recorder.count_running(prefix) >= count).then_some(()))
        .await
        .with_context(|| prefix.to_owned())
}

/// A client of the administrator.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

async fn apply(client: &Client, name: &str) -> Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "core.oam.dev",
        "v1beta1",
        "Application",
    ));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    api.patch(
        name,
        &PatchParams::apply("bench"),
        &Patch::Apply(application(name)),
    )
    .await?;
    Ok(())
}

/// Deployment, Service, Deployment, ConfigMap.
fn application(name: &str) -> Value {
    json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"components": [
            {
                "name": format!("{name}-web"), "type": "webservice",
                "properties": {"image": "nginx:1.27", "ports": [{"port": 80, "expose": true}]},
                "traits": [{"type": "scaler", "properties": {"replicas": 2}}],
            },
            {"name": format!("{name}-work"), "type": "worker", "properties": {"image": "busybox:1"}},
            {"name": format!("{name}-config"), "type": "k8s-objects", "properties": {"objects": [{
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{name}-config")},
                "data": {"a": "b"},
            }]}},
        ]},
    })
}

async fn wait<T>(mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("it does not run after {LIMIT:?}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn ratio(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}
