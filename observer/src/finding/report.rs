//! A report: everything that was found, in its last state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Counts, Denial, Episode, HookReport, Host, LogRead, Other, RuleRefusal, Scoped, SourceReport,
};
use crate::sight::Sight;

/// The command that `capwatch record` ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Its words.
    pub argv: Vec<String>,
    /// Its exit code; 128 + signal where a signal ended it.
    pub exit_code: i32,
    /// How long it ran.
    pub duration_seconds: f64,
}

/// What came of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Records of capabilities.
    pub records: u64,
    /// Records joined with an event.
    pub matched: u64,
    /// Denials by an LSM that left no record.
    pub ebpf_only: u64,
    /// Records that no event was seen for.
    pub audit_only: u64,
    /// Lines or messages that could not be parsed.
    pub malformed: u64,
    /// Of the denials in which log and hooks differ: how many for which
    /// reason.
    pub leftovers: BTreeMap<String, u64>,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_SCHEMA`](super::REPORT_SCHEMA)
    pub schema: String,
    /// The host that was watched.
    pub host: Host,
    /// Every hook that was asked for.
    pub hooks: Vec<HookReport>,
    /// Every source of audit records.
    pub sources: Vec<SourceReport>,
    /// What was lost, by reason; `events` is the sum.
    pub lost: BTreeMap<String, u64>,
    /// The command, of `capwatch record`.
    pub command: Option<Command>,
    /// Whose findings it has, of `capwatch record`.
    #[serde(default)]
    pub scope: Option<Scoped>,
    /// How many findings there were, whatever is listed of them; of the chosen
    /// scope and those within it.
    #[serde(default)]
    pub counts: Counts,
    /// Denials by row: the worthiest, a bounded number.
    pub denials: Vec<Denial>,
    /// Episodes in their last state: the worst, the first of each kind and the
    /// newest, a bounded number.
    pub episodes: Vec<Episode>,
    /// What rules of the kernel refused without a check: a bounded number of rows.
    #[serde(default)]
    pub rule_refusals: Vec<RuleRefusal>,
    /// Records that are no capability denials and still report a refusal, or of
    /// one to come: a bounded number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Other>,
    /// How much of a log was read; of `capwatch replay` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogRead>,
    /// What to know before reading it.
    pub notes: Vec<String>,
    /// What `--fail-on` matched.
    pub failed_on: Vec<String>,
    /// What came of the audit log.
    pub audit: Audit,
    /// What was not seen in the time that the report covers.
    #[serde(default)]
    pub sight: Sight,
}
