//! What a rule refuses without a check, at the exit of the functions that decide
//! (`security/commoncap.c`): exec, capset, and prctl's ambient set and securebits.
//! A success costs one comparison.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::fexit,
    programs::{FExitContext, ProbeContext},
};
use observer_ebpf::{
    Broken, Call, NONE,
    decide::{
        MAX_LEVELS,
        rules::{self, Executed, FileSets, Refused, Sets},
    },
};

use super::{
    breach::{self, Broke},
    denial::owner,
    host::{config, off},
    maps::{Reporter, drops_by_kprobe},
    marks,
    mem::{Mem, Probed, Ptr, Typed},
    task::{self, with_current},
    underway::{self, Kind},
};

/// The only error that these rules give.
pub const EPERM: i32 = 1;
/// `VFS_CAP_FLAGS_EFFECTIVE` (`include/uapi/linux/capability.h`).
const EFFECTIVE: u32 = 1;
const PR_SET_SECUREBITS: u32 = 28;
const PR_CAP_AMBIENT: u32 = 47;
const PR_CAP_AMBIENT_RAISE: u64 = 2;

/// Keeps which capabilities of a file an exec will lack.
///
/// `int get_vfs_caps_from_disk([struct mnt_idmap *idmap,] const struct dentry *dentry, struct cpu_vfs_cap_data *cpu_caps)`
#[fexit]
pub fn rule_file_caps_exit(ctx: FExitContext) -> i32 {
    if config!(vfs_caps_arg) == 1 {
        if ctx.arg::<i32>(2) == 0 {
            keep_file::<Typed>(ctx.arg(1));
        }
    } else if ctx.arg::<i32>(3) == 0 {
        keep_file::<Typed>(ctx.arg(2));
    }
    0
}

/// Keeps what a file's capabilities lack where an exec will be refused for it, and what
/// they promise to a followed process: the new credential no longer shows it.
#[inline(always)]
pub fn keep_file<M: Mem>(caps: Ptr) {
    let permitted = M::u64(caps, off!(file_caps_permitted));
    let bounding = with_current!(C, task => task::bounding::<C>(task));
    let is_followed = marks::watched((bpf_get_current_pid_tgid() >> 32) as u32);
    // No rule refuses what the bounding set has whole.
    if permitted & !bounding == 0 && !is_followed {
        return;
    }
    let file = FileSets {
        permitted,
        inheritable: M::u64(caps, off!(file_caps_inheritable)),
        effective: M::u32(caps, off!(file_caps_magic)) & EFFECTIVE != 0,
    };
    let own = own();
    let refused = rules::exec(file, own);
    if refused.rule as u8 != Broken::None as u8 {
        underway::keep(Kind::File, [refused.missing, 0, 0]);
    } else if is_followed {
        underway::keep(Kind::Gains, [rules::gains(file, own), 0, 0]);
    }
}

/// `int cap_bprm_creds_from_file(struct linux_binprm *bprm, const struct file *file)`
#[fexit]
pub fn rule_exec_exit(ctx: FExitContext) -> i32 {
    exec_ends::<Typed>(Reporter::Exec, ctx.arg(0), ctx.arg::<i32>(2));
    0
}

/// Reports that an exec was refused, or that one of a supervisor's tree lost something.
#[inline(always)]
pub fn exec_ends<M: Mem>(reporter: Reporter, bprm: Ptr, result: i32) {
    let broke = match result {
        0 if marks::watched((bpf_get_current_pid_tgid() >> 32) as u32) => lost::<M>(bprm),
        result if result == -EPERM => exec(underway::take(Kind::File).map_or(0, |kept| kept[0])),
        _ => return,
    };
    let file = M::ptr(bprm, off!(bprm_file));
    let path = M::u64(bprm, off!(bprm_filename)) as Ptr;
    let dentry = M::ptr(file, off!(file_dentry));
    breach::report::<M>(reporter, &broke, dentry, path);
}

/// What an exec of a supervisor's tree did not give of what the file promises; the
/// rule is none where it gave all. Under nosuid and on a foreign mount the kernel does
/// not read the file's capabilities, so that set-user-id bits alone are known.
#[inline(always)]
fn lost<M: Mem>(bprm: Ptr) -> Broke {
    const MNT_NOSUID: u32 = 1;
    const S_ISUID: u16 = 0o4000;
    let promised = underway::take(Kind::Gains).map_or(0, |kept| kept[0]);
    let new = M::ptr(bprm, off!(bprm_cred));
    let file = M::ptr(bprm, off!(bprm_file));
    let inode = M::ptr(file, off!(file_inode));
    let is_set_id = M::u16(inode, off!(inode_mode)) & S_ISUID != 0
        && M::u32(inode, off!(inode_uid)) != M::u32(new, off!(cred_euid));
    let mount = M::ptr(file, off!(file_mount));
    let executed = Executed {
        promised,
        permitted: M::u64(new, off!(cred_permitted)),
        is_set_id,
        is_nosuid: M::u32(mount, off!(mount_flags)) & MNT_NOSUID != 0,
        is_foreign: is_set_id && is_foreign(mount),
        unsafes: M::u32(bprm, off!(bprm_unsafe)),
    };
    let mut refused = rules::lost(executed);
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if refused.rule as u8 != Broken::None as u8 && owner(tgid).rule == 0 {
        refused = Refused::default();
    }
    Broke {
        errno: 0,
        ..Broke::new(Call::Exec, refused)
    }
}

