//! Resolving: every type to its definition, every policy to what it says.

use std::collections::BTreeMap;

use serde_json::Value;

use super::definition::{DefinitionSource, Resolved, resolve};
use super::error::{Finding, FindingKind, Rejection, did_you_mean};
use super::policy::{self, DeployStep, Policy, PolicyRule, read_properties};
use super::provenance::Provenance;
use super::steps::{self, Steps, is_builtin};
use super::{AppComponent, AppTrait, Appfile};
use crate::api::labels::annotations;
use crate::api::{Application, ApplicationComponent, SYSTEM_NAMESPACE};
use crate::engine::DefinitionKind;

/// Resolves an Application without [`check`]: for one that overrides have changed, and for what is
/// recorded.
///
/// # Errors
/// What cannot be found or read.
pub fn assemble(app: &Application, source: &dyn DefinitionSource) -> Result<Appfile, Rejection> {
    let (appfile, rejection) = assemble_known(app, source);
    rejection.into_result()?;
    appfile.ok_or_else(Rejection::default)
}

/// As [`assemble`], but with what is known where something is not: components and traits whose types are
/// unknown are left out. There is no Appfile where the steps of the workflow cannot be known.
pub(crate) fn assemble_known(
    app: &Application,
    source: &dyn DefinitionSource,
) -> (Option<Appfile>, Rejection) {
    let count = app.spec.components.len();
    let written = (0..count).map(|index| Provenance::written(format!("spec.components[{index}]")));
    let written: Vec<_> = written.collect();
    assemble_as(app.clone(), &written, source)
}

fn assemble_as(
    mut app: Application,
    provenances: &[Provenance],
    source: &dyn DefinitionSource,
) -> (Option<Appfile>, Rejection) {
    name_policies(&mut app);
    Assembly {
        app: &app,
        provenances,
        source,
        rejection: Rejection::default(),
    }
    .run()
}

/// As [`assemble`], of an Application with other components in place of its own.
///
/// # Errors
/// What cannot be found or read.
pub fn assemble_overridden(
    app: &Application,
    components: Vec<(ApplicationComponent, Provenance)>,
    source: &dyn DefinitionSource,
) -> Result<Appfile, Rejection> {
    let mut app = app.clone();
    let provenances: Vec<_>;
    (app.spec.components, provenances) = components.into_iter().unzip();
    let (appfile, rejection) = assemble_as(app, &provenances, source);
    rejection.into_result()?;
    appfile.ok_or_else(Rejection::default)
}

/// One component of an Application, as overrides have changed it, and what of it cannot be found or read.
pub(crate) fn assemble_component(
    app: &Application,
    component: &ApplicationComponent,
    provenance: &Provenance,
    source: &dyn DefinitionSource,
) -> (Option<AppComponent>, Vec<Finding>) {
    let mut assembly = Assembly {
        app,
        provenances: &[],
        source,
        rejection: Rejection::default(),
    };
    let assembled = assembly.component(component, provenance);
    (assembled, assembly.rejection.findings)
}

/// Finds a `type` as an Application refers to it: from its namespace, and with its wish for new versions.
pub(crate) fn resolve_in(
    app: &Application,
    source: &dyn DefinitionSource,
    kind: DefinitionKind,
    type_: &str,
) -> Option<Resolved> {
    let annotations = app.metadata.annotations.as_ref();
    let follow = annotations.and_then(|all| all.get(annotations::AUTO_UPDATE));
    let auto_update = follow.is_some_and(|value| value == "true");
    resolve(source, kind, type_, namespace_of(app), auto_update)
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
    /// Where its components stand.
    provenances: &'a [Provenance],
    source: &'a dyn DefinitionSource,
    rejection: Rejection,
}

