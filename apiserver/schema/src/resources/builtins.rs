//! The table of built-in resources.

use super::{ALL_VERBS, Resource, Subresource};
use std::sync::OnceLock;

const CREATE: &[&str] = &["create"];
/// Namespaces have no `deletecollection`.
const NAMESPACE_VERBS: &[&str] = &[
    "create", "delete", "get", "list", "patch", "update", "watch",
];

struct Row {
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    verbs: &'static [&'static str],
    /// Categories, separated by commas.
    categories: &'static str,
    /// Subresources, separated by commas.
    sub: &'static str,
}

const fn ns(
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    categories: &'static str,
    sub: &'static str,
) -> Row {
    Row {
        kind,
        plural,
        short,
        namespaced: true,
        verbs: ALL_VERBS,
        categories,
        sub,
    }
}

const fn cluster(
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    categories: &'static str,
    sub: &'static str,
) -> Row {
    Row {
        kind,
        plural,
        short,
        namespaced: false,
        verbs: ALL_VERBS,
        categories,
        sub,
    }
}

const fn create_only(kind: &'static str, plural: &'static str, namespaced: bool) -> Row {
    Row {
        kind,
        plural,
        short: &[],
        namespaced,
        verbs: CREATE,
        categories: "",
        sub: "",
    }
}

/// A group version, the prefix of its OpenAPI definitions, and its resources.
type Group = (&'static str, &'static str, &'static str, &'static [Row]);

const EXT: &str = "api-extensions";

