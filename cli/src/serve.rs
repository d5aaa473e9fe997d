//! `caravel serve`: the daemon with its embedded hub.

pub(crate) mod folder;
mod rest;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use caravel_apiserver::simulator::SystemClock;
use caravel_apiserver::{ApiServer, Config, Identity, controllers, simulator};
use caravel_controller::{
    ApplicationOptions, Authentication, Controllers, DAEMON, Options, UNLOAD_AFTER,
};
use caravel_core::engine::Evaluator;
use caravel_engines::{Cached, Charts, Engine, Pool, PoolOptions};
use caravel_store::{Retention, Sqlite};
use caravel_workflow::Limits;
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// How much of the engine's results is remembered.
const RESULTS: u64 = 64 << 20;
/// How long the parts of the daemon may take to end.
const DRAIN: Duration = Duration::from_secs(9);

/// Runs the daemon: an embedded hub for kubectl, the controllers, the REST API.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Where everything is kept; the user's data folder unless given.
    #[arg(long, env = "CARAVEL_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the Kubernetes API (TLS); port 0 picks a free one.
    #[arg(long, env = "CARAVEL_KUBE_LISTEN", default_value = "127.0.0.1:7443")]
    kube_listen: SocketAddr,
    /// Address of the REST API: plain HTTP on loopback, TLS elsewhere; port 0 picks a free one.
    #[arg(long, env = "CARAVEL_HTTP_LISTEN", default_value = "127.0.0.1:7080")]
    http_listen: SocketAddr,
    /// Further names and addresses in the certificate, under which clients call the daemon.
    #[arg(long = "server-name", value_name = "NAME")]
    server_names: Vec<String>,
    /// The CUE evaluator for definitions that do not name one.
    #[arg(long, env = "CARAVEL_CUE_EVALUATOR", default_value = "v2")]
    cue_evaluator: EvaluatorName,
    /// What workloads on the hub's own cluster do: `simulated` animates them, `instant` without any
    /// delay, `none` only stores them.
    #[arg(long, env = "CARAVEL_LOCAL_RUNTIME", default_value = "simulated")]
    local_runtime: Runtime,
    /// Refuse at admission what is otherwise only warned of.
    #[arg(long, env = "CARAVEL_STRICT_ADMISSION")]
    strict_admission: bool,
    /// Let only those use a definition in an Application who may `get` it.
    #[arg(long, env = "CARAVEL_CHECK_DEFINITION_PERMISSIONS")]
    check_definition_permissions: bool,
    /// Revisions of a definition that are kept besides the latest one; those that Applications name stay.
    #[arg(
        long,
        env = "CARAVEL_DEFINITION_REVISION_LIMIT",
        value_name = "COUNT",
        default_value_t = 20
    )]
    definition_revision_limit: usize,
    /// How long all of an Application stays in memory after its last turn; it is loaded again when something happens.
    #[arg(
        long,
        env = "CARAVEL_UNLOAD_AFTER",
        value_name = "SECONDS",
        default_value_t = UNLOAD_AFTER.as_secs(),
        value_parser = clap::value_parser!(i64).range(0..=86_400)
    )]
    unload_after: i64,
    #[command(flatten)]
    charts: ChartArgs,
    /// Applications act with the identity of whoever wrote them last, not with the daemon's.
    #[arg(long, env = "CARAVEL_AUTHENTICATE_APPLICATION")]
    authenticate_application: bool,
    /// Which groups of the author count; `*` stands for any text.
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    authentication_group_pattern: String,
    /// The user for Applications whose author is not known.
    #[arg(long, value_name = "USER", default_value = "kubevela:vela-core")]
    authentication_default_user: String,
    #[command(flatten)]
    retries: Retries,
    /// Form of the log on standard error.
    #[arg(long, env = "CARAVEL_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// What is logged, as `level` or `target=level,…`.
    #[arg(long, env = "CARAVEL_LOG", default_value = "warn,caravel=info")]
    log: String,
}

