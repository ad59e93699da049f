//! The same by kprobe and kretprobe: a return has no arguments, so an entry keeps them.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use observer_ebpf::{Broken, Call, decide::rules::Refused};

use super::{
    breach::{self, Broke},
    host::{config, off},
    maps::Reporter,
    mem::{Mem as _, Probed, Ptr},
    rules, task,
    underway::{self, Kind},
};

/// A refusal whose arguments another thread's call took the place of.
const UNSEEN: Refused = Refused {
    rule: Broken::Unseen,
    missing: 0,
};

/// Keeps what was asked. Which argument is which is looked at on the return: chosen here,
/// the compiler would read the context at an offset that the verifier refuses.
#[kprobe]
pub fn rule_file_caps_entry_kprobe(ctx: ProbeContext) -> u32 {
    let words = [0, 1, 2].map(|index| ctx.arg::<u64>(index).unwrap_or(0));
    underway::keep(Kind::Asked, words);
    0
}

/// As `rule_file_caps_exit`.
#[kretprobe]
pub fn rule_file_caps_exit_kprobe(ctx: RetProbeContext) -> u32 {
    if ctx.ret::<i32>() == 0
        && let Some([_, second, third]) = underway::take(Kind::Asked)
    {
        let caps = if config!(vfs_caps_arg) == 1 {
            second
        } else {
            third
        };
        rules::keep_file::<Probed>(caps as Ptr);
    }
    0
}

/// Keeps what is executed.
#[kprobe]
pub fn rule_exec_entry_kprobe(ctx: ProbeContext) -> u32 {
    underway::keep(Kind::Exec, [ctx.arg(0).unwrap_or(0), 0, 0]);
    0
}

/// As `rule_exec_exit`.
#[kretprobe]
pub fn rule_exec_exit_kprobe(ctx: RetProbeContext) -> u32 {
    let bprm = underway::take(Kind::Exec).map_or(0, |kept| kept[0]);
    rules::exec_ends::<Probed>(Reporter::ExecProbe, bprm as Ptr, ctx.ret());
    0
}

/// Keeps where the sets are that capset is asked for: its caller's frame, which is still
/// there on the return.
#[kprobe]
pub fn rule_capset_entry_kprobe(ctx: ProbeContext) -> u32 {
    let words = [2, 3, 4].map(|index| ctx.arg::<u64>(index).unwrap_or(0));
    underway::keep(Kind::Sets, words);
    0
}

/// As `rule_capset_exit`; a refusal leaves the task's credential as it was.
#[kretprobe]
pub fn rule_capset_exit_kprobe(ctx: RetProbeContext) -> u32 {
    if ctx.ret::<i32>() == -rules::EPERM {
        let call = Call::Capset;
        let broke = match underway::take(Kind::Sets) {
            Some([effective, inheritable, permitted]) => {
                let old = Probed::ptr(task::untyped(), off!(task_cred));
                let [effective, inheritable, permitted] =
                    [effective, inheritable, permitted].map(|at| at as Ptr);
                Broke::new(
                    call,
                    rules::capset::<Probed>(old, effective, inheritable, permitted),
                )
            }
            None => Broke::new(call, UNSEEN),
        };
        let nothing = core::ptr::null();
        breach::report::<Probed>(Reporter::CapsetProbe, &broke, nothing, nothing);
    }
    0
}
