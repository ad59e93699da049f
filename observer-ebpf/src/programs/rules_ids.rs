//! What a rule refuses of user namespaces, their id maps, and groups within them
//! (`kernel/user_namespace.c`, `kernel/groups.c`). All of it is rare, so that both
//! mechanisms read through the helper, and nothing is read where lockdown forbids it.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user, bpf_probe_read_user_str_bytes},
    macros::{fexit, kprobe, kretprobe},
    programs::{FExitContext, ProbeContext, RetProbeContext},
};
use observer_ebpf::{
    Broken, Call, NONE, Reason,
    decide::{
        ids::{self, IdMap, MAP_TEXT, Opener},
        rules::Refused,
    },
};

use super::{
    breach::{self, Broke},
    host::off,
    maps::Reporter,
    mem::{Mem, Probed, Ptr},
    rules::EPERM,
    task,
    underway::{self, Kind},
};

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SETFCAP: u32 = 31;
/// `USERNS_SETGROUPS_ALLOWED` (`include/linux/user_namespace.h`).
const SETGROUPS_ALLOWED: u64 = 1;
/// `UID_GID_MAP_MAX_BASE_EXTENTS` (`include/linux/user_namespace.h`).
const BASE_EXTENTS: u32 = 5;

/// `ssize_t proc_uid_map_write(struct file *file, const char __user *buf, size_t size, loff_t *ppos)`
#[fexit]
pub fn rule_uid_map_exit(ctx: FExitContext) -> i32 {
    if ctx.arg::<i64>(4) == i64::from(-EPERM) {
        map(
            Reporter::UidMap,
            Call::UidMap,
            ctx.arg(0),
            ctx.arg(1),
            ctx.arg(2),
        );
    }
    0
}

/// The same of `gid_map`.
#[fexit]
pub fn rule_gid_map_exit(ctx: FExitContext) -> i32 {
    if ctx.arg::<i64>(4) == i64::from(-EPERM) {
        map(
            Reporter::GidMap,
            Call::GidMap,
            ctx.arg(0),
            ctx.arg(1),
            ctx.arg(2),
        );
    }
    0
}

#[inline(always)]
fn map_begins(ctx: &ProbeContext) {
    let words = [0, 1, 2].map(|index| ctx.arg::<u64>(index).unwrap_or(0));
    underway::keep(Kind::Map, words);
}

#[inline(always)]
fn map_ends(ctx: &RetProbeContext, reporter: Reporter, call: Call) {
    if ctx.ret::<i64>() != i64::from(-EPERM) {
        return;
    }
    match underway::take(Kind::Map) {
        Some([file, text, length]) => map(reporter, call, file as Ptr, text, length),
        None => report(reporter, call, Broken::Unseen, 0, EPERM as u32),
    }
}

/// Keeps what is written.
#[kprobe]
pub fn rule_uid_map_entry_kprobe(ctx: ProbeContext) -> u32 {
    map_begins(&ctx);
    0
}

/// As [`rule_uid_map_exit`].
#[kretprobe]
pub fn rule_uid_map_exit_kprobe(ctx: RetProbeContext) -> u32 {
    map_ends(&ctx, Reporter::UidMapProbe, Call::UidMap);
    0
}

/// Keeps what is written.
#[kprobe]
pub fn rule_gid_map_entry_kprobe(ctx: ProbeContext) -> u32 {
    map_begins(&ctx);
    0
}

/// As [`rule_gid_map_exit`].
#[kretprobe]
pub fn rule_gid_map_exit_kprobe(ctx: RetProbeContext) -> u32 {
    map_ends(&ctx, Reporter::GidMapProbe, Call::GidMap);
    0
}

