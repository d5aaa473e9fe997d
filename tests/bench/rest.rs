//! Applications at rest: what each takes, and what they cost while nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use caravel_tests::daemon::Daemon;

use crate::delivery::{apply_at_once, client};
use crate::memory;
use crate::record::Recorder;
use crate::table::Table;

/// Applications that are there before it is counted: buffers and caches have their size by then.
const BEFORE: usize = 500;
/// Applications by which it is counted.
const COUNTED: usize = 1_000;
/// How long nobody touches them. What is remembered of Applications and objects at rest is let go of in this time.
const QUIET: Duration = Duration::from_secs(75);

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let daemon = Daemon::start(&["--local-runtime", "instant"]);
    let client = client(&daemon.kubeconfig()).await?;
    let mut full = Vec::new();
    for (prefix, count) in [("before", BEFORE), ("counted", COUNTED)] {
        // It remembers all that is written, and has to end before it is counted.
        let recorder = Recorder::start(&client).await?;
        apply_at_once(&client, &recorder, prefix, count).await?;
        drop(recorder);
        tokio::time::sleep(QUIET).await;
        full.push(memory::of(daemon.pid())?);
    }
    let all = BEFORE + COUNTED;
    let each = full[1].saturating_sub(full[0]) / u64::try_from(COUNTED)?;
    table.row(
        format!("memory of the daemon with its workers, {all} Applications at rest"),
        format!("{} MiB, {each} KiB each", full[1] / 1024),
    );
    let (begin, used) = (Instant::now(), processor_time(daemon.pid())?);
    tokio::time::sleep(QUIET).await;
    let used = processor_time(daemon.pid())?.saturating_sub(used);
    table.row(
        format!("processor time of {all} Applications at rest"),
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
