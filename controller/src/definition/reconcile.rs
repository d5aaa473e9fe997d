//! Decides what a definition needs: a new revision, and which old ones to drop. Pure.

use caravel_core::appfile::own_revision;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::kind::{API_VERSION, Kind};

/// What is to be done for a definition.
#[derive(Debug, PartialEq)]
pub(crate) struct Decision {
    /// Which revision is the latest from now on.
    pub(crate) latest: Revision,
    /// The `DefinitionRevision` to create, unless it exists.
    pub(crate) create: Option<Value>,
    /// Names of revisions beyond the limit, the oldest first.
    pub(crate) drop: Vec<String>,
}

/// A revision as `status.latestRevision` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revision {
    /// Name of the `DefinitionRevision`.
    pub(crate) name: String,
    /// Its number.
    pub(crate) number: i64,
    /// Hash of the definition's specification.
    pub(crate) hash: String,
}

/// Decides for a definition and the revisions that it has, keeping at most `limit` old ones
/// (rows DEF-001, DEF-002, DEF-005).
pub(crate) fn decide(
    kind: &Kind,
    definition: &Value,
    revisions: &[Value],
    limit: usize,
) -> Decision {
    let mut known: Vec<Revision> = revisions.iter().filter_map(read_revision).collect();
    known.sort_by_key(|revision| revision.number);
    let hash = spec_hash(definition);
    let next = known.last().map_or(1, |last| last.number + 1);
    let name = revision_name(definition, next);
    let named = name
        .is_explicit
        .then(|| known.iter().find(|r| r.name == name.name))
        .flatten();
    let latest_of_status = definition["status"]["latestRevision"]["name"].as_str();
    let same = known
        .iter()
        .rfind(|r| r.hash == hash && !name.is_explicit && Some(r.name.as_str()) == latest_of_status)
        .or_else(|| known.last().filter(|r| r.hash == hash && !name.is_explicit));
    // A revision with a name of its own is immutable: what it holds counts, not the definition.
    let existing = named.or(same).cloned();

    let create = existing.is_none().then(|| {
        let revision = Revision {
            name: name.name.clone(),
            number: next,
            hash: hash.clone(),
        };
        revision_object(kind, definition, &revision)
    });
    let latest = existing.unwrap_or(Revision {
        name: name.name,
        number: next,
        hash,
    });
    let drop = garbage(&known, &latest, limit);
    Decision {
        latest,
        create,
        drop,
    }
}

/// The oldest revisions beyond `limit`; the latest is never among them. Who drops them leaves those that are in
/// use.
fn garbage(known: &[Revision], latest: &Revision, limit: usize) -> Vec<String> {
    let old: Vec<&Revision> = known
        .iter()
        .filter(|revision| revision.name != latest.name)
        .collect();
    let surplus = old.len().saturating_sub(limit);
    old.into_iter()
        .take(surplus)
        .map(|revision| revision.name.clone())
        .collect()
}

struct RevisionName {
    name: String,
    /// Named by annotation or by semantic version: then it does not change any more.
    is_explicit: bool,
}

fn revision_name(definition: &Value, next: i64) -> RevisionName {
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    match own_revision(definition) {
        Some(name) => RevisionName {
            name,
            is_explicit: true,
        },
        None => RevisionName {
            name: format!("{name}-v{next}"),
            is_explicit: false,
        },
    }
}

/// Whether the revision that the status of a definition names is that of its specification as it is now.
pub(crate) fn is_recorded(definition: &Value) -> bool {
    let latest = &definition["status"]["latestRevision"];
    let wanted = revision_name(definition, 0);
    if wanted.is_explicit {
        return latest["name"] == wanted.name;
    }
    latest["revisionHash"] == spec_hash(definition)
}

/// Name of the revision that a definition with a version of its own would have, if that is taken by another
/// definition; `recorded` gives what a revision holds.
pub(crate) fn revision_conflict<O: std::ops::Deref<Target = Value>>(
    definition: &Value,
    recorded: impl FnOnce(&str) -> Option<O>,
) -> Option<String> {
    let wanted = revision_name(definition, 0);
    if !wanted.is_explicit {
        return None;
    }
    let recorded = recorded(&wanted.name)?;
    (spec_hash(&recorded) != spec_hash(definition)).then_some(wanted.name)
}

fn read_revision(object: &Value) -> Option<Revision> {
    Some(Revision {
        name: object["metadata"]["name"].as_str()?.to_owned(),
        number: object["spec"]["revision"].as_i64()?,
        hash: object["spec"]["revisionHash"].as_str()?.to_owned(),
    })
}

