//! Reports on a definition. Pure but for the time, which is given.

use serde_json::{Value, json};

use super::reconcile::Revision;

/// The status of a definition after a turn, or `None` where nothing changed.
///
/// `problem` is why no schema could be made; it stands in the condition `Synced`, as KubeVela's own
/// reconcile errors do (row APP-020).
pub(crate) fn status(
    definition: &Value,
    latest: &Revision,
    config_map: Option<&str>,
    problem: Option<&str>,
    now: &str,
) -> Option<Value> {
    let found = &definition["status"];
    let mut wanted = found.as_object().cloned().unwrap_or_default();
    wanted.insert(
        "latestRevision".to_owned(),
        json!({"name": latest.name, "revision": latest.number, "revisionHash": latest.hash}),
    );
    if let Some(name) = config_map {
        wanted.insert("configMapRef".to_owned(), json!(name));
    }
    wanted.insert(
        "conditions".to_owned(),
        conditions(&found["conditions"], problem, now),
    );
    let wanted = Value::Object(wanted);
    (wanted != *found).then_some(wanted)
}

fn conditions(found: &Value, problem: Option<&str>, now: &str) -> Value {
    let (status, reason) = if problem.is_some() {
        ("False", "ReconcileError")
    } else {
        ("True", "ReconcileSuccess")
    };
    let mut synced = json!({"type": "Synced", "status": status, "reason": reason});
    if let Some(problem) = problem {
        synced["message"] = json!(problem);
    }
    let mut others = found.as_array().cloned().unwrap_or_default();
    let before = others
        .iter()
        .position(|c| c["type"] == "Synced")
        .map(|i| others.remove(i));
    let since = before
        .filter(|c| c["status"] == synced["status"])
        .map_or_else(|| json!(now), |c| c["lastTransitionTime"].clone());
    synced["lastTransitionTime"] = since;
    others.push(synced);
    Value::Array(others)
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

    #[test]
    fn an_unchanged_status_is_not_written_again() {
        let first = status(
            &json!({}),
            &latest(),
            Some("component-schema-web"),
            None,
            "t1",
        );
        let definition = json!({"status": first.expect("a first status")});
        assert_eq!(
            status(
                &definition,
                &latest(),
                Some("component-schema-web"),
                None,
                "t2"
            ),
            None
        );
    }

    #[test]
    fn a_problem_moves_the_time_of_the_condition() {
        let first = status(&json!({}), &latest(), None, None, "t1").expect("a status");
        let definition = json!({"status": first});
        let second = status(&definition, &latest(), None, Some("line 3"), "t2").expect("a change");
        let condition = &second["conditions"][0];
        assert_eq!(condition["status"], "False");
        assert_eq!(condition["message"], "line 3");
        assert_eq!(condition["lastTransitionTime"], "t2");
    }
}
