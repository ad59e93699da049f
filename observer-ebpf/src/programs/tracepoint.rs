//! The mechanism of last resort: the BTF tracepoint `cap_capable` (6.14).
//!
//! It shows commoncap's answer alone, without `opts` and without any LSM's
//! answer. Drops are known from the SETPCAP check: the task's registers hold the
//! system call, its option and its argument at that moment.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid, macros::btf_tracepoint, programs::BtfTracePointContext,
};
use observer_ebpf::{Audited, CAP_SETPCAP, CAP_SYS_ADMIN, Hook, Layer, Loss, Via};

use super::{
    denial::{self, Denial},
    drops,
    episode::{self, Drop},
    host::config,
    maps::{Pending, Place, State, hooked, lose},
    marks,
    mem::{Ptr, Typed},
    task::{self, bounding, effective},
    turn::{Gate, is_idle},
};

/// `cap_capable(const struct cred *cred, struct user_namespace *target_ns,
/// const struct user_namespace *capable_ns, int cap, int ret)`
#[btf_tracepoint(function = "cap_capable")]
pub fn cap_capable_tracepoint(ctx: BtfTracePointContext) -> i32 {
    let (capability, result): (u32, i32) = (ctx.arg(3), ctx.arg(4));
    if (result >= 0 && capability != CAP_SETPCAP) || is_idle(Gate::Tracepoint) {
        return 0;
    }
    if capability == CAP_SETPCAP && !hooked(Hook::Drops) {
        setpcap(result);
    }
    if result >= 0 || hooked(Hook::Verdict) {
        return 0;
    }
    let (cred, target): (Ptr, Ptr) = (ctx.arg(0), ctx.arg(1));
    // Asked without wanting a record, as everybody is asked who takes memory.
    let accounts = capability == CAP_SYS_ADMIN && drops::takes_memory(task::typed());
    let denial = Denial {
        capability,
        layer: Layer::Commoncap,
        reason: task::commoncap::<Typed>(cred, target, capability),
        audited: if accounts {
            Audited::No
        } else {
            Audited::Unknown
        },
        via: if capability == CAP_SETPCAP && drops::sets_capabilities(task::typed()) {
            Via::Direct
        } else {
            Via::Unknown
        },
        profile: 0,
    };
    denial::count::<Typed>(cred, target, &denial, Place::Tracepoint);
    0
}

/// A check for SETPCAP: first it confirms the thread's last granted drop, then
/// it may be a drop itself.
#[inline(always)]
fn setpcap(result: i32) {
    let task = task::typed();
    let id = bpf_get_current_pid_tgid();
    let before = bounding::<Typed>(task);
    let namespace = task::namespace::<Typed>(task);
    let effective = effective::<Typed>(task);
    drops::confirm(id, before, namespace, effective);
    let Some(capability) = drops::argument(task) else {
        return;
    };
    let Some(episode) = episode::open::<Typed>(task, before) else {
        return;
    };
    let granted = result >= 0 && capability <= config!(last_cap);
    let bit = 1u64 << (capability & 63);
    let drop = Drop {
        capability,
        result: i64::from(result),
        effective,
        bounding: if granted { before & !bit } else { before },
        namespace,
    };
    episode::add(episode, &drop);
    let pending = Pending {
        argument: capability,
        namespace: namespace.0,
        state: State::Provisional as u32,
    };
    if granted && before & bit != 0 && !marks::keep_pending(id, &pending) {
        lose(Loss::ProvisionalFull);
    }
}
