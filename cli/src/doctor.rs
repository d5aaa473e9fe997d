//! `caravel doctor`: whether this machine has what Caravel needs, and what protects it from templates.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use caravel_engines::{Isolation, Pool};
use clap::{Args, ValueEnum};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use serde_json::Value;

use crate::hub::{HubArgs, readable};
use crate::paint;
use crate::serve::{folder, workers};

/// Below this the hub's databases are in danger.
const LITTLE_SPACE: u64 = 512 << 20;
/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Checks what this machine offers.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// The daemon's data folder; the user's data folder unless given.
    #[arg(long, env = "CARAVEL_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the daemon is to listen for the Kubernetes API.
    #[arg(long, env = "CARAVEL_KUBE_LISTEN", default_value = "127.0.0.1:7443")]
    kube_listen: SocketAddr,
    /// Where the daemon is to listen for the REST API.
    #[arg(long, env = "CARAVEL_HTTP_LISTEN", default_value = "127.0.0.1:7080")]
    http_listen: SocketAddr,
    /// Form of the result.
    #[arg(short, long, default_value = "table")]
    output: Form,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Table,
    Json,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works, but less well than it could.
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    detail: String,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, State::Ok, detail)
    }

    fn warning(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, State::Warning, detail)
    }

    fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, State::Failed, detail)
    }

    fn new(name: &'static str, state: State, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            name,
            state,
            detail,
        }
    }
}

pub(crate) async fn run(arguments: DoctorArgs) -> Result<ExitCode> {
    let mut checks = evaluator();
    let folder = arguments.data_dir.clone().map_or_else(folder::usual, Ok);
    let running = match &folder {
        Ok(folder) => {
            checks.push(data_folder(folder));
            Running::of(folder)
        }
        Err(error) => {
            checks.push(Check::failed("data folder", format!("{error:#}")));
            Running::default()
        }
    };
    checks.push(address(
        "Kubernetes address",
        arguments.kube_listen,
        "--kube-listen",
        running.kubernetes,
    ));
    checks.push(address(
        "REST address",
        arguments.http_listen,
        "--http-listen",
        running.http,
    ));
    checks.push(hub(&arguments.hub).await);
    print(&checks, arguments.output)?;
    let failed = checks.iter().any(|check| check.state == State::Failed);
    Ok(ExitCode::from(u8::from(failed)))
}

/// Starts a worker as the daemon does, and looks at it.
fn evaluator() -> Vec<Check> {
    const NAME: &str = "template worker";
    let options = match workers() {
        Ok(options) => options,
        Err(error) => return vec![Check::failed(NAME, format!("{error:#}"))],
    };
    match Pool::examine(&options) {
        Ok(found) => {
            let engine = &found.engine;
            let started = format!(
                "{} {} answers {} ms after its start; {} workers",
                engine.engine,
                engine.version,
                found.started_in.as_millis(),
                options.lanes
            );
            let mut checks = vec![Check::ok(NAME, started)];
            checks.extend(isolation(&found));
            checks
        }
        Err(error) => vec![Check::failed(NAME, error.to_string())],
    }
}

/// What holds for a worker. What the kernel does not give is a warning: deadlines hold everywhere.
fn isolation(found: &Isolation) -> Vec<Check> {
    let held = |name, held: Option<bool>, yes: &str, no: &str| match held {
        Some(true) => Check::ok(name, yes),
        Some(false) => Check::warning(name, no),
        None => Check::warning(name, format!("this system does not tell: {no}")),
    };
    let memory = match found.memory {
        Some(bytes) => Check::ok("worker memory", format!("{} MiB at most", bytes >> 20)),
        None => Check::warning(
            "worker memory",
            "not bounded: a template may use all of this machine's",
        ),
    };
    vec![
        held(
            "worker system calls",
            found.filtered,
            "seccomp: files, sockets and other processes are refused to every thread",
            "no filter (the kernel has no seccomp): only CUE itself keeps a template from files and network",
        ),
        held(
            "worker files",
            found.no_files,
            "nothing that whoever started this program had open",
            "it has files open that are not its own: close them before you start this program (the kernel is older than 5.11)",
        ),
        held(
            "worker privileges",
            found.no_new_privileges,
            "it cannot gain any",
            "it could gain some by executing a program",
        ),
        held(
            "worker environment",
            found.no_environment,
            "nothing of the daemon's",
            "it sees variables of the daemon",
        ),
        memory,
    ]
}

