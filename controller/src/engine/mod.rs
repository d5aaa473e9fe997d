//! The asynchronous workflow engine: carries effects out and feeds events in.
//!
//! All decisions are made by [`caravel_workflow::State`]. Each accepted event is in the journal before anything that follows
//! from it is done, so a process that dies at any moment is continued by [`Runner::resume`] as if it had not died: what was
//! recorded is not done again, and what was under way is. Calls that are not idempotent have an entry before they are
//! made (*intent*) and one with the answer.

mod attempt;
mod calls;
mod check;
mod fault;
mod http;
mod ports;
mod run;

pub use fault::{AbortAt, FAULTS, Faults};
pub(crate) use ports::outputs_value;
pub use ports::{
    Applied, ComponentRequest, DeployRequest, PortError, Ports, StepTemplate, UnknownOutcome,
};
pub use run::{RunError, RunHandle, Runner, Snapshot};

#[cfg(test)]
mod tests;
