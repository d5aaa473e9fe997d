//! Validation of deployments, stateful sets, daemon sets, replica sets, jobs and cron jobs.

use super::rules::{
    immutable, is_empty_selector, label_selector, maybe_one_of, not_negative, one_of, selects,
};
use super::{is_set, items, pod_validation, text, without};
use crate::field::{Error, Errors};
use serde_json::{Value, json};

pub(super) fn validate(kind: &str, object: &Value, old: Option<&Value>, e: &mut Errors) {
    let spec = &object["spec"];
    let old_spec = old.map(|o| &o["spec"]);
    match kind {
        "Deployment" => deployment(spec, old_spec, e),
        "StatefulSet" => stateful_set(spec, old_spec, e),
        "DaemonSet" | "ReplicaSet" => set(kind, spec, old_spec, e),
        "ReplicationController" => replication_controller(spec, e),
        "Job" => job(spec, old_spec, e),
        "CronJob" => cron_job(object, e),
        "ControllerRevision" => {
            not_negative(object, "revision", "", e);
            if let Some(old) = old {
                immutable(object, old, "data", "", e);
            }
        }
        _ => {}
    }
}

/// Selector, template, and that they agree.
fn selected_template(what: &str, spec: &Value, e: &mut Errors) {
    let selector = &spec["selector"];
    if selector.is_null() {
        e.push(Error::required("spec.selector", ""));
    } else {
        label_selector(selector, "spec.selector", e);
        if is_empty_selector(selector) {
            e.push(Error::invalid(
                "spec.selector",
                selector.clone(),
                format!("empty selector is invalid for {what}"),
            ));
        }
    }
    let labels = &spec["template"]["metadata"]["labels"];
    // Without a selector nothing is selected.
    let is_selected =
        !selector.is_null() && (is_empty_selector(selector) || selects(selector, labels));
    if !is_selected {
        let shown = labels.clone();
        e.push(Error::invalid(
            "spec.template.metadata.labels",
            shown,
            "`selector` does not match template `labels`",
        ));
    }
    let claims: Vec<&str> = items(spec, "volumeClaimTemplates")
        .map(|c| text(&c["metadata"], "name"))
        .collect();
    pod_validation::template_with_claims(&spec["template"], "spec.template", &claims, e);
    restart_always(spec, e);
}

fn restart_always(spec: &Value, e: &mut Errors) {
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    if matches!(policy, "OnFailure" | "Never") {
        e.push(Error::not_supported(
            "spec.template.spec.restartPolicy",
            policy,
            &["Always"],
        ));
    }
}

fn deployment(spec: &Value, old: Option<&Value>, e: &mut Errors) {
    not_negative(spec, "replicas", "spec", e);
    not_negative(spec, "minReadySeconds", "spec", e);
    not_negative(spec, "revisionHistoryLimit", "spec", e);
    selected_template("deployment", spec, e);
    let strategy = &spec["strategy"];
    one_of(
        strategy,
        "type",
        "spec.strategy",
        &["Recreate", "RollingUpdate"],
        e,
    );
    if text(strategy, "type") == "Recreate" && is_set(strategy, "rollingUpdate") {
        e.push(Error::forbidden(
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        ));
    } else if is_set(strategy, "rollingUpdate") {
        rolling_update(&strategy["rollingUpdate"], "spec.strategy.rollingUpdate", e);
    }
    if let (Some(deadline), ready) = (
        spec["progressDeadlineSeconds"].as_i64(),
        spec["minReadySeconds"].as_i64().unwrap_or_default(),
    ) && deadline <= ready
    {
        e.push(Error::invalid(
            "spec.progressDeadlineSeconds",
            deadline,
            "must be greater than minReadySeconds",
        ));
    }
    if let Some(old) = old {
        immutable(spec, old, "selector", "spec", e);
    }
}

fn rolling_update(rolling: &Value, at: &str, e: &mut Errors) {
    for field in ["maxUnavailable", "maxSurge"] {
        int_or_percent(&rolling[field], &format!("{at}.{field}"), e);
    }
    if is_zero(&rolling["maxUnavailable"]) && is_zero(&rolling["maxSurge"]) {
        let value = rolling["maxUnavailable"].clone();
        e.push(Error::invalid(
            format!("{at}.maxUnavailable"),
            value,
            "may not be 0 when `maxSurge` is 0",
        ));
    }
}

