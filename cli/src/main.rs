//! The one binary: `caravel serve` and everything else. One file per command.

mod age;
mod completion;
mod def;
mod delete;
mod doctor;
mod dry_run;
mod engine;
mod hub;
mod input;
mod locate;
mod ls;
mod manifest;
mod paint;
mod progress;
mod serve;
mod snippet;
mod status;
mod up;
mod version;
mod workflow;
mod write;

use std::future::Future;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// The hub makes and drops many small values: this is a third less processor time than with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The first argument of a template engine's worker process: this same program, started by the daemon.
const WORKER: &str = "__engine-worker";

/// Delivers Applications to Kubernetes clusters.
#[derive(Debug, Parser)]
#[command(name = "caravel", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: an embedded hub for kubectl, the controllers, the REST API.
    Serve(serve::ServeArgs),
    /// Apply manifests, and follow their Applications until they run.
    Up(up::UpArgs),
    /// Show how an Application stands, and why it waits.
    Status(status::StatusArgs),
    /// List Applications.
    Ls(ls::LsArgs),
    /// Delete Applications with all objects that they own.
    Delete(delete::DeleteArgs),
    /// Steer the workflow of an Application.
    Workflow(workflow::WorkflowArgs),
    /// Write, check, register and explain definitions.
    Def(Box<def::DefArgs>),
    /// Show the objects that an Application would be delivered as, without any cluster.
    DryRun(dry_run::Args),
    /// Check what this machine offers: isolation of templates, data folder, addresses, hub.
    Doctor(doctor::DoctorArgs),
    /// Print what a shell needs to complete commands and options.
    Completion(completion::Args),
    /// Show the version of this program and of what it wraps.
    Version(version::Args),
}

fn main() -> ExitCode {
    caravel_cue::keep_inherited_files();
    // Before anything else: a worker must not do what the daemon does at its start.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == WORKER)
    {
        caravel_cue::worker_main();
    }
    match Cli::parse().command {
        Command::Serve(args) => told(serve::run(args)),
        Command::Up(args) => wait(up::run(args)),
        Command::Status(args) => wait(status::run(args)),
        Command::Ls(args) => wait(ls::run(args)),
        Command::Delete(args) => wait(delete::run(args)),
        Command::Workflow(args) => wait(workflow::run(args)),
        Command::Def(args) => wait(def::run(*args)),
        Command::DryRun(args) => dry_run::run(&args),
        Command::Doctor(args) => wait(doctor::run(args)),
        Command::Completion(args) => completion::run(&args, Cli::command()),
        Command::Version(args) => version::run(&args),
    }
}

/// Runs a command that speaks with a hub.
fn wait(command: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => told(runtime.block_on(command)),
        Err(error) => told(Err(error.into())),
    }
}

/// Whether nobody reads standard output any more, as with `caravel … | head`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// What writing to standard output came to.
fn written(result: std::io::Result<()>) -> ExitCode {
    told(
        result
            .map(|()| ExitCode::SUCCESS)
            .map_err(anyhow::Error::from),
    )
}

/// Says what went wrong, if something did.
fn told(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        // Somebody who closed the pipe does not want to know.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "caravel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    /// No two options of a command have one name, in any of the commands.
    #[test]
    fn the_command_line_is_whole() {
        super::Cli::command().debug_assert();
    }
}
