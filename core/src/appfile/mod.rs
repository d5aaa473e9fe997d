//! From an Application to an [`Appfile`]: resolved, typed, checked.
//!
//! An Appfile is past the wall between untrusted and trusted: its types exist, its names are unique, its
//! dependencies lead somewhere, its policies can be read.

mod assemble;
mod definition;
mod error;
mod order;
mod policy;
mod provenance;
mod set;
mod step_state;
mod steps;
#[cfg(test)]
mod tests;
mod uses;

use std::collections::BTreeMap;

use serde_json::Value;

pub use assemble::{assemble, assemble_overridden};
pub(crate) use assemble::{assemble_component, assemble_known, namespace_of, resolve_in};
pub use definition::{
    Definition, DefinitionSource, Resolved, Stage, base_name, kind_of, newest_revision,
    own_revision, resolve, type_label,
};
pub(crate) use error::wrong_value;
pub use error::{Finding, FindingKind, Rejection, did_you_mean};
pub use policy::{
    Affect, ApplyOnce, ApplyOnceRule, ApplyOnceStrategy, ComponentPatch, DeployStep,
    GarbageCollect, GarbageOrder, GarbageRule, GarbageStrategy, Override, Policy, PolicyRule,
    Propagation, Replication, ResourceUpdate, ResourceUpdateRule, Selection, SelectionRule,
    Selector, Topology, TraitPatch, UpdateOp, UpdateStrategy, read_properties,
};
pub use provenance::{Provenance, traced_component, traced_override};
pub use set::{DefinitionSet, Layered};
pub use step_state::{StepState, step_alias};
pub(crate) use steps::not_a_duration;
pub use steps::{REF_OBJECTS, Steps, apply_component_step, is_apply_component, is_builtin, named};
pub use uses::{Use, named_policies, policies_of, uses};

use crate::api::{AppWorkflow, Application, ApplicationComponent, ExecuteMode};
use crate::path::of_decoder;

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
    /// Where its parts stand in the Application, for messages.
    pub provenance: Provenance,
}

impl AppComponent {
    /// Where it stands in the Application.
    pub fn path(&self) -> &str {
        self.provenance.path()
    }

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
        let path = of_decoder("", error.path());
        let text = error.inner().to_string();
        wrong_value(path, &text)
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
    let circles = order::cycles("component", &components);
    if circles.is_empty() {
        rejection.findings.extend(order::starving(app));
    }
    rejection.findings.extend(circles);
    let policies: Vec<_> = app
        .spec
        .policies
        .iter()
        .enumerate()
        .map(|(index, policy)| order::Node {
            name: &policy.name,
            alias: None,
            depends_on: &[],
            path: format!("spec.policies[{index}]"),
        })
        .collect();
    rejection
        .findings
        .extend(order::duplicates("policy", &policies));
    if let Some(workflow) = &app.spec.workflow {
        check_steps(app, workflow, &mut rejection);
    }
    rejection
}

fn component_node((index, component): (usize, &ApplicationComponent)) -> order::Node<'_> {
    order::Node {
        name: &component.name,
        alias: None,
        depends_on: &component.depends_on,
        path: format!("spec.components[{index}]"),
    }
}

fn check_steps(app: &Application, workflow: &AppWorkflow, rejection: &mut Rejection) {
    let steps = named(workflow.steps.clone());
    let all = steps::flattened(&steps, steps::WRITTEN);
    let nodes: Vec<_> = all
        .iter()
        .map(|step| order::Node {
            name: step.name,
            alias: step.alias,
            depends_on: step.depends_on,
            path: step.path.clone(),
        })
        .collect();
    let findings = &mut rejection.findings;
    let duplicates = order::duplicates("step", &nodes);
    let circles = order::cycles("step", &nodes);
    if duplicates.is_empty() && circles.is_empty() {
        findings.extend(steps::stuck(workflow, &steps));
    }
    findings.extend(duplicates);
    findings.extend(order::unknown_dependencies("step", &nodes));
    findings.extend(circles);
    findings.extend(steps::no_groups(&all));
    let mode = workflow.mode.and_then(|mode| mode.steps);
    findings.extend(steps::unapplied_dependencies(
        &app.spec.components,
        &all,
        mode.is_none_or(|mode| mode == ExecuteMode::StepByStep),
    ));
    steps::check_timeouts(&all, rejection);
}
