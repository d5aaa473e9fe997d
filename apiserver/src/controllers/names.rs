//! Whether the names of a definition are free: pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The status of a definition among all that are known. The first that had a name keeps it.
pub(super) fn status(definition: &Value, known: &BTreeMap<String, Value>, now: &str) -> Value {
    let conflict = conflict(definition, known);
    let before = &definition["status"];
    let condition = |kind: &str, holds: bool, reason: &str, message: &str| {
        let holds = if holds { "True" } else { "False" };
        let same = before["conditions"].as_array().into_iter().flatten();
        let same = same
            .into_iter()
            .find(|c| c["type"] == kind && c["status"] == holds);
        let since = same.map_or_else(
            || now.into(),
            |condition| condition["lastTransitionTime"].clone(),
        );
        json!({"type": kind, "status": holds, "reason": reason, "message": message, "lastTransitionTime": since})
    };
    let was_established = before["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|c| c["type"] == "Established" && c["status"] == "True");
    let mut status = before.as_object().cloned().unwrap_or_default();
    let conditions = match &conflict {
        None => vec![
            condition("NamesAccepted", true, "NoConflicts", "no conflicts found"),
            condition(
                "Established",
                true,
                "InitialNamesAccepted",
                "the initial names have been accepted",
            ),
        ],
        Some((reason, name)) => {
            let refused = condition(
                "NamesAccepted",
                false,
                reason,
                &format!("{name:?} is already in use"),
            );
            // What is established stays so, with the names that it has.
            let established = if was_established {
                condition(
                    "Established",
                    true,
                    "InitialNamesAccepted",
                    "the initial names have been accepted",
                )
            } else {
                condition(
                    "Established",
                    false,
                    "NotAccepted",
                    "not all names are accepted",
                )
            };
            vec![refused, established]
        }
    };
    if conflict.is_none() {
        status.insert("acceptedNames".to_owned(), accepted(definition));
    }
    status
        .entry("acceptedNames")
        .or_insert_with(|| json!({"plural": "", "kind": ""}));
    let stored = status.get("storedVersions").and_then(Value::as_array);
    let mut stored = stored.cloned().unwrap_or_default();
    let versions = definition["spec"]["versions"]
        .as_array()
        .into_iter()
        .flatten();
    stored.extend(
        versions
            .filter(|version| version["storage"] == true)
            .map(|version| version["name"].clone()),
    );
    let mut unique = Vec::new();
    stored.retain(|version| {
        !unique.contains(version) && {
            unique.push(version.clone());
            true
        }
    });
    status.insert("storedVersions".to_owned(), stored.into());
    status.insert("conditions".to_owned(), conditions.into());
    Value::Object(status)
}

/// The names of a definition, with those that are derived if they are not given.
fn accepted(definition: &Value) -> Value {
    let mut names = definition["spec"]["names"].clone();
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    if names["singular"].as_str().unwrap_or_default().is_empty() {
        names["singular"] = kind.to_lowercase().into();
    }
    if names["listKind"].as_str().unwrap_or_default().is_empty() {
        names["listKind"] = format!("{kind}List").into();
    }
    names
}

/// The first name that another definition of the group holds, and the reason to give.
fn conflict(definition: &Value, known: &BTreeMap<String, Value>) -> Option<(&'static str, String)> {
    let group = &definition["spec"]["group"];
    let own = &definition["metadata"]["name"];
    let others = known
        .values()
        .filter(|other| &other["spec"]["group"] == group && &other["metadata"]["name"] != own);
    let (mut resources, mut kinds) = (Vec::new(), Vec::new());
    for other in others {
        let names = &other["status"]["acceptedNames"];
        let short = names["shortNames"].as_array().into_iter().flatten();
        let all = [&names["plural"], &names["singular"]]
            .into_iter()
            .chain(short);
        resources.extend(
            all.filter_map(Value::as_str)
                .filter(|name| !name.is_empty()),
        );
        kinds.extend(
            [&names["kind"], &names["listKind"]]
                .into_iter()
                .filter_map(Value::as_str),
        );
    }
    let names = accepted(definition);
    let short = names["shortNames"].as_array().into_iter().flatten();
    let mut wanted = vec![
        ("PluralConflict", &names["plural"], &resources),
        ("SingularConflict", &names["singular"], &resources),
    ];
    wanted.extend(short.map(|name| ("ShortNamesConflict", name, &resources)));
    wanted.extend([
        ("KindConflict", &names["kind"], &kinds),
        ("ListKindConflict", &names["listKind"], &kinds),
    ]);
    wanted.into_iter().find_map(|(reason, name, taken)| {
        let name = name
            .as_str()
            .filter(|name| !name.is_empty() && taken.contains(name))?;
        Some((reason, name.to_owned()))
    })
}

/// The definitions whose names were not accepted.
pub(super) fn refused(known: &BTreeMap<String, Value>) -> Vec<String> {
    let refused = |definition: &Value| {
        let conditions = definition["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|c| c["type"] == "NamesAccepted" && c["status"] == "False")
    };
    known
        .iter()
        .filter(|(_, definition)| refused(definition))
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn definition(plural: &str, kind: &str, short: &[&str]) -> Value {
        json!({"metadata": {"name": format!("{plural}.example.com")},
            "spec": {"group": "example.com", "names": {"plural": plural, "kind": kind, "shortNames": short},
                "versions": [{"name": "v1", "served": true, "storage": true}]}})
    }

    #[test]
    fn free_names_are_accepted_and_the_status_is_left_alone_then() {
        let mut definition = definition("gadgets", "Gadget", &["gd"]);
        let status = status(&definition, &BTreeMap::new(), NOW);
        assert_eq!(
            status,
            json!({
                "acceptedNames": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList", "shortNames": ["gd"]},
                "storedVersions": ["v1"],
                "conditions": [
                    {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found", "lastTransitionTime": NOW},
                    {"type": "Established", "status": "True", "reason": "InitialNamesAccepted",
                        "message": "the initial names have been accepted", "lastTransitionTime": NOW},
                ],
            })
        );
        definition["status"] = status.clone();
        assert_eq!(
            super::status(&definition, &BTreeMap::new(), "2027-01-01T00:00:00Z"),
            status
        );
    }

    #[test]
    fn a_name_that_is_taken_is_refused_by_its_reason() {
        let mut first = definition("gadgets", "Gadget", &["gd"]);
        first["status"] = status(&first, &BTreeMap::new(), NOW);
        let mut known = BTreeMap::from([("gadgets.example.com".to_owned(), first)]);
        for (second, reason, name) in [
            (
                definition("things", "Thing", &["gd"]),
                "ShortNamesConflict",
                "gd",
            ),
            (
                definition("things", "Gadget", &[]),
                "SingularConflict",
                "gadget",
            ),
        ] {
            let status = status(&second, &known, NOW);
            assert_eq!(status["conditions"][0]["reason"], reason);
            assert_eq!(
                status["conditions"][0]["message"],
                format!("{name:?} is already in use")
            );
            assert_eq!(status["conditions"][1]["reason"], "NotAccepted");
            let mut second = second;
            second["status"] = status;
            known.insert("things.example.com".to_owned(), second);
            assert_eq!(refused(&known), ["things.example.com"]);
        }
    }
}
