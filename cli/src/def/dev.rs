//! `caravel def dev`: what is saved in a folder is checked, registered, and shown as a plan.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use caravel_core::yaml;

use super::apply::{placed, register};
use super::check::check;
use super::diff::{changes, tell_impacts};
use super::impact::World;
use super::kind::Kind;
use super::problem::{self, Level, Problems};
use super::served::Served;
use super::source::{Source, files, no_yaml, read};
use super::{parameter, registry};
use crate::hub::{Hub, HubArgs};
use crate::input;
use crate::locate;

/// Watches a folder. A definition that is saved is checked and registered, and the Applications that use it are rendered
/// again and shown as a plan, within a second. While it has errors, the old definition stays.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  caravel def dev definitions/ --application app.yaml")]
pub(crate) struct Args {
    /// The folder, or one file.
    #[arg(value_name = "DIR")]
    path: String,
    /// An Application that is rendered too, whether the hub has it or not.
    #[arg(short = 'f', long = "application", value_name = "FILE")]
    applications: Vec<String>,
    /// Register nothing: only check and show the plan.
    #[arg(long)]
    dry_run: bool,
    /// Look once at all files, and end.
    #[arg(long)]
    once: bool,
}

/// How often the folder is looked at.
const PACE: Duration = Duration::from_millis(100);

/// How often at most before what changes all the time is taken as it is.
const LOOKS: usize = 5;

/// What tells that a file was saved.
type Stamp = (SystemTime, u64);

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    std::fs::metadata(&args.path).with_context(|| format!("{} cannot be read", args.path))?;
    if args.once && files(std::slice::from_ref(&args.path))?.is_empty() {
        bail!("there is no definition in {}", args.path);
    }
    let session = session(args, hub, namespace).await?;
    let mut seen: BTreeMap<String, Stamp> = BTreeMap::new();
    let mut good = true;
    if !args.once {
        writeln!(std::io::stdout(), "watching {} (Ctrl-C ends it)", args.path)?;
    }
    loop {
        let now = settled(&args.path, args.once).await?;
        for file in seen.keys().filter(|file| !now.contains_key(*file)) {
            writeln!(
                std::io::stdout(),
                "{file} is gone; its definition stays in the hub"
            )?;
        }
        let saved = now
            .iter()
            .filter(|(file, stamp)| seen.get(*file) != Some(*stamp));
        for (file, _) in saved {
            good &= session.saved(file).await?;
        }
        seen = now;
        if args.once {
            return Ok(if good {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
    }
}

/// What there is to compare with: the hub; a dry run can do without.
async fn session<'a>(args: &'a Args, hub: &HubArgs, namespace: &'a str) -> Result<Session<'a>> {
    let connected = async {
        let hub = hub.connect_for_templates().await?;
        Ok::<_, anyhow::Error>((Served::of_hub(&hub).await?, hub))
    };
    let (served, hub) = match connected.await {
        Ok((served, hub)) => (served, Some(hub)),
        Err(error) if args.dry_run => {
            writeln!(
                std::io::stderr(),
                "without a hub, only with the files that are given: {error:#}"
            )?;
            (Served::default(), None)
        }
        Err(error) => return Err(error),
    };
    Ok(Session {
        hub,
        served,
        namespace,
        args,
    })
}

/// The files once none of them changes: editors write some of them in several pieces.
async fn settled(path: &str, once: bool) -> Result<BTreeMap<String, Stamp>> {
    let mut before = stamps(path)?;
    // Another file may change all the time.
    for _ in 0..if once { 0 } else { LOOKS } {
        tokio::time::sleep(PACE).await;
        let now = stamps(path)?;
        if now == before {
            break;
        }
        before = now;
    }
    Ok(before)
}

fn stamps(path: &str) -> Result<BTreeMap<String, Stamp>> {
    let mut stamps = BTreeMap::new();
    for file in files(&[path.to_owned()])? {
        // A file may go between two looks: editors save by renaming.
        if let Ok(metadata) = std::fs::metadata(&file)
            && let Ok(modified) = metadata.modified()
        {
            stamps.insert(file, (modified, metadata.len()));
        }
    }
    Ok(stamps)
}

struct Session<'a> {
    hub: Option<Hub>,
    /// The kinds that it had at the start.
    served: Served,
    namespace: &'a str,
    args: &'a Args,
}

impl Session<'_> {
    /// Takes over a file that was saved; whether it is good.
    async fn saved(&self, file: &str) -> Result<bool> {
        let begin = Instant::now();
        let sources = match read(file) {
            Ok(sources) => sources,
            Err(error) => {
                super::tell(&error, None)?;
                writeln!(
                    std::io::stdout(),
                    "{file}: refused; the hub keeps what it has"
                )?;
                return Ok(false);
            }
        };
        let mut good = true;
        for source in &sources {
            match self.take_over(source).await {
                Ok(taken) => good &= taken,
                Err(error) if error.is::<Closed>() => return Err(error),
                Err(error) => {
                    super::tell(&error.context(file.to_owned()), None)?;
                    good = false;
                }
            }
        }
        let took = begin.elapsed().as_millis();
        writeln!(std::io::stdout(), "{file}: done in {took} ms").context(Closed)?;
        Ok(good)
    }

    async fn take_over(&self, source: &Source) -> Result<bool> {
        let mut out = std::io::stdout();
        let definition = &source.definition;
        let kind = Kind::of(definition.kind);
        let title = format!("{} {}", kind.word, definition.name);
        let problems = check(source, &self.served);
        problems.iter().for_each(problem::print);
        if problems.iter().any(|problem| problem.level == Level::Error) {
            writeln!(out, "{title}: refused; the hub keeps what it has").context(Closed)?;
            return Ok(false);
        }
        let object = placed(source, self.namespace);
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .unwrap_or(self.namespace);
        let name = &definition.name;
        // The world as it is before: the plan compares with what runs now.
        let (old, mut world) = match &self.hub {
            Some(hub) => (
                registry::find_opt(hub, namespace, name, Some(kind.word)).await?,
                World::load(hub).await?,
            ),
            None => (None, World::default()),
        };
        let old = old.map(|found| found.source(name)).transpose()?;
        for file in &self.args.applications {
            for application in applications(file)? {
                world.add_application(application);
            }
        }
        if old
            .as_ref()
            .is_some_and(|old| old.object["spec"] == source.object["spec"])
        {
            writeln!(out, "{title}: as in the hub").context(Closed)?;
            return Ok(true);
        }
        match &self.hub {
            Some(hub) if !self.args.dry_run => {
                register(hub, source, &object).await?;
                writeln!(out, "{title}: registered in {namespace}").context(Closed)?;
            }
            _ => writeln!(out, "{title}: good, and not registered (--dry-run)").context(Closed)?,
        }
        let placed = Source {
            object,
            ..source.clone()
        };
        plan(old.as_ref(), &placed, &world, self.namespace)?;
        Ok(true)
    }
}

