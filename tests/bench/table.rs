//! What was measured, as text.

use std::time::Duration;

/// Rows of name and figure.
#[derive(Default)]
pub(crate) struct Table(Vec<(String, String)>);

impl Table {
    /// Adds a figure, and shows it at once: a benchmark takes its time.
    pub(crate) fn row(&mut self, name: impl Into<String>, figure: impl Into<String>) {
        let (name, figure) = (name.into(), figure.into());
        eprintln!("{name}: {figure}");
        self.0.push((name, figure));
    }

    /// Prints all as a table of Markdown.
    pub(crate) fn print(&self) {
        println!("| what | figure |\n|---|---|");
        for (name, figure) in &self.0 {
            println!("| {name} | {figure} |");
        }
    }
}

/// The value below which this share of the samples lies.
pub(crate) fn percentile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    let last = samples.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of a small list"
    )]
    let index = (last as f64 * share).round() as usize;
    samples.get(index).copied().unwrap_or_default()
}

/// Milliseconds or microseconds, whichever reads better.
pub(crate) fn time(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros < 1_000 {
        format!("{micros} µs")
    } else {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3)
    }
}
