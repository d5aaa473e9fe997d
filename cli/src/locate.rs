//! Where a field stands in the text of a manifest: for snippets in errors.
//!
//! Follows block style YAML by its indentation. Where that is not enough (flow style, anchors) it gives
//! the last place that it is sure of.

use std::ops::Range;

/// The bytes of the line that holds a field. `document` counts documents that are not empty; `path` is
/// like `spec.components[0].traits[1].type`.
pub(crate) fn locate(text: &str, document: usize, path: &str) -> Option<Range<usize>> {
    let lines = lines_of(text, document);
    let mut scope = Scope {
        from: 0,
        to: lines.len(),
        indent: 0,
    };
    let mut found = None;
    for segment in segments(path) {
        let Some(line) = scope.enter(&lines, &segment) else {
            break;
        };
        found = Some(line);
    }
    let line = lines.get(found?)?;
    let trimmed = line.text.trim();
    let start = line.start + (line.text.len() - line.text.trim_start().len());
    Some(start..start + trimmed.len())
}

struct Line<'a> {
    start: usize,
    text: &'a str,
}

impl Line<'_> {
    fn is_content(&self) -> bool {
        let trimmed = self.text.trim();
        !trimmed.is_empty() && !trimmed.starts_with('#')
    }

    fn indent(&self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }
}

/// The lines of the nth document.
fn lines_of(text: &str, document: usize) -> Vec<Line<'_>> {
    let mut documents = vec![Vec::new()];
    let mut start = 0;
    for raw in text.split_inclusive('\n') {
        let line = Line {
            start,
            text: raw.trim_end_matches(['\n', '\r']),
        };
        start += raw.len();
        if line.text.starts_with("---") {
            documents.push(Vec::new());
        } else if let Some(last) = documents.last_mut() {
            last.push(line);
        }
    }
    documents.retain(|lines| lines.iter().any(Line::is_content));
    documents.into_iter().nth(document).unwrap_or_default()
}

enum Segment {
    Field(String),
    Index(usize),
}

fn segments(path: &str) -> Vec<Segment> {
    let mut found = Vec::new();
    for part in path.split('.') {
        let (field, indices) = part.split_once('[').unwrap_or((part, ""));
        if !field.is_empty() {
            found.push(match field.parse() {
                Ok(index) => Segment::Index(index),
                Err(_) => Segment::Field(field.to_owned()),
            });
        }
        let indices = indices
            .split(['[', ']'])
            .filter_map(|index| index.parse().ok());
        found.extend(indices.map(Segment::Index));
    }
    found
}

/// Lines `from..to`, whose entries begin at column `indent`.
struct Scope {
    from: usize,
    to: usize,
    indent: usize,
}

impl Scope {
    /// Goes into an entry; says in which line it begins.
    fn enter(&mut self, lines: &[Line<'_>], segment: &Segment) -> Option<usize> {
        let starts = self.entries(lines, matches!(segment, Segment::Index(_)));
        let position = match segment {
            Segment::Index(index) => *index,
            Segment::Field(field) => starts.iter().position(|line| {
                let text = lines[*line].text.get(self.indent..).unwrap_or_default();
                let text = text
                    .trim_start_matches("- ")
                    .trim_start()
                    .trim_start_matches(['"', '\'']);
                text.strip_prefix(field.as_str()).is_some_and(|rest| {
                    rest.trim_start_matches(['"', '\''])
                        .trim_start()
                        .starts_with(':')
                })
            })?,
        };
        let line = *starts.get(position)?;
        self.to = starts.get(position + 1).copied().unwrap_or(self.to);
        match segment {
            Segment::Index(_) => {
                // `- name: x`: the entries of the item begin behind the dash.
                let text = &lines[line].text[lines[line].indent() + 1..];
                let gap = text.len() - text.trim_start().len();
                self.indent = lines[line].indent() + 1 + gap;
                self.from = line;
            }
            Segment::Field(_) => {
                self.from = line + 1;
                let inner = (self.from..self.to).find(|at| lines[*at].is_content());
                self.indent = inner.map_or(usize::MAX, |at| lines[at].indent());
            }
        }
        Some(line)
    }

    /// The lines in which entries of this scope begin: list items or fields.
    fn entries(&self, lines: &[Line<'_>], items: bool) -> Vec<usize> {
        (self.from..self.to)
            .filter(|at| {
                let line = &lines[*at];
                if !line.is_content() {
                    return false;
                }
                let dash = line.text.trim_start().starts_with("- ");
                let first_of_item = *at == self.from && dash && line.indent() < self.indent;
                (line.indent() == self.indent && (dash == items)) || (!items && first_of_item)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kind: Other\n---\n# comment\nkind: Application\nspec:\n  components:\n  - name: web\n    \
        type: webservice\n    properties:\n      ports:\n        - port: 80\n        - port: x\n  - type: \
        worker\n    name: back\n    traits:\n      - type: scaler\n";

    fn at(path: &str) -> Option<&'static str> {
        locate(TEXT, 1, path).map(|range| &TEXT[range])
    }

    #[test]
    fn fields_and_items_are_found_by_their_indentation() {
        assert_eq!(at("spec.components[0].type"), Some("type: webservice"));
        assert_eq!(at("spec.components[0].name"), Some("- name: web"));
        assert_eq!(
            at("spec.components[0].properties.ports[1].port"),
            Some("- port: x")
        );
        assert_eq!(
            at("spec.components[0].properties.ports.1.port"),
            Some("- port: x")
        );
        assert_eq!(at("spec.components[1].name"), Some("name: back"));
        assert_eq!(
            at("spec.components[1].traits[0].type"),
            Some("- type: scaler")
        );
    }

    #[test]
    fn what_is_not_there_ends_at_its_parent() {
        assert_eq!(
            at("spec.components[0].properties.image"),
            Some("properties:")
        );
        assert_eq!(at("spec.policies[0]"), Some("spec:"));
        assert_eq!(at("status"), None);
    }
}
