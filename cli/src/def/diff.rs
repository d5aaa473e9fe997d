//! `caravel def diff`: what differs between two texts of a definition, and for whom.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use serde_json::{Value, json};

use super::impact::{Effect, Impact, World, unified};
use super::parameter::{self, Parameter};
use super::problem::{Problem, Problems};
use super::source::{Source, read_one};
use super::{Machine, registry};
use crate::hub::{Hub, HubArgs};

/// Shows what differs between two revisions of a definition, or between a file and the hub: parameters, template,
/// and the Applications that would render differently.
///
/// The exit code is 0 where nothing differs, 1 where something does, 2 where it cannot be said.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def diff webservice@v1 webservice@v2\n  caravel def diff \
                  my-trait.cue\n  caravel def diff old.cue new.cue --offline"
)]
pub(crate) struct Args {
    /// The old one: a file, NAME for the latest of the hub, NAME@v1 for a revision. A file alone is compared with
    /// the hub.
    #[arg(value_name = "FILE|NAME@vN")]
    old: String,
    /// The new one; where left out, a file is the new one and NAME@vN is compared with the latest.
    #[arg(value_name = "FILE|NAME@vN")]
    new: Option<String>,
    /// Its kind, where the name alone is ambiguous.
    #[arg(short = 't', long = "type")]
    kind: Option<String>,
    /// Compare files without looking at a hub.
    #[arg(long)]
    offline: bool,
    /// Show the whole diff of each Application.
    #[arg(long)]
    full: bool,
    /// The differences as data.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Machine>,
}

/// A parameter that is not the same in both.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    pub(crate) path: String,
    /// `added`, `removed`, `changed`.
    #[serde(rename = "change")]
    pub(crate) what: &'static str,
    /// Whether an Application that is good now may be refused afterwards.
    pub(crate) breaking: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Parameter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Parameter>,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    match compare(args, hub, namespace).await {
        Ok(code) => Ok(code),
        // One says "differs" already.
        Err(error) => {
            super::tell(&error, args.output)?;
            Ok(ExitCode::from(2))
        }
    }
}

async fn compare(args: &Args, hub_args: &HubArgs, namespace: &str) -> Result<ExitCode> {
    let hub = if args.offline {
        None
    } else {
        Some(hub_args.connect_for_templates().await?)
    };
    let side = Sides {
        hub: hub.as_ref(),
        namespace,
        kind: args.kind.as_deref(),
    };
    let (old, new) = side.both(args).await?;
    if old.definition.kind != new.definition.kind {
        bail!("{} and {} are not of one kind", old.file, new.file);
    }
    let changes = changes(&parameters(&old)?, &parameters(&new)?);
    let texts = unified(
        &old.definition.template,
        &new.definition.template,
        &old.file,
        &new.file,
    );
    let impacts = match &hub {
        Some(hub) => World::load(hub).await?.impacts(&old, &new, namespace),
        None => Vec::new(),
    };
    let same = changes.is_empty() && old.object["spec"] == new.object["spec"];
    if let Some(format) = args.output {
        let whole = json!({
            "old": old.file,
            "new": new.file,
            "same": same,
            "parameters": changes,
            "template": texts,
            "applications": impacts,
        });
        super::print_data(&whole, format)?;
    } else {
        tell(&old, &new, &changes, &texts, same)?;
        tell_impacts(&impacts, args.full)?;
    }
    Ok(if same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Where definitions to compare come from.
struct Sides<'a> {
    hub: Option<&'a Hub>,
    namespace: &'a str,
    kind: Option<&'a str>,
}

impl Sides<'_> {
    async fn both(&self, args: &Args) -> Result<(Source, Source)> {
        let first = &args.old;
        match &args.new {
            Some(second) => Ok((self.read(first).await?, self.read(second).await?)),
            None if is_file(first) => {
                let new = read_one(first)?;
                let old = self.of_hub(&new).await?;
                Ok((old, new))
            }
            None => {
                let Some((name, _)) = first.split_once('@') else {
                    bail!(
                        "what shall {first} be compared with? Name two, or one with a revision: {first}@v1"
                    );
                };
                let old = self.read(first).await?;
                Ok((old, self.read(name).await?))
            }
        }
    }

    async fn read(&self, text: &str) -> Result<Source> {
        if is_file(text) {
            return read_one(text);
        }
        let hub = self.hub()?;
        let found = match text.split_once('@') {
            Some((name, revision)) => {
                registry::revision(hub, self.namespace, name, revision, self.kind).await?
            }
            None => registry::find(hub, self.namespace, text, self.kind).await?,
        };
        found.source(text)
    }

    /// The one of the hub that a file would replace.
    async fn of_hub(&self, new: &Source) -> Result<Source> {
        let name = &new.definition.name;
        let kind = super::kind::Kind::of(new.definition.kind);
        let namespace = new.object["metadata"]["namespace"]
            .as_str()
            .unwrap_or(self.namespace);
        let found = registry::find(self.hub()?, namespace, name, Some(kind.word)).await?;
        let title = match found.latest() {
            "" => name.clone(),
            latest => latest.to_owned(),
        };
        found.source(&title)
    }

    fn hub(&self) -> Result<&Hub> {
        self.hub
            .ok_or_else(|| anyhow!("a name is looked up in a hub: leave --offline out"))
    }
}

