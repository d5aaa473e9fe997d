//! `caravel def get`: a definition of a hub in its source format.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use caravel_core::yaml;
use clap::ValueEnum;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use kube::ResourceExt as _;
use serde_json::Value;

use super::registry::{self, Wanted};
use crate::hub::{Hub, HubArgs};

/// Prints a definition of the hub, or one that comes with this program: as a `.cue` file that can be applied again, or as the Kubernetes object.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def get webservice > webservice.cue\n  caravel def get webservice --revision v1\n  \
                  caravel def get webservice --revisions\n  caravel def get route --sample > route.cue"
)]
pub(crate) struct Args {
    /// Its name; NAME@v2 is the same as --revision v2.
    name: String,
    #[command(flatten)]
    wanted: Wanted,
    /// A revision in place of the latest: 2, v2, or a version like 1.2.0.
    #[arg(short, long, conflicts_with_all = ["builtin", "sample"])]
    revision: Option<String>,
    /// List the revisions.
    #[arg(long, conflicts_with_all = ["revision", "builtin", "sample"])]
    revisions: bool,
    /// How it is written.
    #[arg(short, long, value_enum, default_value = "cue")]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Cue,
    Yaml,
    Json,
}

impl Args {
    pub(crate) fn data(&self) -> Option<super::Machine> {
        (self.output == Form::Json).then_some(super::Machine::Json)
    }
}

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    let kind = args.wanted.kind.as_deref();
    if args.wanted.is_shipped() {
        let source = registry::shipped(&args.name, kind, args.wanted.sample)?;
        return print(args.output, &source.object, source.text.to_string());
    }
    let hub = hub.connect().await?;
    if args.revisions {
        return revisions(&hub, namespace, args, kind).await;
    }
    let (name, of_name) = match args.name.split_once('@') {
        Some((name, revision)) => (name, Some(revision)),
        None => (args.name.as_str(), None),
    };
    let found = match args.revision.as_deref().or(of_name) {
        Some(revision) => registry::revision(&hub, namespace, name, revision, kind).await?,
        None => registry::find(&hub, namespace, name, kind).await?,
    };
    let source = match args.output {
        Form::Cue => registry::print(&found.object)?,
        _ => String::new(),
    };
    print(args.output, &found.object, source)
}

fn print(form: Form, object: &Value, source: String) -> Result<ExitCode> {
    let text = match form {
        Form::Cue => source,
        Form::Yaml => yaml::to_string(object),
        Form::Json => format!("{object:#}"),
    };
    writeln!(std::io::stdout(), "{}", text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

async fn revisions(
    hub: &Hub,
    namespace: &str,
    args: &Args,
    kind: Option<&str>,
) -> Result<ExitCode> {
    let all = registry::revisions(hub, namespace, &args.name, kind).await?;
    if all.is_empty() {
        anyhow::bail!("there is no revision of {} in {namespace}", args.name);
    }
    if args.output != Form::Cue {
        let items: Result<Vec<Value>, _> = all.iter().map(serde_json::to_value).collect();
        let format = match args.output {
            Form::Json => super::Machine::Json,
            _ => super::Machine::Yaml,
        };
        super::print_data(&Value::Array(items?), format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["NAME", "REVISION", "HASH", "CREATED"]);
    for one in &all {
        let spec = &one.data["spec"];
        let created = one.creation_timestamp().map(|time| time.0.to_string());
        table.add_row([
            one.name_any(),
            spec["revision"].to_string(),
            spec["revisionHash"].as_str().unwrap_or_default().to_owned(),
            created.unwrap_or_default(),
        ]);
    }
    writeln!(std::io::stdout(), "{}", table.trim_fmt())?;
    Ok(ExitCode::SUCCESS)
}
