//! Embedded Kubernetes-style API server.
//!
//! Layers, each knowing only those below it: [`store`] (one ordered, durable sequence of writes, its state and its
//! recent past) → catalog (what is served) → registry (what a write does) → [`admission`] → authorization → HTTP.

pub mod admission;
mod auth;
mod catalog;
pub mod controllers;
mod core;
mod custom;
mod documents;
mod fields;
mod http;
mod identity;
mod kinds;
mod listen;
mod registry;
mod request;
mod selector;
mod server;
pub mod simulator;
pub mod status;
pub mod store;

pub use self::auth::pki::PkiError;
pub use self::core::Clock;
pub use self::http::MINOR;
pub use identity::{AUTHENTICATED, Identity, MASTERS};
pub use request::Target;
pub use server::{ApiServer, Config, Error, Storage};
