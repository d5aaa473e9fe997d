//! Journals of workflow runs.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use caravel_workflow::{Entry, Rebuilt, rebuild};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StoreError;

/// A run of a workflow. Ids are unique, and later runs of an Application are found by time, not by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Application. One that was deleted and made again under its name has another uid: what the first one did is not its past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AppKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// What is known of a run when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHead {
    /// Its id.
    pub id: RunId,
    /// Whose run it is.
    pub app: AppKey,
    /// The revision that it delivers.
    pub revision: String,
    /// When it was opened.
    pub opened: Timestamp,
}

/// A run as the store knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What was known when it was opened.
    pub head: RunHead,
    /// Whether its delivery has been recorded: it is over.
    pub closed: bool,
    /// Entries in its journal.
    pub entries: u64,
    /// The status that was last written for it.
    pub projection: Option<Projection>,
}

/// The last `status.workflow` that was written for a run: what differs from it is a user's wish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Projection {
    /// The Application's resourceVersion after the write.
    pub resource_version: String,
    /// The status that was written.
    pub status: Value,
}

/// How much is kept of each Application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Journals of runs that are over.
    pub journals: u32,
    /// Rows of delivery history.
    pub deliveries: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            journals: 20,
            deliveries: 1_000,
        }
    }
}

/// Journals of workflow runs. What a method has answered with `Ok` outlives the process.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Opens a run with its first entries.
    async fn open(&self, head: &RunHead, entries: Vec<Entry>) -> Result<(), StoreError>;

    /// Appends entries. `expected` is the number of entries that the writer knows of: with another number there
    /// is another writer, and nothing is written.
    async fn append(
        &self,
        run: &RunId,
        expected: u64,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError>;

    /// All entries of a run, in order.
    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, StoreError>;

    /// The newest run of an Application.
    async fn latest(&self, app: &AppKey) -> Result<Option<Run>, StoreError>;

    /// The runs of an Application whose journals are kept, newest first.
    async fn runs(&self, app: &AppKey) -> Result<Vec<Run>, StoreError>;

    /// Notes which status was written for a run.
    async fn project(&self, run: &RunId, projection: &Projection) -> Result<(), StoreError>;

    /// Keeps what cannot be found out again of how a component was delivered, in place of what was kept under the key.
    async fn keep(&self, app: &AppKey, key: &str, value: &Value) -> Result<(), StoreError>;

    /// What was kept of an Application's components, by key.
    async fn kept(&self, app: &AppKey) -> Result<BTreeMap<String, Value>, StoreError>;

    /// Forgets the journals of an Application that is gone, and what was kept of it. Its delivery history stays.
    async fn forget(&self, app: &AppKey) -> Result<(), StoreError>;

    /// The state of a run, rebuilt from its journal.
    async fn rebuild(&self, run: &RunId) -> Result<Rebuilt, StoreError> {
        Ok(rebuild(self.load(run).await?)?)
    }
}
