//! What capwatch found out, as reports, JSON lines, metrics and pages show it.
//!
//! The shapes are the contract of `docs/events.md`; every output serialises
//! these types and no other.

mod chain;
mod container;
mod counts;
mod denial;
mod episode;
mod gate;
mod hook;
mod host;
mod other;
mod refusal;
mod report;
mod role;
mod scope;
mod scoped;
mod series;
mod stream;
mod workload;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use chain::Link;
pub use container::{Container, Pod, Requested, fill_from};
pub use counts::{ByVerdict, ByWorth, Counts, DenialCounts, EpisodeCounts, RuleCounts};
pub use denial::{Denial, Namespace};
pub use episode::{Episode, Exit, Fate, Launched, Verdict};
pub use gate::{FailOn, Gate};
pub use hook::{HookReport, Mechanism, misses_rules};
pub use host::{Host, SourceReport};
pub use other::{LogRead, Other, Place, Sort};
pub use refusal::RuleRefusal;
pub use report::{Audit, Command, Report};
pub use role::RoleFilter;
pub use scope::Scope;
pub use scoped::{Course, Made, Running, Scoped};
pub use series::{NONE, OTHER, OVERFLOW};
pub use stream::{End, Header, Row, Sources, State, StateLine};
pub use workload::Workload;

use crate::time::Stamp;

/// Schema of a JSON line.
pub const EVENT_SCHEMA: &str = "capwatch.event/1";
/// Schema of a report.
pub const REPORT_SCHEMA: &str = "capwatch.report/1";

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// [`EVENT_SCHEMA`]
    pub schema: String,
    /// When it happened.
    pub time: Stamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event of the present schema.
    pub fn new(time: Stamp, kind: EventKind) -> Self {
        Self {
            schema: EVENT_SCHEMA.to_owned(),
            time,
            kind,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum EventKind {
    /// A check was refused. Sent at a row's first denial and then at most once
    /// a second; the count is what the row had reached.
    Denial(Denial),
    /// An episode closed, or is pending.
    Episode(Episode),
    /// An audit record was read.
    Audit(AuditEvent),
    /// A supervisor came or went.
    Supervisor(SupervisorEvent),
    /// A rule of the kernel refused a call, or as many as the count says.
    #[serde(rename = "rule_refusal")]
    RuleRefusal(Box<RuleRefusal>),
    /// Something was lost.
    Loss(LossEvent),
}

impl EventKind {
    /// How far from the recorded command it happened; a loss may concern anyone.
    pub const fn scope(&self) -> Scope {
        match self {
            Self::Denial(denial) => denial.scope,
            Self::Episode(episode) => episode.scope,
            Self::Audit(event) => event.scope,
            Self::Supervisor(event) => event.scope,
            Self::RuleRefusal(refusal) => refusal.scope,
            Self::Loss(_) => Scope::Host,
        }
    }
}

/// An audit record of a capability, and what it was joined with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// `apparmor`, `selinux` or `seccomp`.
    pub lsm: Option<String>,
    /// `denied`, `allowed`, …
    pub verdict: Option<String>,
    /// Profile or domain.
    pub profile: Option<String>,
    /// The profile's policy namespace.
    pub namespace: Option<String>,
    /// Process id in the initial pid namespace.
    pub pid: Option<u32>,
    /// Name of the thread.
    pub comm: Option<String>,
    /// Capability.
    pub capability: Option<String>,
    /// Name of the supervisor, where the process is known.
    pub supervisor: Option<String>,
    /// `matched`, `audit_only`, or `not_a_denial` (complain mode, an `audit` rule).
    pub result: String,
    /// Whether several events fitted, and the latest was taken.
    pub ambiguous: bool,
    /// What to know of it: that the log says ALLOWED of a check that was refused.
    pub note: Option<String>,
    /// Serial number of the record.
    pub serial: Option<u64>,
    /// The source that reported it first.
    pub source: String,
    /// How far from the recorded command its process is.
    #[serde(default)]
    pub scope: Scope,
}

/// A supervisor came or went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorEvent {
    /// Name of its rule.
    pub supervisor: String,
    /// `started`, `replaced` (it executed a program that no rule names) or `ended`.
    pub change: String,
    /// Process id.
    pub pid: u32,
    /// Process id of its parent.
    pub ppid: u32,
    /// Basename of its executable.
    pub exe: Option<String>,
    /// Image tag or digest, else a digest of the executable.
    pub version: Option<String>,
    /// Its container.
    pub container: Option<Arc<Container>>,
    /// How far from the recorded command it is.
    #[serde(default)]
    pub scope: Scope,
}

/// Something was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossEvent {
    /// Where: `kernel`, `ring`, `audit`, `output`.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// How many since the last such event.
    pub count: u64,
}
