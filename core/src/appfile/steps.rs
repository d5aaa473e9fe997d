//! The steps of a workflow: as written, by reference, or generated (APP-037 … APP-040, CRD-040).

use serde_json::{Map, Value, json};

use super::definition::DefinitionSource;
use super::error::{Finding, FindingKind, Rejection};
use super::order;
use super::step_state::step_alias;
use crate::api::{
    AppWorkflow, Application, ApplicationComponent, ExecuteMode, StepInput, StepOutput,
    WorkflowStep, WorkflowSubStep,
};

/// The type of component whose objects are only referred to (REN-036).
pub const REF_OBJECTS: &str = "ref-objects";

/// A step as the engine runs it: names filled in, mode decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// Order of the steps.
    pub mode: ExecuteMode,
    /// Order of the steps inside groups that say nothing themselves.
    pub sub_mode: ExecuteMode,
    /// The steps.
    pub steps: Vec<WorkflowStep>,
    /// Name of the Workflow object that they come from.
    pub reference: Option<String>,
}

impl Steps {
    /// Where they stand, for messages: in the Application, or in the Workflow that it refers to.
    pub fn path(&self) -> String {
        match &self.reference {
            Some(name) => format!("Workflow {name}.steps"),
            None => WRITTEN.to_owned(),
        }
    }
}

/// Where an Application has its steps.
pub(super) const WRITTEN: &str = "spec.workflow.steps";

/// The type of a step that holds others.
const GROUP: &str = "step-group";

/// Whether a type is implemented without a definition (WF-023).
pub fn is_builtin(type_: &str) -> bool {
    matches!(type_, "suspend" | "step-group") || is_apply_component(type_)
}

/// Whether a type applies one component.
pub fn is_apply_component(type_: &str) -> bool {
    matches!(type_, "apply-component" | "builtin-apply-component")
}

/// The steps of an Application whose policies are named.
///
/// # Errors
/// If steps are given and referred to at once, or the Workflow is not there.
pub(super) fn steps_of(
    app: &Application,
    source: &dyn DefinitionSource,
) -> Result<Steps, Box<Finding>> {
    let Some(workflow) = &app.spec.workflow else {
        let steps = generate(app);
        return Ok(Steps {
            mode: ExecuteMode::Dag,
            sub_mode: ExecuteMode::Dag,
            steps: named(steps),
            reference: None,
        });
    };
    let mut mode = workflow.mode.unwrap_or_default();
    let mut steps = workflow.steps.clone();
    if let Some(name) = &workflow.ref_ {
        let object = source
            .workflow(app.metadata.namespace.as_deref().unwrap_or("default"), name)
            .ok_or_else(|| workflow_not_found(name))?;
        if !steps.is_empty() {
            return Err(reference_and_steps());
        }
        if workflow.mode.is_none() {
            mode = object.spec.mode.unwrap_or_default();
        }
        steps = object.spec.steps;
    }
    if steps.is_empty() {
        steps = generate(app);
    }
    Ok(Steps {
        mode: mode.steps.unwrap_or(ExecuteMode::StepByStep),
        sub_mode: mode.sub_steps.unwrap_or(ExecuteMode::Dag),
        steps: named(steps),
        reference: workflow.ref_.clone(),
    })
}

fn workflow_not_found(name: &str) -> Box<Finding> {
    Finding::new(
        FindingKind::UnknownObject,
        "spec.workflow.ref",
        format!("there is no Workflow `{name}` in the Application's namespace"),
    )
    .expected("the name of a Workflow", name)
    .hint("apply the Workflow, or write the steps under spec.workflow.steps")
    .kubevela(format!(
        "failed to parseWorkflowSteps: workflows.core.oam.dev \"{name}\" not found"
    ))
    .into()
}

fn reference_and_steps() -> Box<Finding> {
    Finding::new(
        FindingKind::Invalid,
        "spec.workflow",
        "steps and ref exclude each other: the steps come from one place",
    )
    .hint("remove spec.workflow.ref or spec.workflow.steps")
    .kubevela(
        "failed to parseWorkflowSteps: generate step failed in WorkflowStepGenerator : cannot set \
         steps and ref in workflow at the same time",
    )
    .into()
}

/// The steps of an Application that gives none; the first rule that yields steps wins (APP-037).
fn generate(app: &Application) -> Vec<WorkflowStep> {
    let rules = [deploy_steps, environment_steps, component_steps];
    rules
        .iter()
        .map(|rule| rule(app))
        .find(|steps| !steps.is_empty())
        .unwrap_or_default()
}

