//! The same by kprobe and kretprobe: a return has no arguments, so that an entry works
//! out what will be refused, and keeps it for the return.

use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use observer_ebpf::Call;

use super::{
    breach::{self, Broke},
    host::config,
    maps::Teller,
    mem::{Probed, Ptr},
    rules,
    underway::{self, Kind},
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
        && let Some([first, second, third]) = underway::take(Kind::Asked)
    {
        let (dentry, caps) = if config!(vfs_caps_arg) == 1 {
            (first, second)
        } else {
            (second, third)
        };
        rules::keep_file::<Probed>(dentry as Ptr, caps as Ptr);
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
    rules::exec_ends::<Probed>(Teller::ExecProbe, bprm as Ptr, ctx.ret());
    0
}

/// Works out whether capset will be refused.
#[kprobe]
pub fn rule_capset_entry_kprobe(ctx: ProbeContext) -> u32 {
    let at = |index| ctx.arg::<*const u8>(index).unwrap_or(core::ptr::null());
    let refused = rules::capset::<Probed>(at(1), at(2), at(3), at(4));
    rules::keep(&Broke::new(Call::Capset, refused));
    0
}

/// Tells what was kept.
#[kretprobe]
pub fn rule_capset_exit_kprobe(ctx: RetProbeContext) -> u32 {
    if ctx.ret::<i32>() == -rules::EPERM {
        let broke = rules::taken().unwrap_or(Broke::unseen(Call::Capset));
        let nothing = core::ptr::null();
        breach::tell::<Probed>(Teller::CapsetProbe, &broke, nothing, nothing);
    }
    0
}
