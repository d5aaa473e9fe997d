//! What a dry run shows: one group of objects for each `deploy` step and topology (`vela dry-run`).

use crate::api::Application;
use crate::appfile::{
    AppComponent, Appfile, DefinitionSource, DeployStep, Rejection, Replication, Stage,
    assemble_overridden, parse, read_properties,
};

use crate::engine::{Call, DiagnosticKind, Evaluator};
use crate::render::{
    Answers, ClusterVersion, ComponentRender, Offline, PolicyRender, RenderError, RenderStage,
    RenderedComponent, RenderedObject, Scoped, Target, offline,
};

use serde_json::Value;

use super::{Chosen, ComponentCopy, replicate};
use crate::check::applying_inputs;

/// A group of components that a dry run renders together.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRunGroup {
    /// What it is, for people.
    pub title: String,
    /// The Application as it is there.
    pub appfile: Appfile,
    /// What copies are made of its components.
    pub replications: Vec<Replication>,
    /// What policies of scope `Application` give to templates (`context.custom`).
    pub custom: Option<Value>,
}

impl DryRunGroup {
    /// Its components in the order of their delivery, each with the key of the copy; empty for one that is not copied.
    fn copies(&self) -> Vec<(&AppComponent, String)> {
        let components = &self.appfile.components;
        let specs: Vec<_> = components.iter().map(|one| one.spec.clone()).collect();
        let replications: Vec<&Replication> = self.replications.iter().collect();
        let found = |copy: ComponentCopy| {
            let mut components = components.iter();
            let component = components.find(|one| one.spec == copy.component)?;
            Some((component, copy.replica_key))
        };
        let copies = replicate(&specs, &replications).into_iter();
        copies.filter_map(found).collect()
    }
}

/// The groups of a dry run. Without a `deploy` step there is one; otherwise one for each such step and
/// topology of it, with the step's overrides.
///
/// # Errors
/// What is wrong with the Application.
pub fn dry_run(
    app: &Application,
    source: &dyn DefinitionSource,
) -> Result<Vec<DryRunGroup>, Rejection> {
    let appfile = parse(app, source)?;
    let name = appfile.name.clone();
    let mut groups = Vec::new();
    let deploys = appfile
        .workflow
        .steps
        .iter()
        .enumerate()
        .filter(|(_, s)| s.type_ == "deploy");
    for (index, step) in deploys {
        let properties = step.properties.clone().unwrap_or_default();
        let deploy = if properties.is_null() {
            DeployStep::default()
        } else {
            read_properties(
                &properties,
                &format!("{}[{index}].properties", appfile.workflow.path()),
                "",
            )?
        };
        let chosen = Chosen::of(&appfile, &deploy.policies)?;
        let patched = patched(app, &chosen, source)?;
        let titles = if chosen.topologies.is_empty() {
            vec![format!("{name} only with override policies")]
        } else {
            let topologies = chosen.topologies.iter();
            topologies
                .map(|(topology, _)| format!("{name} with topology {topology}"))
                .collect()
        };
        for title in titles {
            groups.push(DryRunGroup {
                title,
                appfile: patched.clone(),
                replications: chosen.replications.iter().copied().cloned().collect(),
                custom: None,
            });
        }
    }
    if groups.is_empty() {
        groups.push(DryRunGroup {
            title: name,
            appfile,
            replications: Vec::new(),
            custom: None,
        });
    }
    Ok(groups)
}

/// As [`dry_run`], of what policies of scope `Application` made.
///
/// # Errors
/// As [`dry_run`].
pub fn dry_run_of(
    made: &Scoped,
    source: &dyn DefinitionSource,
) -> Result<Vec<DryRunGroup>, Rejection> {
    let custom = (!made.custom.is_empty()).then(|| Value::Object(made.custom.clone()));
    let mut groups = dry_run(&made.application, source)?;
    for group in &mut groups {
        group.custom.clone_from(&custom);
    }
    Ok(groups)
}

/// The Application with its components overridden.
fn patched(
    app: &Application,
    chosen: &Chosen<'_>,
    source: &dyn DefinitionSource,
) -> Result<Appfile, Rejection> {
    let components = chosen.overridden(&app.spec.components);
    assemble_overridden(app, components, source).map_err(|mut rejection| {
        for finding in &mut rejection.findings {
            if !finding.kubevela_text.is_empty() {
                let text = &finding.kubevela_text;
                finding.kubevela_text = format!("cannot generate appFile from application: {text}");
            }
        }
        rejection
    })
}

/// The objects of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RenderedGroup {
    /// Its components, in the order of the Application.
    pub components: Vec<RenderedComponent>,
    /// The objects of its policies.
    pub policies: Vec<RenderedObject>,
    /// What depends on the results of calls, and is not among the objects.
    pub open: Vec<OpenCalls>,
    /// What traits of components lack that wait for the live workload: only it has what they read.
    pub late: Vec<Box<RenderError>>,
    /// What components lack that others give them.
    pub fed: Vec<Box<RenderError>>,
}

