//! An engine of worker processes.

mod examine;
mod lane;
mod queue;
#[cfg(test)]
mod tests;
mod trust;
mod worker;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use caravel_core::engine::Operation;
use tokio::sync::oneshot;

use crate::limits::LONGEST_EVALUATED;
use crate::{Answer, Engine, EngineError, Job};
pub use examine::Isolation;
use lane::Counters;
use queue::{Queue, Ticket};
use trust::Trust;

/// How a [`Pool`] is set up. [`PoolOptions::new`] has the values that fit the daemon.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Program that serves frames on its standard input and output.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// How many workers there are.
    pub lanes: usize,
    /// How long an evaluation may last, by kind.
    pub deadlines: Deadlines,
    /// How much memory (`RLIMIT_DATA`) a worker may have, in bytes.
    pub memory: u64,
    /// A worker whose resident memory is above this after a call is replaced, in bytes.
    pub recycle_resident: u64,
    /// A worker is replaced after so many calls, because CUE keeps every field name that it ever saw.
    pub recycle_calls: u32,
    /// How many jobs of one namespace may wait.
    pub waiting: usize,
}

impl PoolOptions {
    /// Options for a program, with one worker for each processor.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            lanes: thread::available_parallelism()
                .map_or(2, usize::from)
                .max(2),
            deadlines: Deadlines::default(),
            memory: 512 << 20,
            recycle_resident: 300 << 20,
            recycle_calls: 5_000,
            waiting: 4_096,
        }
    }
}

/// How long an evaluation may last.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Checks, expressions, status, formatting.
    pub check: Duration,
    /// Renders and workflow steps.
    pub render: Duration,
    /// Schemas.
    pub schema: Duration,
    /// How much processor time any evaluation may take at first. One that needs longer begins again when there is nothing
    /// quick to do; so a few endless ones do not keep the others waiting.
    pub moment: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            check: Duration::from_secs(2),
            render: Duration::from_secs(5),
            schema: Duration::from_secs(10),
            moment: Duration::from_millis(100),
        }
    }
}

impl Deadlines {
    fn of(&self, operation: &Operation) -> Duration {
        match operation {
            Operation::Render(_)
            | Operation::Step(_)
            | Operation::Policy(_)
            | Operation::Config(_) => self.render,
            Operation::Schema(_) => self.schema,
            _ => self.check,
        }
    }
}

/// What a pool did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Jobs that a worker answered.
    pub answered: u64,
    /// Evaluations that were stopped: too long, too much memory.
    pub stopped: u64,
    /// Jobs that were refused because of earlier stops.
    pub quarantined: u64,
    /// Workers that were started.
    pub started: u64,
    /// Jobs that wait now.
    pub waiting: u64,
}

/// An engine of worker processes that are killed when they take too long or too much.
///
/// Each worker belongs to a thread that lives as long as the pool and starts it: a worker asks the kernel
/// to be killed with its parent, and that follows the *thread*. Dropping the pool ends the workers.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// What callers and lanes share.
#[derive(Debug)]
struct Shared {
    options: PoolOptions,
    queue: Queue,
    trust: Trust,
    counters: Counters,
    next_id: AtomicU64,
}

impl Pool {
    /// Starts the lanes, each with its worker.
    ///
    /// # Errors
    /// [`EngineError::Fault`] where no thread can be started. A program that cannot be started shows in
    /// the answers: the next job tries again.
    pub fn start(options: PoolOptions) -> Result<Self, EngineError> {
        let lanes = options.lanes.max(1);
        let shared = Arc::new(Shared {
            queue: Queue::new(lanes, options.waiting),
            trust: Trust::default(),
            counters: Counters::default(),
            next_id: AtomicU64::new(1),
            options,
        });
        let pool = Self {
            shared: Arc::clone(&shared),
        };
        for index in 0..lanes {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(format!("engine-{index}"))
                .spawn(move || lane::run(&shared))
                .map_err(|error| EngineError::Fault(format!("no thread for a worker: {error}")))?;
        }
        Ok(pool)
    }

    /// What the pool did so far.
    pub fn stats(&self) -> PoolStats {
        let counters = &self.shared.counters;
        PoolStats {
            answered: counters.answered.load(Ordering::Relaxed),
            stopped: counters.stopped.load(Ordering::Relaxed),
            quarantined: counters.quarantined.load(Ordering::Relaxed),
            started: counters.started.load(Ordering::Relaxed),
            waiting: self.shared.queue.waiting() as u64,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

#[async_trait::async_trait]
impl Engine for Pool {
    async fn call(&self, job: Job) -> Result<Answer, EngineError> {
        let shared = &self.shared;
        let deadline = shared.options.deadlines.of(&job.operation);
        let digest = job.digest();
        let lane = job.lane();
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = serde_json::to_vec(&job.into_request(id)).map_err(|error| {
            EngineError::Fault(format!("the request cannot be written: {error}"))
        })?;
        if frame.len() > LONGEST_EVALUATED {
            return Err(EngineError::Limit(format!(
                "what {} is evaluated with is {} KiB: expected at most {} KiB together with the template; pass less in parameters \
                 and results of calls",
                lane.subject,
                frame.len() >> 10,
                LONGEST_EVALUATED >> 10
            )));
        }
        let (reply, answer) = oneshot::channel();
        let known = shared.trust.knows(&lane);
        let ticket = Ticket {
            lane,
            digest,
            frame,
            deadline,
            known,
            reply,
        };
        shared.queue.push(ticket)?;
        answer
            .await
            .unwrap_or_else(|_| Err(EngineError::Fault("the engine was shut down".to_owned())))
    }
}
