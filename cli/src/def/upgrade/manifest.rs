//! Texts in YAML manifests, replaced where they stand: comments and order stay.

use caravel_core::yaml::position;

/// Replaces the text of a field by another one, as a block. None where it does not stand by itself (in braces).
pub(super) fn replaced(yaml: &str, document: usize, path: &str, new: &str) -> Option<String> {
    let (line, column) = position(yaml, document, path)?;
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let start: usize = yaml.split_inclusive('\n').take(line).map(str::len).sum();
    let before: String = yaml[start..].chars().take(column).collect();
    if before.trim().is_empty() {
        replace_block(yaml, start, column, new)
    } else {
        replace_quoted(yaml, start + before.len(), &before, new)
    }
}

/// Where line 1, column 1 of a text is that stands in a block; none where it stands in quotes.
pub(super) fn place(yaml: &str, document: usize, path: &str) -> Option<(u32, u32)> {
    let (line, column) = position(yaml, document, path)?;
    let index = usize::try_from(line).ok()?.checked_sub(1)?;
    let before: String = yaml
        .lines()
        .nth(index)?
        .chars()
        .take(usize::try_from(column).ok()?.checked_sub(1)?)
        .collect();
    let is_block = before.trim().is_empty();
    is_block.then_some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

/// `start` is where the first line of the block begins that is not empty.
fn replace_block(yaml: &str, start: usize, indent: usize, new: &str) -> Option<String> {
    let header = yaml[..start].trim_end().len();
    let sign = yaml[..header].rfind(['|', '>'])?;
    let mut end = start;
    let mut lines = start;
    for line in yaml[start..].split_inclusive('\n') {
        lines += line.len();
        let content = line.trim_end();
        let depth = content.len() - content.trim_start_matches(' ').len();
        if content.is_empty() {
            continue;
        }
        if depth < indent {
            break;
        }
        end = lines;
    }
    Some(format!(
        "{}|{}\n{}{}",
        &yaml[..sign],
        &yaml[sign + 1..header],
        indented(new, indent),
        &yaml[end..]
    ))
}

fn replace_quoted(yaml: &str, start: usize, before: &str, new: &str) -> Option<String> {
    let length = quoted(&yaml[start..])?;
    let (value, rest) = yaml[start..].split_at(length);
    let (line, below) = rest.split_once('\n').unwrap_or((rest, ""));
    let is_last = line.trim().is_empty() || line.trim().starts_with('#');
    if !is_last || before.contains('{') {
        return None;
    }
    let key = before.trim_start_matches([' ', '-']);
    let indent = before.len() - key.len() + 2;
    let ends = value.trim_end_matches(['"', '\'']).ends_with("\\n");
    let sign = if ends { "|" } else { "|-" };
    Some(format!(
        "{}{sign}{line}\n{}{below}",
        &yaml[..start],
        indented(new, indent)
    ))
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

fn indented(text: &str, indent: usize) -> String {
    let mut out = String::new();
    for line in text.trim_end().lines() {
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use caravel_core::yaml;

    use super::*;

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
        ] {
            let new = "c: \"\\(1)\"\n\n\td: 2\n";
            let document = usize::from(before.contains("---"));
            let made = replaced(before, document, "spec.cue.template", new).expect("a place");
            assert_eq!(made, after);
            let read = yaml::parse(&made).expect("YAML");
            let text = read[document]["spec"]["cue"]["template"].as_str();
            assert_eq!(text.map(str::trim_end), Some(new.trim_end()));
        }
        let in_braces = "spec: {cue: {template: \"a: 1\"}}\n";
        assert_eq!(replaced(in_braces, 0, "spec.cue.template", "b: 1\n"), None);
    }
}
