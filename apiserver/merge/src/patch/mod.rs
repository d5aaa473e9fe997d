//! The patch formats that carry no ownership: JSON patch, JSON merge patch and strategic merge
//! patch. Each takes the stored object and gives the new one; `managedFields` are then recorded with
//! [`update`](crate::update).

mod lists;
mod strategic;

use serde_json::{Value, json};

use crate::schema::Schema;

/// A JSON patch with more operations is refused.
const MAX_OPERATIONS: usize = 10_000;

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
    /// A strategic merge patch does not fit the kind. Kubernetes answers 500 with this message.
    #[error("{0}")]
    Unfit(String),
}

impl PatchError {
    /// The `Status` object that Kubernetes answers with.
    pub fn to_status(&self) -> Value {
        let message = self.to_string();
        let (code, reason, message) = match self {
            Self::BadRequest(_) => (400, "BadRequest", message),
            Self::TooLarge(_) => (413, "RequestEntityTooLarge", message),
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
    json_patch::patch(&mut patched, &patch)
        .map_err(|error| PatchError::Unprocessable(error.to_string()))?;
    Ok(patched)
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