fn deploy_steps(app: &Application) -> Vec<WorkflowStep> {
    let names = |type_: &str| -> Vec<String> {
        let of_type = app
            .spec
            .policies
            .iter()
            .filter(|policy| policy.type_ == type_);
        of_type.map(|policy| policy.name.clone()).collect()
    };
    let (topologies, overrides) = (names("topology"), names("override"));
    if topologies.is_empty() {
        let referring = app
            .spec
            .components
            .iter()
            .any(|part| part.type_ == REF_OBJECTS);
        if overrides.is_empty() && !referring {
            return Vec::new();
        }
        return vec![step("deploy", "deploy", json!({ "policies": overrides }))];
    }
    let deploy = |topology: &String| {
        let policies: Vec<&String> = overrides.iter().chain([topology]).collect();
        step(
            &format!("deploy-{topology}"),
            "deploy",
            json!({ "policies": policies }),
        )
    };
    topologies.iter().map(deploy).collect()
}

fn environment_steps(app: &Application) -> Vec<WorkflowStep> {
    let bindings = app
        .spec
        .policies
        .iter()
        .filter(|policy| policy.type_ == "env-binding");
    bindings
        .flat_map(|policy| {
            let environments = policy
                .properties
                .as_ref()
                .and_then(|p| p["envs"].as_array());
            environments.into_iter().flatten().map(|environment| {
                let env = environment["name"].as_str().unwrap_or_default();
                let properties = json!({ "policy": policy.name, "env": env });
                step(
                    &format!("deploy-{}-{env}", policy.name),
                    "deploy2env",
                    properties,
                )
            })
        })
        .collect()
}

fn component_steps(app: &Application) -> Vec<WorkflowStep> {
    let apply = |component: &ApplicationComponent| WorkflowStep {
        depends_on: component.depends_on.clone(),
        ..step(
            &component.name,
            "apply-component",
            json!({ "component": component.name }),
        )
    };
    app.spec.components.iter().map(apply).collect()
}

fn step(name: &str, type_: &str, properties: Value) -> WorkflowStep {
    WorkflowStep {
        name: name.to_owned(),
        type_: type_.to_owned(),
        properties: Some(properties),
        ..WorkflowStep::default()
    }
}

/// Gives unnamed steps the names that KubeVela's webhook gives them (CRD-040).
pub fn named(mut steps: Vec<WorkflowStep>) -> Vec<WorkflowStep> {
    for (index, step) in steps.iter_mut().enumerate() {
        if step.name.is_empty() {
            step.name = format!("step-{index}");
        }
        for (inner, sub_step) in step.sub_steps.iter_mut().enumerate() {
            if sub_step.name.is_empty() {
                sub_step.name = format!("step-{index}-{inner}");
            }
        }
    }
    steps
}

fn not_text(step: &WorkflowStep, key: &str, field: &str, given: &Value) -> Box<Finding> {
    let kind = match given {
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Array(_) => "array",
        _ => "object",
    };
    Finding::new(
        FindingKind::Invalid,
        format!("steps[{}].properties.{key}", step.name),
        format!("`{key}` must be a text"),
    )
    .expected("a text", given.to_string())
    .kubevela(format!(
        "json: cannot unmarshal {kind} into Go struct field .{field} of type string"
    ))
    .into()
}

/// An `apply-component` step with what its component says about data and order (APP-040): inputs,
/// outputs and dependsOn move from the component to the step, and the component becomes the step's
/// `value`.
///
/// # Errors
/// If the component, or one that it depends on, is not there, or a property is no text.
pub fn apply_component_step(
    step: &WorkflowStep,
    components: &[ApplicationComponent],
) -> Result<WorkflowStep, Box<Finding>> {
    let properties = step.properties.as_ref();
    for (key, field) in [
        ("component", "Component"),
        ("cluster", "Cluster"),
        ("namespace", "Namespace"),
    ] {
        let given = properties.map_or(&Value::Null, |properties| &properties[key]);
        if !given.is_string() && !given.is_null() {
            return Err(not_text(step, key, field, given));
        }
    }
    let text = |key: &str| properties.and_then(|p| p[key].as_str()).unwrap_or_default();
    let wanted = text("component");
    let path = |field: &str| format!("steps[{}].properties.{field}", step.name);
    let Some(component) = components.iter().find(|component| component.name == wanted) else {
        return Err(Finding::new(
            FindingKind::UnknownReference,
            path("component"),
            format!("the Application has no component `{wanted}`"),
        )
        .kubevela(format!("component {wanted} not found"))
        .into());
    };
    let unknown = component
        .depends_on
        .iter()
        .find(|name| !components.iter().any(|other| other.name == **name));
    if let Some(missing) = unknown {
        return Err(Finding::new(
            FindingKind::UnknownReference,
            path("component"),
            format!("`{wanted}` depends on `{missing}`, which the Application does not have"),
        )
        .kubevela(format!(
            "component {missing} not found, which is depended by {wanted}"
        ))
        .into());
    }
    let mut value = component.clone();
    let mut applied = step.clone();
    applied.inputs.append(&mut value.inputs);
    for input in &mut applied.inputs {
        into_value(input);
    }
    applied.outputs.append(&mut value.outputs);
    for name in std::mem::take(&mut value.depends_on) {
        if !applied.depends_on.contains(&name) {
            applied.depends_on.push(name);
        }
    }
    let mut filled = Map::new();
    filled.insert(
        "value".to_owned(),
        serde_json::to_value(value).unwrap_or_default(),
    );
    filled.insert("cluster".to_owned(), text("cluster").into());
    if !text("namespace").is_empty() {
        filled.insert("namespace".to_owned(), text("namespace").into());
    }
    applied.properties = Some(Value::Object(filled));
    Ok(applied)
}

