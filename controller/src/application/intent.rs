//! What is to be delivered: the Application with its definitions, and the revision that records them.

use std::sync::Arc;

use caravel_core::api::labels::APP_NAME;
use caravel_core::api::labels::annotations::PUBLISH_VERSION;
use caravel_core::api::{
    Algorithm, Application, ApplicationRevision, ApplicationRevisionSpec, LatestRevision,
    RevisionContent, WorkflowStep, WorkflowSubStep,
};
use caravel_core::appfile::{
    Appfile, Definition, DefinitionSet, DefinitionSource, Finding, PolicyRule, Rejection,
    apply_component_step, is_apply_component, parse,
};
use caravel_core::check::Check;
use caravel_core::render::{RenderError, Scoped};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams, Request};
use serde::de::DeserializeOwned;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::delivery::DeliveryError;
use super::imported;
use super::referred;
use super::revision::{self, AUTHORED, Choice, External, Known, POLICY_CONTEXT};
use super::scoped::{self, Told};
use super::source::LiveSource;
use super::{Context, TurnError};
use crate::FIELD_MANAGER;
use crate::admission::{PATIENCE, judged};
use crate::definition::oam_resource;

/// Revisions that are kept besides the one in use, unless a policy says otherwise (row APP-030).
const REVISION_LIMIT: usize = 10;

/// What is to be delivered.
#[derive(Clone)]
pub(crate) struct Intent {
    /// The Application as its revision has it.
    pub(crate) application: Arc<Application>,
    /// Resolved and checked.
    pub(crate) appfile: Arc<Appfile>,
    /// Where its definitions come from.
    pub(crate) source: Arc<dyn DefinitionSource + Send + Sync>,
    /// The steps as the engine runs them.
    pub(crate) steps: Vec<WorkflowStep>,
    /// The revision that records it.
    pub(crate) revision: LatestRevision,
    /// What `status.workflow.appRevision` says (TRAP-007).
    pub(crate) desired: String,
    /// Whether the revision was made just now.
    pub(crate) is_new: bool,
    /// `context.custom`, from policies that work on the Application.
    pub(crate) custom: Option<Value>,
    /// What such policies did; none where they were not asked again.
    pub(crate) told: Option<Told>,
    /// What is accepted and probably not meant; none where nothing was written since it was looked at.
    pub(crate) warnings: Option<Arc<[String]>>,
}

/// Why there is nothing to deliver.
pub(crate) enum Obstacle {
    /// The Application is wrong, or names what is not there (yet).
    Rejected(Rejection),
    /// A policy that works on the Application cannot be evaluated.
    Policy(Box<RenderError>),
    /// What a component refers to is not there (yet).
    Referred(DeliveryError),
    /// Something else.
    Turn(TurnError),
}

impl<E: Into<TurnError>> From<E> for Obstacle {
    fn from(error: E) -> Self {
        Self::Turn(error.into())
    }
}

/// Reads what is needed, decides, and writes a new revision if one is needed.
pub(crate) async fn intent(
    context: &Context,
    application: &Application,
) -> Result<Intent, Obstacle> {
    let known = revisions(context, application).await?;
    let latest = application
        .status
        .as_ref()
        .and_then(|s| s.latest_revision.as_ref());
    let latest = latest.map(|revision| revision.name.as_str());
    let publish_version = publish_version(application);
    let pinned = known.iter().find(|revision| {
        Some(revision.latest.name.as_str()) == latest
            && publish_version.is_some()
            && revision.publish_version == publish_version
    });
    if let Some(pinned) = pinned {
        return from_revision(application, pinned, publish_version);
    }
    let written = application;
    let gathered = LiveSource::gather(&context.client, &context.library, written).await?;
    let warnings = warnings(context, written, &gathered).await;
    let made = scoped::made_by_policies(context, written, &gathered).await?;
    let kept = kept(written, made.as_ref(), latest, &known);
    let (mut transformed, mut custom, told) = match &made {
        None => (written.clone(), None, Told::default()),
        Some(made) => {
            let told = Told {
                applied: made.applied.clone(),
                config_map: Some(scoped::tell(context, written, made).await?),
                metadata: scoped::metadata(written, made),
            };
            let fresh = Some(Value::Object(made.custom.clone()));
            let custom = fresh.filter(|custom| *custom != json!({}));
            (made.application.clone(), custom, told)
        }
    };
    if let Some(kept) = kept {
        // A changed policy alone rolls nothing, nor does one that is gone (POL-016).
        transformed.spec = kept.content.application.spec.clone();
        custom.clone_from(&kept.custom);
    }
    let application = &transformed;
    let source = if made.is_some() || kept.is_some() {
        LiveSource::gather(&context.client, &context.library, application).await?
    } else {
        gathered
    };
    let mut appfile = parse(application, &source).map_err(Obstacle::Rejected)?;
    let steps = converted(application, &appfile)?;
    let external = External {
        policies: source.policies.clone(),
        workflow: source.workflow.clone(),
    };
    let mut content = content(context, application, &appfile, &external);
    content.policy_versions = scoped::versions(&told.applied);
    let marks = Marks {
        authored: (made.is_some() || kept.is_some()).then(|| scoped::authored(written)),
        custom: custom.clone(),
    };
    let choice = revision::choose(application, &external, &content, latest, &known);
    let is_new = matches!(choice, Choice::New(_));
    let revision = choice.latest().clone();
    if is_new {
        // A revision is of something that can be delivered (row REN-036).
        referred::check(context, &appfile)
            .await
            .map_err(Obstacle::Referred)?;
        imported::check(context, &appfile)
            .await
            .map_err(Obstacle::Referred)?;
        create(context, application, &revision, content, marks).await?;
    }
    appfile.revision.clone_from(&revision.name);
    Ok(Intent {
        steps,
        source: Arc::new(source),
        application: Arc::new(application.clone()),
        appfile: Arc::new(appfile),
        desired: publish_version.unwrap_or_else(|| revision.name.clone()),
        revision,
        is_new,
        custom,
        told: Some(told),
        warnings,
    })
}

