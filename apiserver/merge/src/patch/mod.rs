//! The patch formats that carry no ownership: JSON patch, JSON merge patch and strategic merge
//! patch. Each takes the stored object and gives the new one; `managedFields` are then recorded with
//! [`update`](crate::update).

mod lists;
mod strategic;

use json_patch::PatchOperation;
use serde_json::{Value, json};

use crate::schema::Schema;

/// A JSON patch with more operations is refused.
const MAX_OPERATIONS: usize = 10_000;
/// What the operations `copy` of a patch may add, in bytes: each could double the object.
const MAX_COPIED: usize = 3 << 20;
/// No patch makes an object that is nested deeper: what reads it goes down level by level.
pub const MAX_DEPTH: usize = 110;

/// Why a patch is refused. The texts are those of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed: 400.
    #[error("{0}")]
    BadRequest(String),
    /// The patch is well formed and does not fit the object: 422. Kubernetes answers with a fixed
    /// message; this text says more and is for logs.
    #[error("{0}")]
    Unprocessable(String),
    /// A JSON patch has too many operations: 413.
    #[error(
        "Request entity is too large: The allowed maximum operations in a JSON patch is 10000, got {0}"
    )]
    TooLarge(usize),
    /// The operations `copy` of a JSON patch add too much: 413.
    #[error(
        "Unable to complete the copy, the accumulated size increase of copy is {0}, exceeding the limit {MAX_COPIED}"
    )]
    Copied(usize),
    /// A JSON patch nests the object too deep: 400.
    #[error("the patch nests the object deeper than {MAX_DEPTH} levels")]
    Deep,
    /// A strategic merge patch does not fit the kind. Kubernetes answers 500 with this message.
    #[error("{0}")]
    Unfit(String),
}

impl PatchError {
    /// The `Status` object that Kubernetes answers with.
    pub fn to_status(&self) -> Value {
        let message = self.to_string();
        let (code, reason, message) = match self {
            Self::BadRequest(_) | Self::Deep => (400, "BadRequest", message),
            Self::TooLarge(_) | Self::Copied(_) => (413, "RequestEntityTooLarge", message),
            Self::Unfit(_) => (500, "", message),
            Self::Unprocessable(_) => {
                let message = "the server rejected our request due to an error in our request";
                (422, "Invalid", message.to_owned())
            }
        };
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "code": code,
        });
        if !reason.is_empty() {
            status["reason"] = reason.into();
        }
        if code == 422 {
            status["details"] = json!({});
        }
        status
    }
}

/// RFC 6902: a list of operations, carried out in order; all or none.
///
/// # Errors
/// See [`PatchError`]; the object is as it was then.
pub fn json(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    if let Value::Array(operations) = patch
        && operations.len() > MAX_OPERATIONS
    {
        return Err(PatchError::TooLarge(operations.len()));
    }
    let patch: json_patch::Patch = serde_json::from_value(patch.clone())
        .map_err(|error| PatchError::BadRequest(error.to_string()))?;
    let mut patched = object.clone();
    let mut copied = 0;
    for (number, operation) in patch.0.into_iter().enumerate() {
        check_growth(&patched, &operation, &mut copied)?;
        json_patch::patch(&mut patched, &[operation]).map_err(|mut error| {
            error.operation = number;
            PatchError::Unprocessable(error.to_string())
        })?;
    }
    Ok(patched)
}

/// A few operations could make an object that no memory and no stack holds.
fn check_growth(
    object: &Value,
    operation: &PatchOperation,
    copied: &mut usize,
) -> Result<(), PatchError> {
    let (path, value) = match operation {
        PatchOperation::Add(add) => (&add.path, Some(&add.value)),
        PatchOperation::Replace(replace) => (&replace.path, Some(&replace.value)),
        PatchOperation::Move(change) => (&change.path, object.pointer(change.from.as_str())),
        PatchOperation::Copy(copy) => (&copy.path, object.pointer(copy.from.as_str())),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
    };
    let Some(value) = value else { return Ok(()) };
    if path.tokens().count() + depth(value) > MAX_DEPTH {
        return Err(PatchError::Deep);
    }
    if let PatchOperation::Copy(_) = operation {
        *copied += size(value);
        if *copied > MAX_COPIED {
            return Err(PatchError::Copied(*copied));
        }
    }
    Ok(())
}

/// How many levels a value has.
pub fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Object(map) => map.values().map(depth).max(),
        Value::Array(items) => items.iter().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// About how many bytes a value has as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::Object(map) => {
            map.iter()
                .map(|(name, value)| name.len() + 4 + size(value))
                .sum::<usize>()
                + 2
        }
        Value::Array(items) => items.iter().map(|value| 1 + size(value)).sum::<usize>() + 2,
        Value::String(text) => text.len() + 2,
        _ => 5,
    }
}

/// RFC 7396: maps are merged, everything else replaced, null removes.
///
/// # Errors
/// When the patch is not an object.
pub fn merge(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::BadRequest("Invalid JSON Patch".to_owned()));
    }
    let mut patched = object.clone();
    json_patch::merge(&mut patched, patch);
    Ok(patched)
}

/// A merge patch that knows the kind: lists are merged by key where the schema says so, and
/// directives (`$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`) say the
/// rest. Only for built-in kinds: a custom resource answers 415.
///
/// # Errors
/// See [`PatchError`].
pub fn strategic(object: &Value, patch: &Value, schema: &Schema) -> Result<Value, PatchError> {
    let (Value::Object(object), Value::Object(patch)) = (object, patch) else {
        return Err(PatchError::BadRequest("invalid JSON document".to_owned()));
    };
    strategic::Merger::new(schema)
        .root(object.clone(), patch.clone())
        .map(Value::Object)
}

#[cfg(test)]
mod tests;
