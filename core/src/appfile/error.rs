//! What is wrong with an Application, with the place of each mistake.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine::Position;

/// What kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A type that no definition defines: it may appear later, so admission only warns.
    UnknownType,
    /// A referenced Policy or Workflow object that is not there, or a package that a template imports: it may appear later too.
    UnknownObject,
    /// A reference to something that the Application itself does not have.
    UnknownReference,
    /// A name that is used twice.
    Duplicate,
    /// Things that wait for each other.
    Cycle,
    /// A field that is not known where only known ones are accepted.
    UnknownField,
    /// A value that is missing.
    Missing,
    /// A value of the wrong type or form.
    Invalid,
    /// A parameter that has no effect: the definition does not declare it, or nothing comes of it.
    Undeclared,
    /// A required parameter that is not given, and that rendering does without.
    Omitted,
    /// A trait that is not meant for the workload, or not for another trait.
    Misapplied,
    /// An input from an output that nothing in the Application declares.
    Unfed,
    /// A template that fails with what the Application gives it.
    Template,
    /// What the author of a definition has to say (`errs`).
    Author,
    /// Something that the user may not do.
    Forbidden,
    /// A kind, or a field of one, that the hub does not serve: a target cluster may.
    Unserved,
    /// Something works, but in a way that will go.
    Legacy,
    /// Nothing could be said about it: the check itself did not come to its end.
    Unchecked,
}

impl FindingKind {
    /// Whether the mistake may mend itself without a change of the Application.
    pub const fn may_resolve(self) -> bool {
        matches!(self, Self::UnknownType | Self::UnknownObject)
    }

    /// Whether admission lets it pass with a word about it (DESIGN, admission).
    pub const fn is_warning(self) -> bool {
        self.may_resolve()
            || matches!(
                self,
                Self::Undeclared
                    | Self::Omitted
                    | Self::Misapplied
                    | Self::Unfed
                    | Self::Unserved
                    | Self::Legacy
                    | Self::Unchecked
            )
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind of mistake it is.
    pub kind: FindingKind,
    /// Field path in the Application, for example `spec.components[2].traits[0].type`.
    pub path: String,
    /// What in the Application it is about, for example `component web`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The definition whose template says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub definition: String,
    /// Where in that template, the most telling place first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<Position>,
    /// In words.
    pub message: String,
    /// What was expected, where that can be said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// What was found.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub found: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// What KubeVela says of it, for clients that parse it; empty where KubeVela accepts it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kubevela_text: String,
}

impl Finding {
    /// A mistake at a place.
    pub fn new(kind: FindingKind, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            path: path.into(),
            subject: String::new(),
            definition: String::new(),
            positions: Vec::new(),
            message: message.into(),
            expected: String::new(),
            found: String::new(),
            hint: String::new(),
            kubevela_text: String::new(),
        }
    }

    /// Adds what was expected and found.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        self.expected = expected.into();
        self.found = found.into();
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds what in the Application it is about.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Adds where in a definition it is decided.
    #[must_use]
    pub fn decided_in(mut self, definition: impl Into<String>, positions: Vec<Position>) -> Self {
        self.definition = definition.into();
        self.positions = positions;
        self
    }

    /// All but the path: message, what was expected and found, where, what to do.
    pub fn detail(&self) -> String {
        let mut text = self.message.clone();
        match (self.expected.is_empty(), self.found.is_empty()) {
            (false, false) => {
                text = format!("{text} (expected {}, found {})", self.expected, self.found);
            }
            (false, true) => text = format!("{text} (expected {})", self.expected),
            (true, false) => text = format!("{text} (found {})", self.found),
            (true, true) => {}
        }
        let place = self.place();
        if !place.is_empty() {
            text = format!("{text}, in {place}");
        }
        if !self.hint.is_empty() {
            text = format!("{text}; {}", self.hint);
        }
        text
    }

    /// Component or step, then definition, line and column, as far as they are known.
    pub fn place(&self) -> String {
        let mut parts = Vec::new();
        if !self.subject.is_empty() {
            parts.push(self.subject.clone());
        }
        let at = self.positions.first();
        match at.map(|at| (at, at.object())) {
            Some((at, Some((_, name)))) => {
                parts.push(format!("{name} template {}", line_and_column(at)));
            }
            Some((at, None)) if at.is_of_engine() && !self.definition.is_empty() => {
                parts.push(format!("{} {}", self.definition, line_and_column(at)));
            }
            Some((at, None)) => {
                parts.extend(Some(self.definition.clone()).filter(|name| !name.is_empty()));
                parts.push(format!("{} {}", at.file, line_and_column(at)));
            }
            None if self.definition.is_empty() => {}
            None => parts.push(self.definition.clone()),
        }
        parts.join(", ")
    }

