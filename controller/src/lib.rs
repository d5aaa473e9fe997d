//! The reconcilers, the asynchronous workflow engine, admission.

pub mod admission;
mod application;
mod author;
pub mod bootstrap;
mod cached;
mod calls;
mod definition;
pub mod engine;
pub mod evaluation;
mod library;
mod packages;
mod rendering;
mod start;

pub use application::{Handle as ApplicationsHandle, Options as ApplicationOptions, UNLOAD_AFTER};
pub use author::{Authentication, DAEMON};
pub use start::{Controllers, Options};

/// The field manager of everything that Caravel writes.
pub const FIELD_MANAGER: &str = "caravel";
