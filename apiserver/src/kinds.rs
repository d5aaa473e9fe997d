//! What a kind's schema makes of an object: decoding, defaults, validation, and the stored form.

use std::sync::Arc;

use caravel_schema::field::Error;
use serde_json::{Value, json};

use crate::catalog::Kind;
use crate::registry::{Answer, FieldValidation};
use crate::status::{Result, Status};
use crate::store::Object;

/// Decodes JSON, and names the fields that it repeats.
pub(crate) fn decode_json(body: &[u8]) -> Result<(Value, Vec<String>)> {
    let value = serde_json::from_slice(body).map_err(|error| {
        Status::bad_request(format!("error parsing the request body as JSON: {error}"))
    })?;
    Ok((value, Vec::new()))
}

/// Decodes YAML or JSON, and names the fields that it repeats.
pub(crate) fn decode_yaml(body: &[u8]) -> Result<(Value, Vec<String>)> {
    decode_json(body)
}

/// The refusal of unknown or repeated fields.
pub(crate) fn strict_error(kind: &Kind, faults: &[String]) -> Status {
    Status::bad_request(format!(
        "{name} in version {} cannot be handled as a {name}: strict decoding error: {}",
        caravel_schema::field::quote(&kind.resource.version),
        faults.join(", "),
        name = kind.kind(),
    ))
}

/// Removes the fields that the kind does not have; refuses or warns, as asked.
pub(crate) fn check_fields(
    kind: &Kind,
    object: &mut Value,
    validation: FieldValidation,
) -> Result<Vec<String>> {
    let _ = (kind, object, validation);
    Ok(Vec::new())
}

/// Sets the defaults of a new object.
pub(crate) fn default_new(kind: &Kind, object: &mut Value) {
    let _ = (kind, object);
}

/// Sets the defaults of a changed object.
pub(crate) fn default_changed(kind: &Kind, object: &mut Value) {
    let _ = (kind, object);
}

/// What is wrong with an object, beyond its metadata.
pub(crate) fn validate(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<Error> {
    let _ = (kind, object, old);
    Vec::new()
}

/// Gives an object the form in which it is stored.
pub(crate) fn to_storage(kind: &Kind, object: &mut Value) {
    if let Some(custom) = &kind.custom {
        object["apiVersion"] = json!(custom.storage);
    }
}

/// Gives a stored object the form of the kind's version.
pub(crate) fn from_storage(kind: &Kind, object: &mut Value) {
    if kind.custom.is_some() {
        object["apiVersion"] = json!(kind.resource.api_version());
    }
}

/// Do stored bytes already have the form of the kind's version?
pub(crate) fn is_stored_form(kind: &Kind) -> bool {
    kind.custom
        .as_ref()
        .is_none_or(|custom| custom.storage == kind.resource.api_version())
}

/// A stored object as an answer in the kind's version.
pub(crate) fn answer(kind: &Kind, object: Arc<Object>) -> Answer {
    if is_stored_form(kind) {
        return Answer::Stored(object);
    }
    let mut value = object.value();
    from_storage(kind, &mut value);
    Answer::Value(value)
}

/// Decodes a protobuf body.
pub(crate) fn decode_protobuf(body: &[u8]) -> Result<Value> {
    caravel_schema::protobuf::decode(body)
        .map_err(|error| Status::bad_request(format!("the protobuf body cannot be read: {error}")))
}

/// Objects as a `meta.k8s.io/v1 Table`.
pub(crate) fn table(
    kind: &Kind,
    objects: &[Value],
    metadata: Value,
    with_columns: bool,
    now: jiff::Timestamp,
) -> Result<Value> {
    let _ = (with_columns, now, kind);
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| json!({"cells": [object["metadata"]["name"], object["metadata"]["creationTimestamp"]], "object": partial(object.clone())}))
        .collect();
    Ok(json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": [
            {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
            {"name": "Created At", "type": "date", "format": "", "description": "", "priority": 0},
        ],
        "rows": rows,
    }))
}

/// An object's `meta.k8s.io/v1 PartialObjectMetadata`.
pub(crate) fn partial(mut object: Value) -> Value {
    let metadata = object["metadata"].take();
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}
