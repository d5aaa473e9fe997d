//! Conversions (PRV-020).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::engine::PortError;

/// `util.#ConvertString`: bytes are base64 in JSON.
pub(super) fn string(params: &Value) -> Result<Value, PortError> {
    let encoded = params.get("bt").and_then(Value::as_str);
    let encoded = encoded.ok_or_else(|| PortError::new("bt is missing"))?;
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|error| PortError::new(format!("bt is not base64: {error}")))?;
    Ok(json!({"str": String::from_utf8_lossy(&bytes)}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_text() {
        assert_eq!(
            string(&json!({"bt": "aGVsbG8="})),
            Ok(json!({"str": "hello"}))
        );
        assert!(string(&json!({"bt": "?"})).is_err());
    }
}
