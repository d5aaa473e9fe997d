//! What isolation a worker really has: read from the kernel, not from what was asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use caravel_core::engine::{EngineInfo, Evaluator, Operation};

use super::worker::{ENVIRONMENT, Patience, Stop, Worker};
use super::{Pool, PoolOptions};
use crate::{Answer, EngineError, Job};

/// A worker as the kernel sees it. Where the system does not tell, as outside of Linux, a field is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Isolation {
    /// What the worker wraps.
    pub engine: EngineInfo,
    /// How long it took from its start to its first answer.
    pub started_in: Duration,
    /// It can gain no privileges, whatever it executes.
    pub no_new_privileges: Option<bool>,
    /// System calls that open files, sockets or processes are refused to each of its threads.
    pub filtered: Option<bool>,
    /// How much memory it may have, in bytes.
    pub memory: Option<u64>,
    /// How many files it may have open.
    pub open_files: Option<u64>,
    /// It has nothing of the daemon's environment.
    pub no_environment: Option<bool>,
    /// It has no files open but its standard streams.
    pub no_files: Option<bool>,
    /// It works in the root folder and not where the daemon was started.
    pub folder: Option<PathBuf>,
}

impl Pool {
    /// Starts one worker for the sake of looking at it.
    ///
    /// # Errors
    /// [`EngineError::Fault`] where it cannot be started or does not answer.
    pub fn examine(options: &PoolOptions) -> Result<Isolation, EngineError> {
        let fault = |text: String| EngineError::Fault(text);
        let begin = Instant::now();
        let mut worker = Worker::start(options).map_err(|error| {
            fault(format!(
                "the worker {} cannot be started: {error}",
                options.program.display()
            ))
        })?;
        let request = Job::new(Operation::Ping, Evaluator::default(), "").into_request(1);
        let frame = serde_json::to_vec(&request)
            .map_err(|error| fault(format!("the request cannot be written: {error}")))?;
        let reply = worker.exchange(&frame, options.deadlines.check, &Once);
        let started_in = begin.elapsed();
        let frame = reply.map_err(|stop| match stop {
            Stop::Start(error) => error,
            Stop::Deadline => fault(format!(
                "the worker did not answer within {} ms",
                options.deadlines.check.as_millis()
            )),
            Stop::Died(reason) | Stop::Killed(reason) => {
                fault(format!("the worker ended: {reason}"))
            }
            Stop::Closed => fault("the engine was shut down".to_owned()),
        })?;
        let engine = Answer::from_frame(&frame)?.done()?;
        let process = PathBuf::from(format!("/proc/{}", worker.id()));
        Ok(Isolation {
            engine,
            started_in,
            no_new_privileges: field(&process.join("status"), "NoNewPrivs:").map(|it| it == "1"),
            filtered: filtered(&process),
            memory: limit(&process, "Max data size"),
            open_files: limit(&process, "Max open files"),
            no_environment: fs::read(process.join("environ"))
                .ok()
                .map(|environment| environment == own_environment()),
            no_files: no_files(&process),
            folder: fs::read_link(process.join("cwd")).ok(),
        })
    }
}

/// One answer, and no longer than agreed.
struct Once;

impl Patience for Once {
    fn is_over(&self) -> bool {
        false
    }

    fn longer(&self, _worked: Duration) -> Option<Duration> {
        None
    }
}

/// The value behind a name in a file of the kernel.
fn field(path: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

/// The environment that a worker is given, as the kernel shows it.
fn own_environment() -> Vec<u8> {
    ENVIRONMENT
        .iter()
        .flat_map(|(name, value)| format!("{name}={value}\0").into_bytes())
        .collect()
}

/// Whether all threads have a filter: one without would be a way out.
fn filtered(process: &Path) -> Option<bool> {
    let mut all = true;
    for thread in fs::read_dir(process.join("task")).ok()?.flatten() {
        all &= field(&thread.path().join("status"), "Seccomp:")? == "2";
    }
    Some(all)
}

/// Where the Go runtime looks how much processor time it may have.
const QUOTA: &str = "/sys/fs/cgroup/";

/// Whether nothing is open that somebody else opened: the runtime's own has no name in the file system, but for its quota.
fn no_files(process: &Path) -> Option<bool> {
    let mut none = true;
    for open in fs::read_dir(process.join("fd")).ok()?.flatten() {
        let is_standard = ["0", "1", "2"].iter().any(|one| open.file_name() == *one);
        let what = fs::read_link(open.path()).ok()?;
        let what = what.to_string_lossy();
        none &= is_standard || what.starts_with("anon_inode:") || what.starts_with(QUOTA);
    }
    Some(none)
}

/// A soft limit; `None` where there is none.
fn limit(process: &Path, name: &str) -> Option<u64> {
    field(&process.join("limits"), name)?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}
