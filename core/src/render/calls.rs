//! Calls (`#do`) that need nothing but their parameters: no caller has to carry them out (REN-046).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::engine::{Call, Replay};

/// Carries out the pure ones of some calls; the others are returned.
pub(super) fn carry_out(calls: Vec<Call>, replay: &mut Replay) -> Vec<Call> {
    let mut rest = Vec::new();
    for call in calls {
        match pure(&call) {
            Some(result) => {
                replay.insert(call.key, result);
            }
            None => rest.push(call),
        }
    }
    rest
}

/// What a pure call gives; `None` for one that needs the world, or whose parameters are wrong.
fn pure(call: &Call) -> Option<Value> {
    if call.provider != "base64" {
        return None;
    }
    let text = call.params.as_str()?;
    match call.action.as_str() {
        "encode" => Some(STANDARD.encode(text).into()),
        "decode" => {
            let bytes = STANDARD.decode(text).ok()?;
            Some(String::from_utf8(bytes).ok()?.into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(key: &str, provider: &str, action: &str, params: Value) -> Call {
        Call {
            key: key.to_owned(),
            path: String::new(),
            provider: provider.to_owned(),
            action: action.to_owned(),
            params,
            endpoint: None,
        }
    }

    #[test]
    fn only_what_needs_the_world_is_left() {
        let mut replay = Replay::new();
        let rest = carry_out(
            vec![
                call("a", "base64", "encode", json!("hello")),
                call("b", "kube", "get", json!({})),
                call("c", "base64", "decode", json!("aGVsbG8=")),
                call("d", "base64", "decode", json!("not base64!")),
            ],
            &mut replay,
        );
        let left: Vec<&str> = rest.iter().map(|call| call.key.as_str()).collect();
        assert_eq!(left, ["b", "d"]);
        assert_eq!(replay.get("a"), Some(&json!("aGVsbG8=")));
        assert_eq!(replay.get("c"), Some(&json!("hello")));
    }
}
