//! Waiting for what must come true.

use std::time::{Duration, Instant};

/// How long things may take on a machine that builds at the same time.
pub const PATIENCE: Duration = Duration::from_mins(1);

const PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until there is something to see.
///
/// # Panics
/// If there is nothing after [`PATIENCE`].
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// Looks again and again until there is something to see.
///
/// # Panics
/// If there is nothing in this time.
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not in {limit:?}: {what}");
        std::thread::sleep(PAUSE);
    }
}