fn into_value(input: &mut StepInput) {
    let Some(key) = input
        .parameter_key
        .as_deref()
        .map(str::trim)
        .filter(|key| !key.is_empty())
    else {
        return;
    };
    let inner = if key.starts_with("properties") || key.starts_with("traits[") {
        key.to_owned()
    } else {
        format!("properties.{key}")
    };
    input.parameter_key = Some(format!("value.{inner}"));
}

/// Steps that would wait for ever, because of what their components depend on: no step applies that, or a later one does.
pub(super) fn unapplied_dependencies(
    components: &[ApplicationComponent],
    steps: &[StepRef<'_>],
    is_ordered: bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for step in steps.iter().filter(|step| is_apply_component(step.type_)) {
        let applied = step
            .properties
            .and_then(|given| given["component"].as_str());
        let mut known = components.iter().enumerate();
        let Some((at, component)) = known.find(|(_, one)| Some(&*one.name) == applied) else {
            continue;
        };
        for (index, wanted) in component.depends_on.iter().enumerate() {
            // What is no component is told of where components are.
            if !components.iter().any(|other| other.name == *wanted) {
                continue;
            }
            let named = steps.iter().find(|other| other.name == wanted);
            let found = named.or_else(|| {
                let mut others = steps.iter();
                others.find(|other| other.alias == Some(wanted))
            });
            let path = format!("spec.components[{at}].dependsOn[{index}]");
            match found {
                None => findings.push(unapplied(step, component, wanted, path)),
                Some(other) if is_ordered && other.place.0 > step.place.0 => {
                    findings.push(applied_late(step, component, other, path));
                }
                Some(_) => {}
            }
        }
    }
    findings
}

fn unapplied(
    step: &StepRef<'_>,
    component: &ApplicationComponent,
    wanted: &str,
    path: String,
) -> Finding {
    let message = format!(
        "`{}` depends on the component `{wanted}`, which no step applies: the step `{}` waits for ever",
        component.name, step.name
    );
    Finding::new(FindingKind::UnknownReference, path, message)
        .expected(format!("a step that applies `{wanted}`"), wanted)
        .hint(format!(
            "add a step before it: {{name: {wanted}, type: apply-component, properties: {{component: {wanted}}}}}"
        ))
}

fn applied_late(
    step: &StepRef<'_>,
    component: &ApplicationComponent,
    other: &StepRef<'_>,
    path: String,
) -> Finding {
    let message = format!(
        "the steps `{}` and `{}` wait for each other: the first applies `{}`, which depends on what the second applies, and \
         steps run one after the other",
        step.name, other.name, component.name
    );
    Finding::new(FindingKind::Cycle, path, message).hint(format!(
        "put the step `{}` before `{}`",
        other.name, step.name
    ))
}

fn alias<'a>(type_: &str, properties: Option<&'a Value>) -> Option<&'a str> {
    properties.and_then(|properties| step_alias(type_, properties))
}

/// What one step, or sub-step, waits for, and where it stands.
pub(super) struct StepRef<'a> {
    pub name: &'a str,
    pub type_: &'a str,
    /// What else it is known by ([`step_alias`]).
    pub alias: Option<&'a str>,
    pub properties: Option<&'a Value>,
    pub depends_on: &'a [String],
    pub timeout: Option<&'a str>,
    pub inputs: &'a [StepInput],
    pub outputs: &'a [StepOutput],
    pub path: String,
    /// The step's number, and its number in the group where it is in one.
    pub place: (usize, Option<usize>),
}

