//! How lists and maps of built-in kinds merge: the `x-kubernetes-*` extensions that the schemas of `k8s-openapi` lack.
//!
//! Upstream, list types and patch strategies are separate markers of a Go field and do not always agree, so each row
//! states both.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How a list merges.
#[derive(Clone, Copy)]
enum List {
    /// By these keys in server-side apply.
    Map(&'static [&'static str]),
    Set,
    Atomic,
}

/// Definition (without `io.k8s.api.`), field, list type, patch strategy, patch merge key.
type ListRow = (&'static str, &'static str, List, &'static str, &'static str);

const NAME: List = List::Map(&["name"]);
const TYPE: List = List::Map(&["type"]);

#[rustfmt::skip]
const LISTS: &[ListRow] = &[
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "ownerReferences", List::Map(&["uid"]), "merge", "uid"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "finalizers", List::Set, "merge", ""),
    ("core.v1.PodSpec", "volumes", NAME, "merge,retainKeys", "name"),
    ("core.v1.PodSpec", "containers", NAME, "merge", "name"),
    ("core.v1.PodSpec", "initContainers", NAME, "merge", "name"),
    ("core.v1.PodSpec", "ephemeralContainers", NAME, "merge", "name"),
    ("core.v1.PodSpec", "imagePullSecrets", NAME, "merge", "name"),
    ("core.v1.PodSpec", "hostAliases", List::Map(&["ip"]), "merge", "ip"),
    ("core.v1.PodSpec", "topologySpreadConstraints", List::Map(&["topologyKey", "whenUnsatisfiable"]), "merge", "topologyKey"),
    ("core.v1.PodSpec", "resourceClaims", NAME, "merge,retainKeys", "name"),
    ("core.v1.PodSpec", "schedulingGates", NAME, "merge", "name"),
    ("core.v1.Container", "ports", List::Map(&["containerPort", "protocol"]), "merge", "containerPort"),
    ("core.v1.Container", "env", NAME, "merge", "name"),
    ("core.v1.Container", "volumeMounts", List::Map(&["mountPath"]), "merge", "mountPath"),
    ("core.v1.Container", "volumeDevices", List::Map(&["devicePath"]), "merge", "devicePath"),
    ("core.v1.EphemeralContainer", "ports", List::Map(&["containerPort", "protocol"]), "merge", "containerPort"),
    ("core.v1.EphemeralContainer", "env", NAME, "merge", "name"),
    ("core.v1.EphemeralContainer", "volumeMounts", List::Map(&["mountPath"]), "merge", "mountPath"),
    ("core.v1.EphemeralContainer", "volumeDevices", List::Map(&["devicePath"]), "merge", "devicePath"),
    ("core.v1.ResourceRequirements", "claims", NAME, "", ""),
    ("core.v1.ContainerStatus", "allocatedResourcesStatus", NAME, "merge", "name"),
    ("core.v1.ContainerStatus", "volumeMounts", List::Map(&["mountPath"]), "merge", "mountPath"),
    ("core.v1.PodStatus", "conditions", TYPE, "merge", "type"),
    ("core.v1.PodStatus", "podIPs", List::Map(&["ip"]), "merge", "ip"),
    ("core.v1.PodStatus", "hostIPs", List::Atomic, "merge", "ip"),
    ("core.v1.PodStatus", "resourceClaimStatuses", NAME, "merge,retainKeys", "name"),
    ("core.v1.ServiceSpec", "ports", List::Map(&["port", "protocol"]), "merge", "port"),
    ("core.v1.ServiceStatus", "conditions", TYPE, "merge", "type"),
    ("core.v1.ServiceAccount", "secrets", NAME, "merge", "name"),
    ("core.v1.NodeSpec", "podCIDRs", List::Set, "merge", ""),
    ("core.v1.NodeStatus", "conditions", TYPE, "merge", "type"),
    ("core.v1.NodeStatus", "addresses", TYPE, "merge", "type"),
    ("core.v1.NamespaceStatus", "conditions", TYPE, "merge", "type"),
    ("core.v1.PersistentVolumeClaimStatus", "conditions", TYPE, "merge", "type"),
    ("core.v1.ReplicationControllerStatus", "conditions", TYPE, "merge", "type"),
    ("apps.v1.DeploymentStatus", "conditions", TYPE, "merge", "type"),
    ("apps.v1.DaemonSetStatus", "conditions", TYPE, "merge", "type"),
    ("apps.v1.ReplicaSetStatus", "conditions", TYPE, "merge", "type"),
    ("apps.v1.StatefulSetStatus", "conditions", TYPE, "merge", "type"),
    ("autoscaling.v2.HorizontalPodAutoscalerStatus", "conditions", TYPE, "merge", "type"),
    ("batch.v1.JobStatus", "conditions", List::Atomic, "merge", "type"),
    ("batch.v1.UncountedTerminatedPods", "failed", List::Set, "", ""),
    ("batch.v1.UncountedTerminatedPods", "succeeded", List::Set, "", ""),
    ("batch.v1.PodFailurePolicyOnExitCodesRequirement", "values", List::Set, "", ""),
    ("certificates.v1.CertificateSigningRequestStatus", "conditions", TYPE, "", ""),
    ("policy.v1.PodDisruptionBudgetStatus", "conditions", TYPE, "merge", "type"),
    ("admissionregistration.v1.MutatingWebhookConfiguration", "webhooks", NAME, "merge", "name"),
    ("admissionregistration.v1.ValidatingWebhookConfiguration", "webhooks", NAME, "merge", "name"),
    ("admissionregistration.v1.MutatingWebhook", "matchConditions", NAME, "merge", "name"),
    ("admissionregistration.v1.ValidatingWebhook", "matchConditions", NAME, "merge", "name"),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", "matchConditions", NAME, "merge", "name"),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", "variables", NAME, "merge", "name"),
    ("admissionregistration.v1.ValidatingAdmissionPolicyStatus", "conditions", TYPE, "", ""),
    ("discovery.v1.Endpoint", "addresses", List::Set, "", ""),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus", "conditions", TYPE, "", ""),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps", "x-kubernetes-validations", List::Map(&["rule"]), "merge", "rule"),
    ("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus", "conditions", TYPE, "merge", "type"),
];