const GROUPS: &[Group] = &[
    (
        "",
        "v1",
        "io.k8s.api.core.v1",
        &[
            create_only("Binding", "bindings", true),
            ns("ConfigMap", "configmaps", &["cm"], "", ""),
            ns("Endpoints", "endpoints", &["ep"], "", ""),
            ns("Event", "events", &["ev"], "", ""),
            ns("LimitRange", "limitranges", &["limits"], "", ""),
            Row {
                kind: "Namespace",
                plural: "namespaces",
                short: &["ns"],
                namespaced: false,
                verbs: NAMESPACE_VERBS,
                categories: "",
                sub: "finalize,status",
            },
            cluster("Node", "nodes", &["no"], "", "proxy,status"),
            ns(
                "PersistentVolumeClaim",
                "persistentvolumeclaims",
                &["pvc"],
                "",
                "status",
            ),
            cluster(
                "PersistentVolume",
                "persistentvolumes",
                &["pv"],
                "",
                "status",
            ),
            ns(
                "Pod",
                "pods",
                &["po"],
                "all",
                "attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status",
            ),
            ns("PodTemplate", "podtemplates", &[], "", ""),
            ns(
                "ReplicationController",
                "replicationcontrollers",
                &["rc"],
                "all",
                "scale,status",
            ),
            ns("ResourceQuota", "resourcequotas", &["quota"], "", "status"),
            ns("Secret", "secrets", &[], "", ""),
            ns("ServiceAccount", "serviceaccounts", &["sa"], "", "token"),
            ns("Service", "services", &["svc"], "all", "proxy,status"),
        ],
    ),
    (
        "apiregistration.k8s.io",
        "v1",
        "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
        &[cluster("APIService", "apiservices", &[], EXT, "status")],
    ),
    (
        "apps",
        "v1",
        "io.k8s.api.apps.v1",
        &[
            ns("ControllerRevision", "controllerrevisions", &[], "", ""),
            ns("DaemonSet", "daemonsets", &["ds"], "all", "status"),
            ns(
                "Deployment",
                "deployments",
                &["deploy"],
                "all",
                "scale,status",
            ),
            ns("ReplicaSet", "replicasets", &["rs"], "all", "scale,status"),
            ns(
                "StatefulSet",
                "statefulsets",
                &["sts"],
                "all",
                "scale,status",
            ),
        ],
    ),
    (
        "events.k8s.io",
        "v1",
        "io.k8s.api.events.v1",
        &[ns("Event", "events", &["ev"], "", "")],
    ),
    (
        "authentication.k8s.io",
        "v1",
        "io.k8s.api.authentication.v1",
        &[
            create_only("SelfSubjectReview", "selfsubjectreviews", false),
            create_only("TokenReview", "tokenreviews", false),
        ],
    ),
    (
        "authorization.k8s.io",
        "v1",
        "io.k8s.api.authorization.v1",
        &[
            create_only(
                "LocalSubjectAccessReview",
                "localsubjectaccessreviews",
                true,
            ),
            create_only("SelfSubjectAccessReview", "selfsubjectaccessreviews", false),
            create_only("SelfSubjectRulesReview", "selfsubjectrulesreviews", false),
            create_only("SubjectAccessReview", "subjectaccessreviews", false),
        ],
    ),
    (
        "autoscaling",
        "v2",
        "io.k8s.api.autoscaling.v2",
        &[ns(
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            &["hpa"],
            "all",
            "status",
        )],
    ),
    (
        "autoscaling",
        "v1",
        "io.k8s.api.autoscaling.v1",
        &[ns(
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            &["hpa"],
            "all",
            "status",
        )],
    ),
    (
        "batch",
        "v1",
        "io.k8s.api.batch.v1",
        &[
            ns("CronJob", "cronjobs", &["cj"], "all", "status"),
            ns("Job", "jobs", &[], "all", "status"),
        ],
    ),
    (
        "certificates.k8s.io",
        "v1",
        "io.k8s.api.certificates.v1",
        &[cluster(
            "CertificateSigningRequest",
            "certificatesigningrequests",
            &["csr"],
            "",
            "approval,status",
        )],
    ),
    (
        "networking.k8s.io",
        "v1",
        "io.k8s.api.networking.v1",
        &[
            cluster("IngressClass", "ingressclasses", &[], "", ""),
            ns("Ingress", "ingresses", &["ing"], "", "status"),
            cluster("IPAddress", "ipaddresses", &["ip"], "", ""),
            ns("NetworkPolicy", "networkpolicies", &["netpol"], "", ""),
            cluster("ServiceCIDR", "servicecidrs", &[], "", "status"),
        ],
    ),
    (
        "policy",
        "v1",
        "io.k8s.api.policy.v1",
        &[ns(
            "PodDisruptionBudget",
            "poddisruptionbudgets",
            &["pdb"],
            "",
            "status",
        )],
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "io.k8s.api.rbac.v1",
        &[
            cluster("ClusterRoleBinding", "clusterrolebindings", &[], "", ""),
            cluster("ClusterRole", "clusterroles", &[], "", ""),
            ns("RoleBinding", "rolebindings", &[], "", ""),
            ns("Role", "roles", &[], "", ""),
        ],
    ),
    (
        "storage.k8s.io",
        "v1",
        "io.k8s.api.storage.v1",
        &[
            cluster("CSIDriver", "csidrivers", &[], "", ""),
            cluster("CSINode", "csinodes", &[], "", ""),
            ns("CSIStorageCapacity", "csistoragecapacities", &[], "", ""),
            cluster("StorageClass", "storageclasses", &["sc"], "", ""),
            cluster("VolumeAttachment", "volumeattachments", &[], "", "status"),
            cluster(
                "VolumeAttributesClass",
                "volumeattributesclasses",
                &["vac"],
                "",
                "",
            ),
        ],
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "io.k8s.api.admissionregistration.v1",
        &[
            cluster(
                "MutatingWebhookConfiguration",
                "mutatingwebhookconfigurations",
                &[],
                EXT,
                "",
            ),
            cluster(
                "ValidatingAdmissionPolicy",
                "validatingadmissionpolicies",
                &[],
                EXT,
                "status",
            ),
            cluster(
                "ValidatingAdmissionPolicyBinding",
                "validatingadmissionpolicybindings",
                &[],
                EXT,
                "",
            ),
            cluster(
                "ValidatingWebhookConfiguration",
                "validatingwebhookconfigurations",
                &[],
                EXT,
                "",
            ),
        ],
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
        &[cluster(
            "CustomResourceDefinition",
            "customresourcedefinitions",
            &["crd", "crds"],
            EXT,
            "status",
        )],
    ),
    (
        "scheduling.k8s.io",
        "v1",
        "io.k8s.api.scheduling.v1",
        &[cluster("PriorityClass", "priorityclasses", &["pc"], "", "")],
    ),
    (
        "coordination.k8s.io",
        "v1",
        "io.k8s.api.coordination.v1",
        &[ns("Lease", "leases", &[], "", "")],
    ),
    (
        "node.k8s.io",
        "v1",
        "io.k8s.api.node.v1",
        &[cluster("RuntimeClass", "runtimeclasses", &[], "", "")],
    ),
    (
        "discovery.k8s.io",
        "v1",
        "io.k8s.api.discovery.v1",
        &[ns("EndpointSlice", "endpointslices", &[], "", "")],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "io.k8s.api.flowcontrol.v1",
        &[
            cluster("FlowSchema", "flowschemas", &[], "", "status"),
            cluster(
                "PriorityLevelConfiguration",
                "prioritylevelconfigurations",
                &[],
                "",
                "status",
            ),
        ],
    ),
    (
        "resource.k8s.io",
        "v1",
        "io.k8s.api.resource.v1",
        &[
            cluster("DeviceClass", "deviceclasses", &[], "", ""),
            ns("ResourceClaim", "resourceclaims", &[], "", "status"),
            ns(
                "ResourceClaimTemplate",
                "resourceclaimtemplates",
                &[],
                "",
                "",
            ),
            cluster("ResourceSlice", "resourceslices", &[], "", ""),
        ],
    ),
];

