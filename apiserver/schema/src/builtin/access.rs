//! Roles and bindings, webhook configurations, API services.

use super::rules::{join, name, one_of, required};
use super::{fill, fill_text, is_set, items, items_mut, text};
use crate::field::{Error, Errors};
use crate::names;
use serde_json::{Value, json};

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn default(kind: &str, object: &mut Value) {
    match kind {
        "RoleBinding" | "ClusterRoleBinding" => {
            if let Some(role) = object.get_mut("roleRef").filter(|r| r.is_object()) {
                fill_text(role, "apiGroup", RBAC);
            }
            for subject in items_mut(object, "subjects") {
                if matches!(text(subject, "kind"), "User" | "Group") {
                    fill_text(subject, "apiGroup", RBAC);
                }
            }
        }
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            let mutating = kind.starts_with("Mutating");
            items_mut(object, "webhooks").for_each(|hook| webhook(hook, mutating));
        }
        "APIService" => {
            if let Some(service) = object
                .get_mut("spec")
                .and_then(|s| s.get_mut("service"))
                .filter(|s| s.is_object())
            {
                fill(service, "port", 443);
            }
        }
        _ => {}
    }
}

fn webhook(hook: &mut Value, mutating: bool) {
    fill_text(hook, "failurePolicy", "Fail");
    fill_text(hook, "matchPolicy", "Equivalent");
    fill(hook, "namespaceSelector", json!({}));
    fill(hook, "objectSelector", json!({}));
    fill(hook, "timeoutSeconds", 10);
    if mutating {
        fill_text(hook, "reinvocationPolicy", "Never");
    }
    items_mut(hook, "rules").for_each(|rule| fill_text(rule, "scope", "*"));
    if let Some(service) = hook
        .get_mut("clientConfig")
        .and_then(|c| c.get_mut("service"))
        .filter(|s| s.is_object())
    {
        fill(service, "port", 443);
    }
}

pub(super) fn validate(kind: &str, object: &Value, old: Option<&Value>, e: &mut Errors) {
    match kind {
        "Role" | "ClusterRole" => {
            for (i, rule) in items(object, "rules").enumerate() {
                policy_rule(rule, kind == "Role", &format!("rules[{i}]"), e);
            }
        }
        "RoleBinding" | "ClusterRoleBinding" => binding(kind, object, old, e),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            for (i, hook) in items(object, "webhooks").enumerate() {
                validate_webhook(hook, &format!("webhooks[{i}]"), e);
            }
        }
        "APIService" => api_service(object, e),
        _ => {}
    }
}

fn policy_rule(rule: &Value, namespaced: bool, at: &str, e: &mut Errors) {
    let has = |field: &str| items(rule, field).next().is_some();
    if !has("verbs") {
        e.push(Error::required(
            join(at, "verbs"),
            "verbs must contain at least one value",
        ));
    }
    if has("nonResourceURLs") {
        if namespaced {
            let urls = rule["nonResourceURLs"].clone();
            e.push(Error::invalid(
                join(at, "nonResourceURLs"),
                urls,
                "namespaced rules cannot apply to non-resource URLs",
            ));
        }
        if has("apiGroups") || has("resources") || has("resourceNames") {
            let urls = rule["nonResourceURLs"].clone();
            e.push(Error::invalid(
                join(at, "nonResourceURLs"),
                urls,
                "rules cannot apply to both regular resources and non-resource URLs",
            ));
        }
        return;
    }
    if !has("apiGroups") {
        e.push(Error::required(
            join(at, "apiGroups"),
            "resource rules must supply at least one api group",
        ));
    }
    if !has("resources") {
        e.push(Error::required(
            join(at, "resources"),
            "resource rules must supply at least one resource",
        ));
    }
}

