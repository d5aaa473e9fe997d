//! The reconcilers, the asynchronous workflow engine, admission.

pub mod admission;
mod application;
pub mod bootstrap;
mod definition;
pub mod evaluation;
mod library;

/// The field manager of everything that Caravel writes.
pub const FIELD_MANAGER: &str = "caravel";
