//! `caravel def upgrade`: rewrites CUE of older versions.

mod manifest;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use caravel_core::appfile::kind_of;
use caravel_core::engine::{
    Diagnostic, Evaluator, FormatRequest, Operation, Position, UpgradeResult,
};
use caravel_core::yaml;
use serde_json::Value;

use self::manifest::{Place, replaced};
use super::ask::{Refusal, ask};
use super::format::refused;
use super::impact::unified;
use super::problem::{Problem, Problems};
use super::source::{files, is_manifest, no_yaml, of_file};
use crate::input;
use crate::locate::{self, Site};

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
    let files = files(&args.files)?;
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
        let (text, upgraded) = match read_and_upgrade(file) {
            Ok(done) => done,
            Err(wrong) => {
                problems.extend(wrong);
                continue;
            }
        };
        problems.extend(upgraded.left.iter().cloned());
        changed += usize::from(upgraded.text != text);
        args.show(file, &text, &upgraded)?;
        args.keep(file, &text, &upgraded.text)?;
    }
    if !args.is_quiet() {
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

impl Args {
    /// The text itself goes to standard output where it came from standard input.
    fn is_quiet(&self) -> bool {
        self.quiet || (self.write && self.files.iter().any(|file| file == "-"))
    }

    fn show(&self, file: &str, text: &str, upgraded: &Upgraded) -> Result<()> {
        if self.is_quiet() || upgraded.text == text {
            return Ok(());
        }
        let mut out = std::io::stdout();
        for change in &upgraded.changes {
            writeln!(out, "{file}{change}")?;
        }
        write!(out, "{}", unified(text, &upgraded.text, file, "upgraded"))?;
        Ok(())
    }

    /// Writes what came out to where it is wanted.
    fn keep(&self, file: &str, before: &str, after: &str) -> Result<()> {
        match &self.output {
            Some(target) => std::fs::write(target, after).with_context(|| target.clone()),
            None if self.write && file == "-" => Ok(std::io::stdout().write_all(after.as_bytes())?),
            None if self.write && before != after => {
                std::fs::write(file, after).with_context(|| file.to_owned())
            }
            None => Ok(()),
        }
    }
}

fn read_and_upgrade(file: &str) -> Result<(String, Upgraded), Vec<Problem>> {
    let text = input::read(file).map_err(|error| of_file(file, error).0)?;
    let upgraded = if is_manifest(file, &text) {
        upgraded_manifest(file, &text)
    } else {
        upgraded_cue(file, &text)
    };
    Ok((text, upgraded?))
}

/// A text for today's CUE.
struct Upgraded {
    text: String,
    /// `:line:column: what is written otherwise`.
    changes: Vec<String>,
    /// What is left as it was.
    left: Vec<Problem>,
}

fn upgraded_cue(file: &str, text: &str) -> Result<Upgraded, Vec<Problem>> {
    let result = ask_for(file, text).map_err(|refusal| refused(file, text, refusal))?;
    let place = |at: &Position| format!(":{}:{}", at.line, at.column);
    let changes = result.changes.iter().map(|change| {
        let place = change.positions.first().map(place).unwrap_or_default();
        format!("{place}: {}", change.message)
    });
    Ok(Upgraded {
        changes: changes.collect(),
        text: result.source,
        left: Vec::new(),
    })
}

fn ask_for(file: &str, source: &str) -> Result<UpgradeResult, Refusal> {
    let request = FormatRequest {
        file: file.to_owned(),
        source: source.to_owned(),
    };
    ask(Operation::Upgrade(request), Evaluator::default())
}

/// A change of a text that stands at a place of a manifest: its own line where the text has its lines there.
fn told(change: &Diagnostic, path: &str, origin: Option<Place>) -> String {
    let message = &change.message;
    match (change.positions.first(), origin) {
        (Some(at), Some(origin)) if origin.is_literal => format!(
            ":{}:{}: {message}",
            at.line + origin.line - 1,
            at.column + origin.column - 1,
        ),
        (_, Some(origin)) => format!(":{}: {path}: {message}", origin.line),
        (_, None) => format!(": {path}: {message}"),
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
    let documents = yaml::parse(text).map_err(|error| vec![no_yaml(file, &text.into(), &error)])?;
    let mut result = Upgraded {
        text: text.to_owned(),
        changes: Vec::new(),
        left: Vec::new(),
    };
    for (object, site) in locate::objects(documents) {
        if object["kind"].as_str().and_then(kind_of).is_none() {
            continue;
        }
        for path in TEXTS {
            let pointer = format!("/{}", path.replace('.', "/"));
            if let Some(source) = object.pointer(&pointer).and_then(Value::as_str) {
                upgrade_field(file, text, (&site, path, source), &mut result)?;
            }
        }
    }
    Ok(result)
}

/// Rewrites one field; where it cannot be written alone it is left, and told of.
fn upgrade_field(
    file: &str,
    text: &str,
    (site, path, source): (&Site, &str, &str),
    result: &mut Upgraded,
) -> Result<(), Vec<Problem>> {
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
        return Ok(());
    }
    let (index, path) = (site.document, site.path(path));
    let path = path.as_str();
    let origin = Place::find(text, index, path);
    let Some(replaced) = replaced(&result.text, index, path, &upgraded.source) else {
        let message = format!("{path} is left as it is: it cannot be written anew by itself");
        let problem = Problem::of_file(file, message)
            .hint("write it as a block (`|`) of its own, and it can be rewritten");
        result.left.push(match origin {
            Some(at) => problem.at(&text.into(), at.line, at.column),
            None => problem,
        });
        return Ok(());
    };
    result.text = replaced;
    let changes = upgraded.changes.iter();
    let changes = changes.map(|change| told(change, path, origin));
    result.changes.extend(changes);
    Ok(())
}