fn data_folder(folder: &Path) -> Check {
    const NAME: &str = "data folder";
    let shown = folder.display();
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Check::ok(
                NAME,
                format!("{shown} is made by the first `caravel serve`"),
            );
        }
        Err(error) => return Check::failed(NAME, format!("{shown}: {error}")),
    };
    if !metadata.is_dir() {
        return Check::failed(
            NAME,
            format!("{shown} is no folder: choose another with --data-dir"),
        );
    }
    if rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_err() {
        return Check::failed(
            NAME,
            format!("{shown} cannot be written: choose another with --data-dir"),
        );
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let detail = format!("{shown} has mode {mode:o}, others can read keys in it: chmod 700");
        return Check::warning(NAME, detail);
    }
    match rustix::fs::statvfs(folder) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let detail = format!("{shown}, {} MiB free", free >> 20);
            if free < LITTLE_SPACE {
                return Check::warning(NAME, detail);
            }
            Check::ok(NAME, detail)
        }
        Err(error) => Check::warning(NAME, format!("{shown}: free space unknown ({error})")),
    }
}

/// Where a daemon of the data folder says that it listens.
#[derive(Default)]
struct Running {
    kubernetes: Option<SocketAddr>,
    http: Option<SocketAddr>,
}

impl Running {
    fn of(folder: &Path) -> Self {
        let text = std::fs::read(folder.join("endpoints.json")).unwrap_or_default();
        let endpoints: Value = serde_json::from_slice(&text).unwrap_or_default();
        let read = |name: &str| {
            let (_, address) = endpoints[name].as_str()?.split_once("://")?;
            address.parse().ok()
        };
        Self {
            kubernetes: read("kubernetes"),
            http: read("http"),
        }
    }
}

/// Whether an address is free, or taken by the daemon itself.
fn address(
    name: &'static str,
    wanted: SocketAddr,
    flag: &str,
    running: Option<SocketAddr>,
) -> Check {
    if let Some(running) = running
        && TcpStream::connect_timeout(&running, PATIENCE).is_ok()
    {
        return Check::ok(name, format!("the daemon listens at {running}"));
    }
    match TcpListener::bind(wanted) {
        Ok(_) => Check::ok(name, format!("{wanted} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Check::failed(
            name,
            format!("{wanted} is in use by another program: choose another with {flag}"),
        ),
        Err(error) => Check::failed(
            name,
            format!("{wanted}: {error}; choose another with {flag}"),
        ),
    }
}

async fn hub(arguments: &HubArgs) -> Check {
    const NAME: &str = "hub of the kubeconfig";
    let hub = match arguments.connect().await {
        Ok(hub) => hub,
        // Before the first start there is none.
        Err(error) => return Check::warning(NAME, format!("{error:#}")),
    };
    match tokio::time::timeout(PATIENCE, hub.client.apiserver_version()).await {
        Ok(Ok(version)) => Check::ok(
            NAME,
            format!(
                "{} answers, namespace {}",
                version.git_version, hub.namespace
            ),
        ),
        Ok(Err(error)) => Check::failed(NAME, format!("{:#}", readable(error))),
        Err(_) => Check::failed(NAME, format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn print(checks: &[Check], form: Form) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match form {
        Form::Json => writeln!(out, "{}", serde_json::to_string_pretty(checks)?)?,
        Form::Table => {
            let mut table = Table::new();
            table.load_style(NOTHING);
            table.set_header(["CHECK", "STATE", "DETAIL"]);
            for check in checks {
                let state = match check.state {
                    State::Ok => paint::good("ok"),
                    State::Warning => paint::wait("warning"),
                    State::Failed => paint::bad("failed"),
                };
                table.add_row([check.name, &state, &check.detail]);
            }
            writeln!(out, "{}", table.trim_fmt())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_folder_that_others_can_read_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o755);
        let check = data_folder(folder.path());
        assert_eq!(check.state, State::Warning, "{check:?}");
        assert!(check.detail.contains("chmod 700"), "{check:?}");
        mode(0o700);
        assert_ne!(data_folder(folder.path()).state, State::Failed);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(data_folder(&file).state, State::Failed);
        assert_eq!(data_folder(&folder.path().join("new")).state, State::Ok);
    }

    #[test]
    fn an_address_that_is_taken_says_with_which_flag_to_choose_another() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = other.local_addr().unwrap();
        let check = address("REST address", taken, "--http-listen", None);
        assert_eq!(check.state, State::Failed);
        assert!(check.detail.contains("--http-listen"), "{check:?}");
        let ours = address("REST address", taken, "--http-listen", Some(taken));
        assert_eq!(ours.state, State::Ok, "the daemon itself has it");
    }

    #[test]
    fn what_the_kernel_does_not_give_is_a_warning() {
        let found = Isolation {
            engine: caravel_core::engine::EngineInfo {
                engine: "cue".to_owned(),
                version: "v0".to_owned(),
                protocol: 1,
            },
            started_in: Duration::ZERO,
            no_new_privileges: Some(true),
            filtered: Some(false),
            memory: None,
            open_files: None,
            no_environment: Some(true),
            no_files: Some(true),
            folder: None,
        };
        let states: Vec<_> = isolation(&found).iter().map(|check| check.state).collect();
        assert_eq!(
            states,
            [
                State::Warning,
                State::Ok,
                State::Ok,
                State::Ok,
                State::Warning
            ]
        );
    }
}
