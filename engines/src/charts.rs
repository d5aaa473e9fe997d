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
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::limits::{LONGEST_EVALUATED, limit};

/// Name of the program; it lies beside the daemon's.
pub const CHARTS_PROGRAM: &str = "caravel-charts";

/// How many charts are rendered at a time; each has its own process.
const LANES: usize = 4;
/// How long one may take, with everything that is fetched. Its templates have a deadline of their own.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long the templates of a chart may take, unless somebody says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);
/// In MB.
const MEMORY_MB: u64 = 2 << 10;
/// How much memory a process may have: indexes of large repositories are read as a whole.
#[cfg(target_os = "linux")]
const MEMORY: u64 = MEMORY_MB << 20;
/// How many files and connections it may have open.
#[cfg(target_os = "linux")]
const OPEN_FILES: u64 = 256;
/// Longest request that the program reads.
const LONGEST_REQUEST: usize = 16 << 20;
/// Longest reply that is read.
const LONGEST_REPLY: usize = 64 << 20;
/// What the objects of a chart may be together: the template that asked for them is evaluated with them.
const LONGEST_RESULT: usize = LONGEST_EVALUATED - (128 << 10);
/// How often a chart may look something up that it did not know of before.
const ROUNDS: usize = 16;
/// How much it may look up altogether.
const MOST_LOOKUPS: usize = 256;
/// How much of a dying process' last words is kept.
const LAST_WORDS: usize = 200;
/// How long they are waited for.
const LAST_MOMENT: Duration = Duration::from_secs(2);
/// What the Go runtime says when there is no more memory, or a stack has outgrown its limit.
const EXHAUSTED: [&str; 3] = ["out of memory", "cannot allocate memory", "stack overflow"];
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
    #[error("chart {chart} was given up after {} s: fetching it takes too long", PATIENCE.as_secs())]
    Deadline {
        /// Which.
        chart: String,
    },
    /// It uses too much memory.
    #[error(
        "chart {chart} brought {CHARTS_PROGRAM} down ({reason}): it uses more memory than the {MEMORY_MB} MB that it may have, or nests \
         too deep"
    )]
    Exhausted {
        /// Which.
        chart: String,
        /// The last words of the program.
        reason: String,
    },
    /// It has too many objects.
    #[error(
        "chart {chart} renders to {objects} objects of {} KiB: expected at most {} KiB; make it several charts, or several \
         components with a part of its values each", .size >> 10, LONGEST_RESULT >> 10
    )]
    TooLarge {
        /// Which.
        chart: String,
        /// How many objects it has.
        objects: usize,
        /// How many bytes they are.
        size: usize,
    },
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
    deadline: Duration,
    turns: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

