//! Autoscalers and disruption budgets.

use super::columns::{AGE, Doc::Field, NAME, Printer, age, count, integer, items, name, text};
use serde_json::Value;

pub(super) fn printer(kind: &str) -> Option<&'static Printer> {
    Some(match kind {
        "HorizontalPodAutoscaler" => &AUTOSCALER,
        "PodDisruptionBudget" => &BUDGET,
        "Scale" => &SCALE,
        _ => return None,
    })
}

const SCALE: Printer = Printer {
    columns: &[
        NAME,
        integer("Desired", Field("autoscaling.v1.ScaleSpec", "replicas")),
        integer("Available", Field("autoscaling.v1.ScaleStatus", "replicas")),
        AGE,
    ],
    cells: |o, now| {
        vec![
            name(o),
            count(&o["spec"]["replicas"]).into(),
            count(&o["status"]["replicas"]).into(),
            age(o, now),
        ]
    },
};

const AUTOSCALER: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Reference",
            Field(
                "autoscaling.v2.HorizontalPodAutoscalerSpec",
                "scaleTargetRef",
            ),
        ),
        text(
            "Targets",
            Field("autoscaling.v2.HorizontalPodAutoscalerSpec", "metrics"),
        ),
        text(
            "MinPods",
            Field("autoscaling.v2.HorizontalPodAutoscalerSpec", "minReplicas"),
        ),
        text(
            "MaxPods",
            Field("autoscaling.v2.HorizontalPodAutoscalerSpec", "maxReplicas"),
        ),
        text(
            "Replicas",
            Field(
                "autoscaling.v2.HorizontalPodAutoscalerStatus",
                "currentReplicas",
            ),
        ),
        AGE,
    ],
    cells: |o, now| {
        let spec = &o["spec"];
        let target = &spec["scaleTargetRef"];
        let part = |f: &str| target[f].as_str().unwrap_or_default();
        let least = spec["minReplicas"]
            .as_i64()
            .map_or_else(|| "<unset>".into(), Value::from);
        vec![
            name(o),
            format!("{}/{}", part("kind"), part("name")).into(),
            targets(o).into(),
            least,
            count(&spec["maxReplicas"]).into(),
            count(&o["status"]["currentReplicas"]).into(),
            age(o, now),
        ]
    },
};

/// At most two metrics, each as `current/target`.
fn targets(o: &Value) -> String {
    let metrics: Vec<&Value> = items(&o["spec"]["metrics"]).collect();
    let mut texts: Vec<String> = match o["spec"]["targetCPUUtilizationPercentage"].as_i64() {
        Some(target) => {
            let now = o["status"]["currentCPUUtilizationPercentage"].as_i64();
            vec![format!(
                "cpu: {}/{target}%",
                now.map_or_else(|| "<unknown>".to_owned(), |n| format!("{n}%"))
            )]
        }
        None => metrics
            .iter()
            .enumerate()
            .map(|(i, m)| target(m, &o["status"]["currentMetrics"][i]))
            .collect(),
    };
    let total = texts.len();
    if total == 0 {
        return "<none>".into();
    }
    texts.truncate(2);
    let more = if total > 2 {
        format!(" + {} more...", total - 2)
    } else {
        String::new()
    };
    texts.join(", ") + &more
}

fn target(metric: &Value, current: &Value) -> String {
    let kind = metric["type"].as_str().unwrap_or_default();
    let mut field = kind.to_owned();
    if let Some(first) = field.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    let (wanted, now) = (&metric[&field]["target"], &current[&field]["current"]);
    let unknown = || "<unknown>".to_owned();
    let prefix = metric[&field]["name"]
        .as_str()
        .filter(|_| kind.ends_with("Resource"));
    let prefix = prefix.map(|n| format!("{n}: ")).unwrap_or_default();
    if let Some(percent) = wanted["averageUtilization"].as_i64() {
        let now = now["averageUtilization"]
            .as_i64()
            .map_or_else(unknown, |n| format!("{n}%"));
        return format!("{prefix}{now}/{percent}%");
    }
    if let Some(average) = wanted["averageValue"].as_str() {
        let suffix = if kind == "External" || kind == "Object" {
            " (avg)"
        } else {
            ""
        };
        return format!(
            "{prefix}{}/{average}{suffix}",
            now["averageValue"]
                .as_str()
                .map_or_else(unknown, str::to_owned)
        );
    }
    let value = wanted["value"].as_str().unwrap_or("<auto>");
    format!(
        "{prefix}{}/{value}",
        now["value"].as_str().map_or_else(unknown, str::to_owned)
    )
}

const BUDGET: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Min Available",
            Field("policy.v1.PodDisruptionBudgetSpec", "minAvailable"),
        ),
        text(
            "Max Unavailable",
            Field("policy.v1.PodDisruptionBudgetSpec", "maxUnavailable"),
        ),
        integer(
            "Allowed Disruptions",
            Field("policy.v1.PodDisruptionBudgetStatus", "disruptionsAllowed"),
        ),
        AGE,
    ],
    cells: |o, now| {
        let amount = |field: &str| match &o["spec"][field] {
            Value::Null => Value::from("N/A"),
            Value::String(text) => text.clone().into(),
            other => other.to_string().into(),
        };
        vec![
            name(o),
            amount("minAvailable"),
            amount("maxUnavailable"),
            count(&o["status"]["disruptionsAllowed"]).into(),
            age(o, now),
        ]
    },
};
