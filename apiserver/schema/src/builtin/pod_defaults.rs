//! Defaults of pods and pod templates.

use super::{default_protocols, fill, fill_text, is_set, items_mut, object_at, text};
use crate::quantity;
use serde_json::{Value, json};

/// A pod.
pub(super) fn pod(pod: &mut Value) {
    let Some(spec) = pod.get_mut("spec").filter(|s| s.is_object()) else {
        return;
    };
    self::spec(spec);
    fill(spec, "enableServiceLinks", true);
    for field in ["initContainers", "containers"] {
        items_mut(spec, field).for_each(requests_from_limits);
    }
    let class = quality_of_service(spec);
    if let Some(status) = object_at(pod, "status") {
        fill_text(status, "phase", "Pending");
        fill_text(status, "qosClass", class);
    }
}

/// The class by which pods are evicted: from what their containers request and are limited to.
fn quality_of_service(spec: &Value) -> &'static str {
    let containers = || {
        ["containers", "initContainers"]
            .into_iter()
            .flat_map(|f| super::items(spec, f))
    };
    let amount = |c: &Value, kind: &str, resource: &str| {
        let amount = &c["resources"][kind][resource];
        amount.as_str().and_then(quantity::parse).filter(|a| *a > 0)
    };
    let compute = ["cpu", "memory"];
    let names_none = |c: &Value| {
        compute
            .iter()
            .all(|r| amount(c, "requests", r).is_none() && amount(c, "limits", r).is_none())
    };
    if containers().all(names_none) {
        return "BestEffort";
    }
    let is_fixed = |c: &Value| {
        compute.iter().all(|r| {
            amount(c, "limits", r).is_some() && amount(c, "limits", r) == amount(c, "requests", r)
        })
    };
    if containers().all(is_fixed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Without requests, limits are what is requested.
fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container["resources"]["limits"].as_object().cloned() else {
        return;
    };
    if let Some(requests) = object_at(&mut container["resources"], "requests") {
        for (resource, amount) in limits {
            fill(requests, &resource, amount);
        }
    }
}

/// A pod template.
pub(super) fn template(template: &mut Value) {
    if let Some(spec) = object_at(template, "spec") {
        self::spec(spec);
    }
}

fn spec(spec: &mut Value) {
    fill_text(spec, "dnsPolicy", "ClusterFirst");
    fill_text(spec, "restartPolicy", "Always");
    fill_text(spec, "schedulerName", "default-scheduler");
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill(spec, "securityContext", json!({}));
    // The old name of the field shows the same value.
    let account = match text(spec, "serviceAccountName") {
        "" => text(spec, "serviceAccount"),
        name => name,
    }
    .to_owned();
    if !account.is_empty() {
        fill_text(spec, "serviceAccountName", &account);
        spec["serviceAccount"] = account.into();
    }
    let host_network = spec["hostNetwork"] == true;
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for one in items_mut(spec, field) {
            container(one);
            if host_network {
                items_mut(one, "ports").for_each(|port| {
                    let number = port["containerPort"].clone();
                    fill(port, "hostPort", number);
                });
            }
        }
    }
    items_mut(spec, "volumes").for_each(volume);
}

fn container(container: &mut Value) {
    let policy = if is_latest(text(container, "image")) {
        "Always"
    } else {
        "IfNotPresent"
    };
    fill_text(container, "imagePullPolicy", policy);
    fill_text(container, "terminationMessagePath", "/dev/termination-log");
    fill_text(container, "terminationMessagePolicy", "File");
    fill(container, "resources", json!({}));
    default_protocols(container, "ports");
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(field).filter(|p| p.is_object()) {
            self::probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(hook) = container.get_mut("lifecycle").and_then(|l| l.get_mut(hook)) {
            http_get(hook);
        }
    }
    for variable in items_mut(container, "env") {
        if let Some(reference) = variable
            .get_mut("valueFrom")
            .and_then(|v| v.get_mut("fieldRef"))
        {
            fill_text(reference, "apiVersion", "v1");
        }
    }
}

/// Does the image name no tag and no digest, or the tag `latest`?
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn probe(probe: &mut Value) {
    // Zero is no probe's value: it stands for the default.
    for (field, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        if probe[field] == 0 {
            probe[field] = Value::Null;
        }
        fill(probe, field, value);
    }
    http_get(probe);
    if let Some(grpc) = probe.get_mut("grpc").filter(|g| g.is_object()) {
        fill(grpc, "service", "");
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = handler.get_mut("httpGet").filter(|g| g.is_object()) {
        fill_text(get, "path", "/");
        fill_text(get, "scheme", "HTTP");
    }
}

fn volume(volume: &mut Value) {
    let Some(map) = volume.as_object_mut() else {
        return;
    };
    if map
        .iter()
        .all(|(field, value)| field == "name" || value.is_null())
    {
        map.insert("emptyDir".into(), json!({}));
    }
    for field in ["configMap", "secret", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(field).filter(|s| s.is_object()) {
            fill(source, "defaultMode", 420);
        }
    }
    if let Some(source) = volume.get_mut("downwardAPI") {
        field_references(source);
    }
    if let Some(projected) = volume.get_mut("projected") {
        for source in items_mut(projected, "sources") {
            if let Some(token) = source
                .get_mut("serviceAccountToken")
                .filter(|t| t.is_object())
            {
                fill(token, "expirationSeconds", 3600);
            }
            if let Some(downward) = source.get_mut("downwardAPI") {
                field_references(downward);
            }
        }
    }
    if let Some(path) = volume.get_mut("hostPath").filter(|p| p.is_object()) {
        fill(path, "type", "");
    }
    if let Some(claim) = volume
        .get_mut("ephemeral")
        .and_then(|e| e.get_mut("volumeClaimTemplate")?.get_mut("spec"))
        && !is_set(claim, "volumeMode")
    {
        fill(claim, "volumeMode", "Filesystem");
    }
}

fn field_references(source: &mut Value) {
    for item in items_mut(source, "items") {
        if let Some(reference) = item.get_mut("fieldRef").filter(|r| r.is_object()) {
            fill_text(reference, "apiVersion", "v1");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_latest;

    #[test]
    fn images_without_a_fixed_version_are_pulled_always() {
        for image in ["nginx", "nginx:latest", "registry:5000/nginx"] {
            assert!(is_latest(image), "{image}");
        }
        for image in ["nginx:1", "registry:5000/nginx:1", "nginx@sha256:abc"] {
            assert!(!is_latest(image), "{image}");
        }
    }
}