fn int_or_percent(value: &Value, at: &str, e: &mut Errors) {
    match value {
        Value::Number(n) if n.as_i64().is_some_and(|n| n < 0) => {
            e.push(Error::invalid(
                at,
                value.clone(),
                "must be greater than or equal to 0",
            ));
        }
        Value::String(text) => {
            let digits = text
                .strip_suffix('%')
                .filter(|d| !d.is_empty() && d.chars().all(|c| c.is_ascii_digit()));
            match digits {
                None => e.push(Error::invalid(
                    at,
                    text.as_str(),
                    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
                )),
                Some(digits) if digits.parse::<u64>().is_ok_and(|n| n > 100) && at.ends_with("maxUnavailable") => {
                    e.push(Error::invalid(at, text.as_str(), "must not be greater than 100%"));
                }
                Some(_) => {}
            }
        }
        _ => {}
    }
}

fn stateful_set(spec: &Value, old: Option<&Value>, e: &mut Errors) {
    one_of(
        spec,
        "podManagementPolicy",
        "spec",
        &["OrderedReady", "Parallel"],
        e,
    );
    one_of(
        &spec["updateStrategy"],
        "type",
        "spec.updateStrategy",
        &["RollingUpdate", "OnDelete"],
        e,
    );
    not_negative(spec, "replicas", "spec", e);
    not_negative(spec, "minReadySeconds", "spec", e);
    not_negative(
        &spec["updateStrategy"]["rollingUpdate"],
        "partition",
        "spec.updateStrategy.rollingUpdate",
        e,
    );
    selected_template("statefulset", spec, e);
    let changeable = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    if old.is_some_and(|old| without(spec, &changeable) != without(old, &changeable)) {
        e.push(Error::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ));
    }
}

fn set(kind: &str, spec: &Value, old: Option<&Value>, e: &mut Errors) {
    not_negative(spec, "replicas", "spec", e);
    not_negative(spec, "minReadySeconds", "spec", e);
    selected_template(
        if kind == "DaemonSet" {
            "daemonset"
        } else {
            "deployment"
        },
        spec,
        e,
    );
    if kind == "DaemonSet" {
        one_of(
            &spec["updateStrategy"],
            "type",
            "spec.updateStrategy",
            &["RollingUpdate", "OnDelete"],
            e,
        );
        if text(&spec["updateStrategy"], "type") == "RollingUpdate" {
            let rolling = &spec["updateStrategy"]["rollingUpdate"];
            rolling_set(rolling, "spec.updateStrategy.rollingUpdate", e);
        }
    }
    if let Some(old) = old {
        immutable(spec, old, "selector", "spec", e);
    }
}

/// A daemon set has either pods too few or pods too many while it changes.
fn rolling_set(rolling: &Value, at: &str, e: &mut Errors) {
    for field in ["maxUnavailable", "maxSurge"] {
        int_or_percent(&rolling[field], &format!("{at}.{field}"), e);
    }
    match (
        is_zero(&rolling["maxUnavailable"]),
        is_zero(&rolling["maxSurge"]),
    ) {
        (false, false) => e.push(Error::invalid(
            format!("{at}.maxSurge"),
            rolling["maxSurge"].clone(),
            "may not be set when maxUnavailable is non-zero",
        )),
        (true, true) => e.push(Error::required(
            format!("{at}.maxUnavailable"),
            "cannot be 0 when maxSurge is 0",
        )),
        _ => {}
    }
}

fn is_zero(value: &Value) -> bool {
    matches!(value, Value::Number(n) if n.as_i64() == Some(0)) || *value == "0%"
}

fn replication_controller(spec: &Value, e: &mut Errors) {
    not_negative(spec, "replicas", "spec", e);
    let selector = json!({"matchLabels": spec["selector"]});
    if is_empty_selector(&selector) {
        e.push(Error::required("spec.selector", ""));
    } else if !selects(&selector, &spec["template"]["metadata"]["labels"]) {
        let labels = spec["template"]["metadata"]["labels"].clone();
        e.push(Error::invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        ));
    }
    pod_validation::template(&spec["template"], "spec.template", e);
    restart_always(spec, e);
}

fn job(spec: &Value, old: Option<&Value>, e: &mut Errors) {
    if spec["selector"].is_null() {
        e.push(Error::required("spec.selector", ""));
    } else if !selects(&spec["selector"], &spec["template"]["metadata"]["labels"]) {
        let labels = spec["template"]["metadata"]["labels"].clone();
        e.push(Error::invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        ));
    }
    job_spec(spec, "spec", e);
    let Some(old) = old else { return };
    let indexed = text(spec, "completionMode") == "Indexed";
    if !(indexed && spec["completions"] == spec["parallelism"]) {
        immutable(spec, old, "completions", "spec", e);
    }
    immutable(spec, old, "selector", "spec", e);
    // A suspended job that has not started may still change where its pods go.
    let fixed = |s: &Value| {
        if old["suspend"] == true {
            template_of_suspended(&s["template"])
        } else {
            s["template"].clone()
        }
    };
    if fixed(spec) != fixed(old) {
        e.push(Error::invalid(
            "spec.template",
            spec["template"].clone(),
            "field is immutable",
        ));
    }
    immutable(spec, old, "completionMode", "spec", e);
    immutable(spec, old, "podFailurePolicy", "spec", e);
    immutable(spec, old, "backoffLimitPerIndex", "spec", e);
}

