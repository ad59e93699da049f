//! Refusals by a rule, and the programs that report them.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{HashMap, PerCpuArray},
};
use observer_ebpf::{Breach, BreachKey, shares};

/// Refusals by a rule.
#[map]
pub static BREACHES: HashMap<BreachKey, Breach> =
    HashMap::with_max_entries(shares::BREACHES, BPF_F_NO_PREALLOC);

/// Room for the key of a refusal, by [`Reporter`]: one does not fit on every stack.
#[map]
pub static BREACH_KEYS: PerCpuArray<BreachKey> = PerCpuArray::with_max_entries(Reporter::COUNT, 0);

/// The programs that report refusals. Each has room of its own, since they may
/// preempt each other, but none itself.
#[derive(Clone, Copy)]
pub enum Reporter {
    /// prctl, by trampoline.
    Prctl,
    /// prctl, by kprobe.
    PrctlProbe,
    /// exec, by trampoline.
    Exec,
    /// exec, by kprobe.
    ExecProbe,
    /// capset, by trampoline.
    Capset,
    /// capset, by kprobe.
    CapsetProbe,
    /// `uid_map`, by trampoline.
    UidMap,
    /// `uid_map`, by kprobe.
    UidMapProbe,
    /// `gid_map`, by trampoline.
    GidMap,
    /// `gid_map`, by kprobe.
    GidMapProbe,
    /// setgroups, by trampoline.
    Setgroups,
    /// setgroups, by kprobe.
    SetgroupsProbe,
    /// User namespaces, by trampoline.
    Userns,
    /// User namespaces, by kprobe.
    UsernsProbe,
    /// The call of capset, by trampoline.
    CapsetCall,
    /// The call of capset, by kprobe.
    CapsetCallProbe,
}

impl Reporter {
    /// How many there are.
    pub const COUNT: u32 = 16;

    /// Whether it is a return probe.
    #[inline(always)]
    pub const fn is_probe(self) -> bool {
        self as u32 & 1 == 1
    }
}
