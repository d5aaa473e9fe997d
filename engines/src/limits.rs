//! Limits of the programs that are started, set from outside.

use std::io;

/// Longest request that a worker evaluates.
pub(crate) const LONGEST_EVALUATED: usize = 2 << 20;

/// Sets what a process may have: bytes of memory (`RLIMIT_DATA`) and open files; it leaves no core file. `RLIMIT_AS` would not do:
/// Go reserves far more addresses than it uses.
#[cfg(target_os = "linux")]
pub(crate) fn limit(process: u32, memory: u64, open_files: u64) -> io::Result<()> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    // Without a process the kernel would limit ourselves.
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other(format!("{process} is no process")))?;
    for (resource, limit) in [
        (Resource::Data, memory),
        (Resource::Core, 0),
        (Resource::Nofile, open_files),
    ] {
        prlimit(
            Some(pid),
            resource,
            Rlimit {
                current: Some(limit),
                maximum: Some(limit),
            },
        )?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the daemon runs on Linux")]
pub(crate) fn limit(_process: u32, _memory: u64, _open_files: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_process_is_refused_and_does_not_limit_ourselves() {
        let before = std::fs::read_to_string("/proc/self/limits").unwrap();
        assert!(limit(0, 1 << 20, 3).is_err());
        assert!(limit(u32::MAX, 1 << 20, 3).is_err());
        assert_eq!(
            std::fs::read_to_string("/proc/self/limits").unwrap(),
            before
        );
    }
}
