//! What is remembered of each Application between turns. All of it can be dropped at any time: the next turn
//! finds it again.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use caravel_core::api::Application;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::delivery::Delivery;
use super::following::Following;
use super::intent::Intent;
use super::retry::Retry;
use super::run::Run;
use crate::library::Library;

/// Namespace and name of an Application.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn of(application: &Application) -> Self {
        Self {
            namespace: application.namespace().unwrap_or_default(),
            name: application.name_any(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One Application between two turns.
#[derive(Default)]
pub(crate) struct Memory {
    /// The Application that all of this is about.
    pub(crate) uid: String,
    /// Its version after our last write, or our last look.
    pub(crate) seen: Option<String>,
    /// When it was looked at last.
    pub(crate) looked: Option<Timestamp>,
    /// When its status was written last.
    pub(crate) reported: Option<Timestamp>,
    /// When the next turn is due by itself.
    pub(crate) due: Option<Timestamp>,
    /// What is being delivered, and for which generation and annotations it was decided.
    pub(crate) intent: Option<(IntentKey, Intent)>,
    /// The run, its delivery, and whether all of the run happened in this process.
    pub(crate) active: Option<Active>,
    /// It names what is not there: a new definition may help.
    pub(crate) is_unresolved: bool,
    /// What it had to do with when it was decided what to deliver. It stays when that is let go of.
    pub(crate) following: Option<Arc<Following>>,
    /// Its turns that failed since one came to its end.
    pub(crate) retry: Retry,
}

impl Memory {
    /// Whether any definition that changes concerns it: it misses one, or follows them (row DEF-003).
    pub(crate) fn waits_for_definitions(&self) -> bool {
        let intent = self.intent.as_ref();
        self.is_unresolved || intent.is_some_and(|(key, _)| key.library.is_some())
    }

    /// Whether what it has to do with is at something else than when it was decided what to deliver.
    pub(crate) fn is_outdated(&self, library: &Library) -> bool {
        let following = self.following.as_ref();
        following.is_some_and(|following| following.is_outdated(library))
    }

    /// Lets go of what the next turn finds again, where the run is over and dealt with and nobody has looked since
    /// `before`: that is most of what an Application takes, and most Applications are at rest. Says whether it did.
    fn unload(&mut self, before: Timestamp) -> bool {
        let is_quiet = self.looked.is_some_and(|looked| looked < before);
        let is_done = self.active.as_ref().is_some_and(|active| active.is_settled);
        let is_at_rest = is_quiet && is_done;
        if is_at_rest {
            self.active = None;
            // One that follows definitions is known by its intent, and looks at it when they change.
            self.intent.take_if(|(key, _)| key.library.is_none());
        }
        is_at_rest
    }
}

/// What an intent was decided from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IntentKey {
    pub(crate) generation: i64,
    pub(crate) publish_version: Option<String>,
    /// Counts definitions' changes; only for an Application that follows them.
    pub(crate) library: Option<u64>,
    /// What it has to do with; none where a publish version keeps everything as it is.
    pub(crate) following: Option<Arc<Following>>,
}

/// A run that is loaded.
pub(crate) struct Active {
    pub(crate) run: Run,
    pub(crate) delivery: Arc<Delivery>,
    /// All of the run happened in this process, so that its record of what it applied is complete.
    pub(crate) is_complete: bool,
    /// The end of the run has been dealt with: pruned, recorded.
    pub(crate) is_settled: bool,
    /// Nothing was kept from pruning because late traits may still want it.
    pub(crate) is_swept: bool,
}

/// A place in memory for each Application; turns of one never overlap.
#[derive(Default)]
pub(crate) struct Session {
    /// Something happened that a turn must look at, though the Application is unchanged.
    dirty: AtomicBool,
    /// One of its objects changed.
    changed: AtomicBool,
    /// Somebody deleted a part of its inventory.
    lost: AtomicBool,
    pub(crate) memory: tokio::sync::Mutex<Memory>,
}

/// What happened since the last turn.
#[derive(Clone, Copy, Default)]
pub(crate) struct Marks {
    /// Something that a turn must look at, though the Application is unchanged.
    is_dirty: bool,
    /// One of its objects changed.
    pub(crate) objects_changed: bool,
    /// Somebody deleted a part of its inventory.
    pub(crate) is_lost: bool,
}

impl Marks {
    /// Whether there is something to look at.
    pub(crate) fn any(self) -> bool {
        self.is_dirty || self.objects_changed || self.is_lost
    }
}

impl Session {
    /// Takes the marks away; says which there were.
    pub(crate) fn take(&self) -> Marks {
        Marks {
            is_dirty: self.dirty.swap(false, Ordering::AcqRel),
            objects_changed: self.changed.swap(false, Ordering::AcqRel),
            is_lost: self.lost.swap(false, Ordering::AcqRel),
        }
    }

    /// A turn did not come to its end: the next one sees the marks again.
    pub(crate) fn put_back(&self, marks: Marks) {
        for (mark, was_there) in [
            (&self.changed, marks.objects_changed),
            (&self.lost, marks.is_lost),
        ] {
            mark.fetch_or(was_there, Ordering::AcqRel);
        }
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Key, Arc<Session>>>);

impl Sessions {
    /// The session of an Application, made if it is not there.
    pub(crate) fn get(&self, key: &Key) -> Arc<Session> {
        self.all().entry(key.clone()).or_default().clone()
    }

    /// Marks that the next turn must look.
    pub(crate) fn mark(&self, key: &Key) {
        self.get(key).dirty.store(true, Ordering::Release);
    }

    /// Marks that an object changed.
    pub(crate) fn mark_change(&self, key: &Key) {
        self.get(key).changed.store(true, Ordering::Release);
    }

    /// Marks that somebody deleted a part of its inventory.
    pub(crate) fn mark_lost(&self, key: &Key) {
        self.get(key).lost.store(true, Ordering::Release);
    }

    /// Forgets one that is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.all().remove(key);
    }

    /// Lets go of what is remembered of Applications at rest that were not looked at since `before`; how many there
    /// were. One whose turn is under way is not at rest.
    pub(crate) fn unload(&self, before: Timestamp) -> u64 {
        let sessions: Vec<_> = self.all().values().cloned().collect();
        let is_unloaded = |session: &&Arc<Session>| {
            let memory = session.memory.try_lock();
            memory.is_ok_and(|mut memory| memory.unload(before))
        };
        sessions.iter().filter(is_unloaded).map(|_| 1).sum()
    }

    /// All Applications that are known.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.all().keys().cloned().collect()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
