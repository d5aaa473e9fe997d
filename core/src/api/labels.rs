//! Names that objects carry (reference sections 2.9 and 2.10). Constants of labels stand here, of
//! annotations in [`annotations`], of finalizers in [`finalizers`].

/// The application that owns the object: its name.
pub const APP_NAME: &str = "app.oam.dev/name";
/// The application that owns the object: its namespace.
pub const APP_NAMESPACE: &str = "app.oam.dev/namespace";
/// On inventories: the uid of the application.
pub const APP_UID: &str = "app.oam.dev/uid";
/// The component that the object belongs to.
pub const APP_COMPONENT: &str = "app.oam.dev/component";
/// The key of a replicated component.
pub const APP_REPLICA_KEY: &str = "app.oam.dev/replicaKey";
/// Name of the ApplicationRevision that made the object.
pub const APP_REVISION: &str = "app.oam.dev/appRevision";
/// Hash of that revision.
pub const APP_REVISION_HASH: &str = "app.oam.dev/app-revision-hash";
/// Revision of the component.
pub const COMPONENT_REVISION: &str = "app.oam.dev/revision";
/// [`WORKLOAD`] or [`TRAIT`].
pub const RESOURCE_TYPE: &str = "app.oam.dev/resourceType";
/// The cluster that the object is meant for.
pub const APP_CLUSTER: &str = "app.oam.dev/cluster";
/// Where an application is edited.
pub const SOURCE_OF_TRUTH: &str = "app.oam.dev/source-of-truth";
/// Marks the ConfigMap that shows what Application-scoped policies did.
pub const APPLICATION_POLICIES: &str = "app.oam.dev/application-policies";
/// Type of the component.
pub const WORKLOAD_TYPE: &str = "workload.oam.dev/type";
/// Type of the trait, or [`AUXILIARY_WORKLOAD`].
pub const TRAIT_TYPE: &str = "trait.oam.dev/type";
/// Key of the output that made the object.
pub const TRAIT_RESOURCE: &str = "trait.oam.dev/resource";
/// Marks a workload that a trait made.
pub const MANAGE_WORKLOAD: &str = "trait.oam.dev/manage-workload";
/// Hash of the object as it was rendered.
pub const RENDER_HASH: &str = "oam.dev/render-hash";
/// On `DefinitionRevisions`: the ComponentDefinition.
pub const COMPONENT_DEFINITION_NAME: &str = "componentdefinition.oam.dev/name";
/// On `DefinitionRevisions`: the TraitDefinition.
pub const TRAIT_DEFINITION_NAME: &str = "trait.oam.dev/name";
/// On `DefinitionRevisions`: the PolicyDefinition.
pub const POLICY_DEFINITION_NAME: &str = "policydefinition.oam.dev/name";
/// On `DefinitionRevisions`: the WorkflowStepDefinition.
pub const WORKFLOW_STEP_DEFINITION_NAME: &str = "workflowstepdefinition.oam.dev/name";
/// On schema ConfigMaps: `schema`.
pub const DEFINITION: &str = "definition.oam.dev";
/// On schema ConfigMaps: the definition.
pub const DEFINITION_NAME: &str = "definition.oam.dev/name";
/// `true` on an Application: it is left alone (APP-002).
pub const PAUSE: &str = "controller.core.oam.dev/pause";
/// The shard that an object belongs to.
pub const SHARD_ID: &str = "controller.core.oam.dev/shard-id";
/// The shard that an Application was given to.
pub const SCHEDULED_SHARD_ID: &str = "controller.core.oam.dev/scheduled-shard-id";
/// On `ControllerRevisions`: the component.
pub const CONTROLLER_COMPONENT: &str = "controller.oam.dev/component";
/// The addon that an application or object belongs to.
pub const ADDON_NAME: &str = "addons.oam.dev/name";
/// The version of that addon.
pub const ADDON_VERSION: &str = "addons.oam.dev/version";
/// The registry of that addon.
pub const ADDON_REGISTRY: &str = "addons.oam.dev/registry";
/// The `WorkflowRun` that an object belongs to.
pub const WORKFLOW_RUN_NAME: &str = "workflowrun.oam.dev/name";
/// The namespace of that run.
pub const WORKFLOW_RUN_NAMESPACE: &str = "workflowrun.oam.dev/namespace";
/// The step that made an object.
pub const WORKFLOW_STEP_NAME: &str = "workflow.oam.dev/step-name";
/// Type of a config Secret.
pub const CONFIG_TYPE: &str = "config.oam.dev/type";
/// Marks a config Secret: `velacore-config`.
pub const CONFIG_CATALOG: &str = "config.oam.dev/catalog";

/// Value of [`RESOURCE_TYPE`] on the object that a component stands for.
pub const WORKLOAD: &str = "WORKLOAD";
/// Value of [`RESOURCE_TYPE`] on all other objects of a component.
pub const TRAIT: &str = "TRAIT";
/// Value of [`TRAIT_TYPE`] on the auxiliary objects of a component.
pub const AUXILIARY_WORKLOAD: &str = "AuxiliaryWorkload";

