//! The verdict by kprobe and kretprobe. A return probe has no arguments, so
//! the entry keeps them for the thread; the inner layers mark the entry.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::bpf_get_current_pid_tgid,
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use observer_ebpf::{Layer, Loss};

use super::{
    host::config,
    maps::{CHECKS, Check, Refusal, lose, verdict_by_kprobe},
    mem::{Probed, Ptr},
    turn::{Gate, is_idle},
    verdict::{direct, profile, settle},
};

/// Keeps what is asked until the return. An entry that is there already is of
/// the check under way, where commoncap is called by `security_capable`; else
/// of one whose return was missed (`nmissed`, `kernel/kprobes.c`).
#[inline(always)]
fn begin(ctx: &ProbeContext, direct: u32) {
    let gate = if direct == 1 {
        Gate::CommoncapEntry
    } else {
        Gate::VerdictEntry
    };
    if is_idle(gate) {
        return;
    }
    let check = Check {
        cred: ctx.arg(0).unwrap_or(0),
        target: ctx.arg(1).unwrap_or(0),
        label: 0,
        profile: 0,
        capability: ctx.arg(2).unwrap_or(0),
        opts: ctx.arg(3).unwrap_or(0),
        layer: Layer::None as u32,
        direct,
    };
    let id = bpf_get_current_pid_tgid();
    if CHECKS.insert(id, check, BPF_NOEXIST as u64).is_ok() {
        return;
    }
    let Some(kept) = CHECKS.get_ptr_mut(id) else {
        return lose(Loss::InflightFull);
    };
    // SAFETY: a live map value that this thread alone writes.
    unsafe {
        if direct == 1 && (*kept).direct == 0 {
            return;
        }
        *kept = check;
    }
    lose(Loss::ReturnMissed);
}

#[inline(always)]
fn take(id: u64) -> Option<Check> {
    // SAFETY: this thread alone writes its entry.
    let check = unsafe { CHECKS.get(id) }.copied();
    let _ = CHECKS.remove(id);
    check
}

/// Keeps what is asked.
#[kprobe]
pub fn security_capable_entry_kprobe(ctx: ProbeContext) -> u32 {
    begin(&ctx, 0);
    0
}

/// Counts a refusal.
#[kretprobe]
pub fn security_capable_exit_kprobe(ctx: RetProbeContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    // What was granted is taken by whoever comes first.
    let granted = ctx.ret::<i32>() >= 0;
    if !granted && is_idle(Gate::VerdictProbe) {
        return 0;
    }
    let check = take(id);
    // Trampolines may report it still.
    if granted || !verdict_by_kprobe() {
        return 0;
    }
    let Some(check) = check else {
        lose(Loss::Unpaired);
        return 0;
    };
    let inner = Refusal {
        profile: check.profile,
        layer: u64::from(check.layer),
    };
    let (cred, target) = (check.cred as Ptr, check.target as Ptr);
    settle::<Probed>(id, cred, target, check.capability, check.opts, Some(inner));
    0
}

/// Keeps a check that did not come through `security_capable`.
#[kprobe]
pub fn cap_capable_entry_kprobe(ctx: ProbeContext) -> u32 {
    begin(&ctx, 1);
    0
}

/// Marks a refusal by commoncap, or counts it where nobody else will.
#[kretprobe]
pub fn cap_capable_exit_kprobe(ctx: RetProbeContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    let refused = ctx.ret::<i32>() < 0;
    if refused && is_idle(Gate::CommoncapProbe) {
        return 0;
    }
    let Some(check) = CHECKS.get_ptr_mut(id) else {
        if refused {
            lose(Loss::Unpaired);
        }
        return 0;
    };
    // SAFETY: a live map value that this thread alone writes.
    unsafe {
        if (*check).direct == 0 {
            if refused {
                (*check).layer = Layer::Commoncap as u32;
            }
            return 0;
        }
    }
    if let Some(check) = take(id)
        && refused
    {
        direct(check.capability, check.opts, check.cred as Ptr);
    }
    0
}

/// Keeps AppArmor's label.
#[kprobe]
pub fn aa_capable_entry_kprobe(ctx: ProbeContext) -> u32 {
    // Both are read on their own: a load from a chosen offset of the context
    // would be one that the verifier refuses.
    let first = core::hint::black_box(ctx.arg::<u64>(0).unwrap_or(0));
    let second = core::hint::black_box(ctx.arg::<u64>(1).unwrap_or(0));
    let label = if config!(aa_label_arg) == 1 {
        second
    } else {
        first
    };
    if let Some(check) = CHECKS.get_ptr_mut(bpf_get_current_pid_tgid()) {
        // SAFETY: a live map value that this thread alone writes.
        unsafe { (*check).label = label };
    }
    0
}

/// Marks a refusal by AppArmor, with the profile's name.
#[kretprobe]
pub fn aa_capable_exit_kprobe(ctx: RetProbeContext) -> u32 {
    if ctx.ret::<i32>() >= 0 || is_idle(Gate::ApparmorProbe) {
        return 0;
    }
    let Some(check) = CHECKS.get_ptr_mut(bpf_get_current_pid_tgid()) else {
        lose(Loss::Unpaired);
        return 0;
    };
    // SAFETY: a live map value that this thread alone writes.
    unsafe {
        (*check).layer = Layer::Apparmor as u32;
        (*check).profile = profile::<Probed>(1, (*check).label as Ptr);
    }
    0
}

/// Marks a refusal by SELinux.
#[kretprobe]
pub fn selinux_capable_exit_kprobe(ctx: RetProbeContext) -> u32 {
    if ctx.ret::<i32>() >= 0 || is_idle(Gate::SelinuxProbe) {
        return 0;
    }
    match CHECKS.get_ptr_mut(bpf_get_current_pid_tgid()) {
        // SAFETY: a live map value that this thread alone writes.
        Some(check) => unsafe { (*check).layer = Layer::Selinux as u32 },
        None => lose(Loss::Unpaired),
    }
    0
}
