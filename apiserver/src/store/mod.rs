//! One ordered sequence of writes, its present state, and its recent past.
//!
//! All state is held in memory and read from there; a [`Backend`] makes writes durable before they become
//! visible or are answered. A single writer orders them, commits them in groups, and gives each the next
//! resourceVersion: there are no gaps, and one sequence serves all resources.

mod backend;
mod object;
mod pack;
mod rest;
mod sqlite;
mod state;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot, watch};

pub use self::backend::{Backend, BackendError, Change, ChangeKind, Loaded, Memory};
pub use self::object::{Draft, Key, Labels, Object};
pub use self::sqlite::Sqlite;
use self::state::State;

/// What must be true of the stored object for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It must not exist.
    Absent,
    /// It must exist with this version.
    Version(u64),
}

/// What to write.
#[derive(Debug)]
pub enum Action {
    /// Store this object.
    Put(Draft),
    /// Delete the object; the draft is the last state that watchers see.
    Delete(Draft),
}

/// One compare-and-swap.
#[derive(Debug)]
pub struct Write {
    /// Where.
    pub key: Key,
    /// The condition.
    pub expect: Expect,
    /// What.
    pub action: Action,
}

/// Why a write did not happen. The stored state is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object exists already.
    #[error("the object exists already")]
    Exists,
    /// The object does not exist (any more).
    #[error("the object does not exist")]
    Missing,
    /// The object was written since it was read.
    #[error("the object has version {0} now")]
    Changed(u64),
    /// The backend failed, for example because the disk is full.
    #[error("{0}")]
    Backend(String),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// A version whose state or events are not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {wanted} ({oldest})")]
pub struct Compacted {
    /// What was asked for.
    pub wanted: u64,
    /// The oldest version that can be asked for.
    pub oldest: u64,
}

/// Which objects to list.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// The state at this version; now if `None`.
    pub at: Option<u64>,
    /// Only what comes after this namespace and name.
    pub after: Option<(Arc<str>, Arc<str>)>,
    /// At most so many; 0 is without a limit.
    pub limit: usize,
}

/// Objects of one resource at one version.
#[derive(Debug)]
pub struct Listed {
    /// The version of the state.
    pub version: u64,
    /// The objects, ordered by namespace and name.
    pub objects: Vec<Arc<Object>>,
    /// How many objects of the range come after them (selected or not).
    pub rest: usize,
}

struct Shared {
    state: RwLock<State>,
    /// Could the last group of writes be made durable?
    healthy: AtomicBool,
}

impl Shared {
    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Request {
    write: Write,
    reply: oneshot::Sender<Result<Arc<Object>, WriteError>>,
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    requests: mpsc::Sender<writer::Message>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Loads what `backend` kept and starts the writer. Needs a tokio runtime.
    pub async fn open(
        mut backend: Box<dyn Backend>,
        retention: Retention,
    ) -> Result<Self, BackendError> {
        let loaded = backend.load().await?;
        let shared = Arc::new(Shared {
            state: RwLock::new(State::restore(loaded)),
            healthy: AtomicBool::new(true),
        });
        let (requests, receiver) = mpsc::channel(4096);
        tokio::spawn(writer::run(
            receiver,
            Arc::clone(&shared),
            backend,
            retention,
        ));
        tokio::spawn(rest::run(Arc::downgrade(&shared)));
        Ok(Self { shared, requests })
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.shared.read(|state| state.version)
    }

    /// Could the last writes be made durable? If not, reads go on, and writes fail until the backend works again.
    pub fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
    }