/// Names of annotations.
pub mod annotations {
    /// Pins the spec; a change makes a new revision and runs the workflow again.
    pub const PUBLISH_VERSION: &str = "app.oam.dev/publishVersion";
    /// Number of the deployment, for display.
    pub const DEPLOY_VERSION: &str = "app.oam.dev/deployVersion";
    /// Follow the latest matching versions of definitions.
    pub const AUTO_UPDATE: &str = "app.oam.dev/autoUpdate";
    /// `context.workflowName`.
    pub const WORKFLOW_NAME: &str = "app.oam.dev/workflowName";
    /// `true`, a time or a duration: run the workflow again (APP-006).
    pub const RESTART_WORKFLOW: &str = "app.oam.dev/restart-workflow";
    /// How often the application is checked (APP-016).
    pub const RECONCILE_INTERVAL: &str = "app.oam.dev/reconcile-interval";
    /// Allow changes of immutable parameters.
    pub const FORCE_PARAM_MUTATIONS: &str = "app.oam.dev/force-param-mutations";
    /// Let policies that change the spec make revisions (POL-016).
    pub const POLICY_AUTO_REVISION: &str = "policy.oam.dev/auto-revision";
    /// Leave global policies out (POL-015).
    pub const SKIP_GLOBAL_POLICIES: &str = "policy.oam.dev/skip-global";
    /// The only controller version that may touch the object (APP-003).
    pub const CONTROLLER_VERSION_REQUIRE: &str = "app.oam.dev/controller-version-require";
    /// Act as this service account.
    pub const SERVICE_ACCOUNT_NAME: &str = "app.oam.dev/service-account-name";
    /// The user who wrote the application last.
    pub const USERNAME: &str = "app.oam.dev/username";
    /// The groups of that user.
    pub const GROUP: &str = "app.oam.dev/group";
    /// The object as it was applied last.
    pub const LAST_APPLIED_CONFIGURATION: &str = "app.oam.dev/last-applied-configuration";
    /// When it was applied last.
    pub const LAST_APPLIED_TIME: &str = "app.oam.dev/last-applied-time";
    /// The applications that share the object: `namespace/name`, comma-separated (POL-003).
    pub const SHARED_BY: &str = "app.oam.dev/shared-by";
    /// Where a referred object was read from.
    pub const RESOURCE_URL: &str = "app.oam.dev/resource-url";
    /// Report the workload as healthy whatever it is.
    pub const DISABLE_HEALTH_CHECK: &str = "app.oam.dev/disable-health-check";
    /// Version of the controller that made the object.
    pub const KUBEVELA_VERSION: &str = "oam.dev/kubevela-version";
    /// Annotations that are not copied to objects, comma-separated.
    pub const FILTER_ANNOTATION_KEYS: &str = "filter.oam.dev/annotation-keys";
    /// Labels that are not copied to objects, comma-separated.
    pub const FILTER_LABEL_KEYS: &str = "filter.oam.dev/label-keys";
    /// Name of the next DefinitionRevision (DEF-002).
    pub const DEFINITION_REVISION_NAME: &str = "definitionrevision.oam.dev/name";
    /// What a definition is, in a sentence.
    pub const DEFINITION_DESCRIPTION: &str = "definition.oam.dev/description";
    /// Name of a definition for people.
    pub const DEFINITION_ALIAS: &str = "definition.oam.dev/alias";
    /// Address of its icon.
    pub const DEFINITION_ICON: &str = "definition.oam.dev/icon";
    /// Address of an example.
    pub const DEFINITION_EXAMPLE_URL: &str = "definition.oam.dev/example-url";
    /// Workloads that a trait can be added to, for display.
    pub const DEFINITION_APPLIED_WORKLOADS: &str = "definition.oam.dev/appliedWorkloads";
    /// What `kubectl apply` wrote last.
    pub const KUBECTL_LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
    /// On definitions: which of CUE's evaluators reads the template, `v2` or `v3`.
    pub const CUE_EVALUATOR: &str = "caravel.dev/cue-evaluator";
    /// On Applications and definitions, `true`: admission refuses what it otherwise warns of.
    pub const STRICT_ADMISSION: &str = "caravel.dev/strict-admission";
    /// On built-in definitions: the hash of their specification as it was shipped. One whose specification has another
    /// hash was edited, and is left alone.
    pub const SHIPPED: &str = "caravel.dev/shipped";
    /// On definitions, `true`: it may be deleted though Applications use it.
    pub const FORCE_DELETE: &str = "caravel.dev/force-delete";
    /// On workflow contexts: when the run began.
    pub const WORKFLOW_START_TIME: &str = "vela.io/startTime";
    /// Keep what each step evaluated.
    pub const WORKFLOW_RUN_DEBUG: &str = "workflowrun.oam.dev/debug";
}

/// Whether a label can have this value (Kubernetes: syntax and character set of labels): letters, digits, `-`, `_` and `.`,
/// the first and the last no sign.
pub fn is_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().into_iter().chain(bytes.last());
    text.len() <= LONGEST_VALUE
        && ends.copied().all(|byte| byte.is_ascii_alphanumeric())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Whether a label or an annotation can have this key: a name, perhaps behind a domain and `/`.
pub fn is_key(text: &str) -> bool {
    let (domain, name) = match text.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, text),
    };
    let is_domain = domain.is_none_or(|domain| !domain.is_empty() && domain.len() <= 253);
    is_domain && !name.is_empty() && is_value(name)
}

/// Longest value of a label.
pub const LONGEST_VALUE: usize = 63;

/// Names of finalizers.
pub mod finalizers {
    /// On Applications: objects are deleted before the Application goes (APP-007).
    pub const RESOURCE_TRACKER: &str = "app.oam.dev/resource-tracker-finalizer";
    /// On Applications: objects stay when the Application goes (APP-054).
    pub const ORPHAN_RESOURCE: &str = "app.oam.dev/orphan-resource";
    /// On inventories: objects are deleted before the inventory goes (APP-041).
    pub const TRACKER: &str = "resourcetracker.core.oam.dev/finalizer";
}
