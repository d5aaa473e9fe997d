//! Roles, leases, webhooks, definitions and other kinds that configure.

use super::columns::{
    AGE, CREATED_AT, DEFAULT, Doc::Field, Doc::Text, NAME, NAME_AND_AGE, NONE, Printer, age,
    boolean, count, created, items, name, or_none, text, wide,
};
use serde_json::Value;

pub(super) fn printer(kind: &str) -> Option<&'static Printer> {
    Some(match kind {
        "Role" | "ClusterRole" => &ROLE,
        "RoleBinding" | "ClusterRoleBinding" => &BINDING,
        "Lease" => &LEASE,
        "PriorityClass" => &PRIORITY_CLASS,
        "RuntimeClass" => &RUNTIME_CLASS,
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => &WEBHOOKS,
        "APIService" => &API_SERVICE,
        "CertificateSigningRequest" => &SIGNING_REQUEST,
        "ValidatingAdmissionPolicy" => &POLICY,
        "ValidatingAdmissionPolicyBinding" => &POLICY_BINDING,
        "CustomResourceDefinition" => &DEFAULT,
        "FlowSchema"
        | "PriorityLevelConfiguration"
        | "DeviceClass"
        | "ResourceClaim"
        | "ResourceClaimTemplate"
        | "ResourceSlice" => &NAME_AND_AGE,
        _ => return None,
    })
}

const ROLE: Printer = Printer {
    columns: &[NAME, CREATED_AT],
    cells: |o, _| vec![name(o), created(o)],
};

const BINDING: Printer = Printer {
    columns: &[
        NAME,
        text("Role", Field("rbac.v1.RoleBinding", "roleRef")),
        AGE,
        wide("Users", Text("Users in the roleBinding")),
        wide("Groups", Text("Groups in the roleBinding")),
        wide(
            "ServiceAccounts",
            Text("ServiceAccounts in the roleBinding"),
        ),
    ],
    cells: |o, now| {
        let role = &o["roleRef"];
        let part = |v: &Value, f: &str| v[f].as_str().unwrap_or_default().to_owned();
        let subjects = |kind: &str| {
            let of_kind = items(&o["subjects"]).filter(|s| s["kind"] == kind);
            let names = of_kind.map(|s| match part(s, "namespace").as_str() {
                "" => part(s, "name"),
                namespace => format!("{namespace}/{}", part(s, "name")),
            });
            Value::from(names.collect::<Vec<_>>().join(", "))
        };
        vec![
            name(o),
            format!("{}/{}", part(role, "kind"), part(role, "name")).into(),
            age(o, now),
            subjects("User"),
            subjects("Group"),
            subjects("ServiceAccount"),
        ]
    },
};

const LEASE: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Holder",
            Field("coordination.v1.LeaseSpec", "holderIdentity"),
        ),
        AGE,
    ],
    cells: |o, now| {
        vec![
            name(o),
            o["spec"]["holderIdentity"]
                .as_str()
                .unwrap_or_default()
                .into(),
            age(o, now),
        ]
    },
};

const PRIORITY_CLASS: Printer = Printer {
    columns: &[
        NAME,
        text("Value", Field("scheduling.v1.PriorityClass", "value")),
        boolean(
            "Global-Default",
            Field("scheduling.v1.PriorityClass", "globalDefault"),
        ),
        AGE,
        text(
            "PreemptionPolicy",
            Field("scheduling.v1.PriorityClass", "preemptionPolicy"),
        ),
    ],
    cells: |o, now| {
        vec![
            name(o),
            count(&o["value"]).into(),
            (o["globalDefault"] == true).into(),
            age(o, now),
            o["preemptionPolicy"].as_str().unwrap_or_default().into(),
        ]
    },
};

const RUNTIME_CLASS: Printer = Printer {
    columns: &[
        NAME,
        text("Handler", Field("node.v1.RuntimeClass", "handler")),
        AGE,
    ],
    cells: |o, now| {
        vec![
            name(o),
            o["handler"].as_str().unwrap_or_default().into(),
            age(o, now),
        ]
    },
};

const WEBHOOKS: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Webhooks",
            Text("Webhooks indicates the number of webhooks registered in this configuration"),
        ),
        AGE,
    ],
    cells: |o, now| vec![name(o), items(&o["webhooks"]).count().into(), age(o, now)],
};

