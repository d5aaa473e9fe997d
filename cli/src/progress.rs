//! Live progress of one Application: a line whenever a step or a component changes.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use caravel_core::api::ApplicationStatus;
use indicatif::{ProgressBar, ProgressStyle};

use crate::paint;

/// What was shown of an Application so far.
pub(crate) struct Progress {
    name: String,
    shown: BTreeMap<String, String>,
    /// Moves while nothing changes; only on a terminal.
    spinner: Option<ProgressBar>,
}

impl Progress {
    /// For an Application.
    pub(crate) fn new(name: &str) -> Self {
        let spinner = paint::is_live().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            name: name.to_owned(),
            shown: BTreeMap::new(),
            spinner,
        }
    }

    /// Shows what changed.
    pub(crate) fn show(&mut self, status: &ApplicationStatus) -> Result<()> {
        for step in status.workflow.iter().flat_map(|workflow| &workflow.steps) {
            self.line(
                "step",
                &step.name,
                step.phase.as_deref(),
                step.message.as_deref(),
            )?;
            for sub_step in &step.sub_steps {
                self.line(
                    "  step",
                    &sub_step.name,
                    sub_step.phase.as_deref(),
                    sub_step.message.as_deref(),
                )?;
            }
        }
        for service in &status.services {
            let phase = if service.healthy {
                "healthy"
            } else {
                "waiting"
            };
            self.line(
                "component",
                &service.name,
                Some(phase),
                service.message.as_deref(),
            )?;
        }
        if let Some(spinner) = &self.spinner {
            spinner.set_message(format!(
                "{}: {}",
                self.name,
                status.status.as_deref().unwrap_or("starting")
            ));
        }
        Ok(())
    }

    /// The last words.
    pub(crate) fn finish(&mut self, status: &ApplicationStatus) -> Result<()> {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        let phase = status.status.as_deref().unwrap_or("starting");
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}: {}", self.name, paint::phase(phase))?;
        for condition in status
            .conditions
            .iter()
            .filter(|condition| condition.status == "False")
        {
            if let Some(message) = &condition.message {
                writeln!(out, "  {}: {message}", condition.type_)?;
            }
        }
        if phase == "workflowSuspending" {
            writeln!(out, "  go on with: caravel workflow resume {}", self.name)?;
        }
        Ok(())
    }

    fn line(
        &mut self,
        what: &str,
        name: &str,
        phase: Option<&str>,
        message: Option<&str>,
    ) -> Result<()> {
        let phase = phase.unwrap_or("pending");
        let text = match message.filter(|message| !message.is_empty()) {
            Some(message) => format!("{} {}", paint::phase(phase), paint::dim(message)),
            None => paint::phase(phase),
        };
        let key = format!("{what} {name}");
        if self.shown.get(&key) == Some(&text) {
            return Ok(());
        }
        let line = format!("  {key}: {text}");
        self.shown.insert(key, text);
        match &self.spinner {
            Some(spinner) => spinner.println(line),
            None => writeln!(std::io::stdout(), "{line}")?,
        }
        Ok(())
    }
}
