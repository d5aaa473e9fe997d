//! Packages that users register.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A package of CUE that templates import and that is not built in (`Package` objects, row PRV-045). A
/// built-in package of the same path goes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// Name of the object: the `#provider` of its calls.
    pub name: String,
    /// What templates import.
    pub path: String,
    /// The files: name to CUE text.
    pub files: BTreeMap<String, String>,
    /// Where its calls go; without one its calls fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
}

/// A server that carries out the calls of a [`Package`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// `http` or `https`; `grpc` is declared by the format, but nobody speaks it.
    pub protocol: String,
    /// Its base address.
    pub address: String,
    /// The authority that its certificate is of, as PEM; one that the system trusts where empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ca: String,
}

impl Endpoint {
    /// Where `#do` is posted: the parameters go there as JSON, and the object that comes back is what is
    /// filled into `$returns`.
    ///
    /// # Errors
    /// In words, if the protocol is none that can be spoken.
    pub fn url(&self, action: &str) -> Result<String, String> {
        match self.protocol.as_str() {
            "http" | "https" => Ok(format!("{}/{action}", self.address.trim_end_matches('/'))),
            other => Err(format!("protocol {other} not supported yet")),
        }
    }

    /// Reads what the server answered.
    ///
    /// # Errors
    /// In words, if the answer is no JSON object.
    pub fn answer(body: &[u8]) -> Result<Value, String> {
        serde_json::from_slice::<Map<String, Value>>(body)
            .map(Value::Object)
            .map_err(|error| format!("the answer is no JSON object: {error}"))
    }
}