    /// The object, if it exists.
    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.shared.read(|state| state.get(key).cloned())
    }

    /// The objects of a resource that `select` accepts.
    ///
    /// # Errors
    /// The wanted past is not kept any more.
    pub fn list(
        &self,
        resource: &str,
        range: &Range,
        mut select: impl FnMut(&Object) -> bool,
    ) -> Result<Listed, Compacted> {
        self.shared.read(|state| {
            let version = range.at.unwrap_or(state.version);
            let mut listed = Listed {
                version,
                objects: Vec::new(),
                rest: 0,
            };
            let Some(resource) = state.resources.get(resource) else {
                return Ok(listed);
            };
            if version < resource.list_floor {
                return Err(Compacted {
                    wanted: version,
                    oldest: resource.list_floor,
                });
            }
            let mut objects =
                resource.at(version, range.namespace.as_deref(), range.after.as_ref());
            for object in objects.by_ref() {
                if select(object) {
                    listed.objects.push(Arc::clone(object));
                    if range.limit > 0 && listed.objects.len() == range.limit {
                        break;
                    }
                }
            }
            listed.rest = objects.count();
            Ok(listed)
        })
    }

    /// The version of the last write to a resource since the store was opened.
    pub fn changed(&self, resource: &str) -> u64 {
        self.shared.read(|state| {
            state
                .resources
                .get(resource)
                .map_or(0, |resource| *resource.latest.borrow())
        })
    }

    /// How many objects a resource has.
    pub fn count(&self, resource: &str) -> usize {
        self.shared.read(|state| {
            state
                .resources
                .get(resource)
                .map_or(0, |resource| resource.objects.len())
        })
    }

    /// Writes, and returns when it is durable and visible.
    pub async fn write(&self, write: Write) -> Result<Arc<Object>, WriteError> {
        let (reply, answer) = oneshot::channel();
        let request = writer::Message::Write(Request { write, reply });
        self.requests
            .send(request)
            .await
            .map_err(|_| WriteError::Closed)?;
        answer.await.map_err(|_| WriteError::Closed)?
    }

    /// The writes to a resource after `version`.
    ///
    /// # Errors
    /// Events after that version are already forgotten.
    pub fn watch(&self, resource: &str, version: u64) -> Result<Watch, Compacted> {
        self.shared.write(|state| {
            let found = state.resource(&resource.into());
            if version < found.forgotten {
                return Err(Compacted {
                    wanted: version,
                    oldest: found.forgotten,
                });
            }
            let latest = found.latest.subscribe();
            let shared = Arc::clone(&self.shared);
            Ok(Watch {
                shared,
                resource: resource.into(),
                cursor: version,
                latest,
            })
        })
    }

    /// Forgets the events up to `version`, here and in the backend.
    pub async fn compact(&self, version: u64) -> Result<(), WriteError> {
        let (reply, answer) = oneshot::channel();
        let request = writer::Message::Compact { version, reply };
        self.requests
            .send(request)
            .await
            .map_err(|_| WriteError::Closed)?;
        answer.await.map_err(|_| WriteError::Closed)?
    }

    /// Completes the writes that were handed in, releases the backend, and refuses later writes.
    pub async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self
            .requests
            .send(writer::Message::Close { reply })
            .await
            .is_ok()
        {
            let _ = answer.await;
        }
    }
}

/// How much of the past the backend keeps.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Events are kept at least so long.
    pub age: std::time::Duration,
    /// More events than this are not kept, whatever their age.
    pub events: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: std::time::Duration::from_mins(5),
            events: 100_000,
        }
    }
}

/// A reader of the writes to one resource. It keeps a position, not a queue: a slow reader costs nothing,
/// and is told when what it missed is forgotten.
pub struct Watch {
    shared: Arc<Shared>,
    resource: Arc<str>,
    cursor: u64,
    latest: watch::Receiver<u64>,
}

impl Watch {
    /// The writes since the last call, oldest first; waits for the first one. Cancel safe.
    ///
    /// # Errors
    /// The reader was so slow that events it has not seen are forgotten.
    pub async fn next(&mut self) -> Result<Vec<Change>, Compacted> {
        loop {
            self.latest.mark_unchanged();
            let changes = self.pending()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            if self.latest.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The writes that are there now, without waiting.
    pub fn pending(&mut self) -> Result<Vec<Change>, Compacted> {
        let cursor = self.cursor;
        let changes = self.shared.read(|state| {
            let Some(resource) = state.resources.get(&self.resource) else {
                return Ok(Vec::new());
            };
            if cursor < resource.forgotten {
                return Err(Compacted {
                    wanted: cursor,
                    oldest: resource.forgotten,
                });
            }
            Ok(resource.since(cursor).cloned().collect::<Vec<_>>())
        })?;
        if let Some(last) = changes.last() {
            self.cursor = last.version();
        }
        Ok(changes)
    }

    /// The version up to which this reader has seen everything, if nothing is pending.
    pub fn caught_up(&mut self) -> Option<u64> {
        let cursor = self.cursor;
        let version = self.shared.read(|state| {
            let idle = state.resources.get(&self.resource).is_none_or(|resource| {
                resource.forgotten <= cursor && resource.since(cursor).next().is_none()
            });
            idle.then_some(state.version)
        })?;
        self.cursor = self.cursor.max(version);
        Some(version)
    }
}
