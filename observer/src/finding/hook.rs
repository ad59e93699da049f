//! The hooks, as a report shows them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a program is attached to a kernel function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mechanism {
    /// A BPF trampoline at the function's entry and exit (`CAP_BPF`, `CAP_PERFMON`).
    Fexit,
    /// kprobe and kretprobe (`CAP_SYS_ADMIN` on most distributions).
    Kprobe,
    /// A BTF tracepoint (`CAP_BPF`, `CAP_PERFMON`).
    Tracepoint,
}

impl Mechanism {
    /// The word for it in JSON and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fexit => "fexit",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What came of one hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookReport {
    /// The kernel function or tracepoint.
    pub hook: String,
    /// The mechanism in use, or the last one tried; none where there was nothing to try.
    pub mechanism: Option<Mechanism>,
    /// Whether it is attached.
    pub attached: bool,
    /// Whether it would show what no other hook does; one that is not needed and
    /// not attached is no fault.
    #[serde(default = "yes")]
    pub needed: bool,
    /// Why not, or why not by a better mechanism, or what is lost.
    pub reason: Option<String>,
}

const fn yes() -> bool {
    true
}

impl HookReport {
    /// Whether drops are seen by it: the tracepoint recognises them by the check of
    /// SETPCAP.
    pub fn watches_drops(&self) -> bool {
        let by_tracepoint =
            self.hook == "cap_capable" && self.mechanism == Some(Mechanism::Tracepoint);
        self.attached && (by_tracepoint || self.hook == "cap_task_prctl")
    }

    /// Whether it only shows what rules refuse.
    pub fn watches_rules(&self) -> bool {
        matches!(
            self.hook.as_str(),
            "cap_bprm_creds_from_file"
                | "cap_capset"
                | "proc_uid_map_write"
                | "proc_gid_map_write"
                | "create_user_ns"
        ) || self.hook.ends_with("_sys_capset")
            || self.hook.ends_with("_sys_setgroups")
    }

    /// Whether something can't be seen for want of this hook.
    pub const fn is_missed(&self) -> bool {
        self.needed && !self.attached
    }
}

/// Whether no hook shows what rules refuse: then there being no such refusal says
/// nothing.
pub fn misses_rules(hooks: &[HookReport]) -> bool {
    !hooks
        .iter()
        .any(|hook| hook.watches_rules() && hook.attached)
}