/// Hash over the specification: metadata and status do not make a revision.
///
/// Not KubeVela's hash, which is one over Go types (row APP-024): after a handover each definition gets
/// one more revision (TRAP-001).
pub(crate) fn spec_hash(definition: &Value) -> String {
    let digest = Sha256::digest(definition["spec"].to_string());
    hex::encode(&digest[..8])
}

fn revision_object(kind: &Kind, definition: &Value, revision: &Revision) -> Value {
    let name = definition["metadata"]["name"].clone();
    let mut labels = definition["metadata"]["labels"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    labels.insert(kind.name_label.to_owned(), name);
    let mut spec = Map::new();
    spec.insert("definitionType".to_owned(), json!(kind.revision_type));
    spec.insert("revision".to_owned(), json!(revision.number));
    spec.insert("revisionHash".to_owned(), json!(revision.hash));
    spec.insert(kind.revision_field.to_owned(), snapshot(kind, definition));
    json!({
        "apiVersion": API_VERSION,
        "kind": "DefinitionRevision",
        "metadata": {
            "name": revision.name,
            "namespace": definition["metadata"]["namespace"],
            "labels": labels,
            "ownerReferences": [owner_reference(kind.name, definition)],
        },
        "spec": spec,
    })
}

/// The definition as a revision or an Application's revision keeps it: what its author wrote.
fn snapshot(kind: &Kind, definition: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "labels", "annotations"] {
        if let Some(value) = definition["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": kind.name,
        "metadata": metadata,
        "spec": definition["spec"],
    })
}

/// Ties an object to its definition, or to a revision of it, so that it goes with that.
pub(crate) fn owner_reference(kind: &str, owner: &Value) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(spec: Value) -> Value {
        json!({"metadata": {"name": "web", "namespace": "vela-system", "uid": "u"}, "spec": spec})
    }

    fn decide_component(definition: &Value, revisions: &[Value]) -> Decision {
        decide(&super::super::kind::KINDS[0], definition, revisions, 2)
    }

    #[test]
    fn the_first_revision_holds_the_definition() {
        let decision = decide_component(&component(json!({"a": 1})), &[]);
        assert_eq!(decision.latest.name, "web-v1");
        let created = decision.create.expect("a revision");
        assert_eq!(
            created["spec"]["componentDefinition"]["spec"],
            json!({"a": 1})
        );
        assert_eq!(
            created["metadata"]["labels"]["componentdefinition.oam.dev/name"],
            "web"
        );
    }

    #[test]
    fn nothing_changes_nothing() {
        let definition = component(json!({"a": 1}));
        let first = decide_component(&definition, &[])
            .create
            .expect("a revision");
        let second = decide_component(&definition, &[first]);
        assert_eq!(
            (second.latest.name.as_str(), second.create),
            ("web-v1", None)
        );
    }

    #[test]
    fn a_change_makes_the_next_number_and_drops_the_oldest_beyond_the_limit() {
        let mut revisions = Vec::new();
        for value in 1..=4 {
            let decision = decide_component(&component(json!({"a": value})), &revisions);
            assert_eq!(decision.latest.number, value);
            if value == 4 {
                assert_eq!(decision.drop, ["web-v1"]);
            }
            revisions.extend(decision.create);
        }
    }

    #[test]
    fn a_definition_is_recorded_when_its_status_names_the_revision_of_its_specification() {
        let mut definition = component(json!({"a": 1}));
        assert!(!is_recorded(&definition));
        definition["status"]["latestRevision"] =
            json!({"name": "web-v1", "revision": 1, "revisionHash": spec_hash(&definition)});
        assert!(is_recorded(&definition));
        definition["spec"]["a"] = json!(2);
        assert!(!is_recorded(&definition));
        definition["spec"]["version"] = json!("1");
        assert!(
            is_recorded(&definition),
            "a version of its own keeps what it holds"
        );
    }

    #[test]
    fn a_semantic_version_names_the_revision_and_never_changes_it() {
        let definition = component(json!({"a": 1, "version": "1.2.0"}));
        let first = decide_component(&definition, &[]);
        assert_eq!(first.latest.name, "web-v1.2.0");
        let created = first.create.expect("a revision");
        let changed = component(json!({"a": 2, "version": "1.2.0"}));
        let second = decide_component(&changed, &[created]);
        assert_eq!(
            (second.latest.name.as_str(), second.create),
            ("web-v1.2.0", None)
        );
        assert_eq!(second.latest.hash, first.latest.hash);
    }
}
