//! `caravel def edit`: changes a definition of a hub in an editor.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use super::apply::{judged, replace};
use super::problem::Problems;
use super::registry::{self, Found};
use super::source::read_one;
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
}

pub(crate) async fn run(args: &Args, hub: &HubArgs, namespace: &str) -> Result<ExitCode> {
    let hub = hub.connect_for_templates().await?;
    let found = registry::find(&hub, namespace, &args.name, args.kind.as_deref()).await?;
    let before = registry::print(&found.object)?;
    let file = write(&args.name, &before)?;
    open(&file)?;
    let after = fs::read_to_string(&file)
        .with_context(|| format!("{}: nothing was changed", file.display()))?;
    if after.trim().is_empty() {
        let _ = fs::remove_file(&file);
        bail!("the text that was saved is empty: nothing was changed");
    }
    let mut out = std::io::stdout();
    if after == before {
        let _ = fs::remove_file(&file);
        writeln!(out, "{} is unchanged", args.name)?;
        return Ok(ExitCode::SUCCESS);
    }
    match register(&hub, &found, &file).await {
        Ok(()) => {
            let _ = fs::remove_file(&file);
            writeln!(
                out,
                "{} {} edited in {namespace}",
                found.kind.name, args.name
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            super::tell(&error, None)?;
            let kept = file.display();
            bail!(
                "nothing was changed; your text is kept: correct it and `caravel def apply {kept}`"
            )
        }
    }
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
fn write(name: &str, text: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir();
    for number in 0..100 {
        let path = folder.join(format!(
            "caravel-{name}-{}-{number}.cue",
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
