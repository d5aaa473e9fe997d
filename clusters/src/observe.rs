//! Watching what is deployed: exactly the kinds that are, in exactly the clusters where they are.
//!
//! All watches feed one channel and one store. A kind is *synced* when it has been listed; before that
//! nothing can be said about its objects. Only objects with an owner label are seen.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use caravel_core::api::{ManagedResource, labels};
use futures::StreamExt as _;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use zstd::zstd_safe::{CCtx, DCtx, compress_bound};

use crate::connect::Clusters;
use crate::error::ClusterError;
use crate::key::{ObjectKey, cluster_name, group_of, text};
use crate::raw::RawObject;
use crate::repair::Known;

/// How long to wait before a kind that is not served is looked for again.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A watch is begun anew after this time, so that a connection that died silently is noticed.
const WATCH_SECONDS: u32 = 60;

/// A kind in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchedKind {
    /// Name of the cluster.
    pub cluster: String,
    /// API group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
}

impl WatchedKind {
    /// The kind of an object that an inventory lists.
    pub fn of_entry(entry: &ManagedResource) -> Self {
        Self {
            cluster: cluster_name(entry.cluster.as_deref()).to_owned(),
            api_version: entry.api_version.clone(),
            kind: entry.kind.clone(),
        }
    }

    fn shelf(&self) -> Shelf {
        Shelf {
            cluster: self.cluster.clone(),
            group: group_of(&self.api_version).to_owned(),
            kind: self.kind.clone(),
        }
    }
}

/// What was seen.
#[derive(Clone, Debug)]
pub enum Observed {
    /// An object is there, or changed.
    Changed {
        /// Which object.
        key: ObjectKey,
        /// As it is now.
        object: Arc<Value>,
    },
    /// An object is gone.
    Deleted {
        /// Which object.
        key: ObjectKey,
        /// As it was last.
        object: Arc<Value>,
    },
    /// All objects of a kind have been listed.
    Synced(WatchedKind),
}

/// The objects that were seen last. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    shelves: Arc<RwLock<HashMap<Shelf, Listing>>>,
}

/// A kind in a cluster, whatever the version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Shelf {
    cluster: String,
    group: String,
    kind: String,
}

impl Shelf {
    fn of(key: &ObjectKey) -> Self {
        Self {
            cluster: key.cluster.clone(),
            group: key.group.clone(),
            kind: key.kind.clone(),
        }
    }
}

#[derive(Debug, Default)]
struct Listing {
    synced: bool,
    objects: HashMap<ObjectKey, Packed>,
    /// Objects as our own writes left them, until the watch has come as far.
    written: HashMap<ObjectKey, Written>,
    /// The version that the watch has come to: what it does not know of before that is not there.
    reached: u64,
}

#[derive(Debug)]
struct Written {
    version: u64,
    object: Arc<Value>,
}

impl Listing {
    /// The watch has come to a version. One that sees only what has an owner has nothing to say of the rest.
    fn reach(&mut self, version: u64, sees_all: bool) {
        self.reached = self.reached.max(version);
        let reached = self.reached;
        self.written
            .retain(|_, own| own.version > reached || !(sees_all || has_owner(&own.object)));
    }

    /// An object as the watch tells of it; how it was known before.
    fn put(&mut self, key: ObjectKey, packed: Packed) -> Option<Packed> {
        let own = self.written.get(&key);
        if own.is_some_and(|own| own.version <= packed.number().unwrap_or(u64::MAX)) {
            self.written.remove(&key);
        }
        self.objects.insert(key, packed)
    }
}

fn has_owner(object: &Value) -> bool {
    object["metadata"]["labels"].get(labels::APP_NAME).is_some()
}

/// The version of an object, where its server counts them; all that are known do.
fn version(object: &Value) -> Option<u64> {
    text(&object["metadata"]["resourceVersion"]).parse().ok()
}

/// An object as compressed JSON text: a thirtieth of what its values take in memory. There are many, and few are
/// looked at.
#[derive(Clone, Debug)]
struct Packed {
    version: String,
    json: Box<[u8]>,
    /// Length of the text; none if it is not compressed.
    length: Option<usize>,
}