/// When steps of workflows are tried again (row OPS-008). The names are KubeVela's.
#[derive(Args, Clone, Copy, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "the names of the options are KubeVela's"
)]
struct Retries {
    /// Failed attempts until a step has failed for good.
    #[arg(
        long,
        env = "CARAVEL_MAX_WORKFLOW_STEP_ERROR_RETRY_TIMES",
        value_name = "COUNT",
        default_value_t = Limits::default().attempts
    )]
    max_workflow_step_error_retry_times: u32,
    /// Longest pause of a step that waits.
    #[arg(
        long,
        env = "CARAVEL_MAX_WORKFLOW_WAIT_BACKOFF_TIME",
        value_name = "SECONDS",
        default_value_t = Limits::default().wait_pause.as_secs()
    )]
    max_workflow_wait_backoff_time: u64,
    /// Longest pause of a step that failed.
    #[arg(
        long,
        env = "CARAVEL_MAX_WORKFLOW_FAILED_BACKOFF_TIME",
        value_name = "SECONDS",
        default_value_t = Limits::default().failed_pause.as_secs()
    )]
    max_workflow_failed_backoff_time: u64,
}

impl From<Retries> for Limits {
    fn from(retries: Retries) -> Self {
        Self {
            attempts: retries.max_workflow_step_error_retry_times,
            wait_pause: Duration::from_secs(retries.max_workflow_wait_backoff_time),
            failed_pause: Duration::from_secs(retries.max_workflow_failed_backoff_time),
        }
    }
}

/// An evaluator as people write it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum EvaluatorName {
    /// CUE's evaluator up to 0.12, as KubeVela's chart selects it.
    V2,
    /// CUE's evaluator from 0.13 on.
    V3,
}

