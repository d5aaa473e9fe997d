//! Components as they are delivered: overrides may give what a component itself does not.

use crate::api::{Application, ApplicationComponent, StepInput};
use crate::appfile::{
    AppComponent, Appfile, DefinitionSource, Finding, Policy, PolicyRule, Provenance, Replication,
    assemble_component, is_builtin,
};
use crate::plan::{overrides, replicate};

/// A component as one or several steps deliver it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variant {
    /// The component.
    pub component: ApplicationComponent,
    /// Where its parts stand in the Application.
    pub provenance: Provenance,
    /// It with its definition and traits; none where its type is not known.
    pub assembled: Option<AppComponent>,
    /// What of it cannot be found or read.
    pub unresolved: Vec<Finding>,
    /// What made it different from what stands there; empty where nothing did.
    pub changed_by: String,
    /// Inputs of the steps that deliver it.
    pub step_inputs: Vec<StepInput>,
    /// Keys of the copies that are made of it; an empty one where it is not copied.
    pub replica_keys: Vec<String>,
}

impl Variant {
    /// Where the component stands.
    pub(super) fn path(&self) -> &str {
        self.provenance.path()
    }

    /// What it is in words, with what makes it different from what stands there.
    pub(super) fn subject(&self) -> String {
        let name = &self.component.name;
        if self.changed_by.is_empty() {
            format!("component {name}")
        } else {
            format!("component {name} with {}", self.changed_by)
        }
    }
}

/// Each component once for each way in which it is delivered. Where that cannot be known, as it is written.
pub(super) fn variants(
    app: &Application,
    appfile: Option<&Appfile>,
    source: &dyn DefinitionSource,
) -> Vec<Variant> {
    let mut variants = Variants {
        app,
        source,
        found: Vec::new(),
    };
    let steps = appfile.map_or(&[][..], |appfile| &appfile.workflow.steps);
    for step in steps.iter().filter(|step| step.type_ == "deploy") {
        let changed_by = format!("the overrides of step {}", step.name);
        let policies = appfile.map_or(&[][..], |appfile| &appfile.policies);
        let named = named(policies, step.properties.as_ref());
        let delivered = delivered_by(app, &named);
        let components: Vec<_> = delivered.iter().map(|one| one.0.clone()).collect();
        let copies = replicate(&components, &replications(&named));
        for one in delivered {
            let of_one = copies.iter().filter(|copy| copy.component == one.0);
            let keys: Vec<String> = of_one.map(|copy| copy.replica_key.clone()).collect();
            variants.add(one, &changed_by, &step.inputs, &keys);
        }
    }
    for delivered in overrides::apply_all(&app.spec.components, &[]) {
        let name = &delivered.0.name;
        let inputs = appfile.map_or_else(Vec::new, |appfile| applying_inputs(appfile, name));
        let mut found = variants.found.iter();
        let is_delivered = found.any(|known| known.component.name == *name);
        // Two components may have one name by mistake: both are looked at.
        let same = app.spec.components.iter().filter(|one| one.name == *name);
        if !is_delivered || same.count() > 1 || !inputs.is_empty() {
            variants.add(delivered, "", &inputs, &[String::new()]);
        }
    }
    variants.found
}

struct Variants<'a> {
    app: &'a Application,
    source: &'a dyn DefinitionSource,
    found: Vec<Variant>,
}

impl Variants<'_> {
    fn add(
        &mut self,
        (component, provenance): (ApplicationComponent, Provenance),
        changed_by: &str,
        step_inputs: &[StepInput],
        replica_keys: &[String],
    ) {
        let is_same =
            |known: &&mut Variant| known.component == component && known.step_inputs == step_inputs;
        if let Some(known) = self.found.iter_mut().find(is_same) {
            for key in replica_keys {
                if !known.replica_keys.contains(key) {
                    known.replica_keys.push(key.clone());
                }
            }
            return;
        }
        let is_written = self.app.spec.components.contains(&component);
        let (assembled, unresolved) =
            assemble_component(self.app, &component, &provenance, self.source);
        let mut variant = Variant {
            component,
            provenance,
            assembled,
            unresolved,
            changed_by: if is_written { "" } else { changed_by }.to_owned(),
            step_inputs: step_inputs.to_vec(),
            replica_keys: replica_keys.to_vec(),
        };
        if !is_written {
            let subject = variant.subject();
            for finding in &mut variant.unresolved {
                finding.subject.clone_from(&subject);
            }
        }
        self.found.push(variant);
    }
}

/// The policies that a step names.
fn named<'a>(policies: &'a [Policy], properties: Option<&serde_json::Value>) -> Vec<&'a Policy> {
    let names = properties.and_then(|properties| properties["policies"].as_array());
    let names = names.into_iter().flatten().filter_map(|name| name.as_str());
    names
        .filter_map(|name| policies.iter().rfind(|policy| policy.name == name))
        .collect()
}

fn replications<'a>(named: &[&'a Policy]) -> Vec<&'a Replication> {
    let rules = named.iter().map(|policy| &policy.rule);
    rules
        .filter_map(|rule| match rule {
            PolicyRule::Replication(rule) => Some(rule),
            _ => None,
        })
        .collect()
}

fn delivered_by(app: &Application, named: &[&Policy]) -> Vec<(ApplicationComponent, Provenance)> {
    let patches: Vec<_> = named
        .iter()
        .filter_map(|policy| match &policy.rule {
            PolicyRule::Override(patch) => Some((policy.path.as_str(), patch)),
            _ => None,
        })
        .collect();
    overrides::apply_all(&app.spec.components, &patches)
}

/// Inputs of the steps that apply a component by its name.
pub(crate) fn applying_inputs(appfile: &Appfile, component: &str) -> Vec<StepInput> {
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