/// The fastest level: more would save little of so short a text.
const LEVEL: i32 = 1;

thread_local! {
    // Their working memory is large compared with the texts.
    static PACKING: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static UNPACKING: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

impl Packed {
    fn of(object: &Value) -> Self {
        let written = object.to_string();
        let mut packed = Vec::with_capacity(compress_bound(written.len()));
        let done = PACKING
            .with_borrow_mut(|context| context.compress(&mut packed, written.as_bytes(), LEVEL));
        let (json, length) = match done {
            Ok(_) => (packed, Some(written.len())),
            Err(_) => (written.into_bytes(), None),
        };
        Self {
            version: text(&object["metadata"]["resourceVersion"]).to_owned(),
            json: json.into_boxed_slice(),
            length,
        }
    }

    fn number(&self) -> Option<u64> {
        self.version.parse().ok()
    }

    fn unpack(&self) -> Arc<Value> {
        let Some(length) = self.length else {
            return Arc::new(parsed(&self.json));
        };
        let mut json = Vec::with_capacity(length);
        let done = UNPACKING.with_borrow_mut(|context| context.decompress(&mut json, &self.json));
        debug_assert!(done.is_ok(), "it was packed by us");
        Arc::new(parsed(&json))
    }
}

/// Reads what was written by us.
fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_default()
}

impl Objects {
    /// What is known of an object: what was seen last, unless we wrote later.
    pub fn get(&self, key: &ObjectKey) -> Known {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        let Some(listing) = shelves.get(&Shelf::of(key)) else {
            return Known::Unknown;
        };
        if let Some(own) = listing.written.get(key) {
            return Known::There(own.object.clone());
        }
        let synced = listing.synced;
        let packed = listing.objects.get(key).cloned();
        drop(shelves);
        match packed {
            Some(packed) => Known::There(packed.unpack()),
            None if synced => Known::Gone,
            None => Known::Unknown,
        }
    }

    /// Takes note of what our own write made of an object. That counts until the watch has come as far, and no longer:
    /// an object that somebody deletes meanwhile is gone.
    pub fn wrote(&self, key: &ObjectKey, object: &Arc<Value>) {
        let Some(version) = version(object) else {
            return;
        };
        self.edit(&Shelf::of(key), |listing| {
            let is_watched = has_owner(object) || listing.objects.contains_key(key);
            let before = listing.written.get(key);
            if is_watched && version <= listing.reached
                || before.is_some_and(|before| before.version >= version)
            {
                return;
            }
            let object = object.clone();
            let own = Written { version, object };
            listing.written.insert(key.clone(), own);
        });
    }

    /// Whether all objects of a kind have been listed.
    pub fn is_synced(&self, kind: &WatchedKind) -> bool {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        shelves
            .get(&kind.shelf())
            .is_some_and(|listing| listing.synced)
    }

    fn edit<T>(&self, shelf: &Shelf, change: impl FnOnce(&mut Listing) -> T) -> T {
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        change(shelves.entry(shelf.clone()).or_default())
    }

    fn drop_shelf(&self, shelf: &Shelf) {
        self.shelves
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(shelf);
    }
}

/// Runs the watches. They end when it is dropped.
#[derive(Debug)]
pub struct Observer {
    clusters: Clusters,
    objects: Objects,
    events: mpsc::Sender<Observed>,
    watches: Mutex<BTreeMap<WatchedKind, Running>>,
    unlabelled: Arc<RwLock<BTreeSet<ObjectKey>>>,
}

/// A watch that runs. It ends when this is dropped.
#[derive(Debug)]
struct Running {
    /// Whether it sees objects without owner label too.
    all: bool,
    _task: AbortOnDropHandle<()>,
}

