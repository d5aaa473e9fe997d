//! What the tests of the bridge share.

use serde_json::{Value, json};

/// Sends one operation through the bridge; the reply as `{status, body}`.
pub(crate) fn call(evaluator: &str, op: &str, body: &Value) -> Value {
    let request = json!({"id": 7, "evaluator": evaluator, "op": op, "body": body});
    let reply = caravel_cue::call(request.to_string().as_bytes());
    let mut reply: Value = serde_json::from_slice(&reply).unwrap();
    assert_eq!(reply["id"], 7);
    reply.as_object_mut().unwrap().remove("id");
    reply
}
