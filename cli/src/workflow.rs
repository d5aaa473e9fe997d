//! `caravel workflow`: steering the workflow of an Application.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use caravel_core::api::Application;
use caravel_workflow::Command;
use clap::{Args, Subcommand};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::hub::{HubArgs, readable};

/// How often a write is tried again when the controller wrote at the same time.
const TRIES: usize = 5;

/// Steers the workflow of an Application.
#[derive(Args, Debug)]
pub(crate) struct WorkflowArgs {
    #[command(subcommand)]
    operation: Operation,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Subcommand)]
enum Operation {
    /// Hold the workflow, or one step.
    Suspend(Target),
    /// Go on, for instance after an approval.
    Resume(Target),
    /// Run the workflow again, or from a failed step on.
    Restart(Target),
    /// End the workflow: what runs fails, what has not begun is skipped.
    Terminate {
        /// Name of the Application.
        #[arg(value_parser = crate::hub::name)]
        application: String,
    },
}

#[derive(Args, Debug)]
struct Target {
    /// Name of the Application.
    #[arg(value_parser = crate::hub::name)]
    application: String,
    /// Only this step.
    #[arg(long)]
    step: Option<String>,
}

impl Operation {
    /// Name of the Application, what to do, and what to say when it is done.
    fn split(self) -> (String, Command, &'static str) {
        match self {
            Self::Suspend(Target { application, step }) => {
                (application, Command::Suspend { step }, "suspended")
            }
            Self::Resume(Target { application, step }) => {
                (application, Command::Resume { step }, "resumed")
            }
            Self::Restart(Target {
                application,
                step: None,
            }) => (application, Command::Restart, "restarted"),
            Self::Restart(Target {
                application,
                step: Some(step),
            }) => (application, Command::RestartStep { step }, "restarted"),
            Self::Terminate { application } => (application, Command::Terminate, "terminated"),
        }
    }
}

pub(crate) async fn run(arguments: WorkflowArgs) -> Result<ExitCode> {
    let hub = arguments.hub.connect().await?;
    let (name, command, done) = arguments.operation.split();
    let api: Api<Application> = Api::namespaced(hub.client, &hub.namespace);
    for _ in 0..TRIES {
        let application = api.get(&name).await.map_err(readable)?;
        match write(&api, &application, &command).await {
            Ok(()) => {
                writeln!(std::io::stdout(), "workflow of {name} {done}")?;
                return Ok(ExitCode::SUCCESS);
            }
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            Err(kube::Error::Service(refused)) => bail!("{refused}"),
            Err(error) => return Err(readable(error)),
        }
    }
    bail!("{name} keeps changing: try again")
}

async fn write(
    api: &Api<Application>,
    application: &Application,
    command: &Command,
) -> kube::Result<()> {
    let refuse = |text: String| kube::Error::Service(anyhow!(text).into());
    let workflow = application
        .status
        .as_ref()
        .and_then(|status| status.workflow.as_ref());
    let workflow = workflow.ok_or_else(|| refuse("the workflow has not begun".to_owned()))?;
    let wanted = caravel_workflow::request(workflow, command)
        .map_err(|illegal| refuse(illegal.to_string()))?;
    let mut patch = json!({
        "metadata": {"resourceVersion": application.resource_version()},
        "status": {"workflow": wanted},
    });
    if matches!(command, Command::Restart) {
        patch["status"]["services"] = json!(null);
    }
    let name = application.name_any();
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    Ok(())
}
