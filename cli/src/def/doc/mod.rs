//! `caravel def doc`: reference pages of definitions.

mod html;
mod markdown;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use super::kind::{KINDS, Kind};
use super::parameter::{self, Parameter};
use super::registry::{self, Wanted};
use super::show::{description, facts};
use super::source::{Source, read_all};
use crate::hub::HubArgs;

/// Writes a reference page for each definition: what it is for, an example, all parameters; and an index of them.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  caravel def doc webservice\n  caravel def doc definitions/ --format html --out site/\n  \
                  caravel def doc --builtin --out reference/"
)]
pub(crate) struct Args {
    /// Definitions of the hub, or files and folders; all of the hub where none is named.
    #[arg(value_name = "NAME|FILE|DIR")]
    names: Vec<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// How pages are written.
    #[arg(long, value_enum, default_value = "markdown")]
    format: Format,
    /// Write one file for each definition, and an index, into this folder. Without it one page goes to standard
    /// output.
    #[arg(long, value_name = "DIR")]
    out: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Markdown,
    Html,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    kind: &'static Kind,
    name: String,
    description: String,
    facts: Vec<(&'static str, String)>,
    /// An Application that uses it.
    example: Option<String>,
    parameters: Result<Vec<Parameter>, String>,
    /// The declaration of the parameters, where there is no table.
    declared: Option<String>,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    let mut pages = pages(args, hub, namespace).await?;
    let order = |kind: &Kind| KINDS.iter().position(|one| one == kind);
    pages.sort_by(|a, b| (order(a.kind), &a.name).cmp(&(order(b.kind), &b.name)));
    if let Some(folder) = &args.out {
        write_all(Path::new(folder), &pages, args.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let [page] = pages.as_slice() else {
        bail!("{} pages: name a folder with --out", pages.len());
    };
    std::io::stdout().write_all(text(page, args.format).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

async fn pages(args: &Args, hub: &HubArgs, namespace: &str) -> Result<Vec<Page>> {
    let wanted = &args.wanted;
    if wanted.is_shipped() && args.names.is_empty() {
        let page = |one: caravel_definitions::Definition| {
            let example = one.example.as_deref().map(str::to_owned);
            Ok(Page::new(&registry::with_text(one)?, example))
        };
        return if wanted.sample {
            caravel_definitions::samples().map(page).collect()
        } else {
            caravel_definitions::all().map(page).collect()
        };
    }
    if args.names.is_empty() {
        let hub_namespace = hub.namespace.as_deref();
        let found = registry::list(
            &hub.connect_for_templates().await?,
            hub_namespace,
            wanted.kind.as_deref(),
        )
        .await?;
        return found
            .iter()
            .map(|one| Ok(Page::new(&one.source(one.metadata("name"))?, None)))
            .collect();
    }
    let mut pages = Vec::new();
    for name in &args.names {
        if !wanted.is_shipped() && (super::diff::is_file(name) || Path::new(name).is_dir()) {
            for source in read_all(std::slice::from_ref(name))? {
                let example = example(&source.file);
                pages.push(Page::new(&source, example));
            }
            continue;
        }
        let source = registry::source(name, wanted, hub, namespace).await?;
        let known = match (wanted.builtin, wanted.sample) {
            (true, _) => caravel_definitions::get(source.definition.kind, name),
            (_, true) => caravel_definitions::sample(source.definition.kind, name),
            _ => None,
        };
        let example = known.and_then(|one| one.example);
        pages.push(Page::new(
            &source,
            example.map(std::borrow::Cow::into_owned),
        ));
    }
    Ok(pages)
}

/// `<name>.example.yaml` beside a definition.
fn example(file: &str) -> Option<String> {
    fs::read_to_string(Path::new(file).with_extension("example.yaml")).ok()
}

impl Page {
    fn new(source: &Source, example: Option<String>) -> Self {
        let parameters = if source.definition.template.is_empty() {
            Err("its parameters are read by Caravel itself".to_owned())
        } else {
            parameter::of(source).map_err(|errors| {
                let first = errors.first().map_or("", |error| error.message.as_str());
                format!("they cannot be shown as a table ({first}); this declares them:")
            })
        };
        let template = &source.definition.template;
        Self {
            declared: parameters.is_err().then(|| declaration(template)).flatten(),
            kind: Kind::of(source.definition.kind),
            name: source.definition.name.clone(),
            description: description(source).to_owned(),
            facts: facts(source),
            example,
            parameters,
        }
    }

    /// The file of the page, without ending.
    fn stem(&self) -> String {
        format!("{}/{}", self.kind.word, self.name)
    }
}

/// The lines of a template that declare its parameters: the field, and the definitions beside it.
fn declaration(template: &str) -> Option<String> {
    let mut is_wanted = false;
    let mut lines = Vec::new();
    for line in template.lines() {
        let begins = !line.starts_with([' ', '\t', '}', ')', ']']) && !line.is_empty();
        if begins {
            is_wanted = line.starts_with("parameter") || line.starts_with('#');
        }
        if is_wanted {
            lines.push(line);
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n").trim_end().to_owned())
}

fn text(page: &Page, format: Format) -> String {
    match format {
        Format::Markdown => markdown::page(page),
        Format::Html => html::page(page),
    }
}

fn write_all(folder: &Path, pages: &[Page], format: Format) -> Result<()> {
    let ending = match format {
        Format::Markdown => "md",
        Format::Html => "html",
    };
    for page in pages {
        let file = folder.join(format!("{}.{ending}", page.stem()));
        write(&file, &text(page, format))?;
    }
    let (name, index) = match format {
        Format::Markdown => ("README.md", markdown::index(pages)),
        Format::Html => ("index.html", html::index(pages)),
    };
    write(&folder.join(name), &index)?;
    let count = pages.len();
    let plural = if count == 1 { "" } else { "s" };
    writeln!(
        std::io::stdout(),
        "{count} page{plural} and an index in {}",
        folder.display()
    )?;
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::write(file, text).with_context(|| file.display().to_string())
}

/// What a kind is called as a title.
fn title(kind: &Kind) -> &'static str {
    match kind.word {
        "component" => "Components",
        "trait" => "Traits",
        "policy" => "Policies",
        _ => "Workflow steps",
    }
}

/// The pages of each kind that has some.
fn by_kind(pages: &[Page]) -> Vec<(&'static Kind, Vec<&Page>)> {
    KINDS
        .iter()
        .map(|kind| {
            (
                kind,
                pages
                    .iter()
                    .filter(|page| page.kind == kind)
                    .collect::<Vec<_>>(),
            )
        })
        .filter(|(_, pages)| !pages.is_empty())
        .collect()
}

/// The tables of a page: that of the parameters, and one for each that has fields, with its path.
fn tables(parameters: &[Parameter]) -> Vec<(String, Vec<&Parameter>)> {
    let mut tables = vec![(String::new(), parameters.iter().collect())];
    let mut waiting: Vec<&Parameter> = parameters.iter().rev().collect();
    while let Some(parameter) = waiting.pop() {
        if parameter.fields.is_empty() {
            continue;
        }
        tables.push((parameter.path.clone(), parameter.fields.iter().collect()));
        waiting.extend(parameter.fields.iter().rev());
    }
    tables
}

/// The name of a parameter in its table.
fn short_name<'a>(parameter: &'a Parameter, table: &str) -> &'a str {
    let rest = parameter
        .path
        .strip_prefix(table)
        .unwrap_or(&parameter.path);
    rest.trim_start_matches("[]")
        .trim_start_matches(".*")
        .trim_start_matches('.')
}
