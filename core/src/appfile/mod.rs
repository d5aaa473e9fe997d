//! From an Application to an [`Appfile`]: resolved, typed, checked.
//!
//! An Appfile is past the wall between untrusted and trusted: its types exist, its names are unique, its
//! dependencies lead somewhere, its policies can be read.

mod definition;
mod error;
mod order;
mod policy;
mod set;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

pub use definition::{Definition, DefinitionSource, Resolved, Stage, kind_of, resolve, type_label};
pub use error::{Finding, FindingKind, Rejection, did_you_mean};
pub use policy::{
    Affect, ApplyOnce, ApplyOnceRule, ApplyOnceStrategy, ComponentPatch, DeployStep,
    GarbageCollect, GarbageOrder, GarbageRule, GarbageStrategy, Override, Policy, PolicyRule,
    Propagation, Replication, ResourceUpdate, ResourceUpdateRule, Selection, SelectionRule,
    Selector, Topology, TraitPatch, UpdateOp, UpdateStrategy, read_properties,
};
pub use set::{DefinitionSet, Layered};
pub use steps::{REF_OBJECTS, Steps, apply_component_step, is_builtin, named};

use crate::api::labels::annotations;
use crate::api::{Application, ApplicationComponent, WorkflowStep};
use crate::engine::DefinitionKind;

/// A trait of a component with its definition.
#[derive(Clone, Debug, PartialEq)]
pub struct AppTrait {
    /// Type as written.
    pub type_: String,
    /// What defines it.
    pub resolved: Resolved,
    /// Its properties.
    pub properties: Option<Value>,
}

/// A component with its definition and traits.
#[derive(Clone, Debug, PartialEq)]
pub struct AppComponent {
    /// The component as written.
    pub spec: ApplicationComponent,
    /// What defines it.
    pub resolved: Resolved,
    /// Its traits in the order in which they take effect.
    pub traits: Vec<AppTrait>,
    /// Where it stands in the Application, for messages.
    pub path: String,
}

impl AppComponent {
    /// Whether a trait applies the workload (REN-020).
    pub fn workload_is_managed(&self) -> bool {
        self.traits
            .iter()
            .any(|part| part.resolved.definition.manage_workload)
    }
}

/// An Application with everything that it refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Appfile {
    /// Its name.
    pub name: String,
    /// Its namespace; `default` where it gives none.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Name of its latest revision; empty where it has none.
    pub revision: String,
    /// Its components.
    pub components: Vec<AppComponent>,
    /// Its policies, those that only steps name included (APP-039).
    pub policies: Vec<Policy>,
    /// Its workflow.
    pub workflow: Steps,
    /// The definitions of its steps by type; built-in types have none.
    pub step_definitions: BTreeMap<String, Resolved>,
}

/// Reads an Application.
///
/// # Errors
/// If a field has the wrong shape; the path is that of the field.
pub fn read_application(object: &Value) -> Result<Application, Rejection> {
    if let Some(finding) = wrong_shape(object) {
        return Err(finding.into());
    }
    serde_path_to_error::deserialize(object).map_err(|error| {
        let path = error.path().to_string();
        let text = error.inner().to_string();
        Finding::new(
            FindingKind::Invalid,
            if path == "." { String::new() } else { path },
            format!("this value has the wrong shape: {text}"),
        )
        .kubevela(format!("json: {text}"))
        .into()
    })
}

/// A list where an object belongs: the decoder would take it for the object's fields in their order.
fn wrong_shape(object: &Value) -> Option<Finding> {
    let items = |path: &str| {
        let list = object.pointer(path).and_then(Value::as_array);
        let count = list.map_or(0, Vec::len);
        (0..count)
            .map(|index| format!("{path}/{index}"))
            .collect::<Vec<_>>()
    };
    let mut paths = vec![
        "/metadata".to_owned(),
        "/spec".to_owned(),
        "/spec/workflow".to_owned(),
    ];
    let mut lists = vec!["/spec/components".to_owned(), "/spec/policies".to_owned()];
    lists.push("/spec/workflow/steps".to_owned());
    for component in items("/spec/components") {
        lists.push(format!("{component}/traits"));
    }
    for step in items("/spec/workflow/steps") {
        lists.push(format!("{step}/subSteps"));
    }
    paths.extend(lists.iter().flat_map(|list| items(list)));
    let wrong = paths
        .iter()
        .find(|path| object.pointer(path).is_some_and(Value::is_array))?;
    let place = wrong.split('/').skip(1).fold(String::new(), |place, part| {
        let dot = if place.is_empty() { "" } else { "." };
        match part.parse::<usize>() {
            Ok(index) => format!("{place}[{index}]"),
            Err(_) => format!("{place}{dot}{part}"),
        }
    });
    let finding = Finding::new(
        FindingKind::Invalid,
        place,
        "this must be an object, not a list",
    );
    Some(
        finding
            .expected("an object", "array")
            .kubevela("json: cannot unmarshal array into Go struct field"),
    )
}

