//! What is wrong with a definition, with its place: for people with a snippet, for machines as data.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use caravel_core::engine::{Diagnostic, DiagnosticKind};
use miette::{LabeledSpan, MietteDiagnostic, Report, Severity};
use serde::Serialize;
use serde_json::{Value, json};

use crate::snippet::Snippet;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// It cannot be used.
    Error,
    /// It works, but is probably not meant.
    Warning,
}

/// One thing to say about a text.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    pub(crate) level: Level,
    pub(crate) kind: DiagnosticKind,
    /// Name of the file; empty where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) file: String,
    /// Line and column from 1; 0 where unknown.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) line: u32,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) column: u32,
    /// Field path, for instance `parameter.ports[0].port`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) path: String,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) expected: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) hint: String,
    /// The whole text of the file, for the snippet.
    #[serde(skip)]
    pub(crate) text: Option<Arc<str>>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Problem {
    /// A problem of a file as a whole.
    pub(crate) fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            kind: DiagnosticKind::Other,
            file: file.to_owned(),
            line: 0,
            column: 0,
            path: String::new(),
            message: message.into(),
            expected: String::new(),
            found: String::new(),
            hint: String::new(),
            text: None,
        }
    }

    /// What the engine says, without a place.
    pub(crate) fn of(diagnostic: &Diagnostic, file: &str) -> Self {
        Self {
            kind: diagnostic.kind,
            path: diagnostic.path.clone(),
            expected: diagnostic.expected.clone(),
            found: diagnostic.found.clone(),
            hint: diagnostic.hint.clone(),
            ..Self::of_file(file, diagnostic.message.clone())
        }
    }

    /// The same as a warning.
    #[must_use]
    pub(crate) fn warning(self) -> Self {
        Self {
            level: Level::Warning,
            ..self
        }
    }

    /// With what to do.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            ..self
        }
    }

    /// At a place of a text.
    #[must_use]
    pub(crate) fn at(self, text: &Arc<str>, line: u32, column: u32) -> Self {
        Self {
            line,
            column,
            text: Some(Arc::clone(text)),
            ..self
        }
    }

    /// Message with the path before it, where it does not name it already.
    fn headline(&self) -> String {
        let told = self.path.is_empty()
            || self.message.contains(&self.path)
            || self.kind == DiagnosticKind::User;
        if told {
            self.message.clone()
        } else {
            format!("{}: {}", self.path, self.message)
        }
    }

    fn label(&self) -> String {
        match (self.expected.is_empty(), self.found.is_empty()) {
            (false, false) => format!("expected {}, found {}", self.expected, self.found),
            (false, true) => format!("expected {}", self.expected),
            (true, false) => format!("found {}", self.found),
            (true, true) => "here".to_owned(),
        }
    }

    /// For people: with a snippet of the text.
    pub(crate) fn report(&self) -> Report {
        let mut diagnostic =
            MietteDiagnostic::new(self.headline()).with_severity(match self.level {
                Level::Error => Severity::Error,
                Level::Warning => Severity::Warning,
            });
        if !self.hint.is_empty() {
            diagnostic = diagnostic.with_help(&self.hint);
        }
        let span = self
            .text
            .as_ref()
            .and_then(|text| Some((text, span(text, self.line, self.column)?)));
        let Some((text, span)) = span else {
            if !self.file.is_empty() {
                diagnostic.message = format!("{self}");
            }
            return Report::new(diagnostic);
        };
        let label = LabeledSpan::new_with_span(Some(self.label()), span);
        Report::new(diagnostic.with_label(label)).with_source_code(Snippet::new(&self.file, text))
    }
}

/// `file:line:column: message (expected …, found …); hint` on one line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if self.line > 0 {
                write!(f, "{}:{}:", self.line, self.column)?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.headline())?;
        if !self.expected.is_empty() || !self.found.is_empty() {
            write!(f, " ({})", self.label())?;
        }
        Ok(())
    }
}

/// The bytes of the word at a place.
pub(crate) fn span(text: &str, line: u32, column: u32) -> Option<std::ops::Range<usize>> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let content = text.get(before..)?.lines().next()?;
    // CUE counts columns in bytes.
    let offset = (0..=column.min(content.len()))
        .rev()
        .find(|at| content.is_char_boundary(*at))?;
    let rest = content.get(offset..)?;
    let word = rest
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '#' | '$' | '-' | '"')))
        .unwrap_or(rest.len());
    let length = if word == 0 {
        rest.chars().next().map_or(0, char::len_utf8)
    } else {
        word
    };
    Some(before + offset..before + offset + length)
}

/// Several of them, as the error of a command.
#[derive(Clone, Debug)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// Prints them: snippets to standard error.
    pub(crate) fn print(&self) {
        for problem in &self.0 {
            print(problem);
        }
    }

    /// As data.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "errors": self.0 })
    }
}

/// Prints one to standard error.
pub(crate) fn print(problem: &Problem) {
    // Somebody who closed the pipe does not want to know.
    let _ = writeln!(std::io::stderr(), "{:?}", problem.report());
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_word_is_marked() {
        let text = "a: 1\n\tspec: replicas: parameter.count\n";
        let marked = |line, column| span(text, line, column).map(|range| &text[range]);
        assert_eq!(marked(2, 18), Some("parameter.count"));
        assert_eq!(marked(1, 2), Some(":"));
        assert_eq!(marked(9, 1), None);
        assert_eq!(marked(2, 99), Some(""));
    }
}
