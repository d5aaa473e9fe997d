//! Failures of writes, told so that people know what to do.

use std::fmt;

use crate::connect::Cluster;
use crate::dispatch::Refusal;
use crate::error::ClusterError;
use crate::inventory::InventoryError;
use crate::key::ObjectKey;

/// Why one object could not be brought to what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It must not be touched.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The cluster refused, or does not answer.
    #[error(transparent)]
    Cluster(ClusterError),
    /// A field that cannot be changed would have to change.
    #[error(
        "{object}: {} cannot be changed once the object exists ({message}); what you can do: undo that \
         change, rename the component, or add a resource-update policy with recreateFields: [{}] so that \
         the object is deleted and created again",
        fields.join(", "), fields.join(", ")
    )]
    Immutable {
        /// Which object.
        object: ObjectKey,
        /// The fields.
        fields: Vec<String>,
        /// What the API server said.
        message: String,
    },
    /// It was deleted to be created again, and is still there.
    #[error("{object} is being deleted to be created again, because {field} changed")]
    Recreating {
        /// Which object.
        object: ObjectKey,
        /// The field that changed.
        field: String,
    },
}

impl ObjectError {
    /// The same may succeed later without a change by people.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_transient(),
            Self::Cluster(error) => error.is_transient(),
            Self::Immutable { .. } => false,
            Self::Recreating { .. } => true,
        }
    }

    /// Tells an immutable field from other refusals.
    pub(super) fn of(object: &ObjectKey, error: ClusterError) -> Self {
        let Some(status) = error.status().filter(|status| status.code == 422) else {
            return Self::Cluster(error);
        };
        let says = |text: &str| {
            [
                "field is immutable",
                "may not change once set",
                "updates to",
                "cannot be changed",
            ]
            .iter()
            .any(|words| text.contains(words))
        };
        if !says(&status.message) {
            return Self::Cluster(error);
        }
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let mut fields: Vec<String> = causes
            .filter(|cause| says(&cause.message) && !cause.field.is_empty())
            .map(|cause| cause.field.clone())
            .collect();
        fields.dedup();
        if fields.is_empty() {
            fields.push("spec".to_owned());
        }
        Self::Immutable {
            object: object.clone(),
            fields,
            message: status.message.clone(),
        }
    }
}

/// Why a dispatch did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The inventory could not be read or written. Nothing was applied after that.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// Objects failed. If `applied` is false, nothing was written at all.
    #[error("{}", Failures(failures))]
    Objects {
        /// What failed, and why.
        failures: Vec<(ObjectKey, ObjectError)>,
        /// Whether other objects were written.
        applied: bool,
    },
}

impl DispatchError {
    /// The same may succeed later without a change by people.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Inventory(InventoryError::Conflict { .. }) => true,
            Self::Inventory(InventoryError::Cluster(error)) => error.is_transient(),
            Self::Inventory(_) => false,
            Self::Objects { failures, .. } => {
                failures.iter().all(|(_, error)| error.is_transient())
            }
        }
    }
}

struct Failures<'a>(&'a [(ObjectKey, ObjectError)]);

impl fmt::Display for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [(_, error)] = self.0 {
            return write!(f, "{error}");
        }
        write!(f, "{} objects failed: ", self.0.len())?;
        for (position, (_, error)) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}({error})")?;
        }
        Ok(())
    }
}

/// A discovery that failed may have been about a kind that appeared since.
pub(super) fn forget_if_missing(cluster: &Cluster, api_version: &str, error: &ClusterError) {
    if error.code() == 404 {
        cluster.forget(api_version);
    }
}