/// Definitions whose objects are replaced as a whole.
#[rustfmt::skip]
const ATOMIC_OBJECTS: &[&str] = &[
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
    "core.v1.ConfigMapKeySelector", "core.v1.FileKeySelector", "core.v1.LocalObjectReference", "core.v1.NodeSelector",
    "core.v1.NodeSelectorTerm", "core.v1.ObjectFieldSelector", "core.v1.ObjectReference", "core.v1.ResourceFieldSelector",
    "core.v1.ScopeSelector", "core.v1.SecretKeySelector", "core.v1.SecretReference", "core.v1.TopologySelectorTerm",
    "core.v1.TypedLocalObjectReference", "core.v1.EndpointAddress", "core.v1.EndpointPort", "discovery.v1.EndpointPort",
    "autoscaling.v1.CrossVersionObjectReference", "autoscaling.v1.ScaleStatus", "rbac.v1.RoleRef", "rbac.v1.Subject",
    "networking.v1.ServiceBackendPort", "admissionregistration.v1.ParamKind", "admissionregistration.v1.ParamRef",
    "admissionregistration.v1.MatchResources", "admissionregistration.v1.NamedRuleWithOperations",
];

/// Objects inside of a definition that are replaced as a whole.
const ATOMIC_FIELDS: &[(&str, &str)] = &[
    ("core.v1.PodSpec", "nodeSelector"),
    ("core.v1.ServiceSpec", "selector"),
    ("core.v1.ReplicationControllerSpec", "selector"),
    ("core.v1.CSIPersistentVolumeSource", "volumeAttributes"),
];

/// Fields whose default is a part of a list key, so that server-side apply must know it.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("core.v1.ContainerPort", "protocol", "TCP"),
    ("core.v1.ServicePort", "protocol", "TCP"),
];

/// Objects of which a patch keeps only the keys that it names.
const RETAIN_KEYS: &[(&str, &str)] = &[("apps.v1.DeploymentSpec", "strategy")];

/// Adds the extensions to the definitions.
pub(super) fn apply(definitions: &mut BTreeMap<String, Value>) {
    mark_lists_atomic(definitions);
    for (definition, field, list, strategy, key) in LISTS {
        if let Some(property) = property(definitions, definition, field) {
            mark_list(property, *list, strategy, key);
        }
    }
    for name in ATOMIC_OBJECTS {
        if let Some(schema) = definitions.get_mut(&full(name)) {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
    }
    for (definition, field) in ATOMIC_FIELDS {
        if let Some(property) = property(definitions, definition, field) {
            property["x-kubernetes-map-type"] = "atomic".into();
        }
    }
    for (definition, field, value) in DEFAULTS {
        if let Some(property) = property(definitions, definition, field) {
            property["default"] = (*value).into();
        }
    }
    for (definition, field) in RETAIN_KEYS {
        if let Some(property) = property(definitions, definition, field) {
            property["x-kubernetes-patch-strategy"] = "retainKeys".into();
        }
    }
}

/// A list that no row names is replaced as a whole.
fn mark_lists_atomic(definitions: &mut BTreeMap<String, Value>) {
    for schema in definitions.values_mut() {
        let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
            continue;
        };
        for property in properties.values_mut().filter(|p| p["type"] == "array") {
            property["x-kubernetes-list-type"] = "atomic".into();
        }
    }
}

fn mark_list(property: &mut Value, list: List, strategy: &str, key: &str) {
    match list {
        List::Map(keys) => {
            property["x-kubernetes-list-type"] = "map".into();
            property["x-kubernetes-list-map-keys"] = json!(keys);
        }
        List::Set => property["x-kubernetes-list-type"] = "set".into(),
        List::Atomic => property["x-kubernetes-list-type"] = "atomic".into(),
    }
    if !strategy.is_empty() {
        property["x-kubernetes-patch-strategy"] = strategy.into();
    }
    if !key.is_empty() {
        property["x-kubernetes-patch-merge-key"] = key.into();
    }
}

fn full(name: &str) -> String {
    if name.starts_with("io.k8s.") {
        name.to_owned()
    } else {
        format!("io.k8s.api.{name}")
    }
}

fn property<'a>(
    definitions: &'a mut BTreeMap<String, Value>,
    definition: &str,
    field: &str,
) -> Option<&'a mut Value> {
    definitions
        .get_mut(&full(definition))?
        .get_mut("properties")?
        .get_mut(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_a_field_that_exists() {
        let definitions = crate::openapi::definitions();
        let missing = |definition: &str, field: &str| {
            definitions
                .get(&full(definition))
                .is_none_or(|d| d["properties"].get(field).is_none())
        };
        let lists = LISTS.iter().map(|(d, f, ..)| (*d, *f));
        let fields = ATOMIC_FIELDS
            .iter()
            .chain(RETAIN_KEYS)
            .copied()
            .chain(DEFAULTS.iter().map(|(d, f, _)| (*d, *f)));
        let wrong: Vec<_> = lists.chain(fields).filter(|(d, f)| missing(d, f)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let wrong: Vec<_> = ATOMIC_OBJECTS
            .iter()
            .filter(|d| !definitions.contains_key(&full(d)))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
