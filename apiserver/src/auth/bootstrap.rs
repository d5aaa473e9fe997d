//! Roles and bindings that every server starts with.

use serde_json::{Value, json};

use super::rbac::GROUP;
use crate::identity::{AUTHENTICATED, MASTERS};

/// The objects, each with the plural of its resource.
pub(crate) fn roles() -> Vec<(&'static str, Value)> {
    let all = json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]);
    let own = json!([
        {"apiGroups": ["authorization.k8s.io"], "verbs": ["create"],
         "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
        {"apiGroups": ["authentication.k8s.io"], "verbs": ["create"], "resources": ["selfsubjectreviews"]},
    ]);
    let discovery = json!([{"verbs": ["get"], "nonResourceURLs": [
        "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/",
    ]}]);
    let public = json!([{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"]}]);
    let read = json!([{"apiGroups": WORK, "resources": SHOWN, "verbs": ["get", "list", "watch"]}]);
    let write = json!([
        {"apiGroups": WORK, "resources": SHOWN, "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]},
    ]);
    let administer = json!([
        {"apiGroups": WORK, "resources": SHOWN, "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["secrets", "serviceaccounts/token"], "verbs": ["*"]},
        {"apiGroups": [GROUP], "resources": ["roles", "rolebindings"], "verbs": ["*"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["localsubjectaccessreviews"], "verbs": ["create"]},
    ]);
    vec![
        role("cluster-admin", &all),
        role("system:basic-user", &own),
        role("system:discovery", &discovery),
        role("system:public-info-viewer", &public),
        part("view", &read),
        part("edit", &write),
        part("admin", &administer),
        whole("view", &read),
        whole("edit", &write),
        whole("admin", &administer),
        binding("cluster-admin", MASTERS),
        binding("system:basic-user", AUTHENTICATED),
        binding("system:discovery", AUTHENTICATED),
        binding("system:public-info-viewer", AUTHENTICATED),
    ]
}

/// Groups whose objects make up the work in a namespace.
const WORK: &[&str] = &[
    "",
    "apps",
    "batch",
    "autoscaling",
    "networking.k8s.io",
    "policy",
    "events.k8s.io",
    "core.oam.dev",
];

/// What everybody who works in a namespace may see: no secrets, no roles.
const SHOWN: &[&str] = &[
    "configmaps",
    "endpoints",
    "events",
    "persistentvolumeclaims",
    "pods",
    "pods/log",
    "replicationcontrollers",
    "serviceaccounts",
    "services",
    "deployments",
    "deployments/scale",
    "daemonsets",
    "replicasets",
    "replicasets/scale",
    "statefulsets",
    "statefulsets/scale",
    "controllerrevisions",
    "jobs",
    "cronjobs",
    "horizontalpodautoscalers",
    "ingresses",
    "networkpolicies",
    "poddisruptionbudgets",
    "applications",
    "applications/status",
    "applicationrevisions",
    "componentdefinitions",
    "traitdefinitions",
    "policydefinitions",
    "workflowstepdefinitions",
    "workloaddefinitions",
    "definitionrevisions",
    "policies",
    "workflows",
    "resourcetrackers",
];

fn metadata(name: &str) -> Value {
    json!({"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}})
}

fn role(name: &str, rules: &Value) -> (&'static str, Value) {
    let object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole", "metadata": metadata(name), "rules": rules,
    });
    ("clusterroles", object)
}

/// The label by which a cluster role becomes part of one of the roles that users are given.
fn aggregates_to(name: &str) -> String {
    format!("{GROUP}/aggregate-to-{name}")
}

/// What such a role has of itself.
fn part(name: &str, rules: &Value) -> (&'static str, Value) {
    let (plural, mut object) = role(&format!("system:aggregate-to-{name}"), rules);
    object["metadata"]["labels"][aggregates_to(name)] = "true".into();
    (plural, object)
}

/// Such a role: it has the rules from the start, and those of other parts when they come.
fn whole(name: &str, rules: &Value) -> (&'static str, Value) {
    let (plural, mut object) = role(name, rules);
    object["aggregationRule"] =
        json!({"clusterRoleSelectors": [{"matchLabels": {aggregates_to(name): "true"}}]});
    (plural, object)
}

fn binding(role: &str, group: &str) -> (&'static str, Value) {
    let object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata(role),
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group}],
    });
    ("clusterrolebindings", object)
}
