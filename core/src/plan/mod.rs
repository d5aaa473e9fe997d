//! What is delivered where, and why: pure functions over values.
//!
//! What is left behind, and what holds for single objects, is decided over inventories and live objects:
//! see the crate `caravel-clusters`.

mod chosen;
pub mod data;
mod dry_run;
pub mod overrides;
mod placement;
pub mod scoped;

pub use chosen::Chosen;
pub use dry_run::{
    DryRunError, DryRunGroup, OpenCalls, RenderedGroup, dry_run, dry_run_of, is_late, render_group,
    show_group,
};
pub use placement::{
    ComponentCopy, Delivery, KnownCluster, Placement, PlacementReason, PlacementRules, deliveries,
    place, replicate,
};