/// Whether an argument names a file: names of definitions have neither a slash nor an ending.
pub(crate) fn is_file(text: &str) -> bool {
    let path = std::path::Path::new(text);
    let ending = path.extension().and_then(|ending| ending.to_str());
    text == "-"
        || text.contains('/')
        || matches!(ending, Some("cue" | "yaml" | "yml" | "json"))
        || (path.exists() && !text.contains('@'))
}

fn parameters(source: &Source) -> Result<Vec<Parameter>> {
    parameter::of(source).map_err(|errors| {
        let problems = errors.iter().map(|error| source.problem(error));
        Problems(problems.collect::<Vec<Problem>>()).into()
    })
}

/// The parameters that are not the same, in their order.
pub(crate) fn changes(old: &[Parameter], new: &[Parameter]) -> Vec<Change> {
    let (old, new) = (parameter::flat(old), parameter::flat(new));
    let find = |list: &[&Parameter], path: &str| -> Option<Parameter> {
        list.iter()
            .find(|one| one.path == path)
            .map(|one| bare(one))
    };
    let mut found = Vec::new();
    for one in &new {
        let after = bare(one);
        match find(&old, &one.path) {
            None => found.push(Change {
                path: one.path.clone(),
                what: "added",
                breaking: one.required && is_reached(&one.path, &old),
                before: None,
                after: Some(after),
            }),
            Some(before) if before != after => found.push(Change {
                path: one.path.clone(),
                what: "changed",
                breaking: narrows(&before, &after),
                before: Some(before),
                after: Some(after),
            }),
            Some(_) => {}
        }
    }
    for one in &old {
        if find(&new, &one.path).is_none() {
            found.push(Change {
                path: one.path.clone(),
                what: "removed",
                breaking: true,
                before: Some(bare(one)),
                after: None,
            });
        }
    }
    found
}

/// Without what is in it: that has rows of its own.
fn bare(parameter: &Parameter) -> Parameter {
    Parameter {
        fields: Vec::new(),
        ..parameter.clone()
    }
}

/// Whether an Application can have what a field is in, so that it misses the field.
fn is_reached(path: &str, old: &[&Parameter]) -> bool {
    match path.rsplit_once('.') {
        None => true,
        Some((parent, _)) => {
            let parent = parent.trim_end_matches("[]").trim_end_matches(".*");
            old.iter().any(|one| one.path == parent)
        }
    }
}

/// Whether what was good may be refused now.
fn narrows(before: &Parameter, after: &Parameter) -> bool {
    let fewer = !after.choices.is_empty()
        && (before.choices.is_empty()
            || before
                .choices
                .iter()
                .any(|choice| !after.choices.contains(choice)));
    let other = before.type_ != after.type_ && !after.type_.split(" | ").any(|t| t == before.type_);
    let stricter = after.rules.iter().any(|rule| !before.rules.contains(rule));
    (after.required && !before.required) || fewer || other || stricter
}

