//! The controller of Applications.
//!
//! A turn gathers, decides, acts and reports once. What is in the way is read from the API; only definitions
//! and observed objects come from caches. A turn is triggered by a change of the Application, of one of its objects, of a
//! definition that it misses, by a point in time, and by nothing else: nothing is polled.

mod answers;
mod component;
mod deletion;
mod delivery;
mod deploy;
mod events;
mod following;
mod globals;
mod health;
mod imported;
mod intent;
mod late;
mod metrics;
mod notes;
mod observe;
mod ports;
mod provided;
mod queue;
mod referred;
mod report;
mod restart;
mod retry;
mod revision;
mod run;
mod scoped;
mod session;
mod source;
mod status;
mod turn;
mod watching;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caravel_apiserver::simulator::{Clock, SystemClock};
use caravel_clusters::connect::{ActingAs, Clusters};
use caravel_clusters::dispatch::Dispatcher;
use caravel_clusters::inventory::{self, Inventory, InventoryError};
use caravel_clusters::observe::{Observer, WatchedKind};
use caravel_clusters::prune::Pruner;
use caravel_clusters::{ClusterError, ResourcePolicies};
use caravel_core::api::Application;
use caravel_core::render::ClusterVersion;
use caravel_engines::Charts;
use caravel_store::{Store, StoreError};
use caravel_workflow::Limits;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::answers::Answers;
pub(crate) use self::delivery::component_revision;
use self::globals::Globals;
use self::metrics::Metrics;
use self::queue::Queue;
use self::session::{Key, Sessions};
pub(crate) use self::source::LiveSource;
use self::watching::{Watched, Watching};
use crate::author::{self, Authentication};
use crate::calls::http::client_builder;
use crate::calls::{Calls, World};
use crate::definition::oam_resource;
use crate::engine::{AbortAt, Faults, RunError, Runner};
use crate::evaluation::Evaluation;
use crate::library::Library;
use crate::rendering::Renderer;

/// How long to wait after a turn that failed, the first time.
const RETRY: SignedDuration = SignedDuration::from_secs(1);
/// The same, where what was in the way is likely gone at once.
const SOON: SignedDuration = SignedDuration::from_millis(20);
/// How long all of an Application stays in memory after its last turn, by default. What happens to it comes in bursts.
pub const UNLOAD_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// How many events of objects may wait.
const OBSERVED: usize = 4096;

/// What the work on Applications needs besides hub, library and engine.
#[derive(Clone)]
pub struct Options {
    /// Journal and history.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Sends the requests of steps.
    pub http: reqwest::Client,
    /// Renders charts.
    pub charts: Charts,
    /// Applications act with their author's identity; with the daemon's where absent.
    pub authentication: Option<Authentication>,
    /// Named places at which tests end the process.
    pub faults: Arc<dyn Faults>,
    /// The version of the hub's own cluster (`context.clusterVersion`).
    pub cluster_version: ClusterVersion,
    /// When steps are tried again, and when no more.
    pub limits: Limits,
    /// How long all of an Application stays in memory after its last turn.
    pub unload_after: SignedDuration,
}

impl Options {
    /// With the system's clock.
    pub fn new(store: Arc<dyn Store>, cluster_version: ClusterVersion) -> Self {
        Self {
            store,
            cluster_version,
            limits: Limits::default(),
            unload_after: UNLOAD_AFTER,
            clock: Arc::new(SystemClock),
            http: client_builder().build().unwrap_or_default(),
            charts: Charts::beside_this_program(),
            authentication: None,
            faults: Arc::new(AbortAt::from_environment()),
        }
    }
}

/// Shows the work on Applications.
#[derive(Clone)]
pub struct Handle {
    metrics: Arc<Metrics>,
}

impl Handle {
    /// All metrics in the `OpenMetrics` text format.
    pub fn metrics(&self) -> String {
        self.metrics.render()
    }
}

/// Everything that turns share.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) clusters: Clusters,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) inventories: inventory::Store,
    /// Names of `ApplicationRevision`s.
    pub(crate) revisions: inventory::Index,
    pub(crate) globals: Globals,
    /// What policies made of Applications a moment ago.
    pub(crate) answers: Answers,
    pub(crate) pruner: Pruner,
    pub(crate) observer: Observer,
    pub(crate) library: Library,
    pub(crate) evaluation: Evaluation,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runner: Runner,
    /// Sends the requests of templates.
    pub(crate) http: reqwest::Client,
    /// Renders charts.
    pub(crate) charts: Charts,
    authentication: Option<Authentication>,
    /// How authors act.
    actors: Mutex<HashMap<ActingAs, Actor>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sessions: Sessions,
    pub(crate) metrics: Arc<Metrics>,
    /// The version of the hub's own cluster.
    pub(crate) cluster_version: ClusterVersion,
    /// When steps are tried again, and when no more.
    pub(crate) limits: Limits,
    watching: Mutex<Watching>,
    pub(crate) queue: Queue,
}

