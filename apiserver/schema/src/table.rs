//! `meta.k8s.io/v1 Table`s: what `kubectl get` shows.

mod autoscaling;
mod batch;
mod columns;
mod config;
mod core;
mod duration;
mod network;
mod pods;
mod storage;
mod workloads;

pub use duration::human_duration;

use crate::jsonpath::JsonPath;
use crate::openapi;
use crate::resources::Resource;
use crate::structural::Column;
use columns::Printer;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Columns and rows of some objects of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// `columnDefinitions`
    pub columns: Vec<Value>,
    /// The cells of each object, in the order of the objects.
    pub rows: Vec<Vec<Value>>,
}

/// Renders objects of a built-in kind. Kinds without a printer show name and time of creation.
pub fn builtin(resource: &Resource, objects: &[Value], now: Timestamp) -> Table {
    render(printer(&resource.group, &resource.kind), objects, now)
}

/// Renders what the subresource `scale` answers.
pub fn scales(objects: &[Value], now: Timestamp) -> Table {
    render(printer("autoscaling", "Scale"), objects, now)
}

fn render(printer: &Printer, objects: &[Value], now: Timestamp) -> Table {
    Table {
        columns: printer
            .columns
            .iter()
            .map(columns::Heading::definition)
            .collect(),
        rows: objects
            .iter()
            .map(|object| (printer.cells)(object, now))
            .collect(),
    }
}

/// Renders custom resources by the columns of their definition.
pub fn custom(columns: &[Column], objects: &[Value], now: Timestamp) -> Table {
    let paths: Vec<Option<JsonPath>> = columns
        .iter()
        .map(|c| JsonPath::parse(&c.json_path).ok())
        .collect();
    let row = |object: &Value| {
        let mut cells = vec![object["metadata"]["name"].clone()];
        cells.extend(columns.iter().zip(&paths).map(|(column, path)| {
            // As upstream does, a path that selects several values shows the first.
            let found = path
                .as_ref()
                .and_then(|p| p.select(object).into_iter().next());
            found.map_or(Value::Null, |value| custom_cell(&column.kind, value, now))
        }));
        cells
    };
    let mut definitions = vec![columns::NAME.definition()];
    definitions.extend(columns.iter().map(custom_definition));
    Table {
        columns: definitions,
        rows: objects.iter().map(row).collect(),
    }
}

fn custom_definition(column: &Column) -> Value {
    let description = if column.description.is_empty() {
        format!(
            "Custom resource definition column (in JSONPath format): {}",
            column.json_path
        )
    } else {
        column.description.clone()
    };
    json!({
        "name": column.name, "type": column.kind, "format": column.format, "description": description, "priority": column.priority,
    })
}

fn custom_cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        (_, Value::Null) => Value::Null,
        ("string", Value::String(text)) => text.clone().into(),
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(n)) =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "Go truncates here too")]
            n.as_i64()
                .or_else(|| n.as_f64().map(|f| f as i64))
                .map_or(Value::Null, Value::from)
        }
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(at) => human_duration(now, at).into(),
            Err(_) => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}

fn printer(group: &str, kind: &str) -> &'static Printer {
    let found = match group {
        "" => core::printer(kind)
            .or_else(|| workloads::printer(kind))
            .or_else(|| storage::printer(kind))
            .or_else(|| network::printer(kind)),
        "apps" => workloads::printer(kind),
        "batch" => batch::printer(kind),
        "autoscaling" | "policy" => autoscaling::printer(kind),
        "networking.k8s.io" | "discovery.k8s.io" => network::printer(kind),
        "storage.k8s.io" => storage::printer(kind),
        "events.k8s.io" => core::printer(kind),
        _ => config::printer(kind),
    };
    found.unwrap_or(&columns::DEFAULT)
}

/// The description of a field of a definition.
fn description_of(definition: &str, field: &str) -> String {
    let name = if definition.starts_with("io.k8s.") {
        definition.to_owned()
    } else {
        format!("io.k8s.api.{definition}")
    };
    let text =
        openapi::definition(&name).and_then(|d| d["properties"][field]["description"].as_str());
    text.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
