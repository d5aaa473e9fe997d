//! What can go wrong with a cluster.

use kube::core::Status;

/// Why a request to a cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No cluster has this name.
    #[error("cluster \"{name}\" is not registered; registered clusters: {known}")]
    UnknownCluster {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: String,
        /// Whether all registered clusters have been read.
        complete: bool,
    },
    /// The cluster does not serve this kind.
    #[error(
        "cluster \"{cluster}\" does not serve {api_version} {kind}; install what provides it (its \
         CustomResourceDefinition or operator), or correct apiVersion and kind"
    )]
    KindNotServed {
        /// Name of the cluster.
        cluster: String,
        /// API group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
    /// A manifest lacks what every object has.
    #[error("{what} has no {field}")]
    Incomplete {
        /// Which manifest.
        what: String,
        /// The missing field.
        field: &'static str,
    },
    /// The API server refused a request.
    #[error("{action} in cluster \"{cluster}\": {}", status.message)]
    Api {
        /// Name of the cluster.
        cluster: String,
        /// What was tried.
        action: String,
        /// The answer.
        status: Box<Status>,
    },
    /// No answer, or one that is not understood. Whether the request took effect is not known.
    #[error("{action} in cluster \"{cluster}\" has no answer: {source}")]
    Unanswered {
        /// Name of the cluster.
        cluster: String,
        /// What was tried.
        action: String,
        /// What went wrong.
        source: Box<kube::Error>,
    },
}

impl ClusterError {
    /// The HTTP code of the answer; 0 without one.
    pub fn code(&self) -> u16 {
        match self {
            Self::Api { status, .. } => status.code,
            _ => 0,
        }
    }

    /// The answer, if there is one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api { status, .. } => Some(status),
            _ => None,
        }
    }

    /// The API server looked at what was sent and did not take it: nothing was written.
    pub fn is_refusal(&self) -> bool {
        matches!(self.code(), 400 | 403 | 404 | 405 | 413 | 415 | 422)
    }

    /// The object is not there, and neither is its kind or its cluster (APP-055).
    pub fn is_gone(&self) -> bool {
        match self {
            Self::UnknownCluster { complete, .. } => *complete,
            Self::KindNotServed { .. } => true,
            other => other.code() == 404,
        }
    }

    /// The object changed since it was read, or was made by somebody else.
    pub fn is_conflict(&self) -> bool {
        self.code() == 409
    }

    /// There is an object of this name already.
    pub fn is_already_exists(&self) -> bool {
        self.status()
            .is_some_and(|status| status.code == 409 && status.reason == "AlreadyExists")
    }

    /// The same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unanswered { .. }
            | Self::UnknownCluster {
                complete: false, ..
            } => true,
            other => matches!(other.code(), 409 | 429 | 500 | 502 | 503 | 504),
        }
    }
}
