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
    /// All of its templates succeeded before.
    pub(super) known: bool,
    pub(super) reply: oneshot::Sender<Result<Answer, EngineError>>,
}

/// After so many quick jobs in a row a slow one has its turn, so that it does not wait for ever; and so has one of new
/// templates after so many of known ones.
const IN_A_ROW: u32 = 64;

/// Jobs by namespace. Lanes take from the namespaces in turn, so that one with many jobs does not delay
/// another's. Every job is quick at first: it has a lane for a moment. One that needs longer is slow: it begins
/// again when no quick job waits, and slow jobs have at most half of the lanes. Jobs of templates that succeeded before go
/// before those of new ones. So templates that never end, be there ever so many, delay new ones by moments only, and
/// known ones hardly at all.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// How many lanes may evaluate slow jobs.
    slow_lanes: usize,
    /// How many jobs of one namespace may wait.
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Quick jobs of templates that succeeded before.
    known: Turns,
    /// The other quick ones.
    quick: Turns,
    slow: Turns,
    slow_running: usize,
    /// Quick jobs since the last slow one.
    in_a_row: u32,
    /// Jobs of known templates since the last one of new ones.
    known_in_a_row: u32,
    closed: bool,
}

/// The namespaces that have jobs waiting, in the order in which it is their turn.
#[derive(Debug, Default)]
struct Turns(VecDeque<Waiting>);

#[derive(Debug)]
struct Waiting {
    namespace: String,
    tickets: VecDeque<Ticket>,
}

/// A ticket that a lane took.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) ticket: Ticket,
    /// It may have its whole deadline.
    pub(super) slow: bool,
}

