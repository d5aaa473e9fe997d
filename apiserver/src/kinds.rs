//! What a kind's schema makes of an object: decoding, defaults, validation, and the stored form.

use std::sync::Arc;

use bytes::Bytes;
use caravel_schema::field::Errors;
use caravel_schema::{builtin, decode, table};
use serde_json::{Value, json};

use crate::catalog::Kind;
use crate::registry::{Answer, FieldValidation};
use crate::request::Query;
use crate::status::{Result, Status};
use crate::store::Object;

/// Decodes JSON, and names the fields that it repeats.
pub(crate) fn decode_json(body: &[u8]) -> Result<(Value, Vec<String>)> {
    let decoded = decode::json(body).map_err(|error| Status::bad_request(error.to_string()))?;
    Ok((decoded.value, decoded.duplicates))
}

/// Decodes YAML or JSON, and names the fields that it repeats.
pub(crate) fn decode_yaml(body: &[u8]) -> Result<(Value, Vec<String>)> {
    let decoded = decode::yaml(body).map_err(|error| Status::bad_request(error.to_string()))?;
    Ok((decoded.value, decoded.duplicates))
}

/// The refusal of unknown or repeated fields.
pub(crate) fn strict_error(kind: &Kind, faults: &[String]) -> Status {
    cannot_be_handled(kind, &decode::strict(faults))
}

fn cannot_be_handled(kind: &Kind, why: &str) -> Status {
    let version = &kind.resource.version;
    Status::bad_request(decode::cannot_be_handled(kind.kind(), version, why))
}

/// Removes the fields that the kind does not have; refuses or warns of them, as asked. Values of the
/// wrong type are refused too, as a typed server cannot even read them: in metadata, and everywhere in a built-in kind.
pub(crate) fn check_fields(
    kind: &Kind,
    object: &mut Value,
    validation: FieldValidation,
) -> Result<Vec<String>> {
    let paths = match (&kind.custom, kind.resource.definition) {
        (Some(custom), _) => {
            decode::check_metadata_types(object).map_err(|why| cannot_be_handled(kind, &why))?;
            custom.version.schema.prune(object)
        }
        (None, Some(definition)) => {
            decode::check_types(object, definition).map_err(|why| cannot_be_handled(kind, &why))?;
            decode::prune_unknown(object, definition)
        }
        (None, None) => Vec::new(),
    };
    let unknown: Vec<String> = paths.iter().map(|path| decode::unknown(path)).collect();
    match validation {
        FieldValidation::Strict if !unknown.is_empty() => Err(strict_error(kind, &unknown)),
        FieldValidation::Warn => Ok(unknown),
        _ => Ok(Vec::new()),
    }
}

/// Sets defaults.
pub(crate) fn default(kind: &Kind, object: &mut Value) {
    if let Some(custom) = &kind.custom {
        custom.version.schema.default(object);
        return;
    }
    if let Some(definition) = kind.resource.definition {
        // Typed servers write an empty status, where there is one.
        let status = object.get("status").cloned();
        decode::normalise(object, definition);
        if let Some(status) = status.filter(|_| object.get("status").is_none()) {
            object["status"] = status;
        }
    }
    builtin::default(&kind.resource, object);
}

/// What is wrong with an object, beyond its metadata.
pub(crate) fn validate(kind: &Kind, object: &Value, old: Option<&Value>) -> Errors {
    match &kind.custom {
        Some(custom) => custom.version.schema.validate(object, old),
        None => builtin::validate(&kind.resource, object, old),
    }
}

/// Gives an object the form in which it is stored.
pub(crate) fn to_storage(kind: &Kind, object: &mut Value) {
    if let Some(custom) = &kind.custom {
        object["apiVersion"] = json!(custom.storage);
    } else if is_new_event(kind) {
        rename(object, EVENT_FIELDS.iter().map(|(old, new)| (*new, *old)));
        object["apiVersion"] = json!("v1");
    }
}

/// Gives a stored object the form of the kind's version.
pub(crate) fn from_storage(kind: &Kind, object: &mut Value) {
    if let Some(custom) = &kind.custom {
        object["apiVersion"] = json!(kind.resource.api_version());
        // Defaults that the definition got after the object was written.
        custom.version.schema.default(object);
    } else if is_new_event(kind) {
        rename(object, EVENT_FIELDS.iter().copied());
        object["apiVersion"] = json!(kind.resource.api_version());
    }
}

