//! `caravel def edit`: changes a definition of a hub in an editor.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::Machine;
use super::apply::{judged, replace};
use super::problem::{Problem, Problems};
use super::registry::{self, Found};
use super::source::{of_file, read_one};
use crate::hub::{Hub, HubArgs};

/// Opens a definition of the hub in an editor (`KUBE_EDITOR`, `EDITOR`, vi), and registers what is saved. A text that is
/// refused is kept.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  KUBE_EDITOR=nano caravel def edit my-trait")]
pub(crate) struct Args {
    /// Its name.
    name: String,
    /// Its kind, where the name alone is ambiguous.
    #[arg(short = 't', long = "type")]
    kind: Option<String>,
    /// What came of it as data.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Machine>,
}

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    let hub = hub.connect_for_templates().await?;
    let found = registry::find(&hub, namespace, &args.name, args.kind.as_deref()).await?;
    let before = registry::print(&found.object)?;
    // A Terraform module stands in a manifest.
    let ending = if registry::is_terraform(&found.object) {
        "yaml"
    } else {
        "cue"
    };
    let file = write(&args.name, ending, &before)?;
    open(&file)?;
    let after = fs::read_to_string(&file)
        .with_context(|| format!("{}: nothing was changed", file.display()))?;
    if after.trim().is_empty() {
        let _ = fs::remove_file(&file);
        bail!("the text that was saved is empty: nothing was changed");
    }
    if after == before {
        let _ = fs::remove_file(&file);
        let said = format!("{} is unchanged", args.name);
        return args.tell(&found, namespace, false, &said);
    }
    match register(&hub, &found, &file).await {
        Ok(()) => {
            let _ = fs::remove_file(&file);
            let said = format!("{} {} edited in {namespace}", found.kind.name, args.name);
            args.tell(&found, namespace, true, &said)
        }
        Err(error) => {
            let kept = file.display();
            let advice = format!(
                "nothing was changed; your text is kept: correct it and `caravel def apply {kept}`"
            );
            if args.output.is_some() {
                return Err(with(error, &kept.to_string(), &advice));
            }
            super::tell(&error, None)?;
            bail!("{advice}")
        }
    }
}

impl Args {
    /// Says what came of it.
    fn tell(&self, found: &Found, namespace: &str, edited: bool, said: &str) -> Result<ExitCode> {
        match self.output {
            Some(format) => {
                let whole = json!({"kind": found.kind.name, "name": self.name, "namespace": namespace, "edited": edited});
                super::print_data(&whole, format)?;
            }
            None => writeln!(std::io::stdout(), "{said}")?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Problems with one more that says what to do.
fn with(error: anyhow::Error, file: &str, advice: &str) -> anyhow::Error {
    let mut problems = of_file(file, error);
    problems.0.push(Problem::of_file(file, advice));
    problems.into()
}

async fn register(hub: &Hub, found: &Found, file: &Path) -> Result<()> {
    let source = read_one(&file.display().to_string())?;
    let errors = judged(&source);
    if !errors.is_empty() {
        return Err(Problems(errors).into());
    }
    for field in ["kind", "metadata.name"] {
        let pointer = format!("/{}", field.replace('.', "/"));
        if found.object.pointer(&pointer) != source.object.pointer(&pointer) {
            bail!("{field} cannot be changed here: apply a new definition instead");
        }
    }
    replace(hub, found, &source.object)
        .await
        .map_err(|error| source.refused(error))?;
    Ok(())
}

/// A file that only the user can read.
fn write(name: &str, ending: &str, text: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir();
    for number in 0..100 {
        let path = folder.join(format!(
            "caravel-{name}-{}-{number}.{ending}",
            std::process::id()
        ));
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match opened {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    bail!("no file can be made in {}", folder.display())
}

fn open(file: &Path) -> Result<()> {
    let named = |variable: &str| {
        std::env::var(variable)
            .ok()
            .filter(|text| !text.trim().is_empty())
    };
    let editor = named("KUBE_EDITOR")
        .or_else(|| named("EDITOR"))
        .unwrap_or_else(|| "vi".to_owned());
    // As git and kubectl do: the variable may hold options.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(file)
        .status()
        .with_context(|| format!("the editor {editor} cannot be started"))?;
    if status.success() {
        return Ok(());
    }
    let _ = fs::remove_file(file);
    bail!("the editor {editor} ended with {status}: nothing was changed")
}
