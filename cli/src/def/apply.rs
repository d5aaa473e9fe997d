//! `caravel def apply`: registers definitions in a hub.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};
use caravel_core::api::labels::annotations::SHIPPED;
use caravel_core::yaml;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Map, Value, json};

use super::Machine;
use super::check::{Names, registration};
use super::kind::by_word;
use super::problem::{self, Level, Problem, Problems};
use super::registry::{self, Found};
use super::source::{Source, read_all};
use crate::hub::{FIELD_MANAGER, Hub, HubArgs};
use crate::write::{self, Refused, Written};

/// How often a definition that somebody else changes meanwhile is read again.
const ATTEMPTS: usize = 5;

/// Registers definitions from `.cue` or YAML files; usable at once. All are checked before the first is registered.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def apply my-trait.cue\n  caravel def apply definitions/ --dry-run > objects.yaml\n  caravel def \
                  apply --sample virtualgroup"
)]
pub(crate) struct Args {
    /// The files; a folder stands for all definitions in it.
    #[arg(required = true, value_name = "FILE|DIR|NAME")]
    files: Vec<String>,
    /// What is given are names of samples, which come with this program and are not installed by themselves.
    #[arg(long)]
    sample: bool,
    /// Print the Kubernetes objects, and register nothing.
    #[arg(long)]
    dry_run: bool,
    /// What was registered as data; with --dry-run the objects.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Machine>,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    let sources = if args.sample {
        let names = args.files.iter();
        names
            .map(|name| registry::shipped(name, None, true))
            .collect::<Result<_>>()?
    } else {
        read_all(&args.files)?
    };
    let hub = if args.dry_run {
        None
    } else {
        Some(hub.connect_for_templates().await?)
    };
    let (mut errors, mut known) = (Vec::new(), Names::default());
    for source in &sources {
        errors.extend(known.taken(source));
        errors.extend(judged(source));
    }
    if !errors.is_empty() {
        return Err(Problems(errors).into());
    }
    let objects = sources.iter().map(|source| placed(source, namespace));
    let Some(hub) = hub else {
        let objects: Vec<Value> = objects.collect();
        if args.output == Some(Machine::Json) {
            super::print_data(&Value::Array(objects), Machine::Json)?;
        } else {
            std::io::stdout().write_all(yaml::stream(&objects).as_bytes())?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let mut done = Vec::new();
    for (source, object) in sources.iter().zip(objects) {
        let applied = register(&hub, source, &object).await?;
        let kind = object["kind"].as_str().unwrap_or("definition");
        let (name, namespace) = (applied.name_any(), applied.namespace().unwrap_or_default());
        if args.output.is_none() {
            writeln!(std::io::stdout(), "{kind} {name} applied in {namespace}")?;
        }
        done.push(json!({"kind": kind, "name": name, "namespace": namespace}));
    }
    if let Some(format) = args.output {
        super::print_data(&Value::Array(done), format)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Registers a definition that has a namespace, and tells what the hub warns of. What the hub has of it is replaced,
/// whoever made it.
pub(crate) async fn register(hub: &Hub, source: &Source, object: &Value) -> Result<DynamicObject> {
    let written = put(hub, object)
        .await
        .map_err(|error| source.refused(error))?;
    for warning in &written.warnings {
        problem::print(&source.warning(warning));
    }
    Ok(written.object)
}

async fn put(hub: &Hub, object: &Value) -> Result<Written> {
    let kind = object["kind"].as_str().and_then(by_word);
    // A legacy workload definition has no revisions, and nobody edits it here.
    let Some(kind) = kind else {
        return hub.apply(object).await;
    };
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let (name, namespace) = (text("name"), text("namespace"));
    for _ in 0..ATTEMPTS {
        let found = registry::find_opt(hub, namespace, name, Some(kind.word)).await?;
        let Some(found) = found else {
            return hub.apply(object).await;
        };
        match replace(hub, &found, object).await {
            Err(error) if error.downcast_ref().is_some_and(Refused::is_conflict) => {}
            done => return done,
        }
    }
    bail!("somebody else changes it at the same time")
}

/// Puts a definition in the place of what was found. It is refused where somebody else changed that meanwhile.
pub(crate) async fn replace(hub: &Hub, found: &Found, object: &Value) -> Result<Written> {
    let merged = serde_json::to_vec(&merged(&found.object, object))?;
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let api = found.kind.api(hub, Some(found.metadata("namespace")));
    let request = kube::core::Request::new(api.resource_url());
    let request = request.replace(found.metadata("name"), &parameters, merged)?;
    write::send(&hub.client, request).await
}

/// The object of the hub with what an author says. Server-side apply would leave the fields of other managers.
fn merged(found: &Value, written: &Value) -> Value {
    let mut object = found.clone();
    object["spec"] = written["spec"].clone();
    for field in ["annotations", "labels"] {
        let mut texts: Map<String, Value> = found["metadata"][field]
            .as_object()
            .cloned()
            .unwrap_or_default();
        // What the source format does not show is not the author's to remove, nor is the installer's note.
        texts.retain(|key, _| {
            key == SHIPPED || !(key.contains("oam.dev") || key.starts_with("caravel.dev/"))
        });
        let written = written["metadata"][field].as_object().cloned();
        texts.extend(written.unwrap_or_default());
        object["metadata"][field] = Value::Object(texts);
    }
    object
}

/// The errors of a definition; its warnings are printed.
pub(crate) fn judged(source: &Source) -> Vec<Problem> {
    let (errors, warnings): (Vec<_>, Vec<_>) = registration(source)
        .into_iter()
        .partition(|problem| problem.level == Level::Error);
    warnings.iter().for_each(problem::print);
    errors
}

/// The object with its namespace.
pub(crate) fn placed(source: &Source, namespace: &str) -> Value {
    let mut object = source.object.clone();
    if object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}