/// All steps and sub-steps with their paths.
pub(super) fn flattened<'a>(steps: &'a [WorkflowStep], path: &str) -> Vec<StepRef<'a>> {
    let mut all = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let path = format!("{path}[{index}]");
        all.push(StepRef {
            name: &step.name,
            type_: &step.type_,
            alias: alias(&step.type_, step.properties.as_ref()),
            properties: step.properties.as_ref(),
            depends_on: &step.depends_on,
            timeout: step.timeout.as_deref(),
            inputs: &step.inputs,
            outputs: &step.outputs,
            path: path.clone(),
            place: (index, None),
        });
        all.extend(step.sub_steps.iter().enumerate().map(|(inner, sub_step)| {
            let sub_step: &WorkflowSubStep = sub_step;
            StepRef {
                name: &sub_step.name,
                type_: &sub_step.type_,
                alias: alias(&sub_step.type_, sub_step.properties.as_ref()),
                properties: sub_step.properties.as_ref(),
                depends_on: &sub_step.depends_on,
                timeout: sub_step.timeout.as_deref(),
                inputs: &sub_step.inputs,
                outputs: &sub_step.outputs,
                path: format!("{path}.subSteps[{inner}]"),
                place: (index, Some(inner)),
            }
        }));
    }
    all
}

/// Sub-steps of a step that is no group: nobody would run them.
pub(super) fn no_groups(steps: &[StepRef<'_>]) -> Vec<Finding> {
    let pairs = steps.windows(2);
    let pairs = pairs.map(|pair| (&pair[0], &pair[1]));
    let is_wrong = |(step, next): &(&StepRef<'_>, &StepRef<'_>)| {
        step.place.1.is_none() && next.place.1.is_some() && step.type_ != GROUP
    };
    let finding = |(step, _): (&StepRef<'_>, &StepRef<'_>)| {
        let message = "only a group of steps has sub-steps";
        Finding::new(FindingKind::Invalid, format!("{}.type", step.path), message)
            .about(format!("step {}", step.name))
            .expected(GROUP, step.type_)
            .hint("write `type: step-group`, or take the sub-steps out of the step")
    };
    pairs.filter(is_wrong).map(finding).collect()
}

/// Steps that wait for each other for ever, by dependencies, by what they take from each other and by their order.
pub(super) fn stuck(workflow: &AppWorkflow, steps: &[WorkflowStep]) -> Vec<Finding> {
    let mode = workflow.mode.unwrap_or_default();
    let is_listed = mode.steps.unwrap_or(ExecuteMode::StepByStep) == ExecuteMode::StepByStep;
    let all = flattened(steps, WRITTEN);
    let givers: Vec<_> = all.iter().map(|step| (step.name, step.outputs)).collect();
    let mut waits: Vec<Vec<String>> = Vec::new();
    for step in &all {
        let mut names = step.depends_on.to_vec();
        names.extend(
            step.inputs
                .iter()
                .filter_map(|input| order::giver(&givers, input)),
        );
        match step.place {
            (index, None) if is_listed && index > 0 => names.push(steps[index - 1].name.clone()),
            (_, None) => {}
            // A member begins after its group; the group itself stands for its end.
            (index, Some(_)) => {
                let group = all.iter().position(|one| one.place == (index, None));
                names.extend(group.into_iter().flat_map(|at| waits[at].clone()));
            }
        }
        waits.push(names);
    }
    for (step, names) in all.iter().zip(&mut waits) {
        if let (index, None) = step.place {
            let members = steps[index].sub_steps.iter();
            names.extend(members.map(|member| member.name.clone()));
        }
    }
    let nodes: Vec<_> = all
        .iter()
        .zip(&waits)
        .map(|(step, names)| order::Node {
            name: step.name,
            alias: step.alias,
            depends_on: names,
            path: step.path.clone(),
        })
        .collect();
    let told = |finding: Finding| {
        let place = finding.path.trim_end_matches(".dependsOn");
        let step = all.iter().find(|step| step.path == place);
        let field = match step {
            Some(step) if !step.depends_on.is_empty() => "dependsOn",
            _ => "inputs",
        };
        let hint = match is_listed {
            _ if finding.message.ends_with("itself") => {
                "take away what only this step gives, and takes itself"
            }
            true => {
                "change the order of the steps, which run one after another, or take away what one of them waits for"
            }
            false => "take away what one of them waits for",
        };
        Finding {
            path: format!("{place}.{field}"),
            ..finding
        }
        .hint(hint)
    };
    order::cycles("step", &nodes)
        .into_iter()
        .map(told)
        .collect()
}

/// Checks timeouts: a bad one would be noticed only when the step runs (trap 4: refused).
pub(super) fn check_timeouts(steps: &[StepRef<'_>], rejection: &mut Rejection) {
    let wrong = steps
        .iter()
        .filter_map(|step| not_a_duration(format!("{}.timeout", step.path), step.timeout?));
    rejection.findings.extend(wrong);
}

/// What is wrong with a text as a duration; nothing where it is one.
pub(crate) fn not_a_duration(path: String, text: &str) -> Option<Finding> {
    let error = crate::api::duration::parse(text).err()?;
    Some(
        Finding::new(FindingKind::Invalid, path, error.to_string())
            .expected("a duration such as `10m`", text),
    )
}