const API_SERVICE: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Service",
            Text("The reference to the service that hosts this API endpoint."),
        ),
        text("Available", Text("Whether this service is available.")),
        AGE,
    ],
    cells: |o, now| {
        let service = &o["spec"]["service"];
        let shown = if service.is_object() {
            format!(
                "{}/{}",
                service["namespace"].as_str().unwrap_or_default(),
                service["name"].as_str().unwrap_or_default()
            )
        } else {
            "Local".into()
        };
        let condition = items(&o["status"]["conditions"]).find(|c| c["type"] == "Available");
        let available = condition.map_or_else(
            || "Unknown".to_owned(),
            |c| {
                let status = c["status"].as_str().unwrap_or_default();
                if status == "True" {
                    status.to_owned()
                } else {
                    format!("{status} ({})", c["reason"].as_str().unwrap_or_default())
                }
            },
        );
        vec![name(o), shown.into(), available.into(), age(o, now)]
    },
};

const SIGNING_REQUEST: Printer = Printer {
    columns: &[
        NAME,
        AGE,
        text(
            "SignerName",
            Field(
                "certificates.v1.CertificateSigningRequestSpec",
                "signerName",
            ),
        ),
        text(
            "Requestor",
            Field("certificates.v1.CertificateSigningRequestSpec", "username"),
        ),
        text(
            "RequestedDuration",
            Field(
                "certificates.v1.CertificateSigningRequestSpec",
                "expirationSeconds",
            ),
        ),
        text(
            "Condition",
            Field(
                "certificates.v1.CertificateSigningRequestStatus",
                "conditions",
            ),
        ),
    ],
    cells: |o, now| {
        let (spec, status) = (&o["spec"], &o["status"]);
        let lasts = spec["expirationSeconds"]
            .as_i64()
            .map_or_else(|| NONE.to_owned(), super::duration::of_seconds);
        let mut conditions: Vec<&str> = items(&status["conditions"])
            .filter_map(|c| c["type"].as_str())
            .collect();
        if conditions.is_empty() {
            conditions.push("Pending");
        }
        if status["certificate"]
            .as_str()
            .is_some_and(|c| !c.is_empty())
        {
            conditions.push("Issued");
        }
        vec![
            name(o),
            age(o, now),
            or_none(&spec["signerName"]).into(),
            spec["username"].as_str().unwrap_or_default().into(),
            lasts.into(),
            conditions.join(",").into(),
        ]
    },
};

const POLICY: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Validations",
            Text(
                "Validations indicates the number of validation rules defined in this configuration",
            ),
        ),
        text(
            "ParamKind",
            Text("ParamKind specifies the kind of resources used to parameterize this policy"),
        ),
        AGE,
    ],
    cells: |o, now| {
        let kind = &o["spec"]["paramKind"];
        let kind = if kind.is_object() {
            format!(
                "{}/{}",
                kind["apiVersion"].as_str().unwrap_or_default(),
                kind["kind"].as_str().unwrap_or_default()
            )
        } else {
            "<unset>".into()
        };
        vec![
            name(o),
            items(&o["spec"]["validations"]).count().into(),
            kind.into(),
            age(o, now),
        ]
    },
};

const POLICY_BINDING: Printer = Printer {
    columns: &[
        NAME,
        text(
            "PolicyName",
            Text("PolicyName indicates the policy definition which the policy binding binded to"),
        ),
        text(
            "ParamRef",
            Text("ParamRef indicates the param resource which sets the configration param"),
        ),
        AGE,
    ],
    cells: |o, now| {
        let reference = &o["spec"]["paramRef"];
        let shown = if reference.is_object() {
            match (reference["namespace"].as_str(), reference["name"].as_str()) {
                (Some(ns), Some(n)) => format!("{ns}/{n}"),
                (None, Some(n)) => format!("*/{n}"),
                _ => "*/*".into(),
            }
        } else {
            "<unset>".into()
        };
        vec![
            name(o),
            o["spec"]["policyName"].as_str().unwrap_or_default().into(),
            shown.into(),
            age(o, now),
        ]
    },
};