    /// Adds KubeVela's words.
    #[must_use]
    pub fn kubevela(mut self, text: impl Into<String>) -> Self {
        self.kubevela_text = text.into();
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.detail())
    }
}

/// Why an Application cannot be delivered: every mistake that was found, in the order in which KubeVela
/// looks at the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The mistakes; never empty in an error.
    pub findings: Vec<Finding>,
}

impl Rejection {
    /// The mistakes that only a change of the Application mends.
    pub fn hard(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| !finding.kind.may_resolve())
    }

    /// The mistakes that mend themselves when a definition or object appears: warnings at admission.
    pub fn unresolved(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.kind.may_resolve())
    }

    /// What KubeVela says of the first mistake that it sees too; our own words where it sees none.
    pub fn kubevela_text(&self) -> String {
        let known = self
            .findings
            .iter()
            .find(|finding| !finding.kubevela_text.is_empty());
        known.map_or_else(|| self.to_string(), |finding| finding.kubevela_text.clone())
    }

    /// The findings as a result: `Ok` where there are none.
    ///
    /// # Errors
    /// Itself, if there are findings.
    pub fn into_result(self) -> Result<(), Self> {
        if self.findings.is_empty() {
            Ok(())
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}

impl From<Box<Finding>> for Rejection {
    fn from(finding: Box<Finding>) -> Self {
        Self::from(*finding)
    }
}

impl From<Finding> for Rejection {
    fn from(finding: Finding) -> Self {
        Self {
            findings: vec![finding],
        }
    }
}

/// A value that a decoder refuses, in words of people: what was expected and found where its text says so.
pub(crate) fn wrong_value(path: impl Into<String>, said: &str) -> Finding {
    let finding = |message: &str| Finding::new(FindingKind::Invalid, path, message);
    if let Some(rest) = said.strip_prefix("unknown variant `") {
        let mut words = rest.split('`');
        let found = words.next().unwrap_or_default();
        // Nothing is a word too for some decoders, and none for people.
        let known: Vec<&str> = words
            .skip(1)
            .step_by(2)
            .filter(|word| !word.is_empty())
            .collect();
        let hint = did_you_mean(found, known.iter().copied()).unwrap_or_default();
        return finding("this is none of the words that are known here")
            .expected(known.join(" or "), found)
            .hint(hint);
    }
    if let Some((found, expected)) = said
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.rsplit_once(", expected "))
    {
        return finding("this value has the wrong shape").expected(plain_type(expected), found);
    }
    finding("this value cannot be used").expected("", said)
}

fn line_and_column(at: &Position) -> String {
    format!("line {}, column {}", at.line, at.column)
}

/// The decoder's names of types, as people call them.
fn plain_type(name: &str) -> &str {
    match name {
        "a sequence" => "a list",
        "a map" => "an object",
        "a boolean" => "true or false",
        "i64" | "i32" | "u64" | "u32" => "a whole number",
        _ if name.starts_with("struct ") => "an object",
        _ => name,
    }
}

/// The known word that is closest to a wrong one, if one is close enough to be meant.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let limit = match wrong.chars().count() {
        0..3 => return None,
        letters => (letters / 3).max(1),
    };
    known
        .into_iter()
        .map(|word| (edit_distance(wrong, word), word))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| format!("did you mean `{word}`?"))
}

/// How many letters must be put in, taken out, replaced or swapped with their neighbour.
fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (line, a) in left.iter().enumerate() {
        let mut row = vec![line + 1];
        for (column, b) in right.iter().enumerate() {
            let above = &rows[line];
            let mut best = (above[column] + usize::from(a != b))
                .min(above[column + 1] + 1)
                .min(row[column] + 1);
            let swapped = line > 0 && column > 0;
            if swapped && *a == right[column - 1] && left[line - 1] == *b {
                best = best.min(rows[line - 1][column - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_close_word_is_meant() {
        let known = ["webservice", "worker", "task", "k8s-objects"];
        let meant = |wrong| did_you_mean(wrong, known);
        assert_eq!(
            meant("webservise").as_deref(),
            Some("did you mean `webservice`?")
        );
        assert_eq!(meant("wroker").as_deref(), Some("did you mean `worker`?"));
        assert_eq!(meant("tsak").as_deref(), Some("did you mean `task`?"));
        assert_eq!(meant("database"), None);
        assert_eq!(meant("x"), None);
    }
}
