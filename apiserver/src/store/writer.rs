//! The one task that orders writes and hands them to the backend in groups.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::backend::{Backend, Change, ChangeKind};
use super::object::{Key, Object};
use super::{Action, Expect, Request, Retention, Shared, Write, WriteError};

/// Writes that share one commit.
const GROUP: usize = 256;
/// How often old events are looked for.
const COMPACTION: Duration = Duration::from_mins(1);

type Reply = oneshot::Sender<Result<Arc<Object>, WriteError>>;

pub(super) enum Message {
    Write(Request),
    Compact {
        version: u64,
        reply: oneshot::Sender<Result<(), WriteError>>,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

pub(super) async fn run(
    mut messages: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
    mut backend: Box<dyn Backend>,
    retention: Retention,
) {
    let mut history = History::new(retention);
    let mut tick = interval(COMPACTION);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            biased;
            message = messages.recv() => message,
            _ = tick.tick() => {
                if let Some(version) = history.expired(shared.read(|state| state.version)) {
                    compact(&shared, backend.as_mut(), version).await.unwrap_or_else(|error| {
                        tracing::warn!(%error, "old events could not be removed; trying again later");
                    });
                }
                continue;
            }
        };
        match message {
            None => break,
            Some(Message::Compact { version, reply }) => {
                let _ = reply.send(compact(&shared, backend.as_mut(), version).await);
            }
            Some(Message::Close { reply }) => {
                messages.close();
                backend.close().await;
                let _ = reply.send(());
                return;
            }
            Some(Message::Write(first)) => {
                if let Some(message) = group(first, &mut messages, &shared, backend.as_mut()).await
                {
                    match message {
                        Message::Compact { version, reply } => {
                            let _ = reply.send(compact(&shared, backend.as_mut(), version).await);
                        }
                        Message::Close { reply } => {
                            messages.close();
                            backend.close().await;
                            let _ = reply.send(());
                            return;
                        }
                        Message::Write(_) => {}
                    }
                }
            }
        }
    }
    backend.close().await;
}

/// Commits `first` and the writes that wait behind it. Returns the other message that ended the group.
async fn group(
    first: Request,
    messages: &mut mpsc::Receiver<Message>,
    shared: &Shared,
    backend: &mut dyn Backend,
) -> Option<Message> {
    let mut batch = Batch::new(shared.read(|state| state.version));
    batch.add(first, shared);
    let mut other = None;
    while batch.len < GROUP {
        match messages.try_recv() {
            Ok(Message::Write(request)) => batch.add(request, shared),
            Ok(message) => {
                other = Some(message);
                break;
            }
            Err(_) => break,
        }
    }
    batch.commit(shared, backend).await;
    other
}

#[derive(Default)]
struct Batch {
    version: u64,
    len: usize,
    pending: HashMap<Key, Option<Arc<Object>>>,
    changes: Vec<Change>,
    replies: Vec<Reply>,
}

impl Batch {
    fn new(version: u64) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }

    fn add(&mut self, request: Request, shared: &Shared) {
        self.len += 1;
        match self.order(request.write, shared) {
            Ok(change) => {
                let after =
                    (change.kind != ChangeKind::Deleted).then(|| Arc::clone(&change.object));
                self.pending.insert(change.key().clone(), after);
                self.changes.push(change);
                self.replies.push(request.reply);
            }
            Err(error) => {
                let _ = request.reply.send(Err(error));
            }
        }
    }

    fn order(&mut self, write: Write, shared: &Shared) -> Result<Change, WriteError> {
        let previous = match self.pending.get(&write.key) {
            Some(pending) => pending.clone(),
            None => shared.read(|state| state.get(&write.key).cloned()),
        };
        match (write.expect, &previous) {
            (Expect::Absent, Some(_)) => return Err(WriteError::Exists),
            (Expect::Version(_), None) => return Err(WriteError::Missing),
            (Expect::Version(wanted), Some(found)) if wanted != found.version => {
                return Err(WriteError::Changed(found.version));
            }
            _ => {}
        }
        self.version += 1;
        let (kind, draft) = match write.action {
            Action::Put(draft) if previous.is_none() => (ChangeKind::Added, draft),
            Action::Put(draft) => (ChangeKind::Modified, draft),
            Action::Delete(draft) => (ChangeKind::Deleted, draft),
        };
        let object = Arc::new(draft.finish(write.key, self.version));
        Ok(Change {
            kind,
            object,
            previous,
        })
    }

    async fn commit(self, shared: &Shared, backend: &mut dyn Backend) {
        if self.changes.is_empty() {
            return;
        }
        let committed = backend.commit(&self.changes).await;
        shared.healthy.store(committed.is_ok(), Ordering::Relaxed);
        match committed {
            Ok(()) => {
                let written: Vec<_> = self
                    .changes
                    .iter()
                    .map(|change| Arc::clone(&change.object))
                    .collect();
                shared.write(|state| state.apply(self.changes));
                for (reply, object) in self.replies.into_iter().zip(written) {
                    let _ = reply.send(Ok(object));
                }
            }
            Err(error) => {
                tracing::error!(%error, writes = self.changes.len(), "writes were refused because they could not be made durable");
                for reply in self.replies {
                    let _ = reply.send(Err(WriteError::Backend(error.to_string())));
                }
            }
        }
    }
}

async fn compact(
    shared: &Shared,
    backend: &mut dyn Backend,
    version: u64,
) -> Result<(), WriteError> {
    let version = version.min(shared.read(|state| state.version));
    backend
        .compact(version)
        .await
        .map_err(|error| WriteError::Backend(error.to_string()))?;
    shared.write(|state| state.compact(version));
    Ok(())
}

/// Which version was current when, to find out which events are old.
struct History {
    retention: Retention,
    marks: VecDeque<(Instant, u64)>,
    compacted: u64,
}

impl History {
    fn new(retention: Retention) -> Self {
        Self {
            retention,
            marks: VecDeque::new(),
            compacted: 0,
        }
    }

    /// Marks `version` as current now, and returns the version up to which events are too old or too many.
    fn expired(&mut self, version: u64) -> Option<u64> {
        let now = Instant::now();
        self.marks.push_back((now, version));
        let mut expired = version.saturating_sub(self.retention.events);
        while self
            .marks
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) >= self.retention.age)
        {
            if let Some((_, old)) = self.marks.pop_front() {
                expired = expired.max(old);
            }
        }
        (expired > self.compacted).then(|| {
            self.compacted = expired;
            expired
        })
    }
}