/// Whether a mount is one of another mount namespace than the task's, or its file system
/// one of a user namespace that is not the task's or above it (`mnt_may_suid`,
/// `fs/namespace.c`). The `struct mount` lies around the mount, which no type says.
#[inline(always)]
fn is_foreign(mount: Ptr) -> bool {
    if off!(mount_vfs) == NONE || config!(probe_read) == 0 {
        return false;
    }
    let task = task::untyped();
    let own = Probed::ptr(
        Probed::ptr(task, off!(task_nsproxy)),
        off!(nsproxy_mount_ns),
    );
    let mounted = mount.wrapping_sub(off!(mount_vfs) as usize);
    if Probed::ptr(mounted, off!(mount_ns)) != own {
        return true;
    }
    let wanted = Probed::ptr(Probed::ptr(mount, off!(mount_sb)), off!(sb_user_ns));
    let mut namespace = Probed::ptr(Probed::ptr(task, off!(task_cred)), off!(cred_user_ns));
    for _ in 0..=MAX_LEVELS {
        if namespace == wanted {
            return false;
        }
        if namespace.is_null() {
            break;
        }
        namespace = Probed::ptr(namespace, off!(ns_parent));
    }
    true
}

/// The refusal of an exec: no other rule of that function answers EPERM.
#[inline(always)]
pub fn exec(missing: u64) -> Broke {
    let rule = Broken::FileBeyondBounding;
    Broke::new(Call::Exec, Refused { rule, missing })
}

/// `int cap_capset(struct cred *new, const struct cred *old, const kernel_cap_t *effective, const kernel_cap_t *inheritable, const kernel_cap_t *permitted)`
#[fexit]
pub fn rule_capset_exit(ctx: FExitContext) -> i32 {
    if ctx.arg::<i32>(5) == -EPERM {
        let refused = capset::<Typed>(ctx.arg(1), ctx.arg(2), ctx.arg(3), ctx.arg(4));
        let broke = Broke::new(Call::Capset, refused);
        breach::report::<Typed>(
            Reporter::Capset,
            &broke,
            core::ptr::null(),
            core::ptr::null(),
        );
    }
    0
}

/// Why capset is refused. What is asked was cut to valid capabilities by then.
#[inline(always)]
pub fn capset<M: Mem>(old: Ptr, effective: Ptr, inheritable: Ptr, permitted: Ptr) -> Refused {
    let asked = Sets {
        permitted: M::u64(permitted, 0),
        inheritable: M::u64(inheritable, 0),
        effective: M::u64(effective, 0),
        bounding: 0,
    };
    rules::capset(task::sets::<M>(old), asked)
}

/// Why prctl refuses one of its options that concern capability sets, but drops.
#[inline(always)]
pub fn prctl(option: u32, second: u64, third: u64) -> Broke {
    let securebits = with_current!(M, task => {
        M::u32(M::ptr(task, off!(task_cred)), off!(cred_securebits))
    });
    if option == PR_SET_SECUREBITS {
        return Broke::new(Call::Securebits, rules::securebits(securebits, second));
    }
    let refused = if option == PR_CAP_AMBIENT && second == PR_CAP_AMBIENT_RAISE {
        rules::ambient(own(), securebits, third, config!(last_cap))
    } else {
        Refused::default()
    };
    Broke::new(Call::Ambient, refused)
}

/// Keeps why prctl will refuse, where kprobes alone watch it.
#[inline(always)]
pub fn prctl_begins(ctx: &ProbeContext, option: u32) {
    if (option != PR_SET_SECUREBITS && option != PR_CAP_AMBIENT) || !drops_by_kprobe() {
        return;
    }
    let broke = prctl(option, ctx.arg(1).unwrap_or(0), ctx.arg(2).unwrap_or(0));
    keep(&broke);
}

/// Reports what was kept, of a prctl that was refused; whether there was anything.
#[inline(always)]
pub fn prctl_ends() -> bool {
    if !drops_by_kprobe() {
        return false;
    }
    let Some(broke) = taken() else {
        return false;
    };
    let nothing = core::ptr::null();
    breach::report::<Probed>(Reporter::PrctlProbe, &broke, nothing, nothing);
    true
}

/// Keeps a refusal until the call returns.
#[inline(always)]
fn keep(broke: &Broke) {
    if broke.rule as u8 != Broken::None as u8 {
        let what = broke.call as u64 | (broke.rule as u64) << 8;
        underway::keep(Kind::Broke, [what, broke.missing, 0]);
    }
}

/// Takes what was kept.
#[inline(always)]
fn taken() -> Option<Broke> {
    let [what, missing, _] = underway::take(Kind::Broke)?;
    Some(Broke {
        // SAFETY: both bytes are those of words that `keep` was given.
        call: unsafe { core::mem::transmute::<u8, Call>(what as u8) },
        // SAFETY: as above.
        rule: unsafe { core::mem::transmute::<u8, Broken>((what >> 8) as u8) },
        missing,
        errno: EPERM as u32,
    })
}

/// The sets of the current task.
#[inline(always)]
fn own() -> Sets {
    with_current!(M, task => task::sets::<M>(M::ptr(task, off!(task_cred))))
}
