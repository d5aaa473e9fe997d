//! New objects.

use serde_json::{Value, json};

use super::{Answer, Call, Outcome, addresses, meta, names, strategy};
use crate::admission::Operation;
use crate::fields;
use crate::kinds;
use crate::status::{Result, Status};
use crate::store::{Action, Expect, Key, Write, WriteError};

/// How often a generated name is tried.
const ATTEMPTS: usize = 8;

/// Stores a new object.
pub(crate) async fn create(call: &Call, mut object: Value) -> Result<Outcome> {
    meta::check_shape(call, &mut object)?;
    meta::check_namespace(call, &mut object)?;
    if object["metadata"]["resourceVersion"]
        .as_str()
        .is_some_and(|version| !version.is_empty())
    {
        return Err(Status::new(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "",
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let base = object["metadata"]["generateName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let named = object["metadata"]["name"]
        .as_str()
        .is_some_and(|name| !name.is_empty());
    if named || base.is_empty() {
        return attempt(call, object).await;
    }
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let mut object = object.clone();
        object["metadata"]["name"] = json!(names::generate(&base));
        match attempt(call, object).await {
            Err(status) if status.reason == "AlreadyExists" => last = Some(status),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| call.not_found()))
}

/// Stores a new object whose `managedFields` server-side apply has already made.
pub(super) async fn applied(call: &Call, object: Value) -> Result<Outcome> {
    finish(call, object, true).await
}

async fn attempt(call: &Call, object: Value) -> Result<Outcome> {
    finish(call, object, false).await
}

async fn finish(call: &Call, mut object: Value, tracked: bool) -> Result<Outcome> {
    let name = object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    check_home(call, &name)?;
    if let Some(metadata) = meta::metadata(&mut object) {
        for field in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "uid",
            "creationTimestamp",
            "selfLink",
        ] {
            metadata.remove(field);
        }
        metadata.insert("uid".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
        metadata.insert("creationTimestamp".to_owned(), json!(call.core.now()));
    }
    if let Some(fields) = object.as_object_mut() {
        strategy::prepare_new(&call.kind, fields, &name);
    }
    kinds::default(&call.kind, &mut object);
    meta::tidy(&mut object);
    let mut warnings = call
        .admit(Operation::Create, &name, &mut object, &Value::Null)
        .await?;
    warnings.extend(kinds::without_effect(&call.kind));
    let mut errors = meta::validate_new(call, &object);
    errors.extend(kinds::validate(&call.kind, &object, None));
    if !errors.is_empty() {
        return Err(call.invalid(&name, &errors));
    }
    call.core
        .auth
        .check_escalation(&call.core, &call.kind, &call.user, &object, None)?;
    if !tracked {
        fields::track(call, &mut object, None);
    }
    store(call, &name, object, warnings).await
}

/// The namespace of a new object must exist and stay.
fn check_home(call: &Call, name: &str) -> Result<()> {
    if call
        .kind
        .custom
        .as_ref()
        .is_some_and(|custom| custom.terminating)
    {
        return Err(Status::new(
            http::StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "create not allowed while custom resource definition is terminating",
        ));
    }
    if !call.kind.resource.namespaced {
        return Ok(());
    }
    let namespace = call
        .core
        .store
        .get(&Key::new("namespaces", "", call.namespace.as_str()))
        .ok_or_else(|| Status::not_found("", "namespaces", &call.namespace))?
        .value();
    if namespace["metadata"]["deletionTimestamp"].is_string() {
        let (group, plural) = (call.kind.group(), call.kind.plural());
        return Err(Status::namespace_terminating(
            group,
            plural,
            name,
            &call.namespace,
        ));
    }
    Ok(())
}

async fn store(
    call: &Call,
    name: &str,
    mut object: Value,
    warnings: Vec<String>,
) -> Result<Outcome> {
    // Until it is written nobody else gets the same.
    let _promise = addresses::give(call, &mut object)?;
    let shown = if call.options.dry_run {
        object.clone()
    } else {
        Value::Null
    };
    kinds::to_storage(&call.kind, &mut object);
    let draft = Call::encode(&object)?;
    let key = call.key_of(name);
    if call.options.dry_run {
        if call.core.store.get(&key).is_some() {
            return Err(call.failed(name, WriteError::Exists));
        }
        return Ok(Outcome {
            object: Answer::Value(shown),
            warnings,
            created: true,
        });
    }
    let write = Write {
        key,
        expect: Expect::Absent,
        action: Action::Put(draft),
    };
    let stored = call
        .core
        .store
        .write(write)
        .await
        .map_err(|error| call.failed(name, error))?;
    call.written();
    Ok(Outcome {
        object: kinds::answer(&call.kind, stored),
        warnings,
        created: true,
    })
}