fn binding(kind: &str, object: &Value, old: Option<&Value>, e: &mut Errors) {
    let role = &object["roleRef"];
    one_of(role, "apiGroup", "roleRef", &[RBAC], e);
    let kinds: &[&str] = if kind == "RoleBinding" {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    one_of(role, "kind", "roleRef", kinds, e);
    if required(role, "name", "roleRef", e) {
        name(names::path_segment, "roleRef.name", text(role, "name"), e);
    }
    for (i, subject) in items(object, "subjects").enumerate() {
        self::subject(subject, kind, &format!("subjects[{i}]"), e);
    }
    if old.is_some_and(|o| o["roleRef"] != *role) {
        e.push(Error::invalid(
            "roleRef",
            role.clone(),
            "cannot change roleRef",
        ));
    }
}

fn subject(subject: &Value, kind: &str, at: &str, e: &mut Errors) {
    let called = text(subject, "name");
    if called.is_empty() {
        e.push(Error::required(join(at, "name"), ""));
    }
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !called.is_empty() {
                name(names::subdomain, &join(at, "name"), called, e);
            }
            if !text(subject, "apiGroup").is_empty() {
                e.push(Error::not_supported(
                    join(at, "apiGroup"),
                    text(subject, "apiGroup"),
                    &[""],
                ));
            }
            if text(subject, "namespace").is_empty() && kind == "ClusterRoleBinding" {
                e.push(Error::required(join(at, "namespace"), ""));
            }
        }
        "User" | "Group" => one_of(subject, "apiGroup", at, &[RBAC], e),
        other => e.push(Error::not_supported(
            join(at, "kind"),
            other,
            &["ServiceAccount", "User", "Group"],
        )),
    }
}

fn validate_webhook(hook: &Value, at: &str, e: &mut Errors) {
    let called = text(hook, "name");
    let reasons = names::subdomain(called);
    if called.is_empty() {
        e.push(Error::required(join(at, "name"), ""));
    } else if reasons.is_empty() && called.split('.').count() < 3 {
        e.push(Error::invalid(
            join(at, "name"),
            called,
            "should be a domain with at least three segments separated by dots",
        ));
    }
    if !called.is_empty() {
        e.extend(
            reasons
                .into_iter()
                .map(|reason| Error::invalid(join(at, "name"), called, reason)),
        );
    }
    if is_set(hook, "sideEffects") {
        one_of(hook, "sideEffects", at, &["None", "NoneOnDryRun"], e);
    } else {
        e.push(Error::required(
            join(at, "sideEffects"),
            "must specify one of None, NoneOnDryRun",
        ));
    }
    if items(hook, "admissionReviewVersions").next().is_none() {
        e.push(Error::required(
            join(at, "admissionReviewVersions"),
            "must specify one of v1, v1beta1",
        ));
    }
    one_of(hook, "failurePolicy", at, &["Fail", "Ignore"], e);
    one_of(hook, "matchPolicy", at, &["Equivalent", "Exact"], e);
    let seconds = hook["timeoutSeconds"].as_i64().unwrap_or(10);
    if !(1..=30).contains(&seconds) {
        e.push(Error::invalid(
            join(at, "timeoutSeconds"),
            seconds,
            "the timeout value must be between 1 and 30 seconds",
        ));
    }
    let client = &hook["clientConfig"];
    if is_set(client, "url") == is_set(client, "service") {
        e.push(Error::required(
            join(at, "clientConfig"),
            "exactly one of url or service is required",
        ));
    }
}

fn api_service(object: &Value, e: &mut Errors) {
    let spec = &object["spec"];
    let called = text(&object["metadata"], "name");
    let expected = format!("{}.{}", text(spec, "version"), text(spec, "group"));
    if called != expected {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
        e.push(Error::invalid("metadata.name", called, detail));
    }
    if required(spec, "version", "spec", e) {
        name(names::label_1035, "spec.version", text(spec, "version"), e);
    }
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1_000)] {
        let value = spec[field].as_i64().unwrap_or_default();
        if !(1..=most).contains(&value) {
            e.push(Error::invalid(
                format!("spec.{field}"),
                value,
                format!("must be positive and less than {most}"),
            ));
        }
    }
}