/// In somebody's name: what is read, asked and written.
#[derive(Clone)]
pub(crate) struct Actor {
    pub(crate) clusters: Clusters,
    pub(crate) dispatcher: Dispatcher,
}

/// How many authors are remembered.
const ACTORS: usize = 1_000;

/// Why a turn did not come to its end; it is repeated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    /// The hub refused or does not answer.
    #[error("{0}")]
    Api(#[from] kube::Error),
    /// A cluster refused or does not answer.
    #[error("{0}")]
    Cluster(#[from] ClusterError),
    /// The inventory cannot be read or written.
    #[error("{0}")]
    Inventory(#[from] InventoryError),
    /// The journal cannot be read or written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The run of the workflow cannot go on.
    #[error("{0}")]
    Run(#[from] RunError),
    /// Something that we wrote cannot be read.
    #[error("{0}")]
    Damaged(String),
    /// Somebody else wrote at the same time.
    #[error("{0}: gathered again")]
    Again(&'static str),
    /// A definition was changed a moment ago.
    #[error("the DefinitionRevision of PolicyDefinition {0} is not there yet")]
    Unrecorded(String),
}

impl TurnError {
    /// How long to wait the first time.
    fn pause(&self) -> SignedDuration {
        match self {
            Self::Again(_) | Self::Unrecorded(_) => SOON,
            _ => RETRY,
        }
    }

    /// Without the names of types that libraries put around it.
    fn in_words(&self) -> String {
        match self {
            Self::Api(kube::Error::Api(status)) if !status.message.is_empty() => {
                format!("the hub answers with {}: {}", status.code, status.message)
            }
            other => other.to_string(),
        }
    }
}

impl Context {
    /// How an Application acts: as its author, where that is asked for.
    pub(crate) fn actor(&self, application: &Application) -> Actor {
        let own = || Actor {
            clusters: self.clusters.clone(),
            dispatcher: self.dispatcher.clone(),
        };
        let Some(who) = author::acting_as(application, self.authentication.as_ref()) else {
            return own();
        };
        let mut actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        if actors.len() > ACTORS {
            actors.clear();
        }
        let made = actors.entry(who.clone()).or_insert_with(|| {
            let clusters = self.clusters.acting_as(who);
            Actor {
                dispatcher: self.dispatcher.writing_to(clusters.clone()),
                clusters,
            }
        });
        made.clone()
    }

    /// Renders for an Application; `delivery` tells one delivery of it from another, in every process.
    pub(crate) fn renderer(
        &self,
        application: &Application,
        delivery: &str,
        clusters: Clusters,
    ) -> Renderer {
        let namespace = application.namespace().unwrap_or_default();
        let uid = application.uid().unwrap_or_default();
        Renderer {
            evaluation: self.evaluation.clone(),
            calls: Calls::new(
                World {
                    clusters,
                    http: self.http.clone(),
                    charts: self.charts.clone(),
                },
                namespace.clone(),
                format!("{uid}/{delivery}"),
            ),
            namespace,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Watches the kinds that the Application's inventory lists.
    pub(crate) fn watch(
        &self,
        application: &Application,
        inventory: &Inventory,
        policies: &ResourcePolicies,
    ) {
        let watched = Watched::of(inventory, policies);
        self.watch_for(Key::of(application), Some(watched));
    }

    /// Forgets an Application that is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.sessions.forget(key);
        self.watch_for(key.clone(), None);
    }

    /// Wants a turn of all Applications that have objects of a kind.
    pub(crate) fn trigger_all_having(&self, kind: &WatchedKind) {
        let keys = self.watching().having(kind);
        for key in keys {
            self.trigger(&key);
        }
    }

    fn watch_for(&self, key: Key, watched: Option<Watched>) {
        let mut watching = self.watching();
        let changed = watching.put(key, watched);
        if let Some(objects) = changed.only_read {
            self.observer.include(objects);
        }
        if let Some(kinds) = changed.kinds {
            self.observer.watch(&kinds);
        }
        // Until here: what is told later must not be older.
        drop(watching);
    }

    fn watching(&self) -> MutexGuard<'_, Watching> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wants a turn of the Application soon, whatever it has seen before.
    pub(crate) fn trigger(&self, key: &Key) {
        self.sessions.mark(key);
        self.queue.wake(key);
    }

    /// The same, once those have had theirs that somebody waits for.
    pub(crate) fn trigger_later(&self, key: &Key) {
        self.sessions.mark(key);
        self.queue.wake_later(key);
    }
}

fn applications() -> ApiResource {
    oam_resource("Application", "applications")
}

/// Prepares the work on Applications; the future does it until `shutdown`.
pub(crate) fn start(
    client: Client,
    library: Library,
    evaluation: Evaluation,
    options: Options,
    shutdown: CancellationToken,
) -> Result<(Handle, impl Future<Output = ()> + Send + 'static), ClusterError> {
    let clusters = Clusters::new(client.clone());
    let inventories = inventory::Store::new(clusters.hub()?);
    let (observer, observed) = Observer::new(clusters.clone(), OBSERVED);
    let (queue, turns) = Queue::new(options.clock.clone());
    let metrics = Arc::new(Metrics::default());
    let aborts = AbortAt::from_environment();
    let context = Arc::new(Context {
        dispatcher: Dispatcher::new(clusters.clone(), inventories.clone())
            .probed(Arc::new(move |place| aborts.pass(place))),
        pruner: Pruner::new(clusters.clone(), inventories.clone()),
        client,
        clusters,
        inventories,
        revisions: inventory::Index::default(),
        globals: Globals::default(),
        answers: Answers::default(),
        observer,
        library,
        runner: Runner::new(
            options.store.clone(),
            evaluation.clone(),
            options.http.clone(),
            options.clock.clone(),
            options.faults,
        ),
        http: options.http,
        charts: options.charts,
        authentication: options.authentication,
        actors: Mutex::default(),
        store: options.store,
        clock: options.clock,
        evaluation,
        sessions: Sessions::default(),
        metrics: metrics.clone(),
        cluster_version: options.cluster_version,
        limits: options.limits,
        watching: Mutex::default(),
        queue: queue.clone(),
    });
    let work = async move {
        let watching = observe::objects(context.clone(), observed, shutdown.clone());
        let waiting = observe::definitions(context.clone(), shutdown.clone());
        let following = follow(context.clone(), shutdown.clone());
        let indexing = shutdown.clone().run_until_cancelled_owned({
            let context = context.clone();
            async move {
                let on_lost = |namespace: &str, name: &str| {
                    let key = Key {
                        namespace: namespace.to_owned(),
                        name: name.to_owned(),
                    };
                    context.sessions.mark_lost(&key);
                    context.queue.wake(&key);
                };
                context.inventories.follow(on_lost).await;
            }
        });
        let numbering = shutdown.clone().run_until_cancelled_owned({
            let context = context.clone();
            async move { intent::follow(&context).await }
        });
        let unloading = shutdown.clone().run_until_cancelled_owned({
            let context = context.clone();
            async move { unload(&context, options.unload_after).await }
        });
        let turning = queue.run(turns, move |key| make_turn(context.clone(), key), shutdown);
        tokio::join!(
            watching, waiting, following, indexing, numbering, unloading, turning
        );
    };
    Ok((Handle { metrics }, work))
}

/// Wakes each Application that changes, until `shutdown`.
async fn follow(context: Arc<Context>, shutdown: CancellationToken) {
    let api: Api<PartialObjectMeta<DynamicObject>> =
        Api::all_with(context.client.clone(), &applications());
    let mut events = watcher(api, watcher::Config::default())
        .default_backoff()
        .take_until(shutdown.cancelled_owned())
        .boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(
                watcher::Event::Apply(object)
                | watcher::Event::InitApply(object)
                | watcher::Event::Delete(object),
            ) => {
                let key = Key {
                    namespace: object.namespace().unwrap_or_default(),
                    name: object.name_any(),
                };
                context.queue.wake(&key);
            }
            Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
            Err(error) => warn!(%error, "the watch of Applications is tried again"),
        }
    }
}

/// Keeps little of Applications at rest in memory.
async fn unload(context: &Context, after: SignedDuration) {
    // Never more often than a second: it looks at all of them.
    let pause = (after / 2).max(SignedDuration::from_secs(1));
    loop {
        let now = context.now();
        context
            .metrics
            .unloaded(context.sessions.unload(now - after));
        context.clock.sleep_until(now + pause).await;
    }
}

/// A turn, and when the next is due.
async fn make_turn(context: Arc<Context>, key: Key) -> Option<Timestamp> {
    let started = context.now();
    let turned = turn::turn(&context, &key).await;
    let lasted = context.now().duration_since(started);
    context.metrics.turn(turned.is_ok, lasted);
    turned.due
}
