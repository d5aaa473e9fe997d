//! What the API shows of objects.

use caravel_core::api::{Application, ApplicationRevision, WorkflowStatus};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// An Application in a list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationView {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// Phase: `starting`, `rendering`, `runningWorkflow`, `workflowSuspending`, `running`, `unhealthy`, …
    pub(crate) phase: String,
    /// Whether all components are healthy; absent before any was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) healthy: Option<bool>,
    /// Why it is not ready, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// Its components.
    pub(crate) components: Vec<ComponentView>,
    /// Name of the revision that it is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<String>,
    /// Its workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<WorkflowView>,
    /// When it was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    /// When its deletion was asked for, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deleting: Option<String>,
    /// Version of the object.
    pub(crate) resource_version: String,
}

/// A component in a list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComponentView {
    /// Name.
    pub(crate) name: String,
    /// Its definition.
    #[serde(rename = "type")]
    pub(crate) type_: String,
    /// Types of its traits, in order.
    pub(crate) traits: Vec<String>,
    /// Where it runs, one entry per cluster and namespace.
    pub(crate) services: Vec<ServiceView>,
}

/// A component in one place.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceView {
    /// Cluster; `local` is the hub's own.
    pub(crate) cluster: String,
    /// Namespace.
    pub(crate) namespace: String,
    /// Whether it is healthy, traits included.
    pub(crate) healthy: bool,
    /// What its definition says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

/// A workflow at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkflowView {
    /// `executing`, `suspending`, `succeeded`, `failed`, `terminated`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<String>,
    /// How many of its steps are over.
    pub(crate) done: usize,
    /// How many steps it has so far.
    pub(crate) steps: usize,
    /// Whether it waits to be resumed.
    pub(crate) suspended: bool,
    /// Names of the steps that are neither done nor waiting for others.
    pub(crate) current: Vec<String>,
}

impl From<&Application> for ApplicationView {
    fn from(application: &Application) -> Self {
        let metadata = &application.metadata;
        let status = application.status.clone().unwrap_or_default();
        let components = application
            .spec
            .components
            .iter()
            .map(|component| ComponentView {
                name: component.name.clone(),
                type_: component.type_.clone(),
                traits: component.traits.iter().map(|t| t.type_.clone()).collect(),
                services: services(application, &component.name),
            });
        let healthy = (!status.services.is_empty()).then(|| {
            status.services.iter().all(|service| {
                service.healthy && service.traits.iter().all(|t| t.healthy || t.pending)
            })
        });
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.status == "False");
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            phase: status
                .status
                .clone()
                .unwrap_or_else(|| "starting".to_owned()),
            healthy,
            message: ready.and_then(|condition| condition.message.clone()),
            components: components.collect(),
            revision: status.latest_revision.map(|revision| revision.name),
            workflow: status.workflow.as_ref().map(WorkflowView::from),
            created: metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0.to_string()),
            deleting: metadata
                .deletion_timestamp
                .as_ref()
                .map(|time| time.0.to_string()),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

fn services(application: &Application, component: &str) -> Vec<ServiceView> {
    let status = application.status.as_ref();
    let rows = status.into_iter().flat_map(|status| &status.services);
    rows.filter(|service| service.name == component)
        .map(|service| ServiceView {
            cluster: service
                .cluster
                .clone()
                .unwrap_or_else(|| "local".to_owned()),
            namespace: service.namespace.clone().unwrap_or_default(),
            healthy: service.healthy && service.traits.iter().all(|t| t.healthy || t.pending),
            message: service.message.clone(),
        })
        .collect()
}

impl From<&WorkflowStatus> for WorkflowView {
    fn from(workflow: &WorkflowStatus) -> Self {
        let phase =
            |step: &caravel_core::api::WorkflowStepStatus| step.phase.clone().unwrap_or_default();
        let over = |phase: &str| matches!(phase, "succeeded" | "failed" | "skipped");
        Self {
            phase: workflow.status.clone(),
            done: workflow
                .steps
                .iter()
                .filter(|step| over(&phase(step)))
                .count(),
            steps: workflow.steps.len(),
            suspended: workflow.suspend,
            current: workflow
                .steps
                .iter()
                .filter(|step| !over(&phase(step)) && phase(step) != "pending")
                .map(|step| step.name.clone())
                .collect(),
        }
    }
}

/// A revision of an Application.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevisionView {
    /// Name.
    pub(crate) name: String,
    /// `app.oam.dev/publishVersion` at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) publish_version: Option<String>,
    /// Hash of what was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hash: Option<String>,
    /// Whether its workflow came to its end.
    pub(crate) succeeded: bool,
    /// When it was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
}

impl From<&ApplicationRevision> for RevisionView {
    fn from(revision: &ApplicationRevision) -> Self {
        let metadata = &revision.metadata;
        let read = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
            map.as_ref().and_then(|map| map.get(key)).cloned()
        };
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            publish_version: read(&metadata.annotations, "app.oam.dev/publishVersion"),
            hash: read(&metadata.labels, "app.oam.dev/app-revision-hash"),
            succeeded: revision
                .status
                .as_ref()
                .is_some_and(|status| status.succeeded),
            created: metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0.to_string()),
        }
    }
}

/// Something that happened to an Application.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventView {
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub(crate) type_: String,
    /// One word: `Parsed`, `Deployed`, `FailedApply`, …
    pub(crate) reason: String,
    /// In words.
    pub(crate) message: String,
    /// How often it happened.
    pub(crate) count: i32,
    /// When it last happened, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_seen: Option<String>,
}

impl From<&k8s_openapi::api::core::v1::Event> for EventView {
    fn from(event: &k8s_openapi::api::core::v1::Event) -> Self {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        let last = last.or_else(|| event.event_time.as_ref().map(|time| time.0));
        Self {
            type_: event.type_.clone().unwrap_or_default(),
            reason: event.reason.clone().unwrap_or_default(),
            message: event.message.clone().unwrap_or_default(),
            count: event.count.unwrap_or(1),
            last_seen: last.map(|time| time.to_string()),
        }
    }
}

/// A definition.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DefinitionView {
    /// `component`, `trait`, `policy` or `workflow-step`.
    pub(crate) kind: String,
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// Name of its latest revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<String>,
    /// Its CUE template; only where one definition is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<String>,
    /// `OpenAPI` v3 schema of its parameters; only where one definition is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<Value>,
}
