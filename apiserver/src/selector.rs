//! Label and field selectors of lists and watches.

use std::cell::OnceCell;

use caravel_schema::selectors::{FieldSelector, LabelSelector, SelectorError};
use serde_json::Value;

use crate::catalog::Kind;
use crate::request::Query;
use crate::status::{Result, Status};
use crate::store::Object;

/// What a list or watch selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selectors {
    labels: Option<LabelSelector>,
    fields: Option<FieldSelector>,
    name: Option<String>,
}

impl Selectors {
    /// The selectors of a query. `name` restricts to one object.
    pub(crate) fn parse(query: &Query, kind: &Kind, name: &str) -> Result<Self> {
        let refused = |error: SelectorError| Status::bad_request(error.to_string());
        let labels = query
            .text("labelSelector")
            .map(LabelSelector::parse)
            .transpose();
        let fields = query
            .text("fieldSelector")
            .map(FieldSelector::parse)
            .transpose();
        let (labels, fields) = (labels.map_err(refused)?, fields.map_err(refused)?);
        if let Some(fields) = &fields {
            fields.check(&known_fields(kind)).map_err(refused)?;
        }
        Ok(Self {
            labels,
            fields,
            name: (!name.is_empty()).then(|| name.to_owned()),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_none() && self.fields.is_none() && self.name.is_none()
    }

    /// Is the object selected?
    pub(crate) fn select(&self, object: &Object) -> bool {
        if self
            .name
            .as_ref()
            .is_some_and(|name| **name != *object.key.name)
        {
            return false;
        }
        let label = |key: &str| object.labels.get(key);
        if !self
            .labels
            .as_ref()
            .is_none_or(|labels| labels.matches(label))
        {
            return false;
        }
        let decoded = OnceCell::new();
        let field = |path: &str| match path {
            "metadata.name" => object.key.name.to_string(),
            "metadata.namespace" => object.key.namespace.to_string(),
            other => field_text(decoded.get_or_init(|| object.value()), other),
        };
        self.fields
            .as_ref()
            .is_none_or(|fields| fields.matches(field))
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

/// The fields by which objects of a kind can be selected.
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
