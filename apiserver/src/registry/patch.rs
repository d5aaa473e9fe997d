//! PATCH in its four forms.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::update::Desired;
use super::{Call, FieldValidation, Outcome, create, update_with};
use crate::status::{Result, Status};
use crate::{fields, kinds};

/// The form of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' strategic merge, for built-in kinds.
    Strategic,
    /// Server-side apply.
    Apply,
}

const FOR_BUILTIN: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";
const FOR_CUSTOM: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

impl PatchType {
    /// The form that a media type names, if the kind can be patched in it.
    pub(crate) fn of(media_type: &str, custom: bool) -> Result<Self> {
        let accepted = if custom { FOR_CUSTOM } else { FOR_BUILTIN };
        match media_type {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !custom => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(Status::unsupported_media_type(accepted)),
        }
    }
}

/// Changes an object by a patch; apply also creates it.
pub(crate) async fn patch(call: &Call, form: PatchType, body: &[u8]) -> Result<Outcome> {
    if form == PatchType::Apply {
        return apply(call, body).await;
    }
    let change = Change::parse(call, form, body)?;
    let change = &change;
    let warnings = Mutex::new(Vec::new());
    let mut outcome = update_with(call, |live| {
        let mut object = change.apply(call, live)?;
        super::meta::check_shape(call, &mut object)?;
        // A patch that does not name a version is no precondition: the live one is not carried into it.
        if !change.names_version()
            && let Some(metadata) = super::meta::metadata(&mut object)
        {
            metadata.remove("resourceVersion");
        }
        let unknown = kinds::check_fields(&call.kind, &mut object, call.options.field_validation)?;
        if let Ok(mut warnings) = warnings.lock() {
            *warnings = unknown;
        }
        Ok(Desired {
            object,
            tracked: false,
        })
    })
    .await?;
    outcome
        .warnings
        .splice(0..0, warnings.into_inner().unwrap_or_default());
    Ok(outcome)
}

/// A parsed patch.
enum Change {
    Json(Value),
    Merge(Value),
    Strategic(Value),
}

impl Change {
    fn parse(call: &Call, form: PatchType, body: &[u8]) -> Result<Self> {
        let (patch, repeated) = kinds::decode_json(body)?;
        if call.options.field_validation == FieldValidation::Strict && !repeated.is_empty() {
            return Err(kinds::strict_error(&call.kind, &repeated));
        }
        Ok(match form {
            PatchType::Json => Self::Json(patch),
            PatchType::Strategic => Self::Strategic(patch),
            PatchType::Merge | PatchType::Apply => Self::Merge(patch),
        })
    }

    fn names_version(&self) -> bool {
        match self {
            Self::Json(operations) => operations
                .as_array()
                .into_iter()
                .flatten()
                .any(|operation| operation["path"] == "/metadata/resourceVersion"),
            Self::Merge(patch) | Self::Strategic(patch) => {
                patch["metadata"]["resourceVersion"].is_string()
            }
        }
    }

    fn apply(&self, call: &Call, live: &Value) -> Result<Value> {
        match self {
            Self::Json(patch) => fields::json_patch(live, patch),
            Self::Merge(patch) => fields::merge_patch(live, patch),
            Self::Strategic(patch) => fields::strategic_merge(&call.kind, live, patch),
        }
    }
}

/// Server-side apply.
async fn apply(call: &Call, body: &[u8]) -> Result<Outcome> {
    if call.options.field_manager.is_empty() {
        let error =
            caravel_schema::field::Error::required("fieldManager", "is required for apply patch");
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
    }
    let (mut wanted, repeated) = kinds::decode_yaml(body)?;
    if !repeated.is_empty() && call.options.field_validation == FieldValidation::Strict {
        return Err(kinds::strict_error(&call.kind, &repeated));
    }
    if !wanted.is_object() {
        return Err(Status::bad_request(
            "an apply patch must be an object with apiVersion, kind and metadata.name",
        ));
    }
    super::meta::check_shape(call, &mut wanted)?;
    super::meta::check_namespace(call, &mut wanted)?;
    match wanted["metadata"]["name"].as_str().unwrap_or_default() {
        "" => wanted["metadata"]["name"] = json!(call.name),
        name if name != call.name => {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                call.name
            )));
        }
        _ => {}
    }
    if wanted["metadata"]["managedFields"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
    {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let warnings = kinds::check_fields(&call.kind, &mut wanted, call.options.field_validation)?;
    let wanted = &wanted;
    for _ in 0..2 {
        let exists = call.core.store.get(&call.key()).is_some();
        let outcome = if exists {
            update_with(call, |live| {
                let mut object = fields::apply(call, Some(live), wanted)?;
                // As with the other forms: without a version of its own it is no precondition.
                if !wanted["metadata"]["resourceVersion"].is_string()
                    && let Some(metadata) = super::meta::metadata(&mut object)
                {
                    metadata.remove("resourceVersion");
                }
                Ok(Desired {
                    object,
                    tracked: true,
                })
            })
            .await
        } else if !call.subresource.is_empty() {
            Err(call.not_found())
        } else {
            call.authorize_create()?;
            let mut object = fields::apply(call, None, wanted)?;
            if let Some(uid) = wanted["metadata"]["uid"].as_str() {
                return Err(call.conflict(&format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                )));
            }
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("resourceVersion");
            }
            create::applied(call, object).await
        };
        match outcome {
            // Somebody created or deleted it in between: look again.
            Err(status)
                if status.reason == "AlreadyExists" || (exists && status.reason == "NotFound") => {}
            Err(status) => return Err(status),
            Ok(mut outcome) => {
                outcome.warnings.splice(0..0, warnings);
                return Ok(outcome);
            }
        }
    }
    Err(call.conflict(super::MODIFIED))
}
