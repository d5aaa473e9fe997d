//! One worker process.

use std::cell::Cell;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::PoolOptions;
use crate::EngineError;
use crate::limits::limit;

/// How often a waiting lane looks whether the pool was closed.
const GLANCE: Duration = Duration::from_millis(100);

/// Longest reply that is read; the bridge stops at half of it.
const LONGEST_REPLY: usize = 16 << 20;

/// How much of a dying worker's last words is kept.
const LAST_WORDS: usize = 4096;

/// How long a process that closed its pipes may take to end.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Signals that no evaluation sends itself: SIGHUP, SIGINT, SIGKILL (the kernel, too, when the machine is out of memory)
/// and SIGTERM.
const FROM_OUTSIDE: [i32; 4] = [1, 2, 9, 15];

/// How many files a worker may have open: its pipes, and what the runtime needs.
#[cfg(target_os = "linux")]
const OPEN_FILES: u64 = 64;

/// All that a worker has of an environment. `RLIMIT_DATA` counts what is reserved, too: the allocator takes
/// memory as it needs it.
pub(super) const ENVIRONMENT: [(&str, &str); 1] = [("MIMALLOC_ARENA_EAGER_COMMIT", "0")];

/// Why a worker gave no reply. It is of no use any more then.
#[derive(Debug)]
pub(super) enum Stop {
    /// It could not be started.
    Start(EngineError),
    /// It took too long.
    Deadline,
    /// It ended, or spoke out of turn; in words.
    Died(String),
    /// Somebody else killed it; how.
    Killed(String),
    /// The pool was closed.
    Closed,
}

/// A process that serves frames; killed when dropped.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    errors: ChildStderr,
    calls: u32,
}

impl Worker {
    /// Starts the program: nothing of our environment, its limits set before it gets its first frame.
    pub(super) fn start(options: &PoolOptions) -> io::Result<Self> {
        let mut child = Command::new(&options.program)
            .args(&options.arguments)
            .env_clear()
            .envs(ENVIRONMENT)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(io::Error::other("the pipes were not made"));
        };
        // From here on dropping it kills the process.
        let worker = Self {
            child,
            input,
            output,
            errors,
            calls: 0,
        };
        limit(worker.child.id(), options.memory, OPEN_FILES)?;
        for fd in [
            worker.input.as_fd(),
            worker.output.as_fd(),
            worker.errors.as_fd(),
        ] {
            fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
        }
        Ok(worker)
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it should be replaced: after many calls, or grown.
    pub(super) fn is_worn(&self, options: &PoolOptions) -> bool {
        self.calls >= options.recycle_calls
            || resident(self.child.id()).is_some_and(|bytes| bytes > options.recycle_resident)
    }

    /// Sends a request and waits for its reply.
    pub(super) fn exchange(
        &mut self,
        frame: &[u8],
        limit: Duration,
        patience: &dyn Patience,
    ) -> Result<Vec<u8>, Stop> {
        self.calls += 1;
        let process = self.child.id();
        let wait = Wait {
            until: Cell::new(Instant::now() + limit),
            process,
            worked_before: worked(process),
            patience,
        };
        let length = u32::try_from(frame.len())
            .map_err(|_| Stop::Died("the request is too long".to_owned()))?;
        let sent = self
            .write(&length.to_be_bytes(), &wait)
            .and_then(|()| self.write(frame, &wait))
            .and_then(|()| self.read(&wait));
        sent.map_err(|stop| match stop {
            Stop::Died(reason) => self.post_mortem(&reason),
            other => other,
        })
    }

