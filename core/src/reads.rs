//! Which part of its data a CUE text can see.
//!
//! What a text cannot see does not change what comes of it. Without it there is less to evaluate, and questions that differ
//! only in that are one question, whose answer is known after the first.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The parts of a value that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// All of it.
    All,
    /// These fields, if it is a struct; what is no struct is read whole.
    Fields(BTreeMap<String, Reads>),
}

impl Reads {
    /// What the texts can see of the field that they call `root`.
    ///
    /// Found without understanding the language: to see anything, a text must name the root, and after the name
    /// comes what is selected. Names in comments and strings count too. So it may be too much, never too little.
    pub(crate) fn of<'a>(root: &str, texts: impl IntoIterator<Item = &'a String>) -> Self {
        let mut reads = Self::Fields(BTreeMap::new());
        for text in texts {
            for (at, _) in text.match_indices(root) {
                let (before, after) = (&text[..at], &text[at + root.len()..]);
                if !before.ends_with(is_name) && !after.starts_with(is_name) {
                    reads.insert(&mut Selection { rest: after });
                }
            }
        }
        reads
    }

    fn insert<'a>(&mut self, path: &mut impl Iterator<Item = &'a str>) {
        let Self::Fields(fields) = self else { return };
        match path.next() {
            None => *self = Self::All,
            Some(name) => fields
                .entry(name.to_owned())
                .or_insert_with(|| Self::Fields(BTreeMap::new()))
                .insert(path),
        }
    }

    /// What is read of a field; nothing where it is not.
    pub(crate) fn at(&self, field: &str) -> Option<&Self> {
        match self {
            Self::All => Some(self),
            Self::Fields(fields) => fields.get(field),
        }
    }

    /// A value without what is not read of it.
    pub(crate) fn project(&self, value: &Value) -> Value {
        let (Self::Fields(fields), Value::Object(object)) = (self, value) else {
            return value.clone();
        };
        let seen = fields.iter().filter_map(|(name, reads)| {
            let value = object.get(name)?;
            Some((name.clone(), reads.project(value)))
        });
        Value::Object(seen.collect::<Map<_, _>>())
    }
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '$' | '#')
}

/// What is selected behind a name: `.a."b"["c"]`, as far as it is written out.
struct Selection<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Selection<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        if let Some(selector) = rest.strip_prefix('.') {
            let selector = selector.trim_start();
            let length = selector.find(|char| !is_name(char));
            let (name, rest) = match length.unwrap_or(selector.len()) {
                0 => quoted(selector)?,
                length => selector.split_at(length),
            };
            self.rest = rest;
            return Some(name);
        }
        let (name, rest) = quoted(rest.strip_prefix('[')?.trim_start())?;
        self.rest = rest.trim_start().strip_prefix(']')?;
        Some(name)
    }
}

/// A string without escapes, and what comes after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix('"')?.split_once('"')?;
    let is_plain = !name.is_empty() && !name.contains(['\\', '\n']);
    is_plain.then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(text: &str) -> Value {
        let data = json!({
            "name": "web",
            "output": {
                "metadata": {"generation": 3, "annotations": {"a.b/c": "d"}},
                "status": {"replicas": 1, "conditions": [{"type": "Ready"}]},
            },
            "outputs": {"a": {"kind": "A"}, "b": null},
        });
        Reads::of("context", [&text.to_owned()]).project(&data)
    }

    #[test]
    fn what_is_selected_is_seen_and_nothing_else() {
        assert_eq!(seen("isHealth: true"), json!({}));
        assert_eq!(
            seen("isHealth: context.output.status.replicas == 1 && context.name != \"\""),
            json!({"name": "web", "output": {"status": {"replicas": 1}}})
        );
        assert_eq!(
            seen("message: \"\\(context.output.metadata.annotations[\"a.b/c\"])\""),
            json!({"output": {"metadata": {"annotations": {"a.b/c": "d"}}}})
        );
        assert_eq!(
            seen("x: context\n\t. \"output\" .\n metadata [ \"generation\" ]"),
            json!({"output": {"metadata": {"generation": 3}}})
        );
    }

    #[test]
    fn what_is_chosen_at_run_time_is_seen_whole() {
        let status = json!({"replicas": 1, "conditions": [{"type": "Ready"}]});
        for text in [
            "x: context.output.status[field]",
            "x: context.output.status[\"\\(field)\"]",
            "for k, v in context.output.status {}",
            "x: {context.output.status, y: 1}",
        ] {
            assert_eq!(seen(text), json!({"output": {"status": status}}), "{text}");
        }
        assert_eq!(
            seen("x: context.output.status.conditions[0].type"),
            json!({"output": {"status": {"conditions": [{"type": "Ready"}]}}})
        );
        for text in [
            "let all = context",
            "context: output: {}",
            "x: context[which]",
            "context...",
        ] {
            assert_eq!(seen(text)["name"], "web", "{text}");
        }
    }

    #[test]
    fn what_is_not_there_stays_away_and_what_holds_it_stays() {
        assert_eq!(
            seen("x: context.output.spec.replicas == _|_ && context.outputs.b.kind == _|_"),
            json!({"output": {}, "outputs": {"b": null}})
        );
    }

    #[test]
    fn other_names_are_not_the_root() {
        for text in [
            "_context: 1\nx: _context",
            "contexts: 1",
            "x: #context.name",
            "x: my_context.name",
        ] {
            assert_eq!(seen(text), json!({}), "{text}");
        }
    }
}