#[inline(always)]
fn map(reporter: Reporter, call: Call, file: Ptr, text: u64, length: u64) {
    let opener = Probed::ptr(file, off!(file_cred));
    let opened_in = Probed::ptr(opener, off!(cred_user_ns));
    let seq = Probed::ptr(file, off!(file_private));
    let namespace = Probed::ptr(seq, off!(seq_private));
    let parent = Probed::ptr(namespace, off!(ns_parent));
    let (extents, capability) = if call as u8 == Call::UidMap as u8 {
        (off!(ns_uid_extents), CAP_SETUID)
    } else {
        (off!(ns_gid_extents), CAP_SETGID)
    };
    // One of the namespace has nothing over its parent, one of the parent what it has: a
    // walk for each question would cost a second of a loader's time.
    let is_parents = opened_in == parent;
    let effective = Probed::u64(opener, off!(cred_effective));
    let is_owner = is_parents
        && Probed::u32(namespace, off!(ns_owner)) == Probed::u32(opener, off!(cred_euid));
    let may = |capability: u32| effective >> capability & 1 == 1;
    let own = Probed::ptr(task::untyped(), off!(task_cred));
    let may_map = is_parents
        && may(capability)
        && task::commoncap::<Probed>(own, parent, capability) as u8 == Reason::None as u8;
    let mut bytes = [0; MAP_TEXT];
    // SAFETY: the helper checks the address.
    let _ = unsafe { bpf_probe_read_user_str_bytes(text as *const u8, &mut bytes) };
    let could_setfcap = off!(ns_could_setfcap);
    let rule = ids::id_map(
        call,
        IdMap {
            is_initial: parent.is_null(),
            opener: if opened_in == namespace {
                Opener::Inside
            } else if is_parents {
                Opener::Parent
            } else {
                Opener::Other
            },
            is_written: Probed::u32(namespace, extents) != 0,
            may_administer: may(CAP_SYS_ADMIN) || is_owner,
            has_root: ids::has_root(&bytes, length as u32),
            could_setfcap: could_setfcap == NONE
                || Probed::u32(namespace, could_setfcap) & 0xff != 0,
            may_setfcap: is_parents && may(CAP_SETFCAP),
            may_map,
        },
    );
    let missing = match rule {
        Broken::CreatorLacksSetfcap => 1 << CAP_SETFCAP,
        Broken::NotOwnId => 1 << capability,
        _ => 0,
    };
    report(reporter, call, rule, missing, EPERM as u32);
}

/// The first argument of a system call among its registers.
const FIRST: u32 = if cfg!(bpf_target_arch = "x86_64") {
    112
} else {
    0
};

/// `long __x64_sys_capset(const struct pt_regs *regs)`, and the same of arm64.
#[fexit]
pub fn rule_capset_call_exit(ctx: FExitContext) -> i32 {
    if ctx.arg::<i64>(1) == i64::from(-EPERM) {
        capset_call(Reporter::CapsetCall, Probed::u64(ctx.arg(0), FIRST));
    }
    0
}

/// Keeps the address of the header.
#[kprobe]
pub fn rule_capset_call_entry_kprobe(ctx: ProbeContext) -> u32 {
    let registers: Ptr = ctx.arg(0).unwrap_or(core::ptr::null());
    underway::keep(Kind::Header, [Probed::u64(registers, FIRST), 0, 0]);
    0
}

/// As [`rule_capset_call_exit`].
#[kretprobe]
pub fn rule_capset_call_exit_kprobe(ctx: RetProbeContext) -> u32 {
    if ctx.ret::<i64>() == i64::from(-EPERM)
        && let Some([header, ..]) = underway::take(Kind::Header)
    {
        capset_call(Reporter::CapsetCallProbe, header);
    }
    0
}

/// A capset of another process, which `cap_capset` is not asked of.
#[inline(always)]
fn capset_call(reporter: Reporter, header: u64) {
    // SAFETY: the helper checks the address of `struct __user_cap_header_struct`.
    let Ok([_, asked]) = (unsafe { bpf_probe_read_user(header as *const [u32; 2]) }) else {
        return;
    };
    let own = match task::inner_pid::<Probed>(task::untyped()) {
        0 => bpf_get_current_pid_tgid() as u32,
        inner => inner,
    };
    if asked != 0 && asked != own {
        report(
            reporter,
            Call::Capset,
            Broken::OtherProcess,
            0,
            EPERM as u32,
        );
    }
}

/// `long __x64_sys_setgroups(const struct pt_regs *regs)`, and the same of arm64.
#[fexit]
pub fn rule_setgroups_exit(ctx: FExitContext) -> i32 {
    setgroups(Reporter::Setgroups, ctx.arg::<i64>(1));
    0
}

/// As [`rule_setgroups_exit`].
#[kretprobe]
pub fn rule_setgroups_exit_kprobe(ctx: RetProbeContext) -> u32 {
    setgroups(Reporter::SetgroupsProbe, ctx.ret::<i64>());
    0
}

