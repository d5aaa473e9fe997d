//! The definitions of a hub.

use anyhow::{Result, anyhow, bail};
use caravel_core::api::labels::annotations::KUBECTL_LAST_APPLIED;
use caravel_core::check::is_subdomain;
use caravel_core::engine::{Evaluator, Operation, PrintDefinitionRequest};
use caravel_core::yaml;
use caravel_definitions::Definition;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use super::ask::{Refusal, ask};
use super::kind::{KINDS, Kind, chosen, resource};
use super::source::Source;
use crate::hub::{Hub, readable};

/// A definition of the hub.
pub(crate) struct Found {
    pub(crate) kind: &'static Kind,
    pub(crate) object: Value,
}

/// The definition of this name; the kind must be said where several have it.
pub(crate) async fn find(
    hub: &Hub,
    namespace: &str,
    name: &str,
    only: Option<&str>,
) -> Result<Found> {
    if let Some(found) = find_opt(hub, namespace, name, only).await? {
        return Ok(found);
    }
    let word = match chosen(only)?.as_slice() {
        [one] => format!("{} definition", one.word),
        _ => "definition".to_owned(),
    };
    bail!("there is no {word} {name} in {namespace}: `caravel def list` shows all")
}

/// The same; none where there is none.
pub(crate) async fn find_opt(
    hub: &Hub,
    namespace: &str,
    name: &str,
    only: Option<&str>,
) -> Result<Option<Found>> {
    let mut found = Vec::new();
    if !is_subdomain(name) {
        bail!("{name:?} is no name that a definition can have");
    }
    for kind in chosen(only)? {
        let api = kind.api(hub, Some(namespace));
        if let Some(object) = api.get_opt(name).await.map_err(readable)? {
            let object = as_value(object, kind)?;
            found.push(Found { kind, object });
        }
    }
    if found.len() > 1 {
        let words: Vec<&str> = found.iter().map(|one| one.kind.word).collect();
        bail!(
            "{name} is a {}: say which with --type",
            words.join(" and a ")
        );
    }
    Ok(found.pop())
}

/// The definition that a revision recorded. `revision` is a number, a version, or either with a `v`.
pub(crate) async fn revision(
    hub: &Hub,
    namespace: &str,
    name: &str,
    revision: &str,
    only: Option<&str>,
) -> Result<Found> {
    let full = format!("{name}-v{}", revision.trim_start_matches('v'));
    let api = resource(
        hub,
        "DefinitionRevision",
        "definitionrevisions",
        Some(namespace),
    );
    let Some(object) = api.get_opt(&full).await.map_err(readable)? else {
        let known: Vec<String> = revisions(hub, namespace, name, only)
            .await?
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        if known.is_empty() {
            bail!("there is no revision of {name} in {namespace}");
        }
        bail!(
            "there is no revision {full} in {namespace}: there are {}",
            known.join(", ")
        );
    };
    let spec = &object.data["spec"];
    let kind = KINDS
        .iter()
        .find(|kind| spec["definitionType"] == kind.revision_type)
        .ok_or_else(|| anyhow!("the revision {full} records no definition"))?;
    let mut object = spec[kind.revision_field].clone();
    if let Some(fields) = object.as_object_mut() {
        fields
            .entry("apiVersion")
            .or_insert_with(|| "core.oam.dev/v1beta1".into());
        fields.entry("kind").or_insert_with(|| kind.name.into());
    }
    Ok(Found { kind, object })
}

/// The revisions of a definition, the oldest first.
pub(crate) async fn revisions(
    hub: &Hub,
    namespace: &str,
    name: &str,
    only: Option<&str>,
) -> Result<Vec<DynamicObject>> {
    let kinds = chosen(only)?;
    let api = resource(
        hub,
        "DefinitionRevision",
        "definitionrevisions",
        Some(namespace),
    );
    let all = api.list(&ListParams::default()).await.map_err(readable)?;
    let mut mine: Vec<DynamicObject> = all
        .items
        .into_iter()
        .filter(|revision| {
            let spec = &revision.data["spec"];
            kinds.iter().any(|kind| {
                spec["definitionType"] == kind.revision_type
                    && spec[kind.revision_field]["metadata"]["name"] == name
            })
        })
        .collect();
    mine.sort_by_key(|revision| revision.data["spec"]["revision"].as_i64());
    Ok(mine)
}

/// All definitions of some kinds.
pub(crate) async fn list(
    hub: &Hub,
    namespace: Option<&str>,
    only: Option<&str>,
) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for kind in chosen(only)? {
        let api = kind.api(hub, namespace);
        for object in api.list(&ListParams::default()).await.map_err(readable)? {
            let object = as_value(object, kind)?;
            found.push(Found { kind, object });
        }
    }
    Ok(found)
}

