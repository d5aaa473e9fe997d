//! The two ways to write an object: server-side apply, and everything else.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::conflict::Conflicts;
use crate::last_applied;
use crate::managed::{
    Managed, ManagedFieldsError, Manager, Owned, is_reset, without_managed_fields,
};
use crate::set::FieldSet;
use crate::typed::{Duplicates, TypeErrors, validate};
use crate::update::{Updater, Versions};
use crate::zero;

/// The manager of fields that were there before anybody applied and nobody is recorded for.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// A server-side apply.
#[derive(Clone, Copy, Debug)]
pub struct ApplyOptions<'a> {
    /// The field manager; required by the API.
    pub manager: &'a str,
    /// Take fields from other managers instead of failing with a conflict.
    pub force: bool,
    /// The version of the endpoint, such as `apps/v1`; that of the applied object must be the same.
    pub api_version: &'a str,
    /// The subresource of the endpoint, or empty.
    pub subresource: &'a str,
    /// Fields that the endpoint resets, such as the status outside of `/status`: never owned by it.
    pub reset_fields: &'a FieldSet,
    /// The present time, RFC 3339 in UTC with whole seconds.
    pub time: &'a str,
}

/// Any other write: create, replace, or a patch that has been carried out already.
#[derive(Clone, Copy, Debug)]
pub struct UpdateOptions<'a> {
    /// The field manager; by default clients send the first word of their user agent.
    pub manager: &'a str,
    /// The version of the endpoint, such as `apps/v1`.
    pub api_version: &'a str,
    /// The subresource of the endpoint, or empty. Requests to a subresource cannot change
    /// `metadata.managedFields`.
    pub subresource: &'a str,
    /// Fields that the endpoint resets, such as the status outside of `/status`: never owned by it.
    pub reset_fields: &'a FieldSet,
    /// The present time, RFC 3339 in UTC with whole seconds. `None` for `/scale`, where Kubernetes
    /// records no time for a new manager.
    pub time: Option<&'a str>,
}

/// Why an apply is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Other managers own fields with other values: 409, with [`Conflicts::causes`].
    #[error("{0}")]
    Conflict(Conflicts),
    /// The request cannot be an apply: 400.
    #[error("{0}")]
    BadRequest(String),
    /// The applied object does not fit the schema. Kubernetes answers 500 with this message.
    #[error("failed to create typed patch object ({object}): {errors}")]
    Applied {
        /// Namespace, name and kind.
        object: String,
        /// What does not fit.
        errors: TypeErrors,
    },
    /// The stored object does not fit the schema. Kubernetes answers 500 with this message.
    #[error("failed to create typed live object ({object}): {errors}")]
    Live {
        /// Namespace, name and kind.
        object: String,
        /// What does not fit.
        errors: TypeErrors,
    },
    /// The stored ownership cannot be read.
    #[error("failed to decode managed fields: {0}")]
    ManagedFields(#[from] ManagedFieldsError),
    /// The version is not among those of the resource.
    #[error("no corresponding type for {0}")]
    UnknownVersion(String),
}

/// Why ownership cannot be computed for a write. The write itself may be fine: Kubernetes stores
/// the object without `managedFields` then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The object does not fit the schema.
    #[error("failed to convert {which} object ({object}) to smd typed: {errors}")]
    Object {
        /// `new` or `live`.
        which: &'static str,
        /// Namespace, name and kind.
        object: String,
        /// What does not fit.
        errors: TypeErrors,
    },
    /// The version is not among those of the resource.
    #[error("no corresponding type for {0}")]
    UnknownVersion(String),
}

/// Merges an applied configuration into the stored object and records what its manager owns. The
/// result is to be defaulted, validated and stored by the caller. Without a stored object the result
/// is the new one.
///
/// # Errors
/// See [`ApplyError`]; nothing is changed then.
pub fn apply(
    live: Option<&Value>,
    applied: &Value,
    options: &ApplyOptions<'_>,
    versions: &dyn Versions,
) -> Result<Value, ApplyError> {
    check(applied, options, versions)?;
    let mut managed = live.map_or_else(|| Ok(Managed::default()), Managed::of)?;
    let stored = live.map_or_else(|| zero::object(applied), without_managed_fields);
    if let Some(schema) = versions.schema(options.api_version) {
        validate(schema, &stored, Duplicates::Allowed).map_err(|errors| ApplyError::Live {
            object: describe(&stored),
            errors,
        })?;
    }
    if live.is_some() && managed.is_empty() {
        record_before_first_apply(&stored, &mut managed, options, versions);
    }
    let before = managed.clone();
    let manager = Manager::applier(options.manager, options.subresource);
    let updater = Updater {
        versions,
        reset_fields: options.reset_fields,
        api_version: options.api_version,
    };
    let mut result = updater.apply(&stored, applied, &mut managed, &manager, options.force);
    if let Err(conflicts) = &result {
        let schema = versions.schema(options.api_version);
        let allowed = (options.manager == last_applied::UPGRADED_MANAGER)
            .then(|| last_applied::owned_fields(&stored, options.api_version, schema?))
            .flatten()
            .unwrap_or_default();
        if let Some(left) = conflicts.without(&allowed) {
            return Err(ApplyError::Conflict(left));
        }
        managed = before;
        result = updater.apply(&stored, applied, &mut managed, &manager, true);
    }
    let mut object = result.map_err(ApplyError::Conflict)?;
    if !crate::value::equal(&object, &stored)
        && let Some(owned) = managed.entries.get_mut(&manager)
    {
        owned.time = Some(options.time.to_owned());
    }
    strip_metadata(&mut managed, &manager);
    if options.manager == last_applied::UPGRADED_MANAGER {
        last_applied::refresh(&mut object, applied);
    }
    managed.write(&mut object);
    Ok(object)
}

