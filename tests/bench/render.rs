//! Rendering a webservice with two traits that patch it, evaluating its health, making its schema: ours in its
//! parts, beside the same packages driven straight by a program in Go.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use caravel_core::engine::{
    DefinitionKind, Evaluator, Operation, ParseDefinitionRequest, ParsedDefinition, RenderRequest,
    RenderResult, SchemaRequest, StatusRequest, Template,
};
use caravel_engines::{Cached, Direct, Engine, Job, Pool, PoolOptions};
use caravel_tests::daemon::program;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::table::{Table, percentile, time};

const ROUNDS: usize = 200;
const WARM_UP: usize = 20;
/// Schemas take long.
const SCHEMAS: usize = 20;
/// Renders that a worker makes before its memory is looked at.
const AGEING: usize = 5_000;
/// Renders on all cores.
const AT_ONCE: usize = 4_000;
/// Callers that ask at the same time.
const CALLERS: usize = 16;
/// What the daemon's workers remember of templates.
const REMEMBERED: usize = 512 << 10;

/// The worker's argument, as `caravel serve` gives it.
const WORKER: &str = "__engine-worker";

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let work = Work::new()?;
    let straight = work.straight().context("the chain in Go")?;
    let rendered: RenderResult = Direct::new(caravel_cue::call)
        .call_blocking(job(work.render(0)))
        .and_then(caravel_engines::Answer::done)?;
    if rendered.output != straight.output {
        bail!(
            "the chain in Go renders something else: {}",
            straight.output
        );
    }

    let render = |_| work.render(0);
    caravel_cue::remember_templates(0);
    let cold = evaluated(ROUNDS, render)?;
    caravel_cue::remember_templates(REMEMBERED);
    let known = evaluated(ROUNDS, render)?;
    let results = remembered(&work).await?;
    let what = "render webservice + 2 patch traits";
    row(table, &format!("{what}, the chain in Go"), straight.render);
    row(table, &format!("{what}, cold"), cold);
    row(table, &format!("{what}, template cached"), known);
    row(table, &format!("{what}, result cached"), results);

    row(
        table,
        "health of a Deployment, the chain in Go",
        straight.health,
    );
    let health = evaluated(ROUNDS, |_| Operation::Status(work.health.clone()))?;
    row(table, "health of a Deployment", health);
    row(
        table,
        "schema of webservice, the chain in Go",
        straight.schema,
    );
    let schema = evaluated(SCHEMAS, |_| {
        Operation::Schema(SchemaRequest {
            name: "webservice".to_owned(),
            source: work.component.source.clone(),
            ..SchemaRequest::default()
        })
    })?;
    row(table, "schema of webservice", schema);
    workers(table, Arc::new(work)).await
}

/// Times of so many evaluations in this process.
fn evaluated(rounds: usize, operation: impl Fn(usize) -> Operation) -> Result<Vec<Duration>> {
    let engine = Direct::new(caravel_cue::call);
    let mut samples = Vec::new();
    for round in 0..WARM_UP + rounds {
        let job = job(operation(round));
        let begin = Instant::now();
        engine.call_blocking(job)?;
        if round >= WARM_UP {
            samples.push(begin.elapsed());
        }
    }
    Ok(samples)
}

/// Times of asking again for what was answered before.
async fn remembered(work: &Work) -> Result<Vec<Duration>> {
    let cached = Cached::new(Direct::new(caravel_cue::call), 64 << 20);
    let mut samples = Vec::new();
    for round in 0..WARM_UP + ROUNDS {
        let job = job(work.render(0));
        let begin = Instant::now();
        cached.call(job).await?;
        if round >= WARM_UP {
            samples.push(begin.elapsed());
        }
    }
    Ok(samples)
}

/// Renders of many Applications by worker processes, as in the daemon.
async fn workers(table: &mut Table, work: Arc<Work>) -> Result<()> {
    let pool = |lanes: Option<usize>| -> Result<Arc<Pool>> {
        let mut options = PoolOptions::new(program());
        options.arguments = vec![WORKER.into()];
        options.recycle_calls = u32::MAX;
        options.lanes = lanes.unwrap_or(options.lanes);
        Ok(Arc::new(Pool::start(options)?))
    };
    let all = pool(None)?;
    let took = renders(&all, &work, AT_ONCE).await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = AT_ONCE as f64 / took.as_secs_f64();
    table.row(
        format!("renders of {AT_ONCE} different webservices + 2 patch traits, all workers"),
        format!("{rate:.0}/s"),
    );
    drop(all);
    let one = pool(Some(1))?;
    renders(&one, &work, AGEING).await?;
    let resident = worker_memory()?;
    table.row(
        format!("memory of a worker after {AGEING} renders"),
        format!("{} MiB", resident >> 20),
    );
    Ok(())
}

