//! The system calls that a thread may make once the agent is attached, by what they
//! are for. Every other one, also one that is invented later, answers ENOSYS, as on a
//! kernel without it.
//!
//! Written from what the agent, tokio, axum, rustls, aya, glibc and musl call in the
//! tests' runs (strace), and from what their fall-backs would call.

use libc::c_long;

use super::Room;

/// Memory, threads, signals, time, and what a process asks of itself.
const ITSELF: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_clone,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_futex,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_prlimit64,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // abort(3), to the process itself: a filter can't compare with its number.
    libc::SYS_tgkill,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    // A thread that it starts enters its own room.
    libc::SYS_prctl,
    libc::SYS_capget,
    libc::SYS_capset,
    libc::SYS_seccomp,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
];

/// What is done with a descriptor, and waiting for it.
const DESCRIPTORS: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    // Maps; which commands is the other filter's.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
];

/// Looking at files and processes.
const LOOKS: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_pidfd_open,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
];

/// Opening beneath a folder. Its flags lie in memory that a filter can't read, so who
/// has no Landlock goes there step by step.
const BENEATH: &[c_long] = &[libc::SYS_openat2];

/// Changing files; which ones is Landlock's.
const CHANGES: &[c_long] = &[
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_umask,
];

/// Old forms, which arm64 does not have.
#[cfg(target_arch = "x86_64")]
mod old {
    pub const DESCRIPTORS: &[libc::c_long] = &[
        libc::SYS_poll,
        libc::SYS_epoll_wait,
        libc::SYS_dup2,
        libc::SYS_pipe,
        libc::SYS_time,
    ];
    pub const LOOKS: &[libc::c_long] = &[
        libc::SYS_open,
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_access,
        libc::SYS_readlink,
        libc::SYS_getdents,
    ];
    pub const CHANGES: &[libc::c_long] = &[
        libc::SYS_mkdir,
        libc::SYS_rmdir,
        libc::SYS_unlink,
        libc::SYS_rename,
        libc::SYS_chmod,
    ];
}
#[cfg(not(target_arch = "x86_64"))]
mod old {
    pub const DESCRIPTORS: &[libc::c_long] = &[];
    pub const LOOKS: &[libc::c_long] = &[];
    pub const CHANGES: &[libc::c_long] = &[];
}

/// All that a room may call.
pub(super) fn of(room: Room) -> impl Iterator<Item = c_long> {
    let changes: [&[c_long]; 2] = match room {
        // Events and state, pins, and the file of a socket.
        Room::Main | Room::Events | Room::Storms | Room::Web => [CHANGES, old::CHANGES],
        Room::LookUp | Room::AuditLog | Room::Plain => [&[], &[]],
    };
    let beneath = Some(BENEATH).filter(|_| room != Room::LookUp);
    [ITSELF, DESCRIPTORS, LOOKS, old::DESCRIPTORS, old::LOOKS]
        .into_iter()
        .chain(beneath)
        .chain(changes)
        .flatten()
        .copied()
}
