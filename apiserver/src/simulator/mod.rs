//! The simulated runtime: workloads reach the states that a cluster would give them, and nothing
//! runs.
//!
//! It works through a plain client, on watches, and keeps nothing: what to do follows from the
//! object. It writes once for each change of an object, a patch of the status that also sets the
//! annotation [`SIMULATED`]. Unless [`Options`] say otherwise, Deployments get `ReplicaSet`s and
//! workloads Pods, as many as 20. An object asks for trouble by the annotation [`SIMULATE`]:
//!
//! | value | what happens |
//! |---|---|
//! | `fail` | a Deployment exceeds its progress deadline, a Job its backoff limit, a claim is lost; others never become ready |
//! | `stall` | it starts and never becomes ready |
//! | `slow=<duration>` | it starts, and is ready after that time: `slow=30s`, `slow=2m` |

mod children;
mod clock;
mod plan;
mod pods;
mod rollout;
mod states;
mod wish;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, SelectAll};
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use children::Children;
pub use clock::{Clock, ManualClock, SystemClock};
use plan::{Plan, plan};
use states::{Kind, difference};
pub use wish::SIMULATE;
use wish::Wish;

/// The annotation that every object carries whose state is simulated.
pub const SIMULATED: &str = "caravel.dev/simulated";

const FIELD_MANAGER: &str = "caravel-simulator";
/// A write that failed is tried again after this time, unless the object changes before.
const RETRY: SignedDuration = SignedDuration::from_secs(1);
/// Writes that are under way at once.
const MAX_WRITES: usize = 64;

/// How the simulator behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long an object takes to become ready when it wishes nothing else. Zero: at once, for
    /// benchmarks.
    pub delay: Duration,
    /// Do Deployments get `ReplicaSet`s, and workloads Pods? They make the history of a rollout and the lists of
    /// clients what users expect, and cost some writes.
    pub replicas: bool,
}

impl Options {
    /// Everything is ready at once.
    pub const INSTANT: Self = Self {
        delay: Duration::ZERO,
        replicas: false,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(500),
            replicas: true,
        }
    }
}

/// Animates the objects of a server until it is told to stop.
pub async fn run(client: Client, clock: Arc<dyn Clock>, options: Options, stop: CancellationToken) {
    let mut children = Children::new(client.clone(), Arc::clone(&clock), options.replicas);
    let mut simulator = Simulator {
        client: client.clone(),
        clock,
        options,
        waiting: HashMap::new(),
        timers: BTreeSet::new(),
        writes: FuturesUnordered::new(),
    };
    let mut events = events(&client);
    loop {
        let alarm = simulator.alarm();
        tokio::select! {
            () = stop.cancelled() => return,
            Some((kind, event)) = events.next(), if simulator.writes.len() < MAX_WRITES => {
                children.observe(kind, &event);
                simulator.observe(kind, event);
            }
            () = children.next() => {}
            Some((key, written)) = simulator.writes.next() => simulator.written(key, written),
            () = alarm => simulator.wake(),
        }
    }
}

type Seen = (Kind, watcher::Event<DynamicObject>);

/// What happens to the objects of all simulated kinds.
fn events(client: &Client) -> SelectAll<BoxStream<'static, Seen>> {
    futures::stream::select_all(Kind::ALL.map(|kind| {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
        watcher(api, watcher::Config::default())
            .default_backoff()
            .filter_map(move |event| async move {
                match event {
                    Ok(event) => Some((kind, event)),
                    Err(error) => {
                        tracing::debug!(?kind, %error, "the watch of the simulator starts again");
                        None
                    }
                }
            })
            .boxed()
    }))
}

