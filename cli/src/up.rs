//! `caravel up`: applies an Application and follows it until it runs.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use caravel_core::api::{Application, ApplicationStatus};
use caravel_core::check::unknown_fields;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject};
use kube::runtime::{WatchStreamExt as _, watcher};
use miette::Report;

use crate::hub::{Hub, HubArgs};
use crate::manifest::{self, Manifest, plain};
use crate::progress::Progress;
use crate::write::Refused;

/// The Application waits for somebody's approval.
const WAITS_FOR_APPROVAL: u8 = 3;
/// The time was over.
const TIMED_OUT: u8 = 4;

/// Applies manifests, and follows their Applications until they run.
///
/// Exit codes: 0 running, 1 failed, 3 waiting for approval, 4 not running in time.
#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// Manifests; a folder stands for all in it, and `-` for standard input.
    #[arg(short, long = "file", required = true, value_name = "FILE|DIR|URL")]
    files: Vec<PathBuf>,
    /// Return once everything is applied.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until the Applications run.
    #[arg(long, default_value = "10m", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    hub: HubArgs,
}

pub(crate) async fn run(arguments: UpArgs) -> Result<ExitCode> {
    let manifests = match read_all(&arguments.files) {
        Ok(manifests) => manifests,
        Err(report) => {
            tell(&report);
            return Ok(ExitCode::FAILURE);
        }
    };
    // Before anything is changed.
    if tell_unknown_fields(&manifests) {
        return Ok(ExitCode::FAILURE);
    }
    let hub = arguments.hub.connect().await?;
    let mut applications = Vec::new();
    for manifest in &manifests {
        let what = manifest.title();
        let written = match hub.apply(&manifest.object).await {
            Ok(written) => written,
            Err(error) => {
                refused(manifest, error).with_context(|| what.clone())?;
                return Ok(ExitCode::FAILURE);
            }
        };
        for warning in &written.warnings {
            writeln!(
                std::io::stderr(),
                "{} {warning}",
                crate::paint::wait("Warning:")
            )?;
        }
        writeln!(std::io::stdout(), "{what} applied")?;
        if is_application(&written.object) {
            applications.push(written.object);
        }
    }
    if arguments.no_wait {
        return Ok(ExitCode::SUCCESS);
    }
    let mut worst = 0;
    for application in &applications {
        let followed = follow(&hub, application);
        let end = if let Ok(end) = tokio::time::timeout(arguments.timeout, followed).await {
            end?
        } else {
            let name = application.name_any();
            writeln!(
                std::io::stdout(),
                "{name} does not run after {:?}: `caravel status {name}` says why",
                arguments.timeout
            )?;
            TIMED_OUT
        };
        worst = worst.max(end);
    }
    Ok(ExitCode::from(worst))
}

/// The objects of files and folders.
fn read_all(paths: &[PathBuf]) -> Result<Vec<Manifest>, Report> {
    let mut all = Vec::new();
    for path in paths {
        for file in manifest::files_of(path)? {
            if manifest::is_cue(&file) {
                // In a folder they stand beside what uses them.
                if file == *path {
                    let message = format!("{} is no manifest", file.display());
                    return Err(plain(&message, "`caravel def apply` registers definitions"));
                }
                continue;
            }
            let (name, text) = manifest::read_text(&file)?;
            all.extend(manifest::parse(&name, &text)?);
        }
    }
    if all.is_empty() {
        return Err(plain("the files hold no object", ""));
    }
    Ok(all)
}

fn tell(report: &Report) {
    // Somebody who closed the pipe does not want to know.
    let _ = writeln!(std::io::stderr(), "{report:?}");
}

/// Tells of the fields that do not exist; whether there are some.
fn tell_unknown_fields(manifests: &[Manifest]) -> bool {
    let mut found = false;
    for manifest in manifests {
        for finding in manifest.in_order(unknown_fields(&manifest.object)) {
            tell(&manifest.report(&finding));
            found = true;
        }
    }
    found
}

/// Tells why the hub does not take an object, each mistake at its place; what has no place is the error.
fn refused(manifest: &Manifest, error: anyhow::Error) -> Result<()> {
    let findings = match error.downcast_ref::<Refused>() {
        Some(refusal) if !refusal.findings.is_empty() => refusal.findings.clone(),
        _ => return Err(error),
    };
    for finding in manifest.in_order(findings) {
        tell(&manifest.report(&finding));
    }
    writeln!(
        std::io::stderr(),
        "caravel: {} is refused",
        manifest.title()
    )?;
    Ok(())
}

fn is_application(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|types| {
        types.kind == "Application" && types.api_version.starts_with("core.oam.dev/")
    })
}

/// Shows how an Application goes on until it runs, fails, or waits for approval; the exit code.
async fn follow(hub: &Hub, applied: &DynamicObject) -> Result<u8> {
    let (name, namespace) = (applied.name_any(), applied.namespace().unwrap_or_default());
    let generation = applied.metadata.generation.unwrap_or(0);
    let api: Api<Application> = Api::namespaced(hub.client.clone(), &namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut states = watcher(api, only)
        .default_backoff()
        .applied_objects()
        .boxed();
    let mut progress = Progress::new(&name);
    while let Some(application) = states.try_next().await? {
        let status = application.status.clone().unwrap_or_default();
        // What the controller said of the specification before this one is not our answer.
        if status.observed_generation < generation {
            continue;
        }
        progress.show(&status)?;
        if let Some(end) = end(&status) {
            progress.finish(&status)?;
            return Ok(end);
        }
    }
    bail!("the hub ended the watch")
}

/// The exit code, once there is nothing more to wait for.
fn end(status: &ApplicationStatus) -> Option<u8> {
    match status.status.as_deref()? {
        "running" => Some(0),
        "workflowFailed" | "workflowTerminated" => Some(1),
        "workflowSuspending" => Some(WAITS_FOR_APPROVAL),
        _ => None,
    }
}

/// A duration as in `90s`, `10m`, `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration> {
    caravel_workflow::parse_duration(text).map_err(|error| anyhow!("{error}"))
}