/// What admission warned of when this generation was written. The engine remembers what it said then.
async fn warnings(
    context: &Context,
    written: &Application,
    source: &LiveSource,
) -> Option<Arc<[String]>> {
    let observed = written.status.as_ref().map(|s| s.observed_generation);
    if observed.is_some() && observed == written.metadata.generation {
        return None;
    }
    let check = Check::new(written, source);
    let (evaluation, version) = (&context.evaluation, &context.cluster_version);
    let findings = judged(evaluation, version, written, check, PATIENCE).await;
    // What may mend itself stops the delivery, and is told of by that.
    let is_told = |finding: &&Finding| finding.kind.is_warning() && !finding.kind.may_resolve();
    let told = findings.iter().filter(is_told).map(ToString::to_string);
    Some(told.collect())
}

/// The latest revision, where its author has changed nothing since and does not want revisions of changed policies
/// (POL-016).
fn kept<'a>(
    written: &Application,
    made: Option<&Scoped>,
    latest: Option<&str>,
    known: &'a [Known],
) -> Option<&'a Known> {
    if scoped::follows_policies(written) {
        return None;
    }
    let revision = known.iter().find(|revision| {
        Some(revision.latest.name.as_str()) == latest
            && revision.publish_version == publish_version(written)
    })?;
    let is_kept = match &revision.authored {
        Some(before) => *before == scoped::authored(written),
        // No policy held then: only one that holds now could change anything.
        None => {
            made.is_some_and(Scoped::modifies_spec)
                && revision.content.application.spec == written.spec
        }
    };
    is_kept.then_some(revision)
}

/// With a publish version everything comes from the revision, whatever was edited since (row APP-009).
fn from_revision(
    application: &Application,
    pinned: &Known,
    publish_version: Option<String>,
) -> Result<Intent, Obstacle> {
    let set = recorded(
        &pinned.content,
        &application.namespace().unwrap_or_default(),
    );
    let set = set.map_err(|problem| {
        TurnError::Damaged(format!("revision {}: {problem}", pinned.latest.name))
    })?;
    let content = &pinned.content;
    let mut pinned_application = application.clone();
    pinned_application.spec = content.application.spec.clone();
    let mut appfile = parse(&pinned_application, &set).map_err(Obstacle::Rejected)?;
    appfile.revision.clone_from(&pinned.latest.name);
    Ok(Intent {
        steps: converted(&pinned_application, &appfile)?,
        source: Arc::new(set),
        application: Arc::new(pinned_application),
        appfile: Arc::new(appfile),
        desired: publish_version.unwrap_or_else(|| pinned.latest.name.clone()),
        revision: pinned.latest.clone(),
        is_new: false,
        custom: pinned.custom.clone(),
        told: None,
        warnings: None,
    })
}

