//! The program that renders Helm charts.
//!
//! It is started with the first chart, so a hub without charts does not have it. Unlike the workers of templates it
//! may use the network: it fetches what it renders. So it has limits from outside only: deadline, memory, files.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use caravel_core::charts::{ChartRequest, Found, Lookup, RenderedChart, without_secrets};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;

use crate::limits::limit;

/// Name of the program; it lies beside the daemon's.
pub const CHARTS_PROGRAM: &str = "caravel-charts";

/// How many charts are rendered at a time; each has its own process.
const LANES: usize = 4;
/// How long one may take, with everything that is fetched.
const PATIENCE: Duration = Duration::from_mins(2);
/// How much memory a process may have: indexes of large repositories are read as a whole.
#[cfg(target_os = "linux")]
const MEMORY: u64 = 2 << 30;
/// How many files and connections it may have open.
#[cfg(target_os = "linux")]
const OPEN_FILES: u64 = 256;
/// Longest request that the program reads.
const LONGEST_REQUEST: usize = 16 << 20;
/// Longest reply that is read.
const LONGEST_REPLY: usize = 64 << 20;
/// How often a chart may look something up that it did not know of before.
const ROUNDS: usize = 16;
/// How much it may look up altogether.
const MOST_LOOKUPS: usize = 256;
/// How much of a dying process' last words is kept.
const LAST_WORDS: usize = 4096;
/// What of the environment says how to reach the world.
const ENVIRONMENT: [&str; 9] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TMPDIR",
];

/// What repositories and registries see of us.
const USER_AGENT: &str = concat!("caravel/", env!("CARGO_PKG_VERSION"));

/// Why a chart is not rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChartError {
    /// The program is not installed.
    #[error(
        "charts are rendered by the program {CHARTS_PROGRAM}, and {} cannot be started: {why}; `make build` builds it \
         beside caravel, and --charts-program or CARAVEL_CHARTS names it elsewhere", .program.display()
    )]
    Missing {
        /// Where it was looked for.
        program: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The chart cannot be fetched or rendered.
    #[error("{0}")]
    Chart(String),
    /// It took too long, with fetching.
    #[error("the chart was given up after {} s: fetching it or rendering it takes too long", PATIENCE.as_secs())]
    Deadline,
    /// The program is at fault.
    #[error("{CHARTS_PROGRAM}: {0}")]
    Fault(String),
}

/// Renders charts in processes of a program.
#[derive(Clone, Debug)]
pub struct Charts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    program: PathBuf,
    turns: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

