//! Colour, only on a terminal.

use std::io::IsTerminal as _;

use owo_colors::{OwoColorize as _, Stream};

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
    text.if_supports_color(Stream::Stdout, |text| text.green()).to_string()
}

/// Something is wrong.
pub(crate) fn bad(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.red()).to_string()
}

/// Somebody has to do something.
pub(crate) fn wait(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.yellow()).to_string()
}

/// Less important.
pub(crate) fn dim(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.dimmed()).to_string()
}

/// Whether a person looks at the output as it comes.
pub(crate) fn is_live() -> bool {
    std::io::stdout().is_terminal()
}
