//! Findings as Kubernetes tells of them.

use caravel_apiserver::admission::AdmissionAttributes;
use caravel_apiserver::status::Status;
use caravel_core::appfile::{Finding, FindingKind};
use caravel_schema::field;
use serde_json::Value;

/// A refusal: each finding in words, and besides as a cause with its fields, for programs.
pub(crate) fn refusal(attributes: &AdmissionAttributes<'_>, findings: &[&Finding]) -> Status {
    let errors: Vec<field::Error> = findings.iter().map(|finding| error(finding)).collect();
    let mut status = Status::invalid(attributes.group, attributes.kind, attributes.name, &errors);
    let causes = status.details.as_mut().map(|details| &mut details.causes);
    for (cause, finding) in causes.into_iter().flatten().zip(findings) {
        cause.more = structured(finding);
    }
    status
}

fn error(finding: &Finding) -> field::Error {
    let path = if finding.path.is_empty() {
        "spec"
    } else {
        &finding.path
    };
    match finding.kind {
        FindingKind::Missing => field::Error::required(path, finding.detail()),
        FindingKind::Forbidden
        | FindingKind::Legacy
        | FindingKind::Unchecked
        | FindingKind::Misapplied => field::Error::forbidden(path, finding.detail()),
        // What was found stands in the words, beside what was expected.
        _ => field::Error::invalid_without_value(path, finding.detail()),
    }
}

/// All fields of a finding but those that a cause has already.
fn structured(finding: &Finding) -> serde_json::Map<String, Value> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(finding) else {
        return serde_json::Map::new();
    };
    for known in ["path", "message", "kubevelaText"] {
        fields.remove(known);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use caravel_core::engine::Position;
    use serde_json::json;

    #[test]
    fn a_cause_has_every_part_of_a_finding_as_a_field() {
        let finding = Finding::new(FindingKind::Invalid, "spec.x", "it is wrong")
            .about("component web")
            .expected("int", "\"eighty\"")
            .decided_in(
                "webservice",
                vec![Position {
                    file: "component/webservice.cue".to_owned(),
                    line: 3,
                    column: 4,
                }],
            )
            .hint("write 80");
        assert_eq!(
            Value::Object(structured(&finding)),
            json!({
                "kind": "invalid", "subject": "component web", "definition": "webservice",
                "positions": [{"file": "component/webservice.cue", "line": 3, "column": 4}],
                "expected": "int", "found": "\"eighty\"", "hint": "write 80",
            })
        );
        let error = error(&finding);
        assert_eq!(
            error.to_string(),
            "spec.x: Invalid value: it is wrong (expected int, found \"eighty\"), in component web, \
             webservice line 3, column 4; write 80"
        );
    }
}
