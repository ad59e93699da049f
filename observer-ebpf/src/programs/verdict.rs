//! Who refused: the answer of all layers at the exit of `security_capable`,
//! and who gave it from the exits of the inner ones. fexit only: on the
//! allowed path each program is one comparison.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_kernel_str_bytes},
    macros::fexit,
    programs::FExitContext,
};
use observer_ebpf::{CAP_SETPCAP, Layer, Loss, Note, Reason, Via};

use super::{
    denial::{self, Denial, audited},
    host::{config, off},
    maps::{
        CHECKS, Check, PROFILE_SCRATCH, PROFILES, Place, Refusal, lose, note, verdict_by_kprobe,
    },
    marks,
    mem::{Mem, Ptr, Typed, Unread},
    task,
    turn::{Gate, is_idle},
};

/// `int security_capable(const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts)`
#[fexit]
pub fn security_capable_exit(ctx: FExitContext) -> i32 {
    // Kprobes may have taken over.
    if ctx.arg::<i32>(4) >= 0 || verdict_by_kprobe() || is_idle(Gate::Verdict) {
        return 0;
    }
    let (cred, target): (Ptr, Ptr) = (ctx.arg(0), ctx.arg(1));
    let (capability, opts): (u32, u32) = (ctx.arg(2), ctx.arg(3));
    let id = bpf_get_current_pid_tgid();
    let inner = consume(id, cred, capability);
    settle::<Typed>(id, cred, target, capability, opts, inner);
    0
}

/// Takes what an inner layer showed of the check that ends here.
#[inline(always)]
fn consume(id: u64, cred: Ptr, capability: u32) -> Option<Refusal> {
    // SAFETY: this thread alone writes its entry.
    let check = unsafe { CHECKS.get(id) }.copied()?;
    if check.capability != capability || (check.cred != 0 && check.cred != cred as u64) {
        return None;
    }
    let _ = CHECKS.remove(id);
    Some(Refusal {
        profile: check.profile,
        layer: u64::from(check.layer),
    })
}

/// Counts a refused check, knowing what the inner layers showed of it.
#[inline(always)]
pub fn settle<M: Mem>(
    id: u64,
    cred: Ptr,
    target: Ptr,
    capability: u32,
    opts: u32,
    inner: Option<Refusal>,
) {
    // The walk gives the reason, and the layer where the inner hook is missing
    // or was missed: commoncap is asked first, so its no is the answer.
    let reason = task::commoncap::<M>(cred, target, capability);
    if let Some(witness) = inner
        && witness.layer != Layer::None as u64
    {
        note(Note::WalkCompared);
        // A module is asked only of what commoncap grants.
        if (witness.layer == Layer::Commoncap as u64) == (reason == Reason::None) {
            note(Note::WalkDisagreed);
        }
    }
    let (layer, profile) = match inner {
        _ if reason != Reason::None => (Layer::Commoncap, 0),
        Some(inner) if inner.layer == Layer::Apparmor as u64 => (Layer::Apparmor, inner.profile),
        Some(inner) if inner.layer == Layer::Selinux as u64 => (Layer::Selinux, 0),
        // Commoncap itself says so; what it walked could not be read.
        Some(inner) if inner.layer == Layer::Commoncap as u64 => (Layer::Commoncap, 0),
        _ => (Layer::Lsm, 0),
    };
    if capability == CAP_SETPCAP && layer != Layer::Commoncap {
        let refusal = Refusal {
            profile,
            layer: layer as u64,
        };
        marks::keep_refusal(id, &refusal);
    }
    let denial = Denial {
        capability,
        layer,
        reason,
        audited: audited(opts),
        via: Via::SecurityCapable,
        profile,
    };
    denial::count::<M>(cred, target, &denial, Place::Verdict);
}

/// `int cap_capable(const struct cred *cred, struct user_namespace *target_ns, int cap, unsigned int opts)`
#[fexit]
pub fn cap_capable_exit(ctx: FExitContext) -> i32 {
    if ctx.arg::<i32>(4) >= 0 || verdict_by_kprobe() || is_idle(Gate::Commoncap) {
        return 0;
    }
    let (cred, target): (Ptr, Ptr) = (ctx.arg(0), ctx.arg(1));
    let (capability, opts): (u32, u32) = (ctx.arg(2), ctx.arg(3));
    let id = bpf_get_current_pid_tgid();
    keep(id, cred, target, capability, opts, Layer::Commoncap, 0);
    0
}