async fn renders(pool: &Arc<Pool>, work: &Arc<Work>, count: usize) -> Result<Duration> {
    let next = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let callers = (0..CALLERS).map(|_| {
        let (pool, work, next) = (Arc::clone(pool), Arc::clone(work), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                pool.call(job(work.render(number))).await?;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        let done: Result<(), caravel_engines::EngineError> = caller.await?;
        done?;
    }
    Ok(begin.elapsed())
}

/// Resident memory of the largest worker of this process.
fn worker_memory() -> Result<u64> {
    let own = std::process::id().to_string();
    let mut largest = None;
    for entry in fs::read_dir("/proc")?.flatten() {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let status = read("status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        if field("PPid:").as_deref() != Some(&own) || !read("cmdline").contains(WORKER) {
            continue;
        }
        let kib: Option<u64> = field("VmRSS:").and_then(|kib| kib.parse().ok());
        largest = largest.max(kib);
    }
    Ok(largest.context("no worker runs")? << 10)
}

fn row(table: &mut Table, name: &str, mut samples: Vec<Duration>) {
    let (half, most) = (
        percentile(&mut samples, 0.5),
        percentile(&mut samples, 0.99),
    );
    table.row(name, format!("p50 {}, p99 {}", time(half), time(most)));
}

fn job(operation: Operation) -> Job {
    Job::new(operation, Evaluator::default(), "default")
}

/// What is rendered, evaluated and described.
struct Work {
    component: Template,
    traits: Vec<Template>,
    health: StatusRequest,
}

/// What the program in Go found.
struct Straight {
    render: Vec<Duration>,
    health: Vec<Duration>,
    schema: Vec<Duration>,
    output: Value,
}

impl Work {
    fn new() -> Result<Self> {
        let webservice = object(DefinitionKind::Component, "webservice")?;
        let used = |kind, name: &str, parameters: Value| -> Result<Template> {
            Ok(Template {
                name: name.to_owned(),
                source: text(&object(kind, name)?, "/spec/schematic/cue/template")?,
                parameters,
            })
        };
        let parameters = json!({"image": "nginx:1.27", "ports": [{"port": 80, "expose": true}]});
        let live = json!({
            "metadata": {"generation": 3},
            "spec": {"replicas": 2},
            "status": {"readyReplicas": 2, "updatedReplicas": 2, "replicas": 2, "observedGeneration": 3},
        });
        Ok(Self {
            component: used(DefinitionKind::Component, "webservice", parameters)?,
            traits: vec![
                used(DefinitionKind::Trait, "scaler", json!({"replicas": 2}))?,
                used(DefinitionKind::Trait, "labels", json!({"tier": "front"}))?,
            ],
            health: StatusRequest {
                health_policy: text(&webservice, "/spec/status/healthPolicy")?,
                context: Map::from_iter([("output".to_owned(), live)]),
                ..StatusRequest::default()
            },
        })
    }

    /// The render of one Application; the number makes it differ from the others.
    fn render(&self, number: usize) -> Operation {
        Operation::Render(RenderRequest {
            component: Some(self.component.clone()),
            traits: self.traits.clone(),
            context: context(number),
            ..RenderRequest::default()
        })
    }

    /// Has the program in Go do the same.
    fn straight(&self) -> Result<Straight> {
        #[derive(Deserialize)]
        struct Times {
            render: Vec<u64>,
            health: Vec<u64>,
            schema: Vec<u64>,
            output: Value,
        }
        let folder = tempfile::tempdir()?;
        let built = folder.path().join("chain");
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engines/cue/go");
        let go = std::env::var_os("GO").unwrap_or_else(|| "go".into());
        let status = Command::new(go)
            .args(["build", "-mod=readonly", "-o"])
            .arg(&built)
            .arg("./chain")
            .current_dir(module)
            .env("GOFLAGS", "")
            .env("GOWORK", "off")
            .status()
            .context("go build")?;
        if !status.success() {
            bail!("go build of engines/cue/go/chain failed");
        }
        // Fields in the order in which KubeVela's context has them do not matter; the evaluator does.
        let mut child = Command::new(built)
            .env("CUE_EXPERIMENT", "evalv3=0,keepvalidators=0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut seen = context(0);
        seen.insert("parameter".to_owned(), self.component.parameters.clone());
        let request = json!({
            "rounds": ROUNDS, "warmUp": WARM_UP, "component": self.component, "traits": self.traits,
            "context": seen, "health": self.health.health_policy, "healthContext": self.health.context,
        });
        let mut input = child.stdin.take().context("its input")?;
        input.write_all(request.to_string().as_bytes())?;
        drop(input);
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("it failed: {}", output.status);
        }
        let times: Times = serde_json::from_slice(&output.stdout)?;
        let all = |nanos: Vec<u64>| nanos.into_iter().map(Duration::from_nanos).collect();
        Ok(Straight {
            render: all(times.render),
            health: all(times.health),
            schema: all(times.schema),
            output: times.output,
        })
    }
}

fn context(number: usize) -> Map<String, Value> {
    let context = json!({
        "name": format!("web-{number}"), "appName": "bench", "namespace": "default", "appRevision": "bench-v1",
        "appRevisionNum": 1, "cluster": "local",
        "clusterVersion": {"major": "1", "minor": 29, "gitVersion": "v1.29.0", "platform": "linux/amd64"},
        "components": [], "revision": "", "workflowName": "bench", "publishVersion": "",
    });
    match context {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// A built-in definition as its object.
fn object(kind: DefinitionKind, name: &str) -> Result<Value> {
    let found =
        caravel_definitions::get(kind, name).with_context(|| format!("no definition {name}"))?;
    let operation = Operation::ParseDefinition(ParseDefinitionRequest {
        file: found.file.clone(),
        source: found.source.into_owned(),
    });
    let parsed: ParsedDefinition = Direct::new(caravel_cue::call)
        .call_blocking(job(operation))
        .and_then(caravel_engines::Answer::done)?;
    Ok(parsed.object)
}

fn text(object: &Value, pointer: &str) -> Result<String> {
    let text = object.pointer(pointer).and_then(Value::as_str);
    Ok(text
        .ok_or_else(|| anyhow!("a definition without {pointer}"))?
        .to_owned())
}
