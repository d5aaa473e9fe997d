//! Where an Application's definitions come from while it is live: the library, and the objects that were
//! gathered for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use caravel_core::api::{Application, Policy, Workflow};
use caravel_core::appfile::{Definition, DefinitionSource, named_policies};
use caravel_core::engine::DefinitionKind;
use kube::Client;
use kube::api::Api;

use crate::library::Library;

/// Definitions of the hub, with the Policy and Workflow objects that one Application names.
#[derive(Clone)]
pub(crate) struct LiveSource {
    library: Library,
    /// Policy objects by name.
    pub(crate) policies: BTreeMap<String, Policy>,
    /// The Workflow object of `workflow.ref`.
    pub(crate) workflow: Option<Workflow>,
}

impl LiveSource {
    /// Reads the objects that the Application names and does not contain (APP-037, APP-039).
    pub(crate) async fn gather(
        client: &Client,
        library: &Library,
        application: &Application,
    ) -> kube::Result<Self> {
        let namespace = application.metadata.namespace.clone().unwrap_or_default();
        let reference = application
            .spec
            .workflow
            .as_ref()
            .and_then(|flow| flow.ref_.as_deref());
        let workflow = match reference {
            Some(name) => {
                Api::<Workflow>::namespaced(client.clone(), &namespace)
                    .get_opt(name)
                    .await?
            }
            None => None,
        };
        let mut policies = BTreeMap::new();
        let api: Api<Policy> = Api::namespaced(client.clone(), &namespace);
        for (name, _) in named_policies(application, workflow.as_ref()) {
            if let Some(policy) = api.get_opt(&name).await? {
                policies.insert(name, policy);
            }
        }
        Ok(Self {
            library: library.clone(),
            policies,
            workflow,
        })
    }
}

impl DefinitionSource for LiveSource {
    fn definition(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Definition>> {
        self.library
            .definition(kind, namespace, name)
            .map(|entry| entry.definition)
    }

    fn revision(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Definition>> {
        self.library
            .revision(kind, namespace, name)
            .map(|entry| entry.definition)
    }

    fn revision_names(
        &self,
        kind: DefinitionKind,
        namespace: &str,
        definition: &str,
    ) -> Vec<String> {
        self.library.revision_names(kind, namespace, definition)
    }

    fn names(&self, kind: DefinitionKind, namespace: &str) -> Vec<String> {
        self.library.names(kind, namespace)
    }

    fn version_of(&self, definition: &Definition) -> String {
        self.library.version_of(definition)
    }

    fn policy(&self, _: &str, name: &str) -> Option<Policy> {
        self.policies.get(name).cloned()
    }

    fn workflow(&self, _: &str, name: &str) -> Option<Workflow> {
        self.workflow
            .clone()
            .filter(|found| found.metadata.name.as_deref() == Some(name))
    }
}
