//! Which system calls a thread may still make, by filters: one allows by a list, one
//! refuses with EPERM what the agent never needs and a program would notice.

use std::collections::BTreeMap;

use libc::{EPERM, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::{Room, calls};

/// Refused with EPERM, by name, where the list would answer ENOSYS: other programs, other users, other processes' memory,
/// namespaces and mounts, the kernel's modules and clock, the network.
const REFUSED: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pidfd_getfd,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_mknodat,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Old calls that arm64 does not have.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];

/// Commands of `bpf(2)` that read and write maps and ask for figures
/// (`enum bpf_cmd`, `include/uapi/linux/bpf.h`): look up, update, delete and next key
/// of a map, an object's figures, look up and delete, freeze, and the four batches.
const ON_MAPS: &[u64] = &[1, 2, 3, 4, 15, 21, 22, 24, 25, 26, 27];
/// The same enum's: what is pinned, which a new set of rules is written to.
const OBJ_GET: u64 = 7;

/// Calls that open a file, and which of their arguments has the flags.
const OPENS: &[(c_long, u8)] = &[
    (libc::SYS_openat, 2),
    (libc::SYS_open_by_handle_at, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1),
];
/// Flags of which a file that is opened to be read has none.
const WRITES: [libc::c_int; 4] = [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC];

pub(super) fn install(room: Room) -> Result<(), String> {
    let as_text = |error: seccompiler::Error| error.to_string();
    let refused = SeccompAction::Errno(EPERM.unsigned_abs());
    let refuse = compiled(rules(room)?, SeccompAction::Allow, refused)?;
    // Libraries fall back where a call is absent: to clone of clone3, whose arguments lie
    // in memory that a filter can't read.
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let listed = calls::of(room).map(|call| (call, Vec::new())).collect();
    let allow = compiled(listed, absent, SeccompAction::Allow)?;
    seccompiler::apply_filter(&allow).map_err(as_text)?;
    // Of two filters that refuse, the errno of the last one counts.
    seccompiler::apply_filter(&refuse).map_err(as_text)
}

/// A filter that does one thing with calls that its rules match, another with others.
fn compiled(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    others: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, String> {
    let as_text = |error: seccompiler::BackendError| error.to_string();
    let target = TargetArch::try_from(std::env::consts::ARCH).map_err(as_text)?;
    let filter = SeccompFilter::new(rules, others, matched, target).map_err(as_text)?;
    filter.try_into().map_err(as_text)
}

fn rules(room: Room) -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED
        .iter()
        .chain(OLD)
        .map(|call| (*call, Vec::new()))
        .collect();
    // A process, as opposed to a thread.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(libc::SYS_clone, vec![all([lacks(0, thread)])?]);
    if !room.attaches() {
        rules.insert(libc::SYS_perf_event_open, Vec::new());
        let pinned = (room == Room::Main).then_some(&OBJ_GET);
        let commands = ON_MAPS.iter().chain(pinned);
        let commands = commands.map(|command| differs(0, *command));
        rules.insert(libc::SYS_bpf, vec![all(commands)?]);
    }
    if room == Room::LookUp {
        // Nothing else keeps it from writing (`files`).
        for (call, flags) in OPENS {
            let writes = WRITES.iter().map(|bit| all([has(*flags, *bit)]));
            rules.insert(*call, writes.collect::<Result<_, _>>()?);
        }
    }
    Ok(rules)
}

type Condition = Result<SeccompCondition, seccompiler::BackendError>;

fn differs(argument: u8, from: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, from)
}

fn has(argument: u8, bit: libc::c_int) -> Condition {
    let bit = u64::from(bit.unsigned_abs());
    let masked = SeccompCmpOp::MaskedEq(bit);
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, masked, bit)
}

fn lacks(argument: u8, bit: u64) -> Condition {
    let masked = SeccompCmpOp::MaskedEq(bit);
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, masked, 0)
}

fn all(conditions: impl IntoIterator<Item = Condition>) -> Result<SeccompRule, String> {
    let as_text = |error: seccompiler::BackendError| error.to_string();
    let conditions: Result<Vec<_>, _> = conditions.into_iter().collect();
    SeccompRule::new(conditions.map_err(as_text)?).map_err(as_text)
}
