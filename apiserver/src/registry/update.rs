//! Changes of stored objects.

use std::sync::Arc;

use caravel_schema::field::Error;
use serde_json::{Value, json};

use super::{Answer, Call, MODIFIED, Outcome, addresses, create, meta, strategy};
use crate::admission::Operation;
use crate::status::{Result, Status};
use crate::store::{Action, Expect, Object, Write, WriteError};
use crate::{fields, kinds};

/// How often a write that names no version is tried against concurrent writers.
const ATTEMPTS: usize = 32;

/// PUT: the object becomes `object`.
pub(crate) async fn replace(call: &Call, mut object: Value) -> Result<Outcome> {
    meta::check_shape(call, &mut object)?;
    check_identity(call, &mut object)?;
    let version = object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    if call.core.store.get(&call.key()).is_none()
        && call.subresource.is_empty()
        && strategy::creates_on_update(&call.kind)
    {
        call.authorize_create()?;
        return create(call, object).await;
    }
    if version.is_empty()
        && call.subresource.is_empty()
        && !strategy::allows_unconditional_update(&call.kind)
    {
        // The live object must be looked for first: a missing one is 404, whatever the body says.
        if call.core.store.get(&call.key()).is_none() {
            return Err(call.not_found());
        }
        let error = Error::invalid(
            "metadata.resourceVersion",
            0,
            "must be specified for an update",
        );
        return Err(call.invalid(&call.name, &[error]));
    }
    update_with(call, move |_| {
        Ok(Desired {
            object: object.clone(),
            tracked: false,
        })
    })
    .await
}

/// The name and namespace of a body are those of the URL.
fn check_identity(call: &Call, object: &mut Value) -> Result<()> {
    meta::check_namespace(call, object)?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        object["metadata"]["name"] = json!(call.name);
    } else if name != call.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.name
        )));
    }
    Ok(())
}

/// What an object is to become.
pub(crate) struct Desired {
    pub(crate) object: Value,
    /// Are its `managedFields` already those of after the write, as server-side apply leaves them?
    pub(crate) tracked: bool,
}

/// Changes an object: `change` makes the desired object of the live one, again for each attempt.
pub(crate) async fn update_with(
    call: &Call,
    change: impl Fn(&Value) -> Result<Desired> + Send + Sync,
) -> Result<Outcome> {
    for _ in 0..ATTEMPTS {
        let live = call
            .core
            .store
            .get(&call.key())
            .ok_or_else(|| call.not_found())?;
        let mut old = live.value();
        kinds::from_storage(&call.kind, &mut old);
        let desired = change(&old)?;
        let conditional = check_preconditions(call, &desired.object, &old)?;
        let (object, warnings) = settle(call, desired, &old).await?;
        match commit(call, &live, &old, object, warnings).await? {
            Some(outcome) => return Ok(outcome),
            None if conditional => return Err(call.conflict(MODIFIED)),
            None => {}
        }
    }
    Err(call.conflict(MODIFIED))
}

/// A version or uid in the body must be the live one. Was there a version?
fn check_preconditions(call: &Call, object: &Value, old: &Value) -> Result<bool> {
    let (new, old) = (&object["metadata"], &old["metadata"]);
    if let Some(uid) = new["uid"].as_str().filter(|uid| !uid.is_empty())
        && old["uid"] != uid
    {
        let live = old["uid"].as_str().unwrap_or_default();
        return Err(call.conflict(&format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {live}"
        )));
    }
    match new["resourceVersion"]
        .as_str()
        .filter(|version| !version.is_empty())
    {
        Some(version) if old["resourceVersion"] != version => Err(call.conflict(MODIFIED)),
        Some(_) => Ok(true),
        None => Ok(false),
    }
}

/// Applies all rules to the desired object.
async fn settle(call: &Call, desired: Desired, old: &Value) -> Result<(Value, Vec<String>)> {
    let Desired {
        mut object,
        tracked,
    } = desired;
    meta::check_shape(call, &mut object)?;
    check_identity(call, &mut object)?;
    carry_over(&mut object, old);
    // Before generations are compared: what a default fills in is no change.
    addresses::carry_over(&call.kind, &mut object, old);
    kinds::default(&call.kind, &mut object);
    if let Some(fields) = object.as_object_mut() {
        match call.subresource.as_str() {
            "status" => strategy::prepare_status(&call.kind, fields, old),
            "finalize" => finalize(fields, old),
            _ => strategy::prepare_changed(&call.kind, fields, old),
        }
    }
    meta::tidy(&mut object);
    let warnings = call
        .admit(Operation::Update, &call.name, &mut object, old)
        .await?;
    let mut errors = meta::validate_changed(&object, old);
    errors.extend(kinds::validate(&call.kind, &object, Some(old)));
    if !errors.is_empty() {
        return Err(call.invalid(&call.name, &errors));
    }
    call.core
        .auth
        .check_escalation(&call.core, &call.kind, &call.user, &object, Some(old))?;
    if tracked {
        fields::keep_times(&mut object, Some(old));
    } else {
        fields::track(call, &mut object, Some(old));
    }
    Ok((object, warnings))
}

/// Metadata that no client changes.
fn carry_over(object: &mut Value, old: &Value) {
    let Some(metadata) = meta::metadata(object) else {
        return;
    };
    let server_owned = [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
    ];
    for field in server_owned {
        match old["metadata"].get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
}

/// `namespaces/{name}/finalize`: only `spec.finalizers` changes.
fn finalize(object: &mut serde_json::Map<String, Value>, old: &Value) {
    let finalizers = object
        .get("spec")
        .and_then(|spec| spec.get("finalizers"))
        .cloned();
    let mut next = old.as_object().cloned().unwrap_or_default();
    next.insert(
        "spec".to_owned(),
        finalizers.map_or_else(|| json!({}), |list| json!({"finalizers": list})),
    );
    *object = next;
}

/// Writes what changed. `None`: somebody else was faster.
async fn commit(
    call: &Call,
    live: &Arc<Object>,
    old: &Value,
    object: Value,
    warnings: Vec<String>,
) -> Result<Option<Outcome>> {
    let released = object["metadata"]["deletionTimestamp"].is_string()
        && meta::strings(&object["metadata"]["finalizers"]).is_empty()
        && (!call.kind.is("", "namespaces")
            || meta::strings(&object["spec"]["finalizers"]).is_empty());
    if !released && object == *old {
        let answer = kinds::answer(&call.kind, Arc::clone(live));
        return Ok(Some(Outcome {
            object: answer,
            warnings,
            created: false,
        }));
    }
    let mut stored = object;
    let _promise = addresses::give(call, &mut stored)?;
    kinds::to_storage(&call.kind, &mut stored);
    let draft = Call::encode(&stored)?;
    if call.options.dry_run {
        kinds::from_storage(&call.kind, &mut stored);
        return Ok(Some(Outcome {
            object: Answer::Value(stored),
            warnings,
            created: false,
        }));
    }
    let action = if released {
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
            let object = kinds::answer(&call.kind, written);
            Ok(Some(Outcome {
                object,
                warnings,
                created: false,
            }))
        }
        Err(WriteError::Changed(_)) => Ok(None),
        Err(error) => Err(call.failed(&call.name, error)),
    }
}
