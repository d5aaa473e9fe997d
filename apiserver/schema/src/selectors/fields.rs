//! Field selectors: `metadata.name=x,status.phase!=Running`.

use super::SelectorError;
use crate::field::quote;

/// One requirement on a field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Path of the field, such as `metadata.name`.
    pub field: String,
    /// Must it be equal, or different?
    pub equal: bool,
    /// The value that it is compared with.
    pub value: String,
}

/// All of some requirements; none selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// The requirements, in the order in which they were written.
    pub requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Parses a selector. Commas, equal signs and backslashes in values are escaped with a backslash.
    ///
    /// # Errors
    /// What the real server says of it, for a `BadRequest`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for term in terms(text).into_iter().filter(|t| !t.is_empty()) {
            let Some((field, equal, value)) = split(term) else {
                return Err(SelectorError(format!(
                    "invalid selector: '{text}'; can't understand '{term}'"
                )));
            };
            requirements.push(FieldRequirement {
                field: field.to_owned(),
                equal,
                value: unescape(value)?,
            });
        }
        Ok(Self { requirements })
    }

    /// Refuses fields that the kind cannot be selected by.
    ///
    /// # Errors
    /// Names the first unknown field, and those that are known.
    pub fn check<S: AsRef<str>>(&self, known: &[S]) -> Result<(), SelectorError> {
        let unknown = self
            .requirements
            .iter()
            .find(|r| !known.iter().any(|k| k.as_ref() == r.field));
        unknown.map_or(Ok(()), |r| {
            let known: Vec<String> = known.iter().map(|k| quote(k.as_ref())).collect();
            Err(SelectorError(format!(
                "{} is not a known field selector: only {}",
                quote(&r.field),
                known.join(", ")
            )))
        })
    }

    /// Does it select an object? `field` gives the text of a field; what is absent is empty.
    pub fn matches(&self, field: impl Fn(&str) -> String) -> bool {
        self.requirements
            .iter()
            .all(|r| (field(&r.field) == r.value) == r.equal)
    }
}

/// Splits at commas that are not escaped.
fn terms(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut escaped) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                found.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found
}

fn split(term: &str) -> Option<(&str, bool, &str)> {
    term.char_indices().find_map(|(i, _)| {
        let rest = &term[i..];
        [("!=", false), ("==", true), ("=", true)]
            .into_iter()
            .find_map(|(operator, equal)| Some((&term[..i], equal, rest.strip_prefix(operator)?)))
    })
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    let invalid = |sequence: String| {
        SelectorError(format!(
            "invalid field selector: invalid escape sequence: {sequence}"
        ))
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                Some(other) => return Err(invalid(format!("\\{other}"))),
                None => return Err(invalid("\\".into())),
            },
            '=' => {
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: {value}"
                )));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}
