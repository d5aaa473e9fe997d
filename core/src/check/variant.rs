//! Components as they are delivered: overrides may give what a component itself does not.

use crate::api::{Application, ApplicationComponent, StepInput};
use crate::appfile::{Appfile, Override, PolicyRule, is_builtin};
use crate::plan::overrides;

/// A component as one or several steps deliver it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variant {
    /// The component.
    pub component: ApplicationComponent,
    /// Where it stands in the Application.
    pub path: String,
    /// What made it different from what stands there; empty where nothing did.
    pub changed_by: String,
    /// Inputs of the steps that deliver it.
    pub step_inputs: Vec<StepInput>,
}

/// Each component once for each way in which it is delivered. Where that cannot be known, as it is written.
pub(super) fn variants(app: &Application, appfile: Option<&Appfile>) -> Vec<Variant> {
    let mut found: Vec<Variant> = Vec::new();
    if let Some(appfile) = appfile {
        for step in appfile
            .workflow
            .steps
            .iter()
            .filter(|step| step.type_ == "deploy")
        {
            for component in delivered_by(app, appfile, step.properties.as_ref()) {
                add(
                    app,
                    &mut found,
                    component,
                    &format!("the overrides of step {}", step.name),
                    &step.inputs,
                );
            }
        }
    }
    for component in &app.spec.components {
        let inputs = appfile.map_or_else(Vec::new, |appfile| {
            applying_inputs(appfile, &component.name)
        });
        let is_delivered = found
            .iter()
            .any(|known| known.component.name == component.name);
        // Two components may have one name by mistake: both are looked at.
        let is_twice = app
            .spec
            .components
            .iter()
            .filter(|other| other.name == component.name)
            .count()
            > 1;
        if !is_delivered || is_twice || !inputs.is_empty() {
            add(app, &mut found, component.clone(), "", &inputs);
        }
    }
    found
}

fn add(
    app: &Application,
    found: &mut Vec<Variant>,
    component: ApplicationComponent,
    changed_by: &str,
    step_inputs: &[StepInput],
) {
    if found
        .iter()
        .any(|known| known.component == component && known.step_inputs == step_inputs)
    {
        return;
    }
    let mut of_name = app.spec.components.iter().enumerate();
    let index = of_name
        .clone()
        .find(|(_, written)| **written == component)
        .or_else(|| of_name.find(|(_, written)| written.name == component.name))
        .map(|(index, _)| index);
    let is_written = index.is_some_and(|index| app.spec.components[index] == component);
    found.push(Variant {
        path: index.map_or_else(
            || "spec.policies".to_owned(),
            |index| format!("spec.components[{index}]"),
        ),
        component,
        changed_by: if is_written {
            String::new()
        } else {
            changed_by.to_owned()
        },
        step_inputs: step_inputs.to_vec(),
    });
}

fn delivered_by(
    app: &Application,
    appfile: &Appfile,
    properties: Option<&serde_json::Value>,
) -> Vec<ApplicationComponent> {
    let names = properties.and_then(|properties| properties["policies"].as_array());
    let patches = names
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .filter_map(|name| appfile.policies.iter().rfind(|policy| policy.name == name))
        .filter_map(|policy| match &policy.rule {
            PolicyRule::Override(patch) => Some(patch),
            _ => None,
        });
    let apply = |components: Vec<ApplicationComponent>, patch: &Override| {
        overrides::apply(&components, patch)
    };
    patches.fold(app.spec.components.clone(), apply)
}

/// Inputs of the steps that apply a component by its name.
fn applying_inputs(appfile: &Appfile, component: &str) -> Vec<StepInput> {
    let steps = appfile.workflow.steps.iter();
    let mut inputs = Vec::new();
    for step in steps {
        let applies = |type_: &str, properties: Option<&serde_json::Value>| {
            is_builtin(type_)
                && properties.is_some_and(|properties| properties["component"] == component)
        };
        if applies(&step.type_, step.properties.as_ref()) {
            inputs.extend(step.inputs.iter().cloned());
        }
        for sub_step in &step.sub_steps {
            if applies(&sub_step.type_, sub_step.properties.as_ref()) {
                inputs.extend(sub_step.inputs.iter().cloned());
            }
        }
    }
    inputs
}

/// Whether something changes the components that is only known when it runs: policies that work on the
/// Application (POL-014), and environments of the old kind.
pub(super) fn is_changed_later(appfile: &Appfile) -> bool {
    appfile.policies.iter().any(|policy| match &policy.rule {
        PolicyRule::EnvBinding(_) => true,
        PolicyRule::Custom(resolved) => !resolved.definition.scope.is_empty(),
        _ => false,
    })
}
