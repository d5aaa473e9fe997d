//! Constraints on a value: the part of OpenAPI that does not say what fields there are.

use super::format;
use super::node::Kind;
use crate::field::{Error, Errors};
use regex::Regex;
use serde_json::Value;

/// The constraints of one node.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    pub(super) maximum: Option<Bound>,
    pub(super) minimum: Option<Bound>,
    pub(super) multiple_of: Option<f64>,
    pub(super) max_length: Option<usize>,
    pub(super) min_length: Option<usize>,
    pub(super) pattern: Option<(String, Regex)>,
    pub(super) format: Option<String>,
    pub(super) max_items: Option<usize>,
    pub(super) min_items: Option<usize>,
    pub(super) max_properties: Option<usize>,
    pub(super) min_properties: Option<usize>,
    pub(super) required: Vec<String>,
    pub(super) allowed: Option<Vec<Value>>,
    pub(super) all_of: Vec<Junctor>,
    pub(super) any_of: Vec<Junctor>,
    pub(super) one_of: Vec<Junctor>,
    pub(super) not: Option<Box<Junctor>>,
}

/// A limit of a number.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) value: serde_json::Number,
    pub(super) exclusive: bool,
}

/// A schema within `allOf`, `anyOf`, `oneOf` or `not`: constraints only.
#[derive(Debug, Default)]
pub(super) struct Junctor {
    pub(super) kind: Option<Kind>,
    pub(super) constraints: Constraints,
    pub(super) properties: Vec<(String, Junctor)>,
    pub(super) items: Option<Box<Junctor>>,
    pub(super) additional: Option<Box<Junctor>>,
}

impl Constraints {
    pub(super) fn parse(schema: &Value, path: &str, errors: &mut Errors) -> Self {
        let size = |name: &str| {
            schema
                .get(name)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        let bound = |name: &str, exclusive: &str| {
            let value = schema.get(name)?.as_number()?.clone();
            Some(Bound {
                value,
                exclusive: schema.get(exclusive) == Some(&Value::Bool(true)),
            })
        };
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        Self {
            maximum: bound("maximum", "exclusiveMaximum"),
            minimum: bound("minimum", "exclusiveMinimum"),
            multiple_of: schema
                .get("multipleOf")
                .and_then(Value::as_f64)
                .filter(|m| *m > 0.0),
            max_length: size("maxLength"),
            min_length: size("minLength"),
            pattern: pattern(schema, path, errors),
            format: schema
                .get("format")
                .and_then(Value::as_str)
                .filter(|name| format::is_known(name))
                .map(str::to_owned),
            max_items: size("maxItems"),
            min_items: size("minItems"),
            max_properties: size("maxProperties"),
            min_properties: size("minProperties"),
            required: required
                .filter_map(|r| r.as_str().map(str::to_owned))
                .collect(),
            allowed: schema
                .get("enum")
                .and_then(Value::as_array)
                .filter(|a| !a.is_empty())
                .cloned(),
            all_of: junctors(schema, "allOf", path, errors),
            any_of: junctors(schema, "anyOf", path, errors),
            one_of: junctors(schema, "oneOf", path, errors),
            not: schema
                .get("not")
                .filter(|n| n.is_object())
                .map(|inner| Box::new(Junctor::parse(inner, &format!("{path}.not"), errors))),
        }
    }
}

impl Junctor {
    fn parse(schema: &Value, path: &str, errors: &mut Errors) -> Self {
        let inner = |name: &str, errors: &mut Errors| {
            let inner = schema.get(name).filter(|v| v.is_object())?;
            Some(Box::new(Self::parse(
                inner,
                &format!("{path}.{name}"),
                errors,
            )))
        };
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        Self {
            kind: schema
                .get("type")
                .and_then(Value::as_str)
                .and_then(Kind::of),
            properties: properties
                .map(|(name, s)| {
                    (
                        name.clone(),
                        Self::parse(s, &format!("{path}.properties[{name}]"), errors),
                    )
                })
                .collect(),
            items: inner("items", errors),
            additional: inner("additionalProperties", errors),
            constraints: Constraints::parse(schema, path, errors),
        }
    }
}

fn junctors(schema: &Value, name: &str, path: &str, errors: &mut Errors) -> Vec<Junctor> {
    let all = schema
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    all.enumerate()
        .map(|(i, inner)| Junctor::parse(inner, &format!("{path}.{name}[{i}]"), errors))
        .collect()
}

fn pattern(schema: &Value, path: &str, errors: &mut Errors) -> Option<(String, Regex)> {
    let text = schema.get("pattern")?.as_str().filter(|p| !p.is_empty())?;
    match Regex::new(&go_to_rust(text)) {
        Ok(regex) => Some((text.to_owned(), regex)),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            errors.push(Error::invalid(
                format!("{path}.pattern"),
                text,
                format!("must be a valid regular expression, but isn't: {reason}"),
            ));
            None
        }
    }
}

/// Go accepts a few escapes that Rust refuses: `\/`, `\"`, `\_` and the like stand for themselves; `\z` is the end.
fn go_to_rust(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(
                next @ ('/' | '"' | '\'' | '_' | '@' | ':' | ',' | ';' | '=' | '!' | '%' | '`'
                | '<' | '>' | ' '),
            ) => out.push(next),
            Some(next) => out.extend(['\\', next]),
            None => out.push('\\'),
        }
    }
    out
}
