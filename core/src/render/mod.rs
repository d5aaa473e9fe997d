//! From a component of an [`Appfile`] to Kubernetes objects, without doing anything itself.
//!
//! A render is a small state machine: [`ComponentRender::next`] says what it needs, the caller does it
//! and comes back with the answer. The same inputs give the same objects (invariant 1).

mod asks;
mod calls;
mod config;
mod context;
mod contract;
mod error;
mod name;
pub mod object;
mod policy;
mod scoped;
mod terraform;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use config::ConfigRender;
pub use context::ClusterVersion;
pub use error::{Problem, RenderError, RenderFailure};
pub use name::generated_name;
pub use policy::{PolicyRender, artifacts};
pub use scoped::{Scoped, ScopedPolicy, ScopedRender};

use crate::api::{LOCAL_CLUSTER, labels};
use crate::appfile::{AppComponent, Appfile, Stage};
use crate::engine::{
    Call, Diagnostic, EvalError, Evaluator, Operation, RenderBase, RenderRequest, RenderResult,
    Replay, Reply, Request, Template,
};

use crate::reads::Reads;

use asks::{Asks, Uncalled, go_on, uncalled};
use contract::Contract;

/// For which place, and as part of what, a component is rendered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// The cluster; empty means the hub's own without naming it.
    pub cluster: String,
    /// Its version; that of the hub where unknown.
    pub cluster_version: ClusterVersion,
    /// The namespace of the placement; empty means the Application's.
    pub namespace: String,
    /// Key of the copy of a replicated component.
    pub replica_key: String,
    /// Name of the ApplicationRevision; that of the Appfile where empty.
    pub revision: String,
    /// Hash of the ApplicationRevision.
    pub revision_hash: String,
    /// `context.revision`: a hash of the component.
    pub component_revision: String,
    /// `context.custom`, from Application-scoped policies.
    pub custom: Option<Value>,
    /// The objects are for a cluster, not only for showing: they carry all labels, and
    /// `context.cluster` is set.
    pub dispatch: bool,
}

impl Target {
    /// To show what would be applied, as `vela dry-run` does.
    pub fn dry_run(cluster_version: ClusterVersion) -> Self {
        Self {
            cluster_version,
            ..Self::default()
        }
    }

    fn revision_or<'a>(&'a self, appfile: &'a str) -> &'a str {
        if self.revision.is_empty() {
            appfile
        } else {
            &self.revision
        }
    }

    fn cluster_in_context(&self) -> &str {
        if self.cluster.is_empty() && self.dispatch {
            LOCAL_CLUSTER
        } else {
            &self.cluster
        }
    }
}

/// Which traits take part.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RenderStage {
    /// All of them, as a dry run shows (TRAPS 22).
    #[default]
    All,
    /// Those that do not wait for the workload (REN-024).
    Dispatch,
    /// Those that waited: they see the live objects of the component.
    PostDispatch(RenderBase),
}

impl RenderStage {
    fn takes(&self, stage: Stage) -> bool {
        match self {
            Self::All => true,
            Self::Dispatch => stage != Stage::PostDispatch,
            Self::PostDispatch(_) => stage == Stage::PostDispatch,
        }
    }
}

/// What an object is to its component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The object that the component stands for.
    Workload,
    /// A further object of the component.
    Auxiliary,
    /// An object of a trait.
    Trait,
    /// An object of a policy.
    Policy,
}

/// One object, ready to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedObject {
    /// The object.
    pub object: Value,
    /// What it is to its component.
    pub role: Role,
    /// Its key under `outputs`; empty for the workload.
    pub output_name: String,
    /// Type of the trait that made it.
    pub trait_type: Option<String>,
    /// Which trait of the component that is.
    pub trait_index: Option<usize>,
    /// When it is dispatched.
    pub stage: Stage,
    /// It stays on the hub whatever the placement (REN-022).
    pub control_plane_only: bool,
    /// A trait applies it, not the component (REN-020): it is rendered and not dispatched.
    pub managed_elsewhere: bool,
}