fn check(
    applied: &Value,
    options: &ApplyOptions<'_>,
    versions: &dyn Versions,
) -> Result<(), ApplyError> {
    let version = applied
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if version != options.api_version {
        return Err(ApplyError::BadRequest(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {}",
            options.api_version
        )));
    }
    let managed_fields = applied.pointer("/metadata/managedFields");
    if managed_fields.is_some_and(|fields| !fields.is_null()) {
        let message = "metadata.managedFields must be nil";
        return Err(ApplyError::BadRequest(message.to_owned()));
    }
    let schema = versions
        .schema(options.api_version)
        .ok_or_else(|| ApplyError::UnknownVersion(options.api_version.to_owned()))?;
    validate(schema, applied, Duplicates::Refused).map_err(|errors| ApplyError::Applied {
        object: describe(applied),
        errors,
    })
}

/// An object of which no owner is recorded gets one for all that it holds, so that the first apply
/// cannot overwrite silently.
fn record_before_first_apply(
    stored: &Value,
    managed: &mut Managed,
    options: &ApplyOptions<'_>,
    versions: &dyn Versions,
) {
    let update = UpdateOptions {
        manager: BEFORE_FIRST_APPLY,
        api_version: options.api_version,
        subresource: options.subresource,
        reset_fields: options.reset_fields,
        time: Some(options.time),
    };
    record(&zero::object(stored), stored, managed, &update, versions);
}

/// Records who owns what after any write that is not an apply. `new` is the object as it will be
/// stored, defaulted; `live` what was stored before, `None` at a create.
///
/// Entries that the request brings are honoured as Kubernetes does: unreadable or missing ones are
/// replaced by the stored ones, `[]` and `[{}]` forget everything.
///
/// # Errors
/// See [`UpdateError`].
pub fn update(
    live: Option<&Value>,
    new: &Value,
    options: &UpdateOptions<'_>,
    versions: &dyn Versions,
) -> Result<Value, UpdateError> {
    let mut object = new.clone();
    update_in_place(live, &mut object, options, versions)?;
    Ok(object)
}

/// As [`update`], without a copy of the object. After an error it has no entries.
///
/// # Errors
/// See [`UpdateError`].
pub fn update_in_place(
    live: Option<&Value>,
    object: &mut Value,
    options: &UpdateOptions<'_>,
    versions: &dyn Versions,
) -> Result<(), UpdateError> {
    let mut managed = requested(live, object, options);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let untracked = managed.is_empty() && live.is_some();
    if !untracked {
        let stored = live.map_or_else(|| zero::object(object), without_managed_fields);
        let schema = versions
            .schema(options.api_version)
            .ok_or_else(|| UpdateError::UnknownVersion(options.api_version.to_owned()))?;
        for (which, value) in [("new", &*object), ("live", &stored)] {
            validate(schema, value, Duplicates::Allowed).map_err(|errors| UpdateError::Object {
                which,
                object: describe(value),
                errors,
            })?;
        }
        record(&stored, object, &mut managed, options, versions);
    }
    managed.write(object);
    Ok(())
}

/// The entries that a write starts from.
fn requested(live: Option<&Value>, new: &Value, options: &UpdateOptions<'_>) -> Managed {
    let stored = || {
        live.and_then(|live| Managed::of(live).ok())
            .unwrap_or_default()
    };
    if !options.subresource.is_empty() {
        return stored();
    }
    if is_reset(new) {
        return Managed::default();
    }
    match Managed::of(new) {
        Ok(managed) if !managed.is_empty() => managed,
        _ => stored(),
    }
}

fn record(
    stored: &Value,
    new: &Value,
    managed: &mut Managed,
    options: &UpdateOptions<'_>,
    versions: &dyn Versions,
) {
    let updater = Updater {
        versions,
        reset_fields: options.reset_fields,
        api_version: options.api_version,
    };
    let changed = updater
        .update(stored, new, managed)
        .difference(&NEVER_OWNED);
    if !changed.is_empty() {
        let manager = Manager::updater(options.manager, options.api_version, options.subresource);
        let owned = managed.entries.entry(manager).or_insert_with(|| Owned {
            set: FieldSet::default(),
            api_version: options.api_version.to_owned(),
            time: None,
        });
        owned.set.extend(&changed);
        if let Some(time) = options.time {
            owned.time = Some(time.to_owned());
        }
    }
    managed.fold_old_updates();
}

/// Fields that belong to nobody: they name the object or are the server's.
static NEVER_OWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    FieldSet::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

fn strip_metadata(managed: &mut Managed, manager: &Manager) {
    if let Some(owned) = managed.entries.get_mut(manager) {
        owned.set = owned.set.difference(&NEVER_OWNED);
        if owned.set.is_empty() {
            managed.entries.remove(manager);
        }
    }
}

/// `namespace/name; group/version, Kind=kind`, as Kubernetes names an object in these errors.
fn describe(object: &Value) -> String {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let version = text("/apiVersion");
    let version = if version.contains('/') {
        version.to_owned()
    } else {
        format!("/{version}")
    };
    format!(
        "{}/{}; {version}, Kind={}",
        text("/metadata/namespace"),
        text("/metadata/name"),
        text("/kind")
    )
}

impl ApplyError {
    /// The `Status` object that Kubernetes answers with.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.to_string(),
            "code": 500,
        });
        match self {
            Self::Conflict(conflicts) => {
                status["reason"] = "Conflict".into();
                status["code"] = 409.into();
                status["details"] = json!({"causes": conflicts.causes()});
            }
            Self::BadRequest(_) => {
                status["reason"] = "BadRequest".into();
                status["code"] = 400.into();
            }
            _ => {}
        }
        status
    }
}

#[cfg(test)]
mod tests;
