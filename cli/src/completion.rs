//! `caravel completion`: commands and options for the Tab key.

use std::io::Write as _;
use std::process::ExitCode;

use clap_complete::{Shell, generate};

/// Prints a script that a shell reads at its start.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  source <(caravel completion bash)\n  caravel completion zsh > ~/.zfunc/_caravel\n  caravel completion \
                  fish > ~/.config/fish/completions/caravel.fish"
)]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: &Args, mut command: clap::Command) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(args.shell, &mut command, name, &mut script);
    crate::written(std::io::stdout().write_all(&script))
}