/// A component or policy whose objects depend on the results of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenCalls {
    /// Its name.
    pub subject: String,
    /// The calls that come first.
    pub calls: Vec<Call>,
}

impl RenderedGroup {
    /// All objects in KubeVela's order: component by component, then the policies.
    pub fn objects(&self) -> impl Iterator<Item = &RenderedObject> {
        let components = self
            .components
            .iter()
            .flat_map(|component| &component.objects);
        components.chain(&self.policies)
    }
}

/// Why a group cannot be shown.
#[derive(Clone, Debug, PartialEq)]
pub enum DryRunError {
    /// It cannot be rendered.
    Render(Box<RenderError>),
    /// It depends on the results of calls, which a dry run does not carry out.
    Calls {
        /// Name of the component or policy.
        component: String,
        /// The calls.
        calls: Vec<Call>,
    },
}

/// Renders a group whole.
///
/// # Errors
/// The first component or policy that cannot be rendered.
pub fn render_group(
    group: &DryRunGroup,
    cluster_version: &ClusterVersion,
    evaluator: Evaluator,
    answers: &mut dyn Answers,
) -> Result<RenderedGroup, DryRunError> {
    let mut rendered =
        show_group(group, cluster_version, evaluator, answers).map_err(DryRunError::Render)?;
    if let Some(late) = rendered.late.pop().or_else(|| rendered.fed.pop()) {
        return Err(DryRunError::Render(late));
    }
    match rendered.open.into_iter().next() {
        Some(OpenCalls { subject, calls }) => Err(DryRunError::Calls {
            component: subject,
            calls,
        }),
        None => Ok(RenderedGroup {
            open: Vec::new(),
            ..rendered
        }),
    }
}

/// Renders what of a group can be rendered, and says what the rest depends on.
///
/// # Errors
/// The first component or policy with a mistake.
pub fn show_group(
    group: &DryRunGroup,
    cluster_version: &ClusterVersion,
    evaluator: Evaluator,
    answers: &mut dyn Answers,
) -> Result<RenderedGroup, Box<RenderError>> {
    let appfile = &group.appfile;
    let target = |replica_key: &str| Target {
        custom: group.custom.clone(),
        replica_key: replica_key.to_owned(),
        ..Target::dry_run(cluster_version.clone())
    };
    let mut shown = RenderedGroup::default();
    for (component, key) in group.copies() {
        let mut at = |stage| {
            let target = target(&key);
            let mut render = ComponentRender::new(appfile, component, target, stage, evaluator);
            offline(&mut render, answers)
        };
        let outcome = match at(RenderStage::All) {
            // What a trait reads of the live workload is not there: the rest can be shown.
            Err(error) if is_late(component, &error) => {
                let rest = at(RenderStage::Dispatch)?;
                shown.late.push(error);
                rest
            }
            Err(error) if is_fed(appfile, component) => {
                shown.fed.push(error);
                continue;
            }
            outcome => outcome?,
        };
        match outcome {
            Offline::Done(rendered) => shown.components.push(rendered),
            Offline::Calls(calls) => shown.open.push(OpenCalls {
                subject: component.spec.name.clone(),
                calls,
            }),
        }
    }
    for policy in &appfile.policies {
        let Some(mut render) =
            PolicyRender::new(appfile, policy, &shown.components, target(""), evaluator)
        else {
            continue;
        };
        match offline(&mut render, answers)? {
            Offline::Done(objects) => shown.policies.extend(objects),
            Offline::Calls(calls) => shown.open.push(OpenCalls {
                subject: policy.name.clone(),
                calls,
            }),
        }
    }
    Ok(shown)
}

/// Whether others give something to a component, or to the step that applies it.
fn is_fed(appfile: &Appfile, component: &AppComponent) -> bool {
    let spec = &component.spec;
    !spec.inputs.is_empty() || !applying_inputs(appfile, &spec.name).is_empty()
}

/// Whether it is a trait after dispatch that fails, and for want of something to read.
pub fn is_late(component: &AppComponent, error: &RenderError) -> bool {
    let is_wrong = error.problems.iter().any(|problem| {
        let kinds = [DiagnosticKind::Conflict, DiagnosticKind::User];
        let diagnostic = &problem.diagnostic;
        kinds.contains(&diagnostic.kind) || diagnostic.path.starts_with("parameter")
    });
    if is_wrong {
        return false;
    }
    let is_named = |type_: &str| {
        error
            .trait_type
            .as_deref()
            .is_none_or(|named| named == type_)
    };
    component
        .traits
        .iter()
        .any(|part| part.resolved.definition.stage == Stage::PostDispatch && is_named(&part.type_))
}
