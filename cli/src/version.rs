//! `caravel version`.

use std::io::Write;
use std::process::ExitCode;

use caravel_core::engine::{EngineInfo, Operation};

use crate::engine;

/// Arguments of `caravel version`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> ExitCode {
    let engine = engine::run::<EngineInfo>(Operation::Ping);
    let engine = engine.map_or_else(
        |problem| format!("not usable: {problem}"),
        |info| {
            format!(
                "{} {} (protocol {})",
                info.engine, info.version, info.protocol
            )
        },
    );
    let text = format!("caravel {}\nengine  {engine}\n", env!("CARGO_PKG_VERSION"));
    crate::written(std::io::stdout().write_all(text.as_bytes()))
}