fn template_of_suspended(template: &Value) -> Value {
    let spec = without(
        &template["spec"],
        &["nodeSelector", "tolerations", "affinity", "schedulingGates"],
    );
    json!({"metadata": without(&template["metadata"], &["labels", "annotations"]), "spec": spec})
}

fn job_spec(spec: &Value, at: &str, e: &mut Errors) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
    ] {
        not_negative(spec, field, at, e);
    }
    maybe_one_of(spec, "completionMode", at, &["NonIndexed", "Indexed"], e);
    if text(spec, "completionMode") == "Indexed" && !is_set(spec, "completions") {
        e.push(Error::required(
            format!("{at}.completions"),
            "when completion mode is Indexed",
        ));
    }
    pod_validation::template(&spec["template"], &format!("{at}.template"), e);
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    if policy == "Always" {
        e.push(Error::not_supported(
            format!("{at}.template.spec.restartPolicy"),
            policy,
            &["OnFailure", "Never"],
        ));
    }
}

fn cron_job(object: &Value, e: &mut Errors) {
    let spec = &object["spec"];
    let schedule = text(spec, "schedule");
    if schedule.is_empty() {
        e.push(Error::required("spec.schedule", ""));
    } else if let Some(reason) = cron_fault(schedule) {
        e.push(Error::invalid("spec.schedule", schedule, reason));
    }
    not_negative(spec, "startingDeadlineSeconds", "spec", e);
    one_of(
        spec,
        "concurrencyPolicy",
        "spec",
        &["Allow", "Forbid", "Replace"],
        e,
    );
    not_negative(spec, "successfulJobsHistoryLimit", "spec", e);
    not_negative(spec, "failedJobsHistoryLimit", "spec", e);
    if !spec["jobTemplate"]["spec"]["selector"].is_null()
        && spec["jobTemplate"]["spec"]["manualSelector"] != true
    {
        e.push(Error::invalid(
            "spec.jobTemplate.spec.selector",
            spec["jobTemplate"]["spec"]["selector"].clone(),
            "`selector` will be auto-generated",
        ));
    }
    job_spec(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", e);
    let called = text(&object["metadata"], "name");
    if called.len() > 52 {
        e.push(Error::invalid(
            "metadata.name",
            called,
            "must be no more than 52 characters",
        ));
    }
}

/// What is wrong with a cron schedule.
fn cron_fault(schedule: &str) -> Option<String> {
    if let Some(named) = schedule.strip_prefix('@') {
        let known = [
            "yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly",
        ];
        let every = named.strip_prefix("every ").is_some_and(|d| !d.is_empty());
        return (!known.contains(&named) && !every)
            .then(|| format!("unrecognized descriptor: {schedule}"));
    }
    let fields: Vec<&str> = schedule
        .split_whitespace()
        .filter(|f| !f.starts_with("TZ=") && !f.starts_with("CRON_TZ="))
        .collect();
    if fields.len() != 5 {
        return Some(format!(
            "expected exactly 5 fields, found {}: [{}]",
            fields.len(),
            fields.join(" ")
        ));
    }
    let limits = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
    fields.iter().zip(limits).find_map(|(field, (low, high))| {
        field
            .split(',')
            .find_map(|part| part_fault(part, low, high))
    })
}

const NAMES: [&str; 19] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "sun",
    "mon", "tue", "wed", "thu", "fri", "sat",
];

fn part_fault(part: &str, low: u32, high: u32) -> Option<String> {
    let (range, step) = part
        .split_once('/')
        .map_or((part, None), |(r, s)| (r, Some(s)));
    if let Some(step) = step {
        match step.parse::<u32>() {
            Err(_) => {
                return Some(format!(
                    "failed to parse int from {step}: strconv.Atoi: parsing \"{step}\": invalid syntax"
                ));
            }
            Ok(0) => return Some(format!("step of range should be a positive number: {part}")),
            Ok(_) => {}
        }
    }
    if range == "*" || range == "?" {
        return None;
    }
    range.split('-').find_map(|number| match number.parse::<u32>() {
        _ if NAMES.contains(&number.to_lowercase().as_str()) => None,
        Ok(n) if n < low => Some(format!("beginning of range ({n}) below minimum ({low}): {part}")),
        Ok(n) if n > high => Some(format!("end of range ({n}) above maximum ({high}): {part}")),
        Ok(_) => None,
        Err(_) => Some(format!("failed to parse int from {number}: strconv.Atoi: parsing \"{number}\": invalid syntax")),
    })
}
