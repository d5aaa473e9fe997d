//! Config maps, secrets, namespaces, autoscalers, disruption budgets, leases, priority classes.

use super::rules::{immutable, name, positive, required};
use super::{fill, fill_text, is_set, object_at, text};
use crate::field::{Error, Errors};
use crate::names;
use base64::Engine as _;
use serde_json::{Value, json};

pub(super) fn default(kind: &str, object: &mut Value) {
    match kind {
        "Secret" => secret(object),
        "Namespace" => {
            let called = text(&object["metadata"], "name").to_owned();
            if called.is_empty() {
                return;
            }
            if let Some(labels) = object_at(object, "metadata").and_then(|m| object_at(m, "labels"))
            {
                labels["kubernetes.io/metadata.name"] = called.into();
            }
        }
        "HorizontalPodAutoscaler" => {
            if let Some(spec) = object.get_mut("spec").filter(|s| s.is_object()) {
                fill(spec, "minReplicas", 1);
                if text(object, "apiVersion") == "autoscaling/v2" {
                    let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
                    fill(&mut object["spec"], "metrics", cpu);
                }
            }
        }
        "PriorityClass" => fill_text(object, "preemptionPolicy", "PreemptLowerPriority"),
        _ => {}
    }
}

/// `stringData` is a convenience of writing: it moves into `data`.
fn secret(object: &mut Value) {
    fill_text(object, "type", "Opaque");
    let Some(map) = object.as_object_mut() else {
        return;
    };
    let Some(Value::Object(texts)) = map.remove("stringData") else {
        return;
    };
    if texts.is_empty() {
        return;
    }
    if let Some(data) = object_at(object, "data").and_then(Value::as_object_mut) {
        for (key, value) in texts {
            let bytes = value.as_str().unwrap_or_default().as_bytes();
            data.insert(
                key,
                base64::engine::general_purpose::STANDARD
                    .encode(bytes)
                    .into(),
            );
        }
    }
}

pub(super) fn validate(kind: &str, object: &Value, old: Option<&Value>, e: &mut Errors) {
    match kind {
        "ConfigMap" => config_map(object, old, e),
        "Secret" => validate_secret(object, old, e),
        "HorizontalPodAutoscaler" => autoscaler(&object["spec"], e),
        "PodDisruptionBudget" => {
            let spec = &object["spec"];
            if is_set(spec, "minAvailable") && is_set(spec, "maxUnavailable") {
                e.push(Error::invalid(
                    "spec",
                    spec.clone(),
                    "minAvailable and maxUnavailable cannot be both set",
                ));
            }
        }
        "PriorityClass" => {
            reserved_priority(object, e);
            if let Some(old) = old {
                if object["value"] != old["value"] {
                    e.push(Error::forbidden(
                        "value",
                        "may not be changed in an update.",
                    ));
                }
                immutable(object, old, "preemptionPolicy", "", e);
            }
        }
        "Lease" => {
            positive(&object["spec"], "leaseDurationSeconds", "spec", e);
            super::rules::not_negative(&object["spec"], "leaseTransitions", "spec", e);
        }
        _ => {}
    }
}

/// The system has two classes of its own, and all values above those of users.
fn reserved_priority(object: &Value, e: &mut Errors) {
    const OWN: [(&str, i64); 2] = [
        ("system-node-critical", 2_000_001_000),
        ("system-cluster-critical", 2_000_000_000),
    ];
    const MOST: i64 = 1_000_000_000;
    let name = text(&object["metadata"], "name");
    let value = object["value"].as_i64().unwrap_or(0);
    if !name.starts_with("system-") {
        if value > MOST {
            let detail = format!("maximum allowed value of a user defined priority is {MOST}");
            e.push(Error::forbidden("value", detail));
        }
        return;
    }
    let why = match OWN.iter().find(|(own, _)| *own == name) {
        Some((_, own)) if *own == value => return,
        Some((_, own)) => format!("value of {name} PriorityClass must be {own}"),
        None => format!("{name} is not a known system priority class"),
    };
    e.push(Error::forbidden(
        "metadata.name",
        format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}"),
    ));
}

const MAX_SIZE: usize = 1024 * 1024;

fn keys(object: &Value, fields: &[&str], e: &mut Errors) {
    for field in fields {
        for (key, _) in object[*field].as_object().into_iter().flatten() {
            name(names::config_key, &format!("{field}[{key}]"), key, e);
        }
    }
}

