//! Clients over HTTPS, and what they measured.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::Result;

/// A client with connections of its own.
pub(crate) async fn connect(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.read_timeout = None;
    Ok(Client::try_from(config)?)
}

/// The time below which so many of a hundred are.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((sorted.len() * percent / 100).min(last))
        .copied()
        .unwrap_or_default()
}

/// One line about a set of times.
pub(crate) fn say(name: &str, mut times: Vec<Duration>, over: Duration) -> String {
    times.sort_unstable();
    let rate = times.len() as f64 / over.as_secs_f64();
    format!(
        "{name:<10} {:>8} {rate:>9.0}/s  p50 {:>8.2?}  p99 {:>8.2?}  max {:>8.2?}",
        times.len(),
        percentile(&times, 50),
        percentile(&times, 99),
        times.last().copied().unwrap_or_default(),
    )
}
