//! Which revision an Application is at: the same, an older one again, or a new one. Pure.

use std::collections::BTreeMap;

use caravel_core::api::labels::annotations::{AUTO_UPDATE, KUBECTL_LAST_APPLIED, PUBLISH_VERSION};
use caravel_core::api::labels::{APP_NAME, APP_REVISION_HASH};
use caravel_core::api::{
    Application, ApplicationRevision, LatestRevision, Policy, RevisionContent, Workflow,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// On a revision of which policies changed the specification: which one its author wrote.
pub(crate) const AUTHORED: &str = "caravel.dev/authored-spec";
/// On a revision: `context.custom` that policies gave.
pub(crate) const POLICY_CONTEXT: &str = "caravel.dev/policy-context";

/// A revision that exists, unpacked.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Name, number and hash.
    pub(crate) latest: LatestRevision,
    /// `app.oam.dev/publishVersion` at that time.
    pub(crate) publish_version: Option<String>,
    /// What its author wrote, where policies made something else of it.
    pub(crate) authored: Option<String>,
    /// `context.custom` that policies gave.
    pub(crate) custom: Option<Value>,
    /// What was delivered.
    pub(crate) content: RevisionContent,
}

/// What an Application would be delivered with now, besides its own specification.
#[derive(Clone, Debug, Default)]
pub(crate) struct External {
    /// Policy objects that `deploy` steps name.
    pub(crate) policies: BTreeMap<String, Policy>,
    /// The Workflow object of `workflow.ref`.
    pub(crate) workflow: Option<Workflow>,
}

/// What to do about the revision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    /// The latest one still holds.
    Keep(LatestRevision),
    /// An older one is the same as what is wanted now (row APP-027).
    Reuse(LatestRevision),
    /// A new one is needed.
    New(LatestRevision),
}

impl Choice {
    /// The revision that is chosen.
    pub(crate) fn latest(&self) -> &LatestRevision {
        match self {
            Self::Keep(latest) | Self::Reuse(latest) | Self::New(latest) => latest,
        }
    }
}

/// Reads a revision object; `Err` names what is damaged in it.
pub(crate) fn read(object: &ApplicationRevision) -> Result<Known, String> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let content = object
        .spec
        .content()
        .map_err(|error| format!("revision {name}: {error}"))?;
    let number = name
        .rsplit_once("-v")
        .and_then(|(_, number)| number.parse().ok());
    let labels = object.metadata.labels.as_ref();
    let hash = labels.and_then(|l| l.get(APP_REVISION_HASH)).cloned();
    let annotations = object.metadata.annotations.as_ref();
    Ok(Known {
        authored: annotation(annotations, AUTHORED),
        custom: annotation(annotations, POLICY_CONTEXT)
            .and_then(|text| serde_json::from_str(&text).ok()),
        latest: LatestRevision {
            revision: number.ok_or_else(|| format!("revision {name}: no number in its name"))?,
            name,
            revision_hash: hash,
        },
        publish_version: annotation(annotations, PUBLISH_VERSION),
        content: content.into_owned(),
    })
}

/// Chooses for an Application among the revisions that it has (rows APP-026 to APP-028).
///
/// `latest` is the name in `status.latestRevision`. A changed definition alone makes no revision, unless the
/// Application carries `app.oam.dev/autoUpdate`; then `definitions` (those used now) are compared too.
pub(crate) fn choose(
    application: &Application,
    external: &External,
    definitions: &RevisionContent,
    latest: Option<&str>,
    known: &[Known],
) -> Choice {
    let annotations = application.metadata.annotations.as_ref();
    let publish_version = annotation(annotations, PUBLISH_VERSION);
    let follows = annotation(annotations, AUTO_UPDATE).is_some();
    let same = |revision: &&Known| {
        revision.publish_version == publish_version
            && revision.content.application.spec == application.spec
            && said(&revision.content.policies) == said(&external.policies)
            && workflow_steps(revision.content.workflow.as_ref())
                == workflow_steps(external.workflow.as_ref())
            && (!follows || same_definitions(&revision.content, definitions))
    };
    let current = known
        .iter()
        .find(|revision| Some(revision.latest.name.as_str()) == latest);
    if let Some(kept) = current.filter(same) {
        return Choice::Keep(kept.latest.clone());
    }
    // The newest first: with the same content twice, the later number is the one that users saw last.
    let mut older: Vec<&Known> = known.iter().collect();
    older.sort_by_key(|revision| std::cmp::Reverse(revision.latest.revision));
    if let Some(again) = older.into_iter().find(same) {
        return Choice::Reuse(again.latest.clone());
    }
    let number = 1 + known
        .iter()
        .map(|revision| revision.latest.revision)
        .max()
        .unwrap_or(0);
    Choice::New(LatestRevision {
        name: format!(
            "{}-v{number}",
            application.metadata.name.as_deref().unwrap_or_default()
        ),
        revision: number,
        revision_hash: Some(hash(application, external)),
    })
}