impl RenderedObject {
    fn new(object: Value, role: Role) -> Self {
        Self {
            object,
            role,
            output_name: String::new(),
            trait_type: None,
            trait_index: None,
            stage: Stage::Default,
            control_plane_only: false,
            managed_elsewhere: false,
        }
    }
}

/// A rendered component: its workload, then the others in the order of KubeVela.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RenderedComponent {
    /// Name of the component.
    pub name: String,
    /// The objects; a `PostDispatch` render has no workload among them.
    pub objects: Vec<RenderedObject>,
    /// What authors of definitions should know.
    pub warnings: Vec<Diagnostic>,
}

impl RenderedComponent {
    /// The workload, if it is part of this render.
    pub fn workload(&self) -> Option<&RenderedObject> {
        self.objects
            .iter()
            .find(|object| object.role == Role::Workload)
    }
}

/// What a render wants next.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress<T> {
    /// Let the engine carry out this request.
    Eval(Box<Request>),
    /// Carry out these calls (`#do`), and answer with their results.
    Do(Vec<Call>),
    /// Done.
    Done(T),
}

/// What a render gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Begin.
    Start,
    /// The engine's answer to [`Progress::Eval`].
    Reply(Reply),
    /// The results of [`Progress::Do`], by [`Call::key`].
    Results(Replay),
}

/// What a render without input and output comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Offline<T> {
    /// Done.
    Done(T),
    /// These calls would have been carried out, and nothing after them is known.
    Calls(Vec<Call>),
}

/// What answers a render outside of a delivery.
pub trait Answers {
    /// Evaluates.
    fn eval(&mut self, request: &Request) -> Reply;

    /// Carries out a call; none for one that is left alone.
    fn call(&mut self, call: &Call) -> Option<Result<Value, String>> {
        let _ = call;
        None
    }
}

impl<F: FnMut(&Request) -> Reply> Answers for F {
    fn eval(&mut self, request: &Request) -> Reply {
        self(request)
    }
}

/// Runs a render to its end, or to the first call that is left alone.
///
/// # Errors
/// As the render, and if a call fails.
pub fn offline<R: Render>(
    render: &mut R,
    answers: &mut dyn Answers,
) -> Result<Offline<R::Output>, Box<RenderError>> {
    let mut input = Input::Start;
    loop {
        let calls = match render.next(input)? {
            Progress::Eval(request) => {
                input = Input::Reply(answers.eval(&request));
                continue;
            }
            Progress::Do(calls) => calls,
            Progress::Done(done) => return Ok(Offline::Done(done)),
        };
        let mut results = Replay::new();
        for call in &calls {
            match answers.call(call) {
                None => return Ok(Offline::Calls(calls)),
                Some(Err(why)) => return Err(render.call_failed(call, &why)),
                Some(Ok(value)) => results.insert(call.key.clone(), value),
            };
        }
        input = Input::Results(results);
    }
}

/// What is rendered without doing anything itself: a component, or a policy.
pub trait Render {
    /// What it comes to.
    type Output;

    /// Goes on with what was asked for.
    ///
    /// # Errors
    /// If it cannot be rendered.
    fn next(&mut self, input: Input) -> Result<Progress<Self::Output>, Box<RenderError>>;

    /// What to say of a call that was carried out without success.
    fn call_failed(&self, call: &Call, why: &str) -> Box<RenderError>;
}

/// Renders one component for one place.
#[derive(Clone, Debug)]
pub struct ComponentRender<'a> {
    appfile: &'a Appfile,
    component: &'a AppComponent,
    target: Target,
    stage: RenderStage,
    /// The hub's, for definitions that do not choose.
    evaluator: Evaluator,
    /// Which trait of the component each trait of the request is.
    traits: Vec<usize>,
    workload_patch: Option<String>,
    output_patches: BTreeMap<String, String>,
    replay: Replay,
}

