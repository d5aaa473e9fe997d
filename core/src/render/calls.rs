//! Calls (`#do`) that need nothing but their parameters: no caller has to carry them out (REN-046).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use crate::engine::{Call, Replay};

/// Reads what Go reads, which does not mind the unused bits of the last letter.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A call that cannot be carried out by anybody.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) call: Call,
    /// Why, in words.
    pub(super) why: String,
}

/// Carries out the pure ones of some calls; the others are returned.
pub(super) fn carry_out(calls: Vec<Call>, replay: &mut Replay) -> Result<Vec<Call>, Box<Failed>> {
    let mut rest = Vec::new();
    for call in calls {
        match pure(&call) {
            Some(Ok(result)) => {
                replay.insert(call.key, result.into());
            }
            Some(Err(why)) => return Err(Box::new(Failed { call, why })),
            None => rest.push(call),
        }
    }
    Ok(rest)
}

/// What a pure call gives; `None` for one that needs the world.
fn pure(call: &Call) -> Option<Result<String, String>> {
    if call.provider != "base64" {
        return None;
    }
    let text = call
        .params
        .as_str()
        .ok_or_else(|| "$params is no text".to_owned());
    match call.action.as_str() {
        "encode" => Some(text.map(|text| STANDARD.encode(text))),
        "decode" => Some(text.and_then(decoded)),
        _ => None,
    }
}

fn decoded(text: &str) -> Result<String, String> {
    // Lines are broken wherever somebody likes.
    let letters: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = LENIENT
        .decode(letters)
        .map_err(|error| format!("the parameter is not base64: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "the parameter is not base64 of a text".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
                call("c", "base64", "decode", json!("aGVs\r\nbG8=\n")),
                // The last letter has bits that mean nothing.
                call("d", "base64", "decode", json!("aGVsbG9=")),
            ],
            &mut replay,
        );
        let rest = rest.expect("calls");
        let left: Vec<&str> = rest.iter().map(|call| call.key.as_str()).collect();
        assert_eq!(left, ["b"]);
        assert_eq!(replay.get("a"), Some(&json!("aGVsbG8=")));
        assert_eq!(replay.get("c"), Some(&json!("hello")));
        assert_eq!(replay.get("d"), Some(&json!("hello")));
    }

    #[test]
    fn a_wrong_parameter_is_an_error_and_no_open_call() {
        for (params, expected) in [
            (json!("not base64!"), "not base64: "),
            (json!("aGVsbG8"), "not base64: "),
            (json!("/w=="), "not base64 of a text"),
            (json!(5), "no text"),
        ] {
            let wrong = call("d", "base64", "decode", params);
            let failed = carry_out(vec![wrong], &mut Replay::new()).expect_err(expected);
            assert!(failed.why.contains(expected), "{}", failed.why);
            assert_eq!(failed.call.key, "d");
        }
    }
}
