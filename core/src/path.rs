//! Paths of fields, such as `spec.components[0].properties.labels."app.kubernetes.io/name"`.
//!
//! A key with a dot, slash or bracket in it is one part: whoever looks for a place goes by parts, and not by the text.

use std::fmt::Write as _;

use serde_path_to_error::{Path, Segment};

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An element of a list.
    Index(usize),
    /// A field.
    Name(String),
}

impl Part {
    /// As the key of a map.
    pub fn key(&self) -> String {
        match self {
            Self::Index(index) => index.to_string(),
            Self::Name(name) => name.clone(),
        }
    }
}

/// The parts of a path. Quotes or brackets hold a key with dots: `labels."a.b"`, `annotations[a.b]`.
pub fn parts(path: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some((name, after)) = quoted(rest) {
            parts.push(Part::Name(name));
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let (part, after) = bracketed(inner);
            parts.push(part);
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end > 0 {
                parts.push(Part::Name(rest[..end].to_owned()));
            }
            rest = &rest[end..];
        }
    }
    parts
}

/// A key in double quotes, and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = inner.find(|letter| {
        let is_end = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_end
    })?;
    let (whole, after) = text.split_at(end + 2);
    let name = serde_json::from_str(whole).unwrap_or_else(|_| inner[..end].to_owned());
    Some((name, after))
}

/// What stands in brackets, and what comes after them.
fn bracketed(inner: &str) -> (Part, &str) {
    if let Some((name, after)) = quoted(inner) {
        return (Part::Name(name), after.strip_prefix(']').unwrap_or(after));
    }
    let end = inner.find(']').unwrap_or(inner.len());
    let text = inner[..end].trim_matches('\'');
    let part = text
        .parse()
        .map_or_else(|_| Part::Name(text.to_owned()), Part::Index);
    (part, inner.get(end + 1..).unwrap_or_default())
}

/// A path that goes on from another; either may be empty.
pub fn join(path: &str, parts: &[Part]) -> String {
    let mut text = path.to_owned();
    for part in parts {
        match part {
            Part::Index(index) => {
                let _ = write!(text, "[{index}]");
            }
            Part::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&written(name));
            }
        }
    }
    text
}

/// A path that goes on with one field.
pub fn below(path: &str, name: &str) -> String {
    join(path, &[Part::Name(name.to_owned())])
}

/// A key, in quotes where it would be taken for several, or for none.
fn written(name: &str) -> String {
    let is_plain = |letter: char| !letter.is_whitespace() && !".[]\"'".contains(letter);
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        serde_json::Value::from(name).to_string()
    }
}

/// Where a decoder stopped, from a path on.
pub(crate) fn of_decoder(path: &str, stopped: &Path) -> String {
    let part = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Part::Index(*index)),
        Segment::Map { key } => Some(Part::Name(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    let parts: Vec<Part> = stopped.iter().filter_map(part).collect();
    join(path, &parts)
}

/// Whether a path is another, or leads into the value there.
pub(crate) fn is_at(path: &str, outer: &str) -> bool {
    parts(path).starts_with(&parts(outer))
}

/// Whether a path leads into the value at another.
pub(crate) fn is_inside(path: &str, outer: &str) -> bool {
    let outer = parts(outer);
    let path = parts(path);
    path.len() > outer.len() && path.starts_with(&outer)
}

/// The last name of a path: `replicas` of `spec.template.replicas[0]`.
pub fn last_name(path: &str) -> String {
    let mut parts = parts(path).into_iter().rev();
    let name = parts.find_map(|part| match part {
        Part::Name(name) => Some(name),
        Part::Index(_) => None,
    });
    name.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<String> {
        parts(path).iter().map(Part::key).collect()
    }

    #[test]
    fn a_key_with_dots_slashes_or_brackets_is_one_part() {
        for (path, expected) in [
            ("a[0].b", vec!["a", "0", "b"]),
            (
                r#"labels."app.kubernetes.io/name""#,
                vec!["labels", "app.kubernetes.io/name"],
            ),
            (r#"http."/v2[x]".y"#, vec!["http", "/v2[x]", "y"]),
            (r#"a."say \"hi\".".b"#, vec!["a", "say \"hi\".", "b"]),
            (r#"a["b.c"][1]"#, vec!["a", "b.c", "1"]),
            (
                "metadata.annotations[app.oam.dev/x]",
                vec!["metadata", "annotations", "app.oam.dev/x"],
            ),
            ("", vec![]),
        ] {
            assert_eq!(names(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for name in ["a", "a-b", "a.b", "x[0]", "", "a b", "\"", "é", "0"] {
            let path = below("spec", name);
            assert_eq!(names(&path), ["spec", name], "{path}");
        }
        assert_eq!(join("", &parts("a.b[2]")), "a.b[2]");
        assert_eq!(below("labels", "a.b/c"), r#"labels."a.b/c""#);
    }

    #[test]
    fn one_path_is_inside_of_another_by_its_parts() {
        assert!(is_inside(r#"a."b.c".d"#, r#"a["b.c"]"#));
        assert!(!is_inside("a.bc", "a.b"));
        assert!(!is_inside("a.b", "a.b"));
        assert!(is_at("a.b", "a.b"));
        assert_eq!(last_name(r#"spec.labels."a.b"[0]"#), "a.b");
    }
}