#[inline(always)]
fn setgroups(reporter: Reporter, result: i64) {
    const EINVAL: i64 = 22;
    if result >= 0 {
        return;
    }
    let cred = Probed::ptr(task::untyped(), off!(task_cred));
    if result == -EINVAL {
        // The other reason, more groups than there may be, nobody meets.
        return report(
            reporter,
            Call::Setgroups,
            Broken::Unmapped,
            0,
            EINVAL as u32,
        );
    }
    let namespace = Probed::ptr(cred, off!(cred_user_ns));
    let is_granted = Probed::u64(cred, off!(cred_effective)) >> CAP_SETGID & 1 == 1;
    if result == i64::from(-EPERM) && is_granted {
        let rule = ids::setgroups(
            Probed::u32(namespace, off!(ns_gid_extents)) != 0,
            Probed::u64(namespace, off!(ns_flags)) & SETGROUPS_ALLOWED != 0,
        );
        report(reporter, Call::Setgroups, rule, 0, EPERM as u32);
    }
}

/// `int create_user_ns(struct cred *new)`
#[fexit]
pub fn rule_userns_exit(ctx: FExitContext) -> i32 {
    userns(Reporter::Userns, ctx.arg::<i32>(1));
    0
}

/// As [`rule_userns_exit`].
#[kretprobe]
pub fn rule_userns_exit_kprobe(ctx: RetProbeContext) -> u32 {
    userns(Reporter::UsernsProbe, ctx.ret::<i32>());
    0
}

#[inline(always)]
fn userns(reporter: Reporter, result: i32) {
    if result >= 0 {
        return;
    }
    let task = task::untyped();
    let cred = Probed::ptr(task, off!(task_cred));
    let parent = Probed::ptr(cred, off!(cred_user_ns));
    let level = Probed::u32(parent, off!(ns_level));
    let errno = result.unsigned_abs();
    let users = (off!(ns_uid_extents), off!(ns_uid_extent));
    let groups = (off!(ns_gid_extents), off!(ns_gid_extent));
    let is_mapped = is_mapped(parent, users, Probed::u32(cred, off!(cred_euid)))
        && is_mapped(parent, groups, Probed::u32(cred, off!(cred_egid)));
    report(
        reporter,
        Call::Userns,
        ids::userns(errno, level, is_chrooted(task), is_mapped),
        0,
        errno,
    );
}

/// Whether a task's root is another one than that of its mounts, up to which at most so
/// many are followed (`current_chrooted`, `fs/namespace.c`).
#[inline(always)]
fn is_chrooted(task: Ptr) -> bool {
    const STACKED: u32 = 4;
    let fs = Probed::ptr(task, off!(task_fs));
    let mounted = Probed::ptr(fs, off!(fs_root_mount));
    if Probed::ptr(fs, off!(fs_root_dentry)) != Probed::ptr(mounted, off!(mount_root)) {
        return true;
    }
    if off!(mount_vfs) == NONE {
        return false;
    }
    let mut mount = mounted.wrapping_sub(off!(mount_vfs) as usize);
    for _ in 0..STACKED {
        let parent = Probed::ptr(mount, off!(mount_parent));
        if parent == mount || parent.is_null() {
            return false;
        }
        let below = Probed::ptr(parent, off!(mount_vfs) + off!(mount_root));
        if Probed::ptr(mount, off!(mount_point)) != below {
            return true;
        }
        mount = parent;
    }
    false
}

/// Whether an id, of the initial namespace, has one in a namespace, whose map's length
/// and lines are at these offsets; also where there are more lines than lie in it.
#[inline(always)]
fn is_mapped(namespace: Ptr, (extents, lines): (u32, u32), id: u32) -> bool {
    let count = Probed::u32(namespace, extents);
    if count > BASE_EXTENTS || lines == NONE {
        return true;
    }
    let mut mapped = false;
    for index in 0..BASE_EXTENTS {
        // `struct uid_gid_extent`: first, lower_first, count.
        let at = lines + index * 12;
        let (lower, length) = (
            Probed::u32(namespace, at + 4),
            Probed::u32(namespace, at + 8),
        );
        mapped |= index < count && id.wrapping_sub(lower) < length;
    }
    mapped
}

#[inline(always)]
fn report(reporter: Reporter, call: Call, rule: Broken, missing: u64, errno: u32) {
    let broke = Broke {
        errno,
        ..Broke::new(call, Refused { rule, missing })
    };
    breach::report::<Probed>(reporter, &broke, core::ptr::null(), core::ptr::null());
}
