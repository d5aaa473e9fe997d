//! Where a field stands in the text of a manifest: for snippets in errors.

use std::ops::Range;

use caravel_core::yaml;

/// The bytes of the value of a field, as far as they are on its first line. `document` counts documents
/// that are not empty; `path` is like `spec.components[0].traits[1].type`. A field that is not there is
/// found at its parent.
pub(crate) fn locate(text: &str, document: usize, path: &str) -> Option<Range<usize>> {
    let (line, column) = yaml::position(text, document, path)?;
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let skipped = usize::try_from(column).ok()?.checked_sub(1)?;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let content = text.get(before..)?.lines().next()?;
    let (offset, _) = content.char_indices().nth(skipped)?;
    let value = content[offset..].trim_end();
    Some(before + offset..before + offset + value.len())
}

/// Line and column, from 1, of a field as [`locate`] finds it.
pub(crate) fn place(text: &str, document: usize, path: &str) -> Option<(u32, u32)> {
    let (line, column) = yaml::position(text, document, path)?;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kind: Other\n---\n# comment\nkind: Application\nspec:\n  components:\n  - name: wéb\n    \
        type: webservice \n    properties:\n      ports:\n        - port: 80\n        - port: \"x\"\n";

    fn at(path: &str) -> Option<&'static str> {
        locate(TEXT, 1, path).map(|range| &TEXT[range])
    }

    #[test]
    fn values_are_found_with_all_their_bytes() {
        assert_eq!(at("spec.components[0].name"), Some("wéb"));
        assert_eq!(at("spec.components[0].type"), Some("webservice"));
        assert_eq!(
            at("spec.components[0].properties.ports[1].port"),
            Some("\"x\"")
        );
    }

    #[test]
    fn what_is_not_there_is_found_at_its_parent() {
        assert_eq!(at("spec.components[0].properties.image"), Some("ports:"));
        assert_eq!(locate("a: [", 0, "a"), None);
    }
}