/// Checks and resolves an Application.
///
/// # Errors
/// Every mistake that was found. Those of a [`Rejection::unresolved`] kind may mend themselves.
pub fn parse(app: &Application, source: &dyn DefinitionSource) -> Result<Appfile, Rejection> {
    let mut rejection = check(app);
    match assemble(app, source) {
        Ok(appfile) if rejection.findings.is_empty() => Ok(appfile),
        Ok(_) => Err(rejection),
        Err(found) => {
            rejection.findings.extend(found.findings);
            Err(rejection)
        }
    }
}

/// What can be said without definitions: names, dependencies, timeouts.
pub fn check(app: &Application) -> Rejection {
    let mut rejection = Rejection::default();
    let components: Vec<_> = app
        .spec
        .components
        .iter()
        .enumerate()
        .map(component_node)
        .collect();
    rejection
        .findings
        .extend(order::duplicates("component", &components));
    rejection
        .findings
        .extend(order::unknown_dependencies("component", &components));
    rejection
        .findings
        .extend(order::cycles("component", &components));
    let policies: Vec<_> = app
        .spec
        .policies
        .iter()
        .enumerate()
        .map(|(index, policy)| order::Node {
            name: &policy.name,
            depends_on: &[],
            path: format!("spec.policies[{index}]"),
        })
        .collect();
    rejection
        .findings
        .extend(order::duplicates("policy", &policies));
    let written = app
        .spec
        .workflow
        .as_ref()
        .map_or(&[][..], |workflow| &workflow.steps[..]);
    check_steps(written, &mut rejection);
    rejection
}

fn component_node((index, component): (usize, &ApplicationComponent)) -> order::Node<'_> {
    order::Node {
        name: &component.name,
        depends_on: &component.depends_on,
        path: format!("spec.components[{index}]"),
    }
}

fn check_steps(steps: &[WorkflowStep], rejection: &mut Rejection) {
    let steps = named(steps.to_vec());
    let all = steps::flattened(&steps);
    let nodes: Vec<_> = all
        .iter()
        .map(|step| order::Node {
            name: step.name,
            depends_on: step.depends_on,
            path: step.path.clone(),
        })
        .collect();
    rejection.findings.extend(order::duplicates("step", &nodes));
    rejection
        .findings
        .extend(order::unknown_dependencies("step", &nodes));
    rejection.findings.extend(order::cycles("step", &nodes));
    steps::check_timeouts(&all, rejection);
}

/// Resolves an Application without [`check`]: for one that overrides have changed, and for what is
/// recorded.
///
/// # Errors
/// What cannot be found or read.
pub fn assemble(app: &Application, source: &dyn DefinitionSource) -> Result<Appfile, Rejection> {
    let mut named = app.clone();
    name_policies(&mut named);
    Assembly {
        app: &named,
        source,
        rejection: Rejection::default(),
    }
    .run()
}

/// Names anonymous policies (APP-039).
fn name_policies(app: &mut Application) {
    for (index, policy) in app.spec.policies.iter_mut().enumerate() {
        if policy.name.is_empty() {
            policy.name = format!("{}-auto-gen-{index}", policy.type_);
        }
    }
}

struct Assembly<'a> {
    app: &'a Application,
    source: &'a dyn DefinitionSource,
    rejection: Rejection,
}

