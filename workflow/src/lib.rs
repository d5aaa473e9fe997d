//! The workflow of a delivery as a pure state machine: values in, values out.
//!
//! [`Dag`] is the checked shape of a workflow. [`State`] is one run of it: events go in through
//! [`State::advance`], [`Effect`]s come out, and somebody with a clock and a network carries them out. Every
//! accepted event is an [`Entry`] of the run's journal; a state rebuilt from its entries equals the one
//! that wrote them. [`commands`] reads what users ask for by writing `status.workflow` (WF-028).

mod commands;
mod dag;
mod duration;
mod event;
mod journal;
mod phase;
mod print;
mod request;
mod state;
mod status;
mod values;

pub use commands::commands;
pub use dag::{Dag, Fault, Node, Step, StepRef, When};
pub use duration::{InvalidDuration, parse_duration};
pub use event::{Actor, Command, Effect, Event, Illegal, Outcome, Unfinished};
pub use journal::{Entry, RebuildError, Rebuilt, Record, rebuild};
pub use phase::{Phase, Reason, RunPhase};
pub use print::{dot, tree};
pub use request::{Refused, request};
pub use state::{Limits, Recorded, RunSpec, State, Suspension};
pub use values::Values;
