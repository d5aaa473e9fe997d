//! Writing objects: strictly, and with all that the hub says of them. Kubernetes' client library keeps neither warnings
//! nor the causes of a refusal.

use std::fmt;

use anyhow::{Context as _, Result};
use caravel_core::appfile::{Finding, FindingKind};
use http::{HeaderMap, Request};
use kube::Client;
use kube::api::DynamicObject;
use kube::client::Body;
use serde_json::Value;

use crate::hub::unanswered;

/// An object as the hub has it now.
pub(crate) struct Written {
    pub(crate) object: DynamicObject,
    /// What the hub lets pass with a word about it.
    pub(crate) warnings: Vec<String>,
}

/// Why the hub does not take an object.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// The code of HTTP.
    pub(crate) code: u16,
    /// In words.
    pub(crate) message: String,
    /// Each mistake, where the hub tells them one by one.
    pub(crate) findings: Vec<Finding>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Whether somebody else changed the object meanwhile.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code == 409
    }

    fn read(code: u16, status: &Value) -> Self {
        let causes = status["details"]["causes"].as_array();
        Self {
            code,
            message: status["message"]
                .as_str()
                .unwrap_or("the hub refuses it")
                .to_owned(),
            findings: causes.into_iter().flatten().filter_map(finding).collect(),
        }
    }
}

/// A cause as the finding that it was made of. Causes of others have a field and a message only.
fn finding(cause: &Value) -> Option<Finding> {
    let mut fields = cause.as_object()?.clone();
    let path = fields.remove("field")?;
    fields.insert("path".to_owned(), path);
    fields
        .entry("kind")
        .or_insert_with(|| serde_json::json!(FindingKind::Invalid));
    let mut finding: Finding = serde_json::from_value(fields.into()).ok()?;
    // The message has everything in it: what is told besides is taken out again.
    let message = std::mem::take(&mut finding.message);
    let besides = finding.detail();
    let (_, message) = message
        .split_once(" value: ")
        .or_else(|| message.split_once("Forbidden: "))
        .unwrap_or(("", &message));
    let message = message.strip_suffix(&besides).unwrap_or(message);
    message.clone_into(&mut finding.message);
    Some(finding)
}

/// Sends a request that writes an object, so that unknown and repeated fields are refused.
///
/// # Errors
/// A [`Refused`], or why there is no answer.
pub(crate) async fn send(client: &Client, mut request: Request<Vec<u8>>) -> Result<Written> {
    let strict = with_parameter(&request.uri().to_string(), "fieldValidation=Strict");
    *request.uri_mut() = strict.parse().context("this is no name of an object")?;
    let response = client
        .send(request.map(Body::from))
        .await
        .map_err(|error| unanswered(&error))?;
    let (head, body) = response.into_parts();
    let body = body.collect_bytes().await;
    let body = body.map_err(|error| unanswered(&error))?;
    if !head.status.is_success() {
        let status = serde_json::from_slice(&body).unwrap_or_default();
        return Err(Refused::read(head.status.as_u16(), &status).into());
    }
    Ok(Written {
        object: serde_json::from_slice(&body)
            .context("the hub answers with something else than an object")?,
        warnings: warnings(&head.headers),
    })
}

fn with_parameter(address: &str, parameter: &str) -> String {
    let sign = match address.chars().last() {
        Some('?' | '&') => "",
        _ if address.contains('?') => "&",
        _ => "?",
    };
    format!("{address}{sign}{parameter}")
}

/// The texts of the headers `Warning: 299 - "text"`.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all("warning").into_iter();
    values
        .filter_map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let quoted = text.split_once('"')?.1;
            let quoted = quoted.rsplit_once('"').map_or(quoted, |(text, _)| text);
            Some(unescaped(quoted))
        })
        .collect()
}

fn unescaped(quoted: &str) -> String {
    let mut letters = quoted.chars();
    let mut text = String::with_capacity(quoted.len());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.extend(letters.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn causes_become_what_they_were_made_of() {
        let status = json!({"message": "it is invalid", "details": {"causes": [
            {"reason": "FieldValueInvalid", "field": "spec.x", "kind": "invalid", "expected": "int", "found": "\"a\"",
                "subject": "component web", "definition": "webservice",
                "positions": [{"file": "component/webservice.cue", "line": 3, "column": 4}], "hint": "write 80",
                "message": "Invalid value: it is wrong (expected int, found \"a\"), in component web, webservice line 3, \
                            column 4; write 80"},
            {"reason": "FieldValueRequired", "field": "spec.y", "message": "Required value: name it"},
        ]}});
        let refusal = Refused::read(422, &status);
        let told: Vec<_> = refusal
            .findings
            .iter()
            .map(|one| (&*one.path, &*one.message, &*one.hint, one.positions.len()))
            .collect();
        assert_eq!(
            told,
            [
                ("spec.x", "it is wrong", "write 80", 1),
                ("spec.y", "name it", "", 0)
            ]
        );
    }

    #[test]
    fn warnings_are_read_without_their_quotes() {
        let mut headers = HeaderMap::new();
        headers.append(
            "Warning",
            HeaderValue::from_static(r#"299 - "a \"b\" c\\d""#),
        );
        headers.append("Warning", HeaderValue::from_static("299 - broken"));
        assert_eq!(warnings(&headers), ["a \"b\" c\\d"]);
    }

    #[test]
    fn a_parameter_is_added_to_any_address() {
        for (address, whole) in [
            ("/a", "/a?x=1"),
            ("/a?", "/a?x=1"),
            ("/a?b=1", "/a?b=1&x=1"),
            ("/a?b=1&", "/a?b=1&x=1"),
        ] {
            assert_eq!(with_parameter(address, "x=1"), whole);
        }
    }
}