impl Assembly<'_> {
    fn run(mut self) -> Result<Appfile, Rejection> {
        let app = self.app;
        let components: Vec<_> = app
            .spec
            .components
            .iter()
            .enumerate()
            .filter_map(|part| self.component(part))
            .collect();
        let workflow = self.workflow();
        let step_definitions = workflow.as_ref().map(|found| self.step_definitions(found));
        let policies = self.policies(workflow.as_ref());
        let (Some(workflow), Some(step_definitions)) = (workflow, step_definitions) else {
            return Err(self.rejection);
        };
        self.rejection.into_result()?;
        let latest = app
            .status
            .as_ref()
            .and_then(|status| status.latest_revision.as_ref());
        Ok(Appfile {
            name: app.metadata.name.clone().unwrap_or_default(),
            namespace: namespace_of(app).to_owned(),
            labels: app.metadata.labels.clone().unwrap_or_default(),
            annotations: app.metadata.annotations.clone().unwrap_or_default(),
            revision: latest
                .map(|revision| revision.name.clone())
                .unwrap_or_default(),
            components,
            policies,
            workflow,
            step_definitions,
        })
    }

    fn find(&self, kind: DefinitionKind, type_: &str) -> Option<Resolved> {
        let follow = self
            .app
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(annotations::AUTO_UPDATE));
        let auto_update = follow.is_some_and(|value| value == "true");
        resolve(
            self.source,
            kind,
            type_,
            namespace_of(self.app),
            auto_update,
        )
    }

    fn component(
        &mut self,
        (index, component): (usize, &ApplicationComponent),
    ) -> Option<AppComponent> {
        let path = format!("spec.components[{index}]");
        let type_ = &component.type_;
        let what = format!("fail to parse settings for {}", component.name);
        self.properties_are_fields(component.properties.as_ref(), &path, &what);
        let resolved = self.find(DefinitionKind::Component, type_);
        if resolved.is_none() {
            let kubevela = format!(
                "failed to parseComponents: fetch component/policy type of {}: cannot load template \
                 \"{type_}\" from cluster and provided ones: load template from component \
                 definition [{type_}] : workloaddefinitions.core.oam.dev \"{type_}\" not found",
                component.name
            );
            self.unknown_type("component", "ComponentDefinition", &path, type_, kubevela);
        }
        let traits: Vec<_> = component
            .traits
            .iter()
            .enumerate()
            .filter_map(|(at, part)| {
                let what = format!(
                    "fail to parse properties of {} for {}",
                    part.type_, component.name
                );
                let place = format!("{path}.traits[{at}]");
                self.properties_are_fields(part.properties.as_ref(), &place, &what);
                let resolved = self.find(DefinitionKind::Trait, &part.type_);
                if resolved.is_none() {
                    let kubevela = format!(
                        "failed to parseComponents: component({}) parse trait({1}): trait \
                         definition of {1} not found",
                        component.name, part.type_
                    );
                    self.unknown_type("trait", "TraitDefinition", &place, &part.type_, kubevela);
                }
                Some(AppTrait {
                    type_: part.type_.clone(),
                    resolved: resolved?,
                    properties: part.properties.clone(),
                })
            })
            .collect();
        Some(AppComponent {
            spec: component.clone(),
            resolved: resolved?,
            traits,
            path,
        })
    }

    /// Properties are an object, or nothing.
    fn properties_are_fields(&mut self, properties: Option<&Value>, path: &str, what: &str) {
        let found = match properties {
            None | Some(Value::Null | Value::Object(_)) => return,
            Some(other) => policy::json_type(other),
        };
        let kubevela = format!(
            "failed to parseComponents: {what}: json: cannot unmarshal {found} into Go value of type \
             map[string]interface {{}}"
        );
        let path = format!("{path}.properties");
        let finding = Finding::new(
            FindingKind::Invalid,
            path,
            "properties are fields with values",
        )
        .expected("an object", found)
        .hint("write the properties as `name: value`, one in a line")
        .kubevela(kubevela);
        self.rejection.findings.push(finding);
    }

    fn unknown_type(
        &mut self,
        what: &str,
        kubernetes_kind: &str,
        path: &str,
        type_: &str,
        kubevela: String,
    ) {
        let (name, version) = type_.split_once('@').unwrap_or((type_, ""));
        let message = match (type_.is_empty(), version.is_empty()) {
            (true, _) => format!("this {what} has no type"),
            (false, true) => format!("there is no {what} type `{type_}`"),
            (false, false) => {
                format!("there is no version `{version}` of the {what} type `{name}`")
            }
        };
        let place = namespace_of(self.app);
        let finding = Finding::new(FindingKind::UnknownType, format!("{path}.type"), message)
            .expected(
                format!("the name of a {kubernetes_kind} in {place} or vela-system"),
                type_,
            )
            .hint(
                self.meant(what, name)
                    .unwrap_or_else(|| format!("apply the {kubernetes_kind}, or correct the type")),
            )
            .kubevela(kubevela);
        self.rejection.findings.push(finding);
    }

    /// The type that was probably meant.
    fn meant(&self, what: &str, name: &str) -> Option<String> {
        let kind = match what {
            "component" => DefinitionKind::Component,
            "trait" => DefinitionKind::Trait,
            "policy" => DefinitionKind::Policy,
            _ => DefinitionKind::WorkflowStep,
        };
        let names = self.source.names(kind);
        did_you_mean(name, names.iter().map(String::as_str))
    }

    fn workflow(&mut self) -> Option<Steps> {
        match steps::steps_of(self.app, self.source) {
            Ok(found) => Some(found),
            Err(finding) => {
                self.rejection.findings.push(*finding);
                None
            }
        }
    }

    fn step_definitions(&mut self, workflow: &Steps) -> BTreeMap<String, Resolved> {
        let mut found = BTreeMap::new();
        for step in steps::flattened(&workflow.steps) {
            if is_builtin(step.type_) || found.contains_key(step.type_) {
                continue;
            }
            if let Some(resolved) = self.find(DefinitionKind::WorkflowStep, step.type_) {
                found.insert(step.type_.to_owned(), resolved);
                continue;
            }
            let kubevela = format!(
                "failed to parseWorkflowSteps: failed to get workflow step definition {0}: \
                 workflowstepdefinitions.core.oam.dev \"{0}\" not found",
                step.type_
            );
            self.unknown_type(
                "step",
                "WorkflowStepDefinition",
                &step.path,
                step.type_,
                kubevela,
            );
        }
        found
    }

    /// The policies of the Application, then those that only `deploy` steps name (APP-039).
    fn policies(&mut self, workflow: Option<&Steps>) -> Vec<Policy> {
        let app = self.app;
        let mut sources: Vec<PolicySource> = app
            .spec
            .policies
            .iter()
            .enumerate()
            .map(|(index, policy)| PolicySource {
                name: policy.name.clone(),
                type_: policy.type_.clone(),
                properties: policy.properties.clone(),
                path: format!("spec.policies[{index}]"),
                external: false,
            })
            .collect();
        if let Some(workflow) = workflow {
            self.external_policies(workflow, &mut sources);
        }
        sources
            .into_iter()
            .filter_map(|source| self.policy(source))
            .collect()
    }

    fn external_policies(&mut self, workflow: &Steps, sources: &mut Vec<PolicySource>) {
        for (index, step) in workflow.steps.iter().enumerate() {
            let Some(properties) = step.properties.as_ref().filter(|_| step.type_ == "deploy")
            else {
                continue;
            };
            let path = format!("spec.workflow.steps[{index}].properties");
            let prefix = format!(
                "failed to parsePolicies: invalid WorkflowStep {}: ",
                step.name
            );
            let deploy: DeployStep = match read_properties(properties, &path, &prefix) {
                Ok(deploy) => deploy,
                Err(finding) => {
                    self.rejection.findings.push(*finding);
                    continue;
                }
            };
            for (at, name) in deploy.policies.iter().enumerate() {
                if sources.iter().any(|known| known.name == *name) {
                    continue;
                }
                match self.source.policy(namespace_of(self.app), name) {
                    Some(policy) => sources.push(PolicySource {
                        name: name.clone(),
                        type_: policy.spec.type_,
                        properties: policy.spec.properties,
                        path: format!("Policy {name}"),
                        external: true,
                    }),
                    None => self.unknown_policy(name, format!("{path}.policies[{at}]")),
                }
            }
        }
    }

    fn unknown_policy(&mut self, name: &str, path: String) {
        let known = self
            .app
            .spec
            .policies
            .iter()
            .map(|policy| policy.name.as_str());
        let hint = did_you_mean(name, known)
            .unwrap_or_else(|| "add it under spec.policies, or apply a Policy object".to_owned());
        self.rejection.findings.push(
            Finding::new(
                FindingKind::UnknownObject,
                path,
                format!("there is no policy `{name}` in the Application or its namespace"),
            )
            .expected("the name of a policy", name)
            .hint(hint)
            .kubevela(format!(
                "failed to parsePolicies: external policy {name} not found"
            )),
        );
    }

    fn policy(&mut self, source: PolicySource) -> Option<Policy> {
        match self.rule(&source) {
            Ok(rule) => Some(Policy {
                name: source.name,
                type_: source.type_,
                properties: source.properties,
                external: source.external,
                rule: rule?,
            }),
            Err(finding) => {
                self.rejection.findings.push(*finding);
                None
            }
        }
    }

    /// Reads a policy; `None` if its definition is not there (which is recorded).
    fn rule(&mut self, policy: &PolicySource) -> Result<Option<PolicyRule>, Box<Finding>> {
        let type_ = policy.type_.as_str();
        if type_ == "debug" {
            return Ok(Some(PolicyRule::Debug));
        }
        let definition = self.find(DefinitionKind::Policy, type_);
        let scoped = definition
            .as_ref()
            .is_some_and(|found| !found.definition.scope.is_empty());
        let Some(properties) = &policy.properties else {
            if scoped {
                return Ok(definition.map(PolicyRule::Custom));
            }
            return Err(no_properties(policy));
        };
        let path = format!("{}.properties", policy.path);
        let prefix = format!("failed to parse {type_} policy {}: ", policy.name);
        Ok(Some(match type_ {
            "topology" => PolicyRule::Topology(read_properties(properties, &path, &prefix)?),
            "override" => PolicyRule::Override(read_properties(properties, &path, &prefix)?),
            "replication" => PolicyRule::Replication(read_properties(properties, &path, &prefix)?),
            "garbage-collect" => {
                PolicyRule::GarbageCollect(read_properties(properties, &path, &prefix)?)
            }
            "apply-once" => PolicyRule::ApplyOnce(read_properties(properties, &path, &prefix)?),
            "shared-resource" => {
                PolicyRule::SharedResource(read_properties(properties, &path, &prefix)?)
            }
            "read-only" => PolicyRule::ReadOnly(read_properties(properties, &path, &prefix)?),
            "take-over" => PolicyRule::TakeOver(read_properties(properties, &path, &prefix)?),
            "resource-update" => {
                PolicyRule::ResourceUpdate(read_properties(properties, &path, &prefix)?)
            }
            "env-binding" => PolicyRule::EnvBinding(properties.clone()),
            _ => {
                if definition.is_none() {
                    let kubevela = format!(
                        "failed to parsePolicies: fetch component/policy type of {}: cannot load \
                         template \"{type_}\" from cluster and provided ones: load template from \
                         policy definition [{type_}] : policydefinitions.core.oam.dev \"{type_}\" \
                         not found",
                        policy.name
                    );
                    self.unknown_type("policy", "PolicyDefinition", &policy.path, type_, kubevela);
                }
                return Ok(definition.map(PolicyRule::Custom));
            }
        }))
    }
}

fn no_properties(policy: &PolicySource) -> Box<Finding> {
    Finding::new(
        FindingKind::Missing,
        format!("{}.properties", policy.path),
        format!(
            "the {} policy `{}` has no properties",
            policy.type_, policy.name
        ),
    )
    .expected("properties", "nothing")
    .hint("write what the policy is to do, or remove it")
    .kubevela(format!(
        "failed to parsePolicies: policy {} named {} must not have empty properties",
        policy.type_, policy.name
    ))
    .into()
}

/// A policy before it is read.
struct PolicySource {
    name: String,
    type_: String,
    properties: Option<Value>,
    path: String,
    external: bool,
}

fn namespace_of(app: &Application) -> &str {
    app.metadata
        .namespace
        .as_deref()
        .filter(|name| !name.is_empty())
        .unwrap_or("default")
}
