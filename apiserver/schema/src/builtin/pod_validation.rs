//! Validation of pods and pod templates.

use super::rules::{
    join, label_selector, labels, maybe_one_of, name, not_negative, one_of, port, port_or_name,
    required,
};
use super::{is_set, items, text, volumes, without};
use crate::field::{Error, Errors};
use crate::{names, quantity};
use serde_json::Value;

/// A pod.
pub(super) fn pod(pod: &Value, old: Option<&Value>, e: &mut Errors) {
    spec(&pod["spec"], "spec", &[], e);
    let Some(old) = old else { return };
    if unchangeable(&pod["spec"]) != unchangeable(&old["spec"]) {
        e.push(Error::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
}

/// What of a pod may not change.
fn unchangeable(spec: &Value) -> Value {
    let mut fixed = without(
        spec,
        &[
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
            "ephemeralContainers",
            "nodeName",
            "schedulingGates",
        ],
    );
    for field in ["containers", "initContainers"] {
        for container in super::items_mut(&mut fixed, field) {
            container["image"] = Value::Null;
        }
    }
    fixed
}

/// A pod template.
pub(super) fn template(template: &Value, at: &str, e: &mut Errors) {
    template_with_claims(template, at, &[], e);
}

/// A pod template whose containers may also mount claims of these names.
pub(super) fn template_with_claims(template: &Value, at: &str, claims: &[&str], e: &mut Errors) {
    labels(
        &template["metadata"]["labels"],
        &format!("{at}.metadata.labels"),
        e,
    );
    spec(&template["spec"], &format!("{at}.spec"), claims, e);
}

fn spec(spec: &Value, at: &str, claims: &[&str], e: &mut Errors) {
    let mut volumes = volumes::validate(spec, at, e);
    volumes.extend(claims);
    let mut seen = Vec::new();
    for (field, what) in [("containers", true), ("initContainers", false)] {
        let list = join(at, field);
        if what && items(spec, field).next().is_none() {
            e.push(Error::required(list.as_str(), ""));
        }
        for (i, one) in items(spec, field).enumerate() {
            let at = format!("{list}[{i}]");
            let called = text(one, "name");
            if !called.is_empty() && seen.contains(&called) {
                e.push(Error::duplicate(format!("{at}.name"), called));
            }
            seen.push(called);
            container(one, &at, &volumes, e);
        }
    }
    one_of(
        spec,
        "restartPolicy",
        at,
        &["Always", "OnFailure", "Never"],
        e,
    );
    one_of(
        spec,
        "dnsPolicy",
        at,
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
        e,
    );
    not_negative(spec, "terminationGracePeriodSeconds", at, e);
    labels(&spec["nodeSelector"], &join(at, "nodeSelector"), e);
    let account = text(spec, "serviceAccountName");
    if !account.is_empty() {
        name(
            names::subdomain,
            &join(at, "serviceAccountName"),
            account,
            e,
        );
    }
    for (i, toleration) in items(spec, "tolerations").enumerate() {
        self::toleration(toleration, &format!("{at}.tolerations[{i}]"), e);
    }
    for (i, spread) in items(spec, "topologySpreadConstraints").enumerate() {
        self::spread(spread, &format!("{at}.topologySpreadConstraints[{i}]"), e);
    }
}

/// How pods are spread over the nodes.
fn spread(spread: &Value, at: &str, e: &mut Errors) {
    if spread["maxSkew"].as_i64().unwrap_or_default() <= 0 {
        e.push(Error::invalid(
            format!("{at}.maxSkew"),
            spread["maxSkew"].as_i64().unwrap_or_default(),
            "must be greater than zero",
        ));
    }
    let otherwise = text(spread, "whenUnsatisfiable");
    match spread["minDomains"].as_i64() {
        Some(count) if count <= 0 => e.push(Error::invalid(
            format!("{at}.minDomains"),
            count,
            "must be greater than 0",
        )),
        Some(count) if otherwise != "DoNotSchedule" => e.push(Error::invalid(
            format!("{at}.minDomains"),
            count,
            format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {otherwise}"),
        )),
        _ => {}
    }
    if text(spread, "topologyKey").is_empty() {
        e.push(Error::required(
            format!("{at}.topologyKey"),
            "can not be empty",
        ));
    }
    one_of(
        spread,
        "whenUnsatisfiable",
        at,
        &["DoNotSchedule", "ScheduleAnyway"],
        e,
    );
    for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        maybe_one_of(spread, field, at, &["Honor", "Ignore"], e);
    }
    label_selector(&spread["labelSelector"], &format!("{at}.labelSelector"), e);
}

fn toleration(toleration: &Value, at: &str, e: &mut Errors) {
    let operator = text(toleration, "operator");
    if text(toleration, "key").is_empty() && operator != "Exists" {
        e.push(Error::invalid(
            format!("{at}.operator"),
            operator,
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        ));
    }
    if operator == "Exists" && !text(toleration, "value").is_empty() {
        e.push(Error::invalid(
            format!("{at}.operator"),
            toleration.clone(),
            "value must be empty when `operator` is 'Exists'",
        ));
    }
    maybe_one_of(
        toleration,
        "effect",
        at,
        &["NoSchedule", "PreferNoSchedule", "NoExecute", ""],
        e,
    );
}

fn container(container: &Value, at: &str, volumes: &[&str], e: &mut Errors) {
    let called = text(container, "name");
    if called.is_empty() {
        e.push(Error::required(format!("{at}.name"), ""));
    } else {
        name(names::label, &format!("{at}.name"), called, e);
    }
    let image = text(container, "image");
    if image.is_empty() {
        e.push(Error::required(format!("{at}.image"), ""));
    } else if image.trim() != image {
        e.push(Error::invalid(
            format!("{at}.image"),
            image,
            "must not have leading or trailing whitespace",
        ));
    }
    one_of(
        container,
        "imagePullPolicy",
        at,
        &["Always", "IfNotPresent", "Never"],
        e,
    );
    one_of(
        container,
        "terminationMessagePolicy",
        at,
        &["FallbackToLogsOnError", "File"],
        e,
    );
    ports(container, at, e);
    for (i, variable) in items(container, "env").enumerate() {
        environment(variable, &format!("{at}.env[{i}]"), e);
    }
    mounts(container, at, volumes, e);
    resources(&container["resources"], &format!("{at}.resources"), e);
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if is_set(container, field) {
            probe(
                &container[field],
                &format!("{at}.{field}"),
                field != "readinessProbe",
                e,
            );
        }
    }
}

