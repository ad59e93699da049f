//! The capabilities that the agent uses, and what is lost without each.
//!
//! The unit grants these and no others; docs/privileges.md says the same, and
//! `tests/vm/privileges.sh` takes each away in turn.

use crate::caps::{CapSet, SYS_ADMIN};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// Its number.
    pub number: u32,
    /// What is lost without it, as the end of "`CAP_…` is missing: ".
    pub lost: &'static str,
    /// Whether `CAP_SYS_ADMIN` covers it, too (`bpf_capable`, `perfmon_capable`, 5.8).
    admin_has_it: bool,
    /// Whether nothing but names is lost, so neither hook nor source reports it.
    pub only_names: bool,
}

/// All of them.
pub const WANTED: [Privilege; 5] = [
    Privilege {
        number: 39,
        lost: "no BPF program can be loaded, so the audit log is the only source",
        admin_has_it: true,
        only_names: false,
    },
    Privilege {
        number: 38,
        lost: "no BPF program can be attached, so the audit log is the only source",
        admin_has_it: true,
        only_names: false,
    },
    Privilege {
        number: 37,
        lost: "netlink sends no audit records; eBPF still names layer and profile",
        admin_has_it: false,
        only_names: false,
    },
    Privilege {
        number: 19,
        lost: "capwatch cannot read the executables of other users' processes, so supervisors have \
               no version, and those that started before the agent have no name",
        admin_has_it: false,
        only_names: true,
    },
    Privilege {
        number: 2,
        lost: "capwatch cannot find cgroups by their ID or read other users' container state, so \
               findings lack their container",
        admin_has_it: false,
        only_names: true,
    },
];

/// Those that a process with this effective set lacks.
pub fn missing(held: CapSet) -> impl Iterator<Item = &'static Privilege> {
    let admin = held.contains(SYS_ADMIN);
    WANTED
        .iter()
        .filter(move |one| !(held.contains(one.number) || admin && one.admin_has_it))
}

/// How many are missing that no hook and no source reports.
pub fn silently_missing(held: CapSet) -> u64 {
    missing(held).filter(|one| one.only_names).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_loads_and_attaches_but_reads_no_names() {
        let missing = |held: &[u32]| {
            let held = held.iter().fold(0, |set, number| set | 1_u64 << number);
            let missing = missing(CapSet(held));
            missing.map(|one| one.number).collect::<Vec<_>>()
        };
        assert_eq!(missing(&[]), [39, 38, 37, 19, 2]);
        assert_eq!(missing(&[SYS_ADMIN]), [37, 19, 2]);
        assert_eq!(missing(&[39, 38, 37, 19]), [2]);
        assert_eq!(silently_missing(CapSet(1 << 19)), 1);
        assert_eq!(silently_missing(CapSet::EMPTY), 2);
    }
}
