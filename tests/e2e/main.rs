//! End to end: the real program and the real kubectl, as a user has them.
//!
//! One module per promise. Tests that only need a namespace of their own share a daemon (see [`place`]); those
//! that kill it, or look at everything in it, start their own.

mod approval;
mod bombs;
mod charts;
mod configs;
mod crash;
mod def;
mod definitions;
mod delivery;
mod drift;
mod handover;
mod health;
mod identity;
mod informers;
mod late;
mod life;
mod list;
mod live_policies;
mod operations;
mod place;
mod policies;
mod process;
mod refused;
mod rest;
mod secrets;
mod versions;