/// The definitions and objects that a revision was resolved with.
fn recorded(content: &RevisionContent, namespace: &str) -> Result<DefinitionSet, String> {
    let mut set = DefinitionSet::default();
    let of_components = content.component_definitions.iter();
    let of_traits = content.trait_definitions.iter();
    let of_policies = content.policy_definitions.iter();
    let of_steps = content.workflow_step_definitions.iter();
    let definitions = of_components
        .map(|(name, one)| ("Component", "componentDefinition", name, json!(one)))
        .chain(of_traits.map(|(name, one)| ("Trait", "traitDefinition", name, json!(one))))
        .chain(of_policies.map(|(name, one)| ("Policy", "policyDefinition", name, json!(one))))
        .chain(
            of_steps
                .map(|(name, one)| ("WorkflowStep", "workflowStepDefinition", name, json!(one))),
        );
    for (type_, field, name, mut object) in definitions {
        object["kind"] = format!("{type_}Definition").into();
        if object["metadata"]["name"] == name.as_str() {
            set.add(&object, namespace)?;
            continue;
        }
        // A version that was asked for (`x@v1.2`) is recorded under its own name (row DEF-003).
        let place = object["metadata"]["namespace"].clone();
        let revision = json!({
            "kind": "DefinitionRevision",
            "metadata": {"name": name, "namespace": place},
            "spec": {"definitionType": type_, field: object},
        });
        set.add(&revision, namespace)?;
    }
    let policies = content.policies.values().map(|one| ("Policy", json!(one)));
    let workflow = content.workflow.iter().map(|one| ("Workflow", json!(one)));
    for (kind, mut object) in policies.chain(workflow) {
        object["kind"] = kind.into();
        set.add(&object, namespace)?;
    }
    Ok(set)
}

/// The steps as the engine runs them: `apply-component` takes over what its component says of inputs,
/// outputs and dependencies (row APP-040).
fn converted(application: &Application, appfile: &Appfile) -> Result<Vec<WorkflowStep>, Obstacle> {
    let components = &application.spec.components;
    let rejected = |finding: Box<Finding>| Obstacle::Rejected((*finding).into());
    let mut steps = appfile.workflow.steps.clone();
    for step in &mut steps {
        if is_apply_component(&step.type_) {
            *step = apply_component_step(step, components).map_err(rejected)?;
        }
        for sub_step in &mut step.sub_steps {
            if is_apply_component(&sub_step.type_) {
                let alone = alone(sub_step);
                let converted = apply_component_step(&alone, components).map_err(rejected)?;
                sub_step.depends_on = converted.depends_on;
                sub_step.inputs = converted.inputs;
                sub_step.outputs = converted.outputs;
                sub_step.properties = converted.properties;
            }
        }
    }
    Ok(steps)
}

/// A sub-step as a step.
fn alone(sub_step: &WorkflowSubStep) -> WorkflowStep {
    WorkflowStep {
        name: sub_step.name.clone(),
        type_: sub_step.type_.clone(),
        depends_on: sub_step.depends_on.clone(),
        inputs: sub_step.inputs.clone(),
        outputs: sub_step.outputs.clone(),
        properties: sub_step.properties.clone(),
        ..WorkflowStep::default()
    }
}

/// The value of `app.oam.dev/publishVersion`, if there is one.
pub(crate) fn publish_version(application: &Application) -> Option<String> {
    application
        .annotations()
        .get(PUBLISH_VERSION)
        .filter(|value| !value.is_empty())
        .cloned()
}

/// The revisions of an Application; a damaged one is an error, for nothing may be pruned on half the truth.
pub(crate) async fn revisions(
    context: &Context,
    application: &Application,
) -> Result<Vec<Known>, TurnError> {
    let namespace = application.namespace().unwrap_or_default();
    let name = application.name_any();
    let api: Api<ApplicationRevision> = Api::namespaced(context.client.clone(), &namespace);
    let mut found = Vec::new();
    if let Some(names) = context.revisions.of(&namespace, &name) {
        for one in names {
            match api.get_opt(&one).await? {
                Some(object) => found.push(object),
                None => context.revisions.remove(&namespace, &name, &one),
            }
        }
    } else {
        let mine = ListParams::default().labels(&format!("{APP_NAME}={name}"));
        found = api.list(&mine).await?.items;
    }
    found
        .iter()
        .map(|object| revision::read(object).map_err(TurnError::Damaged))
        .collect()
}

/// Keeps in mind which revisions there are, for as long as it is polled. Without it, each Application that is looked at
/// looks through the revisions of all.
pub(crate) async fn follow(context: &Context) {
    let resource = oam_resource("ApplicationRevision", "applicationrevisions");
    let api = Api::all_with(context.client.clone(), &resource);
    let owner = |revision: &ObjectMeta| {
        let name = revision.labels.as_ref()?.get(APP_NAME)?;
        Some((revision.namespace.clone()?, name.clone()))
    };
    context.revisions.follow(api, owner, |_, _| {}).await;
}

