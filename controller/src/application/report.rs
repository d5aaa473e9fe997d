//! Writing a status: one patch, only what differs, nothing of others touched.

use caravel_core::api::ApplicationStatus;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};

use super::TurnError;

/// The fields of the status that this controller decides. What else stands there is somebody else's.
const OURS: [&str; 10] = [
    "conditions",
    "observedGeneration",
    "status",
    "services",
    "workflow",
    "latestRevision",
    "appliedResources",
    "appliedApplicationPolicies",
    "applicationPoliciesConfigMap",
    "workflowRestartScheduledAt",
];

/// A time as Kubernetes writes it: whole seconds.
pub(crate) fn time(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// A JSON merge patch from the status of an object to the wanted one, guarded by its version; `None` where
/// nothing differs.
pub(crate) fn patch(
    object: &Value,
    wanted: &ApplicationStatus,
) -> Result<Option<Value>, TurnError> {
    let wanted = serde_json::to_value(wanted)
        .map_err(|error| TurnError::Damaged(format!("the status: {error}")))?;
    let found = &object["status"];
    let mut fields = Map::new();
    for name in OURS {
        let change = difference(&found[name], &wanted[name]);
        if let Some(change) = change {
            fields.insert(name.to_owned(), change);
        }
    }
    if fields.is_empty() {
        return Ok(None);
    }
    Ok(Some(json!({
        "metadata": {"resourceVersion": object["metadata"]["resourceVersion"]},
        "status": fields,
    })))
}

/// RFC 7396: what to merge into `found` to get `wanted`; `None` where they are equal.
fn difference(found: &Value, wanted: &Value) -> Option<Value> {
    if found == wanted {
        return None;
    }
    let (Value::Object(before), Value::Object(after)) = (found, wanted) else {
        return Some(wanted.clone());
    };
    let mut changes = Map::new();
    for (name, value) in after {
        let change = difference(before.get(name).unwrap_or(&Value::Null), value);
        if let Some(change) = change {
            changes.insert(name.clone(), change);
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        changes.insert(name.clone(), Value::Null);
    }
    (!changes.is_empty()).then_some(Value::Object(changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_holds_what_differs_and_takes_away_what_is_gone() {
        let object = json!({
            "metadata": {"resourceVersion": "7"},
            "status": {
                "status": "running", "observedGeneration": 1, "mine": "theirs",
                "workflow": {"mode": "DAG-DAG", "suspend": true, "terminated": false,
                             "finished": false, "message": "x"},
            },
        });
        let wanted: ApplicationStatus = serde_json::from_value(json!({
            "status": "running", "observedGeneration": 2,
            "workflow": {"mode": "DAG-DAG", "suspend": true, "terminated": false, "finished": false},
        }))
        .expect("a status");
        let patch = patch(&object, &wanted).expect("JSON").expect("a change");
        assert_eq!(
            patch,
            json!({
                "metadata": {"resourceVersion": "7"},
                "status": {"observedGeneration": 2, "workflow": {"message": null}},
            })
        );
    }

    #[test]
    fn nothing_is_written_where_nothing_differs() {
        let status: ApplicationStatus =
            serde_json::from_value(json!({"status": "running", "observedGeneration": 1}))
                .expect("a status");
        let object =
            json!({"metadata": {}, "status": serde_json::to_value(&status).expect("JSON")});
        assert_eq!(patch(&object, &status).expect("JSON"), None);
    }
}
