//! Where a field stands in the text of a manifest: for snippets in errors.

use std::ops::Range;

use caravel_core::yaml::{self, Spot};

/// What of a field is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

fn spot(text: &str, document: usize, path: &str, part: Part) -> Option<Spot> {
    // `Policy production.properties`: another object.
    let (first, _) = path.split_once('.').unwrap_or((path, ""));
    if first.contains(' ') {
        return None;
    }
    match part {
        Part::Key => yaml::key_spot(text, document, path),
        Part::Value => yaml::value_spot(text, document, path),
    }
}

/// The bytes of a field, as far as they are on its first line. `document` counts documents that are not empty; `path`
/// is like `spec.components[0].traits[1].type`. A field that is not there is found at its parent.
pub(crate) fn locate(text: &str, document: usize, path: &str, part: Part) -> Option<Range<usize>> {
    let spot = spot(text, document, path, part)?;
    let line = usize::try_from(spot.line).ok()?.checked_sub(1)?;
    let skipped = usize::try_from(spot.column).ok()?.checked_sub(1)?;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let content = text.get(before..)?.lines().next()?;
    let (offset, _) = content.char_indices().nth(skipped)?;
    let rest = &content[offset..];
    let length = match spot.letters {
        Some(letters) => rest.chars().take(letters.max(1)).map(char::len_utf8).sum(),
        None => container(rest),
    };
    let length = rest[..length].trim_end().len();
    Some(before + offset..before + offset + length)
}

/// How many bytes of a line belong to the map or list that begins it: up to its bracket, or all.
fn container(line: &str) -> usize {
    let mut depth = 0_usize;
    for (offset, letter) in line.char_indices() {
        match letter {
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return offset + 1;
                }
            }
            _ if depth == 0 => break,
            _ => {}
        }
    }
    line.len()
}

/// Line and column, from 1, of a field as [`locate`] finds it.
pub(crate) fn place(text: &str, document: usize, path: &str, part: Part) -> Option<(u32, u32)> {
    let spot = spot(text, document, path, part)?;
    Some((
        u32::try_from(spot.line).ok()?,
        u32::try_from(spot.column).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kind: Other\n---\n# comment\nkind: Application\nspec:\n  components:\n  - name: wéb\n    \
        type: webservice \n    properties:\n      ports:\n        - port: 80\n        - port: \"x\"\n    flow: {ö: [1, 2], env: {a: b c, d: 1}}\n    more: {\"a.b/c[0]\": true, \"/\": 80}\n";

    fn at(path: &str, part: Part) -> Option<&'static str> {
        locate(TEXT, 1, path, part).map(|range| &TEXT[range])
    }

    #[test]
    fn values_are_found_with_all_their_bytes() {
        for (path, value) in [
            ("spec.components[0].name", "wéb"),
            ("spec.components[0].type", "webservice"),
            ("spec.components[0].properties.ports[1].port", "\"x\""),
            ("spec.components[0].flow.ö", "[1, 2]"),
            ("spec.components[0].flow.env", "{a: b c, d: 1}"),
            ("spec.components[0].flow.env.a", "b c"),
            ("spec.components[0].more.\"a.b/c[0]\"", "true"),
            ("spec.components[0].more[\"/\"]", "80"),
        ] {
            assert_eq!(at(path, Part::Value), Some(value), "{path}");
        }
        assert_eq!(at("spec.components[0].flow.env.d", Part::Key), Some("d"));
        assert_eq!(
            at("spec.components[0].properties", Part::Key),
            Some("properties")
        );
    }

    #[test]
    fn what_is_not_there_is_found_at_its_parent() {
        assert_eq!(
            at("spec.components[0].properties.image", Part::Value),
            Some("ports:")
        );
        assert_eq!(locate("a: [", 0, "a", Part::Value), None);
        assert_eq!(at("Policy p.properties.clusters", Part::Value), None);
    }
}