impl Charts {
    /// With a program that is started when it is needed.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self::with_deadline(program, DEADLINE)
    }

    /// With a program, and how long the templates of a chart may take.
    pub fn with_deadline(program: impl Into<PathBuf>, deadline: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                program: program.into(),
                deadline,
                turns: Semaphore::new(LANES),
                idle: Mutex::default(),
            }),
        }
    }

    /// With the program beside this one.
    pub fn beside_this_program() -> Self {
        Self::new(Self::program_beside())
    }

    /// Where the program is, unless somebody says otherwise: beside this one.
    pub fn program_beside() -> PathBuf {
        let this = std::env::current_exe().unwrap_or_default();
        let folder = this.parent().unwrap_or(Path::new(""));
        folder.join(CHARTS_PROGRAM)
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
                Ok(Answer::Rendered(rendered)) => return bounded(*rendered),
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
            Err(_) => Err(ChartError::Deadline {
                chart: label(request),
            }),
            Ok(Err(why)) => Err(worker.post_mortem(&why, request).await),
            Ok(Ok(bytes)) => {
                let (answer, is_spent) = read(&bytes);
                if !is_spent {
                    self.idle().push(worker);
                }
                answer
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
        Worker::start(program, self.shared.deadline).map_err(|error| ChartError::Missing {
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

/// What errors call a chart that was not read.
fn label(request: &ChartRequest) -> String {
    let chart = &request.chart;
    let parts = [&chart.source, &chart.version];
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).collect();
    parts.join(" ").trim().to_owned()
}

/// A chart that is not too large for the template that asked for it.
fn bounded(rendered: RenderedChart) -> Result<RenderedChart, ChartError> {
    let mut size = Size(0);
    let written = serde_json::to_writer(&mut size, &(&rendered.resources, &rendered.hooks));
    written.map_err(|error| ChartError::Fault(error.to_string()))?;
    if size.0 > LONGEST_RESULT {
        return Err(ChartError::TooLarge {
            chart: format!("{} {}", rendered.name, rendered.version),
            objects: rendered.resources.len() + rendered.hooks.len(),
            size: size.0,
        });
    }
    Ok(rendered)
}

/// Counts what is written.
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a reply, and whether its process is of no use any more: what it gave up still runs in it.
fn read(frame: &[u8]) -> (Result<Answer, ChartError>, bool) {
    match serde_json::from_slice::<Reply>(frame) {
        Ok(reply) => {
            let is_spent = reply.status == "limit";
            (answer(reply), is_spent)
        }
        Err(error) => (Err(unknown(error)), true),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unknown(error: serde_json::Error) -> ChartError {
    ChartError::Fault(format!("the reply is not of the protocol: {error}"))
}

fn answer(reply: Reply) -> Result<Answer, ChartError> {
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
        "error" | "limit" => ChartError::Chart(message.to_owned()),
        _ => ChartError::Fault(message.to_owned()),
    })
}

/// A process that serves frames; killed when dropped, and it ends by itself when its input ends.
#[derive(Debug)]
struct Worker {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// Its last words.
    said: Arc<Mutex<Option<String>>>,
    /// Ends when it says nothing more.
    last_words: JoinHandle<()>,
}

impl Worker {
    fn start(program: &Path, deadline: Duration) -> io::Result<Self> {
        let world = ENVIRONMENT
            .into_iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(program)
            .env_clear()
            .envs(world)
            .env("CARAVEL_USER_AGENT", USER_AGENT)
            .env(
                "CARAVEL_CHARTS_DEADLINE",
                format!("{}ms", deadline.as_millis()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id();
        limit(id.unwrap_or_default(), MEMORY, OPEN_FILES)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(io::Error::other("the pipes were not made"));
        };
        let said = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&said);
        // Warnings of templates go there: unread, they would stop the process. Only what ends it is kept.
        let last_words = tokio::spawn(async move {
            let mut lines = BufReader::new(errors).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                let line = String::from_utf8_lossy(&line);
                if let Some(words) = line.strip_prefix("fatal error: ") {
                    let words = words.trim().chars().take(LAST_WORDS).collect();
                    *keep.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
                }
            }
        });
        Ok(Self {
            child,
            input,
            output,
            said,
            last_words,
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
    async fn post_mortem(&mut self, reason: &str, request: &ChartRequest) -> ChartError {
        // Its output ends a moment before its last words do.
        let _ = tokio::time::timeout(LAST_MOMENT, &mut self.last_words).await;
        let _ = self.child.start_kill();
        let status = self.child.wait().await;
        let fatal = self
            .said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match (fatal, status) {
            (Some(said), _) if EXHAUSTED.iter().any(|words| said.contains(words)) => {
                ChartError::Exhausted {
                    chart: label(request),
                    reason: said,
                }
            }
            (Some(said), _) => ChartError::Fault(said),
            (None, Ok(status)) => ChartError::Fault(format!("{reason}, {status}")),
            (None, Err(error)) => ChartError::Fault(format!("{reason}, {error}")),
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

    /// A program that reads a frame and ends like the Go runtime does, with a trace behind its last words.
    fn dying(folder: &tempfile::TempDir, words: &str) -> Charts {
        use std::os::unix::fs::PermissionsExt as _;
        let program = folder.path().join("charts");
        let trace = "goroutine 1 [running]: main.main\\n".repeat(1_000);
        let script = format!(
            "#!/bin/sh\nhead -c 4 >/dev/null\nprintf 'fatal error: {words}\\n{trace}' >&2\nexit 2\n"
        );
        std::fs::write(&program, script).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, executable).unwrap();
        Charts::new(program)
    }

    #[tokio::test]
    async fn a_chart_that_eats_memory_is_named_and_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let charts = dying(&folder, "runtime: out of memory: cannot allocate block");
        let mut request = ChartRequest::default();
        request.chart.source = "mem".to_owned();
        request.chart.version = "1.0.0".to_owned();
        let nothing = |_| std::future::ready(Ok(None));
        let error = charts.render(request, nothing).await.expect_err("died");
        let words = error.to_string();
        assert!(words.contains("chart mem 1.0.0"), "{words}");
        assert!(words.contains("more memory than the 2048 MB"), "{words}");

        let other = dying(&folder, "all goroutines are asleep");
        let error = rendered(&other).await.expect_err("died").to_string();
        assert_eq!(error, "caravel-charts: all goroutines are asleep");
    }

    #[test]
    fn a_chart_of_too_many_objects_is_named_and_told_so() {
        let one = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}});
        let many = RenderedChart {
            name: "big".to_owned(),
            version: "1.0.0".to_owned(),
            resources: vec![one; 30_000],
            ..RenderedChart::default()
        };
        let error = bounded(many).expect_err("too large").to_string();
        assert!(
            error.contains("chart big 1.0.0 renders to 30000 objects"),
            "{error}"
        );
    }

    #[test]
    fn replies_are_told_apart() {
        assert_eq!(
            read(br#"{"id":1,"status":"error","body":{"message":"no chart"}}"#),
            (Err(ChartError::Chart("no chart".to_owned())), false)
        );
        assert_eq!(
            read(br#"{"id":1,"status":"limit","body":{"message":"too long"}}"#),
            (Err(ChartError::Chart("too long".to_owned())), true),
            "what was given up still runs"
        );
        let wanted = read(br#"{"id":1,"status":"need","body":[{"apiVersion":"v1","kind":"Secret","namespace":"a","name":"b"}]}"#);
        let (Ok(Answer::Wants(lookups)), false) = wanted else {
            panic!("{wanted:?}");
        };
        assert_eq!(lookups[0].to_string(), "Secret \"b\" in namespace a");
        assert!(matches!(read(b"{}"), (Err(ChartError::Fault(_)), true)));
    }
}