fn ports(container: &Value, at: &str, e: &mut Errors) {
    let mut seen = Vec::new();
    for (i, one) in items(container, "ports").enumerate() {
        let at = format!("{at}.ports[{i}]");
        let called = text(one, "name");
        if !called.is_empty() {
            name(names::port_name, &format!("{at}.name"), called, e);
            if seen.contains(&called) {
                e.push(Error::duplicate(format!("{at}.name"), called));
            }
            seen.push(called);
        }
        if one["containerPort"].as_i64().unwrap_or_default() == 0 {
            e.push(Error::required(format!("{at}.containerPort"), ""));
        } else {
            port(&one["containerPort"], &format!("{at}.containerPort"), e);
        }
        if one["hostPort"].as_i64().is_some_and(|p| p != 0) {
            port(&one["hostPort"], &format!("{at}.hostPort"), e);
        }
        one_of(one, "protocol", &at, &["SCTP", "TCP", "UDP"], e);
    }
}

fn environment(variable: &Value, at: &str, e: &mut Errors) {
    let called = text(variable, "name");
    if called.is_empty() {
        e.push(Error::required(format!("{at}.name"), ""));
    } else {
        name(names::env_var, &format!("{at}.name"), called, e);
    }
    let Some(from) = variable.get("valueFrom").and_then(Value::as_object) else {
        return;
    };
    let at_from = format!("{at}.valueFrom");
    let sources: Vec<(&String, &Value)> = from.iter().filter(|(_, v)| !v.is_null()).collect();
    if !text(variable, "value").is_empty() && !sources.is_empty() {
        e.push(Error::invalid(
            at_from.as_str(),
            "",
            "may not be specified when `value` is not empty",
        ));
    } else if sources.is_empty() {
        e.push(Error::invalid(at_from.as_str(), "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"));
    } else if sources.len() > 1 {
        e.push(Error::invalid(
            at_from.as_str(),
            "",
            "may not have more than one field specified at a time",
        ));
    }
    for (field, source) in sources
        .iter()
        .filter(|(f, _)| f.ends_with("MapKeyRef") || *f == "secretKeyRef")
    {
        required(source, "key", &format!("{at_from}.{field}"), e);
    }
}

