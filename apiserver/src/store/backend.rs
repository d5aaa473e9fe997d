//! What makes writes durable.

use std::sync::Arc;

use async_trait::async_trait;

use super::object::{Key, Object};

/// What a write did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The object is new.
    Added,
    /// The object was there before.
    Modified,
    /// The object is gone; the change carries its last state.
    Deleted,
}

/// One write in the order of the store.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The object after the write, or its last state if it was deleted. Its version is the write's.
    pub object: Arc<Object>,
    /// The object before the write; `None` if it was not there, or not known any more.
    pub previous: Option<Arc<Object>>,
}

impl Change {
    /// The resourceVersion of the write.
    pub fn version(&self) -> u64 {
        self.object.version
    }

    /// Where it was written.
    pub fn key(&self) -> &Key {
        &self.object.key
    }
}

/// What a backend kept, read once at start.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The last resourceVersion that was given out.
    pub version: u64,
    /// Events up to this resourceVersion are not kept.
    pub compacted: u64,
    /// The objects that exist now.
    pub objects: Vec<Arc<Object>>,
    /// The events after `compacted`, oldest first.
    pub events: Vec<(ChangeKind, Arc<Object>)>,
}

/// Why a backend could not do its work, in words.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The database was written by a newer program.
    #[error(
        "the database has schema version {found}, this program knows only up to {known}; use the newer program, or restore a backup"
    )]
    Newer {
        /// The version found.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Another daemon holds the folder.
    #[error(
        "the data folder {folder} is in use by another daemon; stop it, or choose another folder"
    )]
    InUse {
        /// The folder.
        folder: String,
    },
    /// A file cannot be used.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Durable storage under the store. It belongs to the one writer, so no two calls overlap.
#[async_trait]
pub trait Backend: Send + 'static {
    /// Reads what was kept.
    async fn load(&mut self) -> Result<Loaded, BackendError>;

    /// Makes all changes durable, or none. Must not return before they are.
    async fn commit(&mut self, changes: &[Change]) -> Result<(), BackendError>;

    /// Forgets the events up to `version`; objects that exist stay.
    async fn compact(&mut self, version: u64) -> Result<(), BackendError>;

    /// Releases everything.
    async fn close(&mut self);
}

/// Keeps nothing: for tests, and for servers whose state may go with the process.
#[derive(Debug, Default)]
pub struct Memory;

#[async_trait]
impl Backend for Memory {
    async fn load(&mut self) -> Result<Loaded, BackendError> {
        Ok(Loaded::default())
    }

    async fn commit(&mut self, _: &[Change]) -> Result<(), BackendError> {
        Ok(())
    }

    async fn compact(&mut self, _: u64) -> Result<(), BackendError> {
        Ok(())
    }

    async fn close(&mut self) {}
}
