//! `caravel def del`: removes a definition from a hub.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};
use caravel_core::api::labels::annotations::FORCE_DELETE;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::Machine;
use super::impact::{World, name_of, namespace_of};
use super::registry;
use crate::hub::{HubArgs, readable};

/// Deletes a definition of the hub. It is refused while Applications use the definition.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  caravel def del my-trait")]
pub(crate) struct Args {
    /// Its name.
    name: String,
    /// Its kind, where the name alone is ambiguous.
    #[arg(short = 't', long = "type")]
    kind: Option<String>,
    /// Delete it although Applications use it: they stay as they are, and cannot be changed any more.
    #[arg(long)]
    force: bool,
    /// What came of it as data.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Machine>,
}

/// Tells the hub that the deletion is meant: it refuses one while the definition is used.
async fn allow(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {FORCE_DELETE: "true"}}});
    let parameters = PatchParams::default();
    api.patch(name, &parameters, &Patch::Merge(patch))
        .await
        .map_err(readable)?;
    Ok(())
}

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    let hub = hub.connect().await?;
    let found = registry::find(&hub, namespace, &args.name, args.kind.as_deref()).await?;
    let world = World::load(&hub).await?;
    let users: Vec<String> = world
        .users(found.kind.definition, namespace, &args.name, true)
        .into_iter()
        .map(|application| format!("{}/{}", namespace_of(application), name_of(application)))
        .collect();
    if !users.is_empty() && !args.force {
        bail!(
            "{} is used by {}; change these first, or delete it with --force",
            args.name,
            users.join(", ")
        );
    }
    let api = found.kind.api(&hub, Some(namespace));
    if args.force {
        allow(&api, &args.name).await?;
    }
    api.delete(&args.name, &DeleteParams::default())
        .await
        .map_err(readable)?;
    if let Some(format) = args.output {
        let whole = json!({"kind": found.kind.name, "name": args.name, "namespace": namespace, "deleted": true, "users": users});
        super::print_data(&whole, format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} {} deleted from {namespace}",
        found.kind.name, args.name
    )?;
    if !users.is_empty() {
        writeln!(out, "still used by {}", users.join(", "))?;
    }
    Ok(ExitCode::SUCCESS)
}
