//! Drops, at `cap_task_prctl`: the set before at its entry, the answer and the
//! set after at its exit.
//!
//! `int cap_task_prctl(int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5)`
//!
//! Two mechanisms watch each drop where a host has both, since either may be
//! skipped: the kernel runs no program of a trampoline that a preempted thread
//! is still in on that processor (Linux 7 preempts within programs), and none
//! of a kprobe while a thread there is in a `bpf(2)` call on a map. What one
//! mechanism has added is marked, so that the other leaves it.

use aya_ebpf::{
    bindings::pt_regs,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_task_pt_regs},
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use observer_ebpf::{
    CAP_SETPCAP, Layer, Loss, Note, PR_CAPBSET_DROP,
    decide::{Abi, is_accounting, is_capset},
};

use super::{
    breach,
    episode::{self, Drop},
    host::{config, off},
    maps::{Pending, Reporter, State, drops_by_both, lose, note},
    marks,
    mem::{Mem, Ptr, Typed},
    rules,
    task::{self, bounding, effective, with_current},
    turn::{Gate, is_idle},
};

/// Opens the episode with the set before its first drop.
#[fentry]
pub fn drop_entry(ctx: FEntryContext) -> i32 {
    if ctx.arg::<u32>(0) == PR_CAPBSET_DROP && !is_idle(Gate::DropEntry) {
        with_current!(M, task => {
            episode::open::<M>(task, bounding::<M>(task));
        });
    }
    0
}

/// Adds the drop with its answer; of other options only a refusal is looked at.
#[fexit]
pub fn drop_exit(ctx: FExitContext) -> i32 {
    let option = ctx.arg::<u32>(0);
    if option == PR_CAPBSET_DROP && is_idle(Gate::Drop) {
        return 0;
    }
    if option == PR_CAPBSET_DROP {
        let argument = ctx.arg(1);
        if drops_by_both() {
            keep(argument, State::Added);
        }
        finish(argument, ctx.arg::<i32>(5));
    } else if ctx.arg::<i32>(5) == -rules::EPERM {
        let broke = rules::prctl(option, ctx.arg(1), ctx.arg(2));
        breach::report::<Typed>(
            Reporter::Prctl,
            &broke,
            core::ptr::null(),
            core::ptr::null(),
        );
    }
    0
}

/// As [`drop_entry`], and keeps the argument for the return.
#[kprobe]
pub fn drop_entry_kprobe(ctx: ProbeContext) -> u32 {
    if is_idle(Gate::DropEntryProbe) {
        return 0;
    }
    let option = ctx.arg::<u32>(0).unwrap_or(0);
    if option != PR_CAPBSET_DROP {
        rules::prctl_begins(&ctx, option);
        return 0;
    }
    let Some(argument) = ctx.arg::<u64>(1) else {
        return 0;
    };
    let id = bpf_get_current_pid_tgid();
    with_current!(M, task => {
        let before = bounding::<M>(task);
        // A return that was not seen.
        confirm(id, before, task::namespace::<M>(task), effective::<M>(task));
        episode::open::<M>(task, before);
    });
    keep(argument, State::Begun);
    0
}

/// As [`drop_exit`], unless that one has added it.
#[kretprobe]
pub fn drop_exit_kprobe(ctx: RetProbeContext) -> u32 {
    if is_idle(Gate::DropProbe) || (ctx.ret::<i32>() == -rules::EPERM && rules::prctl_ends()) {
        return 0;
    }
    let id = bpf_get_current_pid_tgid();
    let pending = marks::take_pending(id);
    if !pending.is_none() {
        if pending.state == State::Begun as u32 {
            finish(pending.argument, ctx.ret::<i32>());
        }
        return 0;
    }
    // Neither the entry nor the trampoline was run, or it is no drop at all:
    // the task's registers show it.
    if config!(task_regs) == 1
        && let Some(argument) = argument(task::typed())
    {
        finish(argument, ctx.ret::<i32>());
    }
    0
}

#[inline(always)]
fn keep(argument: u64, state: State) {
    let namespace = with_current!(M, task => task::namespace::<M>(task).0);
    let pending = Pending {
        argument,
        namespace,
        state: state as u32,
    };
    if !marks::keep_pending(bpf_get_current_pid_tgid(), &pending) {
        lose(Loss::ProvisionalFull);
    }
}