impl Render for ComponentRender<'_> {
    type Output = RenderedComponent;

    fn next(&mut self, input: Input) -> Result<Progress<RenderedComponent>, Box<RenderError>> {
        go_on(self, input)
    }

    fn call_failed(&self, call: &Call, why: &str) -> Box<RenderError> {
        // The engine files what a trait asks for under `trait.<index>|<path>`.
        let trait_index: Option<usize> = call
            .key
            .strip_prefix("trait.")
            .and_then(|rest| rest.split_once('|'))
            .and_then(|(index, _)| index.parse().ok());
        let part = trait_index
            .and_then(|index| self.traits.get(index))
            .and_then(|index| self.component.traits.get(*index));
        let (entity, definition) = match part {
            Some(part) => ("trait", &part.resolved.type_name),
            None => ("workload", &self.component.spec.name),
        };
        let told = Uncalled {
            definition,
            trait_index,
            why,
            kubevela_text: error::text_of_call(entity, definition, call, why),
        };
        uncalled(self, call, told)
    }
}

impl<'a> ComponentRender<'a> {
    /// A render of a component of an Appfile.
    pub fn new(
        appfile: &'a Appfile,
        component: &'a AppComponent,
        target: Target,
        stage: RenderStage,
        evaluator: Evaluator,
    ) -> Self {
        let parts = component.traits.iter().enumerate();
        let traits = parts
            .filter(|(_, part)| stage.takes(part.resolved.definition.stage))
            .map(|(index, _)| index)
            .collect();
        Self {
            appfile,
            component,
            target,
            stage,
            evaluator,
            traits,
            workload_patch: None,
            output_patches: BTreeMap::new(),
            replay: Replay::new(),
        }
    }

    /// Patches, in CUE text, that a workflow step lays over the workload, and over further objects by output name (REN-019).
    #[must_use]
    pub fn patched(mut self, workload: Option<String>, outputs: BTreeMap<String, String>) -> Self {
        self.workload_patch = workload;
        self.output_patches = outputs;
        self
    }

    /// The evaluators of the traits, as far as they are not the component's.
    fn trait_evaluators(&self, component: Evaluator) -> Vec<Option<Evaluator>> {
        let own = |index: &usize| {
            let definition = &self.component.traits[*index].resolved.definition;
            let chosen = definition.evaluator.unwrap_or(self.evaluator);
            (chosen != component).then_some(chosen)
        };
        let all: Vec<_> = self.traits.iter().map(own).collect();
        if all.iter().any(Option::is_some) {
            all
        } else {
            Vec::new()
        }
    }

    fn is_late(&self) -> bool {
        matches!(self.stage, RenderStage::PostDispatch(_))
    }

    fn component_template(&self) -> Template {
        let definition = &self.component.resolved.definition;
        Template {
            name: definition.name.clone(),
            source: definition.template.clone(),
            parameters: self.component.spec.properties.clone().unwrap_or_default(),
        }
    }

    fn terraform(&self) -> Option<Value> {
        let namespace = match self.target.namespace.as_str() {
            "" => &self.appfile.namespace,
            placed => placed,
        };
        terraform::configuration(self.component, namespace)
    }

