//! `caravel def`: definitions, from their first line to the Applications that use them.
//!
//! One file per command; [`source`] reads definitions, [`check`] judges them, [`trial`] renders one alone, [`impact`]
//! tells what a change means for the Applications of a hub.

mod apply;
mod ask;
mod check;
mod compared;
mod del;
mod dev;
mod diff;
mod doc;
mod edit;
mod field;
mod format;
mod gen_api;
mod get;
mod groups;
mod impact;
mod init;
mod kind;
mod list;
mod parameter;
mod problem;
mod registry;
mod render;
mod served;
mod show;
mod source;
mod test;
mod trial;
mod upgrade;
mod vet;
mod why;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use caravel_core::api::SYSTEM_NAMESPACE;
use caravel_core::engine::Evaluator;
use clap::{Subcommand, ValueEnum};
use serde_json::json;

pub(crate) use self::source::Source;

pub(crate) use self::impact::definitions_of;
use self::problem::Problems;
use crate::hub::HubArgs;

/// Writes, checks, registers and explains definitions.
#[derive(clap::Args, Debug)]
pub(crate) struct DefArgs {
    #[command(subcommand)]
    operation: Action,
    /// `Package` objects that templates may import, for what is done without the hub; those of a folder that is
    /// given are known anyway.
    #[arg(long, value_name = "FILE|DIR", global = true)]
    packages: Vec<String>,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Begin a definition: from a template, an object, a CRD, or a Terraform module.
    Init(init::Args),
    /// Check definitions: errors with their place, both evaluators, the kinds of what they make.
    Vet(vet::Args),
    /// Render one definition with parameters.
    Render(render::Args),
    /// Run the tests beside definitions.
    Test(test::Args),
    /// Register definitions in the hub; usable at once.
    Apply(apply::Args),
    /// Watch a folder: what is saved is checked, registered, and shown as a plan.
    Dev(dev::Args),
    /// List the definitions of the hub.
    #[command(visible_alias = "ls")]
    List(list::Args),
    /// Print a definition of the hub in its source format.
    Get(get::Args),
    /// Show the parameters of a definition.
    Show(show::Args),
    /// Edit a definition of the hub.
    Edit(edit::Args),
    /// Delete a definition of the hub, unless Applications use it.
    #[command(visible_alias = "delete")]
    Del(del::Args),
    /// Show what differs between two revisions, or a file and the hub, and for whom.
    Diff(diff::Args),
    /// Format definition files.
    #[command(visible_alias = "fmt")]
    Format(format::Args),
    /// Rewrite older CUE for today's.
    Upgrade(upgrade::Args),
    /// Tell which line of which template made a field.
    Why(why::Args),
    /// Write reference pages.
    #[command(visible_aliases = ["gen-doc", "doc-gen"])]
    Doc(doc::Args),
    /// Write types of the parameters for programs.
    GenApi(gen_api::Args),
}

/// How data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Machine {
    Yaml,
    Json,
}

/// Which of CUE's evaluators.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CueEvaluator {
    V2,
    V3,
}

impl From<CueEvaluator> for Evaluator {
    fn from(evaluator: CueEvaluator) -> Self {
        match evaluator {
            CueEvaluator::V2 => Self::V2,
            CueEvaluator::V3 => Self::V3,
        }
    }
}

pub(crate) async fn run(arguments: DefArgs) -> Result<ExitCode> {
    let DefArgs {
        operation,
        packages,
        hub,
    } = arguments;
    let data = operation.data();
    let done = match source::learn_packages(&packages) {
        Ok(()) => carry_out(operation, &hub).await,
        Err(error) => Err(error),
    };
    match done {
        Err(error) if crate::is_closed_pipe(&error) => Err(error),
        Err(error) if error.is::<Problems>() || data.is_some() => {
            tell(&error, data)?;
            Ok(ExitCode::FAILURE)
        }
        other => other,
    }
}

impl Action {
    /// In which form errors are wanted, where they are wanted as data.
    fn data(&self) -> Option<Machine> {
        match self {
            Self::Vet(args) => args.output,
            Self::Apply(args) => args.output,
            Self::Render(args) => args.data(),
            Self::List(args) => args.output,
            Self::Get(args) => args.data(),
            Self::Show(args) => args.output,
            Self::Diff(args) => args.output,
            Self::Why(args) => args.output,
            Self::Test(args) => args.output,
            Self::Del(args) => args.output,
            Self::Edit(args) => args.output,
            _ => None,
        }
    }
}

async fn carry_out(operation: Action, hub: &HubArgs) -> Result<ExitCode> {
    let namespace = hub.namespace.clone();
    let place = namespace.as_deref().unwrap_or(SYSTEM_NAMESPACE);
    match operation {
        Action::Init(args) => init::run(&args),
        Action::Vet(args) => vet::run(&args, hub).await,
        Action::Render(args) => render::run(&args, namespace.as_deref()),
        Action::Test(args) => test::run(&args),
        Action::Apply(args) => apply::run(&args, hub, place).await,
        Action::Dev(args) => dev::run(&args, hub, place).await,
        Action::List(args) => list::run(&args, hub).await,
        Action::Get(args) => get::run(&args, hub, place).await,
        Action::Show(args) => show::run(&args, hub, place).await,
        Action::Edit(args) => edit::run(&args, hub, place).await,
        Action::Del(args) => del::run(&args, hub, place).await,
        Action::Diff(args) => diff::run(&args, hub, place).await,
        Action::Format(args) => format::run(&args),
        Action::Upgrade(args) => upgrade::run(&args),
        Action::Why(args) => why::run(&args, hub).await,
        Action::Doc(args) => doc::run(&args, hub, place).await,
        Action::GenApi(args) => gen_api::run(&args, hub, place).await,
    }
}

/// Prints data.
pub(crate) fn print_data(value: &serde_json::Value, format: Machine) -> Result<()> {
    let text = match format {
        Machine::Yaml => caravel_core::yaml::to_string(value),
        Machine::Json => format!("{value:#}"),
    };
    writeln!(std::io::stdout(), "{}", text.trim_end())?;
    Ok(())
}

/// Says what went wrong: with snippets to standard error, or as data to standard output.
pub(crate) fn tell(error: &anyhow::Error, data: Option<Machine>) -> Result<()> {
    let problems = error.downcast_ref::<Problems>();
    match (problems, data) {
        (Some(problems), Some(format)) => print_data(&problems.to_json(), format),
        (None, Some(format)) => {
            let message = format!("{error:#}");
            let whole = json!({"errors": [{"level": "error", "message": message}]});
            print_data(&whole, format)
        }
        (Some(problems), None) => {
            problems.print();
            Ok(())
        }
        (None, None) => {
            // Somebody who closed the pipe does not want to know.
            let _ = writeln!(std::io::stderr(), "caravel: {error:#}");
            Ok(())
        }
    }
}
