//! Memory of processes, as the kernel counts it.

use anyhow::{Context as _, Result};

/// Memory of the daemon and of its worker processes in KiB, each page counted once.
pub(crate) fn of(daemon: u32) -> Result<u64> {
    let mut kib = proportional(daemon)?;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The fields after the name, which is in parentheses: state, parent, …
        let parent = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(1));
        if parent == Some(daemon.to_string().as_str()) {
            kib += proportional(pid).unwrap_or(0);
        }
    }
    Ok(kib)
}

fn proportional(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .context("Pss")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
