//! `caravel def show`: the parameters of a definition.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use caravel_core::engine::DefinitionKind;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::json;

use super::Machine;
use super::kind::Kind;
use super::parameter::{self, Parameter};
use super::problem::Problems;
use super::registry::{self, Wanted};
use super::source::Source;
use crate::hub::HubArgs;

/// Shows what a definition is for and which parameters it takes.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def show webservice\n  caravel def show webservice --builtin\n  caravel def show \
                  my-trait.cue -o json"
)]
pub(crate) struct Args {
    /// A definition of the hub, or a file.
    #[arg(value_name = "NAME|FILE")]
    name: String,
    #[command(flatten)]
    wanted: Wanted,
    /// The parameters as data.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Machine>,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    let source = registry::source(&args.name, &args.wanted, hub, namespace).await?;
    let parameters = parameter::of(&source)
        .map_err(|errors| Problems(errors.iter().map(|error| source.problem(error)).collect()))?;
    if let Some(format) = args.output {
        let whole = json!({
            "kind": Kind::of(source.definition.kind).word,
            "name": source.definition.name,
            "description": description(&source),
            "parameters": parameters,
        });
        super::print_data(&whole, format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout();
    let word = Kind::of(source.definition.kind).word;
    writeln!(out, "{} ({word})", source.definition.name)?;
    let description = description(&source);
    if !description.is_empty() {
        writeln!(out, "{description}")?;
    }
    for (label, text) in facts(&source) {
        writeln!(out, "{label}: {text}")?;
    }
    writeln!(out)?;
    if parameters.is_empty() {
        writeln!(out, "It takes no parameters.")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{}", table(&parameters).trim_fmt())?;
    Ok(ExitCode::SUCCESS)
}

fn table(parameters: &[Parameter]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if crate::paint::is_live() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(["PARAMETER", "TYPE", "REQUIRED", "DEFAULT", "USAGE"]);
    for one in parameter::flat(parameters) {
        table.add_row([
            one.path.clone(),
            one.type_or_choices(),
            if one.required { "yes" } else { "" }.to_owned(),
            one.default_text(),
            one.notes(),
        ]);
    }
    table
}

/// What the author says of a definition.
pub(crate) fn description(source: &Source) -> &str {
    let annotations = &source.definition.annotations;
    annotations
        .get("definition.oam.dev/description")
        .map_or("", String::as_str)
}

/// What else matters to somebody who uses it.
pub(crate) fn facts(source: &Source) -> Vec<(&'static str, String)> {
    let definition = &source.definition;
    let mut facts = Vec::new();
    if definition.kind == DefinitionKind::Trait {
        let kinds = &definition.applies_to_workloads;
        let text = match kinds.as_slice() {
            [] => "all workloads".to_owned(),
            [all] if all == "*" => "all workloads".to_owned(),
            some => some.join(", "),
        };
        facts.push(("Applies to", text));
        if !definition.conflicts_with.is_empty() {
            facts.push(("Conflicts with", definition.conflicts_with.join(", ")));
        }
        if source.object["spec"]["podDisruptive"] == true {
            facts.push(("Pods", "a change restarts them".to_owned()));
        }
    }
    if let Some(workload) = &definition.workload
        && !workload.kind.is_empty()
    {
        facts.push((
            "Workload",
            format!("{} {}", workload.api_version, workload.kind),
        ));
    }
    if !definition.scope.is_empty() {
        facts.push(("Scope", definition.scope.clone()));
    }
    facts
}
