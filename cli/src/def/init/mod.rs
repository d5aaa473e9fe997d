//! `caravel def init`: the first text of a definition.

mod crd;
mod cue;
mod hcl;
mod object;
mod skeleton;
mod terraform;

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use caravel_core::engine::{Evaluator, FormatRequest, Operation};
use caravel_core::yaml;
use clap::ValueEnum;
use serde_json::Value;

use super::ask::{Refusal, ask};
use super::kind::{KINDS, by_word};
use crate::input;
use crate::locate;

/// Writes the first text of a definition; it vets clean.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def init my-trait --kind trait -o my-trait.cue\n  caravel def init database --kind \
                  component --from-crd crd.yaml\n  caravel def init web --kind component --from deployment.yaml\n  caravel def \
                  init bucket --kind component --from-terraform modules/bucket"
)]
pub(crate) struct Args {
    /// Name of the definition.
    name: String,
    /// What it defines.
    #[arg(short = 't', long, alias = "type", value_enum)]
    kind: Word,
    /// Kubernetes objects in YAML or JSON: they become the objects of the definition, their usual knobs its parameters.
    #[arg(
        short = 'f',
        long,
        alias = "template-yaml",
        value_name = "FILE",
        group = "origin"
    )]
    from: Option<String>,
    /// A custom resource definition: its resource becomes the workload, its specification the parameters.
    #[arg(long, value_name = "FILE", group = "origin")]
    from_crd: Option<String>,
    /// A Terraform module: its variables become the parameters.
    #[arg(long, alias = "local", value_name = "DIR", group = "origin")]
    from_terraform: Option<String>,
    /// A built-in definition of the same kind, to change.
    #[arg(long, value_name = "NAME", group = "origin")]
    template: Option<String>,
    /// What it is for, in a sentence.
    #[arg(short, long = "desc", alias = "description", default_value = "")]
    description: String,
    /// A short name.
    #[arg(short, long, default_value = "")]
    alias: String,
    /// Write to a file in place of standard output; one that exists is not overwritten.
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Word {
    Component,
    Trait,
    Policy,
    WorkflowStep,
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Trait => "trait",
            Self::Policy => "policy",
            Self::WorkflowStep => "workflow-step",
        }
    }
}

/// A definition before it is written.
#[derive(Debug, Default)]
struct Draft {
    /// Import paths.
    imports: Vec<String>,
    /// CUE of `attributes`.
    attributes: String,
    /// CUE of `template`.
    template: String,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    check_name(&args.name)?;
    let text = match &args.template {
        Some(template) => copied(args, template)?,
        None => assemble(args, &draft(args)?),
    };
    let text = formatted(&text)?;
    let Some(file) = &args.output else {
        std::io::stdout().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut options = fs::OpenOptions::new();
    let mut opened = options
        .write(true)
        .create_new(true)
        .open(file)
        .with_context(|| format!("{file} cannot be written"))?;
    opened.write_all(text.as_bytes())?;
    writeln!(
        std::io::stdout(),
        "{file} written; next: `caravel def vet {file}`"
    )?;
    Ok(ExitCode::SUCCESS)
}

/// A name must do for a Kubernetes object.
fn check_name(name: &str) -> Result<()> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.len() > 63
        || !name.chars().all(letters)
        || !name.starts_with(edge)
        || !name.ends_with(edge)
    {
        bail!("{name:?} is no name for a definition: small letters, digits and dashes, at most 63");
    }
    Ok(())
}

fn draft(args: &Args) -> Result<Draft> {
    if let Some(file) = &args.from {
        let objects = documents(file)?;
        return object::draft(args.kind, &objects).with_context(|| file.clone());
    }
    if let Some(file) = &args.from_crd {
        only_component(args, "--from-crd")?;
        let objects = documents(file)?;
        let crd = objects
            .iter()
            .find(|object| object["kind"] == "CustomResourceDefinition")
            .ok_or_else(|| anyhow!("{file} holds no CustomResourceDefinition"))?;
        return crd::draft(crd).with_context(|| file.clone());
    }
    if let Some(folder) = &args.from_terraform {
        only_component(args, "--from-terraform")?;
        return terraform::draft(folder);
    }
    Ok(skeleton::draft(args.kind))
}

fn only_component(args: &Args, option: &str) -> Result<()> {
    if args.kind != Word::Component {
        bail!("{option} makes a component: use --kind component");
    }
    Ok(())
}

fn documents(file: &str) -> Result<Vec<Value>> {
    let documents = yaml::parse(&input::read(file)?).with_context(|| file.to_owned())?;
    let objects = locate::objects(documents).into_iter();
    let objects: Vec<Value> = objects.map(|(object, _)| object).collect();
    if objects.is_empty() {
        bail!("{file} holds no object");
    }
    Ok(objects)
}

/// A built-in definition under another name.
fn copied(args: &Args, template: &str) -> Result<String> {
    let kind = by_word(args.kind.text()).unwrap_or(&KINDS[0]);
    let Some(known) = caravel_definitions::get(kind.definition, template) else {
        let names: Vec<String> = caravel_definitions::all()
            .filter(|one| one.kind == kind.definition)
            .map(|one| one.name)
            .collect();
        bail!(
            "there is no built-in {} {template}; there are {}",
            kind.word,
            names.join(", ")
        );
    };
    let (before, after) = (
        format!("\"{template}\": {{"),
        format!("{}: {{", Value::from(args.name.as_str())),
    );
    let plain = format!("{template}: {{");
    let text = known.source.into_owned();
    let text = if text.contains(&before) {
        text.replacen(&before, &after, 1)
    } else {
        text.replacen(&plain, &after, 1)
    };
    Ok(text)
}

fn assemble(args: &Args, draft: &Draft) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let imports: Vec<String> = draft
        .imports
        .iter()
        .map(|one| format!("import \"{one}\"\n"))
        .collect();
    let imports = imports.concat();
    let description = match args.description.as_str() {
        "" => format!("What {} is for", args.name),
        given => given.to_owned(),
    };
    let alias = match args.alias.as_str() {
        "" => String::new(),
        alias => format!("\talias: {}\n", quoted(alias)),
    };
    format!(
        "{imports}\n{}: {{\n\ttype: {}\n{alias}\tannotations: {{}}\n\tlabels: {{}}\n\tdescription: {}\n\tattributes: \
         {}\n}}\n\ntemplate: {{\n{}}}\n",
        quoted(&args.name),
        quoted(args.kind.text()),
        quoted(&description),
        draft.attributes,
        draft.template
    )
}

fn formatted(text: &str) -> Result<String> {
    let request = FormatRequest {
        file: "definition.cue".to_owned(),
        source: text.trim_start().to_owned(),
    };
    ask::<String>(Operation::Format(request), Evaluator::default()).map_err(|refusal| {
        let reason = match refusal {
            Refusal::Wrong(errors) => errors
                .first()
                .map_or(String::new(), |one| one.message.clone()),
            Refusal::Calls(_) => String::new(),
            Refusal::Fault(message) => message,
        };
        anyhow!("what was made is no CUE ({reason}); this is a fault of Caravel itself")
    })
}
