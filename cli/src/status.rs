//! `caravel status`: how an Application stands, as a tree, and why it waits.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use caravel_core::api::{Application, ApplicationStatus, ComponentStatus};
use clap::{Args, ValueEnum};
use kube::ResourceExt as _;
use kube::api::Api;

use crate::hub::{HubArgs, readable};
use crate::{age, paint};

/// Shows how an Application stands, and why it waits.
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// Name of the Application.
    #[arg(value_parser = crate::hub::name)]
    application: String,
    /// As data.
    #[arg(short, long)]
    output: Option<Format>,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

pub(crate) async fn run(arguments: StatusArgs) -> Result<ExitCode> {
    let hub = arguments.hub.connect().await?;
    let api: Api<Application> = Api::namespaced(hub.client, &hub.namespace);
    let application = api.get(&arguments.application).await.map_err(readable)?;
    let mut out = std::io::stdout().lock();
    let status = application.status.clone().unwrap_or_default();
    match arguments.output {
        Some(Format::Json) => writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?,
        Some(Format::Yaml) => {
            let value = serde_json::to_value(&status)?;
            write!(out, "{}", caravel_core::yaml::to_string(&value))?;
        }
        None => print(&mut out, &application, &status)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(
    out: &mut impl Write,
    application: &Application,
    status: &ApplicationStatus,
) -> Result<()> {
    let phase = status.status.as_deref().unwrap_or("starting");
    writeln!(
        out,
        "{}/{}  {}",
        application.namespace().unwrap_or_default(),
        application.name_any(),
        paint::phase(phase)
    )?;
    if let Some(revision) = &status.latest_revision {
        writeln!(out, "  revision  {}", revision.name)?;
    }
    if let Some(created) = application.creation_timestamp() {
        writeln!(out, "  age       {}", age::since(created.0))?;
    }
    if let Some(workflow) = &status.workflow {
        writeln!(
            out,
            "workflow  {} ({})",
            workflow.status.as_deref().unwrap_or("initializing"),
            workflow.mode
        )?;
        for (index, step) in workflow.steps.iter().enumerate() {
            let last = index + 1 == workflow.steps.len();
            let branch = if last { "└─" } else { "├─" };
            row(
                out,
                branch,
                &step.name,
                step.phase.as_deref(),
                step.message.as_deref(),
            )?;
            for sub_step in &step.sub_steps {
                let indent = if last { "   └─" } else { "│  └─" };
                row(
                    out,
                    indent,
                    &sub_step.name,
                    sub_step.phase.as_deref(),
                    sub_step.message.as_deref(),
                )?;
            }
        }
    }
    if !status.services.is_empty() {
        writeln!(out, "components")?;
    }
    for (index, service) in status.services.iter().enumerate() {
        let branch = if index + 1 == status.services.len() {
            "└─"
        } else {
            "├─"
        };
        let place = place(service);
        let phase = if service.healthy {
            "healthy"
        } else {
            "unhealthy"
        };
        row(out, branch, &place, Some(phase), service.message.as_deref())?;
        for t in &service.traits {
            let phase = if t.healthy { "healthy" } else { "unhealthy" };
            let indent = if branch == "└─" {
                "   └─"
            } else {
                "│  └─"
            };
            row(out, indent, &t.type_, Some(phase), t.message.as_deref())?;
        }
    }
    why(out, &application.name_any(), status)
}

fn place(service: &ComponentStatus) -> String {
    let cluster = service
        .cluster
        .as_deref()
        .filter(|cluster| *cluster != "local");
    match cluster {
        Some(cluster) => format!("{} in {cluster}", service.name),
        None => service.name.clone(),
    }
}

fn row(
    out: &mut impl Write,
    branch: &str,
    name: &str,
    phase: Option<&str>,
    message: Option<&str>,
) -> Result<()> {
    let message = message
        .map(str::trim_end)
        .filter(|message| !message.is_empty());
    let message = message.map_or_else(String::new, |message| format!("  {}", paint::dim(message)));
    writeln!(
        out,
        "{branch} {name}  {}{message}",
        paint::phase(phase.unwrap_or("pending"))
    )?;
    Ok(())
}

/// What it waits for, and what to do about it.
fn why(out: &mut impl Write, name: &str, status: &ApplicationStatus) -> Result<()> {
    let workflow = status.workflow.as_ref();
    if workflow.is_some_and(|workflow| workflow.suspend) {
        writeln!(out, "it waits for approval: caravel workflow resume {name}")?;
    }
    for condition in status
        .conditions
        .iter()
        .filter(|condition| condition.status == "False")
    {
        if let Some(message) = &condition.message {
            writeln!(out, "{} {}: {message}", paint::bad("✗"), condition.type_)?;
        }
    }
    Ok(())
}
