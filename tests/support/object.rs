//! Objects of an API server.

use serde_json::Value;

/// What an API server decides about an object, and nobody who applies it.
const DECIDED: [&str; 5] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
];

/// An object as somebody applies it.
pub fn as_applied(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in DECIDED {
            metadata.remove(field);
        }
    }
    object
}
