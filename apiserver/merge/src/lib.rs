//! Structured merge: server-side apply, managedFields, strategic merge patch; pure.
//!
//! - [`apply`] carries out a server-side apply, [`update`] records ownership for every other write.
//!   Both take a [`Schema`] (or [`Versions`] of one) and leave defaulting and validation to the caller.
//! - [`patch`] carries out the three patch formats that are not applies.
//!
//! No clock: the present time comes in as an argument.

mod apply;
mod conflict;
mod last_applied;
mod managed;
pub mod patch;
mod path;
mod schema;
mod set;
mod typed;
mod update;
mod value;
mod zero;

pub use apply::{
    ApplyError, ApplyOptions, UpdateError, UpdateOptions, apply, update, update_in_place,
};
pub use conflict::{Conflict, Conflicts};
pub use managed::{ManagedFieldsError, keep_times_if_unchanged, validate_managed_fields};
pub use path::{Path, PathElement, PathElementError};
pub use schema::{Schema, SchemaError};
pub use set::FieldSet;
pub use typed::{TypeError, TypeErrors};
pub use update::Versions;
pub use value::Datum;
