//! Label selectors as people write them: `a=b,c in (d,e),!f`.

use kube_core::{Expression, Selector};

/// Reads a selector.
pub(super) fn parse(text: &str) -> Result<Selector, String> {
    requirements(text)
        .into_iter()
        .map(|part| requirement(part.trim()))
        .collect()
}

/// The parts between commas that are not in parentheses.
fn requirements(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(text: &str) -> Result<Expression, String> {
    let wrong = || format!("`{text}` is no requirement on labels");
    let key = |key: &str| {
        let key = key.trim();
        let is_key = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let is_fine = !key.is_empty() && key.chars().all(is_key);
        is_fine.then(|| key.to_owned()).ok_or_else(wrong)
    };
    let value = |value: &str| value.trim().to_owned();
    if let Some((name, of)) = text.split_once("!=") {
        return Ok(Expression::NotEqual(key(name)?, value(of)));
    }
    if let Some((name, of)) = text.split_once('=') {
        let of = of.strip_prefix('=').unwrap_or(of);
        return Ok(Expression::Equal(key(name)?, value(of)));
    }
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Expression::DoesNotExist(key(name)?));
    }
    let Some((head, list)) = text.split_once('(') else {
        return Ok(Expression::Exists(key(text)?));
    };
    let list = list.strip_suffix(')').ok_or_else(wrong)?;
    let values = list.split(',').map(value).collect();
    match head.trim().split_once(char::is_whitespace) {
        Some((name, word)) if word.trim() == "in" => Ok(Expression::In(key(name)?, values)),
        Some((name, word)) if word.trim() == "notin" => Ok(Expression::NotIn(key(name)?, values)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_understood() {
        for (text, expected) in [
            ("a=b", "a=b"),
            ("a == b", "a=b"),
            ("x.io/a!=b", "x.io/a!=b"),
            ("a in (b, c),!d , e", "a in (b,c),!d,e"),
            ("a notin (b)", "a notin (b)"),
        ] {
            assert_eq!(
                parse(text).map(|one| one.to_string()).as_deref(),
                Ok(expected)
            );
        }
        for text in ["", "a in b", "a in (b", "a has (b)", "a b", "=b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
