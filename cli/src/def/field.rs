//! Paths of fields as people write them: `spec.containers[0].image`, `metadata.labels["a.b/c"]`.

use anyhow::{Result, bail};
use serde_json::Value;

/// The parts of a path. Indexes are parts of digits.
pub(crate) fn parts(path: &str) -> Result<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = path.trim();
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let (part, after) = if let Some(inner) = rest.strip_prefix('[') {
            let Some((inner, after)) = inner.split_once(']') else {
                bail!("{path}: a bracket is not closed");
            };
            (inner.trim_matches(['"', '\'']).to_owned(), after)
        } else if let Some(inner) = rest.strip_prefix('"') {
            let Some((inner, after)) = inner.split_once('"') else {
                bail!("{path}: a quote is not closed");
            };
            (inner.to_owned(), after)
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        if part.is_empty() {
            bail!("{path}: a name is missing between two dots");
        }
        parts.push(part);
        rest = after;
    }
    if parts.is_empty() {
        bail!("the path of a field is empty");
    }
    Ok(parts)
}

/// The names that a path leads along in an object. Keys that hold dots need no quotes.
pub(crate) fn resolve(value: &Value, parts: &[String]) -> Option<Vec<String>> {
    if parts.is_empty() {
        return Some(Vec::new());
    }
    for taken in 1..=parts.len() {
        let name = parts[..taken].join(".");
        if let Some(inner) = child(value, &name)
            && let Some(rest) = resolve(inner, &parts[taken..])
        {
            let mut path = vec![name];
            path.extend(rest);
            return Some(path);
        }
    }
    None
}

/// The value at a resolved path.
pub(crate) fn get<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter()
        .try_fold(value, |value, part| child(value, part))
}

fn child<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(name),
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// A path as people write it.
pub(crate) fn text(path: &[String]) -> String {
    let mut text = String::new();
    for part in path {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            text = format!("{text}[{part}]");
        } else if part.contains(['.', '/']) {
            text = format!("{text}[\"{part}\"]");
        } else if text.is_empty() {
            text.clone_from(part);
        } else {
            text = format!("{text}.{part}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_read_as_people_write_them() {
        let object = json!({
            "metadata": {"labels": {"app.oam.dev/name": "x"}},
            "spec": {"list": [{"a": 1}]},
        });
        let found = |path: &str| {
            let path = resolve(&object, &parts(path).expect(path))?;
            Some((text(&path), get(&object, &path).cloned()?))
        };
        let label = Some((
            "metadata.labels[\"app.oam.dev/name\"]".to_owned(),
            json!("x"),
        ));
        assert_eq!(found("metadata.labels.app.oam.dev/name"), label);
        assert_eq!(found("metadata.labels[\"app.oam.dev/name\"]"), label);
        assert_eq!(
            found("spec.list[0].a"),
            Some(("spec.list[0].a".to_owned(), json!(1)))
        );
        assert_eq!(found("spec.list[1].a"), None);
        assert!(parts("a..b").is_err());
        assert!(parts("a[0").is_err());
    }
}
