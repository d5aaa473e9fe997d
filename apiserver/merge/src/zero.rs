//! What an object of a kind holds before anybody wrote to it.
//!
//! A custom resource is empty then. A built-in kind is not: parts that are not optional in its Go
//! type are always there, so that nobody comes to own `spec` itself by creating the object. Clients
//! see the difference in `managedFields`. Facts: recorded answers of kube-apiserver 1.36.

use serde_json::{Value, json};

/// The object before anybody wrote to it, of the kind of `of`.
pub(crate) fn object(of: &Value) -> Value {
    let text = |name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let mut zero = built_in(api_version, kind).unwrap_or_else(|| json!({}));
    if api_version.is_empty() && kind.is_empty() {
        return zero;
    }
    zero["apiVersion"] = api_version.into();
    zero["kind"] = kind.into();
    zero
}

fn pod_template() -> Value {
    json!({"metadata": {}, "spec": {"containers": null}})
}

fn built_in(api_version: &str, kind: &str) -> Option<Value> {
    let template = pod_template;
    let mut zero = match (api_version, kind) {
        ("apps/v1", "Deployment") => {
            json!({"spec": {"selector": null, "strategy": {}, "template": template()}, "status": {}})
        }
        ("apps/v1", "StatefulSet" | "DaemonSet") => json!({
            "spec": {"selector": null, "template": template(), "updateStrategy": {}},
            "status": {},
        }),
        ("apps/v1", "ReplicaSet") => {
            json!({"spec": {"selector": null, "template": template()}, "status": {}})
        }
        ("batch/v1", "Job") => json!({"spec": {"template": template()}, "status": {}}),
        ("batch/v1", "CronJob") => json!({
            "spec": {"jobTemplate": {"metadata": {}, "spec": {"template": template()}}},
            "status": {},
        }),
        ("v1", "Pod") => json!({"spec": {"containers": null}, "status": {}}),
        ("v1", "Service") | ("networking.k8s.io/v1", "Ingress") => {
            json!({"spec": {}, "status": {"loadBalancer": {}}})
        }
        ("v1", "PersistentVolumeClaim") => json!({"spec": {"resources": {}}, "status": {}}),
        ("v1", "Namespace" | "PersistentVolume" | "ReplicationController" | "ResourceQuota")
        | ("autoscaling/v1" | "autoscaling/v2", "HorizontalPodAutoscaler")
        | ("policy/v1", "PodDisruptionBudget")
        | ("apiregistration.k8s.io/v1", "APIService") => json!({"spec": {}, "status": {}}),
        ("v1", "Node") => json!({
            "spec": {},
            "status": {"daemonEndpoints": {"kubeletEndpoint": {}}, "nodeInfo": {}},
        }),
        ("v1", "LimitRange") => json!({"spec": {"limits": null}}),
        ("coordination.k8s.io/v1", "Lease")
        | ("networking.k8s.io/v1", "NetworkPolicy" | "IngressClass") => {
            json!({"spec": {}})
        }
        ("v1", "Event") => json!({"involvedObject": {}, "source": {}}),
        ("rbac.authorization.k8s.io/v1", "Role" | "ClusterRole") => json!({"rules": null}),
        ("rbac.authorization.k8s.io/v1", "RoleBinding" | "ClusterRoleBinding") => {
            json!({"roleRef": {}})
        }
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => json!({
            "spec": {"names": {}, "versions": null},
            "status": {"acceptedNames": {}, "conditions": null, "storedVersions": null},
        }),
        ("v1", "ConfigMap" | "Secret" | "ServiceAccount" | "Endpoints")
        | (
            "admissionregistration.k8s.io/v1",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        )
        | ("storage.k8s.io/v1", "StorageClass")
        | ("scheduling.k8s.io/v1", "PriorityClass") => json!({}),
        _ => return None,
    };
    zero["metadata"] = json!({});
    Some(zero)
}