/// The built-in resources, in the order in which the real server lists their groups.
pub fn builtins() -> &'static [Resource] {
    static TABLE: OnceLock<Vec<Resource>> = OnceLock::new();
    TABLE.get_or_init(|| {
        GROUPS
            .iter()
            .flat_map(|(group, version, prefix, rows)| {
                rows.iter()
                    .map(move |row| build(group, version, prefix, row))
            })
            .collect()
    })
}

fn build(
    group: &'static str,
    version: &'static str,
    prefix: &'static str,
    row: &'static Row,
) -> Resource {
    Resource {
        group: group.into(),
        version: version.into(),
        kind: row.kind.into(),
        list_kind: format!("{}List", row.kind).into(),
        plural: row.plural.into(),
        singular: row.kind.to_lowercase().into(),
        short_names: row.short.iter().map(|&s| s.into()).collect(),
        categories: words(row.categories).map(Into::into).collect(),
        namespaced: row.namespaced,
        verbs: row.verbs,
        subresources: words(row.sub).map(subresource).collect(),
        definition: Some(definition(prefix, row.kind)),
    }
}

fn words(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split(',').filter(|w| !w.is_empty())
}

/// The table is built once for the life of the program, so its names may be leaked.
fn definition(prefix: &str, kind: &str) -> &'static str {
    Box::leak(format!("{prefix}.{kind}").into_boxed_str())
}

fn subresource(name: &'static str) -> Subresource {
    let special =
        |group: &'static str, version: &'static str, kind: &'static str, verbs| Subresource {
            name: name.into(),
            group: (!group.is_empty()).then_some(group.into()),
            version: (!version.is_empty()).then_some(version.into()),
            kind: Some(kind.into()),
            verbs,
        };
    match name {
        "scale" => Subresource::scale(),
        "finalize" => Subresource {
            name: name.into(),
            group: None,
            version: None,
            kind: None,
            verbs: &["update"],
        },
        "token" => special("authentication.k8s.io", "v1", "TokenRequest", CREATE),
        "eviction" => special("policy", "v1", "Eviction", CREATE),
        "binding" => special("", "", "Binding", CREATE),
        "attach" => special("", "", "PodAttachOptions", &["create", "get"]),
        "exec" => special("", "", "PodExecOptions", &["create", "get"]),
        "portforward" => special("", "", "PodPortForwardOptions", &["create", "get"]),
        "log" => Subresource {
            name: name.into(),
            group: None,
            version: None,
            kind: None,
            verbs: &["get"],
        },
        "proxy" => Subresource {
            name: name.into(),
            group: None,
            version: None,
            kind: None,
            verbs: &["create", "delete", "get", "patch", "update"],
        },
        _ => Subresource {
            name: name.into(),
            ..Subresource::status()
        },
    }
}