/// What changed, and what it means for the Applications.
fn plan(old: Option<&Source>, new: &Source, world: &World, namespace: &str) -> Result<()> {
    let mut out = std::io::stdout();
    let Some(old) = old else {
        // Before, Applications that name it had nothing to render.
        let nothing = Source {
            definition: caravel_core::appfile::Definition {
                template: String::new(),
                ..new.definition.clone()
            },
            object: serde_json::json!({"kind": "none"}),
            ..new.clone()
        };
        let impacts = world.impacts(&nothing, new, namespace);
        if impacts.is_empty() {
            writeln!(out, "  new: no Application uses it yet").context(Closed)?;
        }
        return tell_impacts(&impacts, true).context(Closed);
    };
    let parameters = |source: &Source| parameter::of(source).unwrap_or_default();
    for change in changes(&parameters(old), &parameters(new)) {
        let note = if change.breaking { " (BREAKING)" } else { "" };
        writeln!(out, "  parameter {} {}{note}", change.path, change.what).context(Closed)?;
    }
    let impacts = world.impacts(old, new, namespace);
    if impacts.is_empty() {
        writeln!(out, "  no Application uses it").context(Closed)?;
    }
    tell_impacts(&impacts, true).context(Closed)
}

fn applications(file: &str) -> Result<Vec<serde_json::Value>> {
    let text = input::read(file)?;
    let documents = yaml::parse(&text)
        .map_err(|error| Problems::from(no_yaml(file, &text.as_str().into(), &error)))?;
    let all = locate::objects(documents).into_iter();
    Ok(all
        .map(|(object, _)| object)
        .filter(|object| object["kind"] == "Application")
        .collect())
}

/// Nobody reads any more.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard output is closed")
    }
}

impl std::error::Error for Closed {}
