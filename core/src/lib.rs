//! The pure domain of Caravel: values in, values out. No clock, no environment, no client, no async
//! runtime. See `docs/architecture.md` for the way of the data.

pub mod api;
pub mod appfile;
pub mod charts;
pub mod check;
pub mod engine;
pub mod health;
pub mod packages;
pub mod path;
pub mod plan;
mod reads;
pub mod render;
pub mod yaml;
