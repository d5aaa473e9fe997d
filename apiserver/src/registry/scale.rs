//! The subresource `scale`.

use serde_json::{Value, json};

use super::update::Desired;
use super::{Answer, Call, Outcome, PatchType, update_with};
use crate::catalog::Kind;
use crate::status::{Result, Status};
use crate::{fields, kinds};

/// Where the numbers of a kind's scale are.
struct Paths {
    spec: String,
    status: String,
    selector: Option<String>,
}

impl Paths {
    fn of(kind: &Kind) -> Option<Self> {
        let Some(custom) = &kind.custom else {
            return Some(Self {
                spec: ".spec.replicas".into(),
                status: ".status.replicas".into(),
                selector: None,
            });
        };
        let scale = custom.version.scale.as_ref()?;
        Some(Self {
            spec: scale.spec_replicas.clone(),
            status: scale.status_replicas.clone(),
            selector: scale.label_selector.clone(),
        })
    }
}

fn pointer(path: &str) -> String {
    path.replace('.', "/")
}

/// The scale of an object.
pub(crate) fn read_scale(call: &Call) -> Result<Value> {
    let live = call
        .core
        .store
        .get(&call.key())
        .ok_or_else(|| call.not_found())?;
    let mut object = live.value();
    kinds::from_storage(&call.kind, &mut object);
    scale_of(call, &object)
}

fn scale_of(call: &Call, object: &Value) -> Result<Value> {
    let paths = Paths::of(&call.kind).ok_or_else(Status::no_such_path)?;
    let number = |path: &str| object.pointer(&pointer(path)).and_then(Value::as_i64);
    let mut metadata = json!({});
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = object["metadata"].get(field) {
            metadata[field] = value.clone();
        }
    }
    let mut spec = json!({});
    if let Some(replicas) = number(&paths.spec).filter(|replicas| *replicas != 0) {
        spec["replicas"] = json!(replicas);
    }
    let mut status = json!({"replicas": number(&paths.status).unwrap_or(0)});
    let selector = match &paths.selector {
        Some(path) => object
            .pointer(&pointer(path))
            .and_then(Value::as_str)
            .map(str::to_owned),
        None if call.kind.custom.is_none() => Some(selector_text(&object["spec"]["selector"])),
        None => None,
    };
    if let Some(selector) = selector.filter(|text| !text.is_empty()) {
        status["selector"] = json!(selector);
    }
    Ok(
        json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}),
    )
}

/// A label selector as text.
fn selector_text(selector: &Value) -> String {
    let mut parts: Vec<String> = selector["matchLabels"]
        .as_object()
        .or_else(|| {
            selector
                .as_object()
                .filter(|map| map.values().all(Value::is_string))
        })
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for expression in selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = super::meta::strings(&expression["values"]).join(",");
        parts.push(match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    parts.sort();
    parts.join(",")
}

/// PUT of a scale.
pub(crate) async fn replace_scale(call: &Call, scale: Value) -> Result<Outcome> {
    change(call, move |_| Ok(scale.clone())).await
}

/// PATCH of a scale.
pub(crate) async fn patch_scale(call: &Call, form: PatchType, body: &[u8]) -> Result<Outcome> {
    let (patch, _) = kinds::decode_json(body)?;
    if form == PatchType::Apply {
        let accepted = "application/json-patch+json, application/merge-patch+json";
        return Err(Status::unsupported_media_type(accepted));
    }
    change(call, move |current| {
        let mut scale = current.clone();
        if let Some(metadata) = super::meta::metadata(&mut scale) {
            metadata.remove("resourceVersion");
        }
        match form {
            PatchType::Json => fields::json_patch(&scale, &patch),
            _ => fields::merge_patch(&scale, &patch),
        }
    })
    .await
}

async fn change(
    call: &Call,
    desired: impl Fn(&Value) -> Result<Value> + Send + Sync,
) -> Result<Outcome> {
    let paths = Paths::of(&call.kind).ok_or_else(Status::no_such_path)?;
    let spec = pointer(&paths.spec);
    let outcome = update_with(call, |live| {
        let scale = desired(&scale_of(call, live)?)?;
        let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
        if replicas < 0 {
            let detail = "must be greater than or equal to 0";
            let error = caravel_schema::field::Error::invalid("spec.replicas", replicas, detail);
            return Err(Status::invalid(
                "autoscaling",
                "Scale",
                &call.name,
                &[error],
            ));
        }
        let mut object = live.clone();
        set(&mut object, &spec, json!(replicas));
        match scale["metadata"]["resourceVersion"].as_str() {
            Some(version) => object["metadata"]["resourceVersion"] = json!(version),
            None => {
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("resourceVersion");
                }
            }
        }
        Ok(Desired {
            object,
            tracked: false,
        })
    })
    .await?;
    let object = outcome.object.into_value();
    Ok(Outcome {
        object: Answer::Value(scale_of(call, &object)?),
        warnings: outcome.warnings,
        created: false,
    })
}

/// Sets a value, with the objects on the way to it.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for step in pointer.split('/').filter(|step| !step.is_empty()) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[step];
    }
    *place = value;
}