/// Bytes of the values; those of binary fields after decoding.
fn size(map: &Value, binary: bool) -> usize {
    let values = map
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, v)| v.as_str());
    values
        .map(|v| {
            if binary {
                v.len() / 4 * 3 - v.bytes().rev().take_while(|b| *b == b'=').count().min(2)
            } else {
                v.len()
            }
        })
        .sum()
}

fn config_map(object: &Value, old: Option<&Value>, e: &mut Errors) {
    keys(object, &["data", "binaryData"], e);
    for (key, _) in object["data"].as_object().into_iter().flatten() {
        if object["binaryData"].get(key).is_some() {
            e.push(Error::invalid(
                format!("data[{key}]"),
                key.as_str(),
                "duplicate of key present in binaryData",
            ));
        }
    }
    if size(&object["data"], false) + size(&object["binaryData"], true) > MAX_SIZE {
        // The object as a whole: Kubernetes prints its empty path so.
        e.push(Error::too_long("[]", MAX_SIZE));
    }
    frozen(object, old, &["data", "binaryData"], e);
}

/// Once immutable, always immutable.
fn frozen(object: &Value, old: Option<&Value>, fields: &[&str], e: &mut Errors) {
    let Some(old) = old.filter(|o| o["immutable"] == true) else {
        return;
    };
    let words = "field is immutable when `immutable` is set";
    if object["immutable"] != true {
        e.push(Error::forbidden("immutable", words));
    }
    let contents = |o: &Value, f: &str| {
        o.get(f)
            .filter(|v| !v.is_null())
            .cloned()
            .unwrap_or_else(|| json!({}))
    };
    for field in fields
        .iter()
        .filter(|f| contents(object, f) != contents(old, f))
    {
        e.push(Error::forbidden(*field, words));
    }
}

fn validate_secret(object: &Value, old: Option<&Value>, e: &mut Errors) {
    keys(object, &["data"], e);
    if size(&object["data"], true) > MAX_SIZE {
        e.push(Error::too_long("data", MAX_SIZE));
    }
    let has = |key: &str| object["data"].get(key).is_some();
    let mut need = |key: &str| {
        if !has(key) {
            e.push(Error::required(format!("data[{key}]"), ""));
        }
    };
    match text(object, "type") {
        "kubernetes.io/service-account-token" => {
            let account = &object["metadata"]["annotations"]["kubernetes.io/service-account.name"];
            if account.as_str().is_none_or(str::is_empty) {
                e.push(Error::required(
                    "metadata.annotations[kubernetes.io/service-account.name]",
                    "",
                ));
            }
        }
        "kubernetes.io/dockercfg" => docker(object, ".dockercfg", e),
        "kubernetes.io/dockerconfigjson" => docker(object, ".dockerconfigjson", e),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            need("username");
            need("password");
        }
        "kubernetes.io/ssh-auth" => need("ssh-privatekey"),
        "kubernetes.io/tls" => {
            need("tls.crt");
            need("tls.key");
        }
        _ => {}
    }
    if let Some(old) = old {
        immutable(object, old, "type", "", e);
    }
    frozen(object, old, &["data"], e);
}

fn docker(object: &Value, key: &str, e: &mut Errors) {
    let Some(content) = object["data"].get(key).and_then(Value::as_str) else {
        e.push(Error::required(format!("data[{key}]"), ""));
        return;
    };
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(content)
        .ok();
    let is_map = decoded.is_some_and(|bytes| {
        serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes).is_ok()
    });
    if !is_map {
        e.push(Error::invalid(
            format!("data[{key}]"),
            "<secret contents redacted>",
            "invalid character in the JSON text",
        ));
    }
}

fn autoscaler(spec: &Value, e: &mut Errors) {
    let (least, most) = (
        spec["minReplicas"].as_i64().unwrap_or(1),
        spec["maxReplicas"].as_i64().unwrap_or_default(),
    );
    if least < 1 {
        e.push(Error::invalid(
            "spec.minReplicas",
            least,
            "must be greater than or equal to 1",
        ));
    }
    if most < 1 {
        e.push(Error::invalid(
            "spec.maxReplicas",
            most,
            "must be greater than 0",
        ));
    }
    if most < least {
        e.push(Error::invalid(
            "spec.maxReplicas",
            most,
            "must be greater than or equal to `minReplicas`",
        ));
    }
    for field in ["kind", "name"] {
        required(&spec["scaleTargetRef"], field, "spec.scaleTargetRef", e);
    }
}
