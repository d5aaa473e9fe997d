//! `caravel def upgrade`: rewrites CUE of older versions.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use caravel_core::engine::{Evaluator, FormatRequest, Operation, UpgradeResult};

use super::ask::ask;
use super::format::refused;
use super::impact::unified;
use super::problem::Problems;
use super::source::{files, is_cue, read_text};

/// Rewrites definitions of older versions of CUE for today's (lists that are added or multiplied, labels that became words
/// of the language). Shows the changes as a diff; with --write they are made.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def upgrade old.cue\n  caravel def upgrade --write definitions/"
)]
pub(crate) struct Args {
    /// The files; a folder stands for all CUE files in it.
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<String>,
    /// Write the files.
    #[arg(short, long)]
    write: bool,
    /// Write the result of one file to another.
    #[arg(short, long, value_name = "FILE", conflicts_with = "write")]
    output: Option<String>,
    /// Show no diff.
    #[arg(short, long)]
    quiet: bool,
    /// End with exit code 1 where a file would change.
    #[arg(long, conflicts_with = "write")]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let files: Vec<String> = files(&args.files)?
        .into_iter()
        .filter(|file| file == "-" || is_cue(file))
        .collect();
    if args.output.is_some() && files.len() != 1 {
        bail!(
            "--output takes the result of one file, and there are {}",
            files.len()
        );
    }
    let mut out = std::io::stdout();
    let mut changed = 0;
    for file in &files {
        let text = read_text(file)?;
        let request = FormatRequest {
            file: file.clone(),
            source: text.clone(),
        };
        let result: UpgradeResult = ask(Operation::Upgrade(request), Evaluator::default())
            .map_err(|refusal| Problems(refused(file, &text, refusal)))?;
        if let Some(target) = &args.output {
            std::fs::write(target, &result.source).with_context(|| target.clone())?;
        }
        if result.source == text {
            continue;
        }
        changed += 1;
        if !args.quiet {
            for change in &result.changes {
                let at = change.positions.first();
                let place = at.map_or(String::new(), |at| format!(":{}:{}", at.line, at.column));
                writeln!(out, "{file}{place}: {}", change.message)?;
            }
            write!(out, "{}", unified(&text, &result.source, file, "upgraded"))?;
        }
        if args.write {
            std::fs::write(file, &result.source).with_context(|| file.clone())?;
        }
    }
    if !args.quiet {
        let verb = if args.write {
            "rewritten"
        } else {
            "to be rewritten"
        };
        let total = files.len();
        writeln!(out, "{changed} of {total} {verb}")?;
    }
    Ok(if args.check && changed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
