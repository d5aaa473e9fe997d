//! The definitions that a hub has, as a cache that is watched.
//!
//! Only definitions and observed objects are taken from caches; what a decision is about is read from the API.
//! A cache that is not synced decides nothing: [`Library::ready`] comes first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use caravel_core::api::{Policy, SYSTEM_NAMESPACE, Workflow};
use caravel_core::appfile::{Definition, kind_of};
use caravel_core::engine::DefinitionKind;
use caravel_core::plan::scoped::APPLICATION_SCOPE;
use futures::StreamExt as _;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::cached::Cached;
use crate::definition::{KINDS, is_recorded, oam_resource};

/// Namespace and name.
type Place = (String, String);

/// A definition as it is in the hub.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What rendering needs of it.
    pub(crate) definition: Arc<Definition>,
    /// The object, for revisions of Applications.
    pub(crate) object: Arc<Value>,
    /// Name of the `DefinitionRevision` that records it as it is, once that is there. Only of those that many Applications may
    /// ask for again and again: policies that work on Applications.
    pub(crate) revision: Option<Arc<str>>,
}

/// All definitions and their revisions, and what else Applications refer to.
#[derive(Clone)]
pub(crate) struct Library(Arc<Shelves>);

struct Shelves {
    /// One per watch.
    kinds: Vec<RwLock<BTreeMap<Place, Entry>>>,
    policies: Cached<PartialObjectMeta<Policy>>,
    workflows: Cached<Workflow>,
    changes: watch::Sender<u64>,
    unread: watch::Sender<usize>,
}

/// Index of the shelf that holds revisions; the others follow [`KINDS`].
const REVISIONS: usize = KINDS.len();

impl Library {
    /// Starts to watch; ends with `shutdown`.
    pub(crate) fn start(client: &Client, shutdown: &CancellationToken) -> Self {
        let shelves: Vec<_> = (0..=REVISIONS).map(|_| RwLock::default()).collect();
        let changes = watch::Sender::new(0);
        let on_change = || {
            let changes = changes.clone();
            move || changes.send_modify(|count: &mut u64| *count += 1)
        };
        let library = Self(Arc::new(Shelves {
            unread: watch::Sender::new(shelves.len()),
            kinds: shelves,
            policies: Cached::follow(client, on_change(), shutdown),
            workflows: Cached::follow(client, on_change(), shutdown),
            changes,
        }));
        for (index, kind) in KINDS.iter().enumerate() {
            library.follow(client, kind.resource(), index, shutdown);
        }
        let revisions = oam_resource("DefinitionRevision", "definitionrevisions");
        library.follow(client, revisions, REVISIONS, shutdown);
        library
    }

    /// Waits until everything that exists has been read once.
    pub(crate) async fn ready(&self) {
        // The sender lives as long as this library: there is nothing to fail.
        let _ = self
            .0
            .unread
            .subscribe()
            .wait_for(|unread| *unread == 0)
            .await;
        self.0.policies.ready().await;
        self.0.workflows.ready().await;
    }

    /// The version of the Policy of that name, if there is one.
    pub(crate) fn policy_version(&self, namespace: &str, name: &str) -> Option<String> {
        self.0.policies.get(namespace, name)?.resource_version()
    }

    /// The Workflow of that name, if there is one.
    pub(crate) fn workflow(&self, namespace: &str, name: &str) -> Option<Arc<Workflow>> {
        self.0.workflows.get(namespace, name)
    }

    /// Counts up whenever any of it changes, appears or goes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// A definition by its name in a namespace.
    pub(crate) fn definition(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
    ) -> Option<Entry> {
        let shelf = KINDS.iter().position(|known| known.definition == kind)?;
        self.look_up(shelf, namespace, name)
    }

    /// A recorded version of a definition, by the name of its `DefinitionRevision`.
    pub(crate) fn revision(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
    ) -> Option<Entry> {
        self.look_up(REVISIONS, namespace, name)
            .filter(|entry| entry.definition.kind == kind)
    }

    /// The object that a definition was read from: the definition itself, or the recorded version of it that was
    /// meant (row DEF-003).
    pub(crate) fn origin(&self, definition: &Definition) -> Option<Entry> {
        let (namespace, name) = (&definition.namespace, &definition.name);
        let current = self.definition(definition.kind, namespace, name);
        if current
            .as_ref()
            .is_some_and(|entry| *entry.definition == *definition)
        {
            return current;
        }
        let shelf = self.read(REVISIONS);
        let recorded = shelf
            .iter()
            .find(|((place, _), entry)| place == namespace && *entry.definition == *definition);
        recorded.map(|(_, entry)| entry.clone()).or(current)
    }

    /// Which version a definition is: `v3`; empty before one is recorded.
    pub(crate) fn version_of(&self, definition: &Definition) -> String {
        let Some(entry) = self.origin(definition) else {
            return String::new();
        };
        let object = &entry.object;
        let latest = object["status"]["latestRevision"]["name"].as_str();
        let version = latest.and_then(|name| name.strip_prefix(definition.name.as_str()));
        let version = version.and_then(|rest| rest.strip_prefix('-'));
        version.unwrap_or_default().to_owned()
    }

