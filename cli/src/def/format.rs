//! `caravel def format`: one way to write definitions.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use caravel_core::engine::{Evaluator, FormatRequest, Operation};

use super::ask::{Refusal, ask};
use super::impact::unified;
use super::problem::{Problem, Problems};
use super::source::{files, of_file};
use crate::input;

/// Formats CUE files as the `cue` tool does. Without an option the text goes to standard output.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def format -w definitions/\n  caravel def format --check definitions/"
)]
pub(crate) struct Args {
    /// The files; a folder stands for all CUE files in it, `-` for standard input.
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<String>,
    /// Write the files.
    #[arg(short, long)]
    write: bool,
    /// Show what would change, and end with exit code 1 where something would.
    #[arg(long, conflicts_with = "write")]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut out = std::io::stdout();
    let mut unformatted = false;
    let mut problems = Vec::new();
    for file in files(&args.files)? {
        if file != "-" && !input::is_cue(&file) {
            // A folder may hold manifests, too.
            if args.files.contains(&file) {
                problems.push(Problem::of_file(&file, "only CUE is formatted (`*.cue`)"));
            }
            continue;
        }
        let (text, formatted) = match read_and_format(&file) {
            Ok(done) => done,
            Err(wrong) => {
                problems.extend(wrong);
                continue;
            }
        };
        if args.check {
            if formatted != text {
                unformatted = true;
                write!(out, "{}", unified(&text, &formatted, &file, "formatted"))?;
            }
        } else if args.write && file != "-" {
            if formatted != text {
                std::fs::write(&file, &formatted).with_context(|| file.clone())?;
                writeln!(out, "{file}")?;
            }
        } else {
            out.write_all(formatted.as_bytes())?;
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    Ok(if unformatted {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn read_and_format(file: &str) -> Result<(String, String), Vec<Problem>> {
    let text = input::read(file).map_err(|error| of_file(file, error).0)?;
    let formatted = formatted(file, &text)?;
    Ok((text, formatted))
}

fn formatted(file: &str, text: &str) -> Result<String, Vec<Problem>> {
    let request = FormatRequest {
        file: file.to_owned(),
        source: text.to_owned(),
    };
    ask(Operation::Format(request), Evaluator::default())
        .map_err(|refusal| refused(file, text, refusal))
}

/// What is wrong with a file, at its place.
pub(crate) fn refused(file: &str, text: &str, refusal: Refusal) -> Vec<Problem> {
    match refusal {
        Refusal::Wrong(errors) => {
            let text = text.into();
            let problems = errors.iter().map(|error| {
                let problem = Problem::of(error, file);
                match error.positions.first() {
                    Some(place) => problem.at(&text, place.line, place.column),
                    None => problem,
                }
            });
            problems.collect()
        }
        Refusal::Calls(_) => vec![Problem::of_file(
            file,
            "the engine asks for calls where there are none",
        )],
        Refusal::Fault(message) => vec![Problem::of_file(file, message)],
    }
}
