//! Why something could not be stored or read.

use caravel_workflow::RebuildError;

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process wrote to the run: its entries have to be read again.
    #[error(
        "the journal of run {run} has {found} entries, not {expected}: somebody else wrote to it"
    )]
    Conflict {
        /// The run.
        run: String,
        /// Entries that the writer knew of.
        expected: u64,
        /// Entries that there are.
        found: u64,
    },
    /// There is no such run.
    #[error("there is no run {0}")]
    NoRun(String),
    /// The run is there already.
    #[error("run {0} has been opened before")]
    RunExists(String),
    /// Another daemon has the folder.
    #[error(
        "the data folder {folder} is in use by another caravel; stop it, or choose another folder with --data-dir"
    )]
    InUse {
        /// The folder.
        folder: String,
    },
    /// A newer program wrote the file.
    #[error(
        "{file} was written by a newer caravel (schema {found}, this one knows {known}); start that version again, or restore a backup"
    )]
    Newer {
        /// The file.
        file: String,
        /// Its schema.
        found: i64,
        /// The newest schema that is known here.
        known: i64,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The key file is damaged, or readable by others.
    #[error("{path}: {problem}")]
    Key {
        /// The key file.
        path: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Sealed content does not open with the key.
    #[error(
        "entry {seq} of run {run} does not open with the hub's key; it was sealed with another one, or it is damaged"
    )]
    Sealed {
        /// The run.
        run: String,
        /// The entry.
        seq: u64,
    },
    /// Sealing failed.
    #[error("the content could not be sealed")]
    Seal,
    /// The disk is full: nothing was written.
    #[error("the disk is full: nothing can be written until there is space again")]
    DiskFull,
    /// What is stored is not what was written.
    #[error("what is stored is damaged: {0}")]
    Damaged(String),
    /// A journal does not give a state.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Anything else that the database says.
    #[error("database: {0}")]
    Database(String),
}

/// `SQLITE_FULL`.
const FULL: &str = "13";

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let full = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| code == FULL);
        match error {
            _ if full => Self::DiskFull,
            sqlx::Error::PoolClosed => Self::Closed,
            other => Self::Database(other.to_string()),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}