    /// Names of the definitions of a kind that an Application in a namespace can use.
    pub(crate) fn names(&self, kind: DefinitionKind, namespace: &str) -> Vec<String> {
        let Some(shelf) = KINDS.iter().position(|known| known.definition == kind) else {
            return Vec::new();
        };
        let entries = self.read(shelf);
        let usable = entries
            .keys()
            .filter(|(place, _)| place == namespace || place == SYSTEM_NAMESPACE);
        let mut names: Vec<String> = usable.map(|(_, name)| name.clone()).collect();
        drop(entries);
        names.sort();
        names.dedup();
        names
    }

    /// What is to be said of `PolicyDefinition`s, by namespace and name.
    pub(crate) fn policies<T>(
        &self,
        mut say: impl FnMut(&str, &str, &Entry) -> Option<T>,
    ) -> Vec<T> {
        let kind = DefinitionKind::Policy;
        let Some(shelf) = KINDS.iter().position(|known| known.definition == kind) else {
            return Vec::new();
        };
        let entries = self.read(shelf);
        let entries = entries.iter();
        entries
            .filter_map(|((namespace, name), entry)| say(namespace, name, entry))
            .collect()
    }

    /// Names of all revisions of a definition in a namespace.
    pub(crate) fn revision_names(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        definition: &str,
    ) -> Vec<String> {
        let shelf = self.read(REVISIONS);
        let mine = shelf.iter().filter(|((place, _), entry)| {
            place == namespace
                && entry.definition.kind == kind
                && entry.definition.name == definition
        });
        mine.map(|((_, name), _)| name.clone()).collect()
    }

    fn look_up(&self, shelf: usize, namespace: &str, name: &str) -> Option<Entry> {
        self.read(shelf)
            .get(&(namespace.to_owned(), name.to_owned()))
            .cloned()
    }

    fn read(&self, shelf: usize) -> std::sync::RwLockReadGuard<'_, BTreeMap<Place, Entry>> {
        self.0.kinds[shelf]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(
        &self,
        client: &Client,
        resource: ApiResource,
        shelf: usize,
        shutdown: &CancellationToken,
    ) {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let mut events = watcher(api, watcher::Config::default())
            .default_backoff()
            .take_until(shutdown.clone().cancelled_owned())
            .boxed();
        let library = self.clone();
        tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            let mut read_once = false;
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => library.take(shelf, event, &mut seen, &mut read_once),
                    Err(error) => {
                        warn!(kind = resource.kind, %error, "the watch is tried again");
                    }
                }
            }
        });
    }

    /// Applies an event of a watch to its shelf.
    fn take(
        &self,
        shelf: usize,
        event: watcher::Event<DynamicObject>,
        seen: &mut BTreeSet<Place>,
        read_once: &mut bool,
    ) {
        let mut entries = self.0.kinds[shelf]
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match event {
            watcher::Event::Init => seen.clear(),
            watcher::Event::InitApply(object) => {
                seen.insert(place(&object));
                put(&mut entries, object);
            }
            watcher::Event::InitDone => {
                entries.retain(|place, _| seen.contains(place));
                if !std::mem::replace(read_once, true) {
                    self.0.unread.send_modify(|unread| *unread -= 1);
                }
            }
            watcher::Event::Apply(object) => put(&mut entries, object),
            watcher::Event::Delete(object) => {
                entries.remove(&place(&object));
            }
        }
        drop(entries);
        self.0.changes.send_modify(|count| *count += 1);
    }
}

fn place(object: &DynamicObject) -> Place {
    let metadata = &object.metadata;
    (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

/// Stores a definition, or the definition inside of a revision. One that cannot be read is not there: the
/// Application that names it is told so, and its author was told when it was applied.
fn put(entries: &mut BTreeMap<Place, Entry>, object: DynamicObject) {
    let place = place(&object);
    match read(object) {
        Ok(entry) => {
            entries.insert(place, entry);
        }
        Err(problem) => {
            warn!(
                namespace = place.0,
                name = place.1,
                problem,
                "a definition cannot be used"
            );
            entries.remove(&place);
        }
    }
}

fn read(object: DynamicObject) -> Result<Entry, String> {
    let mut value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    if value["kind"].as_str().and_then(kind_of).is_none() {
        let kind = KINDS
            .iter()
            .find(|kind| value["spec"].get(kind.revision_field).is_some())
            .ok_or("spec holds no definition")?;
        let mut inner = value["spec"][kind.revision_field].take();
        inner["kind"] = Value::from(kind.name);
        value = inner;
    }
    let definition = Arc::new(Definition::from_object(&value)?);
    let is_scoped = definition.scope == APPLICATION_SCOPE && is_recorded(&value);
    let revision = value["status"]["latestRevision"]["name"].as_str();
    Ok(Entry {
        revision: revision.filter(|_| is_scoped).map(Arc::from),
        definition,
        object: Arc::new(value),
    })
}
