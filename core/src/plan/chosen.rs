//! The policies that a `deploy` step names, by what they do (row WF-031).

use super::overrides;
use crate::api::ApplicationComponent;
use crate::appfile::{
    Appfile, Finding, FindingKind, Override, Policy, PolicyRule, Provenance, Replication, Topology,
};

/// The policies of a step, each kind in the step's order.
#[derive(Clone, Debug, Default)]
pub struct Chosen<'a> {
    /// Where to, by name.
    pub topologies: Vec<(&'a str, &'a Topology)>,
    /// What is changed, with the path of the policy that says so.
    pub overrides: Vec<(&'a str, &'a Override)>,
    /// What is copied.
    pub replications: Vec<&'a Replication>,
}

impl<'a> Chosen<'a> {
    /// The policies of an Application that have these names; of two with one name the later one counts.
    ///
    /// # Errors
    /// If there is none of a name.
    pub fn of(appfile: &'a Appfile, names: &[String]) -> Result<Self, Box<Finding>> {
        let mut chosen = Self::default();
        for name in names {
            let mut policies = appfile.policies.iter();
            let policy = policies.rfind(|policy| policy.name == *name);
            chosen.add(policy.ok_or_else(|| unknown(name))?);
        }
        Ok(chosen)
    }

    /// One more policy.
    pub fn add(&mut self, policy: &'a Policy) {
        match &policy.rule {
            PolicyRule::Topology(topology) => self.topologies.push((&policy.name, topology)),
            PolicyRule::Override(patch) => self.overrides.push((&policy.path, patch)),
            PolicyRule::Replication(replication) => self.replications.push(replication),
            _ => {}
        }
    }

    /// The components with what is changed of them, and where that stands.
    pub fn overridden(
        &self,
        components: &[ApplicationComponent],
    ) -> Vec<(ApplicationComponent, Provenance)> {
        overrides::apply_all(components, &self.overrides)
    }
}

fn unknown(name: &str) -> Box<Finding> {
    let message = format!("there is no policy `{name}`");
    let finding = Finding::new(
        FindingKind::UnknownReference,
        "spec.workflow.steps",
        message,
    );
    Box::new(finding.kubevela(format!("policy {name} not found")))
}
