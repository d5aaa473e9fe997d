//! The present state and the recent past of every resource, in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::backend::{Change, ChangeKind, Loaded};
use super::object::{Key, Object};

/// The events of one resource that are kept for watches and for lists of the past.
const RING_EVENTS: usize = 8192;
/// The bytes of events of one resource that are kept.
const RING_BYTES: usize = 32 << 20;

pub(super) type Place = (Arc<str>, Arc<str>);

/// One resource.
pub(super) struct Resource {
    pub(super) objects: BTreeMap<Place, Arc<Object>>,
    pub(super) ring: VecDeque<Change>,
    ring_bytes: usize,
    /// Events up to this version are not in the ring any more.
    pub(super) forgotten: u64,
    /// States before this version cannot be shown, because what objects were then is not known.
    pub(super) list_floor: u64,
    pub(super) latest: watch::Sender<u64>,
}

impl Resource {
    fn new(forgotten: u64, list_floor: u64) -> Self {
        Self {
            objects: BTreeMap::new(),
            ring: VecDeque::new(),
            ring_bytes: 0,
            forgotten,
            list_floor,
            latest: watch::Sender::new(0),
        }
    }

    fn remember(&mut self, change: Change) {
        self.ring_bytes += change.object.size();
        self.ring.push_back(change);
        while self.ring.len() > RING_EVENTS || (self.ring_bytes > RING_BYTES && self.ring.len() > 1)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.ring.pop_front() {
            self.ring_bytes -= oldest.object.size();
            self.forgotten = self.forgotten.max(oldest.version());
            self.list_floor = self.list_floor.max(oldest.version());
        }
    }

    /// The events after `version`.
    pub(super) fn since(&self, version: u64) -> impl Iterator<Item = &Change> {
        let start = self
            .ring
            .partition_point(|change| change.version() <= version);
        self.ring.range(start..)
    }

    /// The objects as they were at `version`, in order, starting after `after`.
    pub(super) fn at<'a>(
        &'a self,
        version: u64,
        namespace: Option<&'a str>,
        after: Option<&Place>,
    ) -> Box<dyn Iterator<Item = &'a Arc<Object>> + 'a> {
        let mut undone: BTreeMap<Place, Option<&Arc<Object>>> = BTreeMap::new();
        for change in self.since(version).collect::<Vec<_>>().into_iter().rev() {
            undone.insert(place(change.key()), change.previous.as_ref());
        }
        let start = match (after, namespace) {
            (Some(place), _) => Bound::Excluded(place.clone()),
            (None, Some(namespace)) => Bound::Included((namespace.into(), "".into())),
            (None, None) => Bound::Unbounded,
        };
        let range = (start, Bound::Unbounded);
        let inside = move |place: &Place| namespace.is_none_or(|wanted| *place.0 == *wanted);
        if undone.is_empty() {
            let now = self
                .objects
                .range(range)
                .take_while(move |(place, _)| inside(place));
            return Box::new(now.map(|(_, object)| object));
        }
        let mut merged: BTreeMap<Place, &Arc<Object>> = self
            .objects
            .range(range.clone())
            .map(|(place, object)| (place.clone(), object))
            .collect();
        for (place, object) in undone.range(range) {
            match object {
                Some(object) => merged.insert(place.clone(), object),
                None => merged.remove(place),
            };
        }
        Box::new(
            merged
                .into_iter()
                .take_while(move |(place, _)| inside(place))
                .map(|(_, object)| object),
        )
    }
}

pub(super) fn place(key: &Key) -> Place {
    (Arc::clone(&key.namespace), Arc::clone(&key.name))
}

/// Everything, at one resourceVersion.
pub(super) struct State {
    pub(super) version: u64,
    compacted: u64,
    restored: u64,
    pub(super) resources: HashMap<Arc<str>, Resource>,
    /// What was written since it was last asked for: not packed yet.
    fresh: Vec<Weak<Object>>,
    fresh_bytes: usize,
}

impl State {
    pub(super) fn restore(loaded: Loaded) -> Self {
        let mut state = Self {
            version: loaded.version,
            compacted: loaded.compacted,
            restored: loaded.version,
            resources: HashMap::new(),
            fresh: Vec::new(),
            fresh_bytes: 0,
        };
        for object in loaded.objects {
            let place = place(&object.key);
            state.fresh.push(Arc::downgrade(&object));
            state
                .resource(&object.key.resource)
                .objects
                .insert(place, object);
        }
        let mut last: HashMap<Key, Arc<Object>> = HashMap::new();
        for (kind, object) in loaded.events {
            let previous = last.insert(object.key.clone(), Arc::clone(&object));
            let resource = Arc::clone(&object.key.resource);
            state.fresh.push(Arc::downgrade(&object));
            state.resource(&resource).remember(Change {
                kind,
                object,
                previous,
            });
        }
        state
    }

    pub(super) fn resource(&mut self, name: &Arc<str>) -> &mut Resource {
        let (compacted, restored) = (self.compacted, self.restored);
        self.resources
            .entry(Arc::clone(name))
            .or_insert_with(|| Resource::new(compacted, restored))
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.resources.get(&key.resource)?.objects.get(&place(key))
    }

    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        if let Some(last) = changes.last() {
            self.version = last.version();
        }
        for change in changes {
            let version = change.version();
            let place = place(change.key());
            self.fresh.push(Arc::downgrade(&change.object));
            self.fresh_bytes += change.object.size();
            let resource = self.resource(&change.key().resource);
            match change.kind {
                ChangeKind::Added | ChangeKind::Modified => {
                    resource.objects.insert(place, Arc::clone(&change.object));
                }
                ChangeKind::Deleted => {
                    resource.objects.remove(&place);
                }
            }
            resource.remember(change);
            resource.latest.send_replace(version);
        }
    }

    /// The bytes of what was written since [`State::take_fresh`].
    pub(super) fn fresh_bytes(&self) -> usize {
        self.fresh_bytes
    }

    /// What was written since the last call.
    pub(super) fn take_fresh(&mut self) -> Vec<Weak<Object>> {
        self.fresh_bytes = 0;
        std::mem::take(&mut self.fresh)
    }

    pub(super) fn compact(&mut self, version: u64) {
        for resource in self.resources.values_mut() {
            while resource
                .ring
                .front()
                .is_some_and(|change| change.version() <= version)
            {
                resource.forget_oldest();
            }
        }
    }
}
