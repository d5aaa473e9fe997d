//! Writing.

use std::fmt::Write as _;

use serde_json::Value;

/// Writes a value as one document.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// Writes values as a stream of documents.
pub fn stream<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    let documents: Vec<String> = values.into_iter().map(to_string).collect();
    documents.join("---\n")
}

/// Writes a value whose lines are indented by `indent`; the cursor is at the beginning of its first
/// line, which is already indented.
fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (position, (key, value)) in map.iter().enumerate() {
                if position > 0 {
                    spaces(out, indent);
                }
                scalar_text(out, key, indent, true);
                out.push(':');
                entry(out, value, indent);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    spaces(out, indent);
                }
                out.push_str("- ");
                block(out, item, indent + 2);
            }
        }
        scalar => {
            inline(out, scalar, indent);
            out.push('\n');
        }
    }
}

/// Writes the value of a key, after its colon. Lists are not indented further, as `kubectl` does.
fn entry(out: &mut String, value: &Value, indent: usize) {
    let inner = match value {
        Value::Object(map) if !map.is_empty() => indent + 2,
        Value::Array(items) if !items.is_empty() => indent,
        scalar => {
            out.push(' ');
            inline(out, scalar, indent);
            out.push('\n');
            return;
        }
    };
    out.push('\n');
    spaces(out, inner);
    block(out, value, inner);
}

/// Writes what fits behind a key: a scalar or something empty.
fn inline(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{number}");
        }
        Value::String(text) => scalar_text(out, text, indent, false),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

fn spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

/// How a string is written.
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

fn scalar_text(out: &mut String, text: &str, indent: usize, key: bool) {
    match style(text, key) {
        Style::Plain => out.push_str(text),
        Style::Single => {
            out.push('\'');
            out.push_str(&text.replace('\'', "''"));
            out.push('\'');
        }
        Style::Double => double_quoted(out, text),
        Style::Literal => literal(out, text, indent),
    }
}

fn style(text: &str, key: bool) -> Style {
    let odd = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{85}')
    };
    if text.is_empty() || text.contains(odd) || is_misread(text) {
        return Style::Double;
    }
    if text.contains('\n') {
        // A literal block cannot be a key, and its first line must not begin with a space, or be
        // empty, without an explicit indentation.
        let awkward =
            key || text.starts_with([' ', '\n']) || text.lines().any(|line| line.ends_with(' '));
        return if awkward {
            Style::Double
        } else {
            Style::Literal
        };
    }
    if is_plain(text) {
        Style::Plain
    } else {
        Style::Single
    }
}

/// Whether a plain scalar of this text would be read as something else than text, by YAML 1.1 or 1.2.
fn is_misread(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "y", "yes", "n", "no", "true", "false", "on", "off", "null", "~", "=", "<<", ".nan",
        ".inf", "-.inf", "+.inf",
    ];
    if WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return true;
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let begins_as_number = digits.starts_with(|c: char| c.is_ascii_digit())
        || (digits.starts_with('.') && digits[1..].starts_with(|c: char| c.is_ascii_digit()));
    begins_as_number && (is_number(digits) || is_sexagesimal(digits) || is_date(text))
}

/// Integers of all bases, and floats, with or without underscores.
fn is_number(digits: &str) -> bool {
    let bare = digits.replace('_', "");
    for (prefix, radix) in [
        ("0x", 16),
        ("0X", 16),
        ("0o", 8),
        ("0O", 8),
        ("0b", 2),
        ("0B", 2),
    ] {
        if let Some(rest) = bare.strip_prefix(prefix) {
            return !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
        }
    }
    bare.parse::<f64>().is_ok()
}

/// YAML 1.1 reads `1:30` as 90.
fn is_sexagesimal(digits: &str) -> bool {
    digits.contains(':')
        && digits.split(':').all(|part| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_digit() || c == '_' || c == '.')
        })
}

/// YAML 1.1 reads `2026-11-21`, and more of this form, as a time.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5].is_ascii_digit()
        && text[5..].contains('-')
}

/// Whether the text can stand without quotes at all.
fn is_plain(text: &str) -> bool {
    let indicator = |c| {
        matches!(
            c,
            ',' | '['
                | ']'
                | '{'
                | '}'
                | '#'
                | '&'
                | '*'
                | '!'
                | '|'
                | '>'
                | '\''
                | '"'
                | '%'
                | '@'
                | '`'
        )
    };
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return false;
    };
    if indicator(first) || text.starts_with(' ') || text.ends_with(' ') {
        return false;
    }
    if matches!(first, '-' | '?' | ':')
        && chars
            .next()
            .is_none_or(|second| second == ' ' || second == '-')
    {
        return false;
    }
    !(text.contains(": ") || text.ends_with(':') || text.contains(" #") || text.starts_with("..."))
}

fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                let code = u32::from(c);
                let _ = if code < 0x100 {
                    write!(out, "\\x{code:02x}")
                } else {
                    write!(out, "\\u{code:04x}")
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A block of lines. The last line break of the text decides how the block ends.
fn literal(out: &mut String, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    let breaks = text.len() - body.len();
    out.push_str(match breaks {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            spaces(out, indent + 2);
            out.push_str(line);
        }
    }
    for _ in 1..breaks {
        out.push('\n');
    }
}
