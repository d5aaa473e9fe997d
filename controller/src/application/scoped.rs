//! Policies that work on the Application itself (POL-014 to POL-018): which hold, what they make of it, and the ConfigMap that
//! tells people so.

use std::collections::BTreeMap;
use std::sync::Arc;

use caravel_core::api::labels::annotations::POLICY_AUTO_REVISION;
use caravel_core::api::labels::{APP_NAME, APP_NAMESPACE, APP_UID, APPLICATION_POLICIES};
use caravel_core::api::{Application, AppliedApplicationPolicy, PolicyVersion};
use caravel_core::engine::DefinitionKind;
use caravel_core::plan::scoped;
use caravel_core::render::{Scoped, ScopedPolicy, ScopedRender};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::answers::Question;
use super::intent::Obstacle;
use super::source::LiveSource;
use super::{Context, TurnError, revision};
use crate::FIELD_MANAGER;
use crate::definition::is_recorded;
use crate::library::Library;
use crate::rendering::RenderingError;

/// The longest name of a ConfigMap.
const LONGEST: usize = 253;

/// What the policies made of an Application; none where none holds.
pub(super) async fn made_by_policies(
    context: &Context,
    application: &Application,
    source: &LiveSource,
) -> Result<Option<Scoped>, Obstacle> {
    let mut policies = if scoped::skips_globals(application) {
        Vec::new()
    } else {
        let namespace = application.namespace().unwrap_or_default();
        context.globals.of(&context.client, &namespace).await?
    };
    policies.extend(named(&context.library, application, source)?);
    if policies.is_empty() {
        return Ok(None);
    }
    let question = Question::of(application, &policies);
    if let Some(made) = context.answers.of(application, &question, context.now()) {
        return Ok(Some(made));
    }
    let evaluator = context.evaluation.evaluator();
    let render = ScopedRender::new(application, &policies, &[], evaluator);
    let generation = application.metadata.generation.unwrap_or(0);
    let clusters = context.actor(application).clusters;
    let renderer = context.renderer(application, &format!("generation {generation}"), clusters);
    match renderer.carry("policies", render).await {
        Ok(made) => {
            if renderer.calls.were_made() {
                context.answers.keep(question, &made, context.now());
            }
            Ok(Some(made))
        }
        Err(RenderingError::Render(error)) => Err(Obstacle::Policy(error)),
        Err(RenderingError::Engine(error)) => {
            Err(Obstacle::Turn(TurnError::Damaged(error.to_string())))
        }
    }
}

/// The policies that an Application names, in their order, with the revisions that their definitions are at.
fn named(
    library: &Library,
    application: &Application,
    source: &LiveSource,
) -> Result<Vec<ScopedPolicy>, Obstacle> {
    let found = scoped::named(application, source)
        .map_err(|finding| Obstacle::Rejected((*finding).into()))?;
    let with_revision = |policy: ScopedPolicy| {
        let kind = DefinitionKind::Policy;
        match library.definition(kind, &policy.namespace, &policy.type_) {
            Some(entry) => Ok(recorded(policy, &entry.object)?),
            // A version that was asked for outlived its definition.
            None => Ok(policy),
        }
    };
    found.into_iter().map(with_revision).collect()
}

/// With the revision that the definition is at. One that was changed a moment ago is waited for until it has one.
pub(super) fn recorded(policy: ScopedPolicy, object: &Value) -> Result<ScopedPolicy, TurnError> {
    if !is_recorded(object) {
        let name = format!("{}/{}", policy.namespace, policy.type_);
        return Err(TurnError::Unrecorded(name));
    }
    let latest = &object["status"]["latestRevision"];
    let text = |key: &str| latest[key].as_str().unwrap_or_default().to_owned();
    Ok(ScopedPolicy {
        revision_name: text("name"),
        revision: latest["revision"].as_i64().unwrap_or_default(),
        revision_hash: text("revisionHash"),
        ..policy
    })
}

/// Tells one specification that somebody wrote from another.
pub(super) fn authored(application: &Application) -> String {
    let text = json!(application.spec).to_string();
    hex::encode(&Sha256::digest(text)[..8])
}

