//! What is to be done with one object: a function of what we want, what there is, and the policies.

use caravel_core::api::labels::annotations;
use serde_json::Value;

use super::fields;
use super::paths;
use crate::key::{ObjectKey, text};
use crate::owner::{Owner, as_applied, object_at, owner_labels};
use crate::rules::{Purpose, Rules};

/// What is to be done with an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Create it.
    Create(Value),
    /// Apply it; before, turn entries of plain updates into ours by this patch.
    Apply {
        /// What is applied.
        body: Value,
        /// The patch that goes before.
        adoption: Option<Value>,
    },
    /// Write it as a whole.
    Replace(Value),
    /// Delete it and create it again, because this field changed.
    Recreate {
        /// What is created.
        body: Value,
        /// The field.
        field: String,
    },
    /// Only say in its annotation that we use it too.
    Share(Value),
    /// Nothing.
    Nothing(Reason),
}

/// Why nothing is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is as we want it.
    Equal,
    /// The policy `read-only`.
    ReadOnly,
    /// The policy `apply-once`.
    ApplyOnce,
    /// Another Application writes it, and shares it with us.
    Shared,
}

/// Why an object must not be touched. The beginnings of the texts are KubeVela's (APP-047).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody's labels are on it.
    #[error(
        "{object} exists but not managed by any application now; add a take-over policy to adopt it, or \
         choose another name"
    )]
    NotManaged {
        /// Which object.
        object: String,
    },
    /// Another Application owns it.
    #[error(
        "existing object {object} is managed by other application {owner}; choose another name, or add a \
         shared-resource policy to both applications"
    )]
    Other {
        /// Which object.
        object: String,
        /// Namespace and name of the owner.
        owner: String,
    },
    /// The policy `read-only` is about an object that is not there.
    #[error(
        "{object} is read-only but does not exist; create it first, or take it out of the read-only policy"
    )]
    Missing {
        /// Which object.
        object: String,
    },
    /// It is on its way out; what would be written now would be lost.
    #[error(
        "{object} is being deleted; it is created again when it is gone (finalizers: {finalizers})"
    )]
    Terminating {
        /// Which object.
        object: String,
        /// What keeps it.
        finalizers: String,
    },
}

impl Refusal {
    /// It goes away by itself.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Terminating { .. })
    }
}

/// Decides. `desired` is stamped ([`crate::owner::stamp`]).
///
/// # Errors
/// [`Refusal`].
pub fn decide(
    desired: &Value,
    live: Option<&Value>,
    owner: &Owner,
    rules: &Rules,
    purpose: Purpose,
) -> Result<Step, Refusal> {
    let object = ObjectKey::of(None, desired).short();
    let Some(live) = live else {
        if rules.read_only {
            return Err(Refusal::Missing { object });
        }
        return Ok(Step::Create(shared_by(desired.clone(), None, owner, rules)));
    };
    if rules.read_only {
        return Ok(Step::Nothing(Reason::ReadOnly));
    }
    match owner_labels(live) {
        _ if owner.owns(live) => {}
        None if rules.take_over || (rules.shared && is_shared(live)) => {}
        None => return Err(Refusal::NotManaged { object }),
        Some((namespace, name)) => {
            return if rules.shared && is_shared(live) {
                Ok(share(live, owner))
            } else {
                Err(Refusal::Other {
                    object,
                    owner: format!("{namespace}/{name}"),
                })
            };
        }
    }
    if live["metadata"]["deletionTimestamp"].is_string() {
        let finalizers = live["metadata"]["finalizers"]
            .as_array()
            .into_iter()
            .flatten();
        let finalizers = finalizers.map(text).collect::<Vec<_>>().join(", ");
        return Err(Refusal::Terminating { object, finalizers });
    }
    let kept = rules.kept(purpose);
    if kept.iter().any(|path| path == "*") {
        return Ok(Step::Nothing(Reason::ApplyOnce));
    }
    let mut body = shared_by(desired.clone(), Some(live), owner, rules);
    for path in kept {
        paths::copy(path, live, &mut body);
    }
    if fields::is_autoscaled(live) {
        paths::remove("spec.replicas", &mut body);
    }
    Ok(write(body, live, owner.owns(live), rules))
}

/// How an object that is ours, and is there, is brought to what we want.
fn write(body: Value, live: &Value, ours: bool, rules: &Rules) -> Step {
    let recreate = rules.recreate_fields.iter().find(|path| {
        let wanted = paths::get(path, &body);
        wanted.is_some() && wanted != paths::get(path, live)
    });
    if let Some(field) = recreate {
        return Step::Recreate {
            field: field.clone(),
            body,
        };
    }
    let body = as_applied(&body, live);
    if fields::difference(&body, live).is_none() {
        return Step::Nothing(Reason::Equal);
    }
    if rules.replace {
        return Step::Replace(body);
    }
    // Of an object that was nobody's, we take only the fields that we want.
    let adoption = ours
        .then(|| fields::adoption(live, text(&body["apiVersion"])))
        .flatten();
    Step::Apply { body, adoption }
}

/// The Applications that use an object: `namespace/name`, the owner first (POL-003).
pub(crate) fn sharers(object: &Value) -> Vec<&str> {
    let list = text(&object["metadata"]["annotations"][annotations::SHARED_BY]);
    list.split(',')
        .map(str::trim)
        .filter(|sharer| !sharer.is_empty())
        .collect()
}

fn is_shared(live: &Value) -> bool {
    !sharers(live).is_empty()
}

/// We are not the owner: only our name is added.
fn share(live: &Value, owner: &Owner) -> Step {
    let id = owner.id();
    let mut all = sharers(live);
    if all.contains(&id.as_str()) {
        return Step::Nothing(Reason::Shared);
    }
    all.push(&id);
    Step::Share(serde_json::json!({"metadata": {
        "uid": live["metadata"]["uid"],
        "resourceVersion": live["metadata"]["resourceVersion"],
        "annotations": { annotations::SHARED_BY: all.join(",") },
    }}))
}

/// We are the owner: our name comes first in the list of those who use it.
fn shared_by(mut body: Value, live: Option<&Value>, owner: &Owner, rules: &Rules) -> Value {
    if rules.shared {
        let id = owner.id();
        let mut all = live.map(sharers).unwrap_or_default();
        if !all.contains(&id.as_str()) {
            all.insert(0, &id);
        }
        let list = all.join(",");
        object_at(&mut body, "annotations").insert(annotations::SHARED_BY.to_owned(), list.into());
    }
    body
}
