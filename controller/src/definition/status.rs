//! Reports on a definition. Pure but for the time, which is given.

use serde_json::{Value, json};

use super::reconcile::Revision;

/// What a turn found out about a definition besides its revisions.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Name of the `ConfigMap` with the schema of its parameters.
    pub(crate) config_map: Option<String>,
    /// Why no schema could be made.
    pub(crate) problem: Option<String>,
    /// What had to be rewritten for today's CUE, with its place (row REN-044).
    pub(crate) rewritten: Vec<String>,
}

/// The status of a definition after a turn, or `None` where nothing changed.
///
/// Why no schema could be made stands in the condition `Synced`, as KubeVela's own reconcile errors do (row
/// APP-020); what is rewritten at each render in a condition `Compatible`, which is only there then.
pub(crate) fn status(
    definition: &Value,
    latest: &Revision,
    turn: &Found,
    now: &str,
) -> Option<Value> {
    let found = &definition["status"];
    let mut wanted = found.as_object().cloned().unwrap_or_default();
    wanted.insert(
        "latestRevision".to_owned(),
        json!({"name": latest.name, "revision": latest.number, "revisionHash": latest.hash}),
    );
    if let Some(name) = &turn.config_map {
        wanted.insert("configMapRef".to_owned(), json!(name));
    }
    let synced = match &turn.problem {
        None => json!({"type": "Synced", "status": "True", "reason": "ReconcileSuccess"}),
        Some(problem) => {
            let last = found["configMapRef"].as_str();
            let message = lost(problem, last);
            json!({"type": "Synced", "status": "False", "reason": "ReconcileError", "message": message})
        }
    };
    let conditions = with(&found["conditions"], "Synced", Some(synced), now);
    let compatible = (!turn.rewritten.is_empty()).then(|| {
        let message = format!(
            "{}: it is read as today's CUE means it; `caravel def upgrade` rewrites the definition",
            turn.rewritten.join("; ")
        );
        json!({"type": "Compatible", "status": "False", "reason": "OldSyntax", "message": message})
    });
    let conditions = with(&conditions, "Compatible", compatible, now);
    wanted.insert("conditions".to_owned(), conditions);
    let wanted = Value::Object(wanted);
    (wanted != *found).then_some(wanted)
}

fn lost(problem: &str, last: Option<&str>) -> String {
    let text = format!("no OpenAPI schema can be made of the parameters: {problem}");
    match last {
        Some(name) => format!("{text}; the last one that could be made stays in {name}"),
        None => text,
    }
}

/// The conditions with one of them as it is now, or without it. Its time is that of its last change.
fn with(found: &Value, type_: &str, condition: Option<Value>, now: &str) -> Value {
    let mut all = found.as_array().cloned().unwrap_or_default();
    let before = all
        .iter()
        .position(|one| one["type"] == type_)
        .map(|index| all.remove(index));
    if let Some(mut condition) = condition {
        let since = before
            .filter(|before| before["status"] == condition["status"])
            .map_or_else(|| json!(now), |before| before["lastTransitionTime"].clone());
        condition["lastTransitionTime"] = since;
        all.push(condition);
    }
    Value::Array(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest() -> Revision {
        Revision {
            name: "web-v1".to_owned(),
            number: 1,
            hash: "h".to_owned(),
        }
    }

    fn with_schema() -> Found {
        Found {
            config_map: Some("component-schema-web".to_owned()),
            ..Found::default()
        }
    }

    fn without_schema() -> Found {
        Found {
            problem: Some("line 3".to_owned()),
            ..Found::default()
        }
    }

    #[test]
    fn an_unchanged_status_is_not_written_again() {
        let first = status(&json!({}), &latest(), &with_schema(), "t1");
        let definition = json!({"status": first.expect("a first status")});
        assert_eq!(status(&definition, &latest(), &with_schema(), "t2"), None);
    }

    #[test]
    fn a_definition_that_lost_its_schema_says_so_and_what_is_left_of_it() {
        let first = status(&json!({}), &latest(), &with_schema(), "t1").expect("a status");
        let definition = json!({"status": first});
        let second = status(&definition, &latest(), &without_schema(), "t2").expect("a change");
        let condition = &second["conditions"][0];
        assert_eq!(condition["status"], "False");
        assert_eq!(
            condition["message"],
            "no OpenAPI schema can be made of the parameters: line 3; the last one that could be made stays in \
             component-schema-web"
        );
        assert_eq!(condition["lastTransitionTime"], "t2");
        assert_eq!(second["configMapRef"], "component-schema-web");
    }

    #[test]
    fn old_syntax_is_a_condition_while_it_is_there() {
        let old = Found {
            rewritten: vec!["line 1, column 9: lists are added".to_owned()],
            ..Found::default()
        };
        let first = status(&json!({}), &latest(), &old, "t1").expect("a status");
        let message = first["conditions"][1]["message"].as_str().expect("a text");
        assert!(
            message.starts_with("line 1, column 9: lists are added: "),
            "{message}"
        );
        let definition = json!({"status": first});
        let second = status(&definition, &latest(), &Found::default(), "t2").expect("a change");
        assert_eq!(second["conditions"].as_array().map(Vec::len), Some(1));
    }
}