fn tell(old: &Source, new: &Source, changes: &[Change], texts: &str, same: bool) -> Result<()> {
    let mut out = std::io::stdout();
    if same {
        writeln!(out, "{} and {} mean the same", old.file, new.file)?;
        return Ok(());
    }
    if changes.is_empty() {
        writeln!(out, "The parameters are the same.")?;
    } else {
        writeln!(out, "Parameters")?;
        let mut table = Table::new();
        table.load_style(NOTHING);
        for change in changes {
            let sign = match change.what {
                "added" => "+",
                "removed" => "-",
                _ => "~",
            };
            let note = if change.breaking { "BREAKING" } else { "" };
            table.add_row([sign, &change.path, &describe(change), note]);
        }
        writeln!(out, "{}", table.trim_fmt())?;
    }
    if !texts.is_empty() {
        writeln!(out, "\nTemplate\n{}", texts.trim_end())?;
    }
    let attributes = without_template(&old.object) != without_template(&new.object);
    if attributes {
        let text =
            |source: &Source| caravel_core::yaml::to_string(&without_template(&source.object));
        let diff = unified(&text(old), &text(new), &old.file, &new.file);
        writeln!(out, "\nAttributes\n{}", diff.trim_end())?;
    }
    Ok(())
}

fn without_template(object: &Value) -> Value {
    let mut spec = object["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("schematic");
    }
    spec
}

fn describe(change: &Change) -> String {
    match (&change.before, &change.after) {
        (None, Some(after)) => summary(after),
        (Some(before), None) => summary(before),
        (Some(before), Some(after)) => {
            let (left, right) = (summary(before), summary(after));
            if left == right {
                format!("usage: {:?} → {:?}", before.usage, after.usage)
            } else {
                format!("{left} → {right}")
            }
        }
        (None, None) => String::new(),
    }
}

/// Type, default, whether it is needed, what must hold.
fn summary(parameter: &Parameter) -> String {
    let mut text = parameter.type_or_choices();
    if parameter.required {
        text.push_str(", required");
    }
    if parameter.default.is_some() {
        text = format!("{text}, default {}", parameter.default_text());
    }
    for rule in &parameter.rules {
        text = format!("{text}, {rule}");
    }
    text
}

/// How Applications are concerned.
pub(crate) fn tell_impacts(impacts: &[Impact], full: bool) -> Result<()> {
    let mut out = std::io::stdout();
    if impacts.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nApplications")?;
    for impact in impacts {
        let name = format!("{}/{}", impact.namespace, impact.application);
        match &impact.effect {
            Effect::Same if impact.pending.is_empty() => {
                writeln!(out, "  {name}: renders the same")?;
            }
            Effect::Same => {
                let said = crate::paint::wait("pending");
                writeln!(out, "  {name}: {said}: {}", impact.pending.join("; "))?;
            }
            Effect::Mends => writeln!(out, "  {name}: did not render, and does now")?,
            Effect::Breaks { reason } => {
                let said = crate::paint::bad("does not render any more");
                writeln!(out, "  {name}: {said}: {reason}")?;
            }
            Effect::Unknown { reason } => writeln!(out, "  {name}: unknown: {reason}")?,
            Effect::Differs { diff } => {
                let (added, removed) = counts(diff);
                let said = crate::paint::wait("renders differently");
                writeln!(out, "  {name}: {said} (+{added} -{removed} lines)")?;
                if full {
                    for line in diff.lines() {
                        writeln!(out, "    {line}")?;
                    }
                }
            }
        }
        if impact.effect != Effect::Same {
            for pending in &impact.pending {
                writeln!(out, "    {} {pending}", crate::paint::wait("pending:"))?;
            }
        }
        for warning in &impact.warnings {
            writeln!(out, "    {} {warning}", crate::paint::wait("warning:"))?;
        }
    }
    Ok(())
}

fn counts(diff: &str) -> (usize, usize) {
    let begin = |sign: char, header: &'static str| {
        let lines = diff.lines();
        lines
            .filter(|line| line.starts_with(sign) && !line.starts_with(header))
            .count()
    };
    (begin('+', "+++"), begin('-', "---"))
}