impl From<EvaluatorName> for Evaluator {
    fn from(name: EvaluatorName) -> Self {
        match name {
            EvaluatorName::V2 => Self::V2,
            EvaluatorName::V3 => Self::V3,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Runtime {
    Simulated,
    Instant,
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

pub(crate) fn run(arguments: ServeArgs) -> Result<ExitCode> {
    log_to_stderr(&arguments)?;
    // Whatever is written from here on is nobody else's business: databases, keys, tokens.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(arguments))
}

fn log_to_stderr(arguments: &ServeArgs) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log)
        .with_context(|| format!("--log {:?}", arguments.log))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

async fn serve(arguments: ServeArgs) -> Result<ExitCode> {
    let data = folder::prepare(arguments.data_dir.clone())?;
    let hub = ApiServer::open(Config::folder(&data)).await?;
    let kube_socket = listen(arguments.kube_listen, "--kube-listen").await?;
    let http_socket = listen(arguments.http_listen, "--http-listen").await?;
    let shutdown = CancellationToken::new();
    let engine = engine()?;
    let admin = || hub.client(Identity::admin(DAEMON));

    // Kinds are established by these: they come first.
    let mut tasks = JoinSet::new();
    let clock = Arc::new(SystemClock);
    let basics = controllers::Options {
        authority: Some(hub.authority().to_owned()),
        ..controllers::Options::default()
    };
    tasks.spawn(controllers::run(
        admin(),
        clock.clone(),
        basics,
        shutdown.clone(),
    ));

    let store = Arc::new(Sqlite::open(&data, Retention::default()).await?);
    let version = crate::hub::version(&admin()).await?;
    let oam = Controllers::start(
        Options {
            client: admin(),
            engine,
            evaluator: arguments.cue_evaluator.into(),
            strict: arguments.strict_admission,
            definition_permissions: arguments.check_definition_permissions,
            definition_revisions: arguments.definition_revision_limit,
            applications: ApplicationOptions {
                charts: arguments.charts.program(),
                authentication: authentication(&arguments),
                limits: arguments.retries.into(),
                unload_after: SignedDuration::from_secs(arguments.unload_after),
                ..ApplicationOptions::new(store.clone(), version)
            },
        },
        &shutdown,
    )
    .await?;
    hub.add_admission(oam.admission.clone());

    if let Some(runtime) = runtime(&arguments) {
        tasks.spawn(simulator::run(admin(), clock, runtime, shutdown.clone()));
    }
    let kubernetes = format!("https://{}", reachable(kube_socket.local_addr()?));
    let secure = !http_socket.local_addr()?.ip().is_loopback();
    let scheme = if secure { "https" } else { "http" };
    let http = format!("{scheme}://{}", reachable(http_socket.local_addr()?));
    {
        let (hub, names, shutdown) = (
            hub.clone(),
            arguments.server_names.clone(),
            shutdown.clone(),
        );
        tasks.spawn(async move {
            if let Err(error) = hub.serve(kube_socket, &names, shutdown.clone()).await {
                error!(%error, "the Kubernetes API ended");
                shutdown.cancel();
            }
        });
    }
    let rest = rest::router(&hub, &oam, store);
    if secure {
        let (hub, names, shutdown) = (
            hub.clone(),
            arguments.server_names.clone(),
            shutdown.clone(),
        );
        tasks.spawn(async move {
            if let Err(error) = hub
                .serve_router(rest, http_socket, &names, shutdown.clone())
                .await
            {
                error!(%error, "the REST API ended");
                shutdown.cancel();
            }
        });
    } else {
        tasks.spawn(rest::serve(rest, http_socket, shutdown.clone()));
    }

    hub.write_kubeconfig(&data.join("kubeconfig"), &kubernetes)?;
    folder::write_private(&data.join("http-token"), hub.bootstrap_token())?;
    let endpoints = json!({"kubernetes": kubernetes, "http": http});
    folder::write_private(&data.join("endpoints.json"), &endpoints.to_string())?;
    info!(kubernetes, http, data = %data.display(), "ready");

    wait_for_end(&shutdown).await?;
    shutdown.cancel();
    let drained = tokio::time::timeout(DRAIN, async {
        oam.stopped().await;
        while tasks.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        info!("some work did not end in time and was cut off; it goes on at the next start");
    }
    hub.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Worker processes of this same program.
pub(crate) fn workers() -> Result<PoolOptions> {
    let program = std::env::current_exe().context("this program does not know its own path")?;
    let mut options = PoolOptions::new(program);
    options.arguments = vec![crate::WORKER.into()];
    Ok(options)
}

/// Whether and how Applications act with their author's identity.
fn authentication(arguments: &ServeArgs) -> Option<Authentication> {
    arguments.authenticate_application.then(|| Authentication {
        group_pattern: arguments.authentication_group_pattern.clone(),
        default_user: arguments.authentication_default_user.clone(),
    })
}

/// What renders Helm charts.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChartArgs {
    /// The program that renders Helm charts; `caravel-charts` beside this one unless given.
    #[arg(long, env = "CARAVEL_CHARTS", value_name = "FILE")]
    charts_program: Option<PathBuf>,
    /// How long, in seconds, the templates of a chart may take.
    #[arg(
        long,
        env = "CARAVEL_CHARTS_DEADLINE",
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=120)
    )]
    charts_deadline: u64,
}

impl ChartArgs {
    /// The program that is named, or the one beside this.
    pub(crate) fn program(&self) -> Charts {
        let program = self.charts_program.clone();
        Charts::with_deadline(
            program.unwrap_or_else(Charts::program_beside),
            Duration::from_secs(self.charts_deadline),
        )
    }
}

/// The workers, with a memory of results before them.
fn engine() -> Result<Arc<dyn Engine>> {
    let pool = Pool::start(workers()?).map_err(|error| anyhow!("the template engine: {error}"))?;
    Ok(Arc::new(Cached::new(pool, RESULTS)))
}

async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(socket) => Ok(socket),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("{address} is in use by another program: choose another address with {flag}")
        }
        Err(error) => bail!("{address} cannot be listened at: {error}; choose another with {flag}"),
    }
}

/// The address that a client on this machine uses for a socket that listens everywhere.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback = if address.is_ipv4() {
        std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
    } else {
        std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)
    };
    SocketAddr::new(loopback, address.port())
}

fn runtime(arguments: &ServeArgs) -> Option<simulator::Options> {
    match arguments.local_runtime {
        Runtime::None => None,
        Runtime::Instant => Some(simulator::Options::INSTANT),
        Runtime::Simulated => Some(simulator::Options::default()),
    }
}

/// Until somebody asks for the end, or a part of the daemon cannot go on.
async fn wait_for_end(shutdown: &CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => info!("asked to end"),
        _ = interrupt.recv() => info!("interrupted"),
        () = shutdown.cancelled() => bail!("a part of the daemon ended: the log says why"),
    }
    Ok(())
}
