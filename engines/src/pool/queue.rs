//! Jobs that wait for a lane.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::job::{Fingerprint, Lane};
use crate::{Answer, EngineError};

/// A job that waits.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) lane: Lane,
    /// Fingerprint of the whole job.
    pub(super) digest: Fingerprint,
    /// The request as JSON.
    pub(super) frame: Vec<u8>,
    /// How long its evaluation may last.
    pub(super) deadline: Duration,
    pub(super) reply: oneshot::Sender<Result<Answer, EngineError>>,
}

/// How far into one namespace's jobs a lane looks for one that it may take.
const LOOK_AHEAD: usize = 16;

/// Jobs by namespace. Lanes take from the namespaces in turn, so that one with many jobs does not delay
/// another's; and at most half of the lanes evaluate templates that have not proven themselves.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// How many lanes may evaluate unproven templates.
    unproven_lanes: usize,
    /// How many jobs of one namespace may wait.
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which it is their turn.
    namespaces: VecDeque<Waiting>,
    unproven_running: usize,
    closed: bool,
}

#[derive(Debug)]
struct Waiting {
    namespace: String,
    tickets: VecDeque<Ticket>,
}

/// A ticket that a lane took.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) ticket: Ticket,
    proven: bool,
}

impl Queue {
    pub(super) fn new(lanes: usize, limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            unproven_lanes: (lanes / 2).max(1),
            limit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job.
    ///
    /// # Errors
    /// Where too many jobs of the namespace wait already, or the pool is closed.
    pub(super) fn push(&self, ticket: Ticket) -> Result<(), EngineError> {
        let mut state = self.lock();
        if state.closed {
            return Err(EngineError::Fault("the engine was shut down".to_owned()));
        }
        let namespace = &ticket.lane.namespace;
        match state
            .namespaces
            .iter_mut()
            .find(|waiting| waiting.namespace == *namespace)
        {
            Some(waiting) if waiting.tickets.len() >= self.limit => {
                return Err(EngineError::Limit(format!(
                    "{} evaluations of the namespace {namespace} wait already",
                    waiting.tickets.len()
                )));
            }
            Some(waiting) => waiting.tickets.push_back(ticket),
            None => {
                let namespace = namespace.clone();
                state.namespaces.push_back(Waiting {
                    namespace,
                    tickets: [ticket].into(),
                });
            }
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes the next job; waits for one. `None` once the pool is closed.
    pub(super) fn take(&self, is_proven: impl Fn(&Lane) -> bool) -> Option<Taken> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(taken) = state.next(self.unproven_lanes, &is_proven) {
                return Some(taken);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the lane back that a job had.
    pub(super) fn done(&self, proven: bool) {
        if !proven {
            self.lock().unproven_running -= 1;
        }
        // Another lane may wait for exactly this.
        self.changed.notify_all();
    }

    /// Ends all waiting, for ever.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.namespaces.clear();
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock()
            .namespaces
            .iter()
            .map(|waiting| waiting.tickets.len())
            .sum()
    }
}

impl State {
    fn next(&mut self, unproven_lanes: usize, is_proven: &impl Fn(&Lane) -> bool) -> Option<Taken> {
        for _ in 0..self.namespaces.len() {
            let mut waiting = self.namespaces.pop_front()?;
            // Who asked may have gone away.
            waiting.tickets.retain(|ticket| !ticket.reply.is_closed());
            let free = self.unproven_running < unproven_lanes;
            let found = waiting
                .tickets
                .iter()
                .take(LOOK_AHEAD)
                .position(|ticket| free || is_proven(&ticket.lane));
            let ticket = found.and_then(|index| waiting.tickets.remove(index));
            if !waiting.tickets.is_empty() {
                self.namespaces.push_back(waiting);
            }
            if let Some(ticket) = ticket {
                let proven = is_proven(&ticket.lane);
                if !proven {
                    self.unproven_running += 1;
                }
                return Some(Taken { ticket, proven });
            }
        }
        None
    }
}

impl Taken {
    pub(super) fn proven(&self) -> bool {
        self.proven
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::{Queue, Ticket};
    use crate::job::Lane;
    use crate::{Answer, EngineError};

    type Waiter = oneshot::Receiver<Result<Answer, EngineError>>;

    fn push(queue: &Queue, namespace: &str, template: u8) -> Waiter {
        let (reply, waiter) = oneshot::channel();
        let lane = Lane {
            namespace: namespace.to_owned(),
            templates: vec![[template; 32]],
        };
        queue
            .push(Ticket {
                lane,
                digest: [template; 32],
                frame: Vec::new(),
                deadline: Duration::ZERO,
                reply,
            })
            .unwrap();
        waiter
    }

    /// Templates below 100 are proven.
    fn proven(lane: &Lane) -> bool {
        lane.templates.iter().all(|template| template[0] < 100)
    }

    fn take(queue: &Queue) -> (String, u8, bool) {
        let taken = queue.take(proven).unwrap();
        (
            taken.ticket.lane.namespace.clone(),
            taken.ticket.digest[0],
            taken.proven(),
        )
    }

    #[test]
    fn namespaces_take_turns() {
        let queue = Queue::new(2, 10);
        let _waiters = [
            push(&queue, "a", 1),
            push(&queue, "a", 2),
            push(&queue, "a", 3),
            push(&queue, "b", 4),
        ];
        let order: Vec<u8> = (0..4).map(|_| take(&queue).1).collect();
        assert_eq!(order, [1, 4, 2, 3]);
    }

    #[test]
    fn unproven_templates_get_at_most_half_the_lanes() {
        let queue = Queue::new(2, 10);
        let _waiters = [
            push(&queue, "a", 101),
            push(&queue, "b", 102),
            push(&queue, "c", 3),
        ];
        assert_eq!(take(&queue), ("a".to_owned(), 101, false));
        assert_eq!(
            take(&queue),
            ("c".to_owned(), 3, true),
            "the unproven one of b has to wait"
        );
        queue.done(false);
        assert_eq!(take(&queue), ("b".to_owned(), 102, false));
    }

    #[test]
    fn a_job_whose_caller_went_away_is_dropped() {
        let queue = Queue::new(2, 10);
        drop(push(&queue, "a", 1));
        let _waiter = push(&queue, "a", 2);
        assert_eq!(take(&queue).1, 2);
    }

    #[test]
    fn a_namespace_cannot_queue_without_end() {
        let queue = Queue::new(2, 1);
        let _waiter = push(&queue, "a", 1);
        let (reply, _receiver) = oneshot::channel();
        let lane = Lane {
            namespace: "a".to_owned(),
            templates: Vec::new(),
        };
        let refused = queue.push(Ticket {
            lane,
            digest: [0; 32],
            frame: Vec::new(),
            deadline: Duration::ZERO,
            reply,
        });
        assert!(matches!(refused, Err(EngineError::Limit(_))));
    }
}
