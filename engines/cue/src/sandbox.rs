//! What a worker gives up before its first frame.

/// Gives up new privileges, a life after the daemon, files and the network.
///
/// What the kernel refuses to take is no reason to end: the pool's limits and the end of input still hold.
/// Limits of memory and files are set by the pool from outside.
#[cfg(target_os = "linux")]
pub(crate) fn enter() {
    use rustix::process::{Signal, set_parent_process_death_signal};
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::thread::set_no_new_privs(true);
    let _ = linux::forbid();
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn enter() {}

/// Keeps what whoever started this process left open from all programs that this process starts: they get their standard
/// streams and nothing else. What this process opens itself is kept from them anyway.
///
/// To be called before anything else. Closing the files in the worker would come too late: Go has its own by then.
#[cfg(target_os = "linux")]
pub fn keep_inherited_files() {
    let (first, last) = (3_u32, u32::MAX);
    // SAFETY: a system call on numbers; it closes nothing, and reads and writes no memory. Kernels before 5.11 refuse it.
    #[expect(unsafe_code, reason = "no safe form of this system call")]
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            last,
            libc::CLOSE_RANGE_CLOEXEC,
        );
    }
}

/// There is nothing like it here.
#[cfg(not(target_os = "linux"))]
pub fn keep_inherited_files() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;

    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};

    /// Evaluating a template needs memory, threads, clocks and three open pipes. Whatever opens a door to
    /// the rest of the system answers `EPERM`.
    const FORBIDDEN: &[libc::c_long] = &[
        // Files.
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_open_by_handle_at,
        libc::SYS_name_to_handle_at,
        libc::SYS_unlinkat,
        libc::SYS_renameat2,
        libc::SYS_linkat,
        libc::SYS_symlinkat,
        libc::SYS_mkdirat,
        libc::SYS_mknodat,
        libc::SYS_fchmodat,
        libc::SYS_fchownat,
        libc::SYS_truncate,
        libc::SYS_chroot,
        libc::SYS_mount,
        libc::SYS_memfd_create,
        // The network and other channels.
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept4,
        libc::SYS_io_uring_setup,
        // Other programs and processes.
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_kill,
        libc::SYS_setns,
        libc::SYS_unshare,
        // The kernel.
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_userfaultfd,
    ];

    /// The older forms of some of these, where the architecture has them.
    #[cfg(target_arch = "x86_64")]
    const OLDER: &[libc::c_long] = &[
        libc::SYS_open,
        libc::SYS_creat,
        libc::SYS_unlink,
        libc::SYS_rename,
        libc::SYS_renameat,
        libc::SYS_link,
        libc::SYS_symlink,
        libc::SYS_mkdir,
        libc::SYS_rmdir,
        libc::SYS_mknod,
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_accept,
        libc::SYS_fork,
        libc::SYS_vfork,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const OLDER: &[libc::c_long] = &[libc::SYS_accept];

    /// Sets the filter on all threads: those of the Go runtime run already.
    pub(super) fn forbid() -> Result<(), Box<dyn std::error::Error>> {
        let rules: BTreeMap<i64, Vec<_>> = FORBIDDEN
            .iter()
            .chain(OLDER)
            .map(|number| (*number, Vec::new()))
            .collect();
        let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        let architecture = std::env::consts::ARCH.try_into()?;
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture)?;
        let program: BpfProgram = filter.try_into()?;
        apply_filter_all_threads(&program)?;
        Ok(())
    }
}