/// Whether what policies make of the specification is a revision of its own, whenever it changes.
pub(super) fn follows_policies(written: &Application) -> bool {
    let declared = written.annotations().get(POLICY_AUTO_REVISION);
    declared.is_some_and(|value| value == "true")
}

/// Which revisions of definitions were used, for a revision of the Application.
pub(super) fn versions(applied: &[AppliedApplicationPolicy]) -> BTreeMap<String, PolicyVersion> {
    applied
        .iter()
        .map(|one| {
            let prefix = if one.source.as_deref() == Some("global") {
                "global:"
            } else {
                ""
            };
            let version = PolicyVersion {
                definition_revision_name: one.definition_revision_name.clone(),
                revision: one.revision,
                revision_hash: one.revision_hash.clone(),
            };
            (format!("{prefix}{}", one.name), version)
        })
        .collect()
}

/// Writes the ConfigMap that tells what the policies did (POL-017); its name.
pub(super) async fn tell(
    context: &Context,
    written: &Application,
    made: &Scoped,
) -> Result<String, TurnError> {
    let namespace = written.namespace().unwrap_or_default();
    let name = config_map_name(&namespace, &written.name_any());
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                APPLICATION_POLICIES: "true",
                APP_NAME: written.name_any(),
                APP_NAMESPACE: namespace,
                APP_UID: written.uid(),
            },
            "ownerReferences": [revision::owner_reference(written)],
        },
        "data": data(written, made),
    });
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let apply = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &apply, &Patch::Apply(object)).await?;
    Ok(name)
}

fn data(written: &Application, made: &Scoped) -> Value {
    let mut data = Map::new();
    let mut put = |key: String, value: &Value| data.insert(key, format!("{value:#}").into());
    for (index, output) in made.outputs.iter().enumerate() {
        let name = output["name"].as_str().unwrap_or_default();
        put(format!("{:03}-{name}", index + 1), output);
    }
    let rendered = if made.modifies_spec() {
        json!(made.application.spec)
    } else {
        json!({"components": null})
    };
    put("rendered_spec".to_owned(), &rendered);
    put("applied_spec".to_owned(), &json!(made.application.spec));
    put(
        "metadata".to_owned(),
        &json!({"labels": made.labels, "annotations": made.annotations, "context": made.custom}),
    );
    let enabled = made.applied.iter().filter(|one| one.applied).count();
    put(
        "info".to_owned(),
        &json!({
            "application_hash": authored(written),
            "total_policies": made.applied.len(),
            "enabled_policies": enabled,
            "auto_revision": follows_policies(written),
        }),
    );
    Value::Object(data)
}

fn config_map_name(namespace: &str, application: &str) -> String {
    let name = format!("application-policies-{namespace}-{application}");
    if name.len() <= LONGEST {
        return name;
    }
    let hash = hex::encode(&Sha256::digest(&name)[..4]);
    format!("{}-{hash}", &name[..LONGEST - hash.len() - 1])
}

/// What the turn does about it besides delivering.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// What each policy did, for the status.
    pub(crate) applied: Vec<AppliedApplicationPolicy>,
    /// The ConfigMap that tells more.
    pub(crate) config_map: Option<String>,
    /// Labels and annotations that are to stand on the Application.
    pub(crate) metadata: Option<Arc<Value>>,
}

/// The labels and annotations that policies add and that are not there yet.
pub(super) fn metadata(written: &Application, made: &Scoped) -> Option<Arc<Value>> {
    let mut patch = Map::new();
    for (field, added, present) in [
        ("labels", &made.labels, written.labels()),
        ("annotations", &made.annotations, written.annotations()),
    ] {
        if added
            .iter()
            .any(|(key, value)| present.get(key) != Some(value))
        {
            patch.insert(field.to_owned(), json!(added));
        }
    }
    (!patch.is_empty()).then(|| Arc::new(Value::Object(patch)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_cut_and_stays_its_own() {
        let short = config_map_name("prod", "web");
        assert_eq!(short, "application-policies-prod-web");
        let (one, two) = ("a".repeat(250), "a".repeat(251));
        let (one, two) = (config_map_name("n", &one), config_map_name("n", &two));
        assert_eq!((one.len(), two.len()), (LONGEST, LONGEST));
        assert_ne!(one, two);
    }
}
