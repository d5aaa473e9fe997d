//! `caravel def list`: the definitions of a hub.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::{Value, json};

use super::{Machine, registry};
use crate::hub::HubArgs;

/// Lists the definitions of the hub; of all namespaces unless -n names one.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  caravel def list -t trait")]
pub(crate) struct Args {
    /// Only this kind: component, trait, policy or workflow-step.
    #[arg(short = 't', long = "type")]
    kind: Option<String>,
    /// The list as data.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Machine>,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs) -> Result<ExitCode> {
    let namespace = hub.namespace.as_deref();
    let hub = hub.connect().await?;
    let found = registry::list(&hub, namespace, args.kind.as_deref()).await?;
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
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["TYPE", "NAME", "NAMESPACE", "REVISION", "DESCRIPTION"]);
    for one in &found {
        table.add_row([
            one.kind.word,
            one.metadata("name"),
            one.metadata("namespace"),
            one.latest(),
            one.description(),
        ]);
    }
    writeln!(std::io::stdout(), "{}", table.trim_fmt())?;
    Ok(ExitCode::SUCCESS)
}