impl Queue {
    pub(super) fn new(lanes: usize, limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            slow_lanes: (lanes / 2).max(1),
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
        let waiting = state.waiting(&ticket.lane.namespace);
        if waiting >= self.limit {
            return Err(EngineError::Limit(format!(
                "{waiting} evaluations of the namespace {} wait already",
                ticket.lane.namespace
            )));
        }
        if ticket.known {
            state.known.push(ticket);
        } else {
            state.quick.push(ticket);
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes the next job; waits for one. `None` once the pool is closed.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(taken) = state.next(self.slow_lanes) {
                return Some(taken);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether a job whose moment is over may go on at once as a slow one: nobody waits, and there is a lane
    /// for it.
    pub(super) fn go_on(&self) -> bool {
        let mut state = self.lock();
        let nobody_waits = state.quick.0.is_empty() && state.known.0.is_empty();
        let may = nobody_waits && state.slow_running < self.slow_lanes;
        if may {
            state.slow_running += 1;
        }
        may
    }

    /// Puts a job back that turned out to be slow. It does not count against the limit: it was let in before.
    pub(super) fn put_back(&self, ticket: Ticket) {
        let mut state = self.lock();
        if !state.closed {
            state.slow.push(ticket);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Gives the lane back that a job had.
    pub(super) fn done(&self, slow: bool) {
        if slow {
            self.lock().slow_running -= 1;
        }
        // Another lane may wait for exactly this.
        self.changed.notify_all();
    }

    /// Ends all waiting, for ever.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.known.0.clear();
        state.quick.0.clear();
        state.slow.0.clear();
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn waiting(&self) -> usize {
        let state = self.lock();
        [&state.known, &state.quick, &state.slow]
            .into_iter()
            .flat_map(|turns| &turns.0)
            .map(|waiting| waiting.tickets.len())
            .sum()
    }
}

impl State {
    /// How many jobs of a namespace wait.
    fn waiting(&self, namespace: &str) -> usize {
        [&self.known, &self.quick, &self.slow]
            .into_iter()
            .filter_map(|turns| {
                turns
                    .0
                    .iter()
                    .find(|waiting| waiting.namespace == namespace)
            })
            .map(|waiting| waiting.tickets.len())
            .sum()
    }

    fn next(&mut self, slow_lanes: usize) -> Option<Taken> {
        let may_slow = self.slow_running < slow_lanes;
        if may_slow
            && self.in_a_row >= IN_A_ROW
            && let Some(taken) = self.next_slow()
        {
            return Some(taken);
        }
        if let Some(ticket) = self.next_quick() {
            self.in_a_row = self.in_a_row.saturating_add(1);
            return Some(Taken {
                ticket,
                slow: false,
            });
        }
        if may_slow { self.next_slow() } else { None }
    }

    fn next_quick(&mut self) -> Option<Ticket> {
        let ticket = if self.known_in_a_row < IN_A_ROW {
            self.known.next().or_else(|| self.quick.next())
        } else {
            self.quick.next().or_else(|| self.known.next())
        }?;
        self.known_in_a_row = if ticket.known {
            self.known_in_a_row.saturating_add(1)
        } else {
            0
        };
        Some(ticket)
    }

    fn next_slow(&mut self) -> Option<Taken> {
        self.in_a_row = 0;
        let ticket = self.slow.next()?;
        self.slow_running += 1;
        Some(Taken { ticket, slow: true })
    }
}

impl Turns {
    fn push(&mut self, ticket: Ticket) {
        let namespace = &ticket.lane.namespace;
        match self
            .0
            .iter_mut()
            .find(|waiting| waiting.namespace == *namespace)
        {
            Some(waiting) => waiting.tickets.push_back(ticket),
            None => self.0.push_back(Waiting {
                namespace: namespace.clone(),
                tickets: [ticket].into(),
            }),
        }
    }

    fn next(&mut self) -> Option<Ticket> {
        while let Some(mut waiting) = self.0.pop_front() {
            // Who asked may have gone away.
            waiting.tickets.retain(|ticket| !ticket.reply.is_closed());
            let ticket = waiting.tickets.pop_front();
            if !waiting.tickets.is_empty() {
                self.0.push_back(waiting);
            }
            if ticket.is_some() {
                return ticket;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::{IN_A_ROW, Queue, Ticket};
    use crate::job::Lane;
    use crate::{Answer, EngineError};

    type Waiter = oneshot::Receiver<Result<Answer, EngineError>>;

    fn ticket(namespace: &str, number: u8) -> (Ticket, Waiter) {
        let (reply, waiter) = oneshot::channel();
        let lane = Lane {
            namespace: namespace.to_owned(),
            ..Lane::default()
        };
        let ticket = Ticket {
            lane,
            digest: [number; 32],
            frame: Vec::new(),
            deadline: Duration::ZERO,
            known: false,
            reply,
        };
        (ticket, waiter)
    }

    fn push(queue: &Queue, namespace: &str, number: u8, slow: bool) -> Waiter {
        let (ticket, waiter) = ticket(namespace, number);
        if slow {
            queue.put_back(ticket);
        } else {
            queue.push(ticket).unwrap();
        }
        waiter
    }

    fn take(queue: &Queue) -> (u8, bool) {
        let taken = queue.take().unwrap();
        (taken.ticket.digest[0], taken.slow)
    }

    #[test]
    fn namespaces_take_turns() {
        let queue = Queue::new(2, 10);
        let _waiters = [
            push(&queue, "a", 1, false),
            push(&queue, "a", 2, false),
            push(&queue, "a", 3, false),
            push(&queue, "b", 4, false),
        ];
        let order: Vec<u8> = (0..4).map(|_| take(&queue).0).collect();
        assert_eq!(order, [1, 4, 2, 3]);
    }

    #[test]
    fn slow_jobs_come_after_quick_ones_and_get_at_most_half_the_lanes() {
        let queue = Queue::new(2, 10);
        let _waiters = [
            push(&queue, "a", 1, true),
            push(&queue, "b", 2, true),
            push(&queue, "c", 3, false),
        ];
        assert_eq!(take(&queue), (3, false));
        assert_eq!(take(&queue), (1, true));
        let _late = push(&queue, "d", 4, false);
        assert_eq!(take(&queue), (4, false), "the other slow one has to wait");
        let next = queue.lock().next(queue.slow_lanes);
        assert!(next.is_none(), "one of two lanes stays for what is quick");
        queue.done(true);
        assert_eq!(take(&queue), (2, true));
    }

    #[test]
    fn a_slow_job_has_its_turn_at_last() {
        let queue = Queue::new(2, 1_000);
        let mut waiters = vec![push(&queue, "slow", 255, true)];
        for _ in 0..=IN_A_ROW {
            waiters.push(push(&queue, "busy", 1, false));
        }
        let quick = (0..IN_A_ROW).map(|_| take(&queue));
        assert!(quick.into_iter().all(|taken| taken == (1, false)));
        assert_eq!(take(&queue), (255, true));
    }

    #[test]
    fn jobs_of_known_templates_go_first_but_not_for_ever() {
        let queue = Queue::new(2, 1_000);
        let mut waiters = vec![push(&queue, "new", 255, false)];
        for _ in 0..=IN_A_ROW {
            let (ticket, waiter) = ticket("busy", 1);
            let known = true;
            queue.push(Ticket { known, ..ticket }).unwrap();
            waiters.push(waiter);
        }
        let first = (0..IN_A_ROW).map(|_| take(&queue));
        assert!(first.into_iter().all(|taken| taken == (1, false)));
        assert_eq!(take(&queue), (255, false));
        assert_eq!(take(&queue), (1, false));
    }

    #[test]
    fn a_job_that_is_put_back_is_slow() {
        let queue = Queue::new(2, 1);
        let _waiter = push(&queue, "a", 1, false);
        let taken = queue.take().unwrap();
        let _other = push(&queue, "a", 2, false);
        queue.put_back(taken.ticket);
        assert_eq!((take(&queue), take(&queue)), ((2, false), (1, true)));
    }

    #[test]
    fn a_job_goes_on_where_nobody_waits_and_a_lane_is_for_it() {
        let queue = Queue::new(2, 10);
        let _waiters = [push(&queue, "a", 1, false), push(&queue, "b", 2, false)];
        take(&queue);
        assert!(!queue.go_on(), "b waits");
        take(&queue);
        assert!(queue.go_on());
        assert!(!queue.go_on(), "one slow job on two lanes");
        queue.done(true);
        assert!(queue.go_on());
    }

    #[test]
    fn a_job_whose_caller_went_away_is_dropped() {
        let queue = Queue::new(2, 10);
        drop(push(&queue, "a", 1, false));
        drop(push(&queue, "b", 2, false));
        let _waiter = push(&queue, "a", 3, false);
        assert_eq!(take(&queue).0, 3);
    }

    #[test]
    fn a_namespace_cannot_queue_without_end() {
        let queue = Queue::new(2, 1);
        let _waiter = push(&queue, "a", 1, false);
        let (again, _receiver) = ticket("a", 2);
        let refused = queue.push(again);
        assert!(matches!(refused, Err(EngineError::Limit(_))));
    }
}
