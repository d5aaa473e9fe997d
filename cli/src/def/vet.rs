//! `caravel def vet`: checks definitions.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::Machine;
use super::check::{Names, check};
use super::kind::Kind;
use super::problem::{self, Level, Problem};
use super::served::Served;
use super::source::{Source, files, of_file, read};
use crate::hub::HubArgs;

/// Checks definitions as their registration does, and more: both evaluators must agree, and the objects that they make
/// of sample parameters must be of kinds that the targets have, with the fields and types of these.
///
/// The kinds are those of the hub, where one answers; else Kubernetes' own and those of `--crds`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def vet definitions/ my-trait.cue\n  caravel def vet definitions/ --crds crds/"
)]
pub(crate) struct Args {
    /// Definitions in CUE or YAML; a folder stands for all in it.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<String>,
    /// Warnings count as errors.
    #[arg(long)]
    strict: bool,
    /// CRDs of the targets; the hub is not asked then.
    #[arg(long, value_name = "FILE|DIR")]
    crds: Vec<String>,
    /// Ask no hub.
    #[arg(long)]
    offline: bool,
    /// The findings as data.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Machine>,
}

impl Args {
    /// The kinds that objects are checked against.
    async fn served(&self, hub: &HubArgs) -> Result<Served> {
        if !self.crds.is_empty() {
            return Served::of_files(&self.crds);
        }
        Ok(if self.offline {
            Served::default()
        } else {
            Served::of_any_hub(hub).await
        })
    }
}

/// A definition, or a file that holds none, and what is wrong with it.
struct Checked {
    file: String,
    title: String,
    problems: Vec<Problem>,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs) -> Result<ExitCode> {
    let served = args.served(hub).await?;
    let mut all = Vec::new();
    let mut known = Names::default();
    // All are read first: one may hold a package that another imports.
    let files = files(&args.paths)?.into_iter();
    let read: Vec<_> = files.map(|file| (read(&file), file)).collect();
    for (sources, file) in read {
        all.extend(check_file(&file, sources, &served, &mut known));
    }
    if all.is_empty() {
        anyhow::bail!("there is no definition in {}", args.paths.join(", "));
    }
    let bad = |checked: &Checked| {
        let mut levels = checked.problems.iter().map(|problem| problem.level);
        levels.any(|level| level == Level::Error || args.strict)
    };
    let failed = all.iter().filter(|checked| bad(checked)).count();
    if let Some(format) = args.output {
        let items: Vec<Value> = all.iter().map(|one| as_json(one, !bad(one))).collect();
        let whole = json!({ "ok": failed == 0, "definitions": items });
        super::print_data(&whole, format)?;
    } else {
        tell(&all, &bad, failed)?;
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(all: &[Checked], bad: &dyn Fn(&Checked) -> bool, failed: usize) -> Result<()> {
    let mut out = std::io::stdout();
    for checked in all {
        let verdict = match (bad(checked), checked.problems.is_empty()) {
            (true, _) => crate::paint::bad("bad "),
            (false, false) => crate::paint::wait("warn"),
            (false, true) => crate::paint::good("ok  "),
        };
        writeln!(out, "{verdict} {} ({})", checked.title, checked.file)?;
        checked.problems.iter().for_each(problem::print);
    }
    let count = all.len();
    let plural = if count == 1 { "" } else { "s" };
    writeln!(out, "{count} definition{plural} checked, {failed} bad")?;
    Ok(())
}

fn check_file(
    file: &str,
    sources: Result<Vec<Source>>,
    served: &Served,
    known: &mut Names,
) -> Vec<Checked> {
    match sources {
        Ok(sources) => {
            let checked = sources.iter().map(|source| {
                let mut problems: Vec<Problem> = known.taken(source).into_iter().collect();
                problems.extend(check(source, served));
                let word = Kind::of(source.definition.kind).word;
                Checked {
                    file: source.file.clone(),
                    title: format!("{word} {}", source.definition.name),
                    problems,
                }
            });
            checked.collect()
        }
        Err(error) => vec![Checked {
            file: file.to_owned(),
            title: "unreadable".to_owned(),
            problems: of_file(file, error).0,
        }],
    }
}

fn as_json(checked: &Checked, ok: bool) -> Value {
    let (kind, name) = checked.title.split_once(' ').unwrap_or(("", ""));
    let at = |level: Level| {
        let problems = checked
            .problems
            .iter()
            .filter(move |one| one.level == level);
        json!(problems.collect::<Vec<_>>())
    };
    json!({
        "file": checked.file,
        "kind": kind,
        "name": name,
        "ok": ok,
        "errors": at(Level::Error),
        "warnings": at(Level::Warning),
    })
}
