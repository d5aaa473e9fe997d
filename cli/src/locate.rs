//! Where a field stands in the text of a manifest: for snippets in errors.

use std::ops::Range;

use caravel_core::yaml::{self, Spot};
use serde_json::Value;

/// What of a field is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

/// Where an object stands in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Site {
    /// Which document it is in; empty ones do not count.
    pub(crate) document: usize,
    /// What stands before the paths of its fields: `items[0].` in a list.
    within: String,
}

impl Site {
    /// The path of a field in the document.
    pub(crate) fn path(&self, path: &str) -> String {
        if path.is_empty() {
            return self.within.trim_end_matches('.').to_owned();
        }
        format!("{}{path}", self.within)
    }
}

/// The objects of documents, with those that a `kind: List` holds in its place: what `kubectl get -o yaml` writes.
pub(crate) fn objects(documents: Vec<Value>) -> Vec<(Value, Site)> {
    let mut found = Vec::new();
    let documents = documents.into_iter().filter(|one| !one.is_null());
    for (document, object) in documents.enumerate() {
        let within = String::new();
        unpack(object, Site { document, within }, &mut found);
    }
    found
}

fn unpack(mut object: Value, site: Site, found: &mut Vec<(Value, Site)>) {
    let is_list = object["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    match object.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => {
            for (index, item) in items.into_iter().enumerate() {
                let within = format!("{}items[{index}].", site.within);
                unpack(item, Site { within, ..site }, found);
            }
        }
        other => {
            if let Some(other) = other {
                object["items"] = other;
            }
            found.push((object, site));
        }
    }
}

fn spot(text: &str, site: &Site, path: &str, part: Part) -> Option<Spot> {
    // `Policy production.properties`: another object.
    let (first, _) = path.split_once('.').unwrap_or((path, ""));
    if first.contains(' ') {
        return None;
    }
    let (document, path) = (site.document, site.path(path));
    match part {
        Part::Key => yaml::key_spot(text, document, &path),
        Part::Value => yaml::value_spot(text, document, &path),
    }
}

/// The bytes of a field, as far as they are on its first line. `path` is like `spec.components[0].traits[1].type`. A field
/// that is not there is found at its parent.
pub(crate) fn locate(text: &str, site: &Site, path: &str, part: Part) -> Option<Range<usize>> {
    let spot = spot(text, site, path, part)?;
    let start = offset(text, spot.line, spot.column)?;
    let rest = text.get(start..)?.lines().next()?;
    let length = match spot.letters {
        Some(letters) => rest.chars().take(letters.max(1)).map(char::len_utf8).sum(),
        None => container(rest),
    };
    let length = rest[..length].trim_end().len();
    Some(start..start + length)
}

/// How many bytes of a text stand before a line and column, which count letters from 1. What is beyond the end of a line is
/// at its end.
pub(crate) fn offset(text: &str, line: u64, column: u64) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let skipped = usize::try_from(column).ok()?.checked_sub(1)?;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let content = text.get(before..)?.lines().next().unwrap_or_default();
    let within = content.char_indices().nth(skipped);
    Some(before + within.map_or(content.len(), |(offset, _)| offset))
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
pub(crate) fn place(text: &str, site: &Site, path: &str, part: Part) -> Option<(u32, u32)> {
    let spot = spot(text, site, path, part)?;
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
        let site = Site {
            document: 1,
            ..Site::default()
        };
        locate(TEXT, &site, path, part).map(|range| &TEXT[range])
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
    fn objects_in_lists_are_found_where_they_stand() {
        let text = "---\nkind: List\nitems:\n- kind: A\n  x: 1\n- kind: BList\n  items: [{kind: B, x: 22}]\n---\nkind: C\nitems: {}\n";
        let documents = yaml::parse(text).expect("YAML");
        let objects = objects(documents);
        let kinds: Vec<_> = objects.iter().map(|(one, _)| one["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
        assert!(objects[2].0["items"].is_object());
        let at = |index: usize, path: &str| {
            locate(text, &objects[index].1, path, Part::Value).map(|range| &text[range])
        };
        assert_eq!((at(0, "x"), at(1, "x")), (Some("1"), Some("22")));
        assert_eq!(at(2, "kind"), Some("C"));
    }

    #[test]
    fn what_is_not_there_is_found_at_its_parent() {
        assert_eq!(
            at("spec.components[0].properties.image", Part::Value),
            Some("ports:")
        );
        assert_eq!(locate("a: [", &Site::default(), "a", Part::Value), None);
        assert_eq!(at("Policy p.properties.clusters", Part::Value), None);
    }
}