/// Counts an answer of commoncap that `security_capable` never consumed: the
/// check came to commoncap directly (`cap_inh_is_capped`,
/// `cap_vm_enough_memory` and others, visible since 6.14). Its namespaces may
/// be gone by now, so its detail names none.
#[inline(always)]
pub fn flush_direct(id: u64) {
    // SAFETY: this thread alone writes its entry.
    let Some(check) = (unsafe { CHECKS.get(id) }).copied() else {
        return;
    };
    let _ = CHECKS.remove(id);
    if check.layer == Layer::Commoncap as u32 {
        direct(check.capability, check.opts, check.cred as Ptr);
    }
}

/// Counts a refusal by commoncap that no other layer was asked about.
#[inline(always)]
pub fn direct(capability: u32, opts: u32, cred: Ptr) {
    let denial = Denial {
        capability,
        layer: Layer::Commoncap,
        reason: Reason::None,
        audited: audited(opts),
        via: Via::Direct,
        profile: 0,
    };
    denial::count::<Unread>(cred, core::ptr::null(), &denial, Place::Nowhere);
}

#[inline(always)]
fn keep(id: u64, cred: Ptr, target: Ptr, capability: u32, opts: u32, layer: Layer, profile: u64) {
    flush_direct(id);
    let check = Check {
        cred: cred as u64,
        target: target as u64,
        label: 0,
        profile,
        capability,
        opts,
        layer: layer as u32,
        direct: 0,
    };
    if CHECKS.insert(id, check, 0).is_err() {
        lose(Loss::InflightFull);
    }
}

/// `int aa_capable([const struct cred *subj_cred,] struct aa_label *label, int cap, unsigned int opts)`;
/// the first argument is there since 6.6.
#[fexit]
pub fn aa_capable_exit(ctx: FExitContext) -> i32 {
    let id = bpf_get_current_pid_tgid();
    let counts = || !verdict_by_kprobe() && !is_idle(Gate::Apparmor);
    if config!(aa_label_arg) == 1 {
        if ctx.arg::<i32>(4) < 0 && counts() {
            let profile = profile::<Typed>(0, ctx.arg(1));
            keep(
                id,
                ctx.arg(0),
                core::ptr::null(),
                ctx.arg(2),
                ctx.arg(3),
                Layer::Apparmor,
                profile,
            );
        }
    } else if ctx.arg::<i32>(3) < 0 && counts() {
        let profile = profile::<Typed>(0, ctx.arg(0));
        // Here the credential is not known: the capability alone joins the two.
        let cred = core::ptr::null();
        keep(
            id,
            cred,
            core::ptr::null(),
            ctx.arg(1),
            ctx.arg(2),
            Layer::Apparmor,
            profile,
        );
    }
    0
}

/// Hash of a label's name, whose text goes to `PROFILES`; 0 where it can't be read.
#[inline(always)]
pub fn profile<M: Mem>(scratch: u32, label: Ptr) -> u64 {
    if config!(probe_read) == 0 {
        return 0;
    }
    let text = M::u64(label, off!(label_hname)) as Ptr;
    let Some(room) = PROFILE_SCRATCH.get_ptr_mut(scratch) else {
        return 0;
    };
    if text.is_null() {
        return 0;
    }
    // SAFETY: this CPU's room, of this program alone; the helper checks the address.
    let Ok(name) = (unsafe { bpf_probe_read_kernel_str_bytes(text, &mut *room) }) else {
        return 0;
    };
    let length = name.len();
    // FNV-1a, 64 bits.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for index in 0..observer_ebpf::PROFILE_LEN {
        if index >= length {
            break;
        }
        // SAFETY: the index stays below the room's length.
        let byte = unsafe { (*room)[index] };
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    if PROFILES.get_ptr(hash).is_none() {
        // SAFETY: as above.
        if PROFILES.insert(hash, unsafe { &*room }, 0).is_err() {
            lose(Loss::ProfilesFull);
        }
    }
    hash
}

/// `int selinux_capable(const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts)`
#[fexit]
pub fn selinux_capable_exit(ctx: FExitContext) -> i32 {
    if ctx.arg::<i32>(4) < 0 && !verdict_by_kprobe() && !is_idle(Gate::Selinux) {
        let id = bpf_get_current_pid_tgid();
        keep(
            id,
            ctx.arg(0),
            ctx.arg(1),
            ctx.arg(2),
            ctx.arg(3),
            Layer::Selinux,
            0,
        );
    }
    0
}