impl Charts {
    /// With a program that is started when it is needed.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            shared: Arc::new(Shared {
                program: program.into(),
                turns: Semaphore::new(LANES),
                idle: Mutex::default(),
            }),
        }
    }

    /// With the program beside this one.
    pub fn beside_this_program() -> Self {
        let this = std::env::current_exe().unwrap_or_default();
        let folder = this.parent().unwrap_or(Path::new(""));
        Self::new(folder.join(CHARTS_PROGRAM))
    }

    /// Fetches a chart and renders it. What its templates look up is read by `look_up`: an object, a list, or none.
    ///
    /// # Errors
    /// [`ChartError::Chart`] where somebody can mend it; the others say what is wrong with the program.
    pub async fn render<R>(
        &self,
        mut request: ChartRequest,
        look_up: impl Fn(Lookup) -> R,
    ) -> Result<RenderedChart, ChartError>
    where
        R: Future<Output = Result<Option<Value>, String>>,
    {
        for _ in 0..ROUNDS {
            let wanted = match self.ask(&request).await {
                Ok(Answer::Rendered(rendered)) => return Ok(*rendered),
                Ok(Answer::Wants(lookups)) => lookups,
                Err(ChartError::Chart(why)) => {
                    return Err(ChartError::Chart(without_secrets(&why, &request.lookups)));
                }
                Err(other) => return Err(other),
            };
            for lookup in wanted.into_iter().take(MOST_LOOKUPS) {
                request.lookups.push(found(lookup, &look_up).await);
            }
            if request.lookups.len() > MOST_LOOKUPS {
                break;
            }
        }
        let last = request.lookups.last().map(|one| one.lookup.to_string());
        Err(ChartError::Chart(format!(
            "the chart looks up ever more, at last {}: expected at most {MOST_LOOKUPS} lookups in {ROUNDS} rounds; what is looked up \
             must not be random",
            last.unwrap_or_default(),
        )))
    }

    /// Asks a process of the program.
    async fn ask(&self, request: &ChartRequest) -> Result<Answer, ChartError> {
        let frame = serde_json::to_vec(&json!({"id": 1, "op": "chart", "body": request}))
            .map_err(|error| ChartError::Fault(error.to_string()))?;
        if frame.len() > LONGEST_REQUEST {
            return Err(ChartError::Chart(format!(
                "the chart's values and what it looks up are {} MiB: expected at most {}; look up single objects, or those of one \
                 namespace",
                frame.len() >> 20,
                LONGEST_REQUEST >> 20
            )));
        }
        let turn = self.shared.turns.acquire().await;
        let _turn = turn.map_err(|_| ChartError::Fault("shut down".to_owned()))?;
        let mut worker = self.worker()?;
        let reply = tokio::time::timeout(PATIENCE, worker.exchange(&frame)).await;
        match reply {
            // What is dropped is killed.
            Err(_) => Err(ChartError::Deadline),
            Ok(Err(why)) => Err(ChartError::Fault(worker.post_mortem(&why).await)),
            Ok(Ok(bytes)) => {
                self.idle().push(worker);
                read(&bytes)
            }
        }
    }

    /// One that is idle, else a new one.
    fn worker(&self) -> Result<Worker, ChartError> {
        while let Some(mut worker) = self.idle().pop() {
            if matches!(worker.child.try_wait(), Ok(None)) {
                return Ok(worker);
            }
        }
        let program = &self.shared.program;
        Worker::start(program).map_err(|error| ChartError::Missing {
            program: program.clone(),
            why: error.to_string(),
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.shared
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct Reply {
    status: String,
    body: Value,
}

/// What the program has to say of a chart.
#[derive(Debug, PartialEq)]
enum Answer {
    Rendered(Box<RenderedChart>),
    /// It has to know this first.
    Wants(Vec<Lookup>),
}

async fn found<R>(lookup: Lookup, look_up: &impl Fn(Lookup) -> R) -> Found
where
    R: Future<Output = Result<Option<Value>, String>>,
{
    let (object, error) = match look_up(lookup.clone()).await {
        Ok(object) => (object, String::new()),
        Err(why) => (None, why),
    };
    Found {
        lookup,
        object,
        error,
    }
}

fn read(frame: &[u8]) -> Result<Answer, ChartError> {
    let unknown = |error: serde_json::Error| {
        ChartError::Fault(format!("the reply is not of the protocol: {error}"))
    };
    let reply: Reply = serde_json::from_slice(frame).map_err(unknown)?;
    match reply.status.as_str() {
        "ok" => {
            let rendered = serde_json::from_value(reply.body).map_err(unknown)?;
            return Ok(Answer::Rendered(rendered));
        }
        "need" => {
            let wanted = serde_json::from_value(reply.body).map_err(unknown)?;
            return Ok(Answer::Wants(wanted));
        }
        _ => {}
    }
    let message = reply.body["message"].as_str().unwrap_or_default();
    Err(match reply.status.as_str() {
        "error" => ChartError::Chart(message.to_owned()),
        _ => ChartError::Fault(message.to_owned()),
    })
}

/// A process that serves frames; killed when dropped, and it ends by itself when its input ends.
#[derive(Debug)]
struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    said: Arc<Mutex<String>>,
}

impl Worker {
    fn start(program: &Path) -> io::Result<Self> {
        let world = ENVIRONMENT
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(program)
            .env_clear()
            .envs(world)
            .env("CARAVEL_USER_AGENT", USER_AGENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id();
        limit(id.unwrap_or_default(), MEMORY, OPEN_FILES)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(mut errors)) = pipes else {
            return Err(io::Error::other("the pipes were not made"));
        };
        let said = Arc::new(Mutex::new(String::new()));
        let keep = Arc::clone(&said);
        // Warnings of templates go there: unread, they would stop the process.
        tokio::spawn(async move {
            let mut buffer = vec![0; LAST_WORDS];
            while let Ok(read @ 1..) = errors.read(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                *keep.lock().unwrap_or_else(PoisonError::into_inner) = text;
            }
        });
        Ok(Self {
            child,
            input,
            output,
            said,
        })
    }

    async fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, String> {
        let told = |error: io::Error| error.to_string();
        let length = u32::try_from(frame.len()).map_err(|_| "the request is too long")?;
        self.input
            .write_all(&length.to_be_bytes())
            .await
            .map_err(told)?;
        self.input.write_all(frame).await.map_err(told)?;
        let mut length = [0; 4];
        self.output.read_exact(&mut length).await.map_err(told)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > LONGEST_REPLY {
            return Err(format!("the chart renders to {} MiB", length >> 20));
        }
        let mut reply = vec![0; length];
        self.output.read_exact(&mut reply).await.map_err(told)?;
        Ok(reply)
    }

    /// How it ended, in its own last words where it has some.
    async fn post_mortem(&mut self, reason: &str) -> String {
        let _ = self.child.start_kill();
        let status = self.child.wait().await;
        let said = self
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let fatal = said
            .lines()
            .find_map(|line| line.strip_prefix("fatal error: "));
        match (fatal, status) {
            (Some(said), _) => said.trim().to_owned(),
            (None, Ok(status)) => format!("{reason}, {status}"),
            (None, Err(error)) => format!("{reason}, {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cluster without objects.
    async fn rendered(charts: &Charts) -> Result<RenderedChart, ChartError> {
        let nothing = |_| std::future::ready(Ok(None));
        charts.render(ChartRequest::default(), nothing).await
    }

    #[tokio::test]
    async fn without_the_program_it_is_said_how_to_get_it() {
        let charts = Charts::new("/nowhere/caravel-charts");
        let error = rendered(&charts).await;
        let words = error.expect_err("no program").to_string();
        assert!(words.contains("/nowhere/caravel-charts"), "{words}");
        assert!(words.contains("make build"), "{words}");
    }

    #[tokio::test]
    async fn a_program_that_ends_is_a_fault_not_a_hang() {
        let charts = Charts::new("/bin/true");
        let error = rendered(&charts).await;
        assert!(matches!(error, Err(ChartError::Fault(_))), "{error:?}");
    }

    #[test]
    fn replies_are_told_apart() {
        assert_eq!(
            read(br#"{"id":1,"status":"error","body":{"message":"no chart"}}"#),
            Err(ChartError::Chart("no chart".to_owned()))
        );
        let wanted = read(br#"{"id":1,"status":"need","body":[{"apiVersion":"v1","kind":"Secret","namespace":"a","name":"b"}]}"#);
        let Ok(Answer::Wants(lookups)) = wanted else {
            panic!("{wanted:?}");
        };
        assert_eq!(lookups[0].to_string(), "Secret \"b\" in namespace a");
        assert!(matches!(read(b"{}"), Err(ChartError::Fault(_))));
    }
}
