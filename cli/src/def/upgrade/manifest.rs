//! Texts in YAML manifests, replaced where they stand: all other bytes stay.

use caravel_core::yaml::{self, value_spot};
use serde_json::Value;

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The line on which it begins, from 1.
    pub(super) line: u32,
    /// Its column, from 1.
    pub(super) column: u32,
    /// Its lines are lines of the file.
    pub(super) is_literal: bool,
    /// Where its line begins, and where itself.
    line_start: usize,
    start: usize,
    /// How long it is, as far as the reader tells.
    letters: usize,
}

impl Place {
    /// That of the field at a path in a document that is not empty.
    pub(super) fn find(yaml: &str, document: usize, path: &str) -> Option<Self> {
        let spot = value_spot(yaml, document, path)?;
        let above = usize::try_from(spot.line).ok()?.checked_sub(1)?;
        let before = usize::try_from(spot.column).ok()?.checked_sub(1)?;
        let line_start = yaml.split_inclusive('\n').take(above).map(str::len).sum();
        let line: &str = yaml.get(line_start..)?;
        let offset = line
            .char_indices()
            .nth(before)
            .map_or(line.len(), |at| at.0);
        let mut place = Self {
            line: u32::try_from(spot.line).ok()?,
            column: u32::try_from(spot.column).ok()?,
            is_literal: false,
            line_start,
            start: line_start + offset,
            letters: spot.letters.unwrap_or_default(),
        };
        place.is_literal = place
            .header(yaml)
            .is_some_and(|header| yaml[header.sign..].starts_with('|'));
        Some(place)
    }

    /// What stands before it on its line.
    fn before<'a>(&self, yaml: &'a str) -> &'a str {
        &yaml[self.line_start..self.start]
    }

    /// The header of a block that it is.
    fn header(&self, yaml: &str) -> Option<Header> {
        if !self.before(yaml).trim().is_empty() {
            return None;
        }
        let above = yaml[..self.line_start].trim_end();
        let begin = above.rfind('\n').map_or(0, |at| at + 1);
        let line = &above[begin..];
        // A comment stands behind a space.
        let code = line.split(" #").next().unwrap_or(line).trim_end();
        let marks = code.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
        let sign = marks.len().checked_sub(1)?;
        let is_header = marks.ends_with(['|', '>']) && code.len() - marks.len() <= 2;
        is_header.then(|| Header {
            sign: begin + sign,
            end: begin + code.len(),
            parent: key_column(line),
        })
    }
}

/// `|2-` of a block.
struct Header {
    /// The sign, and behind its marks.
    sign: usize,
    end: usize,
    /// The column of the field's name: what is in the block stands further to the right.
    parent: usize,
}

/// Replaces the text of a field by another one. None where nothing but that text would change cannot be written.
pub(super) fn replaced(yaml: &str, document: usize, path: &str, new: &str) -> Option<String> {
    let place = Place::find(yaml, document, path)?;
    let candidates = match place.header(yaml) {
        Some(header) => [in_block(yaml, place, &header, new), None],
        None => [as_block(yaml, place, new), in_line(yaml, place, new)],
    };
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    let is_right = |written: &String| changes_only(yaml, written, document, &pointer, new);
    candidates.into_iter().flatten().find(is_right)
}

/// Whether a field has a new text, and everything else is as it was.
fn changes_only(before: &str, after: &str, document: usize, pointer: &str, new: &str) -> bool {
    let read = |text: &str| -> Option<Vec<Value>> {
        let documents = yaml::parse(text).ok()?.into_iter();
        Some(documents.filter(|one| !one.is_null()).collect())
    };
    let (Some(mut expected), Some(found)) = (read(before), read(after)) else {
        return false;
    };
    let text = found.get(document).and_then(|one| one.pointer(pointer));
    let field = expected
        .get_mut(document)
        .and_then(|one| one.pointer_mut(pointer));
    let (Some(text), Some(field)) = (text, field) else {
        return false;
    };
    field.clone_from(text);
    text.as_str().map(str::trim_end) == Some(new.trim_end()) && expected == found
}

