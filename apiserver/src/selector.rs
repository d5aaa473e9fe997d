//! Label and field selectors of lists and watches.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::catalog::Kind;
use crate::request::Query;
use crate::status::{Result, Status};
use crate::store::Object;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// What a list or watch selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selectors {
    labels: Vec<Requirement>,
    fields: Vec<(String, String, bool)>,
    name: Option<String>,
}

impl Selectors {
    /// The selectors of a query. `name` restricts to one object.
    pub(crate) fn parse(query: &Query, kind: &Kind, name: &str) -> Result<Self> {
        Ok(Self {
            labels: query
                .text("labelSelector")
                .map(parse_labels)
                .transpose()?
                .unwrap_or_default(),
            fields: query
                .text("fieldSelector")
                .map(|text| parse_fields(text, kind))
                .transpose()?
                .unwrap_or_default(),
            name: (!name.is_empty()).then(|| name.to_owned()),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty() && self.name.is_none()
    }

    /// Is the object selected?
    pub(crate) fn select(&self, object: &Object) -> bool {
        if self
            .name
            .as_ref()
            .is_some_and(|name| *name != object.key.name)
        {
            return false;
        }
        if !self
            .labels
            .iter()
            .all(|requirement| requirement.holds(&object.labels))
        {
            return false;
        }
        let mut decoded = None;
        self.fields.iter().all(|(field, wanted, equal)| {
            let found = match field.as_str() {
                "metadata.name" => object.key.name.clone(),
                "metadata.namespace" => object.key.namespace.clone(),
                other => field_text(decoded.get_or_insert_with(|| object.value()), other),
            };
            (found == *wanted) == *equal
        })
    }
}

fn field_text(object: &Value, path: &str) -> String {
    let found = path
        .split('.')
        .try_fold(object, |value, step| value.get(step));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::Absent(key) => !labels.contains_key(key),
        }
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>> {
    let wrong = || {
        Status::bad_request(format!(
            "unable to parse requirement: {text:?} is not a label selector"
        ))
    };
    let mut parts = Vec::new();
    let mut depth = 0;
    let mut part = String::new();
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part);
    parts
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .map(|part| {
            let one = |value: &str| vec![value.trim().to_owned()];
            if let Some((key, value)) = part.split_once("!=") {
                return Ok(Requirement::NotIn(key.trim().to_owned(), one(value)));
            }
            if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                return Ok(Requirement::In(key.trim().to_owned(), one(value)));
            }
            if let Some(key) = part.strip_prefix('!') {
                return Ok(Requirement::Absent(key.trim().to_owned()));
            }
            let Some((head, values)) = part.strip_suffix(')').and_then(|part| part.split_once('('))
            else {
                return if part.contains(char::is_whitespace) {
                    Err(wrong())
                } else {
                    Ok(Requirement::Exists(part.to_owned()))
                };
            };
            let values = values
                .split(',')
                .map(|value| value.trim().to_owned())
                .collect();
            let (key, operator) = head
                .trim()
                .split_once(char::is_whitespace)
                .ok_or_else(wrong)?;
            match operator.trim() {
                "in" => Ok(Requirement::In(key.to_owned(), values)),
                "notin" => Ok(Requirement::NotIn(key.to_owned(), values)),
                _ => Err(wrong()),
            }
        })
        .collect()
}

fn parse_fields(text: &str, kind: &Kind) -> Result<Vec<(String, String, bool)>> {
    let known = known_fields(kind);
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (field, value, equal) = split_field(part).ok_or_else(|| {
                let why = format!("invalid selector: '{text}'; can't understand '{part}'");
                Status::bad_request(why)
            })?;
            if !known.iter().any(|known| known == field) {
                let quoted: Vec<String> = known
                    .iter()
                    .map(|field| caravel_schema::field::quote(field))
                    .collect();
                return Err(Status::bad_request(format!(
                    "{} is not a known field selector: only {}",
                    caravel_schema::field::quote(field),
                    quoted.join(", ")
                )));
            }
            Ok((field.to_owned(), value.to_owned(), equal))
        })
        .collect()
}

/// Field, value, and whether they must be equal.
fn split_field(part: &str) -> Option<(&str, &str, bool)> {
    if let Some((field, value)) = part.split_once("!=") {
        return Some((field, value, false));
    }
    let (field, value) = part.split_once("==").or_else(|| part.split_once('='))?;
    Some((field, value, true))
}

fn known_fields(kind: &Kind) -> Vec<String> {
    let mut known = vec!["metadata.name".to_owned(), "metadata.namespace".to_owned()];
    let more: &[&str] = match (kind.group(), kind.plural()) {
        ("" | "events.k8s.io", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("apps", "replicasets") | ("", "replicationcontrollers") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    };
    known.extend(more.iter().map(|field| (*field).to_owned()));
    if let Some(custom) = &kind.custom {
        let paths = custom.version.selectable_fields.iter();
        known.extend(paths.map(|path| path.trim_start_matches('.').to_owned()));
    }
    known
}
