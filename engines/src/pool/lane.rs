//! One lane: a thread with its worker.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use super::queue::Ticket;
use super::worker::{Stop, Worker};
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
    while let Some(taken) = shared.queue.take(|lane| shared.trust.is_proven(lane)) {
        let proven = taken.proven();
        let result = lane.serve(&taken.ticket);
        shared.queue.done(proven);
        // Nobody waits any more where this fails.
        let _ = taken.ticket.reply.send(result);
        lane.prepare();
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

    fn serve(&mut self, ticket: &Ticket) -> Result<Answer, EngineError> {
        let counters = &self.shared.counters;
        if let Err(refused) = self.shared.trust.check(&ticket.lane, &ticket.digest) {
            counters.quarantined.fetch_add(1, Ordering::Relaxed);
            return Err(refused);
        }
        let stop = match self.exchange(ticket) {
            Ok(frame) => {
                counters.answered.fetch_add(1, Ordering::Relaxed);
                let answer = Answer::from_frame(&frame);
                if !matches!(answer, Err(EngineError::Fault(_))) {
                    self.shared.trust.succeeded(&ticket.lane, &ticket.digest);
                }
                return answer;
            }
            Err(stop) => stop,
        };
        // Dropping a worker kills it.
        self.worker = None;
        let error = match stop {
            Stop::Closed => return Err(EngineError::Fault("the engine was shut down".to_owned())),
            Stop::Start(error) => return Err(error),
            Stop::Deadline => EngineError::Deadline(ticket.deadline),
            Stop::Died(reason) => EngineError::Exhausted {
                memory_mb: self.shared.options.memory >> 20,
                reason,
            },
        };
        tracing::warn!(namespace = %ticket.lane.namespace, %error, "stopped an evaluation");
        counters.stopped.fetch_add(1, Ordering::Relaxed);
        self.shared.trust.stopped(&ticket.lane, &ticket.digest);
        Err(error)
    }

    /// Sends a job to the worker. One that died while it was idle is replaced first: that is not the
    /// job's fault.
    fn exchange(&mut self, ticket: &Ticket) -> Result<Vec<u8>, Stop> {
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
            Some(worker) => worker.exchange(&ticket.frame, ticket.deadline, || {
                self.shared.queue.is_closed()
            }),
            None => Err(Stop::Closed),
        }
    }
}