impl Observer {
    /// Watches nothing yet. What is seen goes to the receiver; if that is full, the watches wait.
    pub fn new(clusters: Clusters, capacity: usize) -> (Self, mpsc::Receiver<Observed>) {
        let (events, receiver) = mpsc::channel(capacity);
        let observer = Self {
            clusters,
            objects: Objects::default(),
            events,
            watches: Mutex::default(),
            unlabelled: Arc::default(),
        };
        (observer, receiver)
    }

    /// The objects that were seen last.
    pub fn objects(&self) -> Objects {
        self.objects.clone()
    }

    /// Names objects that are to be seen though they carry no owner label: those that are only read
    /// (POL-004). Counts from the next [`Observer::watch`] on.
    pub fn include(&self, keys: BTreeSet<ObjectKey>) {
        *self
            .unlabelled
            .write()
            .unwrap_or_else(PoisonError::into_inner) = keys;
    }

    fn needs_all(&self, kind: &WatchedKind) -> bool {
        let unlabelled = self
            .unlabelled
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        unlabelled.iter().any(|key| Shelf::of(key) == kind.shelf())
    }

    /// Watches exactly these kinds: starts what is new, stops what is no longer asked for.
    pub fn watch(&self, wanted: &BTreeSet<WatchedKind>) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|kind, _| {
            let stays = wanted.contains(kind);
            if !stays {
                self.objects.drop_shelf(&kind.shelf());
            }
            stays
        });
        for kind in wanted {
            let all = self.needs_all(kind);
            if watches.get(kind).is_none_or(|running| running.all != all) {
                // Of two watches of a kind, the old one ends before the new one lists.
                if watches.remove(kind).is_some() {
                    self.objects
                        .edit(&kind.shelf(), |listing| listing.synced = false);
                }
                watches.insert(kind.clone(), self.start(kind.clone(), all));
            }
        }
    }

    fn start(&self, kind: WatchedKind, all: bool) -> Running {
        let watch = Watch {
            kind,
            clusters: self.clusters.clone(),
            objects: self.objects.clone(),
            events: self.events.clone(),
            unlabelled: all.then(|| Arc::clone(&self.unlabelled)),
            listed: None,
        };
        Running {
            all,
            _task: AbortOnDropHandle::new(tokio::spawn(watch.run())),
        }
    }

    /// The kinds that are watched.
    pub fn watched(&self) -> Vec<WatchedKind> {
        self.watches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect()
    }
}

struct Watch {
    kind: WatchedKind,
    clusters: Clusters,
    objects: Objects,
    events: mpsc::Sender<Observed>,
    /// If there is one, all objects of the kind are listed, and those in it are seen too.
    unlabelled: Option<Arc<RwLock<BTreeSet<ObjectKey>>>>,
    /// A list that is being read.
    listed: Option<Listed>,
}

#[derive(Default)]
struct Listed {
    objects: BTreeSet<ObjectKey>,
    /// The list shows how things were at this version, or later.
    version: u64,
}

impl Watch {
    /// Watches for ever. kube's watcher begins anew when the connection breaks or history is gone.
    async fn run(mut self) {
        let api = self.find().await;
        let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
        if self.unlabelled.is_none() {
            config = config.labels(labels::APP_NAME);
        }
        let mut events = watcher(api, config).default_backoff().boxed();
        while let Some(event) = events.next().await {
            let heard = match event {
                Ok(event) => self.take(event).await,
                Err(error) => {
                    tracing::warn!(kind = ?self.kind, %error, "a watch failed; it begins anew");
                    true
                }
            };
            if !heard {
                return;
            }
        }
    }

