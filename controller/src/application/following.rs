//! What an Application has to do with besides itself and its objects, and what that is at: policies that work on it
//! (POL-015, POL-016), Policy and Workflow objects that it refers to (APP-026). A change of one concerns those alone who have to do
//! with it.

use std::sync::Arc;

use caravel_core::api::labels::annotations::POLICY_AUTO_REVISION;
use caravel_core::api::{Application, SYSTEM_NAMESPACE};
use caravel_core::appfile::{named_policies, policies_of};
use caravel_core::plan::scoped;
use kube::ResourceExt as _;

use crate::library::Library;

/// The same of one Application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Following {
    namespace: String,
    skips_globals: bool,
    /// The types that it names.
    named: Vec<String>,
    /// It wants revisions of changed policies.
    revises: bool,
    /// The Policies that it refers to itself.
    policies: Vec<String>,
    /// The Workflow that it refers to, whose steps may name further Policies.
    workflow: Option<String>,
    /// Namespace and revision of each definition that holds.
    at: Vec<(String, Arc<str>)>,
    /// Versions of what it refers to.
    referred: Vec<Option<String>>,
}

impl Following {
    /// As they are now.
    pub(crate) fn of(application: &Application, library: &Library) -> Self {
        let policies = application.spec.policies.iter();
        let workflow = application.spec.workflow.as_ref();
        let own = named_policies(application, None);
        let revises = application.annotations().get(POLICY_AUTO_REVISION);
        let mut following = Self {
            namespace: application.namespace().unwrap_or_default(),
            skips_globals: scoped::skips_globals(application),
            named: policies.map(|policy| policy.type_.clone()).collect(),
            revises: revises.is_some_and(|value| value == "true"),
            policies: own.into_iter().map(|(name, _)| name).collect(),
            workflow: workflow.and_then(|workflow| workflow.ref_.clone()),
            at: Vec::new(),
            referred: Vec::new(),
        };
        following.at = following.definitions(library);
        following.referred = following.versions(library);
        following
    }

    /// Whether they are others by now.
    pub(crate) fn is_outdated(&self, library: &Library) -> bool {
        self.at != self.definitions(library) || self.referred != self.versions(library)
    }

    fn versions(&self, library: &Library) -> Vec<Option<String>> {
        let workflow = self.workflow.as_deref();
        let workflow = workflow.and_then(|name| library.workflow(&self.namespace, name));
        let steps = workflow.iter().flat_map(|workflow| &workflow.spec.steps);
        let further = steps.flat_map(policies_of);
        let policies = self.policies.iter().cloned().chain(further);
        let versions = policies.map(|name| library.policy_version(&self.namespace, &name));
        let workflow = workflow.as_ref();
        versions
            .chain([workflow.and_then(|workflow| workflow.resource_version())])
            .collect()
    }

    fn definitions(&self, library: &Library) -> Vec<(String, Arc<str>)> {
        library.policies(|namespace, name, entry| {
            let is_near = namespace == self.namespace || namespace == SYSTEM_NAMESPACE;
            // One whose revision is not there yet is no news: that will be.
            let revision = entry.revision.as_ref().filter(|_| is_near)?;
            let holds = match entry.definition.global {
                Some(_) => !self.skips_globals,
                None => self.named.iter().any(|type_| type_ == name),
            };
            holds.then(|| (namespace.to_owned(), revision.clone()))
        })
    }
}