/// The stored bytes of an object, if they are already what the kind's version shows.
pub(crate) fn as_stored(kind: &Kind, object: &Object) -> Option<Bytes> {
    shows_as_stored(kind, object).then(|| object.body())
}

fn shows_as_stored(kind: &Kind, object: &Object) -> bool {
    match &kind.custom {
        Some(custom) => {
            custom.storage == kind.resource.api_version()
                && (!custom.has_defaults || object.version > custom.defined_at)
        }
        None => !is_new_event(kind),
    }
}

/// Events of both groups are the same objects; they are stored as those of the core group.
fn is_new_event(kind: &Kind) -> bool {
    kind.is("events.k8s.io", "events")
}

/// Fields of `v1 Event` and what `events.k8s.io/v1 Event` calls them.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename<'a>(object: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}

/// A stored object as an answer in the kind's version.
pub(crate) fn answer(kind: &Kind, object: Arc<Object>) -> Answer {
    if shows_as_stored(kind, &object) {
        return Answer::Stored(object);
    }
    let mut value = object.value();
    from_storage(kind, &mut value);
    Answer::Value(value)
}

/// What a client should know that creates an object of a kind whose objects are kept and have no effect.
pub(crate) fn without_effect(kind: &Kind) -> Option<String> {
    let what = match (kind.group(), kind.plural()) {
        ("", "resourcequotas" | "limitranges") => "does not enforce them",
        ("admissionregistration.k8s.io", plural) if plural.contains("webhook") => {
            "does not call webhooks"
        }
        ("admissionregistration.k8s.io", _) => "does not evaluate them",
        ("apiregistration.k8s.io", _) => "does not forward requests to other servers",
        ("certificates.k8s.io", _) => "does not sign them",
        ("flowcontrol.apiserver.k8s.io", _) => "does not order requests by them",
        ("resource.k8s.io", _) => "has no devices to give out",
        ("networking.k8s.io", "servicecidrs" | "ipaddresses") => {
            "gives Services addresses of its own range"
        }
        _ => return None,
    };
    Some(format!(
        "this server stores {} objects and {what}",
        kind.kind()
    ))
}

/// Decodes a protobuf body.
pub(crate) fn decode_protobuf(body: &[u8]) -> Result<Value> {
    caravel_schema::protobuf::decode(body)
        .map_err(|error| Status::bad_request(format!("the protobuf body cannot be read: {error}")))
}

/// How much of an object a row of a table carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Include {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    pub(crate) fn parse(query: &Query) -> Result<Self> {
        match query.text("includeObject") {
            None | Some("Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(Status::bad_request(format!(
                "unrecognized includeObject value: {other:?}"
            ))),
        }
    }
}

/// Objects as a `meta.k8s.io/v1 Table`.
pub(crate) fn table(
    kind: &Kind,
    objects: Vec<Value>,
    metadata: Value,
    include: Include,
    now: jiff::Timestamp,
) -> Value {
    let table = match &kind.custom {
        // What the subresource `scale` answers has a kind of its own.
        _ if objects.first().is_some_and(is_scale) => table::scales(&objects, now),
        Some(custom) => table::custom(&custom.version.columns, &objects, now),
        None => table::builtin(&kind.resource, &objects, now),
    };
    let rows: Vec<Value> = table
        .rows
        .into_iter()
        .zip(objects)
        .map(|(cells, object)| {
            let object = match include {
                Include::None => Value::Null,
                Include::Metadata => partial(object),
                Include::Object => object,
            };
            json!({"cells": cells, "object": object})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": table.columns, "rows": rows,
    })
}

fn is_scale(object: &Value) -> bool {
    object["kind"] == "Scale" && object["apiVersion"] == "autoscaling/v1"
}

/// The JSON of a stored object's `meta.k8s.io/v1 PartialObjectMetadata`. No version of a kind shows other metadata
/// than those that are stored, so nothing is decoded.
pub(crate) fn encode_partial(object: &Object) -> Vec<u8> {
    const HEAD: &[u8] =
        br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#;
    [HEAD, &object.metadata(), b"}"].concat()
}

/// An object's `meta.k8s.io/v1 PartialObjectMetadata`.
pub(crate) fn partial(mut object: Value) -> Value {
    let metadata = object["metadata"].take();
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}
