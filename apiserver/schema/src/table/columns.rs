//! Headings, and the pieces that cells are made of.

use super::description_of;
use super::duration::human_duration;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What a column's description says.
pub(super) enum Doc {
    /// This text.
    Text(&'static str),
    /// What the definition says of its field.
    Field(&'static str, &'static str),
}

/// One column.
pub(super) struct Heading {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) format: &'static str,
    /// Columns above 0 are shown with `-o wide` only.
    pub(super) priority: i64,
    pub(super) doc: Doc,
}

/// The columns of a kind, and how its cells are made.
pub(super) struct Printer {
    pub(super) columns: &'static [Heading],
    pub(super) cells: fn(&Value, Timestamp) -> Vec<Value>,
}

impl Heading {
    pub(super) fn definition(&self) -> Value {
        let description = match self.doc {
            Doc::Text(text) => text.to_owned(),
            Doc::Field(definition, field) => description_of(definition, field),
        };
        json!({
            "name": self.name, "type": self.kind, "format": self.format, "description": description, "priority": self.priority,
        })
    }
}

pub(super) const fn text(name: &'static str, doc: Doc) -> Heading {
    Heading {
        name,
        kind: "string",
        format: "",
        priority: 0,
        doc,
    }
}

pub(super) const fn integer(name: &'static str, doc: Doc) -> Heading {
    Heading {
        name,
        kind: "integer",
        format: "",
        priority: 0,
        doc,
    }
}

pub(super) const fn boolean(name: &'static str, doc: Doc) -> Heading {
    Heading {
        name,
        kind: "boolean",
        format: "",
        priority: 0,
        doc,
    }
}

pub(super) const fn wide(name: &'static str, doc: Doc) -> Heading {
    Heading {
        name,
        kind: "string",
        format: "",
        priority: 1,
        doc,
    }
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

pub(super) const NAME: Heading = Heading {
    name: "Name",
    kind: "string",
    format: "name",
    priority: 0,
    doc: Doc::Field(META, "name"),
};
pub(super) const AGE: Heading = text("Age", Doc::Field(META, "creationTimestamp"));
pub(super) const CREATED_AT: Heading = Heading {
    name: "Created At",
    kind: "date",
    format: "",
    priority: 0,
    doc: Doc::Field(META, "creationTimestamp"),
};
pub(super) const CONTAINERS: Heading = wide(
    "Containers",
    Doc::Text("Names of each container in the template."),
);
pub(super) const IMAGES: Heading = wide(
    "Images",
    Doc::Text("Images referenced by each container in the template."),
);

/// Name and time of creation.
pub(super) const DEFAULT: Printer = Printer {
    columns: &[NAME, CREATED_AT],
    cells: |o, _| vec![name(o), created(o)],
};

/// Of kinds that have little to show.
pub(super) const NAME_AND_AGE: Printer = Printer {
    columns: &[NAME, AGE],
    cells: |o, now| vec![name(o), age(o, now)],
};

pub(super) const NONE: &str = "<none>";

pub(super) fn name(object: &Value) -> Value {
    object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .into()
}

pub(super) fn created(object: &Value) -> Value {
    object["metadata"]["creationTimestamp"]
        .as_str()
        .unwrap_or("<unknown>")
        .into()
}

/// The age of an object.
pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}

/// The time since a timestamp.
pub(super) fn since(at: &Value, now: Timestamp) -> String {
    let at = at.as_str().and_then(|t| t.parse::<Timestamp>().ok());
    at.map_or_else(|| "<unknown>".to_owned(), |at| human_duration(now, at))
}

/// A number; what is absent is 0.
pub(super) fn count(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// A text; what is absent or empty is `<none>`.
pub(super) fn or_none(value: &Value) -> String {
    value
        .as_str()
        .filter(|t| !t.is_empty())
        .unwrap_or(NONE)
        .to_owned()
}

/// Items of a list.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Entries of a map.
pub(super) fn size(value: &Value) -> usize {
    value.as_object().map_or(0, Map::len)
}

/// Values of a field of each item, separated by commas.
pub(super) fn join(list: &Value, field: &str) -> String {
    items(list)
        .filter_map(|i| i[field].as_str())
        .collect::<Vec<_>>()
        .join(",")
}

/// Names and images of the containers of a template.
pub(super) fn containers(pod: &Value) -> [Value; 2] {
    [
        join(&pod["containers"], "name").into(),
        join(&pod["containers"], "image").into(),
    ]
}

/// Labels as `a=b,c=d`; none is `<none>`.
pub(super) fn labels(map: &Value) -> String {
    let pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| match v.as_str().unwrap_or_default() {
            "" => k.clone(),
            value => format!("{k}={value}"),
        })
        .collect();
    if pairs.is_empty() {
        NONE.into()
    } else {
        pairs.join(",")
    }
}

/// A label selector as `a=b,c in (d,e),!f`.
pub(super) fn selector(selector: &Value) -> String {
    let mut parts: Vec<String> = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect();
    for requirement in items(&selector["matchExpressions"]) {
        let key = requirement["key"].as_str().unwrap_or_default();
        let mut values: Vec<&str> = items(&requirement["values"])
            .filter_map(Value::as_str)
            .collect();
        values.sort_unstable();
        let values = values.join(",");
        parts.push(match requirement["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            other => format!("{key} {other} ({values})"),
        });
    }
    parts.sort();
    if parts.is_empty() {
        NONE.into()
    } else {
        parts.join(",")
    }
}

/// Is a condition of the status true?
pub(super) fn has_condition(object: &Value, kind: &str) -> bool {
    items(&object["status"]["conditions"]).any(|c| c["type"] == kind && c["status"] == "True")
}

/// Is the object being deleted?
pub(super) fn is_deleted(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}
