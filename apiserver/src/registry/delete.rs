//! Deletion: at once, or by finalizers.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::lists::{ListOptions, list};
use super::{Answer, Call, MODIFIED, Outcome, meta};
use crate::admission::Operation;
use crate::kinds;
use crate::status::{Result, Status};
use crate::store::{Action, Expect, Object, Write, WriteError};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// Keeps a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
const ATTEMPTS: usize = 32;

/// What may be asked of a deletion.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct DeleteOptions {
    pub(crate) propagation_policy: Option<String>,
    pub(crate) orphan_dependents: Option<bool>,
    pub(crate) preconditions: Option<Preconditions>,
    pub(crate) dry_run: Vec<String>,
    pub(crate) grace_period_seconds: Option<i64>,
}

/// What must be true of the object that is to be deleted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl DeleteOptions {
    /// The options of a body, with those of the query where the body has none.
    pub(crate) fn parse(body: &Value, query: &crate::request::Query) -> Result<Self> {
        let mut options: Self = if body.is_null() {
            Self::default()
        } else {
            serde_json::from_value(body.clone()).map_err(|error| {
                Status::bad_request(format!("DeleteOptions cannot be read: {error}"))
            })?
        };
        if options.propagation_policy.is_none() {
            options.propagation_policy = query.text("propagationPolicy").map(str::to_owned);
        }
        if let Some(policy) = &options.propagation_policy
            && !matches!(policy.as_str(), "Orphan" | "Background" | "Foreground")
        {
            let error = caravel_schema::field::Error::not_supported(
                "propagationPolicy",
                policy.as_str(),
                &["Background", "Foreground", "Orphan"],
            );
            return Err(Status::invalid(
                "meta.k8s.io",
                "DeleteOptions",
                "",
                &[error],
            ));
        }
        if options.propagation_policy.is_some() && options.orphan_dependents.is_some() {
            let error = caravel_schema::field::Error::invalid(
                "propagationPolicy",
                options.propagation_policy.as_deref().unwrap_or_default(),
                "orphanDependents and deletionPropagation cannot be both set",
            );
            return Err(Status::invalid(
                "meta.k8s.io",
                "DeleteOptions",
                "",
                &[error],
            ));
        }
        Ok(options)
    }

    /// The finalizers after a request to delete an object that has `finalizers`.
    fn finalizers(&self, mut finalizers: Vec<String>) -> Vec<String> {
        let (orphan, foreground) =
            match (self.propagation_policy.as_deref(), self.orphan_dependents) {
                (Some("Orphan"), _) | (None, Some(true)) => (true, false),
                (Some("Foreground"), _) => (false, true),
                (Some(_), _) | (None, Some(false)) => (false, false),
                (None, None) => {
                    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
                    (has(ORPHAN), has(FOREGROUND))
                }
            };
        finalizers.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
        if orphan {
            finalizers.push(ORPHAN.to_owned());
        }
        if foreground {
            finalizers.push(FOREGROUND.to_owned());
        }
        finalizers
    }
}

/// Deletes an object, or marks it as being deleted while something still has to happen first.
pub(crate) async fn delete(call: &Call, options: &DeleteOptions) -> Result<Outcome> {
    for _ in 0..ATTEMPTS {
        let live = call
            .core
            .store
            .get(&call.key())
            .ok_or_else(|| call.not_found())?;
        let old = live.value();
        let by_version = check_preconditions(call, options, &old)?;
        protect(call)?;
        let warnings = call
            .admit(Operation::Delete, &call.name, &mut Value::Null, &old)
            .await?;
        let next = marked(call, options, &old);
        let attempt = match next {
            Next::Keep => {
                let object = kinds::answer(&call.kind, live);
                return Ok(Outcome {
                    object,
                    warnings,
                    created: false,
                });
            }
            Next::Mark(object) => write(call, &live, object, false).await?,
            Next::Remove => write(call, &live, old, true).await?,
        };
        match attempt {
            Some(object) => {
                return Ok(Outcome {
                    object,
                    warnings,
                    created: false,
                });
            }
            None if by_version => return Err(call.conflict(MODIFIED)),
            None => {}
        }
    }
    Err(call.conflict(MODIFIED))
}

enum Next {
    /// It is marked already and waits.
    Keep,
    /// It must wait: this is what it looks like while it does.
    Mark(Value),
    /// It goes now.
    Remove,
}

fn marked(call: &Call, options: &DeleteOptions, old: &Value) -> Next {
    let mut finalizers = options.finalizers(meta::strings(&old["metadata"]["finalizers"]));
    let definition = *call.kind.stored_as == *crate::catalog::CRDS;
    let cleanup = definition && has_instances(call, old);
    if cleanup && !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
        finalizers.push(CLEANUP.to_owned());
    }
    let namespace = call.kind.is("", "namespaces");
    let waits = !finalizers.is_empty()
        || (namespace && !meta::strings(&old["spec"]["finalizers"]).is_empty());
    if !waits {
        return Next::Remove;
    }
    let mut object = old.clone();
    if finalizers.is_empty() {
        if let Some(metadata) = meta::metadata(&mut object) {
            metadata.remove("finalizers");
        }
    } else {
        object["metadata"]["finalizers"] = json!(finalizers);
    }
    if !old["metadata"]["deletionTimestamp"].is_string() {
        object["metadata"]["deletionTimestamp"] = json!(call.core.now());
        if definition {
            terminate(call, &mut object);
        }
        if !namespace && !definition {
            object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
            if let Some(generation) = old["metadata"]["generation"]
                .as_i64()
                .filter(|generation| *generation > 0)
            {
                object["metadata"]["generation"] = json!(generation + 1);
            }
        }
        if namespace {
            object["status"]["phase"] = json!("Terminating");
        }
    }
    if &object == old {
        Next::Keep
    } else {
        Next::Mark(object)
    }
}

