//! One lane: a thread with its worker.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Shared;
use super::queue::{Taken, Ticket};
use super::worker::{Patience, Stop, Worker};
use crate::{Answer, EngineError};

/// What all lanes did.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) answered: AtomicU64,
    pub(super) stopped: AtomicU64,
    pub(super) quarantined: AtomicU64,
    pub(super) started: AtomicU64,
}

/// Serves jobs until the pool is closed.
pub(super) fn run(shared: &Shared) {
    let mut lane = Lane {
        shared,
        worker: None,
    };
    lane.prepare();
    while let Some(Taken { ticket, slow }) = shared.queue.take() {
        let turn = Turn {
            shared,
            deadline: ticket.deadline,
            begin: Instant::now(),
            slow: Cell::new(slow),
        };
        match lane.serve(&ticket, &turn) {
            Some(result) => {
                // Nobody waits any more where this fails.
                let _ = ticket.reply.send(result);
            }
            None => shared.queue.put_back(ticket),
        }
        shared.queue.done(turn.slow.get());
        lane.prepare();
    }
}

/// How long to wait at least before looking again how much was worked; the kernel counts in such steps.
const LEAST: Duration = Duration::from_millis(10);

/// The time that a job has a lane.
struct Turn<'a> {
    shared: &'a Shared,
    deadline: Duration,
    begin: Instant,
    slow: Cell<bool>,
}

impl Turn<'_> {
    /// A moment at first, the whole deadline for what is slow.
    fn limit(&self) -> Duration {
        if self.slow.get() {
            self.deadline
        } else {
            self.deadline.min(self.shared.options.deadlines.moment)
        }
    }
}

impl Patience for Turn<'_> {
    fn is_over(&self) -> bool {
        self.shared.queue.is_closed()
    }

    /// A moment is one of work. After it a job may go on as a slow one, unless others wait.
    fn longer(&self, worked: Duration) -> Option<Duration> {
        let rest = self.deadline.saturating_sub(self.begin.elapsed());
        if rest.is_zero() || self.slow.get() {
            return None;
        }
        let moment = self.limit();
        if worked < moment {
            return Some(moment.saturating_sub(worked).max(LEAST).min(rest));
        }
        self.shared.queue.go_on().then(|| {
            self.slow.set(true);
            rest
        })
    }
}

struct Lane<'a> {
    shared: &'a Shared,
    worker: Option<Worker>,
}

impl Lane<'_> {
    /// Starts a worker ahead of the next job, and replaces one that served its time. A failure is told to
    /// the next job.
    fn prepare(&mut self) {
        let options = &self.shared.options;
        if self
            .worker
            .as_ref()
            .is_some_and(|worker| worker.is_worn(options))
        {
            self.worker = None;
        }
        if self.worker.is_none()
            && let Err(error) = self.start()
        {
            tracing::warn!(%error, "a template worker cannot be started");
        }
    }

    fn start(&mut self) -> Result<&mut Worker, EngineError> {
        let worker = Worker::start(&self.shared.options).map_err(|error| {
            EngineError::Fault(format!(
                "the worker {} cannot be started: {error}",
                self.shared.options.program.display()
            ))
        })?;
        self.shared.counters.started.fetch_add(1, Ordering::Relaxed);
        Ok(self.worker.insert(worker))
    }

    /// Serves a job; `None` where a moment was too short for it.
    fn serve(&mut self, ticket: &Ticket, turn: &Turn<'_>) -> Option<Result<Answer, EngineError>> {
        let shared = self.shared;
        if let Err(refused) = shared.trust.check(&ticket.lane, &ticket.digest) {
            shared.counters.quarantined.fetch_add(1, Ordering::Relaxed);
            return Some(Err(refused));
        }
        let exchanged = match self.exchange(ticket, turn) {
            // Whoever did that did not mean the job: another worker has it.
            Err(Stop::Killed(signal)) => {
                tracing::warn!(%signal, "a template worker was killed from outside");
                self.worker = None;
                self.exchange(ticket, turn)
            }
            other => other,
        };
        match exchanged {
            Ok(frame) => Some(self.answered(ticket, &frame)),
            Err(stop) => {
                // Dropping a worker kills it.
                self.worker = None;
                if matches!(stop, Stop::Deadline) && turn.limit() < ticket.deadline {
                    return None;
                }
                Some(Err(self.stopped(ticket, stop)))
            }
        }
    }

    fn answered(&self, ticket: &Ticket, frame: &[u8]) -> Result<Answer, EngineError> {
        let shared = self.shared;
        shared.counters.answered.fetch_add(1, Ordering::Relaxed);
        let answer = Answer::from_frame(frame);
        if !matches!(answer, Err(EngineError::Fault(_))) {
            shared.trust.succeeded(&ticket.lane, &ticket.digest);
        }
        answer
    }

    fn stopped(&self, ticket: &Ticket, stop: Stop) -> EngineError {
        let shared = self.shared;
        let whose = ticket.lane.subject.clone();
        let error = match stop {
            Stop::Closed => return EngineError::Fault("the engine was shut down".to_owned()),
            Stop::Start(error) => return error,
            Stop::Deadline => EngineError::Deadline {
                whose,
                after: ticket.deadline,
            },
            Stop::Killed(signal) => EngineError::Killed { whose, signal },
            Stop::Died(reason) => EngineError::Exhausted {
                whose,
                memory_mb: shared.options.memory >> 20,
                reason,
            },
        };
        tracing::warn!(namespace = %ticket.lane.namespace, %error, "stopped an evaluation");
        shared.counters.stopped.fetch_add(1, Ordering::Relaxed);
        shared.trust.stopped(&ticket.lane, &ticket.digest);
        error
    }

    /// Sends a job to the worker. One that died while it was idle is replaced first: that is not the
    /// job's fault.
    fn exchange(&mut self, ticket: &Ticket, turn: &Turn<'_>) -> Result<Vec<u8>, Stop> {
        if self
            .worker
            .as_mut()
            .is_some_and(|worker| !worker.is_alive())
        {
            self.worker = None;
        }
        if self.worker.is_none() {
            self.start().map_err(Stop::Start)?;
        }
        match &mut self.worker {
            Some(worker) => worker.exchange(&ticket.frame, turn.limit(), turn),
            None => Err(Stop::Closed),
        }
    }
}
