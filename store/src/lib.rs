//! What must outlive the daemon besides the API's objects: the journals of workflow runs, and the
//! history of deliveries.
//!
//! [`Sqlite`] keeps both in `caravel.db`; what it answers is on the disk. [`Memory`] is for tests.

mod error;
mod history;
mod journal;
mod memory;
mod seal;
mod sqlite;

pub use error::StoreError;
pub use history::{Cursor, Delivery, DeliveryQuery, DeliveryStep, History, Page};
pub use journal::{AppKey, Journal, Projection, Retention, Run, RunHead, RunId};
pub use memory::Memory;
pub use seal::{KEY_FILE, Sealer};
pub use sqlite::{DATABASE_FILE, Sqlite};

/// Journal and history in one place.
pub trait Store: Journal + History {}

impl<T: Journal + History + ?Sized> Store for T {}
