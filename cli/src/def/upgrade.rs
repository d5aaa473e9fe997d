//! `caravel def upgrade`: rewrites CUE of older versions.

mod manifest;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use caravel_core::appfile::kind_of;
use caravel_core::engine::{Diagnostic, Evaluator, FormatRequest, Operation, UpgradeResult};
use caravel_core::yaml;
use serde_json::Value;

use super::ask::{Refusal, ask};
use super::format::refused;
use super::impact::unified;
use super::problem::{Problem, Problems};
use super::source::{files, is_cue, read_text};

/// Rewrites definitions of older versions of CUE for today's: lists that are added or multiplied, in templates and in the
/// texts of the status; imports that nothing uses go. Shows the changes as a diff; with --write they are made.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def upgrade old.cue\n  caravel def upgrade --write definitions/"
)]
pub(crate) struct Args {
    /// The files, CUE or YAML manifests; a folder stands for all definitions in it, `-` for standard input.
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
        .filter(|file| file == "-" || is_cue(file) || is_yaml(file))
        .collect();
    if args.output.is_some() && files.len() != 1 {
        bail!(
            "--output takes the result of one file, and there are {}",
            files.len()
        );
    }
    let mut out = std::io::stdout();
    let mut changed = 0;
    let mut problems = Vec::new();
    for file in &files {
        let text = read_text(file)?;
        let upgraded = match upgraded(file, &text) {
            Ok(upgraded) => upgraded,
            Err(wrong) => {
                problems.extend(wrong);
                continue;
            }
        };
        if let Some(target) = &args.output {
            std::fs::write(target, &upgraded.text).with_context(|| target.clone())?;
        }
        if upgraded.text == text {
            continue;
        }
        changed += 1;
        if !args.quiet {
            for change in &upgraded.changes {
                writeln!(out, "{file}{change}")?;
            }
            write!(out, "{}", unified(&text, &upgraded.text, file, "upgraded"))?;
        }
        if args.write {
            std::fs::write(file, &upgraded.text).with_context(|| file.clone())?;
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
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    Ok(if args.check && changed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn is_yaml(file: &str) -> bool {
    let extension = Path::new(file).extension().and_then(|name| name.to_str());
    matches!(extension, Some("yaml" | "yml"))
}

/// A text for today's CUE.
struct Upgraded {
    text: String,
    /// `:line:column: what is written otherwise`.
    changes: Vec<String>,
}

fn upgraded(file: &str, text: &str) -> Result<Upgraded, Vec<Problem>> {
    let is_manifest = file == "-" && text.lines().any(|line| line.starts_with("apiVersion:"));
    if is_manifest || is_yaml(file) {
        return upgraded_manifest(file, text);
    }
    let result = ask_for(file, text).map_err(|refusal| refused(file, text, refusal))?;
    let changes = result
        .changes
        .iter()
        .map(|change| told(change, "", Some((1, 1))));
    Ok(Upgraded {
        changes: changes.collect(),
        text: result.source,
    })
}

fn ask_for(file: &str, source: &str) -> Result<UpgradeResult, Refusal> {
    let request = FormatRequest {
        file: file.to_owned(),
        source: source.to_owned(),
    };
    ask(Operation::Upgrade(request), Evaluator::default())
}

/// `origin` is where the text begins that the change is in; where nobody can tell, the path of its field stands for it.
fn told(change: &Diagnostic, path: &str, origin: Option<(u32, u32)>) -> String {
    match change.positions.first().zip(origin) {
        Some((at, (line, column))) => format!(
            ":{}:{}: {}",
            at.line + line - 1,
            at.column + column - 1,
            change.message
        ),
        None => format!(": {path}: {}", change.message),
    }
}

/// The fields of a definition that hold CUE.
const TEXTS: [&str; 4] = [
    "spec.schematic.cue.template",
    "spec.status.healthPolicy",
    "spec.status.customStatus",
    "spec.status.details",
];

fn upgraded_manifest(file: &str, text: &str) -> Result<Upgraded, Vec<Problem>> {
    let wrong = |message: String| vec![Problem::of_file(file, message)];
    let documents = yaml::parse(text).map_err(|error| wrong(error.to_string()))?;
    let mut result = Upgraded {
        text: text.to_owned(),
        changes: Vec::new(),
    };
    for (index, object) in documents.iter().enumerate() {
        if object["kind"].as_str().and_then(kind_of).is_none() {
            continue;
        }
        for path in TEXTS {
            let pointer = format!("/{}", path.replace('.', "/"));
            let Some(source) = object.pointer(&pointer).and_then(Value::as_str) else {
                continue;
            };
            let upgraded = ask_for(file, source).map_err(|refusal| match refusal {
                Refusal::Wrong(errors) => {
                    let problems = errors
                        .iter()
                        .map(|error| Problem::of(error, &format!("{file}: {path}")));
                    problems.collect()
                }
                other => refused(file, text, other),
            })?;
            if upgraded.changes.is_empty() {
                continue;
            }
            let origin = manifest::place(text, index, path);
            let changes = upgraded
                .changes
                .iter()
                .map(|change| told(change, path, origin));
            result.changes.extend(changes);
            let replaced = manifest::replaced(&result.text, index, path, &upgraded.source);
            result.text = replaced.ok_or_else(|| {
                wrong(format!(
                    "{path} of document {} is not written as a block (`|`): write it so, and it can be rewritten",
                    index + 1
                ))
            })?;
        }
    }
    Ok(result)
}
