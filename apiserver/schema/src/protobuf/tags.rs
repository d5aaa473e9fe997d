//! The table of messages and fields, and how their names map to JSON.

use crate::openapi;
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// Made by `build.rs`.
const TABLE: &str = include_str!(concat!(env!("OUT_DIR"), "/tags.txt"));

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    Int,
    Bool,
    Double,
    /// Path of the message.
    Message(&'static str),
}

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cardinality {
    One,
    Many,
    /// A map with texts as keys.
    Map,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) tag: u32,
    /// `snake_case` name.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) cardinality: Cardinality,
}

#[derive(Debug)]
pub(super) struct Message {
    /// `api.apps.v1.Deployment`
    pub(super) path: &'static str,
    pub(super) fields: Vec<Field>,
}

impl Message {
    /// The name without the modules.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    pub(super) fn field(&self, tag: u32) -> Option<&Field> {
        self.fields.iter().find(|f| f.tag == tag)
    }
}

/// Message by its path, in any case: `k8s-pb` writes `HttpGetAction` where Kubernetes writes `HTTPGetAction`.
pub(super) fn find(path: &str) -> Option<&'static Message> {
    messages().get(path.to_lowercase().as_str())
}

/// Message of an OpenAPI definition.
pub(super) fn find_definition(definition: &str) -> Option<&'static Message> {
    messages().get(key_of_definition(definition).as_str())
}

fn key_of_definition(definition: &str) -> String {
    definition
        .strip_prefix("io.k8s.")
        .unwrap_or(definition)
        .replace('-', "_")
        .to_lowercase()
}

fn messages() -> &'static HashMap<String, Message> {
    static MESSAGES: OnceLock<HashMap<String, Message>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let mut all = HashMap::new();
        let mut current: Option<Message> = None;
        for line in TABLE.lines() {
            let mut words = line.split(' ');
            match words.next() {
                Some("M") => {
                    if let Some(done) = current.take() {
                        all.insert(done.path.to_lowercase(), done);
                    }
                    current = words.next().map(|path| Message {
                        path,
                        fields: Vec::new(),
                    });
                }
                Some("F") => {
                    if let (Some(message), Some(field)) = (current.as_mut(), field(&mut words)) {
                        message.fields.push(field);
                    }
                }
                _ => {}
            }
        }
        if let Some(done) = current {
            all.insert(done.path.to_lowercase(), done);
        }
        all
    })
}

fn field(words: &mut std::str::Split<'static, char>) -> Option<Field> {
    let tag = words.next()?.parse().ok()?;
    let name = words.next()?;
    let element = words.next()?;
    let cardinality = match words.next()? {
        "many" => Cardinality::Many,
        "map" => Cardinality::Map,
        _ => Cardinality::One,
    };
    let kind = match element {
        "string" => Kind::Text,
        "bytes" => Kind::Bytes,
        "bool" => Kind::Bool,
        "double" => Kind::Double,
        "message" => Kind::Message(words.next()?),
        _ => Kind::Int,
    };
    Some(Field {
        tag,
        name,
        kind,
        cardinality,
    })
}

/// The JSON fields of one definition, by normalised name.
#[derive(Debug)]
pub(super) struct Names {
    names: HashMap<String, Name>,
}

/// One JSON field.
#[derive(Debug)]
pub(super) struct Name {
    /// As JSON spells it.
    pub(super) json: &'static str,
    /// Is the field required, so that Go writes it even when it is empty?
    pub(super) required: bool,
}

impl Names {
    /// The JSON field of a protobuf field.
    pub(super) fn get(&self, field: &str) -> Option<&Name> {
        self.names.get(&normalise(field))
    }
}

/// The JSON names of a message, if a definition of it is known.
pub(super) fn names(message: &Message) -> Option<&'static Names> {
    static NAMES: OnceLock<BTreeMap<String, Names>> = OnceLock::new();
    let all = NAMES.get_or_init(|| {
        openapi::definitions()
            .iter()
            .filter_map(|(definition, schema)| {
                Some((key_of_definition(definition), of_schema(schema)?))
            })
            .collect()
    });
    all.get(&message.path.to_lowercase())
}

fn of_schema(schema: &'static serde_json::Value) -> Option<Names> {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(|r| r.as_array())
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str())
        .collect();
    let names = schema
        .get("properties")?
        .as_object()?
        .keys()
        .map(|json| {
            (
                normalise(json),
                Name {
                    json,
                    required: required.contains(&json.as_str()),
                },
            )
        })
        .collect();
    Some(Names { names })
}

/// `cluster_ip`, `clusterIP` → `clusterip`; `x_kubernetes_list_type`, `x-kubernetes-list-type` → `xkuberneteslisttype`.
fn normalise(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// `dry_run` → `dryRun`, for messages without a definition.
pub(super) fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else {
            out.push(if upper { c.to_ascii_uppercase() } else { c });
            upper = false;
        }
    }
    out
}
