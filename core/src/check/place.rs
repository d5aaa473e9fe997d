//! The place of a field in a template, as far as its text tells.

use std::ops::Range;

use crate::path::{Part, parts};

/// Line and column, from 1, of the place where a template gives the field at a path (`outputs.web.spec.ports[0]`) a value; of
/// what it would be in, where that is all that the text tells.
pub fn place_of_path(template: &str, path: &str) -> Option<(u32, u32)> {
    let parts = parts(path).into_iter();
    let names: Vec<String> = parts
        .filter_map(|part| match part {
            Part::Name(name) => Some(name),
            Part::Index(_) => None,
        })
        .collect();
    let last = names.last()?;
    let (mut found, mut within) = (None, 0..template.len());
    for (depth, name) in names.iter().enumerate() {
        let inner = labels(template, name, within.clone()).into_iter();
        // Several blocks of one name are one struct: the next name tells which is meant.
        let follows = |label: &usize| {
            let next = names.get(depth + 1);
            let block = block(template, *label);
            next.is_none_or(|next| !labels(template, next, block).is_empty())
        };
        let inner: Vec<usize> = inner.collect();
        let chosen = inner.iter().find(|at| follows(at)).or(inner.first());
        let Some(label) = chosen.copied() else {
            // In an object whose name only its template knows nothing is looked for: it would be that of another.
            let is_unknown = depth == 1 && names[0] == "outputs";
            let guessed = labels(template, last, within).into_iter().next();
            found = guessed.filter(|_| !is_unknown).or(found);
            break;
        };
        found = Some(label);
        within = block(template, label);
    }
    place(template, found?)
}

/// Line and column of a byte.
fn place(text: &str, at: usize) -> Option<(u32, u32)> {
    let before = text.get(..at)?;
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next()?.chars().count() + 1;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

/// Where in a part of a template fields of that name are given a value.
fn labels(template: &str, field: &str, within: Range<usize>) -> Vec<usize> {
    let start = within.start;
    let part = &template[within];
    let is_label = |at: usize| {
        let before = part[..at].chars().next_back();
        let after = part[at + field.len()..].trim_start_matches(['"', '?', '!']);
        let is_whole = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.');
        is_whole && after.trim_start().starts_with(':')
    };
    let all = part.match_indices(field).map(|(at, _)| at);
    all.filter(|at| is_label(*at))
        .map(|at| start + at)
        .collect()
}

/// What belongs to the label that stands there, up to the end of its value: the end of a line, a comma, or the bracket that
/// closes what it stands in.
fn block(template: &str, label: usize) -> Range<usize> {
    let (mut depth, mut quoted, mut escaped, mut is_comment) = (0_usize, false, false, false);
    for (offset, letter) in template[label..].char_indices() {
        let end = label + offset;
        is_comment = letter != '\n' && (is_comment || !quoted && template[end..].starts_with("//"));
        match letter {
            _ if is_comment => {}
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' | '\n' | ',' if depth == 0 => return label..end,
            '}' | ']' | ')' => depth -= 1,
            _ => {}
        }
    }
    label..template.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_where_it_is_given_not_where_it_is_used() {
        let template = "output: {\n  x: parameter.replica\n  spec: {\"replica\": 1}\n}\n";
        assert_eq!(
            place_of_path(template, "output.spec.replica"),
            Some((3, 11))
        );
        assert_eq!(place_of_path(template, "nowhere"), None);
    }

    #[test]
    fn a_field_is_found_in_the_object_that_has_it() {
        let template = "output: {kind: \"A\", s: \"a{\", spec: ports: 1}\noutputs: good: {\n\tkind: \"B\"\n\tspec: {ports: [1]}\n}\n\
                        outputs: {\n\tbad: {\n\t\tkind: \"C\"\n\t\tif x {spec: ports: 2}\n\t}\n\tothers: spec: replicas: 1\n}\n\
                        outputs: \"\\(name)\": kind: \"D\"\n";
        for (path, place) in [
            ("output.spec.ports", (1, 36)),
            ("outputs.good.spec.ports[0].port", (4, 9)),
            ("outputs.good.kind", (3, 2)),
            ("outputs.bad.kind", (8, 3)),
            ("outputs.bad.spec.ports", (9, 15)),
            ("outputs.bad.spec.replicas", (9, 9)),
            ("outputs.others.spec.replicas", (11, 16)),
            ("outputs.gone.kind", (2, 1)),
        ] {
            assert_eq!(place_of_path(template, path), Some(place), "{path}");
        }
    }
}
