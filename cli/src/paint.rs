//! Colour, only on a terminal.

use std::io::IsTerminal as _;

use owo_colors::OwoColorize as _;

/// A phase of an Application or a step, in the colour that it deserves.
pub(crate) fn phase(text: &str) -> String {
    match text {
        "running" | "succeeded" | "healthy" => good(text),
        "workflowFailed" | "failed" | "unhealthy" | "workflowTerminated" | "missing" => bad(text),
        "workflowSuspending" | "suspending" | "deleting" | "skipped" => wait(text),
        other => other.to_owned(),
    }
}

/// All is well.
pub(crate) fn good(text: &str) -> String {
    if has_colour() {
        text.green().to_string()
    } else {
        text.to_owned()
    }
}

/// Something is wrong.
pub(crate) fn bad(text: &str) -> String {
    if has_colour() {
        text.red().to_string()
    } else {
        text.to_owned()
    }
}

/// Somebody has to do something.
pub(crate) fn wait(text: &str) -> String {
    if has_colour() {
        text.yellow().to_string()
    } else {
        text.to_owned()
    }
}

/// Less important.
pub(crate) fn dim(text: &str) -> String {
    if has_colour() {
        text.dimmed().to_string()
    } else {
        text.to_owned()
    }
}

/// Whether a person looks at the output as it comes.
pub(crate) fn is_live() -> bool {
    std::io::stdout().is_terminal()
}

/// `NO_COLOR` is a convention of terminals (no-color.org).
fn has_colour() -> bool {
    is_live() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
