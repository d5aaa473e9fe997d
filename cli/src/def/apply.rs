//! `caravel def apply`: registers definitions in a hub.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use caravel_core::yaml;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::check::registration;
use super::problem::{self, Level, Problem, Problems};
use super::source::{Source, read_all};
use crate::hub::HubArgs;

/// Registers definitions from `.cue` or YAML files; usable at once. All are checked before the first is registered.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def apply my-trait.cue\n  caravel def apply definitions/ --dry-run > objects.yaml"
)]
pub(crate) struct Args {
    /// The files; a folder stands for all definitions in it.
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<String>,
    /// Print the Kubernetes objects, and register nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    let sources = read_all(&args.files)?;
    let mut errors = Vec::new();
    for source in &sources {
        errors.extend(judged(source));
    }
    if !errors.is_empty() {
        return Err(Problems(errors).into());
    }
    let objects = sources.iter().map(|source| placed(source, namespace));
    if args.dry_run {
        let objects: Vec<Value> = objects.collect();
        std::io::stdout().write_all(yaml::stream(&objects).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let hub = hub.connect().await?;
    for (source, object) in sources.iter().zip(objects) {
        let applied = hub
            .apply(&object)
            .await
            .with_context(|| source.file.clone())?;
        writeln!(
            std::io::stdout(),
            "{} {} applied in {}",
            object["kind"].as_str().unwrap_or("definition"),
            applied.name_any(),
            applied.namespace().unwrap_or_default()
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The errors of a definition; its warnings are printed.
pub(crate) fn judged(source: &Source) -> Vec<Problem> {
    let (errors, warnings): (Vec<_>, Vec<_>) = registration(source)
        .into_iter()
        .partition(|problem| problem.level == Level::Error);
    warnings.iter().for_each(problem::print);
    errors
}

/// The object with its namespace.
pub(crate) fn placed(source: &Source, namespace: &str) -> Value {
    let mut object = source.object.clone();
    if object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}
