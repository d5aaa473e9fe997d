//! `caravel def list`: the definitions of a hub.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::{Value, json};

use super::kind::{Kind, chosen};
use super::show::description;
use super::source::Source;
use super::{Machine, registry};
use crate::hub::HubArgs;

/// Lists the definitions of the hub, of all namespaces unless -n names one; or those that come with this program.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  caravel def list -t trait\n  caravel def list --sample")]
pub(crate) struct Args {
    /// Only this kind: component, trait, policy or workflow-step.
    #[arg(short = 't', long = "type")]
    kind: Option<String>,
    /// The built-in definitions, without a hub.
    #[arg(long)]
    builtin: bool,
    /// The samples, without a hub: `def apply --sample` installs them.
    #[arg(long, conflicts_with = "builtin")]
    sample: bool,
    /// The list as data.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Machine>,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs) -> Result<ExitCode> {
    let kind = args.kind.as_deref();
    if args.builtin || args.sample {
        return shipped(args, kind);
    }
    let namespace = hub.namespace.as_deref();
    let hub = hub.connect().await?;
    let found = registry::list(&hub, namespace, kind).await?;
    if let Some(format) = args.output {
        let items: Vec<Value> = found
            .iter()
            .map(|one| {
                json!({
                    "kind": one.kind.word,
                    "name": one.metadata("name"),
                    "namespace": one.metadata("namespace"),
                    "revision": one.latest(),
                    "description": one.description(),
                    "version": one.object["spec"]["version"],
                })
            })
            .collect();
        super::print_data(&Value::Array(items), format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = found.iter().map(|one| {
        [
            one.kind.word,
            one.metadata("name"),
            one.metadata("namespace"),
            one.latest(),
            one.description(),
        ]
    });
    print(
        ["TYPE", "NAME", "NAMESPACE", "REVISION", "DESCRIPTION"],
        rows,
    )
}

/// What comes with this program.
fn shipped(args: &Args, kind: Option<&str>) -> Result<ExitCode> {
    let kinds = chosen(kind)?;
    let all: Vec<_> = if args.sample {
        caravel_definitions::samples().collect()
    } else {
        caravel_definitions::all().collect()
    };
    let sources: Vec<Source> = all
        .into_iter()
        .filter(|one| kinds.iter().any(|kind| kind.definition == one.kind))
        .map(registry::with_text)
        .collect::<Result<_>>()?;
    let word = |source: &Source| Kind::of(source.definition.kind).word;
    if let Some(format) = args.output {
        let items: Vec<Value> = sources
            .iter()
            .map(|one| {
                json!({
                    "kind": word(one),
                    "name": one.definition.name,
                    "description": description(one),
                })
            })
            .collect();
        super::print_data(&Value::Array(items), format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = sources
        .iter()
        .map(|one| [word(one), &one.definition.name, description(one)]);
    print(["TYPE", "NAME", "DESCRIPTION"], rows)
}

fn print<'a, const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [&'a str; N]>,
) -> Result<ExitCode> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    writeln!(std::io::stdout(), "{}", table.trim_fmt())?;
    Ok(ExitCode::SUCCESS)
}
