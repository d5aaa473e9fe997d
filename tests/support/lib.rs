//! What scenarios, conformance and end-to-end tests share: the real daemon, the real kubectl, the folder
//! of conformance inputs.

pub mod conformance;
pub mod daemon;
pub mod kubectl;
pub mod object;
pub mod play;
pub mod render;
pub mod sink;
pub mod wait;
pub mod world;
