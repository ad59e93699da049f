//! The steps, and which programs make which of them in which order.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::super::behaviour::As;

/// One thing that a sandbox does to set itself up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// `uid_map` with the parent's id 0, in its own namespace.
    UidMapZero,
    /// `unshare(CLONE_NEWUSER)`.
    UserNamespace,
    /// `deny` to `setgroups`.
    Setgroups,
    /// `uid_map` with the own id.
    UidMap,
    /// `gid_map` with the own id.
    GidMap,
    /// `unshare(CLONE_NEWNET)`.
    NetworkNamespace,
    /// `RTM_NEWADDR` of 127.0.0.1.
    LoopbackAddress,
    /// The loopback up.
    LoopbackLink,
    /// A tun device.
    Tun,
    /// `unshare(CLONE_NEWNS)`.
    MountNamespace,
    /// All mounts made slaves.
    SlaveMount,
    /// A bind mount.
    BindMount,
    /// A new proc, in a new PID namespace.
    ProcMount,
    /// Another user namespace in the first.
    NestedNamespace,
    /// `deny` to its `setgroups`.
    NestedSetgroups,
    /// Its `uid_map`.
    NestedUidMap,
}

use Step::{
    BindMount, GidMap, LoopbackAddress, LoopbackLink, MountNamespace, NestedNamespace,
    NestedSetgroups, NestedUidMap, NetworkNamespace, ProcMount, Setgroups, SlaveMount, Tun, UidMap,
    UidMapZero, UserNamespace,
};

/// Everything, for programs without their own order.
const ALL: &[Step] = &[
    UidMapZero,
    UserNamespace,
    Setgroups,
    UidMap,
    GidMap,
    NetworkNamespace,
    LoopbackAddress,
    LoopbackLink,
    Tun,
    MountNamespace,
    SlaveMount,
    BindMount,
    ProcMount,
    NestedNamespace,
    NestedSetgroups,
    NestedUidMap,
];
/// bubblewrap 0.11, `main`: clone, maps, loopback, then mounts.
const BWRAP: &[Step] = &[
    UserNamespace,
    MountNamespace,
    NetworkNamespace,
    Setgroups,
    UidMap,
    GidMap,
    LoopbackAddress,
    LoopbackLink,
    SlaveMount,
    BindMount,
    ProcMount,
];
/// Rootless Podman: the maps are newuidmap's; pasta makes the tun device.
const PODMAN: &[Step] = &[
    UserNamespace,
    Setgroups,
    UidMap,
    GidMap,
    MountNamespace,
    SlaveMount,
    BindMount,
    NetworkNamespace,
    LoopbackLink,
    Tun,
    ProcMount,
];
/// Chromium, `sandbox/linux/services`: `NamespaceSandbox`, then its zygote.
const CHROMIUM: &[Step] = &[
    UserNamespace,
    Setgroups,
    UidMap,
    GidMap,
    NetworkNamespace,
    NestedNamespace,
];
/// nsjail, `subproc.cc`, `user.cc`, `mnt.cc`.
const NSJAIL: &[Step] = &[
    UserNamespace,
    MountNamespace,
    NetworkNamespace,
    Setgroups,
    UidMap,
    GidMap,
    LoopbackLink,
    SlaveMount,
    BindMount,
    ProcMount,
];
/// sandbox-runtime: bubblewrap, then apply-seccomp in its own namespace.
const SRT: &[Step] = &[
    UserNamespace,
    MountNamespace,
    NetworkNamespace,
    Setgroups,
    UidMap,
    GidMap,
    LoopbackAddress,
    LoopbackLink,
    SlaveMount,
    BindMount,
    ProcMount,
    NestedNamespace,
    NestedSetgroups,
    NestedUidMap,
];

/// The steps in a program's order.
pub const fn steps(program: As) -> &'static [Step] {
    match program {
        As::Bwrap | As::Flatpak => BWRAP,
        As::Podman => PODMAN,
        As::Chromium => CHROMIUM,
        As::Nsjail => NSJAIL,
        As::Srt => SRT,
        _ => ALL,
    }
}

/// Whether a program ends where a step fails.
pub const fn gives_up(program: As) -> bool {
    matches!(
        program,
        As::Bwrap | As::Flatpak | As::Podman | As::Chromium | As::Nsjail | As::Srt
    )
}

/// Whether a failure matters: a map of id 0 is only root's to write.
pub fn is_needed(program: As, step: Step, uid: u32) -> bool {
    gives_up(program) || step != UidMapZero || uid == 0
}

/// The step without which another can't be tried.
pub const fn rests_on(step: Step) -> Option<Step> {
    match step {
        UidMapZero | UserNamespace => None,
        Setgroups | UidMap | GidMap | NetworkNamespace | MountNamespace | NestedNamespace => {
            Some(UserNamespace)
        }
        LoopbackAddress | LoopbackLink | Tun => Some(NetworkNamespace),
        SlaveMount | BindMount | ProcMount => Some(MountNamespace),
        NestedSetgroups | NestedUidMap => Some(NestedNamespace),
    }
}

impl Step {
    /// What a person calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            UidMapZero => "uid_map of id 0",
            UserNamespace => "user namespace",
            Setgroups => "setgroups",
            UidMap => "uid_map",
            GidMap => "gid_map",
            NetworkNamespace => "network namespace",
            LoopbackAddress => "loopback address",
            LoopbackLink => "loopback link",
            Tun => "tun device",
            MountNamespace => "mount namespace",
            SlaveMount => "slave mount",
            BindMount => "bind mount",
            ProcMount => "proc mount",
            NestedNamespace => "nested namespace",
            NestedSetgroups => "nested setgroups",
            NestedUidMap => "nested uid_map",
        }
    }
}

/// What is dropped, or set, before the first step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Without {
    /// Nothing.
    #[default]
    Nothing,
    /// SETPCAP is dropped.
    Setpcap,
    /// SETFCAP is dropped.
    Setfcap,
    /// `no_new_privs` is set.
    NoNewPrivs,
}

impl Without {
    /// Every condition.
    pub const ALL: [Self; 4] = [
        Self::Nothing,
        Self::Setpcap,
        Self::Setfcap,
        Self::NoNewPrivs,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Setpcap => "setpcap",
            Self::Setfcap => "setfcap",
            Self::NoNewPrivs => "no_new_privs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_tried_before_what_it_rests_on() {
        for program in As::value_variants() {
            let steps = steps(*program);
            for (place, step) in steps.iter().enumerate() {
                if let Some(base) = rests_on(*step) {
                    let before = steps.iter().position(|other| *other == base);
                    assert!(before.is_some_and(|at| at < place), "{program:?} {step:?}");
                }
            }
        }
    }
}
