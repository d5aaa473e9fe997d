//! `caravel ls`: Applications at a glance.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use caravel_core::api::Application;
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use crate::hub::{HubArgs, readable};
use crate::{age, paint};

/// Lists Applications.
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    /// All namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Label selector.
    #[arg(short = 'l', long)]
    selector: Option<String>,
    #[command(flatten)]
    hub: HubArgs,
}

pub(crate) async fn run(arguments: LsArgs) -> Result<ExitCode> {
    let hub = arguments.hub.connect().await?;
    let api: Api<Application> = if arguments.all_namespaces {
        Api::all(hub.client)
    } else {
        Api::namespaced(hub.client, &hub.namespace)
    };
    let parameters = ListParams {
        label_selector: arguments.selector,
        ..ListParams::default()
    };
    let applications = api.list(&parameters).await.map_err(readable)?.items;
    let mut out = std::io::stdout().lock();
    if applications.is_empty() {
        writeln!(
            out,
            "no Application in {}",
            if arguments.all_namespaces {
                "any namespace"
            } else {
                &hub.namespace
            }
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "NAMESPACE",
        "NAME",
        "PHASE",
        "HEALTHY",
        "COMPONENTS",
        "REVISION",
        "AGE",
    ]);
    for application in &applications {
        table.add_row(row(application));
    }
    writeln!(out, "{}", table.trim_fmt())?;
    Ok(ExitCode::SUCCESS)
}

fn row(application: &Application) -> Vec<String> {
    let status = application.status.clone().unwrap_or_default();
    let components: Vec<&str> = application
        .spec
        .components
        .iter()
        .map(|component| component.name.as_str())
        .collect();
    let healthy = status
        .services
        .iter()
        .filter(|service| service.healthy)
        .count();
    vec![
        application.namespace().unwrap_or_default(),
        application.name_any(),
        paint::phase(status.status.as_deref().unwrap_or("starting")),
        format!("{healthy}/{}", status.services.len()),
        components.join(","),
        status
            .latest_revision
            .map(|revision| revision.name)
            .unwrap_or_default(),
        application
            .creation_timestamp()
            .map(|time| age::since(time.0))
            .unwrap_or_default(),
    ]
}
