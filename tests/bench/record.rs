//! Every write to a hub, as a watch sees it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use tokio::task::JoinSet;

/// Group, version, kind, plural of everything that the benchmark's Applications make.
const KINDS: [(&str, &str, &str, &str); 7] = [
    ("core.oam.dev", "v1beta1", "Application", "applications"),
    (
        "core.oam.dev",
        "v1beta1",
        "ApplicationRevision",
        "applicationrevisions",
    ),
    (
        "core.oam.dev",
        "v1beta1",
        "ResourceTracker",
        "resourcetrackers",
    ),
    ("apps", "v1", "Deployment", "deployments"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Event", "events"),
];

/// Kinds that are neither delivered objects nor events.
const OWN: [&str; 3] = ["Application", "ApplicationRevision", "ResourceTracker"];

/// One write.
#[derive(Clone)]
pub(crate) struct Write {
    pub(crate) resource: ApiResource,
    pub(crate) object: Value,
}

impl Write {
    /// What it was a write of.
    pub(crate) fn key(&self) -> (String, String, String) {
        let metadata = &self.object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        (
            self.resource.plural.clone(),
            text("namespace"),
            text("name"),
        )
    }
}

#[derive(Default)]
struct Seen {
    writes: Vec<Write>,
    /// When an Application ran, by name.
    running: HashMap<String, Instant>,
}

/// Follows all kinds from now on.
pub(crate) struct Recorder {
    seen: Arc<Mutex<Seen>>,
    watches: JoinSet<()>,
}

impl Recorder {
    /// Begins; what is there already is not recorded.
    pub(crate) async fn start(client: &Client) -> Result<Self> {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let mut watches = JoinSet::new();
        for (group, version, kind, plural) in KINDS {
            let resource = ApiResource::from_gvk_with_plural(
                &GroupVersionKind::gvk(group, version, kind),
                plural,
            );
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let list = api.list(&ListParams::default().limit(1)).await?;
            let from = list.metadata.resource_version.unwrap_or_default();
            let seen = Arc::clone(&seen);
            watches.spawn(follow(api, resource, from, seen));
        }
        Ok(Self { seen, watches })
    }

    /// When an Application ran.
    pub(crate) fn running(&self, name: &str) -> Option<Instant> {
        self.seen().running.get(name).copied()
    }

    /// How many Applications ran whose names begin so.
    pub(crate) fn count_running(&self, prefix: &str) -> usize {
        let seen = self.seen();
        seen.running
            .keys()
            .filter(|name| name.starts_with(prefix))
            .count()
    }

    /// How many writes there were besides delivered objects and events.
    pub(crate) fn own_writes(&self) -> usize {
        let seen = self.seen();
        seen.writes
            .iter()
            .filter(|write| OWN.contains(&write.resource.kind.as_str()))
            .count()
    }

    /// All writes so far.
    pub(crate) fn take(self) -> Vec<Write> {
        std::mem::take(&mut self.seen().writes)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.watches.abort_all();
    }
}

async fn follow(
    api: Api<DynamicObject>,
    resource: ApiResource,
    from: String,
    seen: Arc<Mutex<Seen>>,
) {
    let mut version = from;
    loop {
        let Ok(events) = api.watch(&WatchParams::default(), &version).await else {
            return;
        };
        let mut events = events.boxed();
        while let Some(Ok(event)) = events.next().await {
            let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else {
                continue;
            };
            version = object.resource_version().unwrap_or_default();
            let object = serde_json::to_value(object).unwrap_or_default();
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if resource.kind == "Application" && object["status"]["status"] == "running" {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                seen.running
                    .entry(name.to_owned())
                    .or_insert_with(Instant::now);
            }
            seen.writes.push(Write {
                resource: resource.clone(),
                object,
            });
        }
    }
}
