//! Adding drops to an episode, and whom it blames for a refusal.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_ktime_get_ns};
use observer_ebpf::{
    CAP_SETPCAP, Episode, Layer, Reason,
    decide::{self, Outcome},
};

use super::super::{
    host::config,
    maps::{Refusal, bump},
    marks,
};

/// What came of one drop.
pub struct Drop {
    /// The argument, all 64 bits of it.
    pub capability: u64,
    /// 0 where it was granted, else negative.
    pub result: i64,
    /// Effective set at the drop.
    pub effective: u64,
    /// Bounding set after the drop.
    pub bounding: u64,
    /// Inode number and level of the user namespace that it was made in.
    pub namespace: (u32, u32),
}

/// Adds a drop to its episode. Who refused follows from the effective set: a
/// thread that lacks SETPCAP was refused by commoncap, and no LSM was asked
/// (`cap_prctl_drop`, `security/commoncap.c`); a thread that has it, by an LSM.
#[inline(always)]
pub fn add(episode: *mut Episode, drop: &Drop) {
    let refusal = refusal(drop);
    let (namespace, level) = drop.namespace;
    // SAFETY: a live map value; threads of one process share it, so counters
    // are atomic and the rest is any writer's word.
    unsafe {
        bump(&raw mut (*episode).drops);
        (*episode).last = bpf_ktime_get_ns();
        (*episode).after = drop.bounding;
        (*episode).effective = drop.effective;
        (*episode).tid = bpf_get_current_pid_tgid() as u32;
        if (*episode).namespace != namespace {
            // Another namespace filled the set anew: what was tried before is
            // no longer what is asked now.
            (*episode).namespace = namespace;
            (*episode).level = level;
            (*episode).granted = [0; 64];
            (*episode).refused = [0; 64];
            bump(&raw mut (*episode).refilled);
        }
    }
    match decide::classify(
        drop.capability,
        drop.result,
        drop.bounding,
        config!(last_cap),
    ) {
        // SAFETY: as above.
        Outcome::Unknown => unsafe { bump(&raw mut (*episode).unknown) },
        // SAFETY: as above; the index is masked for the verifier.
        Outcome::Granted(number) => unsafe { (*episode).granted[(number & 63) as usize] = 1 },
        // SAFETY: as above.
        Outcome::RefusedLowered => unsafe {
            bump(&raw mut (*episode).refused_lowered);
            if (*episode).refused_raised == 0 {
                blame(episode, drop, refusal);
            }
        },
        // SAFETY: as above.
        Outcome::RefusedRaised(number) => unsafe {
            mark(episode, number);
            blame(episode, drop, refusal);
        },
    }
}

/// Marks a capability as refused while it was in the set.
///
/// # Safety
/// `episode` must be a live map value.
#[inline(always)]
unsafe fn mark(episode: *mut Episode, number: u32) {
    // SAFETY: the caller's; the index is masked for the verifier.
    unsafe {
        (*episode).refused[(number & 63) as usize] = 1;
        if (*episode).first_refused == 0 {
            (*episode).first_refused = number + 1;
        }
        bump(&raw mut (*episode).refused_raised);
        (*episode).last_refused = bpf_ktime_get_ns();
    }
}

#[inline(always)]
fn refusal(drop: &Drop) -> Refusal {
    if drop.effective >> CAP_SETPCAP & 1 == 0 || drop.result >= 0 {
        return Refusal::UNKNOWN;
    }
    marks::take_refusal(bpf_get_current_pid_tgid())
}

/// # Safety
/// `episode` must be a live map value.
#[inline(always)]
unsafe fn blame(episode: *mut Episode, drop: &Drop, refusal: Refusal) {
    let (layer, reason, profile) = if drop.effective >> CAP_SETPCAP & 1 == 0 {
        (Layer::Commoncap as u32, Reason::NotEffective as u32, 0)
    } else {
        (refusal.layer as u32, Reason::None as u32, refusal.profile)
    };
    // SAFETY: the caller's.
    unsafe {
        (*episode).layer = layer;
        (*episode).reason = reason;
        (*episode).profile = profile;
    }
}

/// Adds a refusal of a raised bit that was first taken for granted.
///
/// # Safety
/// `episode` must be a live map value, `bit` below 64.
#[inline(always)]
pub unsafe fn refuse(episode: *mut Episode, bit: usize, layer: Layer) {
    // SAFETY: the caller's; the index is masked for the verifier.
    unsafe {
        (*episode).granted[bit & 63] = 0;
        mark(episode, bit as u32);
        (*episode).layer = layer as u32;
        (*episode).after |= 1 << (bit & 63);
    }
}
