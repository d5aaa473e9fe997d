//! `caravel delete`: removes an Application and what it owns.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use caravel_core::api::Application;
use clap::Args;
use kube::api::{Api, DeleteParams};
use kube::runtime::wait::{await_condition, conditions};

use crate::hub::{HubArgs, readable};
use crate::up::parse_duration;

/// Deletes Applications with all objects that they own.
#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Names of the Applications.
    #[arg(required = true, value_parser = crate::hub::name)]
    applications: Vec<String>,
    /// Return at once; the deletion goes on in the background.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until everything is gone.
    #[arg(long, default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    hub: HubArgs,
}

pub(crate) async fn run(arguments: DeleteArgs) -> Result<ExitCode> {
    let hub = arguments.hub.connect().await?;
    let api: Api<Application> = Api::namespaced(hub.client, &hub.namespace);
    for name in &arguments.applications {
        let deleted = api
            .delete(name, &DeleteParams::default())
            .await
            .map_err(readable)?;
        let uid = deleted
            .left()
            .and_then(|application| application.metadata.uid);
        if let (Some(uid), false) = (uid, arguments.no_wait) {
            let gone = await_condition(api.clone(), name, conditions::is_deleted(&uid));
            match tokio::time::timeout(arguments.timeout, gone).await {
                Ok(outcome) => drop(outcome?),
                Err(_) => bail!(
                    "{name} is still being deleted: `caravel status {name}` says what it waits for"
                ),
            }
        }
        writeln!(std::io::stdout(), "{name} deleted")?;
    }
    Ok(ExitCode::SUCCESS)
}