#[inline(always)]
fn finish(capability: u64, result: i32) {
    with_current!(M, task => {
        let drop = Drop {
            capability,
            result: i64::from(result),
            effective: effective::<M>(task),
            bounding: bounding::<M>(task),
            namespace: task::namespace::<M>(task),
        };
        // Should the entry have been missed, the set before is the one after,
        // with the bit that was granted.
        let granted = if result >= 0 { 1 << (capability & 63) } else { 0 };
        if let Some(episode) = episode::open::<M>(task, drop.bounding | granted) {
            episode::add(episode, &drop);
        }
    });
}

/// Settles what is left of the thread's last drop: one whose return was not
/// seen, or that the check of SETPCAP granted (tracepoint). By then the set
/// shows whether it was lowered, unless another user namespace has filled it anew.
#[inline(always)]
pub fn confirm(id: u64, bounding: u64, namespace: (u32, u32), effective: u64) {
    let pending = marks::take_pending(id);
    if pending.is_none() {
        return;
    }
    let raised = pending.argument <= config!(last_cap)
        && bounding >> (pending.argument & 63) & 1 == 1
        && pending.namespace == namespace.0;
    let Some(episode) = episode::own((id >> 32) as u32) else {
        return;
    };
    if pending.state == State::Begun as u32 {
        note(Note::DropSettled);
        let refused = raised || effective >> CAP_SETPCAP & 1 == 0;
        let drop = Drop {
            capability: pending.argument,
            result: if refused { -1 } else { 0 },
            effective,
            bounding,
            namespace,
        };
        episode::add(episode, &drop);
    } else if pending.state == State::Provisional as u32 && raised {
        // SAFETY: a live map value; the bit is below 64.
        unsafe { episode::refuse(episode, (pending.argument & 63) as usize, Layer::Lsm) };
    }
}

/// The argument of the drop that the task is in; `None` where it is in
/// another system call.
#[inline(always)]
pub fn argument(task: Ptr) -> Option<u64> {
    let call = call(task);
    let prctl = match call.abi {
        Abi::X64 => 157,
        Abi::X86 | Abi::Arm => 172,
        Abi::Arm64 => 167,
    };
    (call.number == prctl && call.first as u32 == PR_CAPBSET_DROP).then_some(call.second)
}

/// Whether the task is in a system call that asks for SYS_ADMIN for memory alone.
#[inline(always)]
pub fn takes_memory(task: Ptr) -> bool {
    let call = call(task);
    is_accounting(call.abi, call.number, call.first)
}

/// Whether the task is in a call of capset.
#[inline(always)]
pub fn sets_capabilities(task: Ptr) -> bool {
    let call = call(task);
    is_capset(call.abi, call.number)
}

/// The system call that a task is in.
struct Call {
    abi: Abi,
    /// −1 where it is in none.
    number: i64,
    first: u64,
    second: u64,
}

/// 64-bit: a task that called through the 32-bit gate has `TS_COMPAT` set and other
/// numbers and registers.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn call(task: Ptr) -> Call {
    const TS_COMPAT: u32 = 2;
    let regs = registers(task);
    let number = Typed::u64(regs, 120) as i64;
    if Typed::u32(task, off!(task_compat)) & TS_COMPAT != 0 {
        return Call {
            abi: Abi::X86,
            number: i64::from(number as i32),
            first: Typed::u64(regs, 40) & 0xffff_ffff,
            second: Typed::u64(regs, 88) & 0xffff_ffff,
        };
    }
    Call {
        abi: Abi::X64,
        // x32 sets bit 30 of the number, which −1 has set as well.
        number: if number < 0 {
            number
        } else {
            number & !(1 << 30)
        },
        first: Typed::u64(regs, 112),
        second: Typed::u64(regs, 104),
    }
}

/// `struct pt_regs` of arm64: `orig_x0` at 272, `syscallno` at 280; a 32-bit
/// task (`TIF_32BIT`, bit 22) has the numbers of 32-bit Arm.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn call(task: Ptr) -> Call {
    const TIF_32BIT: u64 = 1 << 22;
    let regs = registers(task);
    let number = i64::from(Typed::u32(regs, 280) as i32);
    let (first, second) = (Typed::u64(regs, 272), Typed::u64(regs, 8));
    if Typed::u64(task, off!(task_compat)) & TIF_32BIT != 0 {
        return Call {
            abi: Abi::Arm,
            number,
            first: first & 0xffff_ffff,
            second: second & 0xffff_ffff,
        };
    }
    Call {
        abi: Abi::Arm64,
        number,
        first,
        second,
    }
}

/// The registers that a task entered the kernel with.
#[inline(always)]
fn registers(task: Ptr) -> Ptr {
    // SAFETY: the helper gives the registers of a task that the verifier knows.
    let regs = unsafe { bpf_task_pt_regs(task.cast_mut().cast()) } as *const pt_regs;
    regs.cast()
}
