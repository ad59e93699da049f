//! A row of denials.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Container, Link, Scope};
use crate::{
    caps,
    time::{Stamp, optional},
};

/// A user namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Namespace {
    /// Inode number, as `/proc/PID/ns/user` shows it.
    pub inode: u32,
    /// Depth: 0 is the initial namespace.
    pub level: u32,
}

/// Refused checks that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// How far from the recorded command it happened.
    #[serde(default)]
    pub scope: Scope,
    /// Name of the supervisor's rule.
    pub supervisor: Option<String>,
    /// `supervisor` or `workload`.
    pub role: Option<String>,
    /// The container it happened in.
    pub container: Option<Arc<Container>>,
    /// Name of the thread.
    pub comm: String,
    /// Basename of the executable.
    pub exe: Option<String>,
    /// Process id of the one that was reported last.
    pub pid: Option<u32>,
    /// The processes from the supervisor down to that one.
    #[serde(default)]
    pub chain: Vec<Link>,
    /// Name of the capability.
    pub capability: String,
    /// Its number.
    pub number: u32,
    /// Who refused.
    pub layer: String,
    /// Why commoncap refused: `not_effective`, `namespace`.
    pub reason: Option<String>,
    /// The LSM's profile.
    pub profile: Option<String>,
    /// The profile's policy namespace, where an audit record reported it.
    pub namespace: Option<String>,
    /// Inode number of the user namespace that the capability was asked for.
    pub target_namespace: Option<u32>,
    /// `yes`, `no` or `unknown`.
    pub audited: String,
    /// Whether a rule expects it.
    pub expected: bool,
    /// Whether the task's own credentials were asked.
    pub own_credentials: bool,
    /// `security_capable`, `direct` or `unknown`.
    pub via: String,
    /// How many.
    pub count: u64,
    /// Whether comm, executable and profile are separate for all of them.
    pub exact: bool,
    /// How many of them have a record in the audit log; none where the layer
    /// writes no records.
    pub logged: Option<u64>,
    /// Why log and hooks differ, where they do: `no_audit`,
    /// `duplicate`, `quiet_rule`, `quiet_rule_or_duplicate`, `lost`,
    /// `source_missing`, `log_says_allowed`; of a denial that the log alone
    /// shows `hook_missing`, `event_lost`; else `unknown`.
    pub leftover: Option<String>,
    /// When the first was refused; null where no record has a time.
    #[serde(with = "optional")]
    pub first: Stamp,
    /// When the last was refused; null where no record has a time.
    #[serde(with = "optional")]
    pub last: Stamp,
    /// The sentence for a person.
    pub explanation: String,
}

impl Denial {
    /// Whether it may matter to anybody: not what a rule expects, what nobody
    /// wanted a record of, what is asked in passing, or what may be memory accounting
    /// all the same.
    pub fn is_notable(&self) -> bool {
        let accounting = self.audited == "unknown" && self.number == caps::SYS_ADMIN;
        let routine = accounting || self.in_passing().is_some();
        !self.expected && self.audited != "no" && !routine
    }

    /// Why the call did not fail, where the kernel makes this check in passing: what
    /// follows after "the kernel checks".
    ///
    /// `cap_capset` asks `cap_capable` itself, and the answer counts only for an
    /// inheritable set beyond the permitted one (`security/commoncap.c`, 6.12); what
    /// else asks so is `PR_SET_SECUREBITS`. A refused drop comes through
    /// `security_capable`. FSETID decides on a bit of a mode (`setattr_copy`,
    /// `should_remove_suid`, `fs/attr.c` and `fs/inode.c`).
    pub fn in_passing(&self) -> Option<&'static str> {
        match (self.layer.as_str(), self.number, self.via.as_str()) {
            ("commoncap", caps::SETPCAP, "direct") => Some(
                "this at every capset, and continues without it unless the call adds to the \
                 inheritable set; only prctl(PR_SET_SECUREBITS) needs it",
            ),
            ("commoncap", caps::FSETID, _) => Some(
                "this to decide whether a file keeps its set-user-ID and set-group-ID bits, and \
                 no call fails because of it",
            ),
            _ => None,
        }
    }

    /// Whether a file's owner and mode did not fit, and the kernel then asked for a
    /// capability to pass over them.
    pub fn is_of_file(&self) -> bool {
        matches!(self.number, caps::DAC_OVERRIDE | caps::DAC_READ_SEARCH)
    }

    /// Whether the kernel asks for it of every process that takes memory, and nobody
    /// needs it.
    pub fn is_accounting(&self) -> bool {
        !self.expected && self.audited == "no" && self.number == caps::SYS_ADMIN
    }
}
