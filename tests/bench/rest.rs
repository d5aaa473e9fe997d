//! Applications at rest: what each takes, and what they cost while nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use caravel_tests::daemon::Daemon;

use crate::delivery::{apply_at_once, client};
use crate::memory;
use crate::record::Recorder;
use crate::table::Table;

/// How long nobody touches them. What is remembered of Applications and objects at rest is let go of in this time.
const QUIET: Duration = Duration::from_secs(75);

pub(crate) async fn measure(table: &mut Table, count: usize) -> Result<()> {
    let daemon = Daemon::start(&["--local-runtime", "instant"]);
    let client = client(&daemon.kubeconfig()).await?;
    let empty = memory::of(daemon.pid())?;
    let recorder = Recorder::start(&client).await?;
    apply_at_once(&client, &recorder, "rest", count).await?;
    // It remembers all that is written.
    drop(recorder);
    tokio::time::sleep(QUIET).await;
    let full = memory::of(daemon.pid())?;
    // All that the daemon has more than before is laid upon them: what is remembered of renders, too.
    let each = full.saturating_sub(empty) / u64::try_from(count.max(1))?;
    table.row(
        format!("memory of the daemon with its workers, {count} Applications at rest"),
        format!("{} MiB, {each} KiB each", full / 1024),
    );
    let (begin, used) = (Instant::now(), processor_time(daemon.pid())?);
    tokio::time::sleep(QUIET).await;
    let used = processor_time(daemon.pid())?.saturating_sub(used);
    table.row(
        format!("processor time of {count} Applications at rest"),
        format!(
            "{:.1} % of one core",
            100.0 * used.as_secs_f64() / begin.elapsed().as_secs_f64()
        ),
    );
    Ok(())
}

/// What the daemon has used of the processors since it began, in all its threads.
fn processor_time(pid: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The fields after the name, which is in parentheses; the 12th and 13th are user and system time in ticks, of
    // which there are a hundred in a second (proc_pid_stat(5)).
    let rest = text.rsplit(") ").next().context("stat")?;
    let ticks = rest.split(' ').skip(11).take(2);
    let ticks = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}
