//! The CUE bridge: a Go C archive linked through a small C interface.
//!
//! [`call`] serves one request of the frame protocol (`docs/protocol.md`) in this process;
//! [`worker_main`] serves frames on standard input and output until it is closed. Nothing else of the
//! workspace links Go, and no other crate has unsafe code.
//!
//! A program that links this crate has Go's threads before `main`: it must never fork without exec, and
//! [`call`] must not run in a destructor of thread-local storage (Go needs the thread's signal stack).

mod ffi;
mod sandbox;
mod worker;

pub use ffi::{call, remember_templates};
pub use sandbox::keep_inherited_files;
pub use worker::worker_main;