impl Assembly<'_> {
    fn run(mut self) -> (Option<Appfile>, Rejection) {
        let app = self.app;
        let components = app.spec.components.iter().zip(self.provenances);
        let components: Vec<_> = components
            .filter_map(|(component, provenance)| self.component(component, provenance))
            .collect();
        let workflow = self.workflow();
        let step_definitions = workflow.as_ref().map(|found| self.step_definitions(found));
        let policies = self.policies(workflow.as_ref());
        let (Some(workflow), Some(step_definitions)) = (workflow, step_definitions) else {
            return (None, self.rejection);
        };
        let latest = app
            .status
            .as_ref()
            .and_then(|status| status.latest_revision.as_ref());
        let appfile = Appfile {
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
        };
        (Some(appfile), self.rejection)
    }

    fn find(&self, kind: DefinitionKind, type_: &str) -> Option<Resolved> {
        resolve_in(self.app, self.source, kind, type_)
    }

    fn component(
        &mut self,
        component: &ApplicationComponent,
        provenance: &Provenance,
    ) -> Option<AppComponent> {
        let type_ = &component.type_;
        let what = format!("fail to parse settings for {}", component.name);
        let place = |part: &str| provenance.place(part);
        self.properties_are_fields(component.properties.as_ref(), place("properties"), &what);
        let resolved = self.find(DefinitionKind::Component, type_);
        if resolved.is_none() {
            let kubevela = format!(
                "failed to parseComponents: fetch component/policy type of {}: cannot load template \
                 \"{type_}\" from cluster and provided ones: load template from component \
                 definition [{type_}] : workloaddefinitions.core.oam.dev \"{type_}\" not found",
                component.name
            );
            self.unknown_type(
                "component",
                "ComponentDefinition",
                place("type"),
                type_,
                kubevela,
            );
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
                let properties = place(&format!("traits[{at}].properties"));
                self.properties_are_fields(part.properties.as_ref(), properties, &what);
                let resolved = self.find(DefinitionKind::Trait, &part.type_);
                if resolved.is_none() {
                    let kubevela = format!(
                        "failed to parseComponents: component({}) parse trait({1}): trait \
                         definition of {1} not found",
                        component.name, part.type_
                    );
                    let path = place(&format!("traits[{at}].type"));
                    self.unknown_type("trait", "TraitDefinition", path, &part.type_, kubevela);
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
            provenance: provenance.clone(),
        })
    }

    /// Properties are an object, or nothing.
    fn properties_are_fields(&mut self, properties: Option<&Value>, path: String, what: &str) {
        let found = match properties {
            None | Some(Value::Null | Value::Object(_)) => return,
            Some(other) => policy::json_type(other),
        };
        let kubevela = format!(
            "failed to parseComponents: {what}: json: cannot unmarshal {found} into Go value of type \
             map[string]interface {{}}"
        );
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
        path: String,
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
        // A definition without a name will never appear.
        let kind = if type_.is_empty() {
            FindingKind::Missing
        } else {
            FindingKind::UnknownType
        };
        let finding = Finding::new(kind, path, message)
            .expected(
                format!("the name of a {kubernetes_kind} in {place} or vela-system"),
                type_,
            )
            .hint(
                self.versions(what, name, version)
                    .or_else(|| self.meant(what, name))
                    .unwrap_or_else(|| {
                        if type_.is_empty() {
                            "give it one: `caravel def list` shows which there are".to_owned()
                        } else {
                            format!("apply the {kubernetes_kind}, or correct the type")
                        }
                    }),
            )
            .kubevela(kubevela);
        self.rejection.findings.push(finding);
    }

    /// The versions that there are, where one of them was meant.
    fn versions(&self, what: &str, name: &str, version: &str) -> Option<String> {
        if version.is_empty() {
            return None;
        }
        let kind = kind_of_word(what);
        let namespaces = [namespace_of(self.app), SYSTEM_NAMESPACE];
        let mut names: Vec<String> = namespaces
            .iter()
            .flat_map(|namespace| self.source.revision_names(kind, namespace, name))
            .map(|revision| revision.replacen(&format!("{name}-"), "", 1))
            .collect();
        let parts = |name: &String| -> Vec<u64> {
            let numbers = name.trim_start_matches('v').split('.');
            numbers
                .map(|part| part.parse().unwrap_or_default())
                .collect()
        };
        names.sort_by_cached_key(|name| (parts(name), name.clone()));
        names.dedup();
        if names.is_empty() {
            return None;
        }
        let known = format!("the versions are: {}", names.join(", "));
        let is_begin = |name: &String| name.starts_with(&format!("{version}."));
        Some(if names.iter().any(is_begin) {
            format!(
                "write a whole version, or let the Application follow with the annotation {}: \"true\"; {known}",
                annotations::AUTO_UPDATE
            )
        } else {
            known
        })
    }

    /// The type that was probably meant.
    fn meant(&self, what: &str, name: &str) -> Option<String> {
        let names = self
            .source
            .names(kind_of_word(what), namespace_of(self.app));
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
        for step in steps::flattened(&workflow.steps, &workflow.path()) {
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
                format!("{}.type", step.path),
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
            let path = format!("{}[{index}].properties", workflow.path());
            let prefix = format!(
                "failed to parsePolicies: invalid WorkflowStep {}: ",
                step.name
            );
            let deploy: DeployStep = match read_properties(properties, &path, &prefix) {
                Ok(deploy) => deploy,
                Err(rejection) => {
                    self.rejection.findings.extend(rejection.findings);
                    // The policies that it names are read all the same.
                    let names = properties["policies"].as_array().into_iter().flatten();
                    let names = names.filter_map(Value::as_str).map(str::to_owned);
                    DeployStep {
                        policies: names.collect(),
                        ..DeployStep::default()
                    }
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
                path: source.path,
                rule: rule?,
            }),
            Err(rejection) => {
                self.rejection.findings.extend(rejection.findings);
                None
            }
        }
    }

    /// Reads a policy; `None` if its definition is not there (which is recorded).
    fn rule(&mut self, policy: &PolicySource) -> Result<Option<PolicyRule>, Rejection> {
        let type_ = policy.type_.as_str();
        if type_ == "debug" {
            return Ok(Some(PolicyRule::Debug));
        }
        let definition = self.find(DefinitionKind::Policy, type_);
        let scoped = definition
            .as_ref()
            .is_some_and(|found| !found.definition.scope.is_empty());
        let Some(properties) = &policy.properties else {
            if definition.is_none() && !RULES.contains(&type_) {
                // Whether it needs properties is known once the definition is there.
                self.unknown_policy_type(policy);
                return Ok(None);
            }
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
                    self.unknown_policy_type(policy);
                }
                return Ok(definition.map(PolicyRule::Custom));
            }
        }))
    }

    fn unknown_policy_type(&mut self, policy: &PolicySource) {
        let type_ = policy.type_.as_str();
        // KubeVela looks at the properties before it looks for the definition.
        let kubevela = match policy.properties {
            None => without_properties(policy),
            Some(_) => format!(
                "failed to parsePolicies: fetch component/policy type of {}: cannot load template \"{type_}\" from \
                 cluster and provided ones: load template from policy definition [{type_}] : \
                 policydefinitions.core.oam.dev \"{type_}\" not found",
                policy.name
            ),
        };
        let path = format!("{}.type", policy.path);
        self.unknown_type("policy", "PolicyDefinition", path, type_, kubevela);
    }
}

/// Policies that mean something without a definition.
const RULES: [&str; 10] = [
    "topology",
    "override",
    "replication",
    "garbage-collect",
    "apply-once",
    "shared-resource",
    "read-only",
    "take-over",
    "resource-update",
    "env-binding",
];

fn kind_of_word(what: &str) -> DefinitionKind {
    match what {
        "component" => DefinitionKind::Component,
        "trait" => DefinitionKind::Trait,
        "policy" => DefinitionKind::Policy,
        _ => DefinitionKind::WorkflowStep,
    }
}

fn no_properties(policy: &PolicySource) -> Rejection {
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
    .kubevela(without_properties(policy))
    .into()
}

/// As KubeVela says it.
fn without_properties(policy: &PolicySource) -> String {
    format!(
        "failed to parsePolicies: policy {} named {} must not have empty properties",
        policy.type_, policy.name
    )
}

/// A policy before it is read.
struct PolicySource {
    name: String,
    type_: String,
    properties: Option<Value>,
    path: String,
    external: bool,
}

pub(crate) fn namespace_of(app: &Application) -> &str {
    app.metadata
        .namespace
        .as_deref()
        .filter(|name| !name.is_empty())
        .unwrap_or("default")
}