fn same_definitions(before: &RevisionContent, now: &RevisionContent) -> bool {
    let specs = |content: &RevisionContent| {
        json!({
            "components": content.component_definitions.iter()
                .map(|(name, d)| json!([name, d.spec])).collect::<Vec<_>>(),
            "traits": content.trait_definitions.iter()
                .map(|(name, d)| json!([name, d.spec])).collect::<Vec<_>>(),
            "policies": content.policy_definitions.iter()
                .map(|(name, d)| json!([name, d.spec])).collect::<Vec<_>>(),
            "steps": content.workflow_step_definitions.iter()
                .map(|(name, d)| json!([name, d.spec])).collect::<Vec<_>>(),
        })
    };
    specs(before) == specs(now)
}

/// What Policy objects say; who wrote them and when makes no revision.
fn said(policies: &BTreeMap<String, Policy>) -> Value {
    let said = |policy: &Policy| json!([policy.spec.type_, policy.spec.properties]);
    let all = policies.iter();
    Value::Object(
        all.map(|(key, policy)| (name_of(key).to_owned(), said(policy)))
            .collect(),
    )
}

/// Revisions have policies under namespace and name, Applications name them by name.
fn name_of(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

fn workflow_steps(workflow: Option<&Workflow>) -> Value {
    workflow.map_or(Value::Null, |workflow| json!(workflow.spec.steps))
}

/// Our own hash over what makes a revision: KubeVela's is one over Go types and cannot be met (row
/// APP-024).
fn hash(application: &Application, external: &External) -> String {
    let content = json!({
        "spec": application.spec,
        "policies": said(&external.policies),
        "workflow": workflow_steps(external.workflow.as_ref()),
    });
    hex::encode(&Sha256::digest(content.to_string())[..8])
}

/// The Application as a revision keeps it: what its author wrote, without status and bookkeeping.
pub(crate) fn snapshot(application: &Application) -> Application {
    let mut copy = application.clone();
    copy.status = None;
    copy.metadata.managed_fields = None;
    copy.metadata.resource_version = None;
    copy.metadata.uid = None;
    copy.metadata.generation = None;
    copy.metadata.creation_timestamp = None;
    if let Some(annotations) = &mut copy.metadata.annotations {
        annotations.remove(KUBECTL_LAST_APPLIED);
    }
    copy
}

/// The revision object for a [`Choice::New`], uncompressed (row APP-028).
pub(crate) fn object(
    application: &Application,
    latest: &LatestRevision,
    content: RevisionContent,
) -> ApplicationRevision {
    let mut revision = ApplicationRevision::default();
    let metadata = &application.metadata;
    revision.metadata.name = Some(latest.name.clone());
    revision.metadata.namespace.clone_from(&metadata.namespace);
    let mut labels = metadata.labels.clone().unwrap_or_default();
    labels.insert(
        APP_NAME.to_owned(),
        metadata.name.clone().unwrap_or_default(),
    );
    labels.insert(
        APP_REVISION_HASH.to_owned(),
        latest.revision_hash.clone().unwrap_or_default(),
    );
    revision.metadata.labels = Some(labels);
    let mut annotations = metadata.annotations.clone().unwrap_or_default();
    annotations.remove(KUBECTL_LAST_APPLIED);
    revision.metadata.annotations = Some(annotations);
    revision.metadata.owner_references = Some(vec![owner_reference(application)]);
    revision.spec.plain = content;
    revision
}

/// Ties an object to its Application, so that it goes with it.
pub(crate) fn owner_reference(
    application: &Application,
) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
    k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
        api_version: "core.oam.dev/v1beta1".to_owned(),
        kind: "Application".to_owned(),
        name: application.metadata.name.clone().unwrap_or_default(),
        uid: application.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Names of revisions beyond the limit, the oldest first; the one in use stays (row APP-030).
pub(crate) fn surplus(known: &[Known], in_use: &str, limit: usize) -> Vec<String> {
    let mut old: Vec<&LatestRevision> = known
        .iter()
        .map(|revision| &revision.latest)
        .filter(|latest| latest.name != in_use)
        .collect();
    old.sort_by_key(|latest| latest.revision);
    let surplus = old.len().saturating_sub(limit);
    old.into_iter()
        .take(surplus)
        .map(|latest| latest.name.clone())
        .collect()
}

fn annotation(annotations: Option<&BTreeMap<String, String>>, key: &str) -> Option<String> {
    annotations?
        .get(key)
        .filter(|value| !value.is_empty())
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(image: &str, publish_version: Option<&str>) -> Application {
        let mut annotations = serde_json::Map::new();
        if let Some(version) = publish_version {
            annotations.insert(PUBLISH_VERSION.to_owned(), json!(version));
        }
        serde_json::from_value(json!({
            "apiVersion": "core.oam.dev/v1beta1",
            "kind": "Application",
            "metadata": {"name": "web", "namespace": "demo", "annotations": annotations},
            "spec": {"components": [{"name": "a", "type": "webservice", "properties": {"image": image}}]},
        }))
        .expect("an Application")
    }

    fn deliver(
        application: &Application,
        known: &mut Vec<Known>,
        latest: &mut Option<String>,
    ) -> Choice {
        let choice = choose(
            application,
            &External::default(),
            &RevisionContent::default(),
            latest.as_deref(),
            known,
        );
        if let Choice::New(new) = &choice {
            let content = RevisionContent {
                application: snapshot(application),
                ..RevisionContent::default()
            };
            known.push(read(&object(application, new, content)).expect("a sound revision"));
        }
        *latest = Some(choice.latest().name.clone());
        choice
    }

    #[test]
    fn a_change_makes_a_revision_and_going_back_takes_the_old_one_again() {
        let (mut known, mut latest) = (Vec::new(), None);
        assert!(matches!(
            deliver(&application("a:1", None), &mut known, &mut latest),
            Choice::New(_)
        ));
        assert!(matches!(
            deliver(&application("a:1", None), &mut known, &mut latest),
            Choice::Keep(_)
        ));
        let second = deliver(&application("a:2", None), &mut known, &mut latest);
        assert_eq!(second.latest().name, "web-v2");
        let back = deliver(&application("a:1", None), &mut known, &mut latest);
        assert!(matches!(&back, Choice::Reuse(latest) if latest.name == "web-v1"));
        // The number never goes back with it.
        let third = deliver(&application("a:3", None), &mut known, &mut latest);
        assert_eq!(third.latest().name, "web-v3");
    }

    #[test]
    fn another_publish_version_is_another_revision() {
        let (mut known, mut latest) = (Vec::new(), None);
        deliver(&application("a:1", Some("one")), &mut known, &mut latest);
        let second = deliver(&application("a:1", Some("two")), &mut known, &mut latest);
        assert!(matches!(second, Choice::New(_)));
    }

    #[test]
    fn the_oldest_go_first_and_the_one_in_use_stays() {
        let (mut known, mut latest) = (Vec::new(), None);
        for image in ["a:1", "a:2", "a:3", "a:4"] {
            deliver(&application(image, None), &mut known, &mut latest);
        }
        assert_eq!(surplus(&known, "web-v1", 2), ["web-v2"]);
    }
}
