//! The rooms of the agent's threads, and what each of them keeps.

use rustix::thread::CapabilitySet;

use crate::host::kernel_release;

/// What a thread is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Reads from the kernel, correlates and counts; reads `/proc`.
    Main,
    /// Looks up containers and executables.
    LookUp,
    /// Follows auditd's log through rotation.
    AuditLog,
    /// Changes the mechanism in a storm: it loads and attaches programs.
    Storms,
    /// Serves the page, metrics and API.
    Web,
    /// Writes the events.
    Events,
    /// Prints alarms, or reads a pipe that is open.
    Plain,
}

impl Room {
    /// Every room.
    pub const ALL: [Self; 7] = [
        Self::Main,
        Self::LookUp,
        Self::AuditLog,
        Self::Storms,
        Self::Web,
        Self::Events,
        Self::Plain,
    ];

    /// The capabilities that a thread keeps, of those that it has; `maps_ask` says
    /// whether it needs one for the kernel's maps.
    pub const fn capabilities(self, maps_ask: bool) -> CapabilitySet {
        let maps = if maps_ask {
            CapabilitySet::BPF
        } else {
            CapabilitySet::empty()
        };
        match self {
            Self::Main => CapabilitySet::SYS_PTRACE
                .union(CapabilitySet::DAC_READ_SEARCH)
                .union(maps),
            Self::LookUp => CapabilitySet::SYS_PTRACE.union(CapabilitySet::DAC_READ_SEARCH),
            Self::AuditLog => CapabilitySet::DAC_READ_SEARCH,
            Self::Storms => CapabilitySet::BPF
                .union(CapabilitySet::PERFMON)
                .union(CapabilitySet::SYS_ADMIN)
                .union(CapabilitySet::SYS_NICE),
            Self::Web => maps,
            Self::Events | Self::Plain => CapabilitySet::empty(),
        }
    }

    /// Whether it loads and attaches programs.
    pub const fn attaches(self) -> bool {
        matches!(self, Self::Storms)
    }
}

/// Whether a look-up in a map asks for `CAP_BPF`: before 5.19 it does where
/// unprivileged BPF is switched off (`__sys_bpf`, `kernel/bpf/syscall.c`).
pub(super) fn maps_ask() -> bool {
    kernel_release().is_none_or(|release| release < (5, 19))
}
