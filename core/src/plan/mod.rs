//! What is delivered where, what is left, and why: pure functions over values.

mod dry_run;
pub mod overrides;

pub use dry_run::{DryRunError, DryRunGroup, RenderedGroup, dry_run, render_group};
