//! What the kernel refuses by a rule of its own, without asking for a
//! capability: no layer is asked, and nothing is logged.
//!
//! Worked out from the sets before the call and what was asked, in the order in
//! which the kernel looks (`security/commoncap.c`, 5.10 to 7.3), so that the rule
//! is the first one that is broken.

use crate::{Broken, CAP_SETPCAP};

/// The capability sets of a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// Permitted.
    pub permitted: u64,
    /// Inheritable.
    pub inheritable: u64,
    /// Effective.
    pub effective: u64,
    /// Bounding.
    pub bounding: u64,
}

/// The capabilities of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSets {
    /// Permitted.
    pub permitted: u64,
    /// Inheritable.
    pub inheritable: u64,
    /// Whether the new permitted set is effective at once.
    pub effective: bool,
}

/// The rule that a call broke, and what it lacked; [`Broken::None`] and nothing
/// where no rule refuses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// The rule.
    pub rule: Broken,
    /// The capabilities that the rule asks for and the process does not have.
    pub missing: u64,
}

const ALLOWED: Refused = Refused {
    rule: Broken::None,
    missing: 0,
};

/// What a file's capabilities give to a process, as `bprm_caps_from_vfs_caps`
/// works it out before root and `no_new_privs` are looked at.
#[inline(always)]
#[must_use]
pub const fn gains(file: FileSets, own: Sets) -> u64 {
    file.permitted & own.bounding | file.inheritable & own.inheritable
}

/// The rule that refuses an exec: a program that takes its capabilities for
/// effective starts with all of them or not at all.
#[inline(always)]
#[must_use]
pub const fn exec(file: FileSets, own: Sets) -> Refused {
    let missing = file.permitted & !gains(file, own);
    if file.effective && missing != 0 {
        return Refused {
            rule: Broken::FileBeyondBounding,
            missing,
        };
    }
    ALLOWED
}

/// The rule that refuses a capset of the caller's own sets (`cap_capset`). The
/// bounding set of `asked` has no meaning: capset leaves it alone.
#[inline(always)]
#[must_use]
pub const fn capset(old: Sets, asked: Sets) -> Refused {
    let may_inherit_any = old.effective >> CAP_SETPCAP & 1 == 1;
    let beyond_permitted = asked.inheritable & !(old.inheritable | old.permitted);
    if !may_inherit_any && beyond_permitted != 0 {
        return Refused {
            rule: Broken::InheritableBeyondPermitted,
            missing: beyond_permitted,
        };
    }
    let beyond_bounding = asked.inheritable & !(old.inheritable | old.bounding);
    if beyond_bounding != 0 {
        return Refused {
            rule: Broken::InheritableBeyondBounding,
            missing: beyond_bounding,
        };
    }
    let raised = asked.permitted & !old.permitted;
    if raised != 0 {
        return Refused {
            rule: Broken::PermittedBeyondPermitted,
            missing: raised,
        };
    }
    let beyond_new = asked.effective & !asked.permitted;
    if beyond_new != 0 {
        return Refused {
            rule: Broken::EffectiveBeyondPermitted,
            missing: beyond_new,
        };
    }
    ALLOWED
}

/// An exec that succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// What the file's capabilities would have given.
    pub promised: u64,
    /// The new permitted set.
    pub permitted: u64,
    /// Whether the file has a set-user-id bit that changed nothing.
    pub is_set_id: bool,
    /// Whether its mount is nosuid.
    pub is_nosuid: bool,
    /// Whether its mount belongs to another mount namespace, or its file system to a
    /// user namespace that is not above the process.
    pub is_foreign: bool,
    /// `linux_binprm.unsafe`
    pub unsafes: u32,
}

/// Why an exec gave nothing of what the file promises, and what was lost
/// (`mnt_may_suid`, `bprm_fill_uid`, `cap_bprm_creds_from_file`): the first of the
/// reasons, in the order in which the kernel looks.
#[inline(always)]
#[must_use]
pub const fn lost(executed: Executed) -> Refused {
    // `LSM_UNSAFE_PTRACE`, `LSM_UNSAFE_NO_NEW_PRIVS` (`include/linux/security.h`).
    const PTRACE: u32 = 2;
    const NO_NEW_PRIVS: u32 = 4;
    let missing = executed.promised & !executed.permitted;
    if missing == 0 && !executed.is_set_id {
        return ALLOWED;
    }
    let rule = if executed.is_nosuid {
        Broken::LostNosuid
    } else if executed.is_foreign {
        Broken::LostForeignMount
    } else if executed.unsafes & NO_NEW_PRIVS != 0 {
        Broken::LostNoNewPrivs
    } else if executed.unsafes & PTRACE != 0 {
        Broken::LostTraced
    } else {
        // Another reason, as an owner without an id in this namespace.
        return ALLOWED;
    };
    Refused { rule, missing }
}

/// `SECBIT_NO_CAP_AMBIENT_RAISE` (`include/uapi/linux/securebits.h`).
const NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;
/// The bits that lock the one below them.
const LOCKS: u32 = 0xaaaa_aaaa;

/// The rule that refuses `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE)`. A number
/// beyond the kernel's last capability is invalid, and broken by no rule.
#[inline(always)]
#[must_use]
pub const fn ambient(own: Sets, securebits: u32, argument: u64, last_cap: u64) -> Refused {
    if argument > last_cap {
        return ALLOWED;
    }
    let asked = 1 << (argument & 63);
    if own.permitted & asked == 0 {
        return Refused {
            rule: Broken::NotPermitted,
            missing: asked,
        };
    }
    if own.inheritable & asked == 0 {
        return Refused {
            rule: Broken::NotInheritable,
            missing: asked,
        };
    }
    if securebits & NO_CAP_AMBIENT_RAISE != 0 {
        return Refused {
            rule: Broken::Locked,
            missing: 0,
        };
    }
    ALLOWED
}

/// The rule that refuses `prctl(PR_SET_SECUREBITS)`: a locked bit keeps its
/// value, and a lock stays.
#[inline(always)]
#[must_use]
pub const fn securebits(old: u32, asked: u64) -> Refused {
    let locks = (old & LOCKS) as u64;
    let changed_though_locked = locks >> 1 & (old as u64 ^ asked);
    let unlocked = locks & !asked;
    if changed_though_locked | unlocked != 0 {
        return Refused {
            rule: Broken::Locked,
            missing: 0,
        };
    }
    ALLOWED
}