/// What a revision records: the Application, and all definitions and objects that it was resolved with.
fn content(
    context: &Context,
    application: &Application,
    appfile: &Appfile,
    external: &External,
) -> RevisionContent {
    let namespace = application.namespace().unwrap_or_default();
    let mut content = RevisionContent {
        application: revision::snapshot(application),
        policies: external
            .policies
            .iter()
            .map(|(name, policy)| (format!("{namespace}/{name}"), policy.clone()))
            .collect(),
        workflow: external.workflow.clone(),
        ..RevisionContent::default()
    };
    for component in &appfile.components {
        let definition = &component.resolved.definition;
        let name = component.resolved.type_name.clone();
        if let Some(found) = object(context, definition) {
            content.component_definitions.insert(name, found);
        }
        for part in &component.traits {
            let definition = &part.resolved.definition;
            if let Some(found) = object(context, definition) {
                content
                    .trait_definitions
                    .insert(part.resolved.type_name.clone(), found);
            }
        }
    }
    for policy in &appfile.policies {
        let PolicyRule::Custom(resolved) = &policy.rule else {
            continue;
        };
        let definition = &resolved.definition;
        if let Some(found) = object(context, definition) {
            let name = resolved.type_name.clone();
            content.policy_definitions.insert(name, found);
        }
    }
    for (type_, resolved) in &appfile.step_definitions {
        let definition = &resolved.definition;
        if let Some(found) = object(context, definition) {
            content
                .workflow_step_definitions
                .insert(type_.clone(), found);
        }
    }
    content
}

fn object<T: DeserializeOwned>(context: &Context, definition: &Definition) -> Option<T> {
    let entry = context.library.origin(definition)?;
    let mut object = (*entry.object).clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| {
            matches!(
                field.as_str(),
                "name" | "namespace" | "labels" | "annotations"
            )
        });
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    serde_json::from_value(object).ok()
}

/// What a revision carries of the policies that worked on the Application.
struct Marks {
    authored: Option<String>,
    custom: Option<Value>,
}

async fn create(
    context: &Context,
    application: &Application,
    latest: &LatestRevision,
    content: RevisionContent,
    marks: Marks,
) -> Result<(), TurnError> {
    let mut object = revision::object(application, latest, RevisionContent::default());
    let annotations = object.metadata.annotations.get_or_insert_default();
    if let Some(authored) = marks.authored {
        annotations.insert(AUTHORED.to_owned(), authored);
    }
    if let Some(custom) = marks.custom {
        annotations.insert(POLICY_CONTEXT.to_owned(), custom.to_string());
    }
    object.spec = ApplicationRevisionSpec::pack(content, Some(Algorithm::Zstd))
        .map_err(|error| TurnError::Damaged(format!("revision {}: {error}", latest.name)))?;
    let namespace = application.namespace().unwrap_or_default();
    let api: Api<ApplicationRevision> = Api::namespaced(context.client.clone(), &namespace);
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    context
        .revisions
        .insert(&namespace, &application.name_any(), &latest.name);
    let body = serde_json::to_vec(&object)
        .map_err(|error| TurnError::Damaged(format!("revision {}: {error}", latest.name)))?;
    let request = Request::new(api.resource_url())
        .create(&parameters, body)
        .map_err(kube::Error::BuildRequest)?;
    // The answer says it all again.
    match context.client.request::<IgnoredAny>(request).await {
        // Made by a turn that was cut off before it could report it. It has the same number, so the same
        // Application: the next turn compares it.
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            Err(TurnError::Again("the revision was made by an earlier turn"))
        }
        other => Ok(other.map(drop)?),
    }
}

/// Deletes revisions beyond the limit (row APP-030).
pub(crate) async fn drop_surplus(
    context: &Context,
    application: &Application,
    intent: &Intent,
    limit: Option<i64>,
) -> Result<(), TurnError> {
    let known = revisions(context, application).await?;
    let limit = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(REVISION_LIMIT);
    let namespace = application.namespace().unwrap_or_default();
    let api: Api<ApplicationRevision> = Api::namespaced(context.client.clone(), &namespace);
    for name in revision::surplus(&known, &intent.revision.name, limit) {
        match api.delete(&name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            other => drop(other?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use caravel_core::appfile::resolve;
    use caravel_core::engine::DefinitionKind;

    use super::*;

    #[test]
    fn a_recorded_version_is_found_under_the_type_that_asked_for_it() {
        let definition = |text: &str| {
            json!({
                "metadata": {"name": "box", "namespace": "vela-system"},
                "spec": {"schematic": {"cue": {"template": text}}},
            })
        };
        let content: RevisionContent = serde_json::from_value(json!({
            "application": {"metadata": {"name": "web"}, "spec": {"components": []}},
            "componentDefinitions": {"box": definition("new"), "box-v1": definition("old")},
        }))
        .expect("the content of a revision");
        let set = recorded(&content, "prod").expect("definitions");
        let found = |type_: &str| {
            let kind = DefinitionKind::Component;
            let resolved = resolve(&set, kind, type_, "prod", false);
            resolved.map(|one| one.definition.template.clone())
        };
        assert_eq!(found("box").as_deref(), Some("new"));
        assert_eq!(found("box@v1").as_deref(), Some("old"));
        assert_eq!(found("box@v2"), None);
    }
}
