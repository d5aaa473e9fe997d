//! Many clusters: connect, dispatch, observe, prune, inventory, lease.