/// The lines of a block.
fn in_block(yaml: &str, place: Place, header: &Header, new: &str) -> Option<String> {
    let marks = &yaml[header.sign + 1..header.end];
    let indent = match marks.chars().find_map(|c| c.to_digit(10)) {
        Some(digit) => header.parent + usize::try_from(digit).ok()?,
        None => place.start - place.line_start,
    };
    let chomp = marks.chars().find(|c| matches!(c, '+' | '-'));
    let mut end = place.line_start;
    let mut read = place.line_start;
    for line in yaml[place.line_start..].split_inclusive('\n') {
        read += line.len();
        let content = line.trim_end();
        if content.is_empty() {
            continue;
        }
        if column(content) <= header.parent {
            break;
        }
        end = read;
    }
    let rest = yaml[header.end..].split_inclusive('\n').next()?;
    Some(format!(
        "{}{}{rest}{}{}",
        &yaml[..header.sign],
        marks_of(new, header.parent, indent, chomp),
        lines(new, indent, eol(yaml)),
        &yaml[end..]
    ))
}

/// A text in quotes at the end of a line, as a block.
fn as_block(yaml: &str, place: Place, new: &str) -> Option<String> {
    let before = place.before(yaml);
    let length = quoted(&yaml[place.start..])?;
    let (value, rest) = yaml[place.start..].split_at(length);
    let line = rest.split_inclusive('\n').next().unwrap_or_default();
    let is_last = line.trim().is_empty() || line.trim().starts_with('#');
    if !is_last || before.trim().is_empty() {
        return None;
    }
    let parent = key_column(before);
    let indent = parent + 2;
    let ends = value.trim_end_matches(['"', '\'']).ends_with("\\n");
    let eol = eol(yaml);
    Some(format!(
        "{}{}{}{eol}{}{}",
        &yaml[..place.start],
        marks_of(new, parent, indent, (!ends).then_some('-')),
        line.trim_end_matches(['\r', '\n']),
        lines(new, indent, eol),
        &rest[line.len()..]
    ))
}

/// A text among others: in quotes, on one line.
fn in_line(yaml: &str, place: Place, new: &str) -> Option<String> {
    let text = &yaml[place.start..];
    let length = quoted(text).or_else(|| {
        let end = text.char_indices().nth(place.letters);
        Some(end.map_or(text.len(), |(at, _)| at))
    })?;
    let new = Value::from(new);
    Some(format!("{}{new}{}", &yaml[..place.start], &text[length..]))
}

/// The sign of a block with what follows it.
fn marks_of(new: &str, parent: usize, indent: usize, chomp: Option<char>) -> String {
    let is_deeper = new.trim_start_matches('\n').starts_with(' ');
    let digit = is_deeper.then(|| (indent - parent).to_string());
    let chomp = chomp.map(String::from).unwrap_or_default();
    format!("|{}{chomp}", digit.unwrap_or_default())
}

/// How the lines of a file end.
fn eol(yaml: &str) -> &'static str {
    let first = yaml.split_inclusive('\n').next().unwrap_or_default();
    if first.ends_with("\r\n") {
        "\r\n"
    } else {
        "\n"
    }
}

fn column(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The column of the name that a line begins with; the dashes of a list stand before it.
fn key_column(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-']).len()
}

/// How long the text in quotes is that something begins with, quotes included.
fn quoted(yaml: &str) -> Option<usize> {
    let quote = yaml.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut escaped = false;
    let mut chars = yaml.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote == '"' {
            escaped = true;
        } else if c == quote {
            let doubled = quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == quote);
            if !doubled {
                return Some(index + 1);
            }
            chars.next();
        }
    }
    None
}