    fn finish(&self, result: RenderResult) -> Result<RenderedComponent, Box<RenderError>> {
        let contract = Contract::new(self.appfile, self.component, &self.target);
        let post_dispatch = self.is_late();
        let mut objects = Vec::with_capacity(result.outputs.len() + 1);
        let workload = contract.workload(match &self.stage {
            RenderStage::PostDispatch(base) => base.output.clone(),
            _ => result.output,
        });
        for output in result.outputs {
            let index = output
                .trait_index
                .and_then(|index| self.traits.get(index).copied());
            let rendered = contract
                .output(output.object, &output.name, index, &workload.object)
                .map_err(|message| {
                    let path = match index {
                        Some(index) => self.component.provenance.place(&format!("traits[{index}]")),
                        None => self.component.path().to_owned(),
                    };
                    let name = &self.component.spec.name;
                    RenderError::plain(RenderFailure::Result, name, &path, message)
                })?;
            let mut rendered = rendered;
            if post_dispatch {
                // What is dispatched late does not carry it in KubeVela (measured: `c-multi-stage-traits`).
                object::remove_texts(&mut rendered.object, "labels", [labels::RESOURCE_TYPE]);
            }
            objects.push(rendered);
        }
        if !post_dispatch {
            objects.insert(0, workload);
        }
        Ok(RenderedComponent {
            name: self.component.spec.name.clone(),
            objects,
            warnings: result.warnings,
        })
    }
}

impl Asks for ComponentRender<'_> {
    type Answer = RenderResult;

    fn ask(&self) -> Progress<RenderedComponent> {
        let traits = self
            .traits
            .iter()
            .filter_map(|index| self.component.traits.get(*index));
        let own = &self.component.resolved.definition;
        let templates = traits
            .clone()
            .map(|part| &part.resolved.definition.template);
        let (component, base) = match &self.stage {
            RenderStage::PostDispatch(base) => (None, Some(as_seen(base, templates.clone()))),
            _ => match self.terraform() {
                Some(output) => (
                    None,
                    Some(RenderBase {
                        output,
                        ..RenderBase::default()
                    }),
                ),
                None => (Some(self.component_template()), None),
            },
        };
        let templates = templates.chain(component.as_ref().map(|_| &own.template));
        let context = context::of_component(self.appfile, self.component, &self.target, templates);
        let evaluator = own.evaluator.unwrap_or(self.evaluator);
        let request = RenderRequest {
            component,
            base,
            trait_evaluators: self.trait_evaluators(evaluator),
            traits: traits
                .map(|part| Template {
                    name: part.resolved.type_name.clone(),
                    source: part.resolved.definition.template.clone(),
                    parameters: part.properties.clone().unwrap_or_default(),
                })
                .collect(),
            context,
            workload_patch: self.workload_patch.clone().filter(|_| !self.is_late()),
            output_patches: self.output_patches.clone(),
            replay: self.replay.clone(),
            ..RenderRequest::default()
        };
        let operation = Operation::Render(request);
        Progress::Eval(Box::new(Request {
            id: 0,
            evaluator,
            operation,
        }))
    }

    fn replay(&mut self) -> &mut Replay {
        &mut self.replay
    }

    fn take(
        &mut self,
        result: RenderResult,
    ) -> Result<Progress<RenderedComponent>, Box<RenderError>> {
        self.finish(result).map(Progress::Done)
    }

    fn evaluated(&self, error: EvalError) -> Box<RenderError> {
        RenderError::of_component(self.appfile, self.component, &self.traits, error)
    }

    fn plain(&self, failure: RenderFailure, message: String) -> Box<RenderError> {
        let component = self.component;
        RenderError::plain(failure, &component.spec.name, component.path(), message)
    }
}

/// Live objects as late templates see them: not what none of them reads, so that the same question is asked as long as
/// what they read is the same. Patches are laid over all of an object.
fn as_seen<'a>(
    live: &RenderBase,
    templates: impl Iterator<Item = &'a String> + Clone,
) -> RenderBase {
    if templates.clone().any(|text| text.contains("patch")) {
        return RenderBase {
            live: true,
            ..live.clone()
        };
    }
    let reads = Reads::of("context", templates);
    let output = reads.at("output");
    let outputs = reads.at("outputs");
    let seen = live.outputs.iter().filter_map(|(name, object)| {
        let object = outputs?.at(name)?.project(object);
        Some((name.clone(), object))
    });
    RenderBase {
        output: output.map_or_else(|| json!({}), |reads| reads.project(&live.output)),
        outputs: seen.collect(),
        live: true,
    }
}