fn mounts(container: &Value, at: &str, volumes: &[&str], e: &mut Errors) {
    let mut seen = Vec::new();
    for (i, mount) in items(container, "volumeMounts").enumerate() {
        let at = format!("{at}.volumeMounts[{i}]");
        let (volume, path) = (text(mount, "name"), text(mount, "mountPath"));
        if volume.is_empty() {
            e.push(Error::required(format!("{at}.name"), ""));
        }
        if !volumes.contains(&volume) {
            e.push(Error::not_found(format!("{at}.name"), volume));
        }
        if path.is_empty() {
            e.push(Error::required(format!("{at}.mountPath"), ""));
        } else if seen.contains(&path) {
            e.push(Error::invalid(
                format!("{at}.mountPath"),
                path,
                "must be unique",
            ));
        }
        seen.push(path);
        sub_path(mount, &at, e);
    }
}

fn sub_path(mount: &Value, at: &str, e: &mut Errors) {
    let (path, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
    if !path.is_empty() && !expression.is_empty() {
        e.push(Error::invalid(
            format!("{at}.subPathExpr"),
            expression,
            "subPathExpr and subPath are mutually exclusive",
        ));
    }
    for (field, path) in [("subPath", path), ("subPathExpr", expression)] {
        if path.starts_with('/') {
            e.push(Error::invalid(
                format!("{at}.{field}"),
                path,
                "must be a relative path",
            ));
        }
        if path.split('/').any(|part| part == "..") {
            e.push(Error::invalid(
                format!("{at}.{field}"),
                path,
                "must not contain '..'",
            ));
        }
    }
}

fn resources(resources: &Value, at: &str, e: &mut Errors) {
    for field in ["limits", "requests"] {
        for (resource, amount) in resources[field].as_object().into_iter().flatten() {
            let amount = as_text(amount);
            if quantity::parse(&amount).is_some_and(|v| v < 0) {
                e.push(Error::invalid(
                    format!("{at}.{field}[{resource}]"),
                    amount,
                    "must be greater than or equal to 0",
                ));
            }
        }
    }
    for (resource, request) in resources["requests"].as_object().into_iter().flatten() {
        let Some(limit) = resources["limits"].get(resource).map(as_text) else {
            continue;
        };
        let request = as_text(request);
        if quantity::compare(&request, &limit) == Some(std::cmp::Ordering::Greater) {
            let detail = format!("must be less than or equal to {resource} limit of {limit}");
            e.push(Error::invalid(format!("{at}.requests"), request, detail));
        }
    }
}

/// A quantity may be written as a number.
fn as_text(quantity: &Value) -> String {
    quantity
        .as_str()
        .map_or_else(|| quantity.to_string(), str::to_owned)
}

fn probe(probe: &Value, at: &str, once: bool, e: &mut Errors) {
    let handlers: Vec<&str> = ["exec", "httpGet", "tcpSocket", "grpc"]
        .into_iter()
        .filter(|h| is_set(probe, h))
        .collect();
    match handlers.as_slice() {
        [] => e.push(Error::required(at, "must specify a handler type")),
        [_] => {}
        [_, more @ ..] => {
            e.extend(more.iter().map(|h| {
                Error::forbidden(
                    format!("{at}.{h}"),
                    "may not specify more than 1 handler type",
                )
            }));
        }
    }
    for handler in ["httpGet", "tcpSocket"] {
        if is_set(probe, handler) {
            port_or_name(&probe[handler]["port"], &format!("{at}.{handler}.port"), e);
        }
    }
    if is_set(probe, "exec") {
        required(&probe["exec"], "command", &format!("{at}.exec"), e);
    }
    for field in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        not_negative(probe, field, at, e);
    }
    if once && probe["successThreshold"].as_i64().is_some_and(|n| n != 1) {
        e.push(Error::invalid(
            format!("{at}.successThreshold"),
            probe["successThreshold"].clone(),
            "must be 1",
        ));
    }
}