    fn write(&mut self, mut bytes: &[u8], wait: &Wait<'_>) -> Result<(), Stop> {
        while !bytes.is_empty() {
            match self.input.write(bytes) {
                Ok(0) => return Err(Stop::Died("it reads nothing more".to_owned())),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait.ready(self.input.as_fd(), PollFlags::OUT)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Died(error.to_string())),
            }
        }
        Ok(())
    }

    fn read(&mut self, wait: &Wait<'_>) -> Result<Vec<u8>, Stop> {
        let mut received = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(frame) = complete(&mut received)? {
                return Ok(frame);
            }
            match self.output.read(&mut buffer) {
                Ok(0) => return Err(Stop::Died("it ended".to_owned())),
                Ok(read) => received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait.ready(self.output.as_fd(), PollFlags::IN)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Died(error.to_string())),
            }
        }
    }

    /// How it ended: the last words of the Go runtime say why, for instance `fatal error: out of memory`.
    fn post_mortem(&mut self, reason: &str) -> Stop {
        // Its end is seen by its pipes a moment before it is one that can be waited for.
        let ended = self.ended_by_itself();
        let mut words = vec![0; LAST_WORDS];
        let read = self.errors.read(&mut words).unwrap_or(0);
        let text = String::from_utf8_lossy(&words[..read]);
        let said = text
            .lines()
            .find_map(|line| line.strip_prefix("fatal error: "))
            .or_else(|| text.lines().find(|line| !line.trim().is_empty()));
        if let (None, Some(status)) = (said, ended)
            && let Some(signal) = status.signal()
            && FROM_OUTSIDE.contains(&signal)
        {
            return Stop::Killed(status.to_string());
        }
        let _ = self.child.kill();
        let status = self
            .child
            .wait()
            .map_or_else(|error| error.to_string(), |status| status.to_string());
        Stop::Died(match said {
            Some(said) => said.trim().to_owned(),
            None => format!("{reason}, {status}"),
        })
    }

    /// How it ended, if it ends without being killed by us.
    fn ended_by_itself(&mut self) -> Option<ExitStatus> {
        let until = Instant::now() + LAST_MOMENT;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(1)),
                Ok(ended) => return ended,
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes a frame out of what was received, once it is complete.
fn complete(received: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Stop> {
    let Some((length, rest)) = received.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > LONGEST_REPLY {
        return Err(Stop::Died("its reply is too long".to_owned()));
    }
    match rest.len() {
        have if have < length => Ok(None),
        have if have == length => Ok(Some(received.split_off(4))),
        _ => Err(Stop::Died("it replied more than once".to_owned())),
    }
}

/// For how long a reply is waited for.
pub(super) trait Patience {
    /// Nobody wants it any more.
    fn is_over(&self) -> bool;
    /// How much longer, now that the time is up and so much was worked: on a busy machine less than has passed.
    fn longer(&self, worked: Duration) -> Option<Duration>;
}

/// Waiting with an end.
struct Wait<'a> {
    until: Cell<Instant>,
    process: u32,
    worked_before: Duration,
    patience: &'a dyn Patience,
}

impl Wait<'_> {
    fn ready(&self, fd: BorrowedFd<'_>, events: PollFlags) -> Result<(), Stop> {
        loop {
            if self.patience.is_over() {
                return Err(Stop::Closed);
            }
            let mut left = self.until.get().saturating_duration_since(Instant::now());
            if left.is_zero() {
                let worked = worked(self.process).saturating_sub(self.worked_before);
                left = self.patience.longer(worked).ok_or(Stop::Deadline)?;
                self.until.set(Instant::now() + left);
            }
            let timeout = Timespec::try_from(left.min(GLANCE)).ok();
            match poll(
                &mut [PollFd::from_borrowed_fd(fd, events)],
                timeout.as_ref(),
            ) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(Stop::Died(error.to_string())),
            }
        }
    }
}

/// Processor time that a process used so far; nothing where the system does not tell.
fn worked(pid: u32) -> Duration {
    let ticks = || -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may have blanks: state is the first field, user and system time are 12 and 13.
        let (_, fields) = text.rsplit_once(") ")?;
        let mut times = fields.split(' ').skip(11).map(str::parse::<u64>);
        Some(times.next()?.ok()? + times.next()?.ok()?)
    };
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks().unwrap_or_default() * 1_000 / per_second)
}

/// Resident memory of a process in bytes; `None` where the system does not tell.
fn resident(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
