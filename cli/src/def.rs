//! `caravel def`: definitions in a hub.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use caravel_core::api::SYSTEM_NAMESPACE;
use caravel_core::engine::{
    Evaluator, Operation, ParseDefinitionRequest, ParsedDefinition, PrintDefinitionRequest,
};
use caravel_engines::{Answer, Direct, EngineError, Job};
use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::hub::{Hub, HubArgs, readable};

/// Kubernetes kind, plural, and what people call it.
const KINDS: [(&str, &str, &str); 4] = [
    ("ComponentDefinition", "componentdefinitions", "component"),
    ("TraitDefinition", "traitdefinitions", "trait"),
    ("PolicyDefinition", "policydefinitions", "policy"),
    (
        "WorkflowStepDefinition",
        "workflowstepdefinitions",
        "workflow-step",
    ),
];

/// Applies, lists and shows definitions.
#[derive(Args, Debug)]
pub(crate) struct DefArgs {
    #[command(subcommand)]
    operation: Action,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Registers definitions from `.cue` or YAML files; usable at once.
    Apply {
        /// The files.
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// Lists the definitions of the hub.
    List {
        /// Only this kind: component, trait, policy or workflow-step.
        #[arg(short = 't', long = "type")]
        kind: Option<String>,
    },
    /// Prints one definition as a `.cue` file.
    Show {
        /// Its name.
        name: String,
        /// Its kind, where the name alone is ambiguous.
        #[arg(short = 't', long = "type")]
        kind: Option<String>,
    },
}

pub(crate) async fn run(arguments: DefArgs) -> Result<ExitCode> {
    let hub = arguments.hub.connect().await?;
    let namespace = arguments
        .hub
        .namespace
        .clone()
        .unwrap_or_else(|| SYSTEM_NAMESPACE.to_owned());
    let only_in = arguments.hub.namespace.as_deref();
    match arguments.operation {
        Action::Apply { files } => apply(&hub, &namespace, &files).await?,
        Action::List { kind } => list(&hub, only_in, kind.as_deref()).await?,
        Action::Show { name, kind } => show(&hub, &namespace, &name, kind.as_deref()).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn apply(hub: &Hub, namespace: &str, files: &[String]) -> Result<()> {
    for file in files {
        for mut object in read(file)? {
            if object["metadata"]["namespace"].is_null() {
                object["metadata"]["namespace"] = json!(namespace);
            }
            let applied = hub.apply(&object).await.with_context(|| file.clone())?;
            let kind = object["kind"].as_str().unwrap_or("definition");
            writeln!(
                std::io::stdout(),
                "{kind} {} applied in {}",
                applied.name_any(),
                applied.namespace().unwrap_or_default()
            )?;
        }
    }
    Ok(())
}

fn read(file: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?;
    if Path::new(file)
        .extension()
        .is_none_or(|extension| extension != "cue")
    {
        return caravel_core::yaml::parse(&text).map_err(|error| anyhow!("{file}: {error}"));
    }
    let request = ParseDefinitionRequest {
        file: file.to_owned(),
        source: text,
    };
    let parsed: ParsedDefinition = evaluate(Operation::ParseDefinition(request))?;
    Ok(vec![parsed.object])
}

/// Asks the engine in this process: the file is the user's own.
fn evaluate<T: DeserializeOwned>(operation: Operation) -> Result<T> {
    let job = Job::new(operation, Evaluator::default(), "");
    let answer = Direct::new(caravel_cue::call)
        .call_blocking(job)
        .and_then(Answer::done);
    answer.map_err(|error| match error {
        EngineError::Template(error) => anyhow!("{}", placed(&error)),
        other => anyhow!("{other}"),
    })
}

/// All errors, each with its place.
fn placed(error: &caravel_core::engine::EvalError) -> String {
    let lines = error.errors.iter().map(|one| {
        let place = one.positions.first();
        let place = place.map_or_else(String::new, |at| {
            format!("{}:{}:{}: ", at.file, at.line, at.column)
        });
        let hint = if one.hint.is_empty() {
            String::new()
        } else {
            format!(" ({})", one.hint)
        };
        format!("{place}{}{hint}", one.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

async fn list(hub: &Hub, namespace: Option<&str>, only: Option<&str>) -> Result<()> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["TYPE", "NAME", "NAMESPACE", "REVISION", "DESCRIPTION"]);
    for (kind, plural, word) in kinds(only)? {
        let api = api(hub, kind, plural, namespace);
        for object in api.list(&ListParams::default()).await.map_err(readable)? {
            let revision = object.data["status"]["latestRevision"]["name"]
                .as_str()
                .unwrap_or("");
            let description = object.annotations().get("definition.oam.dev/description");
            table.add_row([
                word,
                &object.name_any(),
                &object.namespace().unwrap_or_default(),
                revision,
                description.map_or("", String::as_str),
            ]);
        }
    }
    writeln!(std::io::stdout(), "{}", table.trim_fmt())?;
    Ok(())
}

async fn show(hub: &Hub, namespace: &str, name: &str, only: Option<&str>) -> Result<()> {
    let mut found = Vec::new();
    for (kind, plural, word) in kinds(only)? {
        let api = api(hub, kind, plural, Some(namespace));
        if let Some(object) = api.get_opt(name).await.map_err(readable)? {
            found.push((word, object));
        }
    }
    match found.as_slice() {
        [(_, object)] => {
            let request = PrintDefinitionRequest {
                object: serde_json::to_value(object)?,
            };
            let text: String = evaluate(Operation::PrintDefinition(request))?;
            writeln!(std::io::stdout(), "{}", text.trim_end())?;
            Ok(())
        }
        [] => bail!("there is no definition {name} in {namespace}: `caravel def list` shows all"),
        several => {
            let words: Vec<&str> = several.iter().map(|(word, _)| *word).collect();
            bail!(
                "{name} is a {}: say which with --type",
                words.join(" and a ")
            )
        }
    }
}

fn kinds(only: Option<&str>) -> Result<Vec<(&'static str, &'static str, &'static str)>> {
    let Some(only) = only else {
        return Ok(KINDS.to_vec());
    };
    let found: Vec<_> = KINDS
        .into_iter()
        .filter(|(.., word)| *word == only)
        .collect();
    if found.is_empty() {
        bail!("{only:?} is no kind of definition: component, trait, policy or workflow-step");
    }
    Ok(found)
}

fn api(hub: &Hub, kind: &str, plural: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("core.oam.dev", "v1beta1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(hub.client.clone(), namespace, &resource),
        None => Api::all_with(hub.client.clone(), &resource),
    }
}
