//! Whether these programs count, or others of another version, which share the maps.
//!
//! The programs of the tree need not ask, since they may see anything twice.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use observer_ebpf::{Hook, decide::turn};

use super::{
    host::config,
    maps::{HANDED, HANDED_PLACES, Reporter, word},
};

/// Where a program asks, so that it and the one of another version on the same hook
/// know each other.
#[derive(Clone, Copy)]
pub enum Gate {
    /// The tracepoint `cap_capable`.
    Tracepoint,
    /// The exit of `security_capable`, by trampoline.
    Verdict,
    /// Its entry, by kprobe.
    VerdictEntry,
    /// Its exit, by kretprobe.
    VerdictProbe,
    /// The exit of `cap_capable`, by trampoline.
    Commoncap,
    /// Its entry, by kprobe.
    CommoncapEntry,
    /// Its exit, by kretprobe.
    CommoncapProbe,
    /// The exit of `aa_capable`, by trampoline.
    Apparmor,
    /// The same by kretprobe.
    ApparmorProbe,
    /// The exit of `selinux_capable`, by trampoline.
    Selinux,
    /// The same by kretprobe.
    SelinuxProbe,
    /// The entry of `cap_task_prctl`, by trampoline.
    DropEntry,
    /// The same by kprobe.
    DropEntryProbe,
    /// Its exit, by trampoline.
    Drop,
    /// The same by kretprobe.
    DropProbe,
    /// A program that reports what rules refuse.
    Rule(Reporter),
}

impl Gate {
    #[inline(always)]
    const fn number(self) -> u32 {
        match self {
            Self::Tracepoint => 0,
            Self::Verdict => 1,
            Self::VerdictEntry => 2,
            Self::VerdictProbe => 3,
            Self::Commoncap => 4,
            Self::CommoncapEntry => 5,
            Self::CommoncapProbe => 6,
            Self::Apparmor => 7,
            Self::ApparmorProbe => 8,
            Self::Selinux => 9,
            Self::SelinuxProbe => 10,
            Self::DropEntry => 11,
            Self::DropEntryProbe => 12,
            Self::Drop => 13,
            Self::DropProbe => 14,
            Self::Rule(reporter) => 15 + reporter as u32,
        }
    }

    /// Whether the program that was attached last runs first: so it is with
    /// trampolines (`hlist_add_head`, `kernel/bpf/trampoline.c`) and with kprobes
    /// (`list_add_rcu`, `kernel/kprobes.c`). Tracepoints run in their order
    /// (`func_add`, `kernel/tracepoint.c`), and return probes undo that of the entry.
    #[inline(always)]
    const fn newer_first(self) -> bool {
        match self {
            Self::Tracepoint
            | Self::VerdictProbe
            | Self::CommoncapProbe
            | Self::ApparmorProbe
            | Self::SelinuxProbe
            | Self::DropProbe => false,
            Self::Rule(reporter) => !reporter.is_probe(),
            _ => true,
        }
    }
}

/// Whether other programs count, of another version. Asked of a call that both come
/// to: what makes a program return before must make the other one, too.
#[inline(always)]
pub fn is_idle(gate: Gate) -> bool {
    let Some(word) = word(Hook::Turn) else {
        return true;
    };
    if *word == config!(turn) {
        return false;
    }
    !turn::is_handing(*word) || passes(*word, gate.number() << 1 | gate.newer_first() as u32)
}

/// Whether these programs count, and no others are about to.
#[inline(always)]
pub fn counts() -> bool {
    word(Hook::Turn) == Some(&config!(turn))
}

/// The same while a turn is handed over: seldom, and so a function of its own.
#[inline(never)]
fn passes(word: u32, gate: u32) -> bool {
    let thread = bpf_get_current_pid_tgid() as u32;
    let place = thread.wrapping_mul(37).wrapping_add(gate >> 1) & (HANDED_PLACES - 1);
    let Some(note) = HANDED.get_ptr_mut(place) else {
        return true;
    };
    let name = u64::from(gate >> 1) << 32 | u64::from(thread);
    // SAFETY: a live map value; two threads that share a place may lose a note.
    unsafe {
        let pass = turn::pass(word, config!(turn), gate & 1 == 1, name, *note);
        *note = pass.note;
        pass.idle
    }
}