fn resource(kind: Kind) -> ApiResource {
    let (group, version, kind, plural) = kind.names();
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// An object, by kind and uid.
type Key = (Kind, String);
type Written = Option<Result<DynamicObject, kube::Error>>;

/// An object that is not where it should be.
struct Waiting {
    object: Value,
    /// What was asked when it was first seen so.
    generation: Value,
    wish: Wish,
    since: Timestamp,
    alarm: Option<Timestamp>,
    /// A write is under way, decided from this version.
    writing: Option<String>,
}

struct Simulator {
    client: Client,
    clock: Arc<dyn Clock>,
    options: Options,
    waiting: HashMap<Key, Waiting>,
    timers: BTreeSet<(Timestamp, Key)>,
    writes: FuturesUnordered<BoxFuture<'static, (Key, Written)>>,
}

impl Simulator {
    /// Ends when the next object is due.
    fn alarm(&self) -> BoxFuture<'static, ()> {
        match self.timers.first() {
            Some((at, _)) => self.clock.sleep_until(*at),
            None => std::future::pending().boxed(),
        }
    }

    fn observe(&mut self, kind: Kind, event: watcher::Event<DynamicObject>) {
        match event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                self.consider(kind, &object);
            }
            watcher::Event::Delete(object) => {
                self.forget(&(kind, object.uid().unwrap_or_default()));
            }
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(waiting) = self.waiting.remove(key)
            && let Some(at) = waiting.alarm
        {
            self.timers.remove(&(at, key.clone()));
        }
    }

    /// Looks at an object as it is now.
    fn consider(&mut self, kind: Kind, object: &DynamicObject) {
        let key = (kind, object.uid().unwrap_or_default());
        let Ok(value) = serde_json::to_value(object) else {
            return;
        };
        if object.metadata.deletion_timestamp.is_some() {
            self.forget(&key);
            return;
        }
        let wish = match Wish::of(&value) {
            None => Wish::default(),
            Some(Ok(wish)) => wish,
            Some(Err(error)) => {
                tracing::warn!(?kind, name = object.name_any(), %error);
                Wish::default()
            }
        };
        let generation = value["metadata"]["generation"].clone();
        let now = self.clock.now();
        let waiting = self.waiting.entry(key.clone()).or_insert_with(|| Waiting {
            object: Value::Null,
            generation: generation.clone(),
            wish,
            since: now,
            alarm: None,
            writing: None,
        });
        if waiting.generation != generation || waiting.wish != wish {
            (waiting.generation, waiting.wish, waiting.since) = (generation, wish, now);
        }
        waiting.object = value;
        self.advance(&key);
    }

    /// Does what is due for an object.
    fn advance(&mut self, key: &Key) {
        let now = self.clock.now();
        let Some(waiting) = self
            .waiting
            .get_mut(key)
            .filter(|waiting| waiting.writing.is_none())
        else {
            return;
        };
        if let Some(at) = waiting.alarm.take() {
            self.timers.remove(&(at, key.clone()));
        }
        match plan(
            key.0,
            &waiting.object,
            waiting.wish,
            waiting.since,
            now,
            self.options.delay,
        ) {
            Plan::Rest => self.forget(key),
            Plan::Wait(at) => {
                waiting.alarm = Some(at);
                self.timers.insert((at, key.clone()));
            }
            Plan::Write(status) => {
                let version = waiting.object["metadata"]["resourceVersion"].as_str();
                waiting.writing = Some(version.unwrap_or_default().to_owned());
                let write = write(self.client.clone(), key.0, &waiting.object, &status);
                let key = key.clone();
                self.writes.push(async move { (key, write.await) }.boxed());
            }
        }
    }

    fn wake(&mut self) {
        let now = self.clock.now();
        while let Some((at, key)) = self.timers.first().cloned()
            && at <= now
        {
            self.timers.remove(&(at, key.clone()));
            self.advance(&key);
        }
    }

    fn written(&mut self, key: Key, written: Written) {
        let Some(waiting) = self.waiting.get_mut(&key) else {
            return;
        };
        let tried = waiting.writing.take();
        match written {
            // The server makes of it what was there before: to write it again would never end.
            Some(Ok(object))
                if object.metadata.resource_version == tried
                    && json!(tried) == waiting.object["metadata"]["resourceVersion"] =>
            {
                tracing::debug!(kind = ?key.0, name = object.name_any(), "a simulated status does not last");
                self.forget(&key);
            }
            // What was seen in the meantime counts, if it is newer than what was written.
            Some(Ok(object)) if json!(object.metadata.generation) == waiting.generation => {
                self.consider(key.0, &object);
            }
            Some(Ok(_)) => self.advance(&key),
            Some(Err(error)) => {
                tracing::debug!(kind = ?key.0, %error, "a simulated status could not be written");
                let at = self.clock.now() + RETRY;
                waiting.alarm = Some(at);
                self.timers.insert((at, key));
            }
            None => self.forget(&key),
        }
    }
}

/// Writes a status, and that it is simulated, in one patch. The uid keeps the patch from an object
/// of the same name that came later.
fn write(
    client: Client,
    kind: Kind,
    object: &Value,
    status: &Value,
) -> impl Future<Output = Written> + use<> {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default().to_owned();
    let namespace = metadata["namespace"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let patch = json!({
        "metadata": {"uid": metadata["uid"], "annotations": {SIMULATED: "true"}},
        "status": difference(&object["status"], status),
    });
    async move {
        let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource(kind));
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api
            .patch_status(&name, &parameters, &Patch::Merge(&patch))
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            written => Some(written),
        }
    }
}
