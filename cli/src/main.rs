//! The one binary: `caravel serve` and everything else. One file per command.

mod dry_run;
mod engine;
mod locate;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Delivers Applications to Kubernetes clusters.
#[derive(Debug, Parser)]
#[command(name = "caravel", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the objects that an Application would be delivered as, without any cluster.
    DryRun(dry_run::Args),
    /// Show the version of this program and of what it wraps.
    Version(version::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::DryRun(args) => dry_run::run(&args),
        Command::Version(args) => version::run(&args),
    }
}
