//! The Rust types whose JSON schemas make the definitions.

use k8s_openapi::api;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

macro_rules! register {
    ($generator:expr, $($module:path { $($kind:ident),+ $(,)? }),+ $(,)?) => {
        $($({
            use $module as module;
            let _ = $generator.subschema_for::<module::$kind>();
        })+)+
    };
}

/// The JSON schema of every built-in kind and of all that these refer to, by definition name.
pub(super) fn schemas() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    register_kinds(&mut generator);
    register_bodies(&mut generator);
    generator.take_definitions(false)
}

fn register_kinds(generator: &mut schemars::SchemaGenerator) {
    register!(
        generator,
        api::core::v1 {
            Binding,
            ConfigMap,
            Endpoints,
            Event,
            LimitRange,
            Namespace,
            Node,
            PersistentVolumeClaim,
            PersistentVolume,
            Pod,
            PodTemplate,
            ReplicationController,
            ResourceQuota,
            Secret,
            ServiceAccount,
            Service,
        },
        api::apps::v1 {
            ControllerRevision,
            DaemonSet,
            Deployment,
            ReplicaSet,
            StatefulSet
        },
        api::events::v1 { Event },
        api::authentication::v1 {
            SelfSubjectReview,
            TokenReview
        },
        api::authorization::v1 {
            LocalSubjectAccessReview,
            SelfSubjectAccessReview,
            SelfSubjectRulesReview,
            SubjectAccessReview,
        },
        api::autoscaling::v1 {
            HorizontalPodAutoscaler
        },
        api::autoscaling::v2 {
            HorizontalPodAutoscaler
        },
        api::batch::v1 { CronJob, Job },
        api::certificates::v1 {
            CertificateSigningRequest
        },
        api::networking::v1 {
            IngressClass,
            Ingress,
            IPAddress,
            NetworkPolicy,
            ServiceCIDR
        },
        api::policy::v1 {
            PodDisruptionBudget
        },
        api::rbac::v1 {
            ClusterRoleBinding,
            ClusterRole,
            RoleBinding,
            Role
        },
        api::storage::v1 {
            CSIDriver,
            CSINode,
            CSIStorageCapacity,
            StorageClass,
            VolumeAttachment,
            VolumeAttributesClass
        },
        api::admissionregistration::v1 {
            MutatingWebhookConfiguration,
            ValidatingAdmissionPolicy,
            ValidatingAdmissionPolicyBinding,
            ValidatingWebhookConfiguration,
        },
        api::scheduling::v1 { PriorityClass },
        api::coordination::v1 { Lease },
        api::node::v1 { RuntimeClass },
        api::discovery::v1 { EndpointSlice },
        api::flowcontrol::v1 {
            FlowSchema,
            PriorityLevelConfiguration
        },
        api::resource::v1 {
            DeviceClass,
            ResourceClaim,
            ResourceClaimTemplate,
            ResourceSlice
        },
        apiextensions {
            CustomResourceDefinition
        },
        apiregistration { APIService },
    );
}

/// Bodies that are not resources: options, replies, and what subresources carry.
fn register_bodies(generator: &mut schemars::SchemaGenerator) {
    register!(
        generator,
        meta {
            DeleteOptions,
            Status,
            ListMeta,
            MicroTime
        },
        api::authentication::v1 { TokenRequest },
        api::autoscaling::v1 { Scale },
        api::policy::v1 { Eviction },
    );
}