    /// Waits until the cluster is known and serves the kind.
    async fn find(&self) -> Api<RawObject> {
        let mut wait = SHORTEST_WAIT;
        loop {
            let WatchedKind {
                cluster,
                api_version,
                kind,
            } = &self.kind;
            let found = async {
                let cluster = self.clusters.get(cluster)?;
                let resource = cluster.resource(api_version, kind).await?;
                let client = cluster.client().clone();
                Ok::<_, ClusterError>(Api::all_with(client, &resource.api_resource()))
            };
            match found.await {
                Ok(api) => return api,
                Err(error) => {
                    tracing::debug!(kind = ?self.kind, %error, "a kind cannot be watched yet");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Takes an event in; false when nobody listens any more.
    async fn take(&mut self, event: watcher::Event<RawObject>) -> bool {
        match event {
            watcher::Event::Init => {
                // It has not been asked for yet: it shows what we have written until now.
                let written = self.objects.edit(&self.kind.shelf(), |listing| {
                    let written = listing.written.values();
                    written.map(|own| own.version).max()
                });
                self.listed = Some(Listed {
                    version: written.unwrap_or_default(),
                    ..Listed::default()
                });
                true
            }
            watcher::Event::InitApply(object) => {
                let (key, object) = self.read(object);
                if !self.is_meant(&key, &object) {
                    return true;
                }
                if let Some(listed) = &mut self.listed {
                    listed.objects.insert(key.clone());
                    listed.version = version(&object).unwrap_or_default().max(listed.version);
                }
                self.put(key, object).await
            }
            watcher::Event::InitDone => self.done().await,
            watcher::Event::Apply(object) => {
                let (key, object) = self.read(object);
                if !self.is_meant(&key, &object) {
                    return self.drop_object(key, object).await;
                }
                let version = version(&object);
                let heard = self.put(key, object).await;
                self.objects
                    .edit(&self.kind.shelf(), |listing| self.reach(listing, version));
                heard
            }
            watcher::Event::Delete(object) => {
                let (key, object) = self.read(object);
                self.drop_object(key, object).await
            }
        }
    }

    fn reach(&self, listing: &mut Listing, version: Option<u64>) {
        listing.reach(version.unwrap_or_default(), self.unlabelled.is_some());
    }

    /// Whether an object is to be seen: it has an owner, or was named.
    fn is_meant(&self, key: &ObjectKey, object: &Value) -> bool {
        let Some(unlabelled) = &self.unlabelled else {
            return true;
        };
        has_owner(object)
            || unlabelled
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(key)
    }

    /// An object is gone, or no longer to be seen.
    async fn drop_object(&self, key: ObjectKey, object: Arc<Value>) -> bool {
        let known = self.objects.edit(&self.kind.shelf(), |listing| {
            self.reach(listing, version(&object));
            listing.objects.remove(&key)
        });
        known.is_none() || self.send(Observed::Deleted { key, object }).await
    }

    async fn put(&self, key: ObjectKey, object: Arc<Value>) -> bool {
        let packed = Packed::of(&object);
        let version = packed.version.clone();
        let before = self.objects.edit(&self.kind.shelf(), |listing| {
            listing.put(key.clone(), packed)
        });
        if before.is_some_and(|before| before.version == version) {
            // A list said again what was known.
            return true;
        }
        self.send(Observed::Changed { key, object }).await
    }

    /// A list is complete: what was known and is not in it is gone.
    async fn done(&mut self) -> bool {
        let listed = self.listed.take().unwrap_or_default();
        let gone: Vec<(ObjectKey, Packed)> = self.objects.edit(&self.kind.shelf(), |listing| {
            listing.synced = true;
            self.reach(listing, Some(listed.version));
            listing
                .objects
                .extract_if(|key, _| !listed.objects.contains(key))
                .collect()
        });
        for (key, packed) in gone {
            let object = packed.unpack();
            if !self.send(Observed::Deleted { key, object }).await {
                return false;
            }
        }
        self.send(Observed::Synced(self.kind.clone())).await
    }

    async fn send(&self, event: Observed) -> bool {
        self.events.send(event).await.is_ok()
    }

    /// The object as JSON. Items of lists do not say their kind.
    fn read(&self, object: RawObject) -> (ObjectKey, Arc<Value>) {
        let mut object = object.value;
        object["apiVersion"] = self.kind.api_version.clone().into();
        object["kind"] = self.kind.kind.clone().into();
        (
            ObjectKey::of(Some(&self.kind.cluster), &object),
            Arc::new(object),
        )
    }
}

#[cfg(test)]
mod tests;