/// The object with its kind, which objects of lists do not have, and without what servers note in it.
fn as_value(object: DynamicObject, kind: &Kind) -> Result<Value> {
    let mut object = serde_json::to_value(object)?;
    object["apiVersion"] = "core.oam.dev/v1beta1".into();
    object["kind"] = kind.name.into();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    Ok(object)
}

/// Whether a definition has a Terraform module in place of a template: there is no source format for it but the manifest.
pub(crate) fn is_terraform(object: &Value) -> bool {
    object["spec"]["schematic"]["terraform"].is_object()
}

/// The manifest of a definition, without what servers note in it.
fn manifest(object: &Value) -> String {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| {
            ["name", "namespace", "labels", "annotations"].contains(&field.as_str())
        });
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove(KUBECTL_LAST_APPLIED);
        }
    }
    yaml::to_string(&object)
}

/// A definition object in the source format; a manifest where a Terraform module is its template.
pub(crate) fn print(object: &Value) -> Result<String> {
    if is_terraform(object) {
        return Ok(manifest(object));
    }
    let request = PrintDefinitionRequest {
        object: object.clone(),
    };
    ask::<String>(Operation::PrintDefinition(request), Evaluator::default()).map_err(|refusal| {
        match refusal {
            Refusal::Wrong(errors) => {
                let lines: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
                anyhow!("it cannot be written as CUE: {}", lines.join("; "))
            }
            Refusal::Calls(_) => anyhow!("the engine asks for calls where there are none"),
            Refusal::Fault(message) => anyhow!("{message}"),
        }
    })
}

impl Found {
    /// The definition with its text in the source format, for snippets.
    pub(crate) fn source(&self, title: &str) -> Result<Source> {
        let text = print(&self.object).unwrap_or_default();
        Source::new(title, &text.into(), self.object.clone())
    }

    /// Name of the latest revision.
    pub(crate) fn latest(&self) -> &str {
        self.object["status"]["latestRevision"]["name"]
            .as_str()
            .unwrap_or_default()
    }

    /// A text of the metadata.
    pub(crate) fn metadata(&self, field: &str) -> &str {
        self.object["metadata"][field].as_str().unwrap_or_default()
    }

    /// What it is, in words.
    pub(crate) fn description(&self) -> &str {
        self.object["metadata"]["annotations"]["definition.oam.dev/description"]
            .as_str()
            .unwrap_or_default()
    }
}

/// Which definition is meant where a name or a file is given.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Wanted {
    /// Its kind, where the name alone is ambiguous.
    #[arg(short = 't', long = "type")]
    pub(crate) kind: Option<String>,
    /// The built-in definition of this name, without a hub.
    #[arg(long)]
    pub(crate) builtin: bool,
    /// The sample of this name, without a hub: it comes with this program and is not installed by itself.
    #[arg(long, conflicts_with = "builtin")]
    pub(crate) sample: bool,
}

impl Wanted {
    /// Whether it is one that comes with this program.
    pub(crate) fn is_shipped(&self) -> bool {
        self.builtin || self.sample
    }
}

/// The definition that is meant: of a file, of the hub (`NAME`, `NAME@v1`), or one that comes with this program.
pub(crate) async fn source(
    name: &str,
    wanted: &Wanted,
    hub: &crate::hub::HubArgs,
    namespace: &str,
) -> Result<Source> {
    let kind = wanted.kind.as_deref();
    if wanted.is_shipped() {
        return shipped(name, kind, wanted.sample);
    }
    if super::diff::is_file(name) {
        return super::source::read_one(name);
    }
    let hub = hub.connect_for_templates().await?;
    let found = match name.split_once('@') {
        Some((name, of)) => revision(&hub, namespace, name, of, kind).await?,
        None => find(&hub, namespace, name, kind).await?,
    };
    found.source(name)
}

/// A definition that comes with this program: a built-in one, or a sample.
pub(crate) fn shipped(name: &str, kind: Option<&str>, sample: bool) -> Result<Source> {
    let (get, what, option): (fn(_, &str) -> _, _, _) = if sample {
        (caravel_definitions::sample, "sample", "--sample")
    } else {
        (caravel_definitions::get, "built-in definition", "--builtin")
    };
    let mut found: Vec<Definition> = chosen(kind)?
        .into_iter()
        .filter_map(|kind| get(kind.definition, name))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => with_text(one),
        (Some(_), false) => bail!("{name} is of several kinds: say which with --type"),
        (None, _) => bail!("there is no {what} {name}: `caravel def list {option}` shows all"),
    }
}

/// A definition that comes with this program, with its text.
pub(crate) fn with_text(one: Definition) -> Result<Source> {
    let text = one.source.into_owned().into();
    let mut sources = super::source::parse(&one.file, &text)?;
    sources
        .pop()
        .ok_or_else(|| anyhow!("{} holds no definition", one.file))
}
