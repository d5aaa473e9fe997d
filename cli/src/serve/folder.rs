//! The data folder.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Makes the folder, readable by nobody else, and proves that it can be written.
pub(crate) fn prepare(chosen: Option<PathBuf>) -> Result<PathBuf> {
    let folder = match chosen {
        Some(folder) => folder,
        None => usual()?,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| {
            format!(
                "the data folder {} cannot be made: choose another with --data-dir",
                folder.display()
            )
        })?;
    let probe = folder.join(".write-probe");
    if let Err(error) = std::fs::write(&probe, b"") {
        bail!(
            "the data folder {} cannot be written ({error}): choose another with --data-dir",
            folder.display()
        );
    }
    std::fs::remove_file(&probe).ok();
    Ok(folder)
}

/// `$XDG_DATA_HOME/caravel`, or `~/.local/share/caravel`.
pub(crate) fn usual() -> Result<PathBuf> {
    if let Some(base) = std::env::var_os("XDG_DATA_HOME").filter(|base| !base.is_empty()) {
        return Ok(PathBuf::from(base).join("caravel"));
    }
    let home = std::env::home_dir().context("there is no home folder: name one with --data-dir")?;
    Ok(home.join(".local/share/caravel"))
}

/// Writes a file with mode 0600 in one step: nobody ever sees half of it.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    std::fs::remove_file(&draft).ok();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path).with_context(|| path.display().to_string())
}
