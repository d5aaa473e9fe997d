//! Many clusters: connect, dispatch, observe, repair, prune, inventory.
//!
//! - [`connect`]: a client per cluster, and what it serves.
//! - [`inventory`]: what an Application owns, recorded before it is applied.
//! - [`dispatch`]: applying, skipped when nothing differs.
//! - [`observe`]: watches on exactly the kinds that are deployed.
//! - [`repair`]: bringing objects back to what was recorded, without rendering.
//! - [`prune`]: deleting what is no longer wanted, and nothing else.
//!
//! Decisions are functions over values; requests are sent at the edges.

pub mod connect;
pub mod dispatch;
mod error;
pub mod inventory;
mod key;
pub mod observe;
mod owner;
pub mod prune;
mod raw;
pub mod repair;
mod rules;
#[cfg(test)]
mod testing;

pub use error::ClusterError;
pub use key::{ObjectKey, cluster_name};
pub use owner::{Owner, label, owner_labels, stamp};
pub use raw::RawObject;
pub use rules::{Purpose, ResourcePolicies, Rules};