/// Are there objects of the kind that a definition describes?
fn has_instances(call: &Call, definition: &Value) -> bool {
    let spec = &definition["spec"];
    let plural = spec["names"]["plural"].as_str().unwrap_or_default();
    let group = spec["group"].as_str().unwrap_or_default();
    call.core
        .store
        .count(&crate::status::qualified(plural, group))
        > 0
}

/// Says in a definition's status that it is going away.
fn terminate(call: &Call, definition: &mut Value) {
    let condition = json!({
        "type": "Terminating", "status": "True", "lastTransitionTime": call.core.now(),
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    });
    match definition["status"]["conditions"].as_array_mut() {
        Some(conditions) => conditions.push(condition),
        None => definition["status"]["conditions"] = json!([condition]),
    }
}

fn check_preconditions(call: &Call, options: &DeleteOptions, old: &Value) -> Result<bool> {
    let Some(wanted) = &options.preconditions else {
        return Ok(false);
    };
    let metadata = &old["metadata"];
    if let Some(uid) = &wanted.uid
        && metadata["uid"] != uid.as_str()
    {
        let live = metadata["uid"].as_str().unwrap_or_default();
        return Err(call.conflict(&format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {live}"
        )));
    }
    if let Some(version) = &wanted.resource_version
        && metadata["resourceVersion"] != version.as_str()
    {
        let live = metadata["resourceVersion"].as_str().unwrap_or_default();
        return Err(call.conflict(&format!(
            "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {live}"
        )));
    }
    Ok(wanted.resource_version.is_some())
}

/// Namespaces that a server cannot be without.
fn protect(call: &Call) -> Result<()> {
    if call.kind.is("", "namespaces")
        && matches!(
            call.name.as_str(),
            "default" | "kube-system" | "kube-public"
        )
    {
        return Err(Status::forbidden(
            "",
            "namespaces",
            &call.name,
            "this namespace may not be deleted",
        ));
    }
    Ok(())
}

async fn write(
    call: &Call,
    live: &Arc<Object>,
    object: Value,
    remove: bool,
) -> Result<Option<Answer>> {
    let gone = remove.then(|| success(call, &object));
    let draft = Call::encode(&object)?;
    if call.options.dry_run {
        let mut shown = object;
        kinds::from_storage(&call.kind, &mut shown);
        return Ok(Some(gone.unwrap_or(Answer::Value(shown))));
    }
    let action = if remove {
        Action::Delete(draft)
    } else {
        Action::Put(draft)
    };
    let write = Write {
        key: call.key(),
        expect: Expect::Version(live.version),
        action,
    };
    match call.core.store.write(write).await {
        Ok(written) => {
            call.written();
            Ok(Some(
                gone.unwrap_or_else(|| kinds::answer(&call.kind, written)),
            ))
        }
        Err(WriteError::Changed(_)) => Ok(None),
        Err(error) => Err(call.failed(&call.name, error)),
    }
}

/// The answer when an object is gone.
fn success(call: &Call, object: &Value) -> Answer {
    let mut details =
        json!({"name": call.name, "kind": call.kind.plural(), "uid": object["metadata"]["uid"]});
    if !call.kind.group().is_empty() {
        details["group"] = json!(call.kind.group());
    }
    Answer::Value(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    }))
}

/// Deletes what a list selects, and answers with the list.
pub(crate) async fn delete_collection(
    call: &Call,
    select: &ListOptions,
    options: &DeleteOptions,
) -> Result<Outcome> {
    let page = list(&call.core, &call.kind, &call.namespace, select)?;
    let mut warnings = Vec::new();
    let mut items = Vec::new();
    for object in page.objects {
        let one = Call {
            name: object.key.name.to_string(),
            namespace: object.key.namespace.to_string(),
            ..call.clone()
        };
        match delete(&one, options).await {
            Ok(outcome) => {
                warnings.extend(outcome.warnings);
                items.push(kinds::answer(&call.kind, object).into_value());
            }
            Err(status) if status.reason == "NotFound" => {}
            Err(status) => return Err(status),
        }
    }
    let resource = &call.kind.resource;
    let list = json!({
        "kind": resource.list_kind, "apiVersion": resource.api_version(),
        "metadata": {"resourceVersion": page.version.to_string()}, "items": items,
    });
    Ok(Outcome {
        object: Answer::Value(list),
        warnings,
        created: false,
    })
}
