//! When two values mean the same to Kubernetes.

use serde_json::{Number, Value};

/// Whether an API is one of Kubernetes itself, whose zero values are left out when written.
pub(super) fn is_builtin(api_version: &str) -> bool {
    match api_version.split_once('/') {
        None => true,
        Some((group, _)) => !group.contains('.') || group.ends_with(".k8s.io"),
    }
}

/// Whether a zero value is left out by the types of Kubernetes at this place. Not in maps that people
/// fill, where an empty text is a value.
pub(super) fn is_left_out(value: &Value, path: &str) -> bool {
    const FREE: [&str; 5] = [
        "data",
        "stringData",
        "binaryData",
        "metadata.labels",
        "metadata.annotations",
    ];
    if FREE.iter().any(|map| {
        path.strip_prefix(map)
            .is_some_and(|rest| rest.starts_with('.'))
    }) {
        return false;
    }
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(|value| is_left_out(value, "")),
    }
}

/// A manifest as the API server keeps it: the plain text of a Secret is kept encoded.
pub(super) fn normal(manifest: &Value) -> Value {
    use base64::Engine as _;
    let mut manifest = manifest.clone();
    if manifest["kind"] == "Secret"
        && manifest["apiVersion"] == "v1"
        && let Some(plain) = manifest.get_mut("stringData").map(Value::take)
    {
        for (key, value) in plain.as_object().into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let encoded = base64::engine::general_purpose::STANDARD.encode(text);
            manifest["data"][key] = Value::from(encoded);
        }
        if let Some(map) = manifest.as_object_mut() {
            map.remove("stringData");
        }
    }
    manifest
}

/// Whether two scalars mean the same. Quantities are compared by value where quantities stand.
pub(super) fn scalars(a: &Value, b: &Value, path: &str) -> bool {
    if a == b {
        return true;
    }
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        _ if is_quantity_place(path) => quantity(a)
            .zip(quantity(b))
            .is_some_and(|(a, b)| (a - b).abs() <= a.abs() * 1e-9),
        _ => false,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    a.as_f64() == b.as_f64()
}

fn is_quantity_place(path: &str) -> bool {
    const PLACES: [&str; 12] = [
        "limits",
        "requests",
        "capacity",
        "hard",
        "sizeLimit",
        "divisor",
        "averageValue",
        "overhead",
        "default",
        "defaultRequest",
        "max",
        "min",
    ];
    path.split('.').any(|part| PLACES.contains(&part))
}

/// The suffixes of quantities, longer ones first.
const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// A Kubernetes quantity as a number.
fn quantity(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Number(number) => return number.as_f64(),
        Value::String(text) => text.as_str(),
        _ => return None,
    };
    let suffix = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(suffix));
    let (digits, scale) = match suffix {
        Some((suffix, scale)) => (text.strip_suffix(suffix)?, *scale),
        None => (text, 1.0),
    };
    digits
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_compared_by_value_where_they_stand() {
        let cpu = "spec.template.spec.containers[0].resources.limits.cpu";
        assert!(scalars(&json!("0.5"), &json!("500m"), cpu));
        assert!(scalars(&json!(1), &json!("1"), cpu));
        assert!(scalars(&json!("1Gi"), &json!("1024Mi"), cpu));
        assert!(!scalars(&json!("1G"), &json!("1Gi"), cpu));
        assert!(!scalars(&json!("0.5"), &json!("500m"), "data.cpu"));
        assert!(!scalars(&json!("inf"), &json!("1"), cpu));
    }

    #[test]
    fn an_empty_text_counts_where_people_fill_maps() {
        assert!(is_left_out(&json!(""), "spec.volumes[0].emptyDir.medium"));
        assert!(!is_left_out(&json!(""), "data.key"));
        assert!(!is_left_out(
            &json!(""),
            "metadata.labels.app.oam.dev/cluster"
        ));
    }

    #[test]
    fn only_apis_of_kubernetes_leave_out_zero_values() {
        assert!(is_builtin("v1"));
        assert!(is_builtin("apps/v1"));
        assert!(is_builtin("networking.k8s.io/v1"));
        assert!(!is_builtin("example.com/v1"));
    }
}