fn lines(text: &str, indent: usize, eol: &str) -> String {
    let mut out = String::new();
    for line in text.trim_end().lines() {
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
        out.push_str(eol);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "c: \"\\(1)\"\n\n\td: 2\n";

    /// The first document that is not empty and has the field.
    fn rewritten(before: &str) -> Option<String> {
        let document = usize::from(before.contains("---"));
        replaced(before, document, "spec.cue.template", NEW)
    }

    #[test]
    fn a_text_is_replaced_where_it_stands() {
        for (before, after) in [
            (
                "# head\nspec:\n  cue:\n    template: |  # why\n\n      a: 1\n\n      b: 2\n\n  more: x\n",
                "# head\nspec:\n  cue:\n    template: |  # why\n      c: \"\\(1)\"\n\n      \td: 2\n\n  more: x\n",
            ),
            (
                "spec: {}\n---\nspec:\n  cue:\n    template: \"a: 1\\n\\tb: \\\"2\\\"\\n\" # why\n  more: x\n",
                "spec: {}\n---\nspec:\n  cue:\n    template: | # why\n      c: \"\\(1)\"\n\n      \td: 2\n  more: x\n",
            ),
            (
                "spec:\n  cue:\n    template: 'a: ''x'''\n",
                "spec:\n  cue:\n    template: |-\n      c: \"\\(1)\"\n\n      \td: 2\n",
            ),
            (
                "spec:\n  cue:\n    template: >-\n        a: 1",
                "spec:\n  cue:\n    template: |-\n        c: \"\\(1)\"\n\n        \td: 2\n",
            ),
            // The depth is told, because the first line is deeper than the next.
            (
                "spec:\n  cue:\n    template: |2-\n        a: 1\n      b: 2\n    x: 1\n",
                "spec:\n  cue:\n    template: |-\n      c: \"\\(1)\"\n\n      \td: 2\n    x: 1\n",
            ),
            (
                "spec:\n  cue:\n    template: >+3\n         a: 1\n\n\n# end\n",
                "spec:\n  cue:\n    template: |+\n       c: \"\\(1)\"\n\n       \td: 2\n\n\n# end\n",
            ),
            (
                "spec:\r\n  cue:\r\n    template: |\r\n      a: 1\r\n      b: 2\r\n  more: x\r\n",
                "spec:\r\n  cue:\r\n    template: |\r\n      c: \"\\(1)\"\r\n\r\n      \td: 2\r\n  more: x\r\n",
            ),
            (
                "spec:\r\n  cue: {template: 'a: 1', b: 2} # why\r\n",
                "spec:\r\n  cue: {template: \"c: \\\"\\\\(1)\\\"\\n\\n\\td: 2\\n\", b: 2} # why\r\n",
            ),
            (
                "spec: {cue: {b: 1,\n  template:\n    \"a: 1\"\n  }}\n",
                "spec: {cue: {b: 1,\n  template:\n    \"c: \\\"\\\\(1)\\\"\\n\\n\\td: 2\\n\"\n  }}\n",
            ),
            // What only looks like the header of a block stands above.
            (
                "spec:\n  more: |\n    x |\n  cue:\n    template:\n      \"a: 1\"\n",
                "spec:\n  more: |\n    x |\n  cue:\n    template:\n      \"c: \\\"\\\\(1)\\\"\\n\\n\\td: 2\\n\"\n",
            ),
            (
                "{\"spec\": {\"cue\": {\"template\": \"a: 1\"}}}",
                "{\"spec\": {\"cue\": {\"template\": \"c: \\\"\\\\(1)\\\"\\n\\n\\td: 2\\n\"}}}",
            ),
            (
                "spec: {cue: {template: a}}\n",
                "spec: {cue: {template: \"c: \\\"\\\\(1)\\\"\\n\\n\\td: 2\\n\"}}\n",
            ),
        ] {
            assert_eq!(rewritten(before).as_deref(), Some(after), "{before}");
        }
    }

    #[test]
    fn a_text_that_others_refer_to_is_left() {
        let shared = "spec: {cue: {template: &text \"a: 1\"}}\na: *text\n";
        assert_eq!(rewritten(shared), None);
        let shared = "a: &text \"a: 1\"\nspec: {cue: {template: *text}}\n";
        let own =
            "a: &text \"a: 1\"\nspec: {cue: {template: \"c: \\\"\\\\(1)\\\"\\n\\n\\td: 2\\n\"}}\n";
        assert_eq!(rewritten(shared).as_deref(), Some(own));
    }

    #[test]
    fn a_deeper_first_line_tells_its_depth() {
        let before = "spec:\n  cue:\n    template: |\n      a: 1\n";
        let made = replaced(before, 0, "spec.cue.template", "  a: 1\nb: 2\n");
        let after = "spec:\n  cue:\n    template: |2\n        a: 1\n      b: 2\n";
        assert_eq!(made.as_deref(), Some(after));
    }
}
